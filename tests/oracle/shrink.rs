//! What is the smallest case in which the sides still disagree? Members and items are left out as long as they do.

use serde_json::Value;

use crate::batch::{Outcome, attempt, store};
use crate::kind::Kind;
use crate::server::Server;
use crate::tally::disagrees;

/// Attempts for one case: enough for some hundred parts.
const ATTEMPTS_MAX: usize = 200;

/// Shrinks a declaration and its object.
pub async fn shrink(server: &Server, kind: &Kind, declared: Value, object: Value) -> (Value, Value) {
    let mut shrunk = Shrunk { server, kind, declared, object, left: ATTEMPTS_MAX };
    shrunk.declaration().await;
    shrunk.object().await;
    (shrunk.declared, shrunk.object)
}

struct Shrunk<'s> {
    server: &'s Server,
    kind: &'s Kind,
    declared: Value,
    object: Value,
    left: usize,
}

impl Shrunk<'_> {
    async fn declaration(&mut self) {
        let mut at = 0;
        while let Some(less) = without(&self.declared, at) {
            if self.left > 0 && self.still(&less, &self.object.clone()).await {
                self.declared = less;
            } else {
                at += 1;
            }
        }
    }

    async fn object(&mut self) {
        let mut at = 0;
        while let Some(less) = without(&self.object, at) {
            if self.left > 0 && self.still(&self.declared.clone(), &less).await {
                self.object = less;
            } else {
                at += 1;
            }
        }
    }

    async fn still(&mut self, declared: &Value, object: &Value) -> bool {
        self.left -= 1;
        let mut named = (declared.clone(), object.clone());
        // A name of its own, where the name says nothing: the last object may still be going.
        let name = format!("s-{}-{}", self.left, std::process::id());
        if object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("o-")) {
            named.0["metadata"]["name"] = name.as_str().into();
            named.1["metadata"]["name"] = name.as_str().into();
        }
        let Ok(mut stored) = store(self.server, self.kind, &named.1).await else { return false };
        let outcome: Outcome = attempt(self.server, self.kind, &mut stored, &named.0).await;
        self.server.delete(self.kind, &stored.name).await;
        disagrees(&outcome)
    }
}

/// The value without its part of that number, counted from the top; `None` where there are fewer. What names it stays.
fn without(value: &Value, number: usize) -> Option<Value> {
    let mut parts = Vec::new();
    collect(value, &mut String::new(), &mut parts);
    let (parent, last) = parts.get(number)?.rsplit_once('/')?;
    let mut less = value.clone();
    match less.pointer_mut(parent)? {
        Value::Object(members) => _ = members.remove(&last.replace("~1", "/").replace("~0", "~")),
        Value::Array(items) => _ = items.remove(last.parse().ok()?),
        _ => return None,
    }
    Some(less)
}

fn collect(value: &Value, way: &mut String, parts: &mut Vec<String>) {
    let names: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in names {
        let length = way.len();
        way.push('/');
        way.push_str(&name);
        if !["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"].contains(&way.as_str()) {
            if way != "/metadata" {
                parts.push(way.clone());
            }
            collect(value, way, parts);
        }
        way.truncate(length);
    }
}
