//! Measures rows, and puts the values into the data.
//!
//! For each row, the runtimes take turns round by round, and begin each round with another one. What is
//! measured runs on one core, the server or client at its other end on another.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use glassfrog_count::measure::{KEEP_MEMORY, Quantity, SYSCALLS, Subject};
use glassfrog_count::server::{BODY_LENGTH, Server};

use crate::cpus::{self, Side};
use crate::data::Data;
use crate::hello;
use crate::rows::{LARGE_BODY, Row, Section};

/// What is measured of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Time, CPU time and lateness.
    Time,
    /// Syscalls, by kind where there are sockets.
    Syscalls,
    /// Instructions.
    Instructions,
    /// Memory and wake-ups of what is idle.
    Memory,
    /// Small programs.
    Programs,
}

impl What {
    /// All of it, in the order in which it is measured.
    pub(crate) const ALL: [What; 5] = [
        What::Time,
        What::Syscalls,
        What::Instructions,
        What::Memory,
        What::Programs,
    ];

    /// Its name in arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            What::Time => "time",
            What::Syscalls => "syscalls",
            What::Instructions => "instructions",
            What::Memory => "memory",
            What::Programs => "programs",
        }
    }

    /// The tool that it takes, if this machine lacks it.
    fn missing_tool(self) -> Option<&'static str> {
        let quantity = match self {
            What::Syscalls => Quantity::Syscalls,
            What::Instructions => Quantity::Instructions,
            _ => return None,
        };
        quantity.tool().filter(|_| !quantity.is_available())
    }

    /// Whether it is measured of `row`.
    fn is_of(self, row: &Row) -> bool {
        match self {
            What::Memory => row.section == Section::Memory,
            What::Programs => row.section == Section::Program,
            What::Time => row.length > 0 && !What::Memory.is_of(row) && !What::Programs.is_of(row),
            What::Syscalls | What::Instructions => row.counted.is_some(),
        }
    }

    /// Whether a quantity of the data belongs to it.
    fn has(self, quantity: &str) -> bool {
        let counted = |what: What| match what {
            What::Syscalls => quantity.starts_with("syscalls"),
            What::Instructions => quantity == "instructions",
            _ => false,
        };
        match self {
            What::Syscalls | What::Instructions => counted(self),
            _ => !counted(What::Syscalls) && !counted(What::Instructions),
        }
    }
}

/// How often something is counted at most: what comes by chance, as how many events a wait returns, only
/// adds, so that the least of few is enough.
const MOST_COUNTS: usize = 2;

/// How often the small programs are built at most.
const MOST_BUILDS: usize = 3;

/// How long `wrk` keeps a server busy, in its own notation; a second is the least that it takes.
const WRK_DURATION: &str = "-d1s";

/// The syscalls that are told apart, by the kernel's names.
const KINDS: &[&str] = &[
    "socket",
    "connect",
    "accept4",
    "shutdown",
    "close",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "read",
    "write",
    "futex",
    "timerfd_settime",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
    "ioctl",
    "fcntl",
    "brk",
    "mmap",
    "munmap",
    "madvise",
];

/// The kind of those that are not told apart.
pub(crate) const OTHER_KIND: &str = "other";

/// Measures, and keeps what it finds in a file.
#[derive(Debug)]
pub(crate) struct Collector {
    /// How many rounds there are.
    rounds: usize,
    /// What has been measured.
    data: Data,
    /// The file of it.
    path: PathBuf,
    /// The machine and the versions.
    conditions: String,
    /// The server of small answers.
    small: Server,
    /// The server of large answers.
    large: Server,
    /// This binary.
    this: PathBuf,
    /// The binary with the feature `threads`, once a row has needed it.
    threads: Option<PathBuf>,
}

impl Collector {
    /// Starts the servers, and reads what has been measured already.
    pub(crate) fn start(directory: &Path, rounds: usize) -> io::Result<Collector> {
        fs::create_dir_all(directory)?;
        let path = directory.join(crate::DATA);
        if !cpus::are_two() {
            eprintln!("there is one core only, which both ends share");
        }
        // Asked before this process is pinned, for the number of cores.
        let conditions = conditions();
        cpus::pin(Side::Peer);
        let collector = Collector {
            rounds,
            data: Data::read(&path)?,
            path,
            conditions,
            small: Server::start(BODY_LENGTH)?,
            large: Server::start(LARGE_BODY)?,
            this: env::current_exe()?,
            threads: None,
        };
        cpus::pin(Side::Measured);
        Ok(collector)
    }

