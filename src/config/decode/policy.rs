//! What does this DriftPolicy say?

use crate::config::crd::{BreakGlassBounds, DriftPolicy, Ignore, PolicyMatch, Rulings};
use crate::config::decode::{distinct, globs, kinds, optional, subject};
use crate::config::reader::{Members, Place};
use crate::config::values;
use crate::drift::path::Pattern;
use crate::gate::policy::{Delegation, FailurePolicy, Mode, Role, Writer};
use crate::gate::repair::{HoldAbove, Repair, RepairBy, RepairMode};
use crate::gate::verdict::Ruling;
use crate::limits::{PRECEDENCE_MAX, ROLLBACK_MAX};
use crate::yaml::Value;

const ALL_RULINGS: [(&str, Ruling); 5] = [
    ("Allow", Ruling::Allow),
    ("Warn", Ruling::Warn),
    ("Annotate", Ruling::Annotate),
    ("Revert", Ruling::Revert),
    ("Deny", Ruling::Deny),
];

/// What is undeclared has no value in Git to be put back.
const RULINGS_BUT_REVERT: [(&str, Ruling); 4] =
    [("Allow", Ruling::Allow), ("Warn", Ruling::Warn), ("Annotate", Ruling::Annotate), ("Deny", Ruling::Deny)];

pub(super) fn read(place: Place<'_>) -> Option<DriftPolicy> {
    let spec = place.object(&[
        "precedence",
        "mode",
        "match",
        "rulings",
        "failurePolicy",
        "rollback",
        "writers",
        "ignore",
        "breakGlass",
        "repair",
    ])?;
    let precedence = optional(&spec, "precedence", |place| place.integer(0..=PRECEDENCE_MAX));
    let modes = [("Observe", Mode::Observe), ("Enforce", Mode::Enforce)];
    let mode = optional(&spec, "mode", |place| place.word(&modes));
    let matches = optional(&spec, "match", matches);
    let rulings = optional(&spec, "rulings", rulings);
    let policies = [("Ignore", FailurePolicy::Ignore), ("Fail", FailurePolicy::Fail)];
    let failure_policy = optional(&spec, "failurePolicy", |place| place.word(&policies));
    let rollback = optional(&spec, "rollback", |place| place.integer(0..=ROLLBACK_MAX));
    let writers = optional(&spec, "writers", |place| list(&place, writer));
    let ignore = optional(&spec, "ignore", |place| list(&place, ignore));
    let break_glass = optional(&spec, "breakGlass", break_glass);
    let repair = optional(&spec, "repair", repair);
    let policy = DriftPolicy {
        precedence: precedence?,
        mode: mode?.unwrap_or_default(),
        matches: matches?.unwrap_or_default(),
        rulings: rulings?.unwrap_or_default(),
        failure_policy: failure_policy?.unwrap_or_default(),
        rollback: rollback?.unwrap_or_default(),
        writers: writers?.unwrap_or_default(),
        ignore: ignore?.unwrap_or_default(),
        break_glass: break_glass?,
        repair: repair?,
    };
    can_block(&policy, &spec);
    Some(policy)
}

/// A policy that cannot deny can never block.
fn can_block(policy: &DriftPolicy, spec: &Members<'_>) {
    let Some(place) = spec.get("failurePolicy").filter(|_| policy.failure_policy == FailurePolicy::Fail) else {
        return;
    };
    let Rulings { drift, delete, undeclared_fields, undeclared_objects, derived_objects } = policy.rulings;
    let drift = drift.unwrap_or_default();
    let others = [delete.unwrap_or(drift)].into_iter().chain(undeclared_fields).chain(undeclared_objects);
    let denies = others.chain(derived_objects).chain([drift]).any(|ruling| ruling == Ruling::Deny);
    if policy.mode == Mode::Observe {
        place.wrong("is Fail, but mode Observe never denies");
    } else if !denies {
        place.wrong("is Fail, but no ruling is Deny");
    }
}

/// A list whose items have distinct names.
fn list<'n, T>(place: &Place<'n>, read: impl FnMut(Place<'n>) -> Option<T>) -> Option<Vec<T>> {
    let read = place.each(read);
    if let Value::Array(items) = &place.node.value
        && !items.is_empty()
    {
        distinct(place.items()?.into_iter());
    }
    read
}

fn matches(place: Place<'_>) -> Option<PolicyMatch> {
    let members = place.object(&["sources", "namespaces", "kinds"])?;
    let sources = optional(&members, "sources", |place| place.each(|item| item.parse(values::name)));
    let namespaces = optional(&members, "namespaces", |place| globs(&place));
    let kinds = optional(&members, "kinds", |place| kinds(&place));
    Some(PolicyMatch { sources: sources?, namespaces: namespaces?, kinds: kinds? })
}

