//! What does a file of the tree declare? Text becomes [`Declared`] objects and faults.
//!
//! Pure so far: plain YAML and JSON. Files that are no manifests are passed over. Never decides between two files.

mod manifest;
mod typing;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::schema::Schemas;
use crate::gate::basis::{Fault, Scope, declared_twice};
use crate::limits::{FILE_BYTES_MAX, YAML_NODES_MAX};
use crate::render::manifest::Reading;
use crate::yaml::{Node, Value, documents};

/// What a file is read with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// Which kinds there are, and whether they live in namespaces.
    pub schemas: &'c Schemas,
    /// Where the source may declare.
    pub scope: &'c Scope,
    /// The namespace of namespaced objects that name none; `default` where absent, as kubectl has it.
    pub default_namespace: Option<&'c str>,
}

/// What one file declares.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The objects, in the order written.
    pub objects: Vec<Arc<Declared>>,
    /// What can be read but not used; the rest takes effect.
    pub faults: Vec<Fault>,
    /// Groups and versions of manifests among the faults whose kind nobody knows: the API server may know more.
    pub unknown: BTreeSet<(String, String)>,
}

/// A tool that makes other objects of the files in a folder than those written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// `kustomize build`.
    Kustomize,
    /// `helm template`.
    Helm,
}

/// Whether a file of that name may hold manifests: `.yaml`, `.yml` and `.json`, but for the files that Kustomize and Helm
/// read themselves.
pub fn may_hold_manifests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, "yaml" | "yml" | "json")) = name.rsplit_once('.') else { return false };
    !matches!(stem, "kustomization" | "Chart")
}

/// Whether a file makes its folder the input of a tool, by its name as Kustomize and Helm have it.
pub fn builder(path: &str) -> Option<Builder> {
    match path.rsplit('/').next().unwrap_or(path) {
        "kustomization.yaml" | "kustomization.yml" | "Kustomization" => Some(Builder::Kustomize),
        "Chart.yaml" => Some(Builder::Helm),
        _ => None,
    }
}

/// Reads one file.
///
/// Fails where the file cannot be read at all (not UTF-8, broken YAML, conflict markers, too large): then the whole commit
/// must not take effect.
pub fn file(path: &str, content: &[u8], with: Context<'_>) -> Result<Rendered, Fault> {
    let mut rendered = Rendered::default();
    if !may_hold_manifests(path) {
        return Ok(rendered);
    }
    let name: Arc<str> = path.into();
    let mut places: FxHashMap<ObjectKey, usize> = FxHashMap::default();
    for node in manifests(path, content)? {
        let declared = match manifest::read(node, &name, with) {
            Reading::Declares(declared, without_effect) => {
                rendered.faults.extend(without_effect);
                *declared
            }
            Reading::DeclaresNothing => continue,
            Reading::Faults(faults) => {
                rendered.faults.extend(faults);
                continue;
            }
            Reading::Unknown(fault, group_version) => {
                rendered.faults.push(fault);
                rendered.unknown.insert(group_version);
                continue;
            }
        };
        if let Some(&first) = places.get(&declared.key) {
            rendered.faults.push(declared_twice(&declared, &rendered.objects[first], None));
            continue;
        }
        places.insert(declared.key.clone(), rendered.objects.len());
        rendered.objects.push(Arc::new(declared));
    }
    Ok(rendered)
}

/// The CustomResourceDefinitions of one file, so that their kinds are known before the files are read with [`file`].
///
/// Cheap for files without any. Fails as [`file`] does.
pub fn definitions(path: &str, content: &[u8]) -> Result<Vec<serde_json::Value>, Fault> {
    const KIND: &[u8] = b"CustomResourceDefinition";
    if !may_hold_manifests(path) || !content.windows(KIND.len()).any(|window| window == KIND) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for node in manifests(path, content)? {
        let member = |name| node.get(name).and_then(Node::as_str);
        let group = member("apiVersion").and_then(|version| version.split_once('/')).map(|(group, _)| group);
        if group == Some("apiextensions.k8s.io") && member("kind") == Some("CustomResourceDefinition") {
            // What a Node writes is JSON, so this keeps every definition.
            found.extend(serde_json::from_str(&node.to_json()));
        }
    }
    Ok(found)
}

