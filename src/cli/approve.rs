//! `landfast approve`: lists what waits for a person, and says yes to it, as whoever the kubeconfig says. RBAC decides.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use kube::Client;
use serde_json::{Value, json};

use crate::cli::table::{Paint, Table};
use crate::cli::{Answer, Output};
use crate::cluster::client;
use crate::cluster::writer::Writer;
use crate::cluster::writer::repairs::place;
use crate::drift::declared::ObjectKey;
use crate::gate::json::FieldJson;
use crate::limits::ANSWERED_TIMES_MAX;
use crate::reconcile::approval::{APPROVE, Action, Digest, HeldSource, NOTICE, Named, Notice, Pending, REPAIRS};

/// Fewest digits by which a digest may be named.
const DIGITS_MIN: usize = 6;

/// Digits of a digest in a table.
const DIGITS_SHOWN: usize = 12;

/// Options of `landfast approve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Lists what waits where nothing is named. Exit codes: 0 done, 2 could not.")]
pub struct Args {
    /// What is said yes to: digests (or how they begin), or an object, as in `Deployment.apps shop/web`.
    #[arg(value_name = "DIGEST|KIND [NS/]NAME")]
    what: Vec<String>,
    /// Everything of this source that is listed, and the source itself where it is held; may be given more than once.
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Landfast's own namespace.
    #[arg(short, long, value_name = "NAME", default_value = "landfast-system")]
    namespace: String,
    /// How to reach the API server, and as whom; else as kubectl does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is said yes to.
#[derive(Debug, Default)]
struct Chosen<'n> {
    held: Vec<&'n HeldSource>,
    pending: Vec<&'n Pending>,
}

/// Does what was asked, as whoever the kubeconfig says.
pub fn run(args: Args) -> anyhow::Result<Answer> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(answer(args))
}

async fn answer(args: Args) -> anyhow::Result<Answer> {
    let Args { what, sources, namespace, kubeconfig, output } = args;
    let client = client::connect_as_person(kubeconfig.as_deref()).await?;
    let desk = Desk { client, place: place("", "v1", "configmaps", &namespace) };
    let (notice, _, _) = desk.read().await?;
    let mut out = std::io::stdout().lock();
    if what.is_empty() && sources.is_empty() {
        match output {
            Output::Json => writeln!(out, "{}", json!(notice))?,
            Output::Text => write!(out, "{}", words(&notice, Paint::of(out.is_terminal())))?,
        }
        return Ok(Answer::Yes);
    }
    let chosen = choose(&notice, &what, &sources)?;
    desk.approve(&chosen).await?;
    let named = chosen.held.iter().map(|held| (&held.digest, format!("all that differs of GitSource {}", held.source)));
    let named = named
        .chain(chosen.pending.iter().map(|it| (&it.digest, format!("{} of {}", verb(it.action), it.object.key()))));
    for (digest, what) in named {
        match output {
            Output::Json => writeln!(out, "{}", json!({ "approved": digest, "what": what }))?,
            Output::Text => writeln!(out, "approved {digest}: {what}")?,
        }
    }
    if notice.more > 0 && !sources.is_empty() {
        eprintln!("{} more wait than are listed: approve again when these are done", notice.more);
    }
    Ok(Answer::Yes)
}

/// Where it is read and said.
struct Desk {
    client: Client,
    place: String,
}

impl Desk {
    /// What waits; what was said already, and at which version.
    async fn read(&self) -> anyhow::Result<(Notice, Vec<Digest>, Option<String>)> {
        let read = client::get(&self.client, &self.place, REPAIRS).await.context("what waits cannot be read")?;
        let Some(read) = read else { return Ok((Notice::default(), Vec::new(), None)) };
        let map: Value = serde_json::from_str(&read).context("what waits is no JSON")?;
        let told = map["data"][NOTICE].as_str().unwrap_or("{}");
        let notice = serde_json::from_str(told);
        let notice = notice.with_context(|| format!("`data.{NOTICE}` of ConfigMap {REPAIRS} cannot be read"))?;
        let said = map["metadata"]["annotations"][APPROVE].as_str().unwrap_or_default();
        Ok((notice, Digest::list(said), map["metadata"]["resourceVersion"].as_str().map(str::to_owned)))
    }

    /// On each object that is there to be brought back; all else on the ConfigMap, where others may say something, too.
    async fn approve(&self, chosen: &Chosen<'_>) -> anyhow::Result<()> {
        let writer = Writer::new(self.client.clone());
        let on_map = chosen.pending.iter().filter(|it| it.action != Action::Update).map(|it| &it.digest);
        let on_map: BTreeSet<&Digest> = on_map.chain(chosen.held.iter().map(|held| &held.digest)).collect();
        for it in chosen.pending.iter().filter(|it| it.action == Action::Update) {
            let Named { group, version, resource, namespace, name, .. } = &it.object;
            let (at, digest) = (place(group, version, resource, namespace), it.digest.to_string());
            let said = writer.annotate(&at, name, None, &[(APPROVE, Some(&digest))]).await;
            said.with_context(|| format!("{} cannot be annotated", it.object.key()))?;
        }
        if on_map.is_empty() {
            return Ok(());
        }
        for _ in 0..ANSWERED_TIMES_MAX {
            let (_, said, version) = self.read().await?;
            let all: BTreeSet<&Digest> = said.iter().chain(on_map.iter().copied()).collect();
            let all = all.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            match writer.annotate(&self.place, REPAIRS, version.as_deref(), &[(APPROVE, Some(&all))]).await {
                Err(error) if error.status() == Some(409) => {}
                said => return said.map(drop).with_context(|| format!("ConfigMap {REPAIRS} cannot be annotated")),
            }
        }
        bail!("ConfigMap {REPAIRS} is written all the time: try again");
    }
}

