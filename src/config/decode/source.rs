//! What does this GitSource say?

use crate::config::Reference;
use crate::config::crd::{GitSource, Render, SourceRef, SourceScope};
use crate::config::decode::{globs, optional};
use crate::config::reader::{Members, Place};
use crate::config::values;
use crate::limits::INTERVAL_MIN;

pub(super) fn read(place: Place<'_>) -> Option<GitSource> {
    let spec = place.object(&[
        "url",
        "ref",
        "path",
        "secretRef",
        "verify",
        "render",
        "interval",
        "defaultNamespace",
        "scope",
        "maxLag",
        "releaseAfter",
    ])?;
    let url = spec.need("url").and_then(|url| url.parse(values::url));
    let reference = spec.need("ref").and_then(reference);
    let path = optional(&spec, "path", |path| path.parse(values::folder));
    let secret_ref = optional(&spec, "secretRef", named);
    let verify = optional(&spec, "verify", |verify| named(verify.object(&["secretRef"])?.need("secretRef")?));
    let render = optional(&spec, "render", render);
    let interval = optional(&spec, "interval", |interval| {
        let duration = interval.parse(values::duration)?;
        if duration < INTERVAL_MIN {
            interval.wrong(format_args!("is shorter than {}s", INTERVAL_MIN.as_secs()));
            return None;
        }
        Some(duration)
    });
    let default_namespace = optional(&spec, "defaultNamespace", |name| name.parse(values::namespace));
    let scope = spec.need("scope").and_then(scope);
    let max_lag = optional(&spec, "maxLag", |lag| lag.parse(values::duration));
    let release_after = optional(&spec, "releaseAfter", |after| after.parse(values::duration));
    let source = GitSource {
        url: url?,
        reference: reference?,
        path: path?.unwrap_or_default(),
        secret_ref: secret_ref?,
        verify: verify?,
        render: render?.unwrap_or_default(),
        interval: interval?,
        default_namespace: default_namespace?,
        scope: scope?,
        max_lag: max_lag?,
        release_after: release_after?,
    };
    fits_its_scope(&source, &spec);
    Some(source)
}

/// A default namespace outside the scope would make every object that names none a fault.
fn fits_its_scope(source: &GitSource, spec: &Members<'_>) {
    let (Some(namespace), Some(place)) = (&source.default_namespace, spec.get("defaultNamespace")) else { return };
    if !source.scope.namespaces.as_ref().is_some_and(|globs| globs.set.is_match(namespace)) {
        place.wrong(format_args!("is `{namespace}`, which is outside spec.scope.namespaces"));
    }
}

fn named(place: Place<'_>) -> Option<String> {
    place.object(&["name"])?.need("name")?.parse(values::name)
}

fn reference(place: Place<'_>) -> Option<SourceRef> {
    const KNOWN: [&str; 4] = ["branch", "tag", "semver", "commit"];
    let members = place.object(&["branch", "tag", "semver", "commit"])?;
    let mut given = KNOWN.into_iter().filter_map(|name| Some((name, members.get(name)?)));
    let (Some((name, value)), None) = (given.next(), given.next()) else {
        members.place().wrong("takes exactly one of branch, tag, semver, commit");
        return None;
    };
    Some(match name {
        "branch" => SourceRef::Named(Reference::Branch(value.parse(values::ref_name)?)),
        "tag" => SourceRef::Named(Reference::Tag(value.parse(values::ref_name)?)),
        "commit" => SourceRef::Named(Reference::Commit(value.parse(values::commit)?)),
        _ => SourceRef::Semver(value.text()?.to_owned()),
    })
}

fn render(place: Place<'_>) -> Option<Render> {
    let members = place.object(&["type", "helm"])?;
    let kind = members.get("type").map_or(Some(Render::Auto), |kind| {
        kind.word(&[
            ("Auto", Render::Auto),
            ("Yaml", Render::Yaml),
            ("Kustomize", Render::Kustomize),
            ("Helm", Render::Helm),
        ])
    });
    let helm = optional(&members, "helm", helm);
    if let (Some(Render::Auto | Render::Yaml | Render::Kustomize), Some(place)) = (kind, members.get("helm")) {
        place.wrong("belongs to the type Helm only");
        return None;
    }
    helm?;
    kind
}

/// How a chart is rendered; checked for its form only, because charts are not built yet.
fn helm(place: Place<'_>) -> Option<()> {
    let members = place.object(&["releaseName", "valuesFiles", "values"])?;
    let name = optional(&members, "releaseName", |name| name.parse(values::name));
    let files = optional(&members, "valuesFiles", |files| files.each(|file| file.parse(values::folder)));
    let values = optional(&members, "values", |values| values.mapping());
    name?;
    files?;
    values?;
    Some(())
}

fn scope(place: Place<'_>) -> Option<SourceScope> {
    let members = place.object(&["namespaces", "clusterScoped"])?;
    let namespaces = optional(&members, "namespaces", |place| globs(&place));
    let cluster_scoped = optional(&members, "clusterScoped", |place| place.boolean());
    let scope = SourceScope { namespaces: namespaces?, cluster_scoped: cluster_scoped?.unwrap_or(false) };
    if scope.namespaces.is_none() && !scope.cluster_scoped {
        members.place().wrong("allows nothing: name namespaces or say clusterScoped: true");
        return None;
    }
    Some(scope)
}
