//! Which values are tried at a place? One for each row of the shape table that fits what the schema says of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use landfast::yaml;
use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::offer::{Offer, Sort};

/// What stands at a place: the shape table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Nothing.
    Absent,
    /// `null`.
    Null,
    /// `[]` or `{}`.
    Empty,
    /// `false`, `0`, `""`.
    Zero,
    /// A value; one item or member.
    One,
    /// Another value; two items or members.
    Two,
    /// The first value in other words.
    OtherWords,
    /// An item twice.
    Duplicate,
    /// The items in another order.
    Reordered,
    /// An item without one of its keys.
    KeyMissing,
    /// An item with a key as the schema's default has it.
    KeyDefaulted,
    /// A value of another type.
    WrongType,
    /// Two levels of what the schema offers.
    Deeper,
}

/// Every shape.
pub const SHAPES: [Shape; 13] = [
    Shape::Absent,
    Shape::Null,
    Shape::Empty,
    Shape::Zero,
    Shape::One,
    Shape::Two,
    Shape::OtherWords,
    Shape::Duplicate,
    Shape::Reordered,
    Shape::KeyMissing,
    Shape::KeyDefaulted,
    Shape::WrongType,
    Shape::Deeper,
];

/// What stands at a place after a change.
pub enum Made {
    /// Nothing.
    Nothing,
    /// This.
    Value(Value),
    /// The shape does not fit the place.
    Unfit,
}

/// Values that a server lets in, by the member's name; the second is another value, the third the first in other words.
const WORDS: [(&str, &[&str]); 62] = [
    ("apiGroup", &["x.test", "y.test"]),
    ("apiGroups", &["x.test", "y.test"]),
    ("apiVersion", &["v1", "apps/v1"]),
    ("caBundle", &["aGk=", "aG8=", "aGk=\n"]),
    ("cidr", &["10.0.0.0/8", "10.0.0.0/9"]),
    ("cidrs", &["10.0.0.0/8", "10.0.0.0/9"]),
    ("claimName", &["a", "b"]),
    ("clusterIP", &["None", ""]),
    ("command", &["a", "b"]),
    ("content", &["a", "b"]),
    ("controller", &["x.test/a", "x.test/b"]),
    ("devicePath", &["/a", "/b"]),
    ("driver", &["x.test", "y.test"]),
    ("except", &["10.1.0.0/16", "10.2.0.0/16"]),
    ("expression", &["true", "false"]),
    ("externalIPs", &["192.0.2.1", "192.0.2.2"]),
    ("externalName", &["a.test", "b.test"]),
    ("fieldPath", &["metadata.name", "metadata.namespace"]),
    ("finalizers", &["x.test/a", "x.test/b"]),
    ("fsType", &["ext4", "xfs"]),
    ("group", &["x.test", "y.test"]),
    ("host", &["a.test", "b.test"]),
    ("hostIP", &["127.0.0.1", "127.0.0.2"]),
    ("hosts", &["a.test", "b.test"]),
    ("image", &["a:1", "b:2"]),
    ("ip", &["127.0.0.1", "127.0.0.2"]),
    ("ipFamilies", &["IPv4", "IPv6"]),
    ("ipFamilyPolicy", &["SingleStack", "PreferDualStack"]),
    ("jsonPath", &[".a", ".b"]),
    ("key", &["a", "b"]),
    ("kind", &["ConfigMap", "Secret"]),
    ("loadBalancerSourceRanges", &["10.0.0.0/8", "10.0.0.0/9"]),
    ("localhostProfile", &["a", "b"]),
    ("mountPath", &["/a", "/b"]),
    ("nameservers", &["192.0.2.1", "192.0.2.2"]),
    ("namespace", &["a", "b"]),
    ("nonResourceURLs", &["/a", "/b"]),
    ("operations", &["CREATE", "UPDATE"]),
    ("operator", &["Exists", "DoesNotExist"]),
    ("path", &["/a", "/b"]),
    ("podCIDR", &["10.1.0.0/24", "10.2.0.0/24"]),
    ("podCIDRs", &["10.1.0.0/24", "10.2.0.0/24"]),
    ("policyName", &["a", "b"]),
    ("port", &["80", "81"]),
    ("protocol", &["TCP", "UDP"]),
    ("provisioner", &["x.test/a", "x.test/b"]),
    ("resource", &["limits.cpu", "limits.memory"]),
    ("resources", &["as", "bs"]),
    ("restartPolicy", &["Always", "Never"]),
    ("schedule", &["* * * * *", "1 * * * *"]),
    ("scheme", &["HTTP", "HTTPS"]),
    ("server", &["a.test", "b.test"]),
    ("sessionAffinity", &["ClientIP", "None"]),
    ("sysctls", &["kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies"]),
    ("timeZone", &["Etc/UTC", "Europe/Berlin"]),
    ("topologyKey", &["a.test/b", "a.test/c"]),
    ("type", &["a", "b"]),
    ("uid", &["0f6a1b52-0000-4000-8000-00000000000a", "0f6a1b52-0000-4000-8000-00000000000b"]),
    ("url", &["https://a.test/", "https://b.test/"]),
    ("value", &["a", "b"]),
    ("verbs", &["get", "list"]),
    ("volumePath", &["a", "b"]),
];

