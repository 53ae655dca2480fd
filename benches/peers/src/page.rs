//! Writes the page of the report, and its table for the front page.

use std::fmt::Write as _;

use crate::data::Data;
use crate::pictures::curves;
use crate::rows::{OURS, REFERENCE, ROWS, RUNTIMES, Row, Section, row};
use crate::stats::{Spread, grouped, least, ratio};

/// The quantities that are times. They are compared by the ratios in the same rounds.
const TIMES: [&str; 6] = ["time", "cpu", "p99", "p50", "p99.9", "build"];

/// The quantities that are counts. They are compared by their minimum.
const COUNTS: [&str; 6] = [
    "syscalls",
    "instructions",
    "bytes",
    "wake-ups",
    "size",
    "crates",
];

/// The largest ratio to the best peer at which a median or a count is level with it.
const MARGIN: f64 = 1.03;

/// The largest difference from the best peer at which a count is level with it: one more wait in fifty operations
/// is not significant.
const COUNT_MARGIN: f64 = 0.02;

/// The text of a cell without a value.
const NOTHING: &str = "–";

/// The markers around the part of the report that the front page shows.
const FRONT_MARKS: [&str; 2] = ["<!-- from the report -->", "<!-- end of the report -->"];

/// The time rows that the front page shows.
const FRONT_TIMES: &[&str] = &[
    "spawn_join",
    "spawn_join_task",
    "spawn_many",
    "spawn_large",
    "spawn_large_trim",
    "yield_1000",
    "wake_all",
    "ping_pong",
    "timer_million",
    "timer_fire",
    "echo",
    "keep_alive",
    "fetch",
    "fetch_large",
];

/// The rows whose syscalls the front page shows.
const FRONT_SYSCALLS: &[&str] = &[
    "spawn_join",
    "spawn_join_task",
    "yield_lone",
    "echo_lone",
    "keep_alive",
    "fetch",
];

/// A remark about rows or quantities.
#[derive(Debug)]
struct Remark {
    /// The keys, each a row with or without a quantity: `yield_1000 time` or `yield_1000`.
    keys: Vec<String>,
    /// The text.
    text: String,
}

impl Remark {
    /// Returns whether the remark is about this quantity of this row.
    fn is_about(&self, row: &str, quantity: &str) -> bool {
        let both = format!("{row} {quantity}");
        self.keys.iter().any(|key| *key == row || *key == both)
    }
}

/// Parses the remarks: a heading of the second level names rows and quantities, separated by commas, and the text
/// up to the next heading is about them. The text above the first heading is for the authors of remarks.
fn remarks(text: &str) -> Result<Vec<Remark>, String> {
    let mut remarks: Vec<Remark> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let keys: Vec<String> = heading.split(',').map(|key| key.trim().into()).collect();
            for key in &keys {
                let mut words = key.split(' ');
                let name = words.next().unwrap_or_default();
                let known = |quantity| TIMES.contains(&quantity) || COUNTS.contains(&quantity);
                if row(name).is_none() || !words.all(known) {
                    return Err(format!(
                        "a remark is about `{key}`, which the report does not have"
                    ));
                }
            }
            let text = String::new();
            remarks.push(Remark { keys, text });
        } else if let Some(remark) = remarks.last_mut() {
            remark.text += line;
            remark.text.push('\n');
        }
    }
    for remark in &mut remarks {
        remark.text = remark.text.trim().into();
    }
    Ok(remarks)
}

/// The comparison of glassfrog with the best of its peers in one quantity of one row.
struct Comparison {
    /// The row.
    row: &'static Row,
    /// The point, if the row is a curve.
    point: Option<u64>,
    /// The quantity.
    quantity: &'static str,
    /// The peer with the least median or count.
    best: &'static str,
    /// The ratio of glassfrog to the best peer.
    ratio: Spread,
    /// The conclusion.
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ahead,
    Level,
    Behind,
}

