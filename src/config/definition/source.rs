//! What does a GitSource look like to the API server?

use serde_json::{Value, json};

use crate::config::definition::Definition;
use crate::config::definition::parts::{
    age, column, condition, duration, duration_or, flag, formed, globs, lasting, list, name, namespace, object, rule,
    ruled, secret, status, text, with, word_or,
};
use crate::limits::{CONFIG_REF_MAX, INTERVAL_DEFAULT, INTERVAL_MIN, MAX_LAG_DEFAULT};

pub(super) fn definition() -> Definition {
    Definition {
        kind: "GitSource",
        plural: "gitsources",
        singular: "gitsource",
        short: "gsrc",
        describes: "One repository that declares what the cluster is to hold: its ref and path, how to render it, and where it may declare.",
        spec: spec(),
        status: status_of(),
        columns: vec![
            condition("Ready", "Whether what Git declares is in force."),
            condition("InSync", "Whether all that it declares is as it declares it."),
            column("Revision", "string", ".status.revision", "The commit in force."),
            column("Declared", "integer", ".status.declared", "How many objects it declares."),
            column("Faults", "integer", ".status.faultCount", "How many faults its files have."),
            age(),
        ],
    }
}

fn spec() -> Value {
    let seconds = INTERVAL_MIN.as_secs();
    let mut interval = duration_or(&format!("How often the remote is asked; at least {seconds}s."), INTERVAL_DEFAULT);
    if let Some(rules) = interval["x-kubernetes-validations"].as_array_mut() {
        rules.push(lasting(&format!(">= duration('{seconds}s')"), &format!("is shorter than {seconds}s")));
    }
    let members = json!({
        "url": url(),
        "ref": reference(),
        "path": path("The folder that declares; absent: the whole tree."),
        "secretRef": secret("Secret with credentials, in Landfast's namespace; keys as in Flux's GitRepository Secret."),
        "verify": object(
            "Which signatures commits must carry; absent: unsigned commits count.",
            &["secretRef"],
            json!({ "secretRef": secret("Secret with the public keys.") }),
        ),
        "render": render(),
        "interval": interval,
        "defaultNamespace": namespace("Namespace of namespaced objects that name none."),
        "scope": scope(),
        "maxLag": duration_or("How far behind the head a deployer may still be rolling out.", MAX_LAG_DEFAULT),
        "releaseAfter": duration("How long a ref that is gone keeps its objects declared."),
    });
    // The glob as a regular expression.
    let glob = "'^' + glob.replace('.', '[.]').replace('*', '.*').replace('?', '.') + '$'";
    let holds = format!(
        "!has(self.defaultNamespace) || has(self.scope.namespaces) && \
         self.scope.namespaces.exists(glob, self.defaultNamespace.matches({glob}))"
    );
    ruled(
        object("What it declares, and where.", &["url", "ref", "scope"], members),
        [rule(&holds, "defaultNamespace is outside scope.namespaces")],
    )
}

fn url() -> Value {
    let black = r"\s\p{Z}\p{Cc}";
    let host = format!(r"(https|ssh)://([^/{black}]*@)?[^/@:{black}-][^/@{black}]*/[^{black}]+");
    let scp = format!(r"[^@/:{black}-][^@/:{black}]*@[^/:{black}]+:[^{black}]+");
    let form = format!(r"^({host}|file:///[^{black}]*|{scp})$");
    formed(
        "Where the repository is: https, ssh (also git@host:path) or file. Credentials belong into secretRef.",
        &form,
    )
}

fn reference() -> Value {
    let named = |describes: &str| {
        let form = r"^[^\p{Cc} ~^:?*\[\\]+$";
        let whole = "!self.startsWith('refs/')";
        let holds = "!self.startsWith('-') && !self.startsWith('.') && !self.startsWith('/') && !self.endsWith('/') \
                     && !self.endsWith('.') && !self.endsWith('.lock') && !self.contains('//') && !self.contains('/.') \
                     && !self.contains('.lock/') && !self.contains('..') && !self.contains('@{') && self != '@'";
        let text = with(formed(describes, form), "maxLength", CONFIG_REF_MAX);
        ruled(text, [rule(whole, "is a full ref; write its short name"), rule(holds, "is no name of a ref")])
    };
    let members = json!({
        "branch": named("The tip of this branch."),
        "tag": named("This tag."),
        "semver": text("The newest tag in this range of versions."),
        "commit": formed("This commit, as 40 hex digits.", "^[0-9a-fA-F]{40}$"),
    });
    let holds = "[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].exists_one(given, given)";
    let describes = "Which commit counts: exactly one of branch, tag, semver, commit.";
    ruled(object(describes, &[], members), [rule(holds, "takes exactly one of branch, tag, semver, commit")])
}

