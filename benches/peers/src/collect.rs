//! Measures rows, and adds the values to the data.
//!
//! For each row, the runtimes take turns, and each round starts with a different one. The measured process runs
//! on one core, and the server or client at its other end on another.

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

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measurement {
    /// Time, CPU time and lateness.
    Time,
    /// Syscalls, by kind where there are sockets.
    Syscalls,
    /// Instructions.
    Instructions,
    /// Memory and wake-ups of idle tasks and connections.
    Memory,
    /// Size, crates and build time of small programs.
    Programs,
}

impl Measurement {
    /// All kinds, in the order in which they are measured.
    pub(crate) const ALL: [Measurement; 5] = [
        Measurement::Time,
        Measurement::Syscalls,
        Measurement::Instructions,
        Measurement::Memory,
        Measurement::Programs,
    ];

    /// Returns the name of the kind in arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measurement::Time => "time",
            Measurement::Syscalls => "syscalls",
            Measurement::Instructions => "instructions",
            Measurement::Memory => "memory",
            Measurement::Programs => "programs",
        }
    }

    /// Returns the tool that the measurement needs, if it is missing on this machine.
    fn missing_tool(self) -> Option<&'static str> {
        let quantity = match self {
            Measurement::Syscalls => Quantity::Syscalls,
            Measurement::Instructions => Quantity::Instructions,
            _ => return None,
        };
        quantity.tool().filter(|_| !quantity.is_available())
    }

    /// Returns whether `row` is measured in this way.
    fn applies_to(self, row: &Row) -> bool {
        match self {
            Measurement::Memory => row.section == Section::Memory,
            Measurement::Programs => row.section == Section::Program,
            Measurement::Time => {
                row.length > 0
                    && !Measurement::Memory.applies_to(row)
                    && !Measurement::Programs.applies_to(row)
            }
            Measurement::Syscalls | Measurement::Instructions => row.counted.is_some(),
        }
    }

    /// Returns whether this measurement yields a quantity of the data.
    fn yields(self, quantity: &str) -> bool {
        let counted = |measurement: Measurement| match measurement {
            Measurement::Syscalls => quantity.starts_with("syscalls"),
            Measurement::Instructions => quantity == "instructions",
            _ => false,
        };
        match self {
            Measurement::Syscalls | Measurement::Instructions => counted(self),
            _ => !counted(Measurement::Syscalls) && !counted(Measurement::Instructions),
        }
    }
}

/// The maximum number of rounds of a count. Chance, such as the number of events that a wait returns, only adds
/// to a count, so the minimum of a few rounds is enough.
const MOST_COUNTS: usize = 2;

/// The maximum number of rounds of builds of the small programs.
const MOST_BUILDS: usize = 3;

/// The argument of `wrk` for the time that it keeps a server busy: a second, the shortest time that it accepts.
const WRK_DURATION: &str = "-d1s";

/// The syscalls that are counted separately, by the kernel's names.
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

/// The kind of all other syscalls.
pub(crate) const OTHER_KIND: &str = "other";

/// Measures rows, and keeps the values in a file.
#[derive(Debug)]
pub(crate) struct Collector {
    /// The number of rounds.
    rounds: usize,
    /// The values measured so far.
    data: Data,
    /// The file of the values.
    path: PathBuf,
    /// The machine and the versions.
    conditions: String,
    /// The server with small responses.
    small: Server,
    /// The server with large responses.
    large: Server,
    /// This binary.
    this: PathBuf,
    /// The binary with the feature `threads`, once a row has needed it.
    threads: Option<PathBuf>,
}

