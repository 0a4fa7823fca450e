//! How much is that? Kubernetes quantities, durations and instants, read as Go reads them, so that two writings of one can be
//! told from two different ones.
//!
//! Sources: `k8s.io/apimachinery/pkg/api/resource` (Quantity), Go's `time.ParseDuration`, RFC 3339. Text that is none of
//! them, or too large to hold exactly, is `None`: the caller compares it as written.

use jiff::Timestamp;

/// Finest part of a quantity: Go rounds up to it (`resource.Nano`).
const NANO: i32 = -9;

/// Finest part of an entry of a resource list: the server's defaulting rounds up to it (`SetDefaults_ResourceList`).
const MILLI: i32 = -3;

/// Largest quantity that is written with a binary suffix (`resource.maxAllowed`); a larger one becomes it.
const BINARY_MAX: u128 = i64::MAX as u128;

/// Powers of ten beyond which no quantity is read; Go itself caps long before.
const EXPONENT_MAX: i32 = 1_000;

/// A quantity in its normal form: `mantissa × 10^exponent`, without trailing zeros in the mantissa.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

impl Quantity {
    /// Reads a quantity as `resource.ParseQuantity` does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits_end = rest.find(|next: char| !next.is_ascii_digit() && next != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(digits_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa = 0_u128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
        }
        let (binary, decimal) = suffix_of(suffix)?;
        for _ in 0..binary {
            mantissa = mantissa.checked_mul(1024)?;
        }
        let exponent = decimal - i32::try_from(fraction.len()).ok()?;
        Some(Self { negative, mantissa, exponent }.normal())
    }

    /// Whether this is more than `other`; of two negative ones neither is.
    pub(crate) fn exceeds(self, other: Self) -> bool {
        if self.negative || other.negative {
            return !self.negative;
        }
        // Brought to one exponent; what is too large to be brought there is the larger one.
        let raised = |one: Self, to: i32| {
            let power = 10_u128.checked_pow(u32::try_from(one.exponent - to).ok()?)?;
            one.mantissa.checked_mul(power)
        };
        let exponent = self.exponent.min(other.exponent);
        match (raised(self, exponent), raised(other, exponent)) {
            (Some(ours), Some(theirs)) => ours > theirs,
            (ours, _) => ours.is_none(),
        }
    }

    /// Rounds up to the finest part and drops trailing zeros.
    fn normal(self) -> Self {
        self.rounded_to(NANO)
    }

    fn rounded_to(self, finest: i32) -> Self {
        let Self { negative, mut mantissa, mut exponent } = self;
        let mut rounded = false;
        while exponent < finest {
            rounded |= mantissa % 10 != 0;
            mantissa /= 10;
            exponent += 1;
        }
        mantissa += u128::from(rounded);
        while mantissa > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            exponent += 1;
        }
        if mantissa == 0 {
            return Self { negative: false, mantissa: 0, exponent: 0 };
        }
        Self { negative, mantissa, exponent }
    }
}

/// Where a quantity stands, which decides how finely it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// In a field of its own.
    Alone,
    /// In a resource list, as in `limits`.
    InResourceList,
}

/// Writes a quantity as the server does (`Quantity.CanonicalizeBytes`): `1024Mi` as `1Gi`, but `1073741824` as it is, because
/// the kind of suffix is kept.
pub(crate) fn canonical(text: &str, stands: Stands) -> Option<String> {
    let finest = if stands == Stands::InResourceList { MILLI } else { NANO };
    let quantity = Quantity::parse(text)?.rounded_to(finest);
    if is_kept(text, finest) {
        return Some(text.to_owned());
    }
    let suffix = text.trim_start_matches(|next: char| next.is_ascii_digit() || matches!(next, '.' | '+' | '-'));
    let sign = if quantity.negative { "-" } else { "" };
    if quantity.mantissa == 0 {
        return Some("0".to_owned());
    }
    if let (true, Some(number)) = (suffix.ends_with('i'), quantity.whole()) {
        return Some(format!("{sign}{}", binary(number.min(BINARY_MAX))));
    }
    let thousands = quantity.exponent.div_euclid(3) * 3;
    let power = u32::try_from(quantity.exponent - thousands).ok()?;
    let number = quantity.mantissa.checked_mul(10_u128.pow(power))?;
    let is_exponent = suffix.starts_with('e') || (suffix.starts_with('E') && suffix.len() > 1);
    let known = DECIMAL.iter().find(|(_, power)| *power == thousands && !is_exponent);
    Some(match known {
        _ if thousands == 0 => format!("{sign}{number}"),
        Some((suffix, _)) => format!("{sign}{number}{suffix}"),
        None => format!("{sign}{number}e{thousands}"),
    })
}

