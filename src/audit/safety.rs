//! May a policy be enforced? Not while, within a day, a deployer or the control plane would have been denied by it.
//!
//! Pure: records and the instant come in. Bounded: one record's worth is kept for each policy.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::audit::record::Record;
use crate::gate::tables;
use crate::gate::text::shortened;
use crate::gate::verdict::{Ruling, WriterRole};
use crate::limits;

/// Type of the condition.
pub const SAFE_TO_ENFORCE: &str = "SafeToEnforce";

/// What stands before the time of a refusal, at the end of its message.
const RECORDED: &str = ", last recorded ";

/// The latest refusal of a deployer or a control-plane account, for each policy.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    latest: BTreeMap<String, Refusal>,
}

#[derive(Debug, Clone)]
struct Refusal {
    time: Timestamp,
    user: String,
    what: String,
}

/// A condition as Kubernetes has them in a status, save what only its writer knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `SafeToEnforce`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True` or `False`.
    pub status: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
}

impl Refusals {
    /// Those of some records, in any order.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut refusals = Self::default();
        records.into_iter().for_each(|record| refusals.take(record));
        refusals
    }

    /// Takes one more record; most say nothing about safety.
    pub fn take(&mut self, record: &Record) {
        let Some(policy) = record.policy.as_ref().filter(|_| stands_in_the_way(record)) else { return };
        if self.latest.get(policy).is_some_and(|latest| latest.time >= record.time) {
            return;
        }
        let object = &record.object;
        let first = record.fields.first().filter(|_| record.charged > 0);
        let field = first.map(|field| format!(" at {}", field.path)).unwrap_or_default();
        let what = format!("{} of {} {}{field}", record.operation.to_lowercase(), object.kind, object.place());
        let refusal = Refusal { time: record.time, user: record.writer.user.clone(), what };
        self.latest.insert(policy.clone(), refusal);
    }

    /// The condition of a policy at an instant. A refusal counts for [`limits::SAFETY_WINDOW`].
    pub fn condition(&self, policy: &str, now: Timestamp) -> Condition {
        let window = SignedDuration::try_from(limits::SAFETY_WINDOW).unwrap_or(SignedDuration::MAX);
        let refusal = self.latest.get(policy).filter(|refusal| now.duration_since(refusal.time) < window);
        let Some(Refusal { time, user, what }) = refusal else {
            let message =
                "no deployer and no control-plane account would have been denied within 24 h, as far as is on record";
            return Condition {
                kind: SAFE_TO_ENFORCE,
                status: "True",
                reason: "NothingInTheWay",
                message: message.to_owned(),
            };
        };
        let (user, what) = (shortened(user, limits::VALUE_CHARS_MAX), shortened(what, limits::PATH_CHARS_MAX));
        let message = format!("{user} would be denied: {what}{RECORDED}{time:.0}");
        Condition { kind: SAFE_TO_ENFORCE, status: "False", reason: "WouldDeny", message }
    }
}

/// When the refusal was recorded that a message of the condition ends with, where it still counts: another replica may know of one
/// that this one does not.
pub fn refused_at(message: &str, now: Timestamp) -> Option<Timestamp> {
    let window = SignedDuration::try_from(limits::SAFETY_WINDOW).unwrap_or(SignedDuration::MAX);
    let time: Timestamp = message.rsplit_once(RECORDED)?.1.parse().ok()?;
    (now.duration_since(time) < window).then_some(time)
}

/// Whether enforcing breaks what the cluster or its deployers do: a Deny, already enforced or not.
fn stands_in_the_way(record: &Record) -> bool {
    let trusted = record.writer.role == WriterRole::Deployer || tables::account(&record.writer.user).is_some();
    record.ruling == Ruling::Deny && trusted
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use crate::audit::record::tests::verdict;
    use crate::audit::record::{Record, Seen, Writer};
    use crate::audit::safety::{Refusals, refused_at};
    use crate::gate::verdict::{Ruling, WriterRole};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn record(user: &str, role: WriterRole, ruling: Ruling) -> Record {
        let record = Record::of(&verdict("ConfigMap", ruling, "5"), &Seen::default(), at("2026-11-22T10:00:00Z"));
        Record { enforced: false, writer: Writer { user: user.to_owned(), role }, ..record }
    }

    fn status(record: &Record, now: &str) -> &'static str {
        Refusals::of([record]).condition("shop", at(now)).status
    }

    #[test]
    fn only_a_deployer_or_the_control_plane_stands_in_the_way() {
        let cases = [
            ("ci", WriterRole::Deployer, "False"),
            ("system:serviceaccount:argocd:argocd-application-controller", WriterRole::Deployer, "False"),
            ("system:kube-controller-manager", WriterRole::Controller, "False"),
            ("system:cloud-controller-manager", WriterRole::Controller, "False"),
            ("system:serviceaccount:kube-system:job-controller", WriterRole::Controller, "False"),
            ("system:node:node-1", WriterRole::Controller, "False"),
            ("system:serviceaccount:kube-system:coredns", WriterRole::Service, "True"),
            ("system:serviceaccount:shop:runner", WriterRole::Service, "True"),
            ("system:serviceaccount:keda:keda-operator", WriterRole::Controller, "True"),
            ("system:admin", WriterRole::Person, "True"),
            ("system:anonymous", WriterRole::Person, "True"),
            ("alice", WriterRole::Person, "True"),
        ];
        for (user, role, expected) in cases {
            assert_eq!(status(&record(user, role, Ruling::Deny), "2026-11-22T11:00:00Z"), expected, "{user}");
        }
    }

    #[test]
    fn only_a_refusal_of_the_last_day_counts_enforced_or_not() {
        let refused = record("ci", WriterRole::Deployer, Ruling::Deny);
        assert_eq!(status(&refused, "2026-11-23T09:59:59Z"), "False");
        assert_eq!(status(&refused, "2026-11-23T10:00:00Z"), "True");
        assert_eq!(status(&Record { enforced: true, ..refused }, "2026-11-22T10:00:00Z"), "False");
        for ruling in [Ruling::Warn, Ruling::Annotate, Ruling::Revert] {
            assert_eq!(
                status(&record("ci", WriterRole::Deployer, ruling), "2026-11-22T10:00:00Z"),
                "True",
                "{ruling:?}"
            );
        }
    }

    #[test]
    fn each_policy_has_its_own_and_the_latest_is_named() {
        let early = record("early", WriterRole::Deployer, Ruling::Deny);
        let late = Record {
            time: early.time + SignedDuration::from_hours(2),
            ..record("late", WriterRole::Deployer, Ruling::Deny)
        };
        let other = Record { policy: Some("bank".to_owned()), ..early.clone() };
        let nobodys = Record { policy: None, ..early.clone() };
        for order in [[&early, &late, &other, &nobodys], [&nobodys, &other, &late, &early]] {
            let refusals = Refusals::of(order);
            let condition = refusals.condition("shop", at("2026-11-22T13:00:00Z"));
            assert_eq!((condition.kind, condition.reason), ("SafeToEnforce", "WouldDeny"));
            let message =
                "late would be denied: update of ConfigMap shop/web at data, last recorded 2026-11-22T12:00:00Z";
            assert_eq!(condition.message, message);
            assert_eq!(refused_at(message, at("2026-11-22T13:00:00Z")), Some(late.time));
            assert_eq!(refused_at(message, at("2026-11-23T12:00:00Z")), None);
            assert_eq!(refusals.condition("bank", at("2026-11-22T13:00:00Z")).status, "False");
            assert_eq!(refusals.condition("other", at("2026-11-22T13:00:00Z")).status, "True");
        }
    }
}
