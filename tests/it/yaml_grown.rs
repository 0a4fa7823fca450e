//! Do we read as kubectl does what nobody thought of? Manifests grown from YAML's own pieces, some of them broken, given to real
//! kubectl and to us: the same objects, or both refuse.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use landfast::render::manifests;
use landfast::yaml::{Node, Value, documents};
use serde_json::Deserializer;

use crate::laws::{Choices, chosen};
use crate::testbed::control_plane;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;
use crate::yaml::plain;

/// Files that are grown; kubectl reads some 400 in a second.
const FILES: u64 = 1_500;

/// Scalars that somebody reads as something else than somebody else.
const SCALARS: [&str; 96] = [
    "",
    "~",
    "null",
    "Null",
    "NULL",
    "nUll",
    "y",
    "Y",
    "yes",
    "Yes",
    "YES",
    "yEs",
    "n",
    "N",
    "no",
    "NO",
    "true",
    "True",
    "TRUE",
    "tRue",
    "on",
    "ON",
    "off",
    "Off",
    "0",
    "-0",
    "+1",
    "1",
    "-1",
    "08",
    "010",
    "0755",
    "0o17",
    "0O17",
    "0x1F",
    "0X1f",
    "-0x1F",
    "0b101",
    "-0b101",
    "0b-101",
    "1_000",
    "1__0",
    "_1",
    "1_",
    "0x_1",
    "1e3",
    "1E+3",
    "1e-3",
    "1.5",
    ".5",
    "5.",
    "-.5",
    "+.5",
    ".",
    "..",
    "1.2.3",
    "1e400",
    "1e",
    "e1",
    "0.1",
    "1.0",
    "123456789012345678901",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    ".inf",
    "-.inf",
    ".NaN",
    ".infinity",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "2024-1-1 1:2:3",
    "12:30",
    "1:2:3",
    "190:20:30",
    "=",
    "<<",
    "-",
    "--",
    "---x",
    "...x",
    "a b",
    "a#b",
    "a: b",
    "a:b",
    ":a",
    "?a",
    "-a",
    "@a",
    "%a",
    "`a",
    "!",
    "&",
];

/// What we refuse on purpose though kubectl reads it, because hardly anybody means what it makes of it: inside brackets, `?` begins
/// a key, a lone `-` is text and a comma behind a tag is a part of the tag; outside of escapes NEL ends a line; and a null key
/// passes where a merge overwrites all that it stands in.
const REFUSED_ON_PURPOSE: [&str; 5] = [
    "text with `?` inside [] or {} must be quoted",
    "plain scalar cannot start with '-' followed by ,[]{}",
    "a tag must be followed by a blank",
    "(NEL, LS or PS) that ends the line",
    "a key must not be null",
];

/// Pieces between and around scalars.
const TAGS: [&str; 12] =
    ["", "", "", "!!str ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!binary ", "!!timestamp ", "!own ", "! "];

fn scalar(choices: &mut Choices<'_>) -> String {
    let text = choices.of(&SCALARS);
    match choices.below(12) {
        0 => format!("'{}'", text.replace('\'', "''")),
        1 => format!("\"{text}\""),
        2 => {
            let escapes = [
                r"\n",
                r"\t",
                r"\x41",
                r"\u00e9",
                r"\U0001F600",
                r"\e",
                r"\ ",
                r"\/",
                r"\'",
                r"\_",
                r"\N",
                r"\L",
                r"\q",
                r"\ud83d",
                "\\\n      ",
            ];
            format!("\"{text}{}{}\"", choices.of(&escapes), choices.of(&SCALARS).replace(['"', '\\'], ""))
        }
        3 => format!("{}{text}", choices.of(&TAGS)),
        4 => format!("{}'{text}'", choices.of(&TAGS)),
        5 => choices
            .of(&[
                "aGk=",
                "!!binary aGk=",
                "!!binary \"aG\\nk=\"",
                "ä",
                "\u{1F600}",
                "\u{85}x",
                "a\u{a0}b",
                "a\tb",
                "\ta",
            ])
            .to_owned(),
        _ => text.to_owned(),
    }
}

