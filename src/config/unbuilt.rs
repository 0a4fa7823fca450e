//! What is not built yet? Members that load, but leave their object without effect (a policy still observes); one list, so that
//! building one of them means deleting its line.

use crate::config::crd::{DriftPolicy, GitSource, Render, SourceRef, Spec, Transport};
use crate::gate::repair::{Repair, RepairMode};

/// The members of an object that are not built yet, as a person writes them.
pub(super) fn members(spec: &Spec) -> Vec<&'static str> {
    match spec {
        Spec::GitSource(source) => of_source(source),
        Spec::DriftPolicy(policy) => of_policy(policy),
        Spec::BreakGlass(_) => Vec::new(),
    }
}

fn of_source(source: &GitSource) -> Vec<&'static str> {
    let GitSource { url, reference, path: _, secret_ref, verify, render, .. } = source;
    chosen([
        ("an ssh spec.url", url.transport == Transport::Ssh),
        ("spec.secretRef", secret_ref.is_some()),
        ("spec.verify", verify.is_some()),
        ("spec.ref.semver", matches!(reference, SourceRef::Semver(_))),
        ("spec.render.type Kustomize", *render == Render::Kustomize),
        ("spec.render.type Helm", *render == Render::Helm),
    ])
}

fn of_policy(policy: &DriftPolicy) -> Vec<&'static str> {
    let DriftPolicy { repair, .. } = policy;
    let repairs = |asks: &dyn Fn(&Repair) -> bool| {
        repair.as_ref().is_some_and(|repair| repair.mode != RepairMode::Never && asks(repair))
    };
    chosen([
        ("spec.repair.mode Manual", repair.is_some_and(|repair| repair.mode == RepairMode::Manual)),
        ("spec.repair.prune", repairs(&|repair| repair.prune)),
        ("spec.repair.holdAbove", repairs(&|repair| repair.hold_above.is_some())),
    ])
}

fn chosen<const N: usize>(members: [(&'static str, bool); N]) -> Vec<&'static str> {
    members.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
}
