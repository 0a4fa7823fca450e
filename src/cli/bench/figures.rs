//! What is said of a measurement? Its median and its slow end, never its best.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Everything measured in one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Processor, cores and build.
    machine: String,
    pub(super) results: Vec<Figure>,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figure {
    name: String,
    unit: &'static str,
    /// How many reviews were measured.
    n: usize,
    p50: f64,
    /// 99 in 100 were as good or better: for times the slow end, for rates the lowest.
    p99: f64,
}

impl Report {
    pub(super) fn new() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, model)| model);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let build = if cfg!(debug_assertions) { "debug build: figures mean nothing" } else { "release build" };
        Self { machine: format!("{model}, {cores} cores, {build}"), results: Vec::new() }
    }
}

impl Figure {
    /// Of times of single reviews, in microseconds.
    pub(super) fn micros(name: impl Into<String>, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |per_cent| quantile(&times, per_cent).map_or(0.0, |time| rounded(time.as_secs_f64() * 1e6));
        Self { name: name.into(), unit: "µs", n: times.len(), p50: at(50), p99: at(99) }
    }

    /// Of one measurement.
    pub(super) fn once(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { name: name.into(), unit, n: 1, p50: rounded(value), p99: rounded(value) }
    }

    /// Of rates of rounds, in reviews a second; `n` reviews in all.
    pub(super) fn rate(name: impl Into<String>, n: usize, mut rates: Vec<f64>) -> Self {
        rates.sort_by(|a, b| b.total_cmp(a));
        let at = |per_cent| quantile(&rates, per_cent).map_or(0.0, |rate| rounded(*rate));
        Self { name: name.into(), unit: "reviews/s", n, p50: at(50), p99: at(99) }
    }

    /// Of the ratios of rounds.
    pub(super) fn ratio(name: impl Into<String>, n: usize, mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(|a, b| b.total_cmp(a));
        let at = |per_cent| quantile(&ratios, per_cent).map_or(0.0, |ratio| rounded(*ratio));
        Self { name: name.into(), unit: "ratio", n, p50: at(50), p99: at(99) }
    }

    pub(super) fn p50(&self) -> f64 {
        self.p50
    }
}

/// The value that so many per cent do not exceed, by nearest rank.
fn quantile<T>(sorted: &[T], per_cent: usize) -> Option<&T> {
    let rank = (sorted.len() * per_cent).div_ceil(100);
    sorted.get(rank.saturating_sub(1))
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        write!(f, "{:<58} {:>12} {:>12} {:>9}  unit", "", "p50", "p99", "n")?;
        for Figure { name, unit, n, p50, p99 } in &self.results {
            write!(f, "\n{name:<58} {p50:>12.2} {p99:>12.2} {n:>9}  {unit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cli::bench::figures::Figure;

    #[test]
    fn the_slow_end_is_the_slow_end_for_times_and_for_rates() {
        let times = Figure::micros("a", (1..=100).rev().map(Duration::from_micros).collect());
        let expected = Figure { name: "a".to_owned(), unit: "µs", n: 100, p50: 50.0, p99: 99.0 };
        assert_eq!(times, expected);
        let rates = Figure::rate("a", 9, vec![10.0, 30.0, 20.0]);
        assert_eq!(rates, Figure { unit: "reviews/s", n: 9, p50: 20.0, p99: 10.0, ..expected });
    }

    #[test]
    fn nothing_measured_is_no_panic() {
        let expected = Figure { name: "a".to_owned(), unit: "µs", n: 0, p50: 0.0, p99: 0.0 };
        assert_eq!(Figure::micros("a", Vec::new()), expected);
    }
}
