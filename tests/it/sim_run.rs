//! Runs: what ends them, and what they return.

use glassfrog::net::TcpStream;
use glassfrog::sim::{self, Clock, Sim, Tcp};
use glassfrog::spawn;
use glassfrog::time::{now, sleep, system_now};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_run_ends_when_all_clients_have_ended_and_waits_for_no_host() {
    let mut sim = Sim::new(1);
    sim.host("server", pending);
    for n in 1..=3 {
        sim.client(&format!("client{n}"), async move {
            sleep(SECOND * n).await;
            Ok(())
        });
    }
    let report = sim.run().unwrap();
    assert_eq!(report.seed, 1);
    assert_eq!(report.elapsed, 3 * SECOND);
    assert!(report.polls >= 7);
    assert!(report.journal.is_empty());
    assert!(sim.is_running("server"));
    assert!(!sim.is_running("client3"));
}

#[test]
fn time_passes_only_while_no_task_is_ready() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        let start = now();
        for _ in 0..1000 {
            glassfrog::task::yield_now().await;
        }
        assert_eq!(now(), start);
        sleep(Duration::from_secs(365 * 24 * 3600)).await;
        assert_eq!(now() - start, Duration::from_secs(365 * 24 * 3600));
        Ok(())
    });
    sim.time_limit(Duration::MAX);
    sim.run().unwrap();
}

#[test]
fn another_run_goes_on_where_the_last_one_ended() {
    let mut sim = Sim::new(1);
    sim.client("first", async {
        sleep(SECOND).await;
        Ok(())
    });
    assert_eq!(sim.run().unwrap().elapsed, SECOND);
    sim.client("second", async {
        assert_eq!(sim::elapsed(), SECOND);
        sleep(SECOND).await;
        Ok(())
    });
    assert_eq!(sim.run().unwrap().elapsed, 2 * SECOND);
    assert_eq!(sim.run().unwrap().elapsed, 2 * SECOND);
}

#[test]
fn run_for_lets_exactly_this_time_pass() {
    let ticks = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&ticks);
    sim.client("clock", async move {
        loop {
            sleep(SECOND).await;
            ours.set(ours.get() + 1);
        }
    });
    sim.run_for(10 * SECOND - MS).unwrap();
    assert_eq!(ticks.get(), 9);
    assert_eq!(sim.elapsed(), 10 * SECOND - MS);
    sim.run_for(MS).unwrap();
    assert_eq!(ticks.get(), 10);
    sim.run_for(Duration::ZERO).unwrap();
    assert_eq!(sim.elapsed(), 10 * SECOND);
}

#[test]
fn time_passes_in_run_for_even_if_nothing_can_happen() {
    let mut sim = Sim::new(1);
    sim.run_for(SECOND).unwrap();
    sim.host("idle", pending);
    sim.run_for(SECOND).unwrap();
    assert_eq!(sim.elapsed(), 2 * SECOND);
}

#[test]
fn a_step_processes_one_moment() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        sleep(SECOND).await;
        sleep(SECOND).await;
        Ok(())
    });
    let mut moments = Vec::new();
    while sim.step().unwrap() {
        moments.push(sim.elapsed());
    }
    assert_eq!(*moments.first().unwrap(), Duration::ZERO);
    assert!(moments.contains(&SECOND));
    assert_eq!(sim.elapsed(), 2 * SECOND);
}

