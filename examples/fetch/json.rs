//! The output of a run as JSON: a line per fetch, and a line for the run.
//!
//! A writer for four kinds of values is enough, and nothing is parsed.

use std::fmt::Write;
use std::time::Duration;

use crate::fetch::Fetch;
use crate::stats::Stats;
use crate::timing::Phase;

/// The percentiles of the summary, with their names.
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99_9", 99.9)];

/// Returns the line of a fetch; if `verbose`, with the fields of the last response.
pub(crate) fn fetch(fetch: &Fetch, verbose: bool) -> String {
    let timing = &fetch.timing;
    let last = fetch.exchanges.last();
    let received = fetch.outcome.as_ref().ok();
    let mut object = Object::default();
    object.number("fetch", Some(fetch.job.number as u64));
    object.text("url", Some(&fetch.job.target.given));
    object.raw("ok", &fetch.outcome.is_ok().to_string());
    object.text("error", fetch.outcome.as_ref().err().map(String::as_str));
    object.number("status", last.map(|last| last.head.status.into()));
    object.text(
        "status_line",
        last.map(|last| last.head.status_line.as_str()),
    );
    let redirect = last.and_then(|last| last.head.redirect());
    object.text("location", redirect.as_deref());
    let followed = fetch
        .exchanges
        .iter()
        .skip(1)
        .map(|next| string(&next.url.to_string()));
    object.raw("followed", &array(followed));
    object.number("bytes", received.map(|received| received.bytes));
    let saved = received.and_then(|received| received.saved.as_deref());
    object.text("saved", saved.map(|path| path.to_string_lossy()).as_deref());
    object.number("started_us", Some(micros(timing.started)));
    for phase in Phase::ALL {
        object.number(
            &format!("{}_us", phase.name()),
            timing.spent(phase).map(micros),
        );
    }
    object.number("took_us", Some(micros(timing.took())));
    if verbose {
        let fields = last
            .map(|last| last.head.fields.as_slice())
            .unwrap_or_default();
        let fields = fields.iter().map(|(name, value)| {
            array([string(name), string(&String::from_utf8_lossy(value))].into_iter())
        });
        object.raw("fields", &array(fields));
    }
    object.line()
}

/// Returns the line of the run, with the signal that ended it early, if any.
pub(crate) fn summary(stats: &Stats, signal: Option<&str>) -> String {
    let mut statuses = Object::default();
    for (status, &count) in &stats.statuses {
        statuses.number(&status.to_string(), Some(count));
    }
    let mut took = Object::default();
    for (name, percent) in PERCENTILES {
        let times = Some(&stats.wholes).filter(|times| !times.is_empty());
        took.number(name, times.map(|times| micros(times.percentile(percent))));
    }
    let mut object = Object::default();
    object.number("fetches", Some(stats.over()));
    object.number("succeeded", Some(stats.well));
    object.number("failed", Some(stats.failed));
    object.number("bytes", Some(stats.bytes));
    object.number("took_us", Some(micros(stats.took)));
    object.raw(
        "fetches_per_second",
        &format!("{:.3}", stats.per_second(stats.well)),
    );
    object.raw(
        "bytes_per_second",
        &format!("{:.3}", stats.per_second(stats.bytes)),
    );
    object.text("interrupted_by", signal);
    object.raw("statuses", &statuses.end());
    object.raw("each_took_us", &took.end());
    object.line()
}

/// Returns a duration in microseconds, the unit in the names of the members.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// An object being written.
#[derive(Default)]
struct Object {
    /// The members so far, with commas.
    members: String,
}

impl Object {
    /// Adds a member whose value is already formatted.
    fn raw(&mut self, name: &str, value: &str) {
        if !self.members.is_empty() {
            self.members.push(',');
        }
        self.members += &string(name);
        self.members.push(':');
        self.members += value;
    }

    /// Adds a number, or `null`.
    fn number(&mut self, name: &str, value: Option<u64>) {
        let value = value.map_or("null".to_string(), |number| number.to_string());
        self.raw(name, &value);
    }

    /// Adds a string, or `null`.
    fn text(&mut self, name: &str, value: Option<&str>) {
        let value = value.map_or("null".to_string(), string);
        self.raw(name, &value);
    }

    /// Returns the object.
    fn end(self) -> String {
        format!("{{{}}}", self.members)
    }

    /// Returns the object as a line. (Strings escape line breaks, so the line contains none.)
    fn line(self) -> String {
        self.end() + "\n"
    }
}

/// Returns an array of values that are already formatted.
fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// Returns a string (RFC 8259, section 7). Escapes all control characters, which could affect a terminal.
fn string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for c in text.chars() {
        match c {
            '"' => string += "\\\"",
            '\\' => string += "\\\\",
            '\n' => string += "\\n",
            '\r' => string += "\\r",
            '\t' => string += "\\t",
            c if c.is_control() => {
                // All control characters are in the basic plane.
                write!(string, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
            }
            c => string.push(c),
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_the_rfc_says() {
        for (text, json) in [
            ("", r#""""#),
            ("plain ü ✓ \u{1f438}", "\"plain ü ✓ \u{1f438}\""),
            ("a\"b\\c/d", r#""a\"b\\c/d""#),
            (
                "\n\r\t\0\u{1b}\u{7f}\u{85}",
                r#""\n\r\t\u0000\u001b\u007f\u0085""#,
            ),
        ] {
            assert_eq!(string(text), json);
        }
    }

    #[test]
    fn an_object_has_commas_between_its_members() {
        let mut object = Object::default();
        object.number("a", Some(1));
        object.number("b", None);
        object.text("c\"", Some("x\ny"));
        object.raw("d", &array(["1".to_string(), "2".to_string()].into_iter()));
        assert_eq!(
            object.line(),
            "{\"a\":1,\"b\":null,\"c\\\"\":\"x\\ny\",\"d\":[1,2]}\n"
        );
        assert_eq!(Object::default().end(), "{}");
    }
}
