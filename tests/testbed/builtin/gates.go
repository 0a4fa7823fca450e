package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
)

// unmarked gates: fields that a gate guards though no comment says so (seen: a server drops them).
var unmarked = map[string]string{"k8s.io/api/core/v1.Lifecycle.StopSignal": "ContainerStopSignals"}

// gated says of a member that the server drops it unless a feature gate is opened that is closed by default: the Go types
// name the gate in a comment, `+featureGate=`.
func gated(goType reflect.Type, f field) bool {
	owner := goType
	for _, i := range f.index[:len(f.index)-1] {
		owner = under(owner.Field(i).Type)
	}
	name := owner.Field(f.index[len(f.index)-1]).Name
	gates := gatesOf(owner)[name]
	if gate, ok := unmarked[owner.PkgPath()+"."+owner.Name()+"."+name]; ok {
		gates = append(gates, gate)
	}
	known := utilfeature.DefaultFeatureGate.DeepCopy().GetAll()
	for _, gate := range gates {
		if !known[featuregate.Feature(gate)].Default {
			return true
		}
	}
	return false
}

// gatesIn holds the gates by package, Go type and field.
var gatesIn = map[string]map[string]map[string][]string{}

func gatesOf(t reflect.Type) map[string][]string {
	path := t.PkgPath()
	if _, ok := gatesIn[path]; !ok {
		gatesIn[path] = readGates(path)
	}
	return gatesIn[path][t.Name()]
}

func readGates(path string) map[string]map[string][]string {
	types := map[string]map[string][]string{}
	folder, err := exec.Command("go", "list", "-f", "{{.Dir}}", path).Output()
	check(err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(folder)), "*types.go"))
	check(err)
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		check(err)
		ast.Inspect(tree, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if structure, ok := spec.Type.(*ast.StructType); ok {
				types[spec.Name.Name] = gatesOfFields(structure)
			}
			return false
		})
	}
	return types
}

func gatesOfFields(structure *ast.StructType) map[string][]string {
	fields := map[string][]string{}
	for _, field := range structure.Fields.List {
		for _, line := range strings.Split(comment(field.Doc), "\n") {
			_, gates, ok := strings.Cut(line, "+featureGate=")
			if !ok {
				continue
			}
			for _, name := range field.Names {
				fields[name.Name] = append(fields[name.Name], strings.Split(strings.TrimSpace(gates), ",")...)
			}
		}
	}
	return fields
}

// comment gives a comment with the markers that its Text leaves out.
func comment(group *ast.CommentGroup) string {
	if group == nil {
		return ""
	}
	var lines []string
	for _, line := range group.List {
		lines = append(lines, line.Text)
	}
	return strings.Join(lines, "\n")
}