#[test]
fn hosts_have_names_and_addresses() {
    let mut sim = Sim::new(1);
    for n in 1..=300 {
        sim.host(&format!("host{n}"), pending);
    }
    assert_eq!(sim.lookup("host1"), Some(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(sim.lookup("host255"), Some(IpAddr::from([10, 0, 0, 255])));
    assert_eq!(sim.lookup("host256"), Some(IpAddr::from([10, 0, 1, 0])));
    assert_eq!(sim.lookup("host300"), Some(IpAddr::from([10, 0, 1, 44])));
    assert_eq!(sim.lookup("host301"), None);
    sim.client("client", async {
        assert!(sim::is_simulated());
        assert_eq!(sim::host(), "client");
        spawn(async { assert_eq!(sim::host(), "client") }).await?;
        Ok(())
    });
    sim.run().unwrap();
    assert!(!sim::is_simulated());
}

#[test]
fn hosts_may_share_state_and_talk_through_channels() {
    use futures::channel::mpsc;
    use futures::{SinkExt, StreamExt};
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut sim = Sim::new(1);
    let (mut sender, mut receiver) = mpsc::channel(1);
    let ours = Rc::clone(&order);
    sim.client("receiver", async move {
        while let Some(number) = receiver.next().await {
            ours.borrow_mut().push((number, sim::elapsed()));
        }
        Ok(())
    });
    sim.client("sender", async move {
        for number in 0..3 {
            sleep(SECOND).await;
            sender.send(number).await?;
        }
        Ok(())
    });
    sim.run().unwrap();
    let expected: Vec<_> = (0..3).map(|n| (n, SECOND * (n + 1))).collect();
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn the_seed_chooses_which_ready_host_is_first() {
    let orders: Vec<Vec<usize>> = (0..20)
        .map(|seed| {
            let order = Rc::new(RefCell::new(Vec::new()));
            let mut sim = Sim::new(seed);
            for n in 0..4 {
                let order = Rc::clone(&order);
                sim.client(&format!("client{n}"), async move {
                    sleep(SECOND).await;
                    order.borrow_mut().push(n);
                    Ok(())
                });
            }
            sim.run().unwrap();
            order.take()
        })
        .collect();
    assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
}

#[test]
fn the_end_of_the_software_drops_its_tasks() {
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let flag = Flag(Rc::clone(&dropped));
    let mut sim = Sim::new(1);
    sim.client("client", async move {
        drop(spawn(async move {
            let _flag = flag;
            pending::<()>().await;
        }));
        sleep(SECOND).await;
        Ok(())
    });
    sim.run().unwrap();
    assert!(dropped.get());
}

#[test]
fn the_checks_see_every_period_and_the_end() {
    let times = Rc::new(RefCell::new(Vec::new()));
    let counter = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let (seen, count) = (Rc::clone(&times), Rc::clone(&counter));
    sim.every(SECOND, move || {
        seen.borrow_mut().push(count.get());
        Ok(())
    });
    sim.client("client", async move {
        for _ in 0..3 {
            sleep(SECOND).await;
            counter.set(counter.get() + 1);
        }
        sleep(SECOND / 2).await;
        Ok(())
    });
    assert_eq!(sim.run().unwrap().elapsed, 7 * SECOND / 2);
    assert_eq!(*times.borrow(), [1, 2, 3, 3]);
}

#[test]
fn a_search_returns_the_first_seed_that_fails() {
    let mut runs = 0;
    let found = sim::search(10..20, |sim| {
        runs += 1;
        let fails = sim.seed() >= 13;
        sim.client("client", async move {
            match fails {
                true => Err("no".into()),
                false => Ok(()),
            }
        });
        sim.run()
    });
    let (seed, failure) = found.unwrap();
    assert_eq!((seed, failure.seed(), runs), (13, 13, 4));
    assert!(sim::search(0..10, |sim| sim.run_for(SECOND)).is_none());
}

#[test]
fn a_search_takes_a_panic_for_a_failure() {
    let found = sim::search(0.., |sim| {
        sim.client("client", async { Ok(()) });
        let report = sim.run()?;
        assert!(report.seed < 3, "seed {} is too large", report.seed);
        Ok(())
    });
    let (seed, failure) = found.unwrap();
    assert_eq!(seed, 3);
    assert!(
        failure.to_string().contains("seed 3 is too large"),
        "{failure}"
    );
}

#[test]
#[should_panic(expected = "two hosts are named \"one\"")]
fn two_hosts_of_one_name_are_refused() {
    let mut sim = Sim::new(1);
    sim.host("one", pending);
    sim.host("one", pending);
}

#[test]
#[should_panic(expected = "no host is named \"three\": the hosts are \"one\", \"two\"")]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let mut sim = Sim::new(1);
    sim.host("one", pending);
    sim.host("two", pending);
    sim.crash("three");
}

#[test]
#[should_panic(expected = "this thread runs no host of a simulation")]
fn a_function_for_hosts_is_refused_outside() {
    sim::crash("one");
}

#[test]
#[should_panic(expected = "a simulation inside a runtime would block its tasks")]
fn a_simulation_inside_a_runtime_is_refused() {
    glassfrog::block_on(async {
        let mut sim = Sim::new(1);
        sim.client("client", async { Ok(()) });
        let _ = sim.run();
    });
}

#[test]
#[should_panic(expected = "there are none: add one with `Sim::client`")]
fn a_run_without_clients_is_refused() {
    let _ = Sim::new(1).run();
}

#[test]
fn a_logger_adds_the_time_and_the_host() {
    use std::sync::Mutex;

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// Keeps what the simulated hosts of this test log.
    struct Keep;

    impl log::Log for Keep {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = record.args().to_string();
            if line.contains("frog") {
                LINES.lock().unwrap().push(line);
            }
        }

        fn flush(&self) {}
    }

    log::set_logger(Box::leak(Box::new(sim::Logger::new(Keep)))).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let mut sim = Sim::new(1);
    sim.client("primary", async {
        sleep(12 * SECOND + 345 * MS).await;
        log::info!("a {} says hello", "frog");
        Ok(())
    });
    sim.run().unwrap();
    log::info!("the frog is outside");
    let expected = [
        "12.345000 primary: a frog says hello",
        "the frog is outside",
    ];
    assert_eq!(*LINES.lock().unwrap(), expected);
}

#[test]
fn a_step_first_does_what_the_test_has_caused() {
    let mut sim = Sim::new(1);
    sim.host("server", || async {
        sleep(10 * SECOND).await;
        Ok(())
    });
    sim.run_for(SECOND).unwrap();
    sim.restart("server");
    sim.step().unwrap();
    assert_eq!(sim.elapsed(), SECOND);
    assert!(sim.step().is_ok());
    assert_eq!(sim.elapsed(), 11 * SECOND);
}

#[test]
fn a_sleep_that_never_ends_is_a_standstill() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        sleep(Duration::MAX).await;
        Ok(())
    });
    let failure = sim.run().unwrap_err();
    assert!(
        matches!(failure.cause(), sim::Cause::Standstill),
        "{failure}"
    );
}

