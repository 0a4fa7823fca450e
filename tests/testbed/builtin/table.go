package main

import (
	"bufio"
	"fmt"
	"reflect"
	"slices"
	"strings"

	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

const (
	models  = "io.k8s.apimachinery.pkg."
	deduced = 0
)

// table collects types; equal types are one.
type table struct {
	types []string
	known map[string]int
	// recursive definitions, by Go type: built once, without defaults of their own.
	recursive map[reflect.Type]int
}

func newTable() *table {
	return &table{types: []string{`"deduced"`}, known: map[string]int{`"deduced"`: deduced}, recursive: map[reflect.Type]int{}}
}

func (t *table) add(text string) int {
	if id, ok := t.known[text]; ok {
		return id
	}
	t.types = append(t.types, text)
	t.known[text] = len(t.types) - 1
	return len(t.types) - 1
}

// root adds the types of one version of a kind.
func (t *table) root(k *kind, v *kindVersion) int {
	gvk := runtimeschema.GroupVersionKind{Group: k.Group, Version: v.Version, Kind: k.Kind}
	object, err := legacyscheme.Scheme.New(gvk)
	check(err)
	w := &walk{table: t, document: v.document, defaults: probe(gvk, object, v)}
	return w.definition(v.definition, v.schema, reflect.TypeOf(object).Elem(), "", "")
}

// walk goes through a kind's OpenAPI and its Go types side by side.
type walk struct {
	table    *table
	document *document
	defaults map[string]map[string]found
	within   []reflect.Type
}

// of adds the type of a schema; path is where the kind has it, and mapType what the reference to it overrides.
func (w *walk) of(s *schema, goType reflect.Type, path, mapType string) int {
	goType = under(goType)
	if name := s.reference(); name != "" {
		target := w.document.Components.Schemas[name]
		if target == nil {
			check(fmt.Errorf("%s: no definition %s", path, name))
		}
		return w.definition(name, target, goType, path, s.MapType)
	}
	switch s.Type {
	case "object":
		return w.object("", s, goType, path, mapType)
	case "array":
		return w.list(s, goType, path)
	case "string":
		if s.Format == "byte" {
			return w.table.add(`"bytes"`)
		}
		return w.table.add(`"string"`)
	case "integer", "number", "boolean":
		return w.table.add(`"` + s.Type + `"`)
	default:
		return deduced
	}
}

func (w *walk) definition(name string, s *schema, goType reflect.Type, path, mapType string) int {
	switch name {
	case models + "api.resource.Quantity":
		return w.table.add(`"quantity"`)
	case models + "util.intstr.IntOrString":
		return w.table.add(`"intOrString"`)
	case models + "apis.meta.v1.Time":
		return w.table.add(`"time"`)
	case models + "apis.meta.v1.MicroTime":
		return w.table.add(`"microTime"`)
	case models + "apis.meta.v1.Duration":
		return w.table.add(`"duration"`)
	case models + "runtime.RawExtension":
		return w.table.add(`{"any":[0,"v"],"atomic":true}`)
	}
	if s.Type != "object" {
		return w.of(s, goType, path, mapType)
	}
	if !slices.Contains(w.within, goType) {
		w.within = append(w.within, goType)
		defer func() { w.within = w.within[:len(w.within)-1] }()
		return w.object(name, s, goType, path, mapType)
	}
	// The number is kept for when the outer one is written.
	if id, ok := w.table.recursive[goType]; ok {
		return id
	}
	w.table.types = append(w.table.types, "")
	w.table.recursive[goType] = len(w.table.types) - 1
	return len(w.table.types) - 1
}

func (w *walk) object(name string, s *schema, goType reflect.Type, path, mapType string) int {
	if mapType == "" {
		mapType = s.MapType
	}
	var parts []string
	if name != "" {
		parts = append(parts, fmt.Sprintf(`"of":%q`, strings.TrimPrefix(name, "io.k8s.")))
	}
	if mapType == "atomic" {
		parts = append(parts, `"atomic":true`)
	}
	if s.AdditionalProperties != nil {
		var elem reflect.Type
		if goType.Kind() == reflect.Map {
			elem = goType.Elem()
		}
		filled := ""
		if w.filled(path) {
			filled = `,"depends"`
		}
		parts = append(parts, fmt.Sprintf(`"any":[%d,"v"%s]`, w.of(s.AdditionalProperties, elem, path+"{}", ""), filled))
	} else if len(s.Properties) == 0 {
		if mapType != "atomic" && (goType == nil || goType.Kind() != reflect.Struct || opaque(goType)) {
			return deduced
		}
		if opaque(goType) {
			parts = append(parts, `"any":[0,"v"]`)
		}
	}
	if len(s.Properties) > 0 {
		parts = append(parts, `"members":{`+w.members(s, goType, path)+`}`)
	}
	text := "{" + strings.Join(parts, ",") + "}"
	if id, ok := w.table.recursive[goType]; ok && name != "" {
		w.table.types[id] = text
		return id
	}
	return w.table.add(text)
}

func (w *walk) members(s *schema, goType reflect.Type, path string) string {
	var members []string
	for _, name := range sorted(s.Properties) {
		f, ok := fieldNamed(goType, name)
		if !ok {
			check(fmt.Errorf("%s: %v has no member %s", path, goType, name))
		}
		text := fmt.Sprintf(`%q:[%d,%q`, name, w.of(s.Properties[name], f.typ, join(path, name), ""), f.zero())
		switch value, ok := w.defaults[path][name]; {
		case ok && value.kept:
			text += `,"kept"`
		case ok && value.depends, gated(goType, f):
			text += `,"depends"`
		case ok && value.json != "":
			text += `,"is",` + value.json
		case f.alwaysNull():
			text += `,"is",null`
		}
		members = append(members, text+"]")
	}
	return strings.Join(members, ",")
}

// filled says of a map that the server may add entries to it.
func (w *walk) filled(path string) bool {
	at := strings.LastIndex(path, ".")
	if at < 0 {
		return false
	}
	return w.defaults[path[:at]][path[at+1:]].depends
}

func (w *walk) list(s *schema, goType reflect.Type, path string) int {
	var elem reflect.Type
	if goType != nil && goType.Kind() == reflect.Slice {
		elem = goType.Elem()
	}
	item := w.of(s.Items, elem, path+"[]", "")
	keys := s.ListMapKeys
	kind := s.ListType
	if kind == "" && (s.PatchStrategy == "merge" || s.PatchStrategy == "merge,retainKeys") {
		kind = "set"
		if s.PatchMergeKey != "" {
			kind, keys = "map", []string{s.PatchMergeKey}
		}
	}
	switch kind {
	case "map":
		return w.table.add(fmt.Sprintf(`{"list":%d,"keys":[%s]}`, item, w.keys(s, keys)))
	case "set":
		return w.table.add(fmt.Sprintf(`{"set":%d}`, item))
	default:
		return w.table.add(fmt.Sprintf(`{"list":%d}`, item))
	}
}

// keys writes a list's keys, each with the schema's default: structured-merge-diff knows no other.
func (w *walk) keys(s *schema, keys []string) string {
	item := s.Items
	if name := item.reference(); name != "" {
		item = w.document.Components.Schemas[name]
	}
	var all []string
	for _, key := range keys {
		text := fmt.Sprintf("[%q", key)
		if member := item.Properties[key]; member != nil && member.Default != nil {
			text += "," + string(member.Default)
		}
		all = append(all, text+"]")
	}
	return strings.Join(all, ",")
}

func (t *table) write(out *bufio.Writer, version string, kinds []kind) {
	fmt.Fprintf(out, "{\"about\":%q,\n\"kubernetes\":%q,\n\"types\":[\n", "Written by tests/testbed/builtin, which says how. Do not edit.", version)
	fmt.Fprintf(out, "%s\n],\n\"kinds\":[\n", strings.Join(t.types, ",\n"))
	for i, k := range kinds {
		var versions []string
		for _, v := range k.Versions {
			text := fmt.Sprintf(`{"version":%q,"type":%d`, v.Version, v.Type)
			if v.Status {
				text += `,"status":true`
			}
			if v.Scale {
				text += `,"scale":true`
			}
			versions = append(versions, text+"}")
		}
		comma := ","
		if i == len(kinds)-1 {
			comma = ""
		}
		fmt.Fprintf(out, `{"group":%q,"kind":%q,"resource":%q,"namespaced":%v,"versions":[%s]}%s`+"\n",
			k.Group, k.Kind, k.Resource, k.Namespaced, strings.Join(versions, ","), comma)
	}
	fmt.Fprint(out, "]}\n")
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
