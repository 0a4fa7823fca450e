//! What is not built yet? Members that load, but leave their source without effect; one list, so that building one of them means
//! deleting its line.

use crate::config::crd::{GitSource, Render, SourceRef, Transport};

/// The members of a source that are not built yet, as a person writes them.
pub(super) fn members(source: &GitSource) -> Vec<&'static str> {
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

fn chosen<const N: usize>(members: [(&'static str, bool); N]) -> Vec<&'static str> {
    members.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
}
