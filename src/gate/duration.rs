//! How long is `1h30m`? Durations as people write them, in policies and in annotations.

use std::time::Duration;

/// Longest duration that is understood; beyond it sums of times would overflow.
const DURATION_MAX: Duration = Duration::from_hours(10 * 366 * 24);

/// Longest text of a duration, in characters.
const DURATION_CHARS_MAX: usize = 64;

/// A duration as Go's `time.ParseDuration` reads it, but not negative: `1h30m`, `10s`, `1.5h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{}` is no duration such as 30s, 10m or 1h30m", text.escape_debug());
    if text.chars().count() > DURATION_CHARS_MAX {
        return Err(fault());
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fault)?;
        let (number, behind) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| fault())?;
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(fault()),
        };
        seconds += number * unit;
        rest = behind;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if text.is_empty() || duration > DURATION_MAX => Err(fault()),
        Ok(duration) => Ok(duration),
        Err(_) => Err(fault()),
    }
}

/// A duration as people write it, the largest units first: `1h30m`; whole seconds, and at least one unit.
pub fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let parts: Vec<String> = units.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for seconds in [0, 1, 59, 60, 61, 3_599, 3_600, 5_400, 7_261, 360_000] {
            let span = Duration::from_secs(seconds);
            assert_eq!(duration(&written(span)), Ok(span));
        }
        assert_eq!(written(Duration::from_mins(90)), "1h30m");
    }
}