    /// Measures `rows`, and writes the file after each.
    pub(crate) fn collect(&mut self, rows: &[&'static Row], whats: &[What]) -> io::Result<()> {
        for &what in whats {
            let rows = rows.iter().filter(|row| what.is_of(row));
            if let Some(tool) = what.missing_tool() {
                eprintln!("{tool} is missing: no {}", what.name());
                continue;
            }
            for row in rows {
                if row.has_threads() && self.threads.is_none() {
                    cpus::unpin();
                    self.threads = Some(hello::with_threads()?);
                    cpus::pin(Side::Measured);
                }
                let start = Instant::now();
                match row.points {
                    [] => self.collect_one(row, row.name, row.length, what),
                    points => {
                        for &point in points {
                            self.collect_one(row, &row.point(point), row.length.max(point), what);
                        }
                    }
                }
                self.data.write(&self.path)?;
                let seconds = start.elapsed().as_secs();
                eprintln!("{} of {}: {seconds} s", what.name(), row.name);
            }
        }
        Ok(())
    }

    /// Measures one row, or one point of a curve.
    fn collect_one(&mut self, row: &Row, name: &str, n: u64, what: What) {
        let rounds = match what {
            What::Time => self.rounds,
            What::Syscalls | What::Instructions => self.rounds.min(MOST_COUNTS),
            What::Memory => 1,
            What::Programs => self.rounds.min(MOST_BUILDS),
        };
        let mut found: BTreeMap<(usize, String), Vec<f64>> = BTreeMap::new();
        let mut failed = vec![false; row.runtimes.len()];
        for round in 0..rounds {
            for turn in 0..row.runtimes.len() {
                let index = (round + turn) % row.runtimes.len();
                if failed[index] {
                    continue;
                }
                let runtime = row.runtimes[index];
                match self.run(row, name, n, what, runtime) {
                    Ok(values) => {
                        for (quantity, value) in values {
                            found.entry((index, quantity)).or_default().push(value);
                        }
                    }
                    Err(error) => {
                        eprintln!("{name} on {runtime}: {error}");
                        failed[index] = true;
                    }
                }
            }
        }
        self.data.forget(name, |quantity| what.has(quantity));
        for ((index, quantity), values) in found {
            // Rounds would no longer stand side by side.
            if !failed[index] {
                let (runtime, conditions) = (row.runtimes[index], &self.conditions);
                self.data.add(name, &quantity, runtime, conditions, values);
            }
        }
    }

    /// Measures one runtime once: quantities and their values.
    fn run(
        &self,
        row: &Row,
        name: &str,
        n: u64,
        what: What,
        runtime: &str,
    ) -> io::Result<Vec<(String, f64)>> {
        let server = match row.name {
            "fetch_large" => &self.large,
            _ => &self.small,
        };
        let subject = Subject {
            runtime,
            server: server.address(),
            binary: match &self.threads {
                Some(binary) if row.has_threads() => binary,
                _ => &self.this,
            },
        };
        let counted = |count: &dyn Fn(u64) -> io::Result<Vec<u64>>| {
            let (short, long) = row.counted.unwrap_or((0, 1));
            // The short run is made first, so that both find warm caches of the kernel.
            let (fewer, more) = (count(short)?, count(long)?);
            let costs = more.iter().zip(fewer);
            let cost = |(more, fewer): (&u64, u64)| {
                more.saturating_sub(fewer) as f64 / (long - short) as f64
            };
            io::Result::Ok(costs.map(cost).collect::<Vec<f64>>())
        };
        match (what, row.section) {
            (What::Time, Section::Requests) => requests(runtime, n),
            (What::Time, Section::Lateness) => {
                let values = subject.timed_values(name, n)?;
                let names = ["p50", "p99.9"].map(String::from);
                Ok(names
                    .into_iter()
                    .zip(values.into_iter().map(|value| value as f64))
                    .collect())
            }
            (What::Time, section) => {
                if section == Section::Cores {
                    cpus::unpin();
                }
                let values = match row.may_trim() {
                    true => subject.values(name, n),
                    false => subject.timed_values(name, n),
                };
                cpus::pin(Side::Measured);
                Ok(vec![("time".into(), values?[0] as f64 / n as f64)])
            }
            (What::Syscalls, Section::Sockets) => {
                let events: Vec<String> = kinds()
                    .map(|kind| format!("syscalls:sys_enter_{kind}"))
                    .collect();
                let mut all: Vec<&str> = vec![SYSCALLS];
                all.extend(events.iter().map(String::as_str));
                let costs = counted(&|n| subject.events(name, n, &all))?;
                let (total, of_kinds) = costs.split_first().expect("as many counts as events");
                let mut values = vec![("syscalls".into(), *total)];
                let other = total - of_kinds.iter().sum::<f64>();
                let named = kinds().zip(of_kinds.iter().copied());
                for (kind, cost) in named.chain([(OTHER_KIND, other.max(0.0))]) {
                    values.push((format!("syscalls:{kind}"), cost));
                }
                Ok(values)
            }
            (What::Syscalls, _) => {
                let costs = counted(&|n| Ok(vec![subject.syscalls(name, n)?]))?;
                Ok(vec![("syscalls".into(), costs[0])])
            }
            (What::Instructions, _) => {
                let costs = counted(&|n| Ok(vec![subject.instructions(name, n)?]))?;
                Ok(vec![("instructions".into(), costs[0])])
            }
            (What::Memory, _) if row.name == "idle_connections" => {
                let value = subject.values(name, n)?[0];
                Ok(vec![("wake-ups".into(), value as f64)])
            }
            (What::Memory, _) => {
                let value = subject.values(name, n)?[0];
                Ok(vec![("bytes".into(), value as f64 / n as f64)])
            }
            (What::Programs, _) => {
                cpus::unpin();
                let build = hello::build(runtime);
                cpus::pin(Side::Measured);
                let build = build?;
                Ok(vec![
                    ("size".into(), build.size as f64),
                    ("crates".into(), build.crates as f64),
                    ("build".into(), build.time as f64),
                ])
            }
        }
    }

    /// What has been measured.
    pub(crate) fn data(self) -> Data {
        self.data
    }
}

/// The syscalls of [`KINDS`] that this kernel has.
fn kinds() -> impl Iterator<Item = &'static str> {
    // Both are mounted where perf can see tracepoints at all.
    let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    KINDS.iter().copied().filter(move |kind| {
        let event = |root: &&str| Path::new(root).join(format!("events/syscalls/sys_enter_{kind}"));
        roots.iter().any(|root| event(root).exists())
    })
}

