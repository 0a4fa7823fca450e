package main

import (
	"strings"

	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
)

// serverFilled are members that the API server fills in by other means than defaulting: registry strategies, allocators, and
// the admission plugins that are on by default. Read in the sources of Kubernetes 1.36 (pkg/registry, plugin/pkg/admission).
var serverFilled = map[string][]string{
	"*": {"metadata.creationTimestamp", "metadata.generation", "metadata.managedFields", "metadata.name", "metadata.namespace",
		"metadata.resourceVersion", "metadata.selfLink", "metadata.uid"},
	"CertificateSigningRequest": {"spec.extra", "spec.groups", "spec.uid", "spec.username"},
	"DaemonSet":                 {"metadata.annotations"},
	"EndpointSlice":             {"endpoints[].deprecatedTopology"},
	"HorizontalPodAutoscaler":   {"metadata.annotations"},
	"Ingress":                   {"spec.ingressClassName"},
	"Job":                       {"metadata.labels", "spec.selector", "spec.template.metadata.labels"},
	"Namespace":                 {"metadata.labels", "spec.finalizers"},
	"Node":                      {"spec.configSource", "spec.podCIDR", "spec.podCIDRs", "spec.providerID", "spec.taints"},
	"PersistentVolume":          {"metadata.finalizers", "spec.claimRef"},
	"PersistentVolumeClaim": {"metadata.finalizers", "spec.dataSource", "spec.dataSourceRef", "spec.storageClassName",
		"spec.volumeName"},
	"Pod": {"spec.containers[].resources.limits", "spec.containers[].resources.requests", "spec.containers[].volumeMounts",
		"spec.imagePullSecrets", "spec.initContainers[].resources.limits", "spec.initContainers[].resources.requests",
		"spec.initContainers[].volumeMounts", "spec.nodeName", "spec.nodeSelector", "spec.overhead", "spec.preemptionPolicy",
		"spec.priority", "spec.priorityClassName", "spec.serviceAccount", "spec.serviceAccountName", "spec.tolerations",
		"spec.volumes"},
	"ReplicationController": {"metadata.labels", "spec.selector"},
	"Service": {"spec.clusterIP", "spec.clusterIPs", "spec.healthCheckNodePort", "spec.ipFamilies", "spec.ipFamilyPolicy",
		"spec.ports[].nodePort"},
	"ServiceAccount": {"secrets[].apiVersion", "secrets[].fieldPath", "secrets[].kind", "secrets[].namespace",
		"secrets[].resourceVersion", "secrets[].uid"},
	"VolumeAttributesClass": {"metadata.finalizers"},
}

// kept are members that an update leaves as they were, whatever it says: registry strategies take the old ones.
var kept = map[string][]string{
	"CertificateSigningRequest": {"spec"},
	"Namespace":                 {"spec.finalizers"},
	// Not kept but written by the server, whatever is said: no other value ever stands there.
	"StatefulSet": {"spec.volumeClaimTemplates[].apiVersion", "spec.volumeClaimTemplates[].kind"},
}

// addServerFilled marks what only the server can tell, and what no update changes.
func addServerFilled(gvk runtimeschema.GroupVersionKind, all map[string]map[string]found) {
	mark := func(member string, as found) {
		at := max(strings.LastIndex(member, "."), 0)
		if all[member[:at]] == nil {
			all[member[:at]] = map[string]found{}
		}
		all[member[:at]][strings.TrimPrefix(member[at:], ".")] = as
	}
	for _, member := range append(serverFilled["*"], serverFilled[gvk.Kind]...) {
		mark(member, found{depends: true})
	}
	for _, member := range kept[gvk.Kind] {
		mark(member, found{kept: true})
	}
}