impl Collector {
    /// Starts the servers, and reads the values that have been measured already.
    pub(crate) fn start(directory: &Path, rounds: usize) -> io::Result<Collector> {
        fs::create_dir_all(directory)?;
        let path = directory.join(crate::DATA);
        if !cpus::can_use_both() {
            eprintln!("only one core is available: both ends share it");
        }
        // Before this process is pinned, because pinning changes the number of available cores.
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
    pub(crate) fn collect(
        &mut self,
        rows: &[&'static Row],
        measurements: &[Measurement],
    ) -> io::Result<()> {
        for &measurement in measurements {
            let rows = rows.iter().filter(|row| measurement.applies_to(row));
            if let Some(tool) = measurement.missing_tool() {
                eprintln!("{tool} is missing: no {}", measurement.name());
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
                    [] => self.collect_one(row, row.name, row.length, measurement),
                    points => {
                        for &point in points {
                            self.collect_one(
                                row,
                                &row.point(point),
                                row.length.max(point),
                                measurement,
                            );
                        }
                    }
                }
                self.data.write(&self.path)?;
                let seconds = start.elapsed().as_secs();
                eprintln!("{} of {}: {seconds} s", measurement.name(), row.name);
            }
        }
        Ok(())
    }

    /// Measures one row, or one point of a curve.
    fn collect_one(&mut self, row: &Row, name: &str, n: u64, measurement: Measurement) {
        let rounds = match measurement {
            Measurement::Time => self.rounds,
            Measurement::Syscalls | Measurement::Instructions => self.rounds.min(MOST_COUNTS),
            Measurement::Memory => 1,
            Measurement::Programs => self.rounds.min(MOST_BUILDS),
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
                match self.run(row, name, n, measurement, runtime) {
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
        self.data
            .remove(name, |quantity| measurement.yields(quantity));
        for ((index, quantity), values) in found {
            // Without the values of the failed round, the others would not be at the indices of their rounds.
            if !failed[index] {
                let (runtime, conditions) = (row.runtimes[index], &self.conditions);
                self.data.add(name, &quantity, runtime, conditions, values);
            }
        }
    }

    /// Measures one runtime once. Returns quantities and their values.
    fn run(
        &self,
        row: &Row,
        name: &str,
        n: u64,
        measurement: Measurement,
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
            // The short run comes first, so that the long one finds the caches of the kernel warm.
            let (fewer, more) = (count(short)?, count(long)?);
            let costs = more.iter().zip(fewer);
            let cost = |(more, fewer): (&u64, u64)| {
                more.saturating_sub(fewer) as f64 / (long - short) as f64
            };
            io::Result::Ok(costs.map(cost).collect::<Vec<f64>>())
        };
        match (measurement, row.section) {
            (Measurement::Time, Section::Requests) => requests(runtime, n),
            (Measurement::Time, Section::Lateness) => {
                let values = subject.timed_values(name, n)?;
                let names = ["p50", "p99.9"].map(String::from);
                Ok(names
                    .into_iter()
                    .zip(values.into_iter().map(|value| value as f64))
                    .collect())
            }
            (Measurement::Time, section) => {
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
            (Measurement::Syscalls, Section::Sockets) => {
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
            (Measurement::Syscalls, _) => {
                let costs = counted(&|n| Ok(vec![subject.syscalls(name, n)?]))?;
                Ok(vec![("syscalls".into(), costs[0])])
            }
            (Measurement::Instructions, _) => {
                let costs = counted(&|n| Ok(vec![subject.instructions(name, n)?]))?;
                Ok(vec![("instructions".into(), costs[0])])
            }
            (Measurement::Memory, _) if row.name == "idle_connections" => {
                let value = subject.values(name, n)?[0];
                Ok(vec![("wake-ups".into(), value as f64)])
            }
            (Measurement::Memory, _) => {
                let value = subject.values(name, n)?[0];
                Ok(vec![("bytes".into(), value as f64 / n as f64)])
            }
            (Measurement::Programs, _) => {
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

    /// Returns the measured values.
    pub(crate) fn data(self) -> Data {
        self.data
    }
}

/// Returns the syscalls of [`KINDS`] that this kernel has.
fn kinds() -> impl Iterator<Item = &'static str> {
    // Where perf can count tracepoints, one of these is mounted.
    let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    KINDS.iter().copied().filter(move |kind| {
        let event = |root: &&str| Path::new(root).join(format!("events/syscalls/sys_enter_{kind}"));
        roots.iter().any(|root| event(root).exists())
    })
}

/// Keeps an HTTP server on `runtime` busy over `connections` connections. Returns the cost of a request.
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
    // The server exits when its standard input ends.
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

/// Parses the output of `wrk`: nanoseconds for each request, the number of requests, and the 99th percentile of
/// the latency in nanoseconds.
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

/// Describes the machine and the versions of the measured crates.
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
    fn the_output_of_wrk_is_parsed() {
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
