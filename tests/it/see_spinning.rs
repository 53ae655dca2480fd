//! Tasks that are polled again and again without getting on: the report, and the rates in dumps.

use crate::support::watchdog;
use crate::task_probes::{logged, record_log};
use futures::channel::mpsc;
use futures::future::{join, select};
use futures::{AsyncReadExt, AsyncWriteExt, SinkExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{self, JoinHandle, yield_now};
use glassfrog::time::sleep;
use glassfrog::{Builder, Runtime, dump, spawn};
use std::cell::Cell;
use std::future::poll_fn;
use std::hint::black_box;
use std::net;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The number of polls between two reads of the log. A read makes a poll long.
const NOW_AND_THEN: u64 = 10_000;

/// Builds a runtime whose log the test reads. A slow machine causes no other warning.
fn recorded() -> Builder {
    record_log();
    Builder::new().watchdog(Duration::MAX)
}

/// Returns the reports of spinners that contain this name.
fn reports(name: &str) -> Vec<String> {
    let told = logged(name);
    let spins = |line: &String| line.contains(" spins: ") || line.contains(" tasks spin: ");
    told.into_iter().filter(spins).collect()
}

/// Yields until the log has a report about a task of this name.
async fn spin_until_told(name: &str) {
    for polls in 1.. {
        yield_now().await;
        if polls % NOW_AND_THEN == 0 && !reports(name).is_empty() {
            return;
        }
    }
}

/// Spawns a task of this name, which spins until it is reported.
fn spinner(name: &'static str) -> JoinHandle<()> {
    let task = task::Builder::new().name(name);
    task.spawn(spin_until_told(name))
}

#[test]
fn a_task_that_yields_in_a_loop_is_reported_once_with_its_rate() {
    let _watchdog = watchdog();
    let (first, second) = ("spinning: first", "spinning: second");
    let line = line!() + 5;
    recorded().build().unwrap().block_on(async {
        let is_over = Rc::new(Cell::new(false));
        let ours = Rc::clone(&is_over);
        let task = task::Builder::new().name(first);
        let task = task.spawn(async move {
            while !ours.get() {
                yield_now().await;
            }
        });
        while reports(first).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        // It goes on spinning, beside another one.
        spinner(second).await.unwrap();
        is_over.set(true);
        task.await.unwrap();
    });
    let told = reports(first);
    assert_eq!(told.len(), 1, "{told:?}");
    let text = &told[0];
    let place = format!("{first:?} (spawned at {}:{line}:", file!());
    assert!(text.starts_with("WARN task "), "{text}");
    assert!(text.contains(&place), "{text}");
    let (_, rate) = text.split_once("it was polled ").unwrap();
    let (rate, rest) = rate.split_once(" times in the last second").unwrap();
    assert!(rest.contains("await the event"), "{text}");
    assert!(
        rate.replace(',', "").parse::<u64>().unwrap() >= 1000,
        "{text}"
    );
    assert_eq!(reports(second).len(), 1);
}

#[test]
fn a_task_that_calls_its_own_waker_or_sleeps_for_no_time_is_reported() {
    let _watchdog = watchdog();
    let (by_waker, by_sleep) = ("spinning: waker", "spinning: sleep");
    recorded().build().unwrap().block_on(async {
        let mut polls = 0;
        let woken = task::Builder::new().name(by_waker);
        let woken = woken.spawn(poll_fn(move |cx| {
            polls += 1;
            if polls % NOW_AND_THEN == 0 && !reports(by_waker).is_empty() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        woken.await.unwrap();
        // A lone one, so that nothing else keeps the loop from parking.
        let sleeper = task::Builder::new().name(by_sleep);
        let sleeper = sleeper.spawn(async {
            for polls in 1.. {
                sleep(Duration::ZERO).await;
                if polls % NOW_AND_THEN == 0 && !reports(by_sleep).is_empty() {
                    return;
                }
            }
        });
        sleeper.await.unwrap();
    });
    assert_eq!((reports(by_waker).len(), reports(by_sleep).len()), (1, 1));
}

#[test]
fn a_spinner_that_also_waits_for_a_socket_is_reported() {
    let _watchdog = watchdog();
    let name = "spinning: beside a socket";
    recorded().build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let task = task::Builder::new().name(name);
        let task = task.spawn(async move {
            let accepts = async { drop(listener.accept().await) };
            let _first = select(pin!(accepts), pin!(spin_until_told(name))).await;
        });
        task.await.unwrap();
    });
    assert_eq!(reports(name).len(), 1);
}

/// Spawns a task that must not be reported. All of them have names that begin alike.
fn healthy(
    tasks: &mut Vec<JoinHandle<()>>,
    name: &str,
    future: impl Future<Output = ()> + 'static,
) {
    let name = format!("spinning not: {name}");
    tasks.push(task::Builder::new().name(name).spawn(future));
}

/// Passes a number to and fro between two channels of another crate, for ever.
async fn pass(mut to: mpsc::Sender<u64>, mut from: mpsc::Receiver<u64>) {
    while let Some(number) = from.next().await {
        to.send(number + 1).await.unwrap();
    }
}

/// Returns two futures that pass a number to each other.
fn ping_pong() -> (impl Future<Output = ()>, impl Future<Output = ()>) {
    let (mut ping, pinged) = mpsc::channel(1);
    let (pong, ponged) = mpsc::channel(1);
    ping.try_send(0).unwrap();
    (pass(ping, ponged), pass(pong, pinged))
}

#[test]
fn busy_tasks_that_get_on_are_not_reported() {
    let _watchdog = watchdog();
    recorded().build().unwrap().block_on(async {
        let mut tasks = Vec::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let client = client.await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        for (name, mut stream, begins) in [("client", client, true), ("server", server, false)] {
            healthy(&mut tasks, name, async move {
                let mut text = [0; 64];
                if begins {
                    stream.write_all(&text).await.unwrap();
                }
                loop {
                    stream.read_exact(&mut text).await.unwrap();
                    stream.write_all(&text).await.unwrap();
                }
            });
        }
        healthy(&mut tasks, "computation", async {
            loop {
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(50) {
                    black_box(start);
                }
                yield_now().await;
            }
        });
        let (ping, pong) = ping_pong();
        healthy(&mut tasks, "ping", ping);
        healthy(&mut tasks, "pong", pong);
        let (ping, pong) = ping_pong();
        healthy(&mut tasks, "ping and pong", async {
            join(ping, pong).await;
        });
        let (ping, pong) = ping_pong();
        let scope = task::scope(async move |s| {
            s.spawn(ping);
            s.spawn(pong);
        });
        healthy(&mut tasks, "scope", scope);
        let (sends, mut receives) = mpsc::unbounded();
        healthy(&mut tasks, "producer", async move {
            loop {
                sends.unbounded_send(()).unwrap();
                yield_now().await;
            }
        });
        healthy(&mut tasks, "consumer", async move {
            while receives.next().await.is_some() {}
        });
        healthy(&mut tasks, "spawner", async {
            loop {
                drop(spawn(async {}));
                yield_now().await;
            }
        });
        #[cfg(feature = "sync")]
        healthy(&mut tasks, "counter", async {
            let count = glassfrog::sync::Mutex::new(0);
            loop {
                *count.lock().await += 1;
                yield_now().await;
            }
        });
        for number in 0..10 {
            healthy(&mut tasks, &format!("timer {number}"), async {
                loop {
                    sleep(Duration::from_micros(1)).await;
                }
            });
        }
        // While these spin, the loop never parks. When both have been reported in turn, any other spinner has been, too.
        spinner("spinning: beside healthy tasks").await.unwrap();
        spinner("spinning: beside them again").await.unwrap();
        let dump = task::dump();
        for name in ["client", "ping", "computation"] {
            let task = dump.find_by_name(&format!("spinning not: {name}")).unwrap();
            assert!(task.polls_per_second() > Some(1.0), "{task:?}");
        }
        for task in tasks {
            task.abort();
        }
    });
    assert_eq!(reports("spinning not: "), [""; 0]);
}

#[test]
fn bursts_of_yields_are_not_reported() {
    let _watchdog = watchdog();
    let name = "spinning not: bursts";
    recorded().build().unwrap().block_on(async {
        // The loop parks between the bursts.
        let bursts = task::Builder::new().name(name).spawn(async {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(4) {
                for _ in 0..1500 {
                    yield_now().await;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        bursts.await.unwrap();
    });
    assert_eq!(reports(name), [""; 0]);
}

/// Returns an address where nothing listens.
fn nowhere() -> net::SocketAddr {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Tries to connect until something listens there.
async fn retry(addr: net::SocketAddr) {
    while TcpStream::connect(addr).await.is_err() {}
}

#[test]
fn a_storm_of_retries_shows_in_the_dump() {
    let _watchdog = watchdog();
    let (name, addr) = ("spinning not: retries", nowhere());
    let of = |dump: &dump::Dump| {
        let task = dump.find_by_name(name).unwrap();
        task.polls_per_second().zip(task.sockets_per_second())
    };
    recorded().build().unwrap().block_on(async {
        let task = task::Builder::new().name(name).spawn(retry(addr));
        // Nothing is known at first.
        yield_now().await;
        assert_eq!(of(&task::dump()), None);
        let dump = loop {
            let dump = task::dump();
            if of(&dump).is_some_and(|(_, sockets)| sockets >= 20.0) {
                break dump;
            }
            sleep(Duration::from_millis(10)).await;
        };
        let text = dump.to_string();
        let mut lines = text.lines();
        let line = lines.find(|line| line.contains(name)).unwrap();
        assert!(line.contains(" sockets a second"), "{text}");
        let json = dump.to_json();
        let (_, rate) = json.rsplit_once("\"sockets_per_second\":").unwrap();
        let (rate, _) = rate.split_once(',').unwrap();
        assert!(rate.parse::<f64>().unwrap() >= 20.0, "{json}");
        task.abort();
    });
    assert_eq!(reports(name), [""; 0]);
}

#[test]
fn the_line_of_a_group_shows_the_sum_of_the_rates() {
    let _watchdog = watchdog();
    recorded().build().unwrap().block_on(async {
        let addr = nowhere();
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                spawn(async move {
                    loop {
                        drop(TcpStream::connect(addr).await);
                        sleep(Duration::from_millis(20)).await;
                    }
                })
            })
            .collect();
        // No task opens enough by itself when the machine is slow, but the five may.
        loop {
            let dump = task::dump();
            let rates = dump.tasks().iter().filter(|task| task.id() != 0);
            let sum: f64 = rates.filter_map(dump::TaskDump::sockets_per_second).sum();
            let text = dump.to_string();
            if sum >= 20.0 && text.contains("5 ×") {
                let shown = format!("opened {} sockets a second", sum.round());
                assert!(text.contains(&shown), "{sum}: {text}");
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        for task in tasks {
            task.abort();
        }
    });
}

/// Builds a runtime with a virtual clock.
fn virtual_time() -> Runtime {
    recorded().virtual_clock().build().unwrap()
}

#[test]
fn under_a_virtual_clock_a_spinner_is_reported_only_if_no_deadline_is_pending() {
    let _watchdog = watchdog();
    let (with, without) = ("spinning not: holds the clock", "spinning: no deadline");
    virtual_time().block_on(async {
        spinner(without).await.unwrap();
        let nap = task::Builder::new().name("spinning: nap");
        let nap = nap.spawn(sleep(Duration::from_secs(5)));
        let holds = task::Builder::new().name(with);
        let holds = holds.spawn(async {
            let start = Instant::now();
            let mut is_over = false;
            for polls in 1.. {
                yield_now().await;
                if polls % NOW_AND_THEN == 0 {
                    let is_told = logged("spinning: nap").len() == 1;
                    // Long enough for two samples after the report of the standstill.
                    is_over |= is_told && start.elapsed() > Duration::from_secs(4);
                }
                if is_over {
                    return;
                }
            }
        });
        holds.await.unwrap();
        assert_eq!(task::dump().tasks()[0].polls_per_second(), None);
        nap.await.unwrap();
    });
    assert_eq!((reports(without).len(), reports(with).len()), (1, 0));
}