/// Whether the server takes this text for canonical and keeps it (`resource.ParseQuantity`: "if the number is in canonical form,
/// reuse the string"): `1e0`, `+1` and `1.500` stay, `1e1`, `1.50` and `1000` do not.
fn is_kept(text: &str, finest: i32) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text).trim_start_matches('0');
    let digits_end = number.find(|next: char| !next.is_ascii_digit() && next != '.').unwrap_or(number.len());
    let (digits, suffix) = number.split_at(digits_end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (Some((binary, decimal)), Ok(places)) = (suffix_of(suffix), i32::try_from(fraction.len())) else {
        return false;
    };
    let length = whole.len().max(1) + fraction.len();
    if binary > 0 {
        let fits = length + 3 * usize::try_from(binary).unwrap_or(usize::MAX) <= 14 && fraction.is_empty();
        return fits && whole.parse::<u64>().is_ok_and(|value| value % 8 != 0);
    }
    let scale = decimal - places;
    let is_canonical = scale % 3 == 0 && !whole.is_empty() && !format!("{whole}{fraction}").ends_with("000");
    is_canonical && length <= 18 && scale >= finest
}

impl Quantity {
    /// The number, where it is whole and large enough to be written with a binary suffix.
    fn whole(self) -> Option<u128> {
        let power = 10_u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        self.mantissa.checked_mul(power).filter(|number| *number >= 1024)
    }
}

/// Writes a number with a binary suffix.
fn binary(mut number: u128) -> String {
    let mut suffixes = BINARY.iter();
    let mut suffix = "";
    while number.is_multiple_of(1024) {
        let Some(next) = suffixes.next() else { break };
        number /= 1024;
        suffix = next;
    }
    format!("{number}{suffix}")
}

/// Suffixes of powers of 1024.
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Suffixes of powers of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// What a suffix multiplies by: powers of 1024, and of ten.
fn suffix_of(suffix: &str) -> Option<(u32, i32)> {
    if let Some(power) = BINARY.iter().position(|known| *known == suffix) {
        return Some((u32::try_from(power).ok()? + 1, 0));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((0, *power));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (exponent.abs() <= EXPONENT_MAX).then_some((0, exponent))
}

/// Reads a Go duration (`1h30m`, `-1.5s`, `0`), in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let digits_end = rest.find(|next: char| !next.is_ascii_digit() && next != '.')?;
        let (number, after) = rest.split_at(digits_end);
        let unit_end = after.find(|next: char| next.is_ascii_digit() || next == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        total = total.checked_add(part(number, unit)?)?;
        rest = after;
    }
    Some(if negative { -total } else { total })
}

/// One part of a duration, in nanoseconds.
fn part(number: &str, unit: &str) -> Option<i128> {
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.into() } * scale;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        total += unit * i128::from(digit - b'0');
    }
    Some(total)
}

