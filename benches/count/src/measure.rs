//! Measures a run with callgrind, with perf, and from the kernel's files about this process.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{env, fs, io, process};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server;
use crate::workloads::{Kind, Workload};

/// Keeps glibc from using `rep stosb` and `rep movsb`. They are one instruction, but callgrind counts one per
/// byte, on the processors where glibc chooses them.
const NO_STRING_INSTRUCTIONS: &str =
    "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000";

/// Keeps glibc from returning freed memory to the kernel. glibc returns memory at the top of the heap beyond
/// 128 KiB, and whether a batch of tasks or buffers is there is an accident of the layout. The page faults that
/// follow can cost several times as much as the measured runtime.
pub const KEEP_MEMORY: &str =
    "glibc.malloc.trim_threshold=1000000000:glibc.malloc.mmap_threshold=1000000000";

/// The number of runs of each length. The minimum counts, because chance only adds: how full the bins of the
/// allocator are, or whether an end of stream arrives apart from the data.
const RUNS: usize = 3;

/// The time limit of a run in seconds, for `timeout(1)`. The longest run takes about ten.
const TIMEOUT: &str = "120";

/// The tracepoint that counts syscalls.
pub const SYSCALLS: &str = "raw_syscalls:sys_enter";

/// The functions of the C library that return memory.
const ALLOCATORS: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];

/// A quantity that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Instructions in user space per operation.
    Instructions,
    /// Syscalls of all threads per operation.
    Syscalls,
    /// Bytes of memory per idle task or socket.
    Bytes,
    /// Wake-ups of the process.
    WakeUps,
}

impl Quantity {
    /// All quantities, in the order of the tables.
    pub const ALL: [Quantity; 4] = [
        Quantity::Instructions,
        Quantity::Syscalls,
        Quantity::Bytes,
        Quantity::WakeUps,
    ];

    /// Returns the name of the quantity in tables.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Instructions => "instructions",
            Quantity::Syscalls => "syscalls",
            Quantity::Bytes => "bytes",
            Quantity::WakeUps => "wake-ups",
        }
    }

    /// Returns the tool that counts the quantity, if it needs one.
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Quantity::Instructions => Some("valgrind"),
            Quantity::Syscalls => Some("perf"),
            Quantity::Bytes | Quantity::WakeUps => None,
        }
    }

    /// Returns whether this machine can count the quantity.
    pub fn is_available(self) -> bool {
        let mut command = match self {
            Quantity::Instructions => Command::new("valgrind"),
            Quantity::Syscalls => Command::new("perf"),
            Quantity::Bytes | Quantity::WakeUps => return true,
        };
        let arguments: &[&str] = match self {
            // The tracepoint needs a kernel that has it and a user with access to it.
            Quantity::Syscalls => &["stat", "-e", SYSCALLS, "true"],
            _ => &["--version"],
        };
        let output = command.args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Formats a value with its significant digits.
    pub fn format(self, value: f64) -> String {
        match self {
            Quantity::Syscalls => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        }
    }
}

/// What callgrind counts in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The instructions in user space.
    pub instructions: u64,
    /// The calls of the allocator that return memory.
    pub allocations: u64,
}

impl Profile {
    /// Reads a file of callgrind. A function has its name only where the file mentions it first; later, a number stands
    /// for it. A line with the number of calls follows the line with the function that is called.
    fn parse(text: &str) -> Option<Profile> {
        let mut allocators = HashSet::new();
        let mut calls_allocator = false;
        let mut allocations = 0;
        for line in text.lines() {
            if let Some((mention, function)) = line.split_once("fn=")
                && matches!(mention, "" | "c")
            {
                let (number, name) = function.split_once(' ').unwrap_or((function, ""));
                if ALLOCATORS.contains(&name) {
                    allocators.insert(number);
                }
                calls_allocator = mention == "c" && allocators.contains(number);
            } else if let Some(calls) = line.strip_prefix("calls=")
                && calls_allocator
            {
                let count: u64 = calls.split_whitespace().next()?.parse().ok()?;
                allocations += count;
            }
        }
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Some(Profile {
            instructions: totals?.trim().parse().ok()?,
            allocations,
        })
    }
}

