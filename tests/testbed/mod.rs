//! The testbed: how do tests and the demo get a real control plane, a real repository and a real `landfast`?
//!
//! etcd, kube-apiserver and kube-controller-manager run on free loopback ports, with users of their own and the
//! audit log on. Everything that is started is ended by its process id, also when a test panics or the test
//! binary is killed, and no folder stays behind: see [`scratch`].
//!
//! It never reaches another machine, never looks for a process by name, and proves nothing itself: a helper that
//! cannot do its work panics with what it was waiting for and the end of the log that says why.

pub mod audit;
pub mod balancer;
pub mod certificate;
pub mod control_plane;
pub mod kubectl;
pub mod landfast;
pub mod metrics;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod repository;
pub mod scratch;
pub mod user;

use std::future::Future;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::testbed::control_plane::ControlPlane;

/// Longest wait for something that other processes do: generous, because a test machine may be busy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Time between two looks at something awaited.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Returns the control plane that all tests of this binary share; the first caller starts it.
pub fn control_plane() -> &'static ControlPlane {
    static SHARED: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
    &SHARED
}

/// Looks until `look` finds something, and panics with `what` when it has not within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    patiently(look).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

/// Looks until `look` finds something, for [`PATIENCE`].
pub fn patiently<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = look();
        if found.is_some() || started.elapsed() > PATIENCE {
            return found;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Runs a future to its end from code that is not async, whether or not a runtime is around the caller.
pub fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime of one thread needs nothing that could fail")
                    .block_on(future)
            })
            .join()
            .expect("the future does not panic")
    })
}
