//! How is live brought back to what Git declares? What a policy asks of repair.

/// How live is brought back to what is declared. `Default` is: not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repair {
    /// Whether, and who is asked.
    pub mode: RepairMode,
    /// Who does it; absent: Landfast.
    pub by: Option<RepairBy>,
    /// Whether what Git dropped is deleted.
    pub prune: bool,
    /// Whether objects move on to a new head.
    pub deploy: bool,
    /// How much of a source at once needs a person.
    pub hold_above: Option<HoldAbove>,
}

/// Whether repair happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RepairMode {
    /// By itself.
    Automatic,
    /// When a person approves.
    Manual,
    /// Not at all.
    #[default]
    Never,
}

/// Who repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairBy {
    /// Argo CD or Flux is asked.
    Deployer,
    /// Landfast applies.
    Landfast,
}

/// How much of a source at once needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldAbove {
    /// Share of the source's objects, 0 to 100.
    Percent(u8),
    /// Number of objects.
    Objects(u32),
}
