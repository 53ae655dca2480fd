//! Blocking jobs of hosts.

use glassfrog::sim::{self, Cause, Sim};
use glassfrog::task::{Builder, spawn_blocking};
use glassfrog::time::{now, sleep};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_job_runs_on_another_thread_within_some_milliseconds_of_simulated_time() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        let start = now();
        let ours = thread::current().id();
        let (thread, host) = spawn_blocking(|| (thread::current().id(), sim::host())).await?;
        assert_ne!(thread, ours);
        assert_eq!(host, "client");
        assert!(now() - start < Duration::from_millis(10));
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn the_seed_determines_when_jobs_run() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        for name in ["a", "b"] {
            sim.client(name, async {
                for n in 0..5 {
                    assert_eq!(spawn_blocking(move || n).await?, n);
                }
                let jobs: Vec<_> = (0..5).map(|n| spawn_blocking(move || n)).collect();
                for job in jobs {
                    job.await?;
                }
                Ok(())
            });
        }
        sim.run().unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).elapsed, run(2).elapsed);
}

#[test]
fn jobs_that_are_submitted_together_run_within_some_milliseconds_in_a_random_order() {
    let run = |seed| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let ours = Rc::clone(&order);
        let mut sim = Sim::new(seed);
        sim.client("client", async move {
            let start = now();
            let (end, ended) = mpsc::channel();
            let jobs: Vec<_> = (0..100)
                .map(|n| {
                    let end = end.clone();
                    spawn_blocking(move || end.send(n))
                })
                .collect();
            for job in jobs {
                job.await??;
            }
            assert!(now() - start <= Duration::from_millis(5));
            ours.borrow_mut().extend(ended.try_iter());
            Ok(())
        });
        sim.run().unwrap();
        order.take()
    };
    let (one, two) = (run(1), run(2));
    assert!(one != two && !one.is_sorted());
    assert_eq!(run(1), one);
    let mut all = one;
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(0..100));
}

#[test]
fn no_time_passes_while_a_job_runs() {
    let mut sim = Sim::new(1);
    sim.client("other", async {
        sleep(SECOND).await;
        Ok(())
    });
    sim.client("client", async {
        sleep(SECOND).await;
        let time = spawn_blocking(|| {
            thread::sleep(Duration::from_millis(5));
            sim::elapsed()
        })
        .await?;
        assert_eq!(time, sim::elapsed());
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_job_that_does_not_end_fails_the_run_with_its_name_and_place() {
    let mut sim = Sim::builder()
        .test_job_limit(Duration::from_millis(20))
        .build();
    let (end, ended) = mpsc::channel::<()>();
    sim.client("client", async move {
        Builder::new()
            .name("stuck")
            .spawn_blocking(move || ended.recv())
            .await?
            .unwrap();
        Ok(())
    });
    let failure = sim.run().unwrap_err();
    assert!(matches!(failure.cause(), Cause::Job { .. }), "{failure}");
    assert_eq!(failure.host(), Some("client"));
    let text = failure.to_string();
    assert!(
        text.contains("\"stuck\"") && text.contains("sim_jobs.rs:"),
        "{text}"
    );
    drop(end);
}

#[test]
fn the_panic_of_a_job_goes_to_its_handle() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        let error = spawn_blocking(|| panic!("in a job")).await.unwrap_err();
        assert!(error.is_panic());
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_job_of_a_host_that_crashes_is_dropped() {
    let mut sim = Sim::new(1);
    sim.host("server", || async {
        spawn_blocking(|| unreachable!("the host crashes first")).await?;
        Ok(())
    });
    sim.client("client", async {
        sim::crash("server");
        sleep(SECOND).await;
        Ok(())
    });
    sim.run().unwrap();
}