fn path(describes: &str) -> Value {
    let holds = "!self.matches('(^|/)[.][.](/|$)')";
    ruled(formed(describes, r"^[^\p{Cc}]+$"), [rule(holds, "leads out of the tree")])
}

fn render() -> Value {
    let values = json!({
        "type": "object",
        "description": "Values of the chart.",
        "x-kubernetes-preserve-unknown-fields": true,
    });
    let helm = json!({
        "releaseName": name("Name of the release."),
        "valuesFiles": list("Files with values, from the repository's root.", path("A file.")),
        "values": values,
    });
    let types = "Auto: by what the tree holds. Yaml: all files are plain manifests.";
    let members = json!({
        "type": word_or(types, &["Auto", "Yaml", "Kustomize", "Helm"], "Auto"),
        "helm": object("How a chart is rendered, where the type is Helm.", &[], helm),
    });
    let holds = "!has(self.helm) || self.type == 'Helm'";
    ruled(object("How the tree becomes manifests.", &[], members), [rule(holds, "helm belongs to the type Helm only")])
}

fn scope() -> Value {
    let members = json!({
        "namespaces": globs("Namespaces it may declare in; a Namespace object counts by its own name."),
        "clusterScoped": flag("Whether it may declare cluster-scoped objects."),
    });
    let holds = "has(self.namespaces) || self.clusterScoped";
    ruled(
        object("What this repository may declare; objects outside are faults, never declared.", &[], members),
        [rule(holds, "allows nothing: name namespaces or say clusterScoped: true")],
    )
}

fn status_of() -> Value {
    let fault = json!({
        "file": { "type": "string", "description": "The file, from the repository's root." },
        "line": { "type": "integer", "format": "int64", "description": "The line, from 1; absent: the whole file." },
        "what": { "type": "string", "description": "What is wrong." },
    });
    let more = json!({
        "revision": { "type": "string", "description": "The commit in force." },
        "declared": { "type": "integer", "format": "int64", "description": "How many objects it declares." },
        "faultCount": { "type": "integer", "format": "int64", "description": "How many faults its files have." },
        "faults": {
            "type": "array",
            "description": "The first of them.",
            "items": object("Something that cannot be used.", &["what"], fault),
            "x-kubernetes-list-type": "atomic",
        },
    });
    let mut more = more;
    more["objects"] = objects();
    status("What is in force of it. Written by Landfast.", more)
}

fn objects() -> Value {
    let count = |describes: &str| json!({ "type": "integer", "format": "int64", "description": describes });
    let plain = |describes: &str| json!({ "type": "string", "description": describes });
    let unwatched = json!({ "kind": plain("The kind, as in Deployment.apps."), "reason": plain("Why.") });
    let counts = json!({
        "inSync": count("Objects that are as Git declares them."),
        "drifting": count("Objects that differ, and are brought back or left so."),
        "repaired": count("Repairs since the leader began."),
        "waitingForApproval": count("Objects that differ and wait for a person."),
        "held": count("Objects that wait because too many differ at once."),
        "fighting": count("Objects that somebody moves again each time that they were brought back."),
        "cannotRepair": count("Objects that cannot be brought back."),
        "notDeployed": count("Objects that nobody has deployed yet."),
        "unknown": count("Objects that were not seen yet, or whose kind cannot be watched."),
        "oldestDrift": {
            "type": "string", "format": "date-time", "description": "Since when the drift that is there longest is there.",
        },
        "unwatched": {
            "type": "array",
            "description": "Kinds that cannot be watched.",
            "items": object("One of them.", &["kind", "reason"], unwatched),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["kind"],
        },
    });
    object("How its objects stand; each counts once. Written by the leader.", &[], counts)
}