/// The subject of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the runtime, for the command line of the measured process.
    pub runtime: &'a str,
    /// The server at the other end.
    pub server: SocketAddr,
    /// The binary with the workloads: this one, or another build of it.
    pub binary: &'a Path,
}

impl Subject<'_> {
    /// Returns the cost of `workload` in `quantity`, or `None` if the workload does not measure it.
    pub fn measure(self, workload: Workload, quantity: Quantity) -> io::Result<Option<f64>> {
        let cost = match (workload.kind(), quantity) {
            (Kind::Counted(short, long), Quantity::Instructions) => {
                least_per_operation((short, long), |n| self.instructions(workload.name(), n))?
            }
            (Kind::Counted(short, long), Quantity::Syscalls) => {
                least_per_operation((short, long), |n| self.syscalls(workload.name(), n))?
            }
            (Kind::Bytes(n), Quantity::Bytes) => self.value(workload, n)? as f64 / n as f64,
            (Kind::WakeUps(n), Quantity::WakeUps) => self.value(workload, n)? as f64,
            _ => return Ok(None),
        };
        Ok(Some(cost))
    }

    /// Returns the value that one run prints; see [`Workload::run`].
    fn value(self, workload: Workload, n: u64) -> io::Result<u64> {
        let values = self.values(workload.name(), n)?;
        let value = values.first().copied();
        value.ok_or_else(|| io::Error::other(format!("{workload} printed nothing")))
    }

    /// Returns the numbers that one run of the workload with this name prints.
    pub fn values(self, workload: &str, n: u64) -> io::Result<Vec<u64>> {
        Self::printed(&mut self.command(&[], workload, n))
    }

    /// Returns the numbers that a timed run prints, which has [`KEEP_MEMORY`] set.
    pub fn timed_values(self, workload: &str, n: u64) -> io::Result<Vec<u64>> {
        let mut command = self.command(&[], workload, n);
        Self::printed(command.env("GLIBC_TUNABLES", KEEP_MEMORY))
    }

    /// Returns the numbers that a command prints.
    fn printed(command: &mut Command) -> io::Result<Vec<u64>> {
        let output = output(command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers = text.split_whitespace().map(str::parse);
        numbers.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    /// Returns the number of instructions that one run executes in user space.
    pub fn instructions(self, workload: &str, n: u64) -> io::Result<u64> {
        Ok(self.profile(workload, n)?.instructions)
    }

    /// Returns what callgrind counts in one run.
    pub fn profile(self, workload: &str, n: u64) -> io::Result<Profile> {
        let out = env::temp_dir().join(format!("glassfrog-count.{}", process::id()));
        let out_file = format!("--callgrind-out-file={}", out.display());
        let callgrind = ["valgrind", "--tool=callgrind", &out_file];
        let mut command = self.command(&callgrind, workload, n);
        output(command.env("GLIBC_TUNABLES", NO_STRING_INSTRUCTIONS))?;
        let profile = fs::read_to_string(&out)?;
        fs::remove_file(&out)?;
        Profile::parse(&profile).ok_or_else(|| io::Error::other("callgrind wrote no totals"))
    }

    /// Returns the number of syscalls that one run makes on all its threads. The kernel counts them: a tool that
    /// stops the process at each call would make polls so slow that the loop looks for events more often.
    pub fn syscalls(self, workload: &str, n: u64) -> io::Result<u64> {
        let counts = self.events(workload, n, &[SYSCALLS])?;
        Ok(counts[0])
    }

    /// Returns how often the kernel passes each of these tracepoints in one run, on all its threads.
    pub fn events(self, workload: &str, n: u64, events: &[&str]) -> io::Result<Vec<u64>> {
        let list = events.join(",");
        let perf = ["perf", "stat", "-x,", "-e", &list, "--"];
        let output = output(&mut self.command(&perf, workload, n))?;
        // The columns are: count, unit, event, and others.
        let rows = String::from_utf8_lossy(&output.stderr);
        let count = |event: &str| {
            let mut rows = rows.lines().map(|row| row.split(',').collect::<Vec<_>>());
            let row = rows.find(|row| row.get(2) == Some(&event))?;
            row[0].parse().ok()
        };
        let counts: Option<Vec<u64>> = events.iter().copied().map(count).collect();
        counts.ok_or_else(|| io::Error::other(format!("perf printed no count: {rows}")))
    }

    /// Returns the command that runs a workload under `tool`.
    fn command(self, tool: &[&str], workload: &str, n: u64) -> Command {
        let mut command = Command::new("timeout");
        command.arg(TIMEOUT).args(tool).arg(self.binary);
        command.args(["run", self.runtime, workload]);
        command.args([n.to_string(), self.server.to_string()]);
        command
    }
}

/// Returns the cost of one operation: the difference between the counts of a short and a long run, divided by the
/// difference of their lengths.
pub fn per_operation((short, long): (u64, u64), count_short: u64, count_long: u64) -> f64 {
    // If the workload makes no syscalls, a long run may by chance make one less than a short run.
    let difference = count_long.saturating_sub(count_short);
    difference as f64 / (long - short) as f64
}

/// Returns the cost of one operation by the least counts of several runs of these lengths.
fn least_per_operation(
    lengths: (u64, u64),
    count: impl Fn(u64) -> io::Result<u64>,
) -> io::Result<f64> {
    let least = |n| {
        let counts: io::Result<Vec<u64>> = (0..RUNS).map(|_| count(n)).collect();
        counts.map(|counts| counts.into_iter().min().unwrap_or(0))
    };
    let (short, long) = lengths;
    Ok(per_operation(lengths, least(short)?, least(long)?))
}

/// Runs `command`. An error contains the command and its output.
fn output(command: &mut Command) -> io::Result<Output> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{command:?}: {}\n{message}",
        output.status
    )))
}

