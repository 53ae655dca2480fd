//! The pictures of the report.

use crate::data::Data;
use crate::rows::{OURS, REFERENCE, ROWS, RUNTIMES, Row, Section};
use crate::stats::{Spread, grouped, least, ratio};
use crate::svg::{Anchor, Svg};

/// The width of a picture: the largest that a page of GitHub shows without shrinking it.
const WIDTH: f64 = 880.0;

/// The margin at the left and right of a picture.
const MARGIN: f64 = 16.0;

/// The groups of syscalls: their purpose, and the kernel's names.
const SYSCALL_GROUPS: [(&str, &[&str]); 7] = [
    (
        "open and close",
        &["socket", "connect", "accept4", "shutdown", "close"],
    ),
    (
        "send and receive",
        &["recvfrom", "recvmsg", "sendto", "sendmsg"],
    ),
    ("register", &["epoll_ctl"]),
    ("wait", &["epoll_wait", "epoll_pwait", "epoll_pwait2"]),
    (
        "wake and set a timer",
        &["read", "write", "futex", "timerfd_settime"],
    ),
    (
        "ask and set options",
        &[
            "getsockopt",
            "setsockopt",
            "getsockname",
            "getpeername",
            "ioctl",
            "fcntl",
        ],
    ),
    ("memory and others", &[]),
];

/// Returns the names and texts of all pictures that have values.
pub(crate) fn all(data: &Data) -> Vec<(&'static str, String)> {
    let pictures = [
        ("time.svg", time(data)),
        ("syscalls.svg", syscalls(data)),
        ("instructions.svg", instructions(data)),
        ("requests.svg", requests(data)),
        ("lateness.svg", lateness(data)),
        ("scaling.svg", scaling(data)),
        ("memory.svg", memory(data)),
        ("program.svg", program(data)),
    ];
    let drawn = pictures.into_iter();
    drawn
        .filter_map(|(name, picture)| Some((name, picture?)))
        .collect()
}

/// Returns the rows of a section.
fn rows_of(section: Section) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.section == section)
}