fn rulings(place: Place<'_>) -> Option<Rulings> {
    let members = place.object(&["drift", "delete", "undeclaredFields", "undeclaredObjects", "derivedObjects"])?;
    let drift = optional(&members, "drift", |place| place.word(&ALL_RULINGS));
    let delete = optional(&members, "delete", |place| place.word(&ALL_RULINGS));
    let undeclared_fields = optional(&members, "undeclaredFields", |place| place.word(&RULINGS_BUT_REVERT));
    let undeclared_objects = optional(&members, "undeclaredObjects", |place| place.word(&RULINGS_BUT_REVERT));
    let derived_objects = optional(&members, "derivedObjects", |place| place.word(&RULINGS_BUT_REVERT));
    Some(Rulings {
        drift: drift?,
        delete: delete?,
        undeclared_fields: undeclared_fields?,
        undeclared_objects: undeclared_objects?,
        derived_objects: derived_objects?,
    })
}

fn fields(place: &Place<'_>) -> Option<Vec<Pattern>> {
    place.each(|item| item.parse(str::parse::<Pattern>))
}

fn writer(place: Place<'_>) -> Option<Writer> {
    #[derive(Clone, Copy)]
    enum As {
        Deployer,
        Controller,
    }
    let members = place.object(&["name", "role", "subjects", "allow"])?;
    let name = members.need("name").and_then(|name| name.text());
    let roles = [("Deployer", As::Deployer), ("Controller", As::Controller)];
    let role = members.need("role").and_then(|role| role.word(&roles));
    let subjects = members.need("subjects").and_then(|place| place.each(subject));
    let allow = optional(&members, "allow", |place| place.each(delegation));
    let role = match (role?, members.get("allow")) {
        (As::Deployer, None) => Role::Deployer,
        (As::Deployer, Some(allow)) => {
            allow.wrong("belongs to the role Controller only: a deployer is trusted by content");
            return None;
        }
        (As::Controller, Some(_)) => Role::Controller(allow?.unwrap_or_default()),
        (As::Controller, None) => {
            members.need("allow")?;
            return None;
        }
    };
    Some(Writer { name: name?.to_owned(), role, subjects: subjects? })
}

fn delegation(place: Place<'_>) -> Option<Delegation> {
    let members = place.object(&["kinds", "fields"])?;
    let kinds = members.need("kinds").and_then(|place| kinds(&place));
    let fields = members.need("fields").and_then(|place| fields(&place));
    Some(Delegation { kinds: kinds?, fields: fields? })
}

fn ignore(place: Place<'_>) -> Option<Ignore> {
    let members = place.object(&["name", "kinds", "namespaces", "names", "subjects", "fields", "reason", "expires"])?;
    let name = members.need("name").and_then(|name| name.text());
    let kinds = optional(&members, "kinds", |place| kinds(&place));
    let namespaces = optional(&members, "namespaces", |place| globs(&place));
    let names = optional(&members, "names", |place| globs(&place));
    let subjects = optional(&members, "subjects", |place| place.each(subject));
    let fields = members.need("fields").and_then(|place| fields(&place));
    let reason = members.need("reason").and_then(|reason| reason.text());
    let expires = optional(&members, "expires", |place| place.parse(values::time));
    Some(Ignore {
        name: name?.to_owned(),
        kinds: kinds?,
        namespaces: namespaces?,
        names: names?,
        subjects: subjects?,
        fields: fields?,
        reason: reason?.to_owned(),
        expires: expires?,
    })
}

fn break_glass(place: Place<'_>) -> Option<BreakGlassBounds> {
    let members = place.object(&["maxDuration", "reasonPattern"])?;
    let max_duration = optional(&members, "maxDuration", |place| place.parse(values::duration));
    let reason_pattern = optional(&members, "reasonPattern", |place| place.parse(values::pattern));
    Some(BreakGlassBounds { max_duration: max_duration?, reason_pattern: reason_pattern? })
}

fn repair(place: Place<'_>) -> Option<Repair> {
    let members = place.object(&["mode", "by", "prune", "deploy", "holdAbove"])?;
    let modes = [("Automatic", RepairMode::Automatic), ("Manual", RepairMode::Manual), ("Never", RepairMode::Never)];
    let mode = optional(&members, "mode", |place| place.word(&modes));
    let by = optional(&members, "by", |place| {
        place.word(&[("Deployer", RepairBy::Deployer), ("Landfast", RepairBy::Landfast)])
    });
    let prune = optional(&members, "prune", |place| place.boolean());
    let deploy = optional(&members, "deploy", |place| place.boolean());
    let hold_above = optional(&members, "holdAbove", |place| match &place.node.value {
        Value::Number(_) => {
            place.integer(0..=i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok()).map(HoldAbove::Objects)
        }
        _ => place.parse(values::percent),
    });
    Some(Repair {
        mode: mode?.unwrap_or_default(),
        by: by?,
        prune: prune?.unwrap_or(false),
        deploy: deploy?.unwrap_or(false),
        hold_above: hold_above?,
    })
}
