package main

import (
	"encoding/json"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// found is what the server puts where a member is absent.
type found struct {
	json    string
	depends bool
	kept    bool
}

// now stands for the time at which the server has the write.
const now = "now"

// place is a struct somewhere in a kind: how to get there, and its members.
type place struct {
	path  string // spec.template.spec.containers[].ports[]
	steps []field
	typ   reflect.Type
	in    *schema
	name  string // of its OpenAPI definition
}

// prober runs the API server's defaulting functions on objects of one version of a kind.
type prober struct {
	gvk      runtimeschema.GroupVersionKind
	typ      reflect.Type
	document *document
	places   []place
}

// probe finds what the server puts where a member is absent, by the path of the struct and the member's name.
//
// For each struct that the kind reaches, an object is made that holds one such struct and nothing else, and goes the way of a
// write: defaulted, converted to the internal version and back. Then the same with other members set, one or two at a time:
// where that changes the outcome, the default depends on other values.
func probe(gvk runtimeschema.GroupVersionKind, object runtime.Object, v *kindVersion) map[string]map[string]found {
	p := &prober{gvk: gvk, typ: reflect.TypeOf(object).Elem(), document: v.document}
	p.collect(place{typ: p.typ, in: v.schema, name: v.definition}, nil)
	all := map[string]map[string]found{}
	for _, place := range p.places {
		defaults := map[string]found{}
		plain := p.outcome(place, nil)
		for name, value := range plain {
			defaults[name] = found{json: value, depends: value == now}
		}
		for _, change := range p.changes(place) {
			p.compare(place, change, plain, defaults)
		}
		all[place.path] = defaults
	}
	addServerFilled(gvk, all)
	return all
}

// compare marks the members that a change sets to something else than before.
func (p *prober) compare(at place, change []input, plain map[string]string, defaults map[string]found) {
	after := p.outcome(at, change)
	if after == nil {
		return
	}
	names := map[string]bool{}
	for name := range plain {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for _, own := range change {
		if len(own.steps) == len(at.steps) {
			delete(names, own.member)
		}
	}
	for name := range names {
		if plain[name] != after[name] {
			defaults[name] = found{depends: true}
		}
	}
}

// collect adds a struct and all that it holds. A struct that holds itself is not entered again.
func (p *prober) collect(at place, within []reflect.Type) {
	if slices.Contains(within, at.typ) {
		return
	}
	within = append(slices.Clone(within), at.typ)
	p.places = append(p.places, at)
	for _, f := range fields(at.typ) {
		in := at.in.Properties[f.name]
		if in == nil || at.path == "" && f.name == "metadata" {
			continue
		}
		inner := place{path: join(at.path, f.name), steps: append(slices.Clone(at.steps), f), typ: under(f.typ)}
		if inner.typ.Kind() == reflect.Slice {
			inner.path, inner.typ, in = inner.path+"[]", under(inner.typ.Elem()), in.Items
		}
		if inner.typ.Kind() != reflect.Struct || opaque(inner.typ) || in == nil {
			continue
		}
		inner.name, inner.in = in.reference(), in
		if inner.name != "" {
			inner.in = p.document.Components.Schemas[inner.name]
		}
		p.collect(inner, within)
	}
}

// outcome gives the members of the struct at a place that are set after the server had an object with nothing but that
// struct and the given values; nil where the server makes nothing of it.
func (p *prober) outcome(at place, change []input) map[string]string {
	object := reflect.New(p.typ)
	enter(object.Elem(), at.steps)
	for _, own := range change {
		own.set(enter(object.Elem(), own.steps))
	}
	after := p.serve(object.Interface().(runtime.Object))
	if after == nil {
		return nil
	}
	target, ok := find(reflect.ValueOf(after).Elem(), at.steps)
	if !ok {
		return nil
	}
	values := map[string]string{}
	for _, f := range fields(at.typ) {
		value := target.FieldByIndex(f.index)
		// A struct by value is always there; what is filled into it is found at its own place.
		if value.IsZero() || value.Kind() == reflect.Struct && !opaque(value.Type()) || f.name == "metadata" {
			continue
		}
		if under(f.typ) == reflect.TypeFor[metav1.Time]() {
			values[f.name] = now
			continue
		}
		text, err := json.Marshal(value.Interface())
		check(err)
		values[f.name] = string(text)
	}
	return values
}

// serve sends an object the way of a write; nil where the server has no way for it.
func (p *prober) serve(object runtime.Object) (after runtime.Object) {
	defer func() {
		if recover() != nil {
			after = nil // a defaulting function that no such object ever reaches
		}
	}()
	scheme := legacyscheme.Scheme
	scheme.Default(object)
	inner, err := scheme.ConvertToVersion(object, runtimeschema.GroupVersion{Group: p.gvk.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return nil
	}
	after, err = scheme.ConvertToVersion(inner, p.gvk.GroupVersion())
	if err != nil {
		return nil
	}
	after.GetObjectKind().SetGroupVersionKind(runtimeschema.GroupVersionKind{})
	return after
}

// enter goes to a struct and makes what is missing on the way.
func enter(v reflect.Value, steps []field) reflect.Value {
	for _, step := range steps {
		v = v.FieldByIndex(step.index)
		v = make1(v)
		if v.Kind() == reflect.Slice {
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			v = make1(v.Index(0))
		}
	}
	return v
}

func make1(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// find goes to a struct, if it is there.
func find(v reflect.Value, steps []field) (reflect.Value, bool) {
	for _, step := range steps {
		v = v.FieldByIndex(step.index)
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
			if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
				return v, false
			}
			if v.Kind() == reflect.Slice {
				v = v.Index(0)
			} else {
				v = v.Elem()
			}
		}
	}
	return v, true
}

// changes lists what to set beside a place: one member of a struct on the way, alone or with one of the struct itself; one or
// two members of the struct itself.
func (p *prober) changes(at place) [][]input {
	var changes [][]input
	inputs := p.inputs(at, "")
	for length := range at.steps {
		above := p.places[slices.IndexFunc(p.places, func(other place) bool { return samePath(other, at, length) })]
		for _, own := range p.inputs(above, at.steps[length].name) {
			changes = append(changes, []input{own})
			for i, inner := range inputs {
				if i == 0 || inputs[i-1].member != inner.member {
					changes = append(changes, []input{own, inner})
				}
			}
		}
	}
	for i, own := range inputs {
		changes = append(changes, []input{own})
		for _, other := range inputs[i+1:] {
			if other.member != own.member {
				changes = append(changes, []input{own, other})
			}
		}
	}
	return changes
}

func samePath(above, at place, length int) bool {
	if len(above.steps) != length {
		return false
	}
	for i := range length {
		if above.steps[i].name != at.steps[i].name {
			return false
		}
	}
	return true
}
