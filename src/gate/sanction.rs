//! What does a policy say of this write, before anything is weighed? Its rulings, as far as they fit the writer and the write.

use crate::gate::case::Case;
use crate::gate::policy::{Mode, Rule};
use crate::gate::verdict::{Ruling, WriterRole};
use crate::gate::write;

/// What the governing policy says; without one all is observed as if the defaults were enforced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sanction<'b> {
    pub(crate) policy: Option<&'b str>,
    pub(crate) mode: Mode,
    pub(crate) drift: Ruling,
    pub(crate) delete: Ruling,
    pub(crate) undeclared_fields: Ruling,
}

impl<'b> Sanction<'b> {
    pub(crate) fn of(rule: Option<&'b Rule>) -> Self {
        match rule {
            None => Self {
                policy: None,
                mode: Mode::Observe,
                drift: Ruling::Deny,
                delete: Ruling::Deny,
                undeclared_fields: Ruling::Allow,
            },
            Some(rule) => Self {
                policy: Some(&rule.name),
                mode: rule.mode,
                drift: rule.drift,
                delete: without_change(rule.delete),
                undeclared_fields: rule.undeclared_fields,
            },
        }
    }

    /// What it says of a change of one object. Only people's drift is put back, and only an object that is written itself can
    /// be marked.
    pub(crate) fn of_case(case: &Case<'b>) -> Self {
        let sanction = Self::of(case.rule);
        let fits = |ruling| match ruling {
            Ruling::Revert if case.writer.role != WriterRole::Person => Ruling::Deny,
            Ruling::Annotate if !keeps_mark(case) => Ruling::Warn,
            Ruling::Allow | Ruling::Warn | Ruling::Annotate | Ruling::Revert | Ruling::Deny => ruling,
        };
        Self { drift: fits(sanction.drift), undeclared_fields: fits(sanction.undeclared_fields), ..sanction }
    }

    /// How hard it is: what takes effect weighs more than what is only observed.
    pub(crate) fn weight(&self) -> (Option<Ruling>, Ruling) {
        let effective = match self.mode {
            Mode::Enforce => Some(self.delete),
            Mode::Observe => None,
        };
        (effective.filter(|ruling| *ruling > Ruling::Allow), self.delete)
    }
}

/// Whether the write leaves an object that can be marked: not every subresource keeps metadata.
pub(crate) fn keeps_mark(case: &Case<'_>) -> bool {
    case.write.target.subresource.is_empty()
        && match case.write.change {
            write::Change::Create { .. } | write::Change::Update { .. } => true,
            write::Change::Delete { .. } | write::Change::Connect => false,
        }
}

/// A ruling where nothing can be changed in the write: nothing can be marked, so a warning stands in; nothing can be put back.
pub(crate) fn without_change(ruling: Ruling) -> Ruling {
    match ruling {
        Ruling::Allow => Ruling::Allow,
        Ruling::Warn | Ruling::Annotate => Ruling::Warn,
        Ruling::Revert | Ruling::Deny => Ruling::Deny,
    }
}