/// The documents of a file with their lines, lists taken apart into their items, as kubectl visits them. What is no manifest is
/// still among them.
pub fn manifests(path: &str, content: &[u8]) -> Result<Vec<Node>, Fault> {
    let fault = |line, what: String| Fault { file: path.to_owned(), line, what };
    if content.len() > FILE_BYTES_MAX {
        return Err(fault(0, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = &content[..error.valid_up_to()];
        let line = 1 + before.split(|&byte| byte == b'\n').skip(1).count();
        fault(u32::try_from(line).unwrap_or(u32::MAX), "not UTF-8".to_owned())
    })?;
    if let Some(line) = conflict(text) {
        return Err(fault(line, "a conflict marker".to_owned()));
    }
    let mut found = Vec::new();
    for node in documents(text).map_err(|error| fault(error.line, error.what))? {
        flatten(node, &mut found);
        if found.len() > YAML_NODES_MAX {
            return Err(fault(0, format!("holds more than {YAML_NODES_MAX} objects")));
        }
    }
    Ok(found)
}

/// The line of a conflict marker that a merge left: `<<<<<<<`, then `=======`, then `>>>>>>>`, each at a line's beginning.
fn conflict(text: &str) -> Option<u32> {
    let mut wanted = ["<<<<<<< ", "=======", ">>>>>>> "].into_iter().peekable();
    let mut first = None;
    for (line, text) in (1..).zip(text.lines()) {
        if wanted.peek().is_some_and(|marker| text.starts_with(marker)) {
            first = first.or(Some(line));
            wanted.next();
        }
    }
    if wanted.peek().is_none() { first } else { None }
}

/// Takes a list apart; its items inherit the list's version and kind where they name neither (as client-go decodes them). A list
/// in a list stays whole, and is a fault: kubectl refuses it.
fn flatten(mut node: Node, found: &mut Vec<Node>) {
    let Some(of) = list_kind(&node) else {
        found.push(node);
        return;
    };
    for mut item in take_items(&mut node) {
        if let (Value::Object(members), Some((version, kind))) = (&mut item.value, &of)
            && !members.iter().any(|member| matches!(member.key.as_str(), "apiVersion" | "kind"))
        {
            members.insert(0, manifest::text_member("apiVersion", version, item.line));
            members.insert(1, manifest::text_member("kind", kind, item.line));
        }
        found.push(item);
    }
}

/// What the items of a list are where they do not say it; `None` where the node is no list.
#[expect(clippy::option_option, reason = "a `List` says nothing of its items, and is one")]
fn list_kind(node: &Node) -> Option<Option<(String, String)>> {
    let kind = node.get("kind")?.as_str()?;
    let version = node.get("apiVersion")?.as_str()?;
    let item = kind.strip_suffix("List")?;
    let items = node.get("items").filter(|items| matches!(items.value, Value::Array(_) | Value::Null));
    match (item, items) {
        ("", _) => Some(None),
        (item, Some(_)) => Some(Some((version.to_owned(), item.to_owned()))),
        (_, None) => None,
    }
}

fn take_items(list: &mut Node) -> Vec<Node> {
    let Value::Object(members) = &mut list.value else { return Vec::new() };
    let items = members.iter_mut().find(|member| member.key == "items");
    match items.map(|member| std::mem::replace(&mut member.value.value, Value::Null)) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drift::document::{At, Document};
    use crate::drift::schema::{Conversion, KindInfo, Over, VersionInfo};

    fn kind(group: &str, kind: &str, namespaced: Namespaced, status: Status) -> KindInfo {
        let version =
            VersionInfo { version: "v1".to_owned(), status: matches!(status, Status::Subresource), scale: None };
        KindInfo {
            group: group.to_owned(),
            kind: kind.to_owned(),
            resource: format!("{}s", kind.to_lowercase()),
            namespaced: matches!(namespaced, Namespaced::Yes),
            versions: vec![version],
            served: true,
            conversion: Conversion::Code,
        }
    }

    #[derive(Clone, Copy)]
    enum Namespaced {
        Yes,
        No,
    }

    #[derive(Clone, Copy)]
    enum Status {
        Subresource,
        Plain,
    }

    fn schemas() -> Schemas {
        let kinds = vec![
            (kind("", "ConfigMap", Namespaced::Yes, Status::Plain), Vec::new()),
            (kind("apps", "Deployment", Namespaced::Yes, Status::Subresource), Vec::new()),
            (kind("", "Namespace", Namespaced::No, Status::Subresource), Vec::new()),
            (kind("rbac.authorization.k8s.io", "ClusterRole", Namespaced::No, Status::Plain), Vec::new()),
        ];
        Schemas::default().with(kinds, Over::Kind)
    }

    fn try_render(path: &str, content: &[u8]) -> Result<Rendered, Fault> {
        let mut namespaces = globset::GlobSetBuilder::new();
        namespaces.add(globset::Glob::new("shop*").unwrap());
        let scope = Scope { namespaces: namespaces.build().unwrap(), ..Scope::default() };
        file(path, content, Context { schemas: &schemas(), scope: &scope, default_namespace: Some("shop") })
    }

    fn render(content: &str) -> Rendered {
        try_render("apps/web.yaml", content.as_bytes()).unwrap()
    }

    fn objects(content: &str) -> Vec<String> {
        let rendered = render(content);
        assert_eq!(rendered.faults, [], "{content}");
        rendered.objects.iter().map(|declared| declared.key.to_string()).collect()
    }

    fn fault(content: &str) -> String {
        let rendered = render(content);
        assert_eq!(rendered.objects, [], "{content}");
        assert_eq!(rendered.faults.len(), 1, "{content}: {:?}", rendered.faults);
        rendered.faults[0].to_string()
    }

    #[test]
    fn an_object_keeps_its_lines_and_loses_what_the_server_owns() {
        let rendered = render(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  uid: x\n  creationTimestamp: null\n  \
             labels:\n    a: b\nspec:\n  replicas: 3\nstatus:\n  replicas: 5\n",
        );
        let declared = &rendered.objects[0];
        assert_eq!(declared.key, ObjectKey::new("apps", "Deployment", "shop", "web"));
        let json = std::str::from_utf8(&declared.json).unwrap();
        let wanted = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"a":"b"}},"spec":{"replicas":3}}"#;
        assert_eq!(json, wanted);
        let lines: Vec<u32> = (0..).map_while(|n| declared.lines.get(n)).collect();
        assert_eq!(lines, [1, 1, 2, 3, 4, 7, 8, 9, 10]);
    }

    #[test]
    fn status_stays_where_it_is_no_subresource() {
        let rendered = render("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\nstatus: {a: 1}\n");
        assert!(std::str::from_utf8(&rendered.objects[0].json).unwrap().contains("status"));
    }

    #[test]
    fn lists_are_taken_apart() {
        let typed = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n";
        assert_eq!(objects(typed), ["ConfigMap shop/a", "ConfigMap shop/b"]);
        let nested =
            format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}]}}", objects_json(&["a", "b"]));
        assert_eq!(objects(&nested), ["ConfigMap shop/a", "ConfigMap shop/b"]);
        assert!(objects("apiVersion: v1\nkind: List\nitems: []\n").is_empty());
        let listed = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}\n";
        assert_eq!(fault(listed), "apps/web.yaml:4: `metadata` is missing");
        assert_eq!(
            fault("apiVersion: v1\nkind: List\nitems:\n- kind: ConfigMap\n"),
            "apps/web.yaml:4: `apiVersion` is missing"
        );
    }

    fn objects_json(names: &[&str]) -> String {
        let one = |name: &&str| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
        names.iter().map(one).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn what_is_no_manifest_is_passed_over() {
        assert!(objects("replicas: 3\nimage: {tag: x}\n").is_empty());
        assert!(objects("- a\n- b\n").is_empty());
        assert!(objects("just text\n").is_empty());
        assert!(objects("").is_empty());
        assert!(
            objects("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a]\n").is_empty()
        );
        assert!(!may_hold_manifests("a/kustomization.yaml"));
        assert!(!may_hold_manifests("a/README.md"));
        assert!(!may_hold_manifests("yaml"));
        assert!(may_hold_manifests("a.b/x.yml"));
    }

    #[test]
    fn a_builder_is_known_by_its_file() {
        for path in ["kustomization.yaml", "a/kustomization.yml", "a/b/Kustomization"] {
            assert_eq!(builder(path), Some(Builder::Kustomize), "{path}");
        }
        assert_eq!(builder("charts/shop/Chart.yaml"), Some(Builder::Helm));
        for path in ["a.yaml", "Kustomization/a.yaml", "my-kustomization.yaml", "kustomization.json", "Chart.yml", ""] {
            assert_eq!(builder(path), None, "{path}");
        }
    }

    #[test]
    fn hooks_and_generated_names_are_never_declared_state() {
        assert!(objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x-}\n").is_empty());
        for hook in ["argocd.argoproj.io/hook: PreSync", "helm.sh/hook: pre-install"] {
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x, annotations: {{{hook}}}}}\n");
            assert!(objects(&text).is_empty());
        }
    }

    #[test]
    fn a_broken_manifest_is_a_fault_with_its_line() {
        let cases = [
            ("kind: ConfigMap\nmetadata: {name: x}\n", "1: `apiVersion` is missing"),
            ("apiVersion: v1\nmetadata: {name: x}\n", "1: `kind` is missing"),
            ("apiVersion: v1\nkind: [ConfigMap]\n", "2: `kind` is a list, not a string"),
            ("apiVersion: a/b/c\nkind: ConfigMap\n", "1: `a/b/c` is no apiVersion"),
            ("apiVersion: v1\nkind: ConfigMap\n", "1: `metadata` is missing"),
            ("apiVersion: v1\nkind: ConfigMap\nmetadata: x\n", "3: `metadata` is a string, not an object"),
            ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "3: `metadata.name` is missing"),
            ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 5\n", "4: `metadata.name` is a number, not a string"),
            ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a/b\n", "4: `a/b` is no name of an object"),
            ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: A\n", "5: `A` is no namespace"),
            (
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    on: yes\n",
                "6: `metadata.labels[\"true\"]` is a boolean, not a string: quote it",
            ),
            (
                "apiVersion: v1\nkind: Gadget\nmetadata: {name: a}\n",
                "2: nobody knows the kind Gadget: neither the API server nor a definition in this repository",
            ),
            (
                "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
                "1: Deployment.apps is not served in version `v1beta1`",
            ),
            (
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nsops: {mac: x}\n",
                "4: encrypted with SOPS, which is not built yet: it declares nothing",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(fault(text), format!("apps/web.yaml:{wanted}"));
        }
    }

    #[test]
    fn nothing_is_declared_outside_the_scope() {
        let configmap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: bank\n";
        assert_eq!(fault(configmap), "apps/web.yaml:5: namespace bank is outside the scope of the source");
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n";
        assert_eq!(fault(role), "apps/web.yaml:3: ClusterRole x is cluster-scoped, outside the scope of the source");
        let namespace =
            |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, namespace: q}}\n");
        assert_eq!(objects(&namespace("shop-eu")), ["Namespace shop-eu"]);
        assert!(fault(&namespace("bank")).contains("outside the scope"));
        assert!(!std::str::from_utf8(&render(&namespace("shop")).objects[0].json).unwrap().contains('q'));
    }

    #[test]
    fn a_fault_leaves_the_rest_in_effect() {
        let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
        let rendered = render(&format!("{good}---\nkind: ConfigMap\n---\n{good}---\n{}", good.replace('x', "z")));
        assert_eq!(rendered.objects.len(), 2);
        let said: Vec<String> = rendered.faults.iter().map(ToString::to_string).collect();
        let twice = "apps/web.yaml:7: ConfigMap shop/x is declared already by apps/web.yaml:1, which counts";
        assert_eq!(said, ["apps/web.yaml:5: `apiVersion` is missing", twice]);
    }

    #[test]
    fn a_file_that_cannot_be_read_fails_the_commit() {
        let said = |content: &[u8]| try_render("a.yaml", content).unwrap_err().to_string();
        assert_eq!(said(b"a: 1\nb: \xff\n"), "a.yaml:2: not UTF-8");
        assert_eq!(said(b"a: |\n  x\n<<<<<<< HEAD\n  b\n=======\n  c\n>>>>>>> other\n"), "a.yaml:3: a conflict marker");
        assert_eq!(said(&vec![b' '; FILE_BYTES_MAX + 1]), "a.yaml: larger than 16777216 bytes");
        assert!(said(b"a: 1\nb: [\n").starts_with("a.yaml:"));
        assert!(try_render("a.md", b"\xff").is_ok());
    }

    #[test]
    fn definitions_are_found_before_their_kinds_are_known() {
        let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n";
        let found = definitions("a.yaml", format!("a: 1\n---\n{crd}").as_bytes()).unwrap();
        assert_eq!(found[0]["metadata"]["name"], "x");
        assert!(definitions("a.yaml", b"a: [").unwrap().is_empty());
    }

    #[test]
    fn lines_follow_the_nodes_of_the_document() {
        let text = "# top\nkind: ConfigMap\napiVersion: v1\ndata:\n  a: &x\n    b: [1,\n     {c: d}]\n    status:\n  - e\n  f: *x\n\
                    metadata:\n  uid: x\n  name: z\n";
        let text = text.replace("    status:\n  - e\n", "  g:\n  - e\n  -\n    h: |\n      i\n");
        let rendered = render(&text);
        let declared = &rendered.objects[0];
        let document = Document::parse(&declared.json).unwrap();
        let mut found = Vec::new();
        walk(document.root(), &mut |at| found.push((at.key().to_owned(), declared.lines.get(at.index()).unwrap())));
        let wanted = [
            ("", 2),
            ("kind", 2),
            ("apiVersion", 3),
            ("data", 4),
            ("a", 5),
            ("b", 6),
            ("", 6),
            ("", 7),
            ("c", 7),
            ("g", 8),
            ("", 9),
            ("", 11),
            ("h", 11),
            ("f", 13),
            ("b", 6),
            ("", 6),
            ("", 7),
            ("c", 7),
            ("metadata", 14),
            ("name", 16),
        ];
        assert_eq!(found, wanted.map(|(key, line)| (key.to_owned(), line)));
        assert_eq!(declared.lines.get(wanted.len()), None);
    }

    fn walk(at: At<'_, '_>, see: &mut impl FnMut(At<'_, '_>)) {
        see(at);
        at.children().for_each(|child| walk(child, see));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = try_render("a.yaml", &content);
            let _ = definitions("a.yaml", &content);
        }

        #[test]
        fn what_is_declared_has_a_line_for_every_node(body in r#"([ab&*!|>'":{}\[\],?<~.0-9 \n\\-]|  |\n  |: |\n- |&a |\*a|<<: ){0,40}"#) {
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: x }}\ndata: {body}");
            let Ok(rendered) = try_render("a.yaml", text.as_bytes()) else { return Ok(()) };
            for declared in rendered.objects {
                let document = Document::parse(&declared.json).unwrap();
                let mut nodes = 0;
                walk(document.root(), &mut |at| nodes = nodes.max(at.index() + 1));
                prop_assert!(declared.lines.get(nodes - 1).is_some());
                prop_assert_eq!(declared.lines.get(nodes), None);
            }
        }
    }
}