/// Executes the hidden subcommands `serve` and `run`. Returns whether `arguments` name one of them.
///
/// The arguments of `run` are the runtime, the workload, its length and the server. It returns the numbers to
/// print.
pub fn hidden_subcommand(
    arguments: &[String],
    run: impl FnOnce(&str, &str, u64, SocketAddr) -> Result<Vec<u64>, String>,
) -> Result<bool, String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| -> Result<u64, String> {
        word.parse()
            .map_err(|_| format!("`{word}` is not a number"))
    };
    match arguments[..] {
        ["serve", body_length] => {
            raise_file_limit();
            server::serve(number(body_length)? as usize).map_err(|error| error.to_string())?;
        }
        ["run", runtime, workload, n, server] => {
            raise_file_limit();
            let server = server
                .parse()
                .map_err(|_| format!("`{server}` is not an address"))?;
            let numbers = run(runtime, workload, number(n)?, server)?;
            let words: Vec<_> = numbers.iter().map(u64::to_string).collect();
            println!("{}", words.join(" "));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The desired limit on open files: enough for both ends of ten thousand connections, and some more.
const OPEN_FILES: u64 = 32_768;

/// Raises the limit on open files as far as the system permits.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < OPEN_FILES) {
        let more = Rlimit {
            current: Some(OPEN_FILES),
            maximum: Some(OPEN_FILES),
        };
        if setrlimit(Resource::Nofile, more).is_ok() {
            return;
        }
    }
    limit.current = limit.maximum;
    // If this fails, a workload that runs out of files reports it.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Returns the bytes of anonymous memory of this process: heap, stacks and other mappings without a file.
///
/// This reads `smaps_rollup`, for which the kernel walks the page tables. The kernel updates the resident size in
/// `statm` and `status` lazily, so it may be off by many pages.
pub fn memory() -> u64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux with /proc");
    field(&text, "Anonymous:") * 1024
}

/// Returns how often the threads of this process have waited so far.
pub fn wake_ups() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux with /proc");
    let statuses =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    statuses
        .map(|text| field(&text, "voluntary_ctxt_switches:"))
        .sum()
}

/// Returns the number after `name` in a text file of the kernel.
fn field(text: &str, name: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .expect("a number after the field's name")
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn calls_of_the_allocator_are_counted_by_name_and_by_number() {
        let profile = "\
fn=(1) main
cfn=(2) malloc
calls=3 0
7 30
cfn=(3) poll
calls=5 0
8 50
fn=(2)
9 10
fn=(3)
cfn=(2)
calls=4 0
10 40
totals: 130
";
        let expected = Profile {
            instructions: 130,
            allocations: 7,
        };
        assert_eq!(Profile::parse(profile), Some(expected));
    }
}
