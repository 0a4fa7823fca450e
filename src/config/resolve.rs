//! What do the operator's objects mean together? Specs become settings: defaults filled, conflicts found, what is not built yet
//! left out of effect.
//!
//! Pure. Reads no file; between objects only, inside one object `decode` has checked.

use std::sync::Arc;

use crate::config::crd::{
    self, BreakGlassBounds, DriftPolicy, GitSource, Globs, Object, PolicyMatch, Render, Rulings, SourceRef, Spec,
};
use crate::config::{Notice, Settings, SourceSettings, Topic, TreeReading, unbuilt, values};
use crate::gate::basis::{Fault, Scope, SourceId};
use crate::gate::ignore::Ignore;
use crate::gate::policy::{Bounds, Match, Policy, Rule};
use crate::gate::verdict::Ruling;
use crate::limits::{
    BREAK_GLASS_LONGEST_DEFAULT, INTERVAL_DEFAULT, MAX_LAG_DEFAULT, PRECEDENCE_DEFAULT, RELEASE_AFTER_DEFAULT,
};

/// Resolves all objects; the faults are all there are between them.
pub(super) fn resolve(objects: &[Object]) -> Result<Settings, Vec<Fault>> {
    let faults = twice(objects);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut settings = Settings::default();
    let mut policies: Vec<(&Object, Rule)> = Vec::new();
    for object in objects {
        match &object.spec {
            Spec::GitSource(spec) => {
                let missing = unbuilt::members(spec);
                if missing.is_empty() {
                    settings.sources.extend(source(object, spec));
                } else {
                    settings.notices.push(without_effect(object, &missing));
                    settings.idle.push(SourceId(object.name.as_str().into()));
                }
            }
            Spec::DriftPolicy(spec) => policies.push((object, rule(&object.name, spec))),
            Spec::BreakGlass(_) => {
                let what = format!("BreakGlass {} opens nothing: it counts in the cluster only", object.name);
                settings.notices.push(Notice { fault: fault(object, what), topic: Topic::Misplaced });
            }
        }
    }
    settings.sources.sort_by(|a, b| a.id.cmp(&b.id));
    // Files have no age: they come first, in the order of their names.
    policies.sort_by(|(x, a), (y, b)| (a.precedence, x.created, &a.name).cmp(&(b.precedence, y.created, &b.name)));
    settings.notices.extend(conflicts(&policies));
    settings.notices.extend(unknown_sources(objects));
    settings.notices.sort();
    let rules = policies.into_iter().map(|(_, rule)| rule).collect();
    settings.policy = Arc::new(Policy { rules, ..Policy::default() });
    Ok(settings)
}

fn fault(object: &Object, what: String) -> Fault {
    Fault { file: object.origin.file.clone(), line: object.origin.line, what }
}

fn twice(objects: &[Object]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        let same = |other: &&Object| other.spec.kind() == object.spec.kind() && other.name == object.name;
        if let Some(first) = objects[..n].iter().find(same) {
            let (kind, name, place) = (object.spec.kind(), &object.name, &first.origin);
            faults.push(fault(object, format!("{kind} {name} is there already, at {place}")));
        }
    }
    faults
}

fn without_effect(object: &Object, missing: &[&str]) -> Notice {
    let (name, missing) = (&object.name, missing.join(", "));
    let what = format!("GitSource {name} asks for what is not built yet: {missing}; it declares nothing");
    Notice { fault: fault(object, what), topic: Topic::NotBuilt }
}

/// `None` only for what [`unbuilt`] holds back.
fn source(object: &Object, spec: &GitSource) -> Option<SourceSettings> {
    let SourceRef::Named(reference) = &spec.reference else { return None };
    let reading = match spec.render {
        Render::Auto => TreeReading::Detected,
        Render::Yaml => TreeReading::Plain,
        Render::Kustomize | Render::Helm => return None,
    };
    let Globs { patterns, set } = spec.scope.namespaces.clone().unwrap_or_default();
    Some(SourceSettings {
        id: SourceId(object.name.as_str().into()),
        url: spec.url.text.clone(),
        reference: reference.clone(),
        path: spec.path.clone(),
        reading,
        interval: spec.interval.unwrap_or(INTERVAL_DEFAULT),
        default_namespace: spec.default_namespace.clone(),
        scope: Scope { namespaces: set, patterns, cluster_scoped: spec.scope.cluster_scoped },
        max_lag: spec.max_lag.unwrap_or(MAX_LAG_DEFAULT),
        created: object.created,
        release_after: spec.release_after.unwrap_or(RELEASE_AFTER_DEFAULT),
    })
}

