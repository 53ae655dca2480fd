//! Failures: each cause, with what the failure says.

use glassfrog::sim::{self, Cause, Clock, Failure, Link, Sim};
use glassfrog::spawn;
use glassfrog::task::{Builder, yield_now};
use glassfrog::time::sleep;
use std::error::Error;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Runs a client that fails.
fn failure(client: impl Future<Output = sim::Result> + 'static) -> Failure {
    let mut sim = Sim::new(4);
    sim.host("server", pending);
    sim.client("client", client);
    sim.run().unwrap_err()
}

#[test]
fn a_failure_says_what_where_when_and_how_to_repeat_it() {
    let failure = failure(async {
        sleep(SECOND).await;
        Err("no answer".into())
    });
    assert_eq!(failure.seed(), 4);
    assert_eq!(failure.host(), Some("client"));
    assert_eq!(failure.elapsed(), SECOND);
    assert_eq!(failure.dumps().next().unwrap().0, "server");
    assert!(matches!(failure.cause(), Cause::Error(error) if error.to_string() == "no answer"));
    assert_eq!(failure.source().unwrap().to_string(), "no answer");
    let text = failure.to_string();
    assert!(text.starts_with(
        "host \"client\" failed after 1.000000 s of simulated time: returned an error: no answer\n"
    ), "{text}");
    assert!(text.contains("tasks of server:\n"), "{text}");
    // The software of the client has returned.
    assert!(text.contains("tasks of client: none\n"), "{text}");
    assert!(text.ends_with("repeat it with GLASSFROG_SEED=4"), "{text}");
    assert_eq!(format!("{failure:?}"), text);
}

#[test]
fn the_error_of_a_host_fails_the_run() {
    let mut sim = Sim::new(1);
    sim.host("server", || async {
        Err(std::io::Error::other("disk full").into())
    });
    sim.client("client", pending());
    let failure = sim.run().unwrap_err();
    assert_eq!(failure.host(), Some("server"));
    assert!(failure.to_string().contains("disk full"));
}

#[test]
fn an_error_that_is_send_and_sync_is_converted() {
    fn inner() -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("inner".into())
    }
    let failure = failure(async { inner().map_err(|error| -> Box<dyn Error> { error }) });
    assert!(failure.to_string().contains("inner"));
}

#[test]
fn a_failed_simulation_does_not_go_on() {
    let mut sim = Sim::new(1);
    sim.client("client", async { Err("no".into()) });
    let first = sim.run().unwrap_err();
    let second = sim.run_for(SECOND).unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
}

#[test]
fn a_panic_of_the_software_fails_the_run() {
    let failure = failure(async { panic!("lost entry {}", 7) });
    assert!(
        matches!(failure.cause(), Cause::Panic(text) if text.contains("lost entry 7")),
        "{failure}"
    );
    assert_eq!(failure.host(), Some("client"));
}

#[test]
fn a_panic_of_the_closure_that_creates_the_software_fails_the_run() {
    let mut sim = Sim::new(1);
    sim.host("server", || -> std::future::Pending<sim::Result> {
        panic!("no software")
    });
    let failure = sim.run_for(SECOND).unwrap_err();
    assert!(
        matches!(failure.cause(), Cause::Panic(text) if text == "its software panicked: no software"),
        "{failure}"
    );
}

#[test]
fn a_panic_of_a_detached_task_fails_the_run() {
    let failure = failure(async {
        drop(
            Builder::new()
                .name("worker")
                .spawn(async { panic!("in a task") }),
        );
        pending().await
    });
    let Cause::Panic(text) = failure.cause() else {
        panic!("{failure}")
    };
    assert!(
        text.contains("worker") && text.contains("in a task"),
        "{text}"
    );
}

#[test]
fn a_panic_that_the_program_receives_does_not_fail_the_run() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        let task = spawn(async { panic!("handled") });
        assert!(task.await.unwrap_err().is_panic());
        // It is not awaited when it panics.
        let task = spawn(async { panic!("handled later") });
        sleep(SECOND).await;
        assert!(task.await.unwrap_err().is_panic());
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_panic_in_a_handle_that_nobody_awaits_fails_the_run_at_its_end() {
    let failure = failure(async {
        let task = spawn(async { panic!("never read") });
        sleep(SECOND).await;
        let held = Rc::new(task);
        std::mem::forget(held);
        Ok(())
    });
    let Cause::Panic(text) = failure.cause() else {
        panic!("{failure}")
    };
    assert!(text.contains("never read"), "{text}");
}

