//! Runs the control plane of the tests for a person or a script: `cargo run --example testbed -- FOLDER`.
//!
//! When it is ready it writes `FOLDER/ready`, whose lines are `NAME=value` for a shell. It ends, with everything it
//! started and with FOLDER, on SIGTERM, on Ctrl-C, and when it is killed. It builds nothing and installs nothing.

#[allow(dead_code, unreachable_pub, reason = "the tests use all of it, this program a part")]
#[path = "mod.rs"]
mod testbed;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::testbed::control_plane::ControlPlane;
use crate::testbed::programs::program;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from).context("usage: testbed FOLDER")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Scratch::at(&folder);
    let plane = tokio::select! {
        plane = tokio::task::spawn_blocking(ControlPlane::start) => plane?,
        // The watchdog ends what was started so far.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    announce(&folder, &plane)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn announce(folder: &Path, plane: &ControlPlane) -> anyhow::Result<()> {
    let kubectl = format!("TESTBED_KUBECTL={}\n", program("kubectl").display());
    let server = format!("TESTBED_SERVER={}\n", plane.server());
    let kubeconfigs = User::ALL.into_iter().map(|user| {
        let name = user.short().replace('-', "_").to_uppercase();
        format!("KUBECONFIG_{name}={}\n", plane.kubeconfig(user).display())
    });
    let lines: String = [kubectl, server].into_iter().chain(kubeconfigs).collect();
    // Whole or not at all: a script looks for this file while it is written.
    let unfinished = folder.join("ready.unfinished");
    fs::write(&unfinished, lines)?;
    fs::rename(unfinished, folder.join("ready"))?;
    Ok(())
}