/// Keeps an HTTP server on `runtime` busy over `connections` connections, and returns what a request took.
fn requests(runtime: &str, connections: u64) -> io::Result<Vec<(String, f64)>> {
    let mut child = Command::new(env::current_exe()?)
        .args(["http", runtime])
        .env("GLIBC_TUNABLES", KEEP_MEMORY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut address = String::new();
    stdout.read_line(&mut address)?;
    let address: SocketAddr = address.trim().parse().map_err(io::Error::other)?;
    cpus::pin(Side::Peer);
    let output = Command::new("wrk")
        .args(["-t1", WRK_DURATION, "--latency"])
        .arg(format!("-c{connections}"))
        .arg(format!("http://{address}/"))
        .stdin(Stdio::null())
        .output();
    cpus::pin(Side::Measured);
    // The end of its input ends the server.
    drop(child.stdin.take());
    let mut cpu = String::new();
    stdout.read_to_string(&mut cpu)?;
    child.wait()?;
    let output = output.map_err(|error| io::Error::new(error.kind(), format!("wrk: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let values = wrk_values(&text).zip(cpu.trim().parse::<f64>().ok());
    let ((time, requests, p99), cpu) =
        values.ok_or_else(|| io::Error::other(format!("wrk printed no numbers: {text}")))?;
    Ok(vec![
        ("time".into(), time),
        ("cpu".into(), cpu / requests),
        ("p99".into(), p99),
    ])
}

/// What `wrk` prints: nanoseconds for each request, the number of requests, and the 99th percentile of the
/// latency in nanoseconds.
fn wrk_values(text: &str) -> Option<(f64, f64, f64)> {
    let after = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))?;
        Some(line.trim())
    };
    let rate: f64 = after("Requests/sec:")?.parse().ok()?;
    let total = text.lines().find(|line| line.contains(" requests in "))?;
    let total = total.split_whitespace().next()?.parse().ok()?;
    let latency = after("99%")?;
    let units = [("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(name, unit)| Some((latency.strip_suffix(name)?, unit)))?;
    Some((1e9 / rate, total, number.parse::<f64>().ok()? * unit))
}

/// The machine, and the versions of what is measured.
fn conditions() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let value_of = |line: &str| line.split_once(": ").map(|(_, value)| value.to_owned());
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(value_of).unwrap_or("a processor".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split(['-', '\n']).next().unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or(String::new(), |output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    });
    let versions = ["tokio", "smol", "monoio", "mio"].map(|name| {
        let version = hello::version(name).unwrap_or_default();
        format!("{name} {version}")
    });
    format!(
        "{model}, {cores} cores, Linux {kernel}, {rustc}, {}",
        versions.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::wrk_values;

    #[test]
    fn the_numbers_of_wrk_are_read() {
        let text = "\
Running 1s test @ http://127.0.0.1:1/
  Latency Distribution
     50%    1.00ms
     99%    2.50ms
  50000 requests in 1.10s, 100.00MB read
Requests/sec:  50000.00
Transfer/sec:    100.00MB
";
        assert_eq!(wrk_values(text), Some((20_000.0, 50_000.0, 2.5e6)));
    }
}
