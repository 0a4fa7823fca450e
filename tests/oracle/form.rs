//! Does the server's form of a declaration settle what the bare engine leaves open? Learnt as Landfast itself learns it.

use landfast::drift::compare::Typing;
use landfast::drift::document::Document;
use landfast::drift::form::{Form, compare_with};
use serde_json::Value;

use crate::batch::Stored;
use crate::kind::Kind;
use crate::server::Server;
use crate::verdict::{Found, found};

/// Metadata of an answer that is no part of a form.
const OF_ONE_REQUEST: [&str; 6] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// The form of a declaration that the server makes an object of, by two dry-runs under unused names; `None` where it makes none:
/// then landfast can only lay the declaration over the object, as the judge does.
pub async fn learn(server: &Server, kind: &Kind, stored: &Stored, declared: &Value) -> Option<Form> {
    let mut made = Vec::new();
    for unused in ["lf0000000000000000", "lf1111111111111111"] {
        let mut named = declared.clone();
        named["metadata"]["name"] = unused.into();
        let answer = server.create(kind, &named, false).await;
        if answer.code != 200 {
            return None;
        }
        let mut object: Value = serde_json::from_str(&answer.text).expect("the server answers in JSON");
        let metadata = object["metadata"].as_object_mut()?;
        metadata.retain(|name, _| !OF_ONE_REQUEST.contains(&name.as_str()));
        object["metadata"]["name"] = stored.name.as_str().into();
        made.push(object.to_string());
    }
    Some(Form::made(&made[0], &made[1]))
}

/// What the engine finds with a form at hand, once for each way in which it may know the kind.
pub fn ask(kind: &Kind, declared: &Value, before: &str, form: &Form) -> Vec<Found> {
    let declared = declared.to_string();
    let declared = Document::parse(declared.as_bytes()).expect("the oracle writes objects");
    let before = Document::parse(before.as_bytes()).expect("the server answers with objects");
    let typings = kind.schemas.iter().map(|schemas| Typing::of(schemas, &kind.group, &kind.version, &kind.kind));
    typings.map(|typing| found(compare_with(typing, &declared, &before, form))).collect()
}
