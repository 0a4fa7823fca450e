// Command builtin writes src/drift/builtin.json, the embedded table of the built-in kinds. From the top of the tree:
//
//	(cd tests/testbed && CGO_ENABLED=0 go run -trimpath ./builtin) > src/drift/builtin.json
//
// It asks no server. Three sources, all of the Kubernetes version that go.mod pins: the API server's own OpenAPI v3 and
// discovery as its repository keeps them (structure, list types, kinds); the Go types by reflection (pointers and omitempty,
// which OpenAPI does not tell); the defaulting functions, by running them (probe.go).
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	aggregator "k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/controlplane" // installs every group into the scheme
)

func main() {
	apiextensions.Install(legacyscheme.Scheme)
	aggregator.Install(legacyscheme.Scheme)
	folder := moduleFolder()
	version := folder[strings.LastIndex(folder, "@")+1:]
	kinds, err := readKinds(filepath.Join(folder, "api"))
	check(err)
	table := newTable()
	for i := range kinds {
		fmt.Fprintf(os.Stderr, "%d/%d %s %s\n", i+1, len(kinds), kinds[i].Group, kinds[i].Kind)
		for j := range kinds[i].Versions {
			kinds[i].Versions[j].Type = table.root(&kinds[i], &kinds[i].Versions[j])
		}
	}
	out := bufio.NewWriter(os.Stdout)
	table.write(out, version, kinds)
	check(out.Flush())
}

// moduleFolder says where Go keeps the sources of the pinned k8s.io/kubernetes.
func moduleFolder() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	check(err)
	return string(bytes.TrimSpace(out))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