#[test]
fn a_check_that_returns_an_error_or_panics_fails_the_run() {
    for panics in [false, true] {
        let mut sim = Sim::new(1);
        sim.client("client", pending());
        sim.every(SECOND, move || match panics {
            true => panic!("two leaders"),
            false => Err("two leaders".into()),
        });
        sim.host("ticker", || async {
            loop {
                sleep(SECOND / 10).await;
            }
        });
        let failure = sim.run().unwrap_err();
        assert!(
            matches!(failure.cause(), Cause::Invariant(error) if error.to_string() == "two leaders")
        );
        assert_eq!((failure.elapsed(), failure.host()), (SECOND, None));
    }
}

#[test]
fn a_standstill_says_who_waits_for_what() {
    let failure = failure(async {
        Builder::new().name("waiter").spawn(pending::<()>()).await?;
        Ok(())
    });
    assert!(matches!(failure.cause(), Cause::Standstill));
    let text = failure.to_string();
    assert!(text.contains("nothing can happen any more"), "{text}");
    assert!(
        text.contains("tasks of client:") && text.contains("\"waiter\""),
        "{text}"
    );
    assert_eq!(failure.dumps().count(), 2);
}

#[test]
fn a_livelock_of_one_host_or_of_two_is_found() {
    let mut sim = Sim::builder().poll_limit(1000).build();
    sim.client("spinner", async {
        loop {
            yield_now().await;
        }
    });
    let failure = sim.run().unwrap_err();
    assert!(matches!(failure.cause(), Cause::Livelock { polls: 1000 }));
    assert_eq!(failure.host(), Some("spinner"));

    use futures::StreamExt;
    use futures::channel::mpsc::unbounded;
    let mut sim = Sim::builder().poll_limit(1000).build();
    let ((to_a, mut at_a), (to_b, mut at_b)) = (unbounded(), unbounded());
    to_a.unbounded_send(()).unwrap();
    sim.client("a", async move {
        while at_a.next().await.is_some() {
            to_b.unbounded_send(())?;
        }
        Ok(())
    });
    sim.client("b", async move {
        while at_b.next().await.is_some() {
            to_a.unbounded_send(())?;
        }
        Ok(())
    });
    assert!(matches!(
        sim.run().unwrap_err().cause(),
        Cause::Livelock { polls: 1000 }
    ));
}

#[test]
fn the_time_limit_ends_a_run_exactly() {
    let mut sim = Sim::new(1);
    sim.time_limit(5 * SECOND / 2);
    sim.client("ticker", async {
        loop {
            sleep(SECOND).await;
        }
    });
    let failure = sim.run().unwrap_err();
    assert!(matches!(failure.cause(), Cause::TimeLimit(limit) if *limit == 5 * SECOND / 2));
    assert_eq!(failure.elapsed(), 5 * SECOND / 2);
}

#[test]
fn a_wake_from_a_foreign_thread_fails_the_run() {
    let failure = failure(async {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let send = async move {
            // The receiver waits already, and the host is being stepped.
            thread::spawn(move || sender.send(()))
                .join()
                .unwrap()
                .unwrap();
        };
        let _received = futures::join!(receiver, send);
        Ok(())
    });
    assert!(
        matches!(failure.cause(), Cause::ForeignMessage { .. }),
        "{failure}"
    );
    assert_eq!(failure.host(), Some("client"));
}

#[test]
fn a_spawn_from_a_foreign_thread_fails_the_run() {
    let failure = failure(async {
        let handle = glassfrog::Handle::current();
        thread::spawn(move || drop(handle.spawn(async {})))
            .join()
            .unwrap();
        sleep(SECOND).await;
        Ok(())
    });
    assert!(
        matches!(failure.cause(), Cause::ForeignMessage { .. }),
        "{failure}"
    );
}

#[test]
fn the_failure_names_the_foreign_thread_even_if_it_is_slower_than_the_simulation() {
    let failure = failure(async {
        let (sender, wakers) = mpsc::channel::<Waker>();
        let stranger = move || {
            if let Ok(waker) = wakers.recv() {
                // The simulation has nothing else to do, so it stands still meanwhile.
                thread::sleep(Duration::from_millis(10));
                waker.wake();
            }
        };
        let thread = thread::Builder::new().name("stranger".into());
        thread.spawn(stranger)?;
        poll_fn(|cx| {
            let _gone = sender.send(cx.waker().clone());
            Poll::<()>::Pending
        })
        .await;
        Ok(())
    });
    let Cause::ForeignMessage { thread } = failure.cause() else {
        panic!("{failure}")
    };
    assert_eq!(thread.as_deref(), Some("stranger"));
    assert!(
        failure.to_string().contains("thread \"stranger\""),
        "{failure}"
    );
}

