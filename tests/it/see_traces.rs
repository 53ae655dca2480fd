//! Traces of waits: the chains that a dump shows, when a trace is captured, and how the traces are turned on.

use crate::support::{accepted, child_with_variable, settle, watchdog};
use crate::task_probes::poll_with;
use futures::future::{join, join_all, pending, poll_fn, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{AsyncReadExt, FutureExt as _};
use glassfrog::net::TcpStream;
use glassfrog::task::{self, JoinHandle, scope, spawn_blocking, waiting_for, yield_now};
use glassfrog::time::{interval, sleep, timeout};
use glassfrog::{Dump, Handle, Runtime, spawn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// Runs a future on a runtime that traces waits.
#[track_caller]
fn traced<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().trace_waits(true).build().unwrap();
    runtime.block_on(future)
}

/// Returns the lines of a dump that belong to the first task whose row contains this text.
fn rows(dump: &Dump, wanted: &str) -> Vec<String> {
    let text = format!("{dump:#}");
    let begin = text.lines().skip_while(|line| !line.contains(wanted));
    let column = begin
        .clone()
        .next()
        .unwrap_or_else(|| panic!("no {wanted}:\n{text}"));
    let column = column.find("waiting  ").unwrap() + "waiting  ".len();
    let is_further = |line: &&str| line.chars().take(20).all(|c| c == ' ');
    let rows = begin
        .clone()
        .take(1)
        .chain(begin.skip(1).take_while(is_further));
    rows.map(|line| line.chars().skip(column).collect())
        .collect()
}

/// Returns the chain below the first wait of a named task.
fn chain(dump: &Dump, name: &str) -> Vec<(String, u32, String)> {
    let rows = rows(dump, &format!("\"{name}\" "));
    links(&rows[1])
}

/// Splits a chain into the file, the line and the name of each link.
fn links(chain: &str) -> Vec<(String, u32, String)> {
    let links = chain.trim().split(" ← ").map(|link| {
        let (place, name) = link.split_once(' ').unwrap_or((link, ""));
        let (file, line) = place.rsplit_once(':').unwrap_or_else(|| panic!("{chain}"));
        (file.to_string(), line.parse().unwrap(), name.to_string())
    });
    links.collect()
}

/// Returns the names in a chain.
fn names(chain: &[(String, u32, String)]) -> Vec<&str> {
    chain.iter().map(|(_, _, name)| &**name).collect()
}

/// Spawns a named task.
#[track_caller]
fn named(name: &str, future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    task::Builder::new().name(name).spawn(future)
}

/// Reads a byte.
async fn read_reply(stream: &TcpStream) {
    stream.read(&mut [0; 1]).await.unwrap();
}

/// The line of the call in [`read_reply`].
const READ_REPLY: u32 = line!() - 4;

/// A type with an async method.
struct Client(TcpStream);

impl Client {
    /// Calls the function above.
    async fn call(&self) {
        read_reply(&self.0).await;
    }
}

/// The line of the call in [`Client::call`].
const CALL: u32 = line!() - 5;

#[test]
fn a_chain_lists_the_async_functions_from_the_innermost_to_the_task() {
    traced(async {
        let (stream, _peer) = accepted().await;
        let client = Client(stream);
        let outer = line!() + 1;
        let _task = named("reader", async move { client.call().await });
        settle().await;
        let chain = chain(&task::dump(), "reader");
        let expected = [
            (READ_REPLY, "read_reply"),
            (CALL, "Client::call"),
            (
                outer,
                "a_chain_lists_the_async_functions_from_the_innermost_to_the_task",
            ),
        ];
        let expected = expected.map(|(line, name)| (String::from(file!()), line, name.to_string()));
        assert_eq!(chain, expected);
    });
}

/// Sleeps.
async fn nap() {
    sleep(LONG).await;
}

#[test]
fn every_kind_of_wait_has_a_chain() {
    /// Waits for a task.
    async fn for_task() {
        named("napping", nap()).await.unwrap();
    }
    /// Waits for a task that was spawned through a handle.
    async fn for_remote() {
        Handle::current().spawn(nap()).await.unwrap();
    }
    /// Waits for a blocking job.
    async fn for_job(held: mpsc::Receiver<()>) {
        spawn_blocking(move || held.recv().is_err()).await.unwrap();
    }
    /// Waits with a label.
    async fn for_label() {
        waiting_for("the end", pending::<()>()).await;
    }
    /// Waits for a tick.
    async fn for_tick() {
        let mut ticks = interval(LONG);
        ticks.tick().await;
        ticks.tick().await;
    }
    /// Reads through the trait, which calls a poll method.
    async fn by_poll_method(mut stream: TcpStream) {
        AsyncReadExt::read(&mut stream, &mut [0; 1]).await.unwrap();
    }
    traced(async {
        let (held, job) = mpsc::channel::<()>();
        let (stream, _peer) = accepted().await;
        let tasks = [
            ("nap", named("a nap", nap())),
            ("for_task", named("a task", for_task())),
            ("for_remote", named("a remote", for_remote())),
            ("for_job", named("a job", for_job(job))),
            ("for_label", named("a label", for_label())),
            ("for_tick", named("a tick", for_tick())),
            ("by_poll_method", named("a poll", by_poll_method(stream))),
        ];
        settle().await;
        let dump = task::dump();
        for ((function, _task), name) in tasks.iter().zip([
            "a nap", "a task", "a remote", "a job", "a label", "a tick", "a poll",
        ]) {
            assert_eq!(names(&chain(&dump, name)), [*function], "{dump:#}");
        }
        let json = dump.to_json();
        assert_eq!(json.matches("\"trace\":\"").count(), 9, "{json}");
        drop(held);
    });
}

#[test]
fn combinators_do_not_stand_between_the_functions_of_the_program() {
    /// Naps in three combinators.
    async fn combined() {
        let (one, other) = (pin!(nap()), pin!(pending::<()>()));
        let joined = join(select(one, other), async {});
        let unordered = FuturesUnordered::from_iter([joined.map(drop).boxed_local()]);
        timeout(LONG, unordered.collect::<Vec<_>>()).await.unwrap();
    }
    traced(async {
        let _task = named("combined", combined());
        settle().await;
        let dump = task::dump();
        let rows = rows(&dump, "combined");
        let [inner, outer] = [&rows[1], &rows[3]].map(|chain| links(chain));
        assert_eq!(names(&inner), ["nap", "combined"], "{dump:#}");
        assert_eq!(names(&outer), ["combined"], "{dump:#}");
    });
}

#[test]
fn the_chain_of_a_child_continues_with_the_parent() {
    /// Has a child that naps.
    async fn parent() {
        scope(async |s| {
            s.spawn(nap());
        })
        .await;
    }
    traced(async {
        let _task = named("parent", parent());
        settle().await;
        let dump = task::dump();
        let rows = rows(&dump, "sleep, ");
        assert_eq!(names(&links(&rows[1])), ["nap", "parent"], "{dump:#}");
    });
}

#[test]
fn a_trace_is_captured_once_for_a_wait() {
    traced(async {
        let (stream, _peer) = accepted().await;
        let poll = line!() + 6;
        let _task = named("twice", async move {
            let mut byte = [0; 1];
            let reading = stream.read(&mut byte).map(drop).boxed_local();
            let label = waiting_for("both", pending()).boxed_local();
            let mut waits = [reading, sleep(LONG).boxed_local(), label];
            let first = poll_fn(|cx| Poll::Ready(waits.each_mut().map(|wait| wait.poll_unpin(cx))));
            assert!(first.await.iter().all(Poll::is_pending));
            yield_now().await;
            // The same waits again, from another line.
            join_all(waits).await;
        });
        settle().await;
        let dump = task::dump();
        let rows = rows(&dump, "twice");
        let chains: Vec<_> = rows
            .iter()
            .skip(1)
            .step_by(2)
            .map(|row| links(row))
            .collect();
        assert_eq!(chains.len(), 3, "{dump:#}");
        for chain in chains {
            assert_eq!(chain[0].1, poll, "{dump:#}");
        }
    });
}

#[test]
fn each_of_many_waits_of_a_task_has_its_own_chain() {
    /// Naps for the first time.
    async fn one() {
        nap().await;
    }
    /// Naps for the second time.
    async fn other() {
        nap().await;
    }
    traced(async {
        let naps = [one().boxed_local(), other().boxed_local()];
        let _task = named("many", join_all(naps).map(drop));
        settle().await;
        let dump = task::dump();
        let rows = rows(&dump, "many");
        let mut seen: Vec<String> = rows
            .iter()
            .filter(|row| row.contains(" ← "))
            .map(|row| names(&links(row)).join(" "))
            .collect();
        seen.sort();
        assert_eq!(seen, ["nap one", "nap other"], "{dump:#}");
    });
}

#[test]
fn a_new_wait_has_a_new_chain() {
    traced(async {
        let place = line!() + 3;
        let _task = named("again", async {
            sleep(Duration::from_millis(1)).await;
            sleep(LONG).await;
        });
        sleep(Duration::from_millis(20)).await;
        settle().await;
        let dump = task::dump();
        assert_eq!(chain(&dump, "again")[0].1, place, "{dump:#}");
    });
}

#[test]
fn a_dump_without_traces_shows_none() {
    let _watchdog = watchdog();
    for builder in [Runtime::builder(), Runtime::builder().trace_waits(false)] {
        builder.build().unwrap().block_on(async {
            let _task = named("napper", nap());
            settle().await;
            let dump = task::dump();
            assert_eq!(rows(&dump, "napper").len(), 1, "{dump:#}");
            assert!(dump.to_json().contains("\"trace\":null"));
            assert!(!dump.to_json().contains("\"trace\":\""));
        });
    }
}

#[test]
fn a_dump_resolves_traces_after_the_end_of_its_runtime() {
    let dump = traced(async {
        let _task = named("napper", nap());
        settle().await;
        task::dump()
    });
    assert_eq!(names(&chain(&dump, "napper")), ["nap"]);
}

#[test]
fn a_wait_outside_any_task_has_no_trace() {
    traced(async {
        let mut napping = Box::pin(sleep(LONG));
        let napping = std::thread::spawn(move || {
            assert!(poll_with(&mut napping, Waker::noop()).is_pending());
            napping
        });
        let _napping = napping.join().unwrap();
        assert!(!task::dump().to_json().contains("\"trace\":\""));
    });
}

/// Returns whether a runtime with the settings of the environment, or with this one, traces waits.
fn traces(setting: Option<bool>) -> bool {
    let mut builder = Runtime::builder();
    if let Some(traces) = setting {
        builder = builder.trace_waits(traces);
    }
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let _task = spawn(nap());
        settle().await;
        task::dump().to_string().contains(" nap\n")
    })
}

