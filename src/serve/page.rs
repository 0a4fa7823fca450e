//! How does it go, for a person? The state as one page of HTML: no script, nothing loaded from elsewhere, every text escaped.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::audit::record::Record;
use crate::serve::status::{Page, SourceReport};

/// Records that the page shows; `/status.json` has all that are kept.
const RECORDS_SHOWN: usize = 50;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Landfast</title><style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b2733; background: #fff }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #d7dee5 }
th { font-weight: 600; white-space: nowrap } .good { color: #176b3a } .bad { color: #a3201d } .dim { color: #5c6b79 }
code, pre { font: 13px/1.4 ui-monospace, monospace } pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #dbe4ec; background: #12181e } th, td { border-color: #2c3843 }
.good { color: #6fcf97 } .bad { color: #ff8a80 } .dim { color: #93a3b1 } }
</style></head><body>
"#;

/// The page.
pub(super) fn html(page: &Page) -> String {
    let mut html = HEAD.to_owned();
    let ready = if page.ready { good("ready") } else { bad("not ready") };
    let _ = write!(html, "<h1>Landfast {}</h1><p>{ready}", text(page.version));
    if let Some(webhooks) = &page.webhooks {
        let state = if webhooks.error.is_none() { text(webhooks.state) } else { bad(webhooks.state) };
        let _ = write!(html, " · webhooks {state}");
        if let Some(error) = &webhooks.error {
            let _ = write!(html, ": {}", text(error));
        }
    }
    html.push_str(r#" · <a href="status.json">status.json</a> · <a href="metrics">metrics</a></p>"#);
    let configuration = &page.configuration;
    let faulty = configuration.objects.iter().map(|(object, faults)| format!("{object}: {}", faults.join("; ")));
    list(&mut html, "Configuration faults", configuration.faults.iter().cloned().chain(faulty));
    list(&mut html, "Notices", configuration.notices.iter().cloned());
    sources(&mut html, &page.sources);
    policies(&mut html, page);
    records(&mut html, &page.records);
    html.push_str("</body></html>\n");
    html
}

fn sources(html: &mut String, sources: &[SourceReport]) {
    let names = ["source", "revision", "declared", "objects", "oldest drift", "faults"];
    table(html, "Git", &names, sources, |source| {
        let revision = source.revision.as_deref().map(|revision| revision.chars().take(7).collect::<String>());
        let by = source.author.as_ref().map(|author| format!(" <span class=dim>{}</span>", text(author)));
        let standing = source.objects.as_ref();
        let states = standing.into_iter().flat_map(|objects| &objects.states).filter(|(_, count)| **count > 0);
        let told = |(state, count): (&&'static str, &usize)| {
            let words = format!("{count} {}", state.replace('_', " "));
            if *state == "in_sync" { good(&words) } else { bad(&words) }
        };
        let mut objects: Vec<String> = states.map(told).collect();
        if let Some(standing) = standing {
            objects.push(format!("<span class=dim>{} repaired</span>", standing.repaired));
            objects.extend(standing.fights.iter().chain(&standing.stuck).map(|line| text(line)));
            objects.extend(standing.unwatched.iter().map(|(kind, why)| bad(&format!("{kind} is not watched: {why}"))));
        }
        let faults = source.error.iter().chain(source.refused.iter()).chain(&source.faults).map(|fault| bad(fault));
        vec![
            format!("{}<br><span class=dim>{}</span>", text(&source.name), text(&source.remote)),
            format!("<code>{}</code>{}", text(&revision.unwrap_or_default()), by.unwrap_or_default()),
            source.declared.to_string(),
            objects.join("<br>"),
            standing.and_then(|objects| objects.oldest_drift).map(time).unwrap_or_default(),
            faults.collect::<Vec<_>>().join("<br>"),
        ]
    });
}

fn policies(html: &mut String, page: &Page) {
    table(html, "Policies", &["policy", "mode", "drift", "delete", "conditions"], &page.policies, |policy| {
        let conditions = policy.conditions.iter().map(|condition| text(&condition.message));
        vec![
            text(&policy.name),
            text(policy.mode),
            text(policy.drift),
            text(policy.delete),
            conditions.collect::<Vec<_>>().join("<br>"),
        ]
    });
}

fn records(html: &mut String, records: &[Record]) {
    let latest = &records[..records.len().min(RECORDS_SHOWN)];
    table(html, "Latest records", &["time", "what", "object", "who", "words"], latest, |record| {
        let what = match &record.repair {
            Some(repair) => format!("{:?}", repair.outcome),
            None => format!("{}{}", record.ruling.name(), if record.enforced { "" } else { " (observed)" }),
        };
        let object = &record.object;
        let place = if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
        let words = if record.message.is_empty() { &record.reason } else { &record.message };
        vec![
            time(record.time),
            if record.allowed { text(&what) } else { bad(&what) },
            text(&format!("{} {place}{}", object.kind, object.name)),
            text(&record.writer.user),
            format!("<pre>{}</pre>", text(words)),
        ]
    });
}

/// A table under its heading; each cell is HTML already.
fn table<T>(html: &mut String, title: &str, names: &[&str], rows: &[T], cells: impl Fn(&T) -> Vec<String>) {
    let _ = write!(html, "<h2>{}</h2>", text(title));
    if rows.is_empty() {
        html.push_str("<p class=dim>none</p>");
        return;
    }
    html.push_str("<table><thead><tr>");
    for name in names {
        let _ = write!(html, "<th>{}</th>", text(name));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for cell in cells(row) {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>\n");
}

/// A list under its heading; nothing where it is empty.
fn list(html: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = write!(html, "<h2>{}</h2><ul>", text(title));
    for line in lines {
        let _ = write!(html, "<li>{}</li>", bad(&line));
    }
    html.push_str("</ul>");
}

fn good(words: &str) -> String {
    format!("<span class=good>{}</span>", text(words))
}

fn bad(words: &str) -> String {
    format!("<span class=bad>{}</span>", text(words))
}

fn time(at: Timestamp) -> String {
    format!("<span class=dim>{}</span>", at.strftime("%F %H:%M:%SZ"))
}

/// A text that means nothing but itself.
fn text(words: &str) -> String {
    let mut safe = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::Seen;
    use crate::audit::record::tests::verdict;
    use crate::gate::verdict::Ruling;
    use crate::serve::status::{ConfigurationReport, ObjectsReport};

    #[test]
    fn what_others_wrote_means_nothing_but_itself() {
        let mut denied = verdict("ConfigMap", Ruling::Deny, "5");
        denied.user.name = "<script>alert(1)</script>".to_owned();
        denied.message = "data.a: \"<b>\" & 'c'".to_owned();
        let states = [("in_sync", 3), ("drifting", 0), ("fighting", 1)].into();
        let source = SourceReport {
            name: "shop".to_owned(),
            faults: vec!["a.yaml:3: <img src=x>".to_owned()],
            objects: Some(ObjectsReport { states, repaired: 7, ..ObjectsReport::default() }),
            ..SourceReport::default()
        };
        let page = Page {
            version: "0",
            ready: true,
            policy_generation: 1,
            configuration: ConfigurationReport::default(),
            webhooks: None,
            sources: vec![source],
            policies: Vec::new(),
            records: vec![Record::of(&denied, &Seen::default(), Timestamp::UNIX_EPOCH)],
        };
        let html = html(&page);
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("a.yaml:3: &lt;img src=x&gt;"), "{html}");
        assert!(html.contains("3 in sync") && html.contains("1 fighting") && html.contains("7 repaired"), "{html}");
        assert!(!html.contains("drifting"), "{html}");
    }
}
