//! The rows of the report: the operations, the lengths of their runs, and their runtimes.

use std::net::SocketAddr;

use glassfrog_count::runtime::{Glassfrog, Runtime};
use glassfrog_count::server::response;
use glassfrog_count::workloads::{Workload, echo, fetch, spawn_join, spawn_many};

use crate::runtimes::{Monoio, Smol, Tokio};
use crate::{raw, work};

/// The runtimes, in the order of tables and legends.
pub(crate) const RUNTIMES: [&str; 5] = ["raw", "tokio", "smol", "monoio", "glassfrog"];

/// The runtime that others are compared with.
pub(crate) const REFERENCE: &str = "tokio";

/// The runtime that this report is about.
pub(crate) const OURS: &str = "glassfrog";

/// All runtimes except the state machine on mio, which has neither tasks nor timers.
const WITH_TASKS: &[&str] = &["tokio", "smol", "monoio", "glassfrog"];

/// The runtimes that run on several cores by themselves.
const WITH_CORES: &[&str] = &["tokio", "glassfrog"];

/// The length of the large body: a mebibyte.
pub(crate) const LARGE_BODY: usize = 1 << 20;

/// The number of fetches of a large body in flight: few enough for their buffers to fit into memory.
const LARGE_FETCHES: u64 = 50;

/// The number of small fetches in flight in the row that has the most.
const MANY_FETCHES: u64 = 10_000;

/// The numbers of tasks on the scaling curves.
const TASK_POINTS: &[u64] = &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// The numbers of connections on the scaling curves. A process has both ends of them, and may have no more
/// than 20,000 open files in some sandboxes.
const CONNECTION_POINTS: &[u64] = &[10, 100, 1_000, 9_900];

/// The section of the report that a row belongs to, which determines the measured quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Tasks and timers: time and counts.
    Tasks,
    /// Sockets: time, counts, and syscalls by kind.
    Sockets,
    /// A server under `wrk`: time, CPU time and latency for each request.
    Requests,
    /// The lateness of the polls of a task that ticks.
    Lateness,
    /// Time against the number of tasks or connections.
    Scaling,
    /// Time on two cores.
    Cores,
    /// Memory and wake-ups of idle tasks and connections.
    Memory,
    /// Size, crates and build time of a small program.
    Program,
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name of the row in arguments and in the data.
    pub(crate) name: &'static str,
    /// The label of the row in tables and pictures.
    pub(crate) label: &'static str,
    /// The section of the report that the row belongs to.
    pub(crate) section: Section,
    /// The number of operations of a timed run, which takes about a tenth of a second; zero if the row is not
    /// timed. For ticks, the duration in milliseconds; for requests, the number of connections.
    pub(crate) length: u64,
    /// The lengths of the two runs in which instructions and syscalls are counted.
    pub(crate) counted: Option<(u64, u64)>,
    /// The numbers of tasks or connections, if the row is a curve.
    pub(crate) points: &'static [u64],
    /// The runtimes that the row is measured on.
    pub(crate) runtimes: &'static [&'static str],
}

impl Row {
    /// Creates a row of tasks or timers.
    const fn tasks(name: &'static str, label: &'static str, length: u64) -> Row {
        Row {
            name,
            label,
            section: Section::Tasks,
            length,
            counted: Some((2_000, 22_000)),
            points: &[],
            runtimes: WITH_TASKS,
        }
    }

    /// Creates a row of sockets.
    const fn sockets(
        name: &'static str,
        label: &'static str,
        length: u64,
        counted: (u64, u64),
    ) -> Row {
        Row {
            section: Section::Sockets,
            counted: Some(counted),
            runtimes: &RUNTIMES,
            ..Row::tasks(name, label, length)
        }
    }

