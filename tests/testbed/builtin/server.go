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
	"HorizontalPodAutoscaler":   {"metadata.annotations"},
	"Ingress":                   {"spec.ingressClassName"},
	"Job":                       {"metadata.labels", "spec.selector", "spec.template.metadata.labels"},
	"Namespace":                 {"metadata.labels", "spec.finalizers"},
	"Node":                      {"spec.podCIDR", "spec.podCIDRs", "spec.providerID", "spec.taints"},
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
	"VolumeAttributesClass": {"metadata.finalizers"},
}

// addServerFilled marks what only the server can tell.
func addServerFilled(gvk runtimeschema.GroupVersionKind, all map[string]map[string]found) {
	for _, member := range append(serverFilled["*"], serverFilled[gvk.Kind]...) {
		at := strings.LastIndex(member, ".")
		if all[member[:at]] == nil {
			all[member[:at]] = map[string]found{}
		}
		all[member[:at]][member[at+1:]] = found{depends: true}
	}
}