/// What was named; all of it must be there.
fn choose<'n>(notice: &'n Notice, what: &[String], sources: &[String]) -> anyhow::Result<Chosen<'n>> {
    let mut chosen = Chosen::default();
    for source in sources {
        let before = chosen.held.len() + chosen.pending.len();
        chosen.held.extend(notice.held.iter().filter(|held| *held.source == **source));
        chosen.pending.extend(notice.pending.iter().filter(|pending| *pending.source == **source));
        if chosen.held.len() + chosen.pending.len() == before {
            bail!("nothing of GitSource {source} waits");
        }
    }
    let is_digest =
        |word: &String| word.len() >= DIGITS_MIN && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match what {
        [kind, name] if !is_digest(kind) => {
            let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
            let (namespace, name) = name.split_once('/').unwrap_or(("", name));
            let key = ObjectKey::new(group, kind, namespace, name);
            let found = notice.pending.iter().find(|pending| pending.object.key() == key);
            chosen.pending.push(found.with_context(|| format!("nothing waits for {key}"))?);
        }
        digests => {
            for digest in digests {
                if !is_digest(digest) {
                    bail!("`{digest}` is no digest of at least {DIGITS_MIN} digits; an object is named KIND [NS/]NAME");
                }
                chosen.add(notice, digest)?;
            }
        }
    }
    Ok(chosen)
}

impl<'n> Chosen<'n> {
    /// What has the digest that begins so.
    fn add(&mut self, notice: &'n Notice, digest: &str) -> anyhow::Result<()> {
        let is_it = |other: &Digest| other.to_string().starts_with(digest);
        let held: Vec<_> = notice.held.iter().filter(|held| is_it(&held.digest)).collect();
        let pending: Vec<_> = notice.pending.iter().filter(|pending| is_it(&pending.digest)).collect();
        match held.len() + pending.len() {
            0 => bail!("nothing that waits has the digest {digest}: Git or the object may have moved on"),
            1 => {
                self.held.extend(held);
                self.pending.extend(pending);
                Ok(())
            }
            count => bail!("{count} that wait have a digest that begins with {digest}"),
        }
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Update => "repair",
        Action::Create => "new making",
        Action::Delete => "deletion",
    }
}

/// All that waits, for people.
fn words(notice: &Notice, paint: Paint) -> String {
    let mut text = String::new();
    let short = |digest: &Digest| digest.to_string().chars().take(DIGITS_SHOWN).collect::<String>();
    for held in &notice.held {
        let HeldSource { digest, source, open, most, declared, objects, .. } = held;
        let _ = writeln!(
            text,
            "GitSource {source} is held: {open} of its {declared} objects differ or are missing at once, and {most} may"
        );
        let _ = writeln!(text, "  approve all of it: landfast approve {}", short(digest));
        text.extend(objects.iter().map(|object| format!("  {object}\n")));
        if *open > objects.len() {
            let _ = writeln!(text, "  and {} more", open - objects.len());
        }
    }
    if !notice.pending.is_empty() {
        let mut table = Table::new(["DIGEST", "WHAT", "OBJECT", "SOURCE", "REVISION", "SINCE", "DIFFERS"]);
        for it in &notice.pending {
            let mut fields: Vec<_> = it.fields.iter().map(field).collect();
            if it.more > 0 {
                fields.push(format!("and {} more", it.more));
            }
            if let Some(void) = &it.void {
                fields.push(format!("(approved was {}: it does not count)", short(void)));
            }
            let revision = it.revision.get(..7).unwrap_or(&it.revision).to_owned();
            let (since, object) = (it.since.strftime("%FT%TZ").to_string(), it.object.key().to_string());
            table.add([
                short(&it.digest),
                format!("{:?}", it.action),
                object,
                it.source.to_string(),
                revision,
                since,
                fields.join("; "),
            ]);
        }
        text += &table.print("", paint);
    }
    if notice.more > 0 {
        let _ = writeln!(text, "and {} more", notice.more);
    }
    if text.is_empty() { "nothing waits\n".to_owned() } else { text }
}

/// A field with both values, where they may be shown.
fn field(field: &FieldJson) -> String {
    let value = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    match (value(&field.git), value(&field.written)) {
        (None, None) => field.path.clone(),
        (git, live) => {
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
            format!("{}: {} in Git, {} live", field.path, or_none(git), or_none(live))
        }
    }
}