#[test]
fn a_finished_simulation_takes_the_settings_of_its_builder() {
    let epoch = SystemTime::UNIX_EPOCH + 1_000_000 * SECOND;
    let run = |mut sim: Sim, sets: fn(&mut Sim, SystemTime)| {
        sim.client("early", async move {
            assert_eq!(system_now(), epoch + SECOND);
            Ok(())
        });
        sim.clock("early", Clock::ahead(SECOND));
        sets(&mut sim, epoch);
        sim.client("late", async move {
            assert_eq!(system_now(), epoch);
            TcpStream::connect("early:80").await.unwrap_err();
            Ok(())
        });
        sim.run().unwrap()
    };
    let builder = Sim::builder().epoch(epoch).record(3);
    let builder = builder.tcp(Tcp::default().syn_retries(0));
    let built = run(builder.build(), |_, _| {});
    let set = run(Sim::new(0), |sim, epoch| {
        sim.epoch(epoch)
            .record(3)
            .tcp(Tcp::default().syn_retries(0));
    });
    assert_eq!(set, built);
    assert_eq!(set.journal.len(), 3);
}

#[test]
fn the_settings_of_clocks_and_connections_cannot_change_after_the_beginning() {
    let sets: [fn(&mut Sim); 2] = [
        |sim| {
            sim.epoch(SystemTime::UNIX_EPOCH);
        },
        |sim| {
            sim.tcp(Tcp::default());
        },
    ];
    for set in sets {
        let mut sim = Sim::new(1);
        sim.host("server", pending);
        sim.run_for(Duration::ZERO).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| set(&mut sim))).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.starts_with("the simulation has begun"), "{text}");
    }
}