/// Compares one quantity of a row, or of a point of it.
fn compare(
    data: &Data,
    row: &'static Row,
    point: Option<u64>,
    quantity: &'static str,
) -> Option<Comparison> {
    let name = point.map_or(row.name.into(), |point| row.point(point));
    let is_time = TIMES.contains(&quantity);
    let values = |runtime| data.values(&name, quantity, runtime);
    let middle = |runtime| {
        let values: &[f64] = values(runtime)?;
        match is_time {
            true => Spread::of(values.iter().copied()).map(|spread| spread.median),
            false => Some(least(values)),
        }
    };
    let ours = values(OURS)?;
    let peers = row.runtimes.iter().copied();
    // The state machine and the empty program do less than a runtime does.
    let peers = peers.filter(|runtime| !["raw", "std", OURS].contains(runtime));
    let (best, least_of_best) = peers
        .filter_map(|runtime| Some((runtime, middle(runtime)?)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let (ratio, is_behind, is_ahead) = if is_time {
        let ratio = Spread::of_ratios(ours, values(best)?)?;
        let is_behind = ratio.median > MARGIN && ratio.low > 1.0;
        (
            ratio,
            is_behind,
            ratio.median < 1.0 / MARGIN && ratio.high < 1.0,
        )
    } else {
        let least_of_ours = least(ours);
        // The count of the best peer may be zero.
        let ratio = Spread::of([least_of_ours / least_of_best.max(1e-9)])?;
        let difference = least_of_ours - least_of_best;
        let is_behind = ratio.median > MARGIN && difference > COUNT_MARGIN;
        (
            ratio,
            is_behind,
            ratio.median < 1.0 / MARGIN && difference < -COUNT_MARGIN,
        )
    };
    Some(Comparison {
        row,
        point,
        quantity,
        best,
        ratio,
        verdict: match (is_behind, is_ahead) {
            (true, _) => Verdict::Behind,
            (_, true) => Verdict::Ahead,
            _ => Verdict::Level,
        },
    })
}

/// Returns all comparisons, in the order of the report.
fn comparisons(data: &Data) -> Vec<Comparison> {
    let mut all = Vec::new();
    for row in ROWS {
        for quantity in TIMES.into_iter().chain(COUNTS) {
            all.extend(compare(data, row, None, quantity));
            for &point in row.points {
                all.extend(compare(data, row, Some(point), quantity));
            }
        }
    }
    all
}

/// Returns the name of a quantity in a table.
fn quantity_name(quantity: &str) -> &str {
    match quantity {
        "cpu" => "CPU time",
        "p99" => "99th percentile of the latency",
        "p50" => "median lateness",
        "p99.9" => "99.9th percentile of the lateness",
        "build" => "time of a clean build",
        "size" => "bytes of the binary",
        other => other,
    }
}

/// Returns the name of a row in a table outside its section.
fn row_name(row: &Row) -> String {
    match row.section {
        Section::Requests => format!("request under wrk, {}", row.label),
        Section::Lateness => format!("1 ms tick {}", row.label),
        _ if row.may_trim() => "spawn 1000 tasks of 512 bytes, glibc may trim its heap".into(),
        Section::Cores => format!("on two cores: {}", row.label),
        _ => row.label.into(),
    }
}

/// Writes the page of the report, including the remarks.
pub(crate) fn page(data: &Data, remarks_text: &str) -> Result<String, String> {
    let mut page = Page {
        data,
        remarks: remarks(remarks_text)?,
        text: String::new(),
    };
    page.introduction();
    page.summary();
    page.times();
    page.counts();
    page.requests();
    page.lateness();
    page.scaling();
    page.memory();
    page.program();
    page.repeat();
    Ok(page.text)
}

/// A page being written.
struct Page<'a> {
    /// The measured values.
    data: &'a Data,
    /// The remarks about them.
    remarks: Vec<Remark>,
    /// The text so far.
    text: String,
}

impl Page<'_> {
    fn push(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    fn introduction(&mut self) {
        let conditions = self.data.conditions();
        let mut measured = String::new();
        for conditions in &conditions {
            let _ = writeln!(measured, "- {conditions}");
        }
        let mixed = match conditions.len() {
            0 | 1 => "",
            _ => {
                " The rows were measured under several conditions, which `data.tsv` lists. No number here \
                 combines two of them."
            }
        };
        self.push(&format!(
            "\
<!-- Written by `cargo run --profile count -p glassfrog-peers -- draw` from data.tsv and remarks.md.
     Edit those. -->

# glassfrog among its peers

glassfrog, tokio, smol and monoio run the same generic code, built into one binary with fat LTO. *raw* is a
state machine written by hand on mio, as a lower bound. Each run is a process of its own. The runtimes take
turns, and each round starts with a different one. The measured process is pinned to one core, and the server
or client at its other end is pinned to another.

Times are ratios of two runtimes in the same round: the median of up to {rounds} rounds, with the quartiles in
parentheses. Absolute times are omitted, because they depend more on the machine. The kernel counts syscalls and
callgrind counts instructions; both are the difference between a long run and a short one, per operation. In
timed runs, glibc keeps the memory that it has (no trimming, no `mmap` for large blocks). Otherwise, page faults
would hide the differences between the runtimes, because it depends on chance whether freed memory is at the top
of the heap. One row shows their effect. The values are in [`data.tsv`](data.tsv).

Every runtime has its default settings and one thread: tokio's `LocalRuntime`, smol's `LocalExecutor` under
`smol::block_on`, monoio's legacy driver (epoll, without io_uring), and `glassfrog::block_on`.

{measured}{mixed}
",
            rounds = self.data.rounds(),
        ));
    }

    /// Writes how often glassfrog is ahead, level and behind, and the rows in which it is behind.
    fn summary(&mut self) {
        let all = comparisons(self.data);
        let count = |verdict, quantities: &[&str]| {
            let of = all.iter().filter(|it| quantities.contains(&it.quantity));
            of.filter(|it| it.verdict == verdict).count()
        };
        self.push("## In short\n");
        self.push(
            "Each row compares glassfrog with the *best* of tokio, smol and monoio in that row. Two \
             runtimes are level if they differ by at most 3 %, or if one quartile of their ratio is below 1 \
             and the other above.\n",
        );
        self.push("| glassfrog compared with the best of the three | ahead | level | behind |");
        self.push("| --- | ---: | ---: | ---: |");
        let groups: [(&str, &[&str]); 3] = [
            ("in time", &TIMES[..3]),
            ("in lateness", &["p50", "p99.9"]),
            (
                "in syscalls, instructions, memory, size and build time",
                &[
                    "syscalls",
                    "instructions",
                    "bytes",
                    "wake-ups",
                    "size",
                    "crates",
                    "build",
                ],
            ),
        ];
        for (name, quantities) in groups {
            let [ahead, level, behind] = [Verdict::Ahead, Verdict::Level, Verdict::Behind]
                .map(|verdict| count(verdict, quantities));
            self.push(&format!("| {name} | {ahead} | {level} | {behind} |"));
        }
        self.push("\n### Where glassfrog is behind\n");
        let behind: Vec<_> = all
            .iter()
            .filter(|it| it.verdict == Verdict::Behind)
            .collect();
        if behind.is_empty() {
            self.push("glassfrog is not behind in any row.\n");
            return;
        }
        self.push("| row | quantity | best | glassfrog, best = 1 | reason |");
        self.push("| --- | --- | --- | ---: | --- |");
        let mut reasons: Vec<&Remark> = Vec::new();
        let mut lines = String::new();
        for comparison in behind {
            let Comparison {
                row,
                point,
                quantity,
                best,
                ratio,
                ..
            } = comparison;
            let what = match point {
                Some(point) => format!("{}, N = {}", row_name(row), grouped(*point as f64)),
                None => row_name(row),
            };
            let remark = self
                .remarks
                .iter()
                .find(|it| it.is_about(row.name, quantity));
            let why = match remark {
                None => "not explained yet".into(),
                Some(remark) => {
                    let known = reasons.iter().position(|it| it.keys == remark.keys);
                    let index = known.unwrap_or_else(|| {
                        reasons.push(remark);
                        reasons.len() - 1
                    });
                    format!("{}", index + 1)
                }
            };
            let quantity = quantity_name(quantity);
            let ratio = spread(*ratio);
            let _ = writeln!(lines, "| {what} | {quantity} | {best} | {ratio} | {why} |");
        }
        for (index, remark) in reasons.iter().enumerate() {
            let text = remark.text.replace('\n', "\n   ");
            let _ = write!(lines, "\n{}. {text}", index + 1);
        }
        self.push(&lines);
        self.text.push('\n');
    }

    /// Writes a picture.
    fn picture(&mut self, name: &str, title: &str) {
        self.push(&format!("![{title}]({name})\n"));
    }

    /// Writes a table of the ratios of rows to the reference in the same rounds.
    fn ratios(&mut self, first: &str, rows: &[(String, &str, &str)]) {
        let mut lines = head(first, &RUNTIMES);
        let mut any = false;
        for (label, row, quantity) in rows {
            let Some(reference) = self.data.values(row, quantity, REFERENCE) else {
                continue;
            };
            any = true;
            let cells = RUNTIMES.map(|runtime| {
                let values = self.data.values(row, quantity, runtime);
                let ratio = values.and_then(|values| Spread::of_ratios(values, reference));
                match ratio {
                    _ if runtime == REFERENCE => "1".into(),
                    Some(ratio) => spread(ratio),
                    None => NOTHING.into(),
                }
            });
            lines += &line(label, &cells);
        }
        match any {
            true => self.push(&lines),
            false => self.push("*Not measured.*\n"),
        }
    }

    /// Writes a table of counts.
    fn count_table(&mut self, rows: &[&Row], quantity: &str, number: impl Fn(f64) -> String) {
        let mut lines = head(quantity, &RUNTIMES);
        let mut any = false;
        for row in rows {
            let value = |runtime| Some(least(self.data.values(row.name, quantity, runtime)?));
            let cells = RUNTIMES.map(|runtime| match value(runtime) {
                Some(value) => number(value),
                None => NOTHING.into(),
            });
            if cells.iter().any(|cell| cell != NOTHING) {
                any = true;
                lines += &line(row.label, &cells);
            }
        }
        match any {
            true => self.push(&lines),
            false => self.push("*Not measured.*\n"),
        }
    }

    fn times(&mut self) {
        self.push("## Time\n");
        self.picture("time.svg", "Time for one operation, relative to tokio");
        let of = |sections: &[Section]| -> Vec<_> {
            let rows = ROWS.iter().filter(|row| sections.contains(&row.section));
            rows.map(|row| (row.label.into(), row.name, "time"))
                .collect()
        };
        self.ratios("time, tokio = 1", &of(&[Section::Tasks, Section::Sockets]));
        self.push(
            "On two cores, glassfrog's `Workers` compared with tokio's multi-threaded runtime, whose \
             tasks move between threads:\n",
        );
        self.ratios("time, tokio = 1", &of(&[Section::Cores]));
    }

    fn counts(&mut self) {
        let rows: Vec<&Row> = ROWS.iter().filter(|row| row.counted.is_some()).collect();
        self.push("## Syscalls\n");
        self.picture("syscalls.svg", "Syscalls for one operation, by kind");
        self.count_table(&rows, "syscalls", |value| format!("{value:.2}"));
        self.push("<details><summary>By name</summary>\n");
        for row in &rows {
            self.kinds(row);
        }
        self.push("</details>\n");
        self.push("## Instructions\n");
        self.picture(
            "instructions.svg",
            "Instructions for one operation, relative to tokio",
        );
        self.push(
            "Callgrind counts instructions in user space. It does not see the kernel, the cost of atomic \
             operations, or cache misses, so compare these counts with the times.\n",
        );
        self.count_table(&rows, "instructions", grouped);
    }

    /// Writes a table with the syscalls of a row by their names.
    fn kinds(&mut self, row: &Row) {
        /// The smallest number of calls per operation that is shown.
        const SHOWN: f64 = 0.005;
        let value = |kind: &str, runtime| {
            let values = self
                .data
                .values(row.name, &format!("syscalls:{kind}"), runtime)?;
            Some(least(values))
        };
        let kinds: Vec<&str> = self.data.quantities(row.name, "syscalls:");
        let shown: Vec<&str> = kinds
            .into_iter()
            .filter(|kind| {
                let mut values = RUNTIMES
                    .into_iter()
                    .filter_map(|runtime| value(kind, runtime));
                values.any(|value| value >= SHOWN)
            })
            .collect();
        if shown.is_empty() {
            return;
        }
        let mut lines = head(row.label, &RUNTIMES);
        for kind in shown {
            let cells = RUNTIMES.map(|runtime| match value(kind, runtime) {
                None => NOTHING.into(),
                Some(value) if value < SHOWN => String::new(),
                Some(value) => format!("{value:.2}"),
            });
            lines += &line(&format!("`{kind}`"), &cells);
        }
        self.push(&lines);
    }

    fn requests(&mut self) {
        self.push("## A server under wrk\n");
        self.picture("requests.svg", "A server under wrk, relative to tokio");
        self.push(
            "A server on the streams of the runtime responds to each request with 2 KiB. `wrk` sends \
             requests from the other core as fast as it receives responses. If `wrk` is slower than the server, \
             the time for a request is that of `wrk`, and the CPU time of the server is more meaningful.\n",
        );
        let mut rows = Vec::new();
        for quantity in ["time", "cpu", "p99"] {
            for row in ROWS.iter().filter(|row| row.section == Section::Requests) {
                let label = format!("{}, {}", quantity_name(quantity), row.label);
                rows.push((label, row.name, quantity));
            }
        }
        self.ratios("for a request, tokio = 1", &rows);
    }

    fn lateness(&mut self) {
        self.push("## Lateness of a tick\n");
        self.picture(
            "lateness.svg",
            "Lateness of a task that ticks, relative to tokio",
        );
        self.push(
            "A task repeatedly sleeps for a millisecond while other tasks keep the loop busy. The lateness is \
             the time from the end of the millisecond to the poll of the task.\n",
        );
        let mut rows = Vec::new();
        for row in ROWS.iter().filter(|row| row.section == Section::Lateness) {
            for quantity in ["p50", "p99.9"] {
                let label = format!("{}, {}", quantity_name(quantity), row.label);
                rows.push((label, row.name, quantity));
            }
        }
        self.ratios("tokio = 1", &rows);
    }

    fn scaling(&mut self) {
        self.push("## From one to a million\n");
        self.picture(
            "scaling.svg",
            "Time for one operation against the number of tasks or connections",
        );
        for row in ROWS.iter().filter(|row| row.section == Section::Scaling) {
            let curves = curves(self.data, row);
            if curves.is_empty() {
                continue;
            }
            let names: Vec<&str> = curves.iter().map(|(runtime, _)| *runtime).collect();
            let mut lines = head(&format!("{}: N", row.label), &names);
            for &point in row.points {
                let cells: Vec<String> = curves
                    .iter()
                    .map(|(_, points)| {
                        let found = points.iter().find(|(n, _)| *n == point);
                        found.map_or(NOTHING.into(), |(_, it)| spread(*it))
                    })
                    .collect();
                lines += &line(&grouped(point as f64), &cells);
            }
            self.push(&lines);
        }
        self.push("In each table, 1 stands for tokio's time for one operation at the smallest N, in the same round.\n");
    }

    fn memory(&mut self) {
        self.push("## Memory\n");
        self.picture(
            "memory.svg",
            "Memory and wake-ups of idle tasks and connections",
        );
        let rows: Vec<&Row> = ROWS
            .iter()
            .filter(|row| row.section == Section::Memory)
            .collect();
        self.count_table(&rows, "bytes", grouped);
        self.count_table(&rows, "wake-ups", grouped);
    }

    fn program(&mut self) {
        self.push("## A small program\n");
        self.picture(
            "program.svg",
            "Size, crates and build time of a small program",
        );
        self.push(
            "The program creates a runtime, spawns a task that sleeps for a millisecond, and awaits it. Each \
             version is built with the features that a network program uses (tokio: `io-util`, `net`, `rt`, \
             `time`; monoio: `legacy`; smol and glassfrog: the default features), in the release profile of \
             Cargo with `strip = true`. *std* is an empty `main`.\n",
        );
        let row = ROWS.iter().find(|row| row.section == Section::Program);
        let Some(row) = row else { return };
        let mut lines = head("", row.runtimes);
        let cells = |quantity, number: &dyn Fn(f64) -> String| -> Vec<String> {
            let value = |runtime: &&str| {
                Some(number(least(
                    self.data.values(row.name, quantity, runtime)?,
                )))
            };
            let values = row.runtimes.iter().map(value);
            values
                .map(|value| value.unwrap_or(NOTHING.into()))
                .collect()
        };
        lines += &line("bytes of the stripped binary", &cells("size", &grouped));
        lines += &line("crates in the tree", &cells("crates", &grouped));
        if let Some(reference) = self.data.values(row.name, "build", REFERENCE) {
            let builds: Vec<String> = row
                .runtimes
                .iter()
                .map(|runtime| {
                    let values = self.data.values(row.name, "build", runtime);
                    let it = values.and_then(|values| Spread::of_ratios(values, reference));
                    it.map_or(NOTHING.into(), |it| ratio(it.median))
                })
                .collect();
            lines += &line("time of a clean build, tokio = 1", &builds);
        }
        self.push(&lines);
    }

    fn repeat(&mut self) {
        self.push(
            "\
## Repeat it

```sh
cargo run --profile count -p glassfrog-peers -- report                        # everything, in about 25 minutes
cargo run --profile count -p glassfrog-peers -- report --rows fetch,echo      # these rows; keeps the others
cargo run --profile count -p glassfrog-peers -- report --what syscalls --rounds 4 --to /tmp/report
cargo run --profile count -p glassfrog-peers -- draw                          # from data.tsv
```

Counting syscalls needs `perf`, counting instructions needs `valgrind`, and the requests need `wrk`. If one of them is
missing, its rows keep their values. The remarks on this page are in [`remarks.md`](remarks.md).",
        );
    }
}

/// Formats a median with its quartiles, if they differ.
fn spread(it: Spread) -> String {
    let [low, median, high] = [it.low, it.median, it.high].map(ratio);
    match low == high {
        true => median,
        false => format!("{median} ({low}–{high})"),
    }
}

/// Returns the head of a table.
fn head(first: &str, columns: &[&str]) -> String {
    let mut names = format!("| {first} |");
    let mut rule = String::from("| --- |");
    for &column in columns {
        let _ = match column == OURS {
            true => write!(names, " **{column}** |"),
            false => write!(names, " {column} |"),
        };
        rule += " ---: |";
    }
    format!("{names}\n{rule}\n")
}

/// Returns a line of a table.
fn line(label: &str, cells: &[String]) -> String {
    format!("| {label} | {} |\n", cells.join(" | "))
}

/// Puts the table of the report into the front page.
pub(crate) fn front_page(data: &Data, page: &str) -> Result<String, String> {
    let error = || format!("the front page lacks `{}`", FRONT_MARKS.join("` or `"));
    let (before, rest) = page.split_once(FRONT_MARKS[0]).ok_or_else(error)?;
    let (_, after) = rest.split_once(FRONT_MARKS[1]).ok_or_else(error)?;
    let [begin, end] = FRONT_MARKS;
    Ok(format!(
        "{before}{begin}\n\n{}\n{end}{after}",
        front_table(data)
    ))
}

fn front_table(data: &Data) -> String {
    let mut lines = head("time, tokio = 1", &RUNTIMES);
    let cells = |cell: &dyn Fn(&str) -> Option<String>| {
        RUNTIMES.map(|runtime| match cell(runtime) {
            Some(text) if runtime == OURS => format!("**{text}**"),
            Some(text) => text,
            None => String::new(),
        })
    };
    for row in FRONT_TIMES.iter().filter_map(|name| row(name)) {
        let time = |runtime: &str| {
            let reference = data.values(row.name, "time", REFERENCE)?;
            if runtime == REFERENCE {
                return Some("1".into());
            }
            let values = data.values(row.name, "time", runtime)?;
            Some(ratio(Spread::of_ratios(values, reference)?.median))
        };
        lines += &line(&row_name(row), &cells(&time));
    }
    lines += &line("**syscalls**", &RUNTIMES.map(|_| String::new()));
    for row in FRONT_SYSCALLS.iter().filter_map(|name| row(name)) {
        let syscalls = |runtime: &str| {
            let values = data.values(row.name, "syscalls", runtime)?;
            Some(format!("{:.2}", least(values)))
        };
        lines += &line(row.label, &cells(&syscalls));
    }
    lines += &line("**memory**", &RUNTIMES.map(|_| String::new()));
    for row in ROWS.iter().filter(|row| row.section == Section::Memory) {
        let (quantity, label) = match row.name {
            "idle_connections" => ("wake-ups", format!("wake-ups in {}", row.label)),
            _ => ("bytes", format!("bytes of {}", row.label)),
        };
        let value = |runtime: &str| Some(grouped(least(data.values(row.name, quantity, runtime)?)));
        lines += &line(&label, &cells(&value));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{front_page, page, remarks};
    use crate::data::Data;

    /// Returns two rounds in which monoio is faster than glassfrog.
    fn data() -> Data {
        let mut data = Data::default();
        for (runtime, values) in [
            ("tokio", vec![10.0, 20.0]),
            ("monoio", vec![4.0, 8.0]),
            ("glassfrog", vec![5.0, 10.0]),
        ] {
            data.add("yield_1000", "time", runtime, "here", values);
        }
        data
    }

    #[test]
    fn the_page_lists_the_rows_in_which_glassfrog_is_behind_with_their_reasons() {
        let remarks = "For the writer.\n\n## yield_1000 time, spawn_scale\n\nThe reason.\n";
        let page = page(&data(), remarks).expect("a page");
        assert!(page.contains("| yield, 1000 tasks | time | monoio | 1.25 | 1 |"));
        assert!(page.contains("\n1. The reason."));
        assert!(!page.contains("For the writer."));
    }

    #[test]
    fn a_row_without_a_remark_is_shown_as_not_explained() {
        let page = page(&data(), "").expect("a page");
        assert!(page.contains("| 1.25 | not explained yet |"));
    }

    #[test]
    fn a_remark_about_an_unknown_row_is_an_error() {
        assert!(remarks("## yield_1000 time\n").is_ok());
        assert!(remarks("## yield_of_old\n").is_err());
        assert!(remarks("## yield_1000 colour\n").is_err());
    }

    #[test]
    fn the_front_page_keeps_the_text_around_the_table() {
        let front = "before\n<!-- from the report -->\nold\n<!-- end of the report -->\nafter\n";
        let front = front_page(&data(), front).expect("the marks are there");
        assert!(front.starts_with("before\n") && front.ends_with("\nafter\n"));
        assert!(front.contains("| yield, 1000 tasks |  | 1 |  | 0.40 | **0.50** |"));
        assert!(!front.contains("old"));
    }
}