/// A value in braces and brackets.
fn flow(choices: &mut Choices<'_>, depth: usize) -> String {
    if depth > 3 {
        return scalar(choices);
    }
    let inner = choices.below(4);
    let comma = choices.of(&[", ", ",", " , ", ",\n      "]);
    match choices.below(5) {
        0 => {
            let items: Vec<_> = (0..inner).map(|_| flow(choices, depth + 1)).collect();
            format!("[{}{}]", items.join(comma), choices.of(&["", "", " ", ","]))
        }
        1 => {
            let members: Vec<_> = (0..inner)
                .map(|_| {
                    let key = scalar(choices);
                    let colon = choices.of(&[": ", ": ", ":", " : ", ""]);
                    format!("{key}{colon}{}", if colon.is_empty() { String::new() } else { flow(choices, depth + 1) })
                })
                .collect();
            format!("{{{}{}}}", members.join(comma), choices.of(&["", "", " ", ","]))
        }
        _ => scalar(choices),
    }
}

/// A value below its key, or beside it, indented by `indent` where it takes lines of its own.
fn block(choices: &mut Choices<'_>, indent: usize, names: &mut Vec<String>) -> String {
    let space = " ".repeat(indent);
    if indent > 10 {
        return format!(" {}", scalar(choices));
    }
    let anchor = if choices.one_in(8) {
        names.push(format!("a{}", names.len()));
        format!(" &{}", names.last().expect("it was put there"))
    } else {
        String::new()
    };
    match choices.below(10) {
        0 | 1 => {
            let mut text = anchor;
            for _ in 0..=choices.below(3) {
                let dash = choices.of(&["-", "-", "-  ", "-\t"]);
                let value = block(choices, indent + 2, names);
                let _ = write!(text, "\n{space}{dash}{value}");
            }
            text
        }
        2..=4 => {
            let mut text = anchor;
            for n in 0..=choices.below(3) {
                let key = if choices.one_in(4) { scalar(choices) } else { format!("k{n}") };
                let colon = choices.of(&[":", ":", ":", " :"]);
                let value = block(choices, indent + 2, names);
                let comment = choices.of(&["", "", "", " # note", "#note"]);
                let _ = write!(text, "\n{space}{key}{colon}{value}{comment}");
            }
            if let (true, Some(name)) = (choices.one_in(6), names.first()) {
                let merged = choices.of(&["*NAME", "[*NAME, *NAME]", "{ k0: own }", "1"]).replace("NAME", name);
                let _ = write!(text, "\n{space}<<: {merged}");
            }
            text
        }
        5 => {
            let header = choices.of(&["|", "|-", "|+", ">", ">-", ">+", "|2", ">1-", "|9", "|x", "| # note"]);
            let lines = (0..choices.below(4)).map(|_| {
                let deeper = choices.of(&["", "", "", " ", "  ", "\t"]);
                if choices.one_in(5) { deeper.to_owned() } else { format!("{space}{deeper}{}", choices.of(&SCALARS)) }
            });
            let lines: Vec<_> = lines.collect();
            format!(" {header}\n{}", lines.join("\n"))
        }
        6 if !names.is_empty() => format!(" *{}", choices.of(names)),
        6 => format!(" {}\n{space}{}", scalar(choices), scalar(choices)),
        7 | 8 => format!("{anchor} {}", flow(choices, 0)),
        _ => format!("{anchor} {}", scalar(choices)),
    }
}

/// One file: a manifest or two, and what may stand between, before and behind them.
fn grown(number: u64) -> String {
    let chosen = chosen(number, 600);
    let mut choices = Choices::new(&chosen);
    let mut text = choices
        .of(&[
            "",
            "",
            "",
            "---\n",
            "# note\n",
            "--- # note\n",
            "\n\n",
            "%YAML 1.1\n---\n",
            "\u{feff}",
            "---\n---\n",
            "...\n",
            "---\n...\n",
        ])
        .to_owned();
    let documents = 1 + usize::from(choices.one_in(5));
    for document in 0..documents {
        if document > 0 {
            text += choices.of(&[
                "\n---\n",
                "\n--- \n",
                "\n---\r\n",
                "\n--- # note\n",
                "\n----\n",
                "\n--- x\n",
                "\n...\n",
                "\n...\n---\n",
                "\n---\n# nothing\n---\n",
            ]);
        }
        let value = block(&mut choices, 2, &mut Vec::new());
        let _ = write!(
            text,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: grown-{number}-{document}, namespace: default }}\nx:{value}\n"
        );
    }
    text += choices.of(&["", "", "", "...\n", "---\n", "# end", "  \n", "...\nx: [\n"]);
    if choices.one_in(12) { text.replace('\n', "\r\n") } else { text }
}

