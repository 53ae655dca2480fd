//! The report of a run as text: a table and a picture for a few fetches; a picture, percentiles and totals
//! for a large run.

use crate::columns::columns;
use crate::fetch::{Exchange, Fetch, Received};
use crate::picture::{LENGTH_WIDTH, Scale, bars, label, legend};
use crate::printable::printable;
use crate::stats::{Stats, Times};
use crate::style::{Style, bytes, grouped, rate};
use crate::timing::Phase;

/// The width of a duration in a table, with the spaces after it.
const DURATION_WIDTH: usize = 9;

/// The width of a number of bytes in the table, with the spaces after it.
const BYTES_WIDTH: usize = 12;

/// The percentiles shown for a large run.
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// Returns the whole report.
pub(crate) fn report(stats: &Stats, style: Style) -> String {
    if stats.over() == 0 {
        // A signal ended the run before the first fetch was done.
        return "No fetch is done.\n".to_string();
    }
    let report = match stats.is_sampled() {
        false => format!(
            "{}\n{}\n{}",
            table(stats, style),
            picture(stats, style),
            summary(stats, style)
        ),
        true => format!(
            "{}\n{}{}{}",
            picture(stats, style),
            percentiles(stats, style),
            summary(stats, style),
            tally(stats, style)
        ),
    };
    style.paint(&report)
}

/// Returns the phases that occurred in this run. A run without names resolves none.
fn phases(stats: &Stats) -> Vec<Phase> {
    let was_resolved = |fetch: &Fetch| fetch.timing.spent(Phase::Resolve).is_some();
    let resolved =
        !stats.phases[Phase::Resolve as usize].is_empty() || stats.rows.iter().any(was_resolved);
    let there_was = |phase: &Phase| *phase != Phase::Resolve || resolved;
    Phase::ALL.into_iter().filter(there_was).collect()
}

/// Returns the width of the column with the numbers of the fetches.
fn gutter(stats: &Stats) -> usize {
    let number = match stats.is_sampled() {
        // The column also has numbers of running fetches, with commas.
        true => grouped(stats.total as u64),
        false => stats.total.to_string(),
    };
    number.len() + 3
}

/// Returns two lines per fetch: the URL and the outcome, with the redirects in between.
fn table(stats: &Stats, style: Style) -> String {
    let gutter = gutter(stats);
    let phases = phases(stats);
    let mut table = " ".repeat(gutter);
    for phase in &phases {
        table += &format!("{:>7}  ", phase.name());
    }
    table += &format!("{:>10}  response\n", "bytes");
    for fetch in stats.sorted_rows() {
        let url = style.shorten(&fetch.job.target.text, style.width - gutter);
        table += &format!("{}{url}\n", label(fetch.job.number, gutter));
        for line in followed(fetch) {
            table += &" ".repeat(gutter);
            table += &style.shorten(&line, style.width - gutter);
            table.push('\n');
        }
        table += &" ".repeat(gutter);
        match &fetch.outcome {
            Ok(received) => {
                for &phase in &phases {
                    let spent = fetch.timing.spent(phase);
                    let spent = spent.map(|spent| style.duration(spent));
                    table += &format!("{:>7}  ", spent.unwrap_or_default());
                }
                let numbers = phases.len() * DURATION_WIDTH + BYTES_WIDTH;
                let answer = style.shorten(answer(fetch), style.width - gutter - numbers);
                table += &format!("{:>10}  {answer}\n", grouped(received.bytes));
                if let Some(to) = leads_to(fetch) {
                    let to = style.shorten(&to, style.width - gutter);
                    table += &format!("{:gutter$}{to}\n", "");
                }
                if let Some(path) = &received.saved {
                    table += &format!("{:gutter$}saved as {}\n", "", path.display());
                }
            }
            // Never shortened, because the user has to act on it.
            Err(failure) => table += &format!("{} {failure}\n", style.failed()),
        }
    }
    table
}

/// Returns a line for each redirect that a fetch has followed.
fn followed(fetch: &Fetch) -> impl Iterator<Item = String> {
    fetch.exchanges.windows(2).map(|pair| {
        let status_line = &pair[0].head.status_line;
        format!("{status_line}, followed to {}", pair[1].url)
    })
}

/// Returns the status line of the last response.
fn answer(fetch: &Fetch) -> &str {
    let last = fetch.exchanges.last();
    last.map_or("", |last| &last.head.status_line)
}

/// Returns the target of the last response's redirect, if the redirect was not followed.
fn leads_to(fetch: &Fetch) -> Option<String> {
    let to = fetch.exchanges.last()?.head.redirect()?;
    Some(match to.as_str() {
        "" => "redirects nowhere: the Location is empty".to_string(),
        to => format!("redirects to {}", printable(to.as_bytes())),
    })
}