#[test]
fn a_failure_names_the_clients_that_have_not_ended_and_the_paused_hosts() {
    let mut sim = Sim::new(1);
    sim.host("server", pending);
    sim.client("done", async { Ok(()) });
    sim.client("one", pending());
    sim.client("two", async {
        sim::pause("server");
        pending().await
    });
    let text = sim.run().unwrap_err().to_string();
    assert!(
        text.contains("\nclients that have not ended: \"one\", \"two\"\n"),
        "{text}"
    );
    assert!(
        text.contains("\nhosts that are paused: \"server\"\n"),
        "{text}"
    );
}

#[test]
fn a_host_that_has_no_tasks_says_so() {
    let text = failure(async { Err("no answer".into()) }).to_string();
    assert!(text.contains("\ntasks of client: none\n"), "{text}");
}

#[test]
fn a_panic_is_said_once_and_names_its_task() {
    let text = failure(async { panic!("in a poll") }).to_string();
    let (first, _) = text.split_once('\n').unwrap();
    assert!(
        first.ends_with("of simulated time: task 1 \"main\" panicked: in a poll"),
        "{text}"
    );
}

#[test]
fn a_failure_lists_the_faults_so_far_but_not_what_the_test_set_up() {
    let mut sim = Sim::new(1);
    sim.host("a", pending);
    sim.host("b", pending);
    sim.link_between("a", "b", Link::default().loss(0.5));
    sim.clock("a", Clock::ahead(30 * MS).ppm(-200));
    sim.client("client", async {
        sleep(SECOND).await;
        sim::partition("a", "b");
        sim::partition_oneway("client", "a");
        sleep(SECOND).await;
        sim::repair("a", "b");
        sim::link_between("a", "b", Link::default());
        sim::reset("a", "b");
        sim::hold("a", "b");
        sim::kill("a");
        sleep(SECOND).await;
        sim::crash("b");
        sim::pause("b");
        sim::restart("a");
        sleep(SECOND).await;
        sim::pause("a");
        sim::clock("a", Clock::default());
        sleep(SECOND).await;
        sim::resume("a");
        sim::release("a", "b");
        sleep(SECOND).await;
        Err("as the test wants".into())
    });
    let failure = sim.run().unwrap_err();
    let expected = [
        "0.000000 a has its clock set: 30ms ahead, 200 ppm slow",
        "1.000000 a ↔ b is cut",
        "1.000000 client → a is cut",
        "2.000000 a ↔ b is repaired",
        "2.000000 a ↔ b has another link",
        "2.000000 a → b connections are reset",
        "2.000000 a ↔ b is held",
        "2.000000 a is killed",
        "3.000000 b loses its power",
        "3.000000 a starts",
        "4.000000 a pauses",
        "4.000000 a has its clock set right",
        "5.000000 a ↔ b is released",
        "5.000000 a resumes",
    ];
    assert_eq!(failure.faults().collect::<Vec<_>>(), expected);
    let list = format!("faults so far:\n  {}\n", expected.join("\n  "));
    assert!(failure.to_string().contains(&list), "{failure}");
}

#[test]
fn a_failure_lists_the_newest_of_many_faults_and_their_number() {
    let mut sim = Sim::new(1);
    sim.host("a", pending);
    sim.host("b", pending);
    sim.client("client", async {
        for _ in 0..50 {
            sim::partition("a", "b");
            sleep(SECOND).await;
            sim::repair("a", "b");
        }
        Err("as the test wants".into())
    });
    let failure = sim.run().unwrap_err();
    assert_eq!(failure.faults().count(), 64);
    assert_eq!(failure.faults().last(), Some("50.000000 a ↔ b is repaired"));
    let text = failure.to_string();
    assert!(
        text.contains("faults so far, the newest 64 of 100:\n"),
        "{text}"
    );
}

#[test]
fn a_failure_without_faults_lists_none() {
    let mut sim = Sim::new(1);
    sim.client("client", async { Err("as the test wants".into()) });
    let failure = sim.run().unwrap_err();
    assert_eq!(failure.faults().count(), 0);
    assert!(!failure.to_string().contains("faults so far"), "{failure}");
}