/// Reads an instant as Go's RFC 3339 does: a date, a `T`, a time with seconds, an offset.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= 20
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[10] == b'T'
        && bytes[13] == b':'
        && bytes[16] == b':';
    shaped.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
    }

    #[test]
    fn two_writings_of_a_quantity_are_equal() {
        for same in [
            &["1", "1000m", "1e0", "1E0", "+1", "1.0", "01", "1.", "1000000000n", "1000000u"][..],
            &["1Gi", "1024Mi", "1048576Ki", "1073741824"],
            &["500m", "0.5", ".5", "5e-1"],
            &["1E", "1000P", "1e18"],
            &["0", "-0", "0Gi", "0.0", "0n"],
            &["1n", "0.1n", "1e-10", "0.0000000001", "1e-12", "1e-900"],
            &["1.5Gi", "1536Mi"],
            &["-1", "-1000m"],
        ] {
            for other in same {
                assert_eq!(quantity(same[0]), quantity(other), "{other}");
            }
        }
    }

    #[test]
    fn a_quantity_is_written_as_the_server_writes_it() {
        // Seen: what an API server 1.36 made of an HPA's averageValue.
        for (written, kept) in [
            ("1024Mi", "1Gi"),
            ("1073741824", "1073741824"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1e3"),
            ("1n", "1n"),
            ("1.0", "1"),
            ("1500u", "1500u"),
            ("1073741824000m", "1073741824"),
            ("1Ki", "1Ki"),
            ("1000", "1k"),
            ("1E", "1E"),
            ("1e18", "1e18"),
            ("0.5Ki", "512"),
            ("0Gi", "0"),
            ("-1024Ki", "-1Mi"),
            ("1024Ei", "9223372036854775807"),
            ("1e0", "1e0"),
            ("1e1", "10"),
            ("1.500", "1.500"),
            ("1.5e0", "1500e-3"),
            ("1028Mi", "1028Mi"),
            ("+1", "+1"),
        ] {
            assert_eq!(canonical(written, Stands::Alone).as_deref(), Some(kept), "{written}");
        }
        assert_eq!(canonical("1n", Stands::InResourceList).as_deref(), Some("1m"));
        assert_eq!(canonical("1500u", Stands::InResourceList).as_deref(), Some("2m"));
        assert_eq!(canonical("x", Stands::Alone), None);
    }

    #[test]
    fn two_quantities_are_not() {
        for (one, other) in
            [("1", "1m"), ("1G", "1Gi"), ("1", "-1"), ("1M", "1m"), ("1n", "2n"), ("1.1n", "1n"), ("1E", "1e1")]
        {
            assert_ne!(quantity(one), quantity(other), "{one} {other}");
        }
    }

    #[test]
    fn quantities_are_ordered_by_what_they_mean() {
        for (more, less) in [("2Gi", "1Gi"), ("1Gi", "1G"), ("1", "999m"), ("0", "-1"), ("1", "-5"), ("1e30", "1n")] {
            assert!(quantity(more).exceeds(quantity(less)), "{more} {less}");
            assert!(!quantity(less).exceeds(quantity(more)), "{less} {more}");
        }
        assert!(!quantity("1024Mi").exceeds(quantity("1Gi")));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in [
            "",
            "m",
            "1 ",
            " 1",
            "1x",
            "1mm",
            "1.2.3",
            "--1",
            ".",
            "1e",
            "1e1.5",
            "1ki",
            "１",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("8760h", Some(31_536_000_000_000_000)),
            ("8760h0m0s", Some(31_536_000_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("-1m", Some(-60_000_000_000)),
            ("0", Some(0)),
            ("1", None),
            ("", None),
            ("h", None),
            ("1d", None),
            (".s", None),
            ("1h-1m", None),
        ] {
            assert_eq!(duration(text), nanoseconds, "{text}");
        }
    }

    #[test]
    fn instants_are_compared_across_offsets() {
        assert_eq!(instant("2024-01-01T00:00:00Z"), instant("2024-01-01T01:00:00+01:00"));
        assert_ne!(instant("2024-01-01T00:00:00Z"), instant("2024-01-01T00:00:01Z"));
        for text in ["2024-01-01", "2024-01-01 00:00:00Z", "x", "", "2024-13-01T00:00:00Z"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+]?[0-9.]{0,45}[a-zA-Zµ0-9]{0,12}.{0,2}") {
            let _ = (Quantity::parse(&text), duration(&text), instant(&text), canonical(&text, Stands::Alone));
        }
    }
}