fn rule(name: &str, spec: &DriftPolicy) -> Rule {
    let Rulings { drift, delete, undeclared_fields, undeclared_objects, derived_objects } = spec.rulings;
    let drift = drift.unwrap_or_default();
    let PolicyMatch { sources, namespaces, kinds } = spec.matches.clone();
    let (namespace_patterns, namespaces) = match namespaces {
        Some(Globs { patterns, set }) => (patterns, Some(set)),
        None => (Vec::new(), None),
    };
    Rule {
        name: name.to_owned(),
        precedence: spec.precedence.unwrap_or(PRECEDENCE_DEFAULT),
        mode: spec.mode,
        failure_policy: spec.failure_policy,
        matches: Match { sources, namespaces, namespace_patterns, kinds },
        drift,
        delete: delete.unwrap_or(drift),
        undeclared_fields: undeclared_fields.unwrap_or(Ruling::Allow),
        undeclared_objects: undeclared_objects.unwrap_or(Ruling::Allow),
        derived_objects: derived_objects.unwrap_or(Ruling::Allow),
        rollback: usize::try_from(spec.rollback).unwrap_or_default(),
        writers: spec.writers.clone(),
        ignore: spec.ignore.iter().map(exception).collect(),
        break_glass: spec.break_glass.clone().map(|BreakGlassBounds { max_duration, reason_pattern }| Bounds {
            longest: max_duration.unwrap_or(BREAK_GLASS_LONGEST_DEFAULT),
            reason: reason_pattern,
        }),
        repair: spec.repair.unwrap_or_default(),
    }
}

fn exception(spec: &crd::Ignore) -> Ignore {
    let crd::Ignore { name, kinds, namespaces, names, subjects, fields, reason, expires } = spec.clone();
    let set = |globs: Option<Globs>| globs.map(|globs| globs.set);
    Ignore { name, kinds, namespaces: set(namespaces), names: set(names), subjects, fields, reason, expires }
}

/// Policies of one precedence that may match one object: the older governs; files have no age, so there the name decides.
fn conflicts(policies: &[(&Object, Rule)]) -> Vec<Notice> {
    let mut notices = Vec::new();
    for (n, (object, rule)) in policies.iter().enumerate() {
        let earlier = policies[..n].iter().map(|(_, earlier)| earlier);
        let rival = earlier.filter(|earlier| earlier.precedence == rule.precedence);
        for rival in rival.filter(|rival| overlap(&rival.matches, &rule.matches)) {
            let (name, first) = (&rule.name, &rival.name);
            let what = format!(
                "DriftPolicy {name} is Conflicted: it overlaps {first} at precedence {}; what both match, {first} governs",
                rule.precedence
            );
            notices.push(Notice { fault: fault(object, what), topic: Topic::Conflict });
        }
    }
    notices
}

fn overlap(a: &Match, b: &Match) -> bool {
    let sources = meet(a.sources.as_deref(), b.sources.as_deref(), |a, b| a == b);
    let kinds = meet(a.kinds.as_deref(), b.kinds.as_deref(), |a, b| a == b);
    let patterns = |rule: &Match| rule.namespaces.is_some().then(|| rule.namespace_patterns.clone());
    let namespaces = meet(patterns(a).as_deref(), patterns(b).as_deref(), |a, b| values::meet(a, b));
    sources && kinds && namespaces
}

/// Whether two lists have something in common; an absent one has everything.
fn meet<T>(a: Option<&[T]>, b: Option<&[T]>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.iter().any(|a| b.iter().any(|b| same(a, b))),
        (None, _) | (_, None) => true,
    }
}

fn unknown_sources(objects: &[Object]) -> Vec<Notice> {
    let is_known =
        |name: &String| objects.iter().any(|other| matches!(other.spec, Spec::GitSource(_)) && other.name == *name);
    let mut notices = Vec::new();
    for object in objects {
        let Spec::DriftPolicy(policy) = &object.spec else { continue };
        for name in policy.matches.sources.iter().flatten().filter(|name| !is_known(name)) {
            let what = format!("DriftPolicy {} matches the GitSource {name}, which is not there", object.name);
            notices.push(Notice { fault: fault(object, what), topic: Topic::Unknown });
        }
    }
    notices
}
