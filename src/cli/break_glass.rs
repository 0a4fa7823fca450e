//! `landfast break-glass`: opens, lists and ends a way through in an incident, as whoever the kubeconfig says. RBAC decides.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::table::{Paint, Table};
use crate::cli::{Answer, Output};
use crate::cluster::client;
use crate::cluster::writer::{BREAK_GLASSES, Writer};
use crate::config::crd::{GROUP, VERSION};
use crate::gate::ask::Ask;
use crate::gate::duration::written;

/// Options of `landfast break-glass`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// How to reach the API server, and as whom; else as kubectl does.
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Open one: for you, or for whom you name.
    Open(Open),
    /// List them, those that ended within 30 days, too.
    List,
    /// End one before its time.
    End {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Open {
    /// Why, as in "INC-1234 restore the shop": what the policy asks for.
    reason: String,
    /// For how long; the policy has a longest.
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::config::duration, default_value = "1h")]
    duration: Duration,
    /// In which namespaces, `*` and `?` allowed; may be given more than once. Absent: all.
    #[arg(short, long = "namespace", value_name = "GLOB")]
    namespaces: Vec<String>,
    /// For which kinds, as in `Deployment.apps`; may be given more than once. Absent: all.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// For objects of which names, `*` and `?` allowed; may be given more than once. Absent: all.
    #[arg(long = "name", value_name = "GLOB")]
    names: Vec<String>,
    /// A user whom it is for, in place of you; may be given more than once.
    #[arg(long = "user", value_name = "NAME")]
    users: Vec<String>,
    /// A group whom it is for; may be given more than once.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// A service account whom it is for; may be given more than once.
    #[arg(long = "service-account", value_name = "NAMESPACE/NAME")]
    accounts: Vec<String>,
}

/// Does what was asked, as whoever the kubeconfig says.
pub fn run(args: Args) -> anyhow::Result<Answer> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(answer(args))
}

async fn answer(args: Args) -> anyhow::Result<Answer> {
    let Args { what, kubeconfig, output } = args;
    let client = client::connect_as_person(kubeconfig.as_deref()).await?;
    let writer = Writer::new(client.clone());
    match what {
        What::Open(open) => {
            let made = writer.create_break_glass(&open.manifest()?).await.context("it was not opened")?;
            let name = made["metadata"]["name"].as_str().unwrap_or_default();
            say(output, &made, &format!("opened {name}; end it with: landfast break-glass end {name}"))?;
        }
        What::End { name } => {
            let ended = writer.close_break_glass(&name).await.context("it was not ended")?;
            say(output, &ended, &format!("ended {name}"))?;
        }
        What::List => {
            let list = client::list(&client, BREAK_GLASSES).await.context("they cannot be listed")?;
            let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut out = std::io::stdout().lock();
            match output {
                Output::Json => items.iter().try_for_each(|item| writeln!(out, "{item}"))?,
                Output::Text => write!(out, "{}", table(items).print("", Paint::of(out.is_terminal())))?,
            }
        }
    }
    Ok(Answer::Yes)
}

fn say(output: Output, object: &Value, text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{object}")?,
        Output::Text => writeln!(out, "{text}")?,
    }
    Ok(())
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(["NAME", "STATE", "UNTIL", "BY", "FOR", "REASON"]);
    for item in items {
        let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
        let (spec, status) = (&item["spec"], &item["status"]);
        let about = match &spec["object"] {
            Value::Null => spec["match"].to_string(),
            object => {
                let part = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
                let place = [part("namespace"), part("name")].join("/");
                format!("{} {}", part("kind"), place.trim_start_matches('/'))
            }
        };
        let until = if status["ended"].is_null() { "/status/until" } else { "/status/ended" };
        table.add([
            text("/metadata/name"),
            text("/status/state"),
            text(until),
            text("/spec/createdBy"),
            about,
            text("/spec/reason"),
        ]);
    }
    table
}

impl Open {
    fn manifest(&self) -> anyhow::Result<Value> {
        let mut matches = json!({});
        for (member, values) in [("namespaces", &self.namespaces), ("kinds", &self.kinds), ("names", &self.names)] {
            if !values.is_empty() {
                matches[member] = values.clone().into();
            }
        }
        let named = |kind: &str, names: &[String]| {
            names.iter().map(|name| json!({ "kind": kind, "name": name })).collect::<Vec<_>>()
        };
        let mut subjects = [named("User", &self.users), named("Group", &self.groups)].concat();
        for account in &self.accounts {
            let (namespace, name) = account.split_once('/').context("a service account is named NAMESPACE/NAME")?;
            subjects.push(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }));
        }
        let mut spec = json!({ "reason": self.reason, "duration": written(self.duration), "match": matches });
        if !subjects.is_empty() {
            spec["subjects"] = subjects.into();
        }
        // The server makes the rest of the name.
        let word = Ask { reason: self.reason.clone(), duration: None }.word();
        Ok(json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "BreakGlass",
            "metadata": { "generateName": format!("{word}-") },
            "spec": spec,
        }))
    }
}
