package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// kind is a kind that the API server keeps, with every version of it.
type kind struct {
	Group, Kind, Resource string
	Namespaced            bool
	Versions              []kindVersion
}

type kindVersion struct {
	Version       string
	Status, Scale bool
	Type          int
	document      *document
	definition    string
	schema        *schema
}

// document is what is read of one group-version's OpenAPI v3.
type document struct {
	Components struct {
		Schemas map[string]*schema
	}
}

// schema is what is read of an OpenAPI v3 schema.
type schema struct {
	Ref                  string             `json:"$ref"`
	AllOf                []*schema          `json:"allOf"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Items                *schema            `json:"items"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	Default              json.RawMessage    `json:"default"`
	Enum                 []any              `json:"enum"`
	ListType             string             `json:"x-kubernetes-list-type"`
	ListMapKeys          []string           `json:"x-kubernetes-list-map-keys"`
	PatchStrategy        string             `json:"x-kubernetes-patch-strategy"`
	PatchMergeKey        string             `json:"x-kubernetes-patch-merge-key"`
	MapType              string             `json:"x-kubernetes-map-type"`
	Kinds                []struct {
		Group, Version, Kind string
	} `json:"x-kubernetes-group-version-kind"`
}

// reference names the definition that s points at, also through a single allOf; empty where s is inline.
func (s *schema) reference() string {
	ref := s.Ref
	if ref == "" && len(s.AllOf) == 1 {
		ref = s.AllOf[0].Ref
	}
	return strings.TrimPrefix(ref, "#/components/schemas/")
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type discovery struct {
	GroupVersion string
	Resources    []struct {
		Name, Kind string
		Namespaced bool
		Verbs      []string
	}
}

// readKinds reads discovery and OpenAPI as the Kubernetes repository keeps them under api/. Kinds that cannot be read back
// (reviews, bindings) are left out: nothing of them is kept that could drift.
func readKinds(folder string) ([]kind, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "discovery", "api*__v*.json"))
	if err != nil {
		return nil, err
	}
	var kinds []kind
	for _, path := range paths {
		var found discovery
		if err := readJSON(path, &found); err != nil {
			return nil, err
		}
		if found.Resources == nil {
			continue
		}
		doc := &document{}
		name := strings.TrimSuffix(filepath.Base(path), ".json") + "_openapi.json"
		if err := readJSON(filepath.Join(folder, "openapi-spec", "v3", name), doc); err != nil {
			return nil, err
		}
		kinds = addKinds(kinds, &found, doc)
	}
	for i := range kinds {
		slices.SortFunc(kinds[i].Versions, func(a, b kindVersion) int {
			return version.CompareKubeAwareVersionStrings(b.Version, a.Version)
		})
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return strings.Compare(a.Group+"/"+a.Kind, b.Group+"/"+b.Kind)
	})
	return kinds, nil
}

func addKinds(kinds []kind, found *discovery, doc *document) []kind {
	group, ver, split := strings.Cut(found.GroupVersion, "/")
	if !split {
		group, ver = "", group
	}
	has := map[string]bool{}
	for _, resource := range found.Resources {
		has[resource.Name] = true
	}
	for _, resource := range found.Resources {
		if strings.Contains(resource.Name, "/") || !slices.Contains(resource.Verbs, "get") {
			continue
		}
		at := slices.IndexFunc(kinds, func(k kind) bool { return k.Group == group && k.Kind == resource.Kind })
		if at < 0 {
			at = len(kinds)
			kinds = append(kinds, kind{group, resource.Kind, resource.Name, resource.Namespaced, nil})
		}
		definition := doc.find(group, ver, resource.Kind)
		kinds[at].Versions = append(kinds[at].Versions, kindVersion{
			Version:    ver,
			Status:     has[resource.Name+"/status"],
			Scale:      has[resource.Name+"/scale"],
			document:   doc,
			definition: definition,
			schema:     doc.Components.Schemas[definition],
		})
	}
	return kinds
}

// find names the definition of a kind.
func (d *document) find(group, version, kind string) string {
	for definition, candidate := range d.Components.Schemas {
		for _, name := range candidate.Kinds {
			if len(candidate.Kinds) == 1 && name.Group == group && name.Version == version && name.Kind == kind {
				return definition
			}
		}
	}
	check(fmt.Errorf("no definition of %s/%s %s", group, version, kind))
	return ""
}