/// What the server asks of a part, by the name of its definition.
static NEEDS: LazyLock<BTreeMap<String, Map<String, Value>>> = LazyLock::new(|| {
    let documents = yaml::documents(include_str!("needs.yaml")).expect("a file of ours is YAML");
    serde_json::from_str(&documents[0].to_json()).expect("it names parts, and holds an object for each")
});

/// A value of its own for each `which`: 0, 1, 2, …; `words` asks for the first in other words.
pub fn example(offer: Offer<'_>, name: &str, which: usize, depth: usize) -> Value {
    if let Some(choice) = offer.choices().get(which % offer.choices().len().max(1)) {
        return choice.clone();
    }
    let words = WORDS.iter().find(|(own, _)| *own == name).map_or(&["a", "b"][..], |(_, words)| *words);
    match offer.sort() {
        Sort::Object(_) => object(offer, which, depth),
        Sort::Map(inside) => json!({ word(&["a", "b"], which): example(inside, name, which, depth) }),
        Sort::List(inside) => json!([example(inside, name, which, depth)]),
        Sort::Text("date-time") if name.contains("enew") || name.contains("cquire") || name == "eventTime" => {
            json!(format!("2024-01-0{}T00:00:00.000000Z", which % 9 + 1))
        }
        Sort::Text("date-time") => json!(format!("2024-01-0{}T00:00:00Z", which % 9 + 1)),
        Sort::Text("byte") => json!(["aGk=", "aG8="][which % 2]),
        Sort::Text("duration") => json!(["1h", "2h"][which % 2]),
        Sort::Text(_) => json!(word(words, which)),
        Sort::Integer if name.ends_with("odePort") => json!(30_000 + which),
        Sort::Integer if name.to_lowercase().ends_with("port") => json!(80 + which),
        Sort::Integer => json!(offer.minimum().unwrap_or(1).max(1) + i64::try_from(which).unwrap_or(0)),
        Sort::Number => json!([0.5, 2.0, 1.0][which % 3]),
        Sort::Flag => json!(which.is_multiple_of(2)),
        Sort::Quantity => json!(["1", "2Gi", "500m"][which % 3]),
        Sort::IntOrString => json!(80 + which),
        Sort::Any => json!({ word(&["a", "b"], which): { "b": which } }),
    }
}

fn word(words: &[&str], which: usize) -> String {
    match words.get(which) {
        Some(word) if which < 2 => (*word).to_owned(),
        Some(_) | None => format!("{}{which}", words[0]),
    }
}

/// What must be there, and to `depth` levels one more member that may be.
fn object(offer: Offer<'_>, which: usize, depth: usize) -> Value {
    let Sort::Object(properties) = offer.sort() else { return json!({}) };
    let mut made = NEEDS.get(offer.name()).cloned().unwrap_or_default();
    if let (Some(name), true) = (made.get("name").and_then(Value::as_str), which > 0) {
        made.insert("name".to_owned(), json!(format!("{name}{which}")));
    }
    let keys = offer.required();
    for name in keys.iter().filter(|name| {
        which > 0 && **name != "name" || !NEEDS.get(offer.name()).is_some_and(|needs| needs.contains_key(**name))
    }) {
        if made.contains_key(*name) && !matches!(made[*name], Value::Number(_)) {
            continue;
        }
        if let Some(member) = offer.member(name) {
            made.insert((*name).to_owned(), example(member, name, which, depth.saturating_sub(1)));
        }
    }
    let optional: Vec<&String> = properties.keys().filter(|name| !keys.contains(&name.as_str())).collect();
    if depth > 0 && !optional.is_empty() {
        let name = optional[which % optional.len()];
        if let Some(member) = offer.member(name) {
            made.insert(name.clone(), example(member, name, which, depth - 1));
        }
    }
    Value::Object(made)
}

/// A value in other words: equal to whoever reads it, perhaps not to the server.
fn in_other_words(offer: Offer<'_>, name: &str, chance: &mut Chance) -> Option<Value> {
    let pick = |chance: &mut Chance, all: &[Value]| Some(chance.pick(all).clone());
    match offer.sort() {
        Sort::Quantity => {
            pick(chance, &[json!(1), json!("1000m"), json!("1.0"), json!("1e0"), json!("2048Mi"), json!("0.5")])
        }
        Sort::IntOrString => pick(chance, &[json!("80"), json!("81"), json!("a")]),
        Sort::Integer => pick(chance, &[json!(1.0), json!(80.0)]),
        Sort::Number => pick(chance, &[json!(1), json!(2), json!(0.50)]),
        Sort::Text("date-time") => {
            pick(chance, &[json!("2024-01-01T01:00:00+01:00"), json!("2024-01-01T00:00:00.000Z")])
        }
        Sort::Text("byte") => pick(chance, &[json!("aGk=\n"), json!("aG\nk=")]),
        Sort::Text("duration") => pick(chance, &[json!("60m"), json!("1h0m0s"), json!("3600s")]),
        Sort::Text(_) => {
            let words = WORDS.iter().find(|(own, _)| *own == name)?.1;
            words.get(2).map(|word| json!(word))
        }
        Sort::Object(_) | Sort::Map(_) | Sort::List(_) | Sort::Flag | Sort::Any => None,
    }
}