/// A line of a picture of ratios.
struct Line {
    /// The label to the left of the line.
    label: String,
    /// The runtimes, with their ratios.
    ratios: Vec<(&'static str, Spread)>,
}

/// Returns a line with the ratios of all runtimes to the reference.
fn line(data: &Data, label: &str, row: &str, quantity: &str) -> Option<Line> {
    let reference = data.values(row, quantity, REFERENCE)?;
    let ratios = RUNTIMES.into_iter().filter_map(|runtime| {
        let values = data.values(row, quantity, runtime)?;
        Some((runtime, Spread::of_ratios(values, reference)?))
    });
    Some(Line {
        label: label.into(),
        ratios: ratios.collect(),
    })
}

fn time(data: &Data) -> Option<String> {
    let lines = |section| -> Vec<Line> {
        rows_of(section)
            .filter_map(|row| line(data, row.label, row.name, "time"))
            .collect()
    };
    let groups = vec![
        ("tasks and timers", lines(Section::Tasks)),
        ("sockets", lines(Section::Sockets)),
        ("two cores", lines(Section::Cores)),
    ];
    ratios("Time for one operation, tokio = 1: less is better", groups)
}

fn instructions(data: &Data) -> Option<String> {
    let lines = |section| -> Vec<Line> {
        let rows = rows_of(section).filter_map(|row| {
            let count = |runtime| Some(least(data.values(row.name, "instructions", runtime)?));
            let reference = count(REFERENCE)?;
            let ratios = RUNTIMES
                .into_iter()
                .filter_map(|runtime| Some((runtime, Spread::of([count(runtime)? / reference])?)));
            Some(Line {
                label: row.label.into(),
                ratios: ratios.collect(),
            })
        });
        rows.collect()
    };
    let groups = vec![
        ("tasks and timers", lines(Section::Tasks)),
        ("sockets", lines(Section::Sockets)),
    ];
    ratios(
        "Instructions for one operation, tokio = 1: less is better",
        groups,
    )
}

fn requests(data: &Data) -> Option<String> {
    let lines = |quantity| -> Vec<Line> {
        rows_of(Section::Requests)
            .filter_map(|row| line(data, row.label, row.name, quantity))
            .collect()
    };
    let groups = vec![
        ("time for a request", lines("time")),
        ("CPU time of the server for a request", lines("cpu")),
        ("latency of the slowest request in a hundred", lines("p99")),
    ];
    ratios("A server under wrk, tokio = 1: less is better", groups)
}

fn lateness(data: &Data) -> Option<String> {
    let lines = |quantity| -> Vec<Line> {
        rows_of(Section::Lateness)
            .filter_map(|row| line(data, row.label, row.name, quantity))
            .collect()
    };
    let groups = vec![
        ("the median tick", lines("p50")),
        ("the latest tick in a thousand", lines("p99.9")),
    ];
    ratios(
        "Lateness of a task that sleeps for 1 ms, tokio = 1: less is better",
        groups,
    )
}

/// Returns the powers of ten, and their multiples by two and five, in a range.
fn ticks((from, to): (f64, f64)) -> Vec<f64> {
    let mut ticks = Vec::new();
    for power in -6..12 {
        for factor in [1.0, 2.0, 5.0] {
            let tick = factor * 10f64.powi(power);
            if tick >= from * 0.999 && tick <= to * 1.001 {
                ticks.push(tick);
            }
        }
    }
    ticks
}

/// Draws the marks and names of `runtimes`, starting at `x`.
fn legend(svg: &mut Svg, x: f64, y: f64, runtimes: &[&str]) {
    let mut x = x;
    for runtime in runtimes {
        svg.mark(x + 6.0, y - 4.0, runtime);
        let class = if *runtime == OURS { "ours" } else { "" };
        svg.text(x + 18.0, y, Anchor::Start, class, runtime);
        x += 36.0 + 7.5 * runtime.len() as f64;
    }
}

/// Draws ratios as marks with their quartiles, on a logarithmic scale.
fn ratios(title: &str, groups: Vec<(&str, Vec<Line>)>) -> Option<String> {
    const LABELS: f64 = 290.0;
    const ROW: f64 = 30.0;
    const TOP: f64 = 84.0;
    let groups: Vec<_> = groups
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let spreads = || {
        let lines = groups.iter().flat_map(|(_, lines)| lines);
        lines.flat_map(|line| line.ratios.iter().map(|(_, spread)| *spread))
    };
    let low = spreads()
        .map(|spread| spread.low)
        .reduce(f64::min)?
        .max(1e-3);
    let high = spreads().map(|spread| spread.high).reduce(f64::max)?;
    let (low, high) = ((low * 0.9).min(0.8), (high * 1.1).max(1.25));
    let x = |value: f64| {
        let share = (value.max(low) / low).ln() / (high / low).ln();
        MARGIN + LABELS + share * (WIDTH - 2.0 * MARGIN - LABELS)
    };
    let mut svg = Svg::new(WIDTH, title);
    svg.text(MARGIN, 26.0, Anchor::Start, "title", title);
    let present: Vec<_> = RUNTIMES
        .into_iter()
        .filter(|runtime| {
            let mut lines = groups.iter().flat_map(|(_, lines)| lines);
            lines.any(|line| line.ratios.iter().any(|(name, _)| name == runtime))
        })
        .collect();
    legend(&mut svg, MARGIN, 50.0, &present);
    svg.text(
        WIDTH - MARGIN,
        50.0,
        Anchor::End,
        "dim",
        "marks are medians; bars extend from the lower to the upper quartile",
    );
    let count: usize = groups.iter().map(|(_, lines)| lines.len() + 1).sum();
    let bottom = TOP + ROW * count as f64;
    for tick in ticks((low, high)) {
        let class = if tick == 1.0 { "one" } else { "grid" };
        svg.line((x(tick), TOP - 8.0), (x(tick), bottom), class);
        for y in [TOP - 13.0, bottom + 14.0] {
            svg.text(x(tick), y, Anchor::Middle, "dim", &tick_label(tick));
        }
    }
    let mut y = TOP;
    for (heading, lines) in &groups {
        y += ROW;
        svg.text(MARGIN, y - 9.0, Anchor::Start, "group", heading);
        for line in lines {
            let middle = y + ROW / 2.0;
            svg.text(
                MARGIN + LABELS - 14.0,
                middle + 4.0,
                Anchor::End,
                "",
                &line.label,
            );
            // glassfrog is drawn last, above the others.
            for (index, (runtime, spread)) in line.ratios.iter().enumerate() {
                // Each runtime has an offset, so that level ones remain distinguishable.
                let y = middle + (index as f64 - (line.ratios.len() - 1) as f64 / 2.0) * 3.0;
                svg.coloured_line((x(spread.low), y), (x(spread.high), y), "spread", runtime);
                svg.mark(x(spread.median), y, runtime);
            }
            y += ROW;
        }
    }
    Some(svg.finish(bottom + 26.0))
}

fn tick_label(tick: f64) -> String {
    match tick {
        1e6.. => format!("{:.0}M", tick / 1e6),
        1e4.. => format!("{:.0}k", tick / 1e3),
        1.0.. => grouped(tick),
        _ => format!("{tick:.3}").trim_end_matches('0').into(),
    }
}

/// Returns the number of syscalls of an operation in each group, and in total.
pub(crate) fn syscall_groups(data: &Data, row: &str, runtime: &str) -> Option<(Vec<f64>, f64)> {
    let totals = data.values(row, "syscalls", runtime)?;
    let total = least(totals);
    let round = totals.iter().position(|&value| value == total)?;
    let mut groups = vec![0.0; SYSCALL_GROUPS.len()];
    let kinds = data.quantities(row, "syscalls:");
    if kinds.is_empty() {
        return None;
    }
    for kind in kinds {
        let values = data.values(row, &format!("syscalls:{kind}"), runtime);
        let value = values.and_then(|values| values.get(round)).unwrap_or(&0.0);
        let group = SYSCALL_GROUPS
            .iter()
            .position(|(_, kinds)| kinds.contains(&kind));
        groups[group.unwrap_or(SYSCALL_GROUPS.len() - 1)] += value;
    }
    Some((groups, total))
}

fn syscalls(data: &Data) -> Option<String> {
    const LABELS: f64 = 90.0;
    const BAR: f64 = 15.0;
    const NUMBERS: f64 = 50.0;
    let mut rows = Vec::new();
    for row in rows_of(Section::Sockets) {
        let bars: Vec<_> = RUNTIMES
            .into_iter()
            .filter_map(|runtime| Some((runtime, syscall_groups(data, row.name, runtime)?)))
            .collect();
        if !bars.is_empty() {
            rows.push((row.label, bars));
        }
    }
    let bars = || rows.iter().flat_map(|(_, bars)| bars);
    let most = bars().map(|(_, (_, total))| *total).reduce(f64::max)?;
    let scale = (WIDTH - 2.0 * MARGIN - LABELS - NUMBERS) / most;
    let title = "Syscalls for one operation, by purpose";
    let mut svg = Svg::new(WIDTH, title);
    svg.text(MARGIN, 26.0, Anchor::Start, "title", title);
    let mut x = MARGIN;
    for (index, (name, _)) in SYSCALL_GROUPS.iter().enumerate() {
        svg.bar(x, 41.0, 10.0, 10.0, &format!("kind-{index}"));
        svg.text(x + 15.0, 50.0, Anchor::Start, "", name);
        x += 30.0 + 6.4 * name.len() as f64;
    }
    let mut y = 84.0;
    for (label, bars) in &rows {
        svg.text(MARGIN, y, Anchor::Start, "group", label);
        y += 8.0;
        for (runtime, (groups, total)) in bars {
            let class = if *runtime == OURS { "ours" } else { "" };
            svg.text(
                MARGIN + LABELS - 10.0,
                y + 11.5,
                Anchor::End,
                class,
                runtime,
            );
            let mut x = MARGIN + LABELS;
            for (index, count) in groups.iter().enumerate() {
                // A bar that is thinner than a line is invisible.
                if count * scale >= 0.5 {
                    svg.bar(
                        x,
                        y + 1.0,
                        count * scale,
                        BAR - 2.0,
                        &format!("kind-{index}"),
                    );
                    x += count * scale;
                }
            }
            svg.text(x + 6.0, y + 11.5, Anchor::Start, class, &ratio(*total));
            y += BAR;
        }
        y += 26.0;
    }
    Some(svg.finish(y - 12.0))
}

/// A panel with the bars of one quantity.
struct Panel {
    /// The quantity.
    heading: &'static str,
    /// The runtimes, their values, and the text next to their bars.
    bars: Vec<(&'static str, f64, String)>,
}

fn panels(title: &str, panels: Vec<Panel>) -> Option<String> {
    const LABELS: f64 = 72.0;
    const NUMBERS: f64 = 70.0;
    const BAR: f64 = 22.0;
    const TOP: f64 = 62.0;
    let panels: Vec<_> = panels
        .into_iter()
        .filter(|panel| !panel.bars.is_empty())
        .collect();
    let rows = panels.iter().map(|panel| panel.bars.len()).max()?;
    let width = (WIDTH - 2.0 * MARGIN) / panels.len() as f64;
    let mut svg = Svg::new(WIDTH, title);
    svg.text(MARGIN, 26.0, Anchor::Start, "title", title);
    for (index, panel) in panels.iter().enumerate() {
        let left = MARGIN + index as f64 * width;
        svg.text(left, TOP - 10.0, Anchor::Start, "group", panel.heading);
        let most = panel.bars.iter().map(|bar| bar.1).fold(1e-9, f64::max);
        let mut y = TOP;
        for (runtime, value, number) in &panel.bars {
            let class = if *runtime == OURS { "ours" } else { "" };
            svg.text(left + LABELS - 8.0, y + 15.0, Anchor::End, class, runtime);
            let length = value / most * (width - LABELS - NUMBERS);
            svg.bar(left + LABELS, y + 3.0, length.max(1.0), BAR - 6.0, runtime);
            svg.text(
                left + LABELS + length + 6.0,
                y + 15.0,
                Anchor::Start,
                class,
                number,
            );
            y += BAR;
        }
    }
    Some(svg.finish(TOP + BAR * rows as f64 + 14.0))
}

/// Creates a panel with the minimum values of a row in one quantity.
fn panel(
    data: &Data,
    heading: &'static str,
    row: &Row,
    quantity: &str,
    number: impl Fn(f64) -> String,
) -> Panel {
    let bars = row.runtimes.iter().filter_map(|&runtime| {
        let value = least(data.values(row.name, quantity, runtime)?);
        Some((runtime, value, number(value)))
    });
    Panel {
        heading,
        bars: bars.collect(),
    }
}

fn memory(data: &Data) -> Option<String> {
    let rows = rows_of(Section::Memory);
    let all = rows.map(|row| {
        let heading = match row.name {
            "idle_tasks" => "bytes of an idle task",
            "idle_sockets" => "bytes of an idle connection",
            _ => "wake-ups in 5 s, 1000 connections",
        };
        let quantity = match row.name {
            "idle_connections" => "wake-ups",
            _ => "bytes",
        };
        panel(data, heading, row, quantity, grouped)
    });
    panels("Idle tasks and connections", all.collect())
}

fn program(data: &Data) -> Option<String> {
    let row = rows_of(Section::Program).next()?;
    let reference = data.values(row.name, "build", REFERENCE).map(least);
    let all = vec![
        panel(data, "size of the binary", row, "size", |bytes| {
            format!("{} KB", grouped(bytes / 1000.0))
        }),
        panel(data, "crates in the tree", row, "crates", grouped),
        panel(
            data,
            "time of a clean build, tokio = 1",
            row,
            "build",
            |time| reference.map_or(String::new(), |reference| ratio(time / reference)),
        ),
    ];
    panels("A program that spawns a task that sleeps", all)
}

/// A curve of a panel: a runtime, and its time at each point.
type Curve = (&'static str, Vec<(u64, Spread)>);

/// Returns the time at each point of a curve, relative to that of the reference at the first point in the same
/// round.
pub(crate) fn curves(data: &Data, row: &Row) -> Vec<Curve> {
    let Some(first) = row.points.first() else {
        return Vec::new();
    };
    let Some(reference) = data.values(&row.point(*first), "time", REFERENCE) else {
        return Vec::new();
    };
    let curve = |runtime: &'static str| {
        let points = row.points.iter().filter_map(|&point| {
            let values = data.values(&row.point(point), "time", runtime)?;
            Some((point, Spread::of_ratios(values, reference)?))
        });
        (runtime, points.collect::<Vec<_>>())
    };
    let curves = row.runtimes.iter().map(|&runtime| curve(runtime));
    curves.filter(|(_, points)| !points.is_empty()).collect()
}

fn scaling(data: &Data) -> Option<String> {
    const TOP: f64 = 92.0;
    const HEIGHT: f64 = 260.0;
    const AXIS: f64 = 36.0;
    let panels: Vec<_> = rows_of(Section::Scaling)
        .map(|row| (row, curves(data, row)))
        .filter(|(_, curves)| !curves.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let title = "Time for one operation against the number N of tasks or connections";
    let mut svg = Svg::new(WIDTH, title);
    svg.text(MARGIN, 26.0, Anchor::Start, "title", title);
    legend(&mut svg, MARGIN, 50.0, &RUNTIMES);
    svg.text(
        WIDTH - MARGIN,
        50.0,
        Anchor::End,
        "dim",
        "tokio at the smallest N = 1: less is better",
    );
    let width = (WIDTH - 2.0 * MARGIN) / panels.len() as f64;
    for (index, (row, curves)) in panels.iter().enumerate() {
        let left = MARGIN + index as f64 * width + AXIS;
        let right = MARGIN + (index + 1) as f64 * width - 10.0;
        let spreads = || {
            curves
                .iter()
                .flat_map(|(_, points)| points.iter().map(|point| point.1))
        };
        let low = spreads()
            .map(|it| it.low)
            .fold(f64::INFINITY, f64::min)
            .max(1e-3)
            * 0.8;
        let high = spreads().map(|it| it.high).fold(0.0, f64::max) * 1.25;
        let from = row.points[0] as f64;
        let to = row.points[row.points.len() - 1] as f64;
        let x = |n: u64| left + (n as f64 / from).ln() / (to / from).ln() * (right - left);
        let y =
            |value: f64| TOP + HEIGHT - (value.max(low) / low).ln() / (high / low).ln() * HEIGHT;
        svg.text(left, TOP - 14.0, Anchor::Start, "group", row.label);
        for tick in ticks((low, high)) {
            let class = if tick == 1.0 { "one" } else { "grid" };
            svg.line((left, y(tick)), (right, y(tick)), class);
            svg.text(
                left - 5.0,
                y(tick) + 4.0,
                Anchor::End,
                "dim",
                &tick_label(tick),
            );
        }
        for &point in row.points {
            svg.line((x(point), TOP), (x(point), TOP + HEIGHT), "grid");
            svg.text(
                x(point),
                TOP + HEIGHT + 16.0,
                Anchor::Middle,
                "dim",
                &tick_label(point as f64),
            );
        }
        for (runtime, points) in curves {
            let places: Vec<_> = points.iter().map(|(n, it)| (x(*n), y(it.median))).collect();
            svg.curve(&places, runtime);
            for ((n, spread), place) in points.iter().zip(&places) {
                let x = x(*n);
                svg.coloured_line((x, y(spread.low)), (x, y(spread.high)), "spread", runtime);
                svg.mark(place.0, place.1, runtime);
            }
        }
    }
    Some(svg.finish(TOP + HEIGHT + 30.0))
}
