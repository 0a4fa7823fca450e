//! Does Landfast stand where comparisons of Git with a cluster go wrong? One test for each of the 54 cases that tripped others.
//!
//! A row's test bears its number. The API server decides wherever it can (see [`judge`]); what is about who writes, or about
//! what a manifest is, is decided by the gate and the renderer themselves. A row of which nothing is built yet stands in
//! [`LATER`], and the last test holds that no row is forgotten.

mod builtin;
mod custom;
pub(crate) mod judge;
mod marks;
mod metadata;
mod secrets;
mod writers;

/// Rows of which nothing holds yet, each with the reason.
const LATER: [(u8, &str); 1] =
    [(49, "rendering that gives another result each time: Helm is not built, such a tree declares nothing")];

/// Every row.
const ROWS: std::ops::RangeInclusive<u8> = 1..=54;

#[test]
fn every_row_has_its_test_or_a_reason() {
    let sources = [
        include_str!("builtin.rs"),
        include_str!("custom.rs"),
        include_str!("marks.rs"),
        include_str!("metadata.rs"),
        include_str!("secrets.rs"),
        include_str!("writers.rs"),
    ];
    for row in ROWS {
        let name = format!("#[test]\nfn row_{row:02}_");
        let tests: usize = sources.iter().map(|source| source.matches(&name).count()).sum();
        let is_later = LATER.iter().any(|(later, reason)| *later == row && !reason.is_empty());
        assert_eq!(tests, usize::from(!is_later), "row {row}");
    }
}
