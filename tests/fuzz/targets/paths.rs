//! Is a path that is printed read as the same path? Text that is one, and paths made of anything.

use landfast::drift::path::{FieldPath, Pattern, Scalar, Segment};

pub(super) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(path) = text.parse::<FieldPath>() {
            comes_back(&path);
        }
        if let Ok(pattern) = text.parse::<Pattern>() {
            assert_eq!(pattern.to_string().parse().as_ref(), Ok(&pattern), "{pattern}");
        }
    }
    comes_back(&made(data));
}

fn comes_back(path: &FieldPath) {
    let printed = path.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(path), "{printed}");
    if !path.0.is_empty() {
        let pattern: Pattern = printed.parse().expect("a path is a pattern of itself");
        assert!(pattern.matches(path), "{printed}");
    }
}

/// A path of anything: each step takes a byte that says what it is, one for a length, and so much text.
fn made(mut data: &[u8]) -> FieldPath {
    let mut segments = Vec::new();
    while let [what, rest @ ..] = data {
        data = rest;
        segments.push(match what % 4 {
            0 => Segment::Field(text(&mut data)),
            1 => Segment::Item(scalar(&mut data)),
            2 => Segment::Index(data.len()),
            _ => Segment::Key((0..=what % 3).map(|_| (text(&mut data), scalar(&mut data))).collect()),
        });
    }
    FieldPath(segments)
}

fn text(data: &mut &[u8]) -> Box<str> {
    let [length, rest @ ..] = *data else { return "".into() };
    let (own, rest) = rest.split_at(rest.len().min(usize::from(*length)));
    *data = rest;
    String::from_utf8_lossy(own).into()
}

fn scalar(data: &mut &[u8]) -> Scalar {
    let [what, rest @ ..] = *data else { return Scalar::Null };
    *data = rest;
    match what % 8 {
        0 => Scalar::Null,
        1 => Scalar::Bool(what / 8 % 2 == 0),
        2 => Scalar::Number((i64::from(*what) - 100).to_string().into()),
        3 => Scalar::Number((f64::from(*what) / 7.0 * 1e20).to_string().into()),
        _ => Scalar::String(text(data)),
    }
}
