package main

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// input is a value for one member of the struct that steps lead to.
type input struct {
	steps  []field
	member string
	set    func(reflect.Value)
}

// spelled are values that defaulting functions look for and that no enumeration lists.
var spelled = map[string][]string{
	"image": {"x:latest", "x:v1"},
	"kind":  {"User", "Group", "ServiceAccount"},
	"type":  {"Container", "Pod", "PersistentVolumeClaim"},
}

// definitions are the generated OpenAPI definitions: the published documents leave the enumerations out.
var definitions = openapi.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef(path) })

// inputs lists values for the members of the struct at a place, but for one member; for structs by value those of their members.
func (p *prober) inputs(at place, but string) []input {
	return inputsOf(at.steps, at.typ, definitions[at.name], but, true)
}

func inputsOf(steps []field, t reflect.Type, definition common.OpenAPIDefinition, but string, enter bool) []input {
	var all []input
	for _, f := range fields(t) {
		if f.name == but || f.name == "apiVersion" && len(steps) == 0 || f.name == "status" && len(steps) == 0 {
			continue
		}
		if f.typ.Kind() == reflect.Struct && !opaque(f.typ) {
			if enter {
				for _, inner := range inputsOf(steps, f.typ, common.OpenAPIDefinition{}, "", false) {
					set := inner.set
					inner.member = f.name
					inner.set = func(v reflect.Value) { set(v.FieldByIndex(f.index)) }
					all = append(all, inner)
				}
			}
			continue
		}
		property := definition.Schema.Properties[f.name]
		for _, value := range values(f.name, f.typ, property.Enum) {
			all = append(all, input{steps, f.name, func(v reflect.Value) { v.FieldByIndex(f.index).Set(value) }})
		}
	}
	return all
}

// values gives values of a type other than its zero.
func values(name string, t reflect.Type, enum []any) []reflect.Value {
	switch t {
	case reflect.TypeFor[intstr.IntOrString]():
		return []reflect.Value{reflect.ValueOf(intstr.FromInt32(1)), reflect.ValueOf(intstr.FromString("x"))}
	case reflect.TypeFor[resource.Quantity]():
		return []reflect.Value{reflect.ValueOf(resource.MustParse("1"))}
	}
	var all []reflect.Value
	add := func(value any) { all = append(all, reflect.ValueOf(value).Convert(t)) }
	switch t.Kind() {
	case reflect.Bool:
		add(true)
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Float64:
		add(1)
	case reflect.String:
		for _, value := range enum {
			add(value)
		}
		for _, value := range spelled[name] {
			add(value)
		}
		if all == nil {
			add("x")
		}
	case reflect.Pointer:
		all = behindPointer(name, t.Elem(), enum)
	case reflect.Slice:
		list := reflect.MakeSlice(t, 1, 1)
		if inner := values(name, t.Elem(), nil); t.Elem().Kind() != reflect.Struct && inner != nil {
			list.Index(0).Set(inner[0])
		}
		all = append(all, list)
	case reflect.Map:
		filled := reflect.MakeMap(t)
		value := reflect.Zero(t.Elem())
		if inner := values(name, t.Elem(), nil); inner != nil {
			value = inner[0]
		}
		filled.SetMapIndex(reflect.ValueOf("cpu").Convert(t.Key()), value)
		all = append(all, filled)
	}
	return all
}

// behindPointer gives pointers to a type's values, its zero among them.
func behindPointer(name string, t reflect.Type, enum []any) []reflect.Value {
	inner := values(name, t, enum)
	if t.Kind() != reflect.String {
		inner = append(inner, reflect.Zero(t))
	}
	var all []reflect.Value
	for _, value := range inner {
		pointer := reflect.New(t)
		pointer.Elem().Set(value)
		all = append(all, pointer)
	}
	return all
}
