//! Who writes, and what is that to us? A role, and what the role may move.
//!
//! By user name and groups alone; the user agent and the field manager can be forged and are never read.

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::basis::SourceId;
use crate::gate::bookkeeping;
use crate::gate::policy::{Delegation, Policy, Role, Subject};
use crate::gate::tables::{self, Account};
use crate::gate::verdict::WriterRole;
use crate::gate::write::User;

/// What begins the user name of every service account: the API server composes it, nobody can choose it.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A writer, as the policies that match an object know it.
#[derive(Debug, Clone)]
pub struct Identity<'b> {
    /// What it is to us.
    pub role: WriterRole,
    delegations: Vec<&'b Delegation>,
    account: Option<Account>,
    /// The policies that name it, each with its name there.
    named: Vec<(&'b str, &'b str)>,
}

impl<'b> Identity<'b> {
    /// Finds out what a user is to the object at `key`. The writers of all policies that match it add up.
    pub fn of(user: &User, policy: &'b Policy, key: &ObjectKey, source: Option<&SourceId>) -> Self {
        let mut deployer = false;
        let (mut delegations, mut named) = (Vec::new(), Vec::new());
        let writers =
            policy.matching(key, source).flat_map(|rule| rule.writers.iter().map(move |writer| (rule, writer)));
        for (rule, writer) in writers {
            if !writer.subjects.iter().any(|subject| subject.is(user)) {
                continue;
            }
            named.push((rule.name.as_str(), writer.name.as_str()));
            match &writer.role {
                Role::Deployer => deployer = true,
                Role::Controller(allowed) => delegations.extend(allowed),
            }
        }
        let account = tables::account(&user.name);
        let role = if policy.landfast.as_ref() == Some(&user.name) {
            WriterRole::Landfast
        } else if deployer {
            WriterRole::Deployer
        } else if account.is_some() || !delegations.is_empty() {
            WriterRole::Controller
        } else if user.name.starts_with(SERVICE_ACCOUNT) {
            WriterRole::Service
        } else {
            WriterRole::Person
        };
        Self { role, delegations, account, named }
    }

    /// The entries of policies that name it.
    pub fn entries(&self) -> impl Iterator<Item = (&'b str, &'b str)> {
        self.named.iter().copied()
    }

    /// Whether it may give this field of this object any value. `replicas` is where the kind's `/scale` writes.
    pub fn may_move(&self, key: &ObjectKey, path: &FieldPath, replicas: Option<&FieldPath>) -> bool {
        let bookkeeping = self.role == WriterRole::Deployer && bookkeeping::is_bookkeeping(key, path);
        bookkeeping
            || self.delegations.iter().any(|delegation| delegation.covers(key, path))
            || self.account.is_some_and(|account| account.may_move(key, path, replicas))
    }

    /// Whether it makes this object in every namespace, without what Git may declare of it.
    pub fn makes(&self, key: &ObjectKey) -> bool {
        self.account.is_some_and(|account| account.makes(key))
    }

    /// Whether it deletes such objects as a part of its work. `owned`: the object names owners, so that it may be condemned.
    pub fn may_delete(&self, key: &ObjectKey, owned: bool) -> bool {
        self.account.is_some_and(|account| account.may_delete(key, owned))
    }
}

impl Subject {
    /// Whether this names the user.
    pub fn is(&self, user: &User) -> bool {
        match self {
            Self::User(name) => *name == user.name,
            Self::Group(name) => user.groups.contains(name),
            Self::ServiceAccount { namespace, name } => {
                let account = user.name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
                account == Some((namespace, name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::policy::{Rule, Writer};

    fn user(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        User { name: name.to_owned(), groups, ..User::default() }
    }

    fn role(policy: &Policy, user: &User) -> WriterRole {
        Identity::of(user, policy, &ObjectKey::new("apps", "Deployment", "shop", "web"), None).role
    }

    #[test]
    fn everybody_has_one_role() {
        let policy =
            Policy { landfast: Some("system:serviceaccount:landfast-system:landfast".into()), ..Policy::default() };
        let cases = [
            ("system:serviceaccount:landfast-system:landfast", WriterRole::Landfast),
            ("system:serviceaccount:kube-system:deployment-controller", WriterRole::Controller),
            ("system:kube-controller-manager", WriterRole::Controller),
            ("system:kube-scheduler", WriterRole::Controller),
            ("system:node:node-1", WriterRole::Controller),
            ("system:serviceaccount:shop:deployment-controller", WriterRole::Service),
            ("system:serviceaccount:kube-system:coredns", WriterRole::Service),
            ("alice", WriterRole::Person),
            ("deployment-controller", WriterRole::Person),
        ];
        for (name, expected) in cases {
            assert_eq!(role(&policy, &user(name, &["system:masters"])), expected, "{name}");
        }
    }

    #[test]
    fn subjects_are_known_as_rbac_knows_them() {
        let account = Subject::ServiceAccount { namespace: "argocd".into(), name: "controller".into() };
        assert!(account.is(&user("system:serviceaccount:argocd:controller", &[])));
        assert!(!account.is(&user("system:serviceaccount:argocd:controller:x", &[])));
        assert!(!account.is(&user("argocd:controller", &[])));
        assert!(Subject::Group("ci".into()).is(&user("bot", &["a", "ci"])));
        assert!(!Subject::Group("ci".into()).is(&user("ci", &[])));
        assert!(Subject::User("bot".into()).is(&user("bot", &[])));
    }

    #[test]
    fn writers_of_all_matching_policies_add_up() {
        let writer = |role| Writer { name: "w".into(), role, subjects: vec![Subject::User("bot".into())] };
        let first = Rule::named("first", 1);
        let second = Rule { writers: vec![writer(Role::Deployer)], ..Rule::named("second", 2) };
        let policy = Policy { rules: vec![first, second], ..Policy::default() };
        assert_eq!(role(&policy, &user("bot", &[])), WriterRole::Deployer);
    }
}
