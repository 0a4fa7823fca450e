//! What does a log line look like? One JSON object, its members those of the event.

use std::fmt::{self, Debug, Write as _};

use serde::Serialize;
use serde_json::value::RawValue;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A member that holds JSON, not text, has a name with this ending; it is written without it.
const JSON: &str = ".json";

/// Writes an event as one line: `timestamp`, `level`, `message`, its members, `target`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Line::default();
        line.add("timestamp", &time);
        line.add("level", event.metadata().level().as_str());
        event.record(&mut line);
        line.add("target", event.metadata().target());
        writeln!(writer, "{{{}}}", line.0)
    }
}

/// Members so far, with commas between them.
#[derive(Default)]
struct Line(String);

impl Line {
    fn add(&mut self, name: &str, value: impl Serialize) {
        // Neither text nor a number fails to be written; a float that is none is null.
        if let (Ok(name), Ok(value)) = (serde_json::to_string(name), serde_json::to_string(&value)) {
            let comma = if self.0.is_empty() { "" } else { "," };
            let _ = write!(self.0, "{comma}{name}:{value}");
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let json = field.name().strip_suffix(JSON).zip(serde_json::from_str::<&RawValue>(value).ok());
        match json {
            Some((name, json)) => self.add(name, json),
            None => self.add(field.name(), value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field.name(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_object_and_what_is_json_stays_json() {
        let kept = Kept::default();
        let writer = kept.clone();
        let logs = tracing_subscriber::fmt().event_format(JsonLine).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(logs, || {
            let error = io::Error::other("no \"such\"");
            let fields = r#"[{"path":"spec.replicas","git":3}]"#;
            tracing::info!(target: "here", count = 2, share = 0.5, on = true, name = %"a\nb", fields.json = fields, "Ruled");
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                odd.json = "{",
                none = Option::<&str>::None,
                "{} of it",
                1
            );
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let without_time = |mut line: Value| {
            assert!(line.as_object_mut().unwrap().remove("timestamp").unwrap().as_str().unwrap().contains('T'));
            line
        };
        let first = json!({"level": "INFO", "message": "Ruled", "count": 2, "share": 0.5, "on": true, "name": "a\nb",
            "fields": [{"path": "spec.replicas", "git": 3}], "target": "here"});
        let second = json!({"level": "WARN", "message": "1 of it", "error": "no \"such\"", "odd.json": "{",
            "target": "landfast::cli::log::tests"});
        assert_eq!(lines.into_iter().map(without_time).collect::<Vec<_>>(), [first, second]);
    }
}