    /// Creates a row of another section, in which nothing is counted.
    const fn other(
        section: Section,
        name: &'static str,
        label: &'static str,
        length: u64,
        runtimes: &'static [&'static str],
    ) -> Row {
        Row {
            section,
            counted: None,
            runtimes,
            ..Row::tasks(name, label, length)
        }
    }

    /// Creates a curve. A timed run has `length` operations, or as many as the point if that is more.
    const fn curve(
        name: &'static str,
        label: &'static str,
        length: u64,
        points: &'static [u64],
        runtimes: &'static [&'static str],
    ) -> Row {
        Row {
            points,
            ..Row::other(Section::Scaling, name, label, length, runtimes)
        }
    }

    /// Returns whether glibc may return memory to the kernel while the row is timed.
    pub(crate) fn may_trim(&self) -> bool {
        self.name == "spawn_large_trim"
    }

    /// Returns whether the row needs the binary with the feature `threads`.
    pub(crate) fn has_threads(&self) -> bool {
        self.section == Section::Cores || self.name == "wake_thread"
    }

    /// Returns the name of a point of a curve, in the data and on the command line of a run.
    pub(crate) fn point(&self, point: u64) -> String {
        format!("{}:{point}", self.name)
    }
}

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    Row::tasks("spawn_join", "spawn and join, from `block_on`", 300_000),
    Row::tasks("spawn_join_task", "spawn and join, from a task", 300_000),
    Row::tasks("spawn_many", "spawn 1000 tasks, join them", 300_000),
    Row::tasks(
        "spawn_large",
        "spawn 1000 tasks of 512 bytes, join",
        200_000,
    ),
    Row {
        counted: None,
        ..Row::tasks(
            "spawn_large_trim",
            "the same, glibc may trim its heap",
            200_000,
        )
    },
    Row::tasks("yield_1000", "yield, 1000 tasks", 1_000_000),
    Row::tasks("yield_lone", "yield, no other task", 300_000),
    Row::tasks("wake_all", "wake 1000 tasks that wait", 1_000_000),
    Row::tasks("ping_pong", "message to a task and back", 300_000),
    Row {
        // The counts would depend on how the threads take turns.
        counted: None,
        ..Row::tasks("wake_thread", "message to a thread and back", 5_000)
    },
    Row::tasks("timer", "start and cancel a timer, 1000 live", 300_000),
    Row {
        // Its preparation takes too long under a counting tool.
        counted: None,
        ..Row::tasks(
            "timer_million",
            "start and cancel a timer, a million live",
            300_000,
        )
    },
    Row::tasks("timer_fire", "fire 100,000 timers (CPU time)", 100_000),
    Row::sockets(
        "echo",
        "echo round trip, 100 connections",
        10_000,
        (1_000, 6_000),
    ),
    Row::sockets(
        "echo_lone",
        "echo round trip, one connection",
        10_000,
        (1_000, 6_000),
    ),
    Row::sockets(
        "keep_alive",
        "keep-alive request, 64 connections",
        12_800,
        (640, 6_400),
    ),
    Row::sockets("fetch", "fetch 2 KiB, 1000 at once", 5_000, (2_000, 7_000)),
    Row {
        counted: None,
        ..Row::sockets("fetch_10000", "fetch 2 KiB, 10,000 at once", 10_000, (0, 0))
    },
    Row {
        counted: None,
        ..Row::sockets("fetch_large", "fetch 1 MiB, 50 at once", 200, (0, 0))
    },
    Row::other(Section::Requests, "http_1", "1 connection", 1, &RUNTIMES),
    Row::other(
        Section::Requests,
        "http_64",
        "64 connections",
        64,
        &RUNTIMES,
    ),
    Row::other(
        Section::Requests,
        "http_500",
        "500 connections",
        500,
        &RUNTIMES,
    ),
    Row::other(
        Section::Lateness,
        "tick_echo",
        "beside 1000 echo connections",
        1_500,
        WITH_TASKS,
    ),
    Row::other(
        Section::Lateness,
        "tick_compute",
        "beside a task that computes 5 ms between yields",
        1_500,
        WITH_TASKS,
    ),
    Row::curve(
        "spawn_scale",
        "spawn N tasks, join them",
        200_000,
        TASK_POINTS,
        WITH_TASKS,
    ),
    Row::curve(
        "yield_scale",
        "yield, N tasks",
        500_000,
        TASK_POINTS,
        WITH_TASKS,
    ),
    Row::curve(
        "echo_scale",
        "echo round trip, N connections",
        10_000,
        CONNECTION_POINTS,
        &RUNTIMES,
    ),
    Row::other(
        Section::Cores,
        "cores_spawn",
        "spawn 1000 tasks, join them",
        400_000,
        WITH_CORES,
    ),
    Row::other(
        Section::Cores,
        "cores_echo",
        "echo round trip, 100 connections",
        20_000,
        WITH_CORES,
    ),
    Row::other(
        Section::Memory,
        "idle_tasks",
        "an idle task",
        1_000_000,
        WITH_TASKS,
    ),
    Row::other(
        Section::Memory,
        "idle_sockets",
        "an idle connection with its task",
        10_000,
        WITH_TASKS,
    ),
    Row::other(
        Section::Memory,
        "idle_connections",
        "5 s with 1000 idle connections",
        1_000,
        WITH_TASKS,
    ),
    Row::other(
        Section::Program,
        "hello",
        "a program that spawns a task that sleeps",
        1,
        &["std", "tokio", "smol", "monoio", "glassfrog"],
    ),
];