/// Returns the time axis, the bars and the legend; for a large run, also the columns.
fn picture(stats: &Stats, style: Style) -> String {
    let gutter = gutter(stats);
    let scale = Scale::new(stats.took, style.width - gutter - LENGTH_WIDTH, style);
    let (labels, axis) = scale.axis();
    let mut picture = format!("{:gutter$}{labels}\n{:gutter$}{axis}\n", "", "");
    if stats.is_sampled() {
        picture += &columns(&stats.timeline, &scale, style, gutter);
        picture += &format!(
            "{:gutter$}Above: fetches in progress. Below: one fetch in {}.\n",
            "",
            grouped(stats.every as u64)
        );
    }
    picture += &bars(&stats.sorted_rows(), &scale, gutter);
    let failed = stats.rows.iter().any(|fetch| fetch.outcome.is_err());
    let legend = legend(&phases(stats), failed, style);
    picture + &format!("{:gutter$}{legend}\n", "")
}

/// Returns the percentiles of the phases of successful fetches.
fn percentiles(stats: &Stats, style: Style) -> String {
    if stats.well == 0 {
        return String::new();
    }
    let gutter = gutter(stats);
    let mut table = format!("{:gutter$}{:<10}", "", "");
    for percent in PERCENTILES {
        table += &format!("{:>9}", format!("{percent} %"));
    }
    table += &format!("{:>9}\n", "slowest");
    let phases = phases(stats).into_iter();
    let rows = phases.map(|phase| (phase.name(), &stats.phases[phase as usize]));
    for (name, times) in rows.chain([("total", &stats.wholes)]) {
        let times: &Times = times;
        table += &format!("{:gutter$}{name:<10}", "");
        for percent in PERCENTILES {
            table += &format!("{:>9}", style.duration(times.percentile(percent)));
        }
        table += &format!("{:>9}\n", style.duration(times.longest));
    }
    table + "\n"
}

/// Returns the totals: the time, the time that fetching one by one would have taken, and the rates.
fn summary(stats: &Stats, style: Style) -> String {
    let took = style.duration(stats.took);
    let mut summary = match stats.over() {
        1 => format!("1 fetch in {took}.\n"),
        several => sentence(
            &format!("{} fetches in {took} on one thread", grouped(several)),
            &format!(
                "one by one they would have taken {}",
                style.duration(stats.spent)
            ),
            style,
        ),
    };
    if stats.well > 0 {
        let volume = bytes(stats.bytes as f64 / stats.took.as_secs_f64().max(1e-6));
        let rates = match stats.over() {
            1 => format!("{volume} a second"),
            _ => format!(
                "{} fetches and {volume} a second",
                rate(stats.per_second(stats.well))
            ),
        };
        summary += &match stats.well > 1 && !stats.is_sampled() {
            true => {
                let median = style.duration(stats.wholes.percentile(50.0));
                let longest = style.duration(stats.wholes.longest);
                let times = format!("the median took {median}, the slowest {longest}");
                sentence(&rates, &times, style)
            }
            false => format!("{rates}.\n"),
        };
    }
    if stats.failed > 0 {
        summary += &format!("{} failed.\n", grouped(stats.failed));
    }
    summary
}

/// Joins two halves to a sentence, in two lines if one is too narrow.
fn sentence(first: &str, second: &str, style: Style) -> String {
    let line = format!("{first}; {second}.");
    match line.chars().count() <= style.width {
        true => line + "\n",
        false => format!("{first};\n{second}.\n"),
    }
}

/// Returns the statuses, and a line for each failure, with a count if it occurred more than once.
fn tally(stats: &Stats, style: Style) -> String {
    let mut tally = String::new();
    for (status, &count) in &stats.statuses {
        let separator = if tally.is_empty() { "Status " } else { ", " };
        tally += &format!("{separator}{status}: {}", grouped(count));
    }
    if !tally.is_empty() {
        tally += ".\n";
    }
    for (failure, count) in &stats.failures {
        let times = match count {
            1 => String::new(),
            count => format!(" {} times:", grouped(*count)),
        };
        tally += &format!("{}{times} {failure}\n", style.failed());
    }
    if stats.other_failures > 0 {
        tally += &format!(
            "{} and {} other failures, which --quiet or --json list\n",
            style.failed(),
            grouped(stats.other_failures)
        );
    }
    tally
}

/// Returns what a fetch sent (`>`) and received (`<`), without the bodies.
pub(crate) fn verbose(fetch: &Fetch) -> String {
    let mut text = format!("{} {}\n", fetch.job.number, fetch.job.target.text);
    for Exchange { url, head } in &fetch.exchanges {
        for line in url.request().trim_end().lines() {
            text += &format!("> {line}\n");
        }
        text += &format!("< {}\n", head.status_line);
        for (name, value) in &head.fields {
            text += &format!("< {name}: {}\n", printable(value));
        }
    }
    match &fetch.outcome {
        Ok(Received { bytes: 1, .. }) => text += "1 byte\n\n",
        Ok(received) => text += &format!("{} bytes\n\n", grouped(received.bytes)),
        Err(failure) => text += &format!("failed: {failure}\n\n"),
    }
    text
}