/// What a shape puts at a place where `now` stands.
pub fn make(shape: Shape, offer: Offer<'_>, name: &str, now: Option<&Value>, chance: &mut Chance) -> Made {
    let which = |value: Option<Value>| value.map_or(Made::Unfit, Made::Value);
    match (shape, offer.sort()) {
        (Shape::Absent, _) => Made::Nothing,
        (Shape::Null, _) => Made::Value(Value::Null),
        (Shape::OtherWords, _) => which(in_other_words(offer, name, chance)),
        (Shape::WrongType, sort) => Made::Value(match sort {
            Sort::Text(_) => chance.pick(&[json!(1), json!({}), json!(true)]).clone(),
            _ => chance.pick(&[json!("x"), json!([1]), json!({ "a": 1 })]).clone(),
        }),
        (_, Sort::List(inside)) => list(shape, offer, inside, name, now),
        (_, Sort::Object(_) | Sort::Map(_) | Sort::Any) => map(shape, offer, name, chance),
        (Shape::Zero, sort) => Made::Value(match sort {
            Sort::Text(_) => json!(""),
            Sort::Flag => json!(false),
            Sort::Quantity => chance.pick(&[json!("0"), json!(0), json!("0Gi")]).clone(),
            _ => json!(0),
        }),
        (Shape::One, _) => Made::Value(example(offer, name, 0, 0)),
        (Shape::Two, _) => Made::Value(example(offer, name, 1, 0)),
        (_, _) => Made::Unfit,
    }
}

fn map(shape: Shape, offer: Offer<'_>, name: &str, chance: &mut Chance) -> Made {
    let merged = |depth| {
        let (mut one, two) = (example(offer, name, chance.below(9), depth), example(offer, name, 1, depth));
        if let (Value::Object(one), Value::Object(two)) = (&mut one, two) {
            one.extend(two);
        }
        one
    };
    match shape {
        Shape::Empty => Made::Value(json!({})),
        Shape::One => Made::Value(example(offer, name, chance.below(9), 1)),
        Shape::Two => Made::Value({ merged }(1)),
        Shape::Deeper => Made::Value({ merged }(3)),
        _ => Made::Unfit,
    }
}

fn list(shape: Shape, offer: Offer<'_>, inside: Offer<'_>, name: &str, now: Option<&Value>) -> Made {
    let item = |which, depth| example(inside, name, which, depth);
    let standing = now.and_then(Value::as_array).filter(|items| items.len() > 1);
    Made::Value(match shape {
        Shape::Empty => json!([]),
        Shape::One => json!([item(0, 0)]),
        Shape::Two => match now.and_then(Value::as_array) {
            Some(items) if !items.is_empty() => {
                let mut items = items.clone();
                items.push(item(1, 0));
                json!(items)
            }
            _ => json!([item(0, 0), item(1, 0)]),
        },
        Shape::Reordered => match standing {
            Some(items) => json!(items.iter().rev().collect::<Vec<_>>()),
            None => json!([item(1, 0), item(0, 0)]),
        },
        Shape::Duplicate => match now.and_then(Value::as_array).and_then(|items| items.first()) {
            Some(first) => json!([first, first]),
            None => json!([item(0, 0), item(0, 1)]),
        },
        Shape::Deeper => json!([item(0, 3)]),
        Shape::KeyMissing | Shape::KeyDefaulted => return keys(shape, offer, inside, &item(0, 0)),
        Shape::Absent | Shape::Null | Shape::Zero | Shape::OtherWords | Shape::WrongType => return Made::Unfit,
    })
}

/// One item without its last key, or with each key that has a default at that.
fn keys(shape: Shape, offer: Offer<'_>, inside: Offer<'_>, item: &Value) -> Made {
    let mut item = item.clone();
    let (keys, Some(members)) = (offer.keys(), item.as_object_mut()) else { return Made::Unfit };
    let Some(last) = keys.last() else { return Made::Unfit };
    if shape == Shape::KeyMissing {
        members.remove(*last);
        return Made::Value(json!([item]));
    }
    let default = inside.member(last).and_then(Offer::default);
    let Some(default) = default else { return Made::Unfit };
    members.insert((*last).to_owned(), default.clone());
    Made::Value(json!([item]))
}
