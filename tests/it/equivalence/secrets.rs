//! Rows about Secrets: both ways to write a value, what is no value, and that none is ever shown.

use serde_json::Value;

use crate::cases::decided;
use crate::equivalence::judge::{self, Row};

fn secret(members: &str) -> String {
    format!("{{ apiVersion: v1, kind: Secret, {members} }}")
}

#[test]
fn row_17_string_data_is_data() {
    let live = secret("data: { a: YWE=, b: YmI=, d: ZA== }");
    Row::new(&secret("stringData: { a: aa }, data: { b: YmI= }"), &live).agrees();
    Row::new(&secret("data: { a: bm8= }, stringData: { a: aa }"), &live).agrees();
    Row::new(&secret("data: { a: \"YW\\nE=\" }"), &live).agrees();
    Row::new(&secret("data: { a: YWF= }"), &live).agrees();
    Row::new(&secret("stringData: { a: ab }"), &live).differs(&["Changed data.a"]);
    Row::new(&secret("stringData: { c: c }"), &live).differs(&["Missing data.c"]);
}

#[test]
fn row_18_a_key_of_null_is_an_empty_value() {
    for declared in ["data: { k: null }", "data: { k: '' }", "stringData: { k: '' }", "stringData: { k: null }"] {
        Row::new(&secret(declared), &secret("data: { k: '' }")).agrees();
        Row::new(&secret(declared), &secret("data: { k: eA== }")).differs(&["Changed data.k"]);
    }
}

#[test]
fn row_19_a_secret_that_the_server_refuses_differs_and_stays_masked() {
    let declared = secret("metadata: {}, data: { k: [hunter2] }");
    let row = Row::new(&declared, &secret("data: { k: aHVudGVyMw== }"));
    assert!(row.server().is_err());
    assert_eq!(row.engine(), ["Changed data.k"]);
    let outcome = decided(&format!(
        "declared: |\n  {}\nlive: |\n  {}\nchange: {{ data: {{ k: aHVudGVyNA== }} }}\n",
        secret("metadata: { name: keys, namespace: shop }, data: { k: [hunter2] }"),
        secret("metadata: { name: keys, namespace: shop }, data: { k: aHVudGVyMw== }"),
    ));
    assert!(!outcome.verdict.allowed());
    shows_nothing(&outcome);
    // What is certain to be refused is a fault of its file, and says as little.
    for value in ["{ hunter2: hunter2 }", "12345", "'hunter2 is no base64'"] {
        let manifest = secret(&format!("metadata: {{ name: keys }}, data: {{ k: {value} }}"));
        let fault = judge::file(&manifest).faults.remove(0).to_string();
        assert!(fault.contains("`data.k` is ") && !fault.contains("hunter") && !fault.contains("12345"), "{fault}");
    }
}

#[test]
fn row_54_no_value_of_a_secret_is_shown_nor_a_copy_of_it() {
    // What client-side apply leaves: the whole Secret once more, in an annotation; and another that somebody made.
    let copy = r#"{\"data\":{\"k\":\"aHVudGVyMg==\"}}"#;
    let annotations =
        format!("annotations: {{ kubectl.kubernetes.io/last-applied-configuration: \"{copy}\", copy: hunter2 }}");
    let outcome = decided(&format!(
        "declared: |\n  {declared}\nlive: |\n  {live}\npolicy: {{ undeclaredFields: Deny }}\n\
         change: {{ stringData: {{ k: hunter5 }}, data: {{ k: aHVudGVyNA==, other: aHVudGVyNQ== }}, metadata: {{ annotations: {{ copy: hunter4, next: hunter5 }} }} }}\n",
        declared = secret(
            "metadata: { name: keys, namespace: shop, annotations: { copy: hunter2 } }, stringData: { k: hunter2 }"
        ),
        live =
            secret(&format!("metadata: {{ name: keys, namespace: shop, {annotations} }}, data: {{ k: aHVudGVyMg== }}")),
    ));
    assert!(!outcome.verdict.allowed());
    assert!(
        outcome.verdict.fields.iter().any(|field| field.path.to_string() == "data.k"),
        "{:?}",
        outcome.verdict.fields
    );
    shows_nothing(&outcome);
}

/// Nothing of a verdict holds what these tests keep secret, in clear or in base64.
fn shows_nothing(outcome: &landfast::gate::verdict::Outcome) {
    let verdict = &outcome.verdict;
    let json: Value = landfast::gate::json::verdict_json(verdict, "u-1");
    let answer = String::from_utf8(landfast::gate::response::Answer::of(verdict, "u-1").to_json()).unwrap();
    for shown in [json.to_string(), answer, format!("{outcome:?}")] {
        for hidden in ["hunter", "aHVud", "12345"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
