package main

import (
	"reflect"
	"slices"
	"strings"
)

// field is a member of a Go struct as encoding/json sees it.
type field struct {
	name                string
	index               []int // through embedded structs
	typ                 reflect.Type
	omitempty, omitzero bool
}

var fieldsOf = map[reflect.Type][]field{}

// fields lists the JSON members of a struct, those of embedded structs among them.
func fields(t reflect.Type) []field {
	if known, ok := fieldsOf[t]; ok {
		return known
	}
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			for _, inner := range fields(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		if name == "" {
			name = f.Name
		}
		all = append(all, field{
			name, []int{i}, f.Type,
			slices.Contains(strings.Split(options, ","), "omitempty"),
			slices.Contains(strings.Split(options, ","), "omitzero"),
		})
	}
	fieldsOf[t] = all
	return all
}

func fieldNamed(t reflect.Type, name string) (field, bool) {
	if t == nil || t.Kind() != reflect.Struct {
		return field{}, false
	}
	for _, f := range fields(t) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// zero says what a member's zero value means to the server: "a" the same as absent, "v" a value of its own, "w" written by
// the server where it is absent.
func (f field) zero() string {
	switch {
	case f.typ.Kind() == reflect.Pointer:
		return "v"
	case f.omitzero:
		return "a"
	case f.typ.Kind() == reflect.Struct:
		return "w" // encoding/json has no empty struct, so that omitempty does nothing
	case f.omitempty:
		return "a"
	default:
		return "w"
	}
}

// alwaysNull says of a member that the server writes a null where it is absent.
func (f field) alwaysNull() bool {
	return f.typ.Kind() == reflect.Pointer && !f.omitempty && !f.omitzero
}

// opaque says of a struct that it is written as one JSON value by a method of its own.
func opaque(t reflect.Type) bool {
	switch t.PkgPath() + "." + t.Name() {
	case "k8s.io/apimachinery/pkg/api/resource.Quantity",
		"k8s.io/apimachinery/pkg/util/intstr.IntOrString",
		"k8s.io/apimachinery/pkg/apis/meta/v1.Time",
		"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime",
		"k8s.io/apimachinery/pkg/apis/meta/v1.Duration",
		"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1",
		"k8s.io/apimachinery/pkg/runtime.RawExtension",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray":
		return true
	}
	return false
}

func under(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