#[test]
fn the_environment_turns_the_traces_on_unless_the_builder_turns_them_off() {
    child_with_variable("GLASSFROG_TRACE_WAITS", "1", || {
        assert!(traces(None));
        assert!(!traces(Some(false)));
        assert!(traces(Some(true)));
    })
    .finish();
}

#[test]
fn a_zero_in_the_environment_leaves_the_traces_off() {
    child_with_variable("GLASSFROG_TRACE_WAITS", "0", || {
        assert!(!traces(None));
        assert!(traces(Some(true)));
    })
    .finish();
}

#[test]
fn the_chains_of_many_tasks_survive_the_sweeps_of_the_table() {
    traced(async {
        let (stream, _peer) = accepted().await;
        let stream = std::rc::Rc::new(stream);
        let readers: Vec<_> = (0..300)
            .map(|_| {
                let stream = std::rc::Rc::clone(&stream);
                spawn(async move { read_reply(&stream).await })
            })
            .collect();
        let nappers: Vec<_> = (0..300).map(|_| spawn(nap())).collect();
        let joiners: Vec<_> = nappers
            .into_iter()
            .map(|napper| spawn(async { napper.await.unwrap() }))
            .collect();
        let remote: Vec<_> = (0..100)
            .map(|_| spawn(async { Handle::current().spawn(nap()).await.unwrap() }))
            .collect();
        settle().await;
        // Many waits that end at once.
        for _ in 0..3000 {
            assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        }
        let count = |dump: &Dump| dump.to_json().matches("\"trace\":\"").count();
        let waits = readers.len() + 2 * joiners.len() + 2 * remote.len();
        // The root waits too, while it settles, but not when it takes the dump.
        assert_eq!(count(&task::dump()), waits);
    });
}