#[test]
fn kubectl_reads_grown_manifests_as_we_do() {
    let plane = control_plane();
    let folder = Scratch::get().folder("yaml");
    let files: Vec<(String, String)> = (0..FILES).map(|number| (format!("{number:05}.yaml"), grown(number))).collect();
    for (name, text) in &files {
        fs::write(folder.join(name), text).unwrap();
    }
    let create = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", folder.to_str().unwrap()];
    let answer = plane.kubectl(User::Admin, &create);
    let mut theirs: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for object in Deserializer::from_str(&answer.stdout).into_iter::<serde_json::Value>() {
        let object = object.unwrap();
        theirs.insert(object["metadata"]["name"].as_str().unwrap().to_owned(), object);
    }
    let (mut read, mut refused, mut differing) = (0, 0, Vec::new());
    for (number, (name, text)) in files.iter().enumerate() {
        let is_refused = answer.stderr.contains(&format!("/{name}"));
        let nodes = match manifests(name, text.as_bytes()) {
            Ok(nodes) => nodes,
            Err(fault) => {
                refused += 1;
                if !is_refused && !REFUSED_ON_PURPOSE.iter().any(|known| fault.what.contains(known)) {
                    differing.push(format!("{name}: only we refuse {text:?}: {fault}"));
                }
                continue;
            }
        };
        if is_refused {
            let told = answer.stderr.lines().find(|line| line.contains(&format!("/{name}"))).unwrap_or_default();
            differing.push(format!("{name}: only kubectl refuses {text:?}: {told}"));
            continue;
        }
        read += 1;
        let mut own: Vec<serde_json::Value> =
            nodes.iter().map(|node| serde_json::from_str(&node.to_json()).unwrap()).collect();
        let its = (0..2).filter_map(|document| theirs.get(&format!("grown-{number}-{document}")).cloned());
        let mut its: Vec<serde_json::Value> = its.collect();
        own.iter_mut().chain(&mut its).for_each(plain);
        if own != its {
            differing.push(format!("{name}: {text:?}\n  we: {own:?}\n  kubectl: {its:?}"));
        }
    }
    assert!(differing.is_empty(), "{} of {FILES}:\n{}", differing.len(), differing.join("\n"));
    assert!(read > 300 && refused > 300, "{read} read, {refused} refused");
}

#[test]
fn values_know_the_line_and_column_they_were_written_at() {
    let mut placed = 0;
    for number in 0..FILES {
        let text = grown(number);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines: Vec<&str> = text.split('\n').collect();
        for node in documents(text).unwrap_or_default() {
            place(&node, &lines, &mut placed);
        }
    }
    assert!(placed > 2_000, "{placed}");
}

/// What stands in a line from a column on.
fn at<'t>(lines: &[&'t str], line: u32, column: u32) -> &'t str {
    let line = lines.get(usize::try_from(line).unwrap() - 1).expect("a line of the text");
    let (start, _) = line.char_indices().nth(usize::try_from(column).unwrap() - 1).expect("a column of the line");
    &line[start..]
}

fn place(node: &Node, lines: &[&str], placed: &mut usize) {
    for member in node.members() {
        let found = at(lines, member.line, member.column);
        // Keys of another form may be written in many ways.
        let is_plain = member.key.starts_with('k') && found.starts_with('k');
        if is_plain || ["apiVersion", "kind", "metadata", "x"].contains(&member.key.as_str()) {
            assert!(found.starts_with(&member.key), "{} in {found:?}", member.key);
            *placed += 1;
        }
        assert_eq!((member.value.line, member.value.column), (member.line, member.column), "{found}");
        place(&member.value, lines, placed);
    }
    for item in node.items() {
        let found = at(lines, item.line, item.column);
        match &item.value {
            Value::Null => {}
            Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_) => {
                assert!(!found.trim().is_empty(), "{item:?}");
            }
            Value::String(text) if SCALARS.contains(&text.as_str()) && !text.is_empty() => {
                let own = found.trim_start_matches(['"', '\'']);
                assert!(own.starts_with(text) || found.starts_with(['*', '|', '>']), "{text:?} in {found:?}");
                *placed += 1;
            }
            Value::String(_) => assert!(!found.starts_with(' '), "{item:?} in {found:?}"),
        }
        place(item, lines, placed);
    }
}