/// Returns the row with this name.
pub(crate) fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// Executes the hidden subcommand `run`: runs a row, or a point of one, once.
pub(crate) fn run(
    runtime: &str,
    name: &str,
    n: u64,
    server: SocketAddr,
) -> Result<Vec<u64>, String> {
    let (family, point) = match name.split_once(':') {
        None => (name, 0),
        Some((family, point)) => {
            let error = |_| format!("`{point}` is not a number");
            (family, point.parse().map_err(error)?)
        }
    };
    let run = Run {
        row: row(family).ok_or_else(|| format!("no row is named `{family}`"))?,
        point,
        n,
        server,
    };
    if run.row.section == Section::Cores {
        #[cfg(feature = "threads")]
        return crate::cores::run(runtime, family, n);
        #[cfg(not(feature = "threads"))]
        return Err(format!("`{family}` needs the feature `threads`"));
    }
    match runtime {
        "raw" => run.run_raw(),
        "tokio" => run.run::<Tokio>(),
        "smol" => run.run::<Smol>(),
        "monoio" => run.run::<Monoio>(),
        "glassfrog" => run.run::<Glassfrog>(),
        _ => Err(format!("no runtime is named `{runtime}`")),
    }
}

/// One run of a row.
struct Run {
    /// The row.
    row: &'static Row,
    /// The point of the curve, if the row is a curve.
    point: u64,
    /// The number of operations.
    n: u64,
    /// The server at the other end.
    server: SocketAddr,
}

impl Run {
    /// Runs the row on `R`.
    fn run<R: Runtime>(&self) -> Result<Vec<u64>, String> {
        let Run {
            point, n, server, ..
        } = *self;
        if let Ok(workload) = self.row.name.parse::<Workload>() {
            return Ok(vec![workload.run::<R>(n, server)]);
        }
        R::block_on(async {
            let nanoseconds = match self.row.name {
                "spawn_join_task" => R::spawn(spawn_join::<R>(n)).await,
                "spawn_large" | "spawn_large_trim" => work::spawn_large::<R>(n).await,
                "wake_all" => work::wake_all::<R>(n).await,
                "wake_thread" => work::wake_thread::<R>(n).await,
                "timer_fire" => work::timer_fire::<R>(n).await,
                "fetch_10000" => {
                    let length = response(glassfrog_count::server::BODY_LENGTH).len();
                    fetch::<R>(n, MANY_FETCHES, server, length).await
                }
                "fetch_large" => {
                    let length = response(LARGE_BODY).len();
                    fetch::<R>(n, LARGE_FETCHES, server, length).await
                }
                "tick_echo" => return Ok(work::tick_beside_echo::<R>(n).await),
                "tick_compute" => return Ok(work::tick_beside_computing::<R>(n).await),
                "spawn_scale" => R::spawn(spawn_many::<R>(n, point)).await,
                "yield_scale" => R::spawn(work::yields::<R>(n, point)).await,
                "echo_scale" => R::spawn(echo::<R>(n, point)).await,
                name => return Err(format!("the row `{name}` is not measured by runs")),
            };
            Ok(vec![nanoseconds])
        })
    }

    /// Runs the row without a runtime.
    fn run_raw(&self) -> Result<Vec<u64>, String> {
        let Run {
            point, n, server, ..
        } = *self;
        let small = glassfrog_count::server::BODY_LENGTH;
        let nanoseconds = match self.row.name {
            "echo" => raw::echo(n, glassfrog_count::workloads::ECHO_CONNECTIONS),
            "echo_lone" => raw::echo(n, 1),
            "echo_scale" => raw::echo(n, point),
            "keep_alive" => raw::keep_alive(n, server),
            "fetch" => raw::fetch(n, glassfrog_count::workloads::TASKS, server, small),
            "fetch_10000" => raw::fetch(n, MANY_FETCHES, server, small),
            "fetch_large" => raw::fetch(n, LARGE_FETCHES, server, LARGE_BODY),
            name => return Err(format!("`raw` does not run `{name}`")),
        };
        Ok(vec![nanoseconds.map_err(|error| error.to_string())?])
    }
}
