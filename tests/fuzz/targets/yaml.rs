//! Does every text become values that know their place, or one fault?

use std::sync::LazyLock;

use landfast::drift::document::Document;
use landfast::drift::schema::Schemas;
use landfast::gate::basis::Scope;
use landfast::render;
use landfast::yaml::{Node, Value, documents};

use crate::support::everywhere;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::builtin);
static SCOPE: LazyLock<Scope> = LazyLock::new(everywhere);

pub(super) fn run(data: &[u8]) {
    renders(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    // The splitter ends a line at a line feed, the parser at a carriage return too.
    let lines = text.split(['\n', '\r']).count() + 1;
    match documents(text) {
        Ok(nodes) => nodes.iter().for_each(|node| stands(node, lines)),
        Err(error) => {
            assert!(!error.what.is_empty() && error.column > 0, "{error:?}");
            assert!((1..=lines).contains(&usize::try_from(error.line).expect("a line")), "{error:?} of {lines}");
        }
    }
}

/// What holds of every document.
fn stands(node: &Node, lines: usize) {
    let json = node.to_json();
    let document = Document::parse_value(json.as_bytes()).expect("what is written is JSON");
    let own = node.lines();
    assert_eq!(own.len(), document.len(), "a line for each value of {json}");
    assert!(
        own.iter().all(|line| (1..=lines).contains(&usize::try_from(*line).expect("a line"))),
        "{own:?} of {lines}"
    );
    assert_eq!(document.root().to_json(), json, "written once is written as before");
    // JSON is YAML: what was read is read again as the same.
    if let Value::Object(_) = node.value {
        let again = documents(&json).expect("JSON is read");
        assert_eq!(again.iter().map(Node::to_json).collect::<Vec<_>>(), [json]);
    }
}

/// What holds of every file: each object has a line for each of its values.
fn renders(data: &[u8]) {
    let with = render::Context { schemas: &SCHEMAS, scope: &SCOPE, default_namespace: Some("shop") };
    let Ok(rendered) = render::file("a.yaml", data, with) else { return };
    for object in rendered.objects {
        let nodes = Document::parse(&object.json).expect("a declaration is an object").len();
        assert!(object.lines.get(nodes - 1).is_some() && object.lines.get(nodes).is_none(), "{object:?}");
    }
}
