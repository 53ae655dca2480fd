//! Faults: crashes, kills, pauses, restarts, the network's, and those that the seed chooses.

use crate::sim_hosts::{MS, echo_server, round_trip};
use glassfrog::net::{TcpStream, UdpSocket};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Cause, Clock, Fault, Faults, Link, Sim};
use glassfrog::spawn;
use glassfrog::task::{spawn_blocking, yield_now};
use glassfrog::time::{now, sleep, system_now, timeout};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::ErrorKind;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_crash_is_silent_and_a_restart_resets_old_connections() {
    let mut sim = Sim::new(4);
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"1").await?;
        sim::crash("server");
        sleep(10 * SECOND).await;
        let silent = timeout(SECOND, stream.read(&mut [0])).await;
        assert!(silent.is_err(), "a crash says nothing");
        sim::restart("server");
        sleep(100 * MS).await;
        let error = round_trip(&mut stream, b"2").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"3").await?;
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn the_kernel_of_a_killed_process_closes_its_connections() {
    let mut sim = Sim::new(4);
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"1").await?;
        sim::kill("server");
        assert_eq!(stream.read(&mut [0]).await?, 0);
        let error = TcpStream::connect("server:7").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        sim::restart("server");
        sleep(MS).await;
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"2").await?;
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn the_connections_of_a_client_that_ends_are_closed() {
    let mut sim = Sim::new(4);
    sim.host("server", echo_server);
    sim.client("first", async {
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"1").await?;
        std::mem::forget(spawn(async move {
            let _stream = stream;
            pending::<()>().await
        }));
        Ok(())
    });
    sim.client("second", async {
        sleep(10 * SECOND).await;
        Ok(())
    });
    sim.run().unwrap();
    let dump = sim.dump("server").unwrap();
    assert_eq!(dump.tasks().len(), 1, "{dump}");
}

#[test]
fn the_kernel_of_a_paused_process_acknowledges_but_its_tasks_do_not_run() {
    let ticks = Rc::new(Cell::new(0));
    let mut sim = Sim::new(4);
    sim.host("server", echo_server);
    let ours = Rc::clone(&ticks);
    sim.host("ticker", move || {
        let ticks = Rc::clone(&ours);
        async move {
            loop {
                sleep(SECOND).await;
                ticks.set(ticks.get() + 1);
            }
        }
    });
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        sim::pause("server");
        sim::pause("ticker");
        // A connection is accepted by the kernel.
        let mut other = TcpStream::connect("server:7").await?;
        let answer = timeout(60 * SECOND, round_trip(&mut stream, b"1")).await;
        assert!(answer.is_err());
        sim::resume("server");
        sim::resume("ticker");
        stream.read_exact(&mut [0]).await?;
        round_trip(&mut other, b"2").await?;
        sleep(SECOND / 2).await;
        Ok(())
    });
    sim.run().unwrap();
    // The sleep that ended during the pause, and no more: a sleep begins when the last one was noticed.
    assert!((1..=2).contains(&ticks.get()), "{}", ticks.get());
}

#[test]
fn a_host_may_crash_itself_and_be_restarted_by_another() {
    let boots = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&boots);
    sim.host("server", move || {
        ours.set(ours.get() + 1);
        async {
            sim::crash("server");
            pending().await
        }
    });
    sim.client("client", async {
        sleep(SECOND).await;
        sim::restart("server");
        sleep(SECOND).await;
        Ok(())
    });
    sim.run().unwrap();
    assert_eq!(boots.get(), 2);
    assert!(!sim.is_running("server"));
}

#[test]
fn a_restart_of_a_running_host_crashes_it_first() {
    let boots = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&boots);
    sim.host("server", move || {
        ours.set(ours.get() + 1);
        pending()
    });
    sim.run_for(SECOND).unwrap();
    sim.restart("server").restart("server");
    sim.run_for(SECOND).unwrap();
    assert_eq!(boots.get(), 3);
}

#[test]
fn a_host_that_exits_can_be_restarted() {
    let boots = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&boots);
    sim.host("job", move || {
        ours.set(ours.get() + 1);
        async { Ok(()) }
    });
    sim.run_for(SECOND).unwrap();
    assert!(!sim.is_running("job"));
    sim.restart("job");
    sim.run_for(SECOND).unwrap();
    assert_eq!(boots.get(), 2);
}

#[test]
#[should_panic(expected = "client \"client\" cannot be restarted")]
fn a_client_cannot_be_restarted() {
    let mut sim = Sim::new(1);
    sim.client("client", pending());
    sim.run_for(SECOND).unwrap();
    sim.restart("client");
}

#[test]
fn a_run_does_not_wait_for_a_client_that_has_crashed() {
    let mut sim = Sim::new(1);
    sim.client("dead", pending());
    sim.client("client", async {
        sim::crash("dead");
        Ok(())
    });
    assert_eq!(sim.run().unwrap().elapsed, Duration::ZERO);
}

#[test]
fn the_memory_and_the_sleeps_of_a_dead_host_are_gone() {
    let kept: Rc<RefCell<Vec<Weak<Vec<u8>>>>> = Rc::default();
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&kept);
    sim.host("server", move || {
        let memory = Rc::new(vec![0; 1000]);
        ours.borrow_mut().push(Rc::downgrade(&memory));
        async move {
            let _memory = memory;
            drop(spawn(sleep(60 * SECOND)));
            sleep(3600 * SECOND).await;
            Ok(())
        }
    });
    sim.time_limit(Duration::MAX);
    let is_kept = || {
        let kept = kept.borrow();
        kept.last().unwrap().upgrade().is_some()
    };
    for is_crash in [true, false] {
        sim.run_for(SECOND).unwrap();
        assert!(is_kept());
        match is_crash {
            true => sim.crash("server"),
            false => sim.kill("server"),
        };
        assert!(!is_kept());
        assert!(sim.dump("server").is_none());
        let visits = sim.test_visits();
        sim.run_for(7200 * SECOND).unwrap();
        assert_eq!(
            sim.test_visits(),
            visits,
            "no deadline of the dead host is left"
        );
        sim.restart("server");
    }
}

#[test]
fn a_one_way_cut_lets_the_other_way_through() {
    let mut sim = Sim::new(1);
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        sim::partition_oneway("server", "client");
        let cut = timeout(SECOND, round_trip(&mut stream, b"1")).await;
        assert!(cut.is_err());
        sim::repair_oneway("server", "client");
        stream.read_exact(&mut [0]).await?;
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn held_packets_arrive_when_they_are_released() {
    let mut sim = Sim::new(1);
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        sim::hold("server", "client");
        let held = timeout(SECOND, round_trip(&mut stream, b"1")).await;
        assert!(held.is_err());
        let start = now();
        sim::release("server", "client");
        stream.read_exact(&mut [0]).await?;
        assert!(now() - start <= 20 * MS);
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_reset_ends_the_connections_of_both() {
    let mut sim = Sim::new(1);
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"1").await?;
        sim::reset("client", "server");
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"2").await?;
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn links_differ_by_pair_and_by_direction() {
    let mut sim = Sim::new(1);
    let fixed = |ms| Link::latency(MS * ms..=MS * ms);
    sim.host("near", echo_server);
    sim.host("far", echo_server);
    sim.client("client", async {
        for (name, trip) in [("near", 2 * MS), ("far", 300 * MS)] {
            let start = now();
            TcpStream::connect((name, 7)).await?;
            assert_eq!(now() - start, trip, "{name}");
        }
        Ok(())
    });
    sim.link(fixed(1))
        .link_oneway("client", "far", fixed(100))
        .link_oneway("far", "client", fixed(200));
    sim.run().unwrap();
}

/// What a run under faults has come to: the journal, and how often the hosts booted.
fn swarm(seed: u64, faults: Faults) -> (Vec<String>, u32) {
    let boots = Rc::new(Cell::new(0));
    let mut sim = Sim::builder().seed(seed).record(100_000).build();
    for name in ["a", "b", "c"] {
        let boots = Rc::clone(&boots);
        sim.host(name, move || {
            boots.set(boots.get() + 1);
            pending()
        });
    }
    sim.client("client", async {
        sleep(60 * SECOND).await;
        Ok(())
    });
    sim.faults(faults);
    let report = sim.run().unwrap();
    for name in ["a", "b", "c"] {
        assert!(sim.is_running(name), "everything is repaired at the end");
    }
    assert!(!sim.is_running("client"), "clients end by themselves");
    (report.journal, boots.get())
}

#[test]
fn the_seed_determines_the_faults_and_they_end() {
    let faults = || Faults::swarm().quiet_after(30 * SECOND);
    let mut kinds = [0; 4];
    for seed in 0..30 {
        let (journal, boots) = swarm(seed, faults());
        assert_eq!((&journal, boots), (&swarm(seed, faults()).0, boots));
        let has = |text: &str| usize::from(journal.iter().any(|line| line.contains(text)));
        for (kind, text) in
            kinds
                .iter_mut()
                .zip(["is cut", "loses its power", "is killed", "pauses"])
        {
            *kind += has(text);
        }
        let late = journal
            .iter()
            .filter(|line| line.split('.').next().unwrap().parse::<u64>().unwrap() > 30);
        let late: Vec<_> = late
            .filter(|line| !line.ends_with("exits") && !line.contains("closes its sockets"))
            .collect();
        assert!(late.is_empty(), "{late:?}");
    }
    for kind in kinds {
        assert!(
            (1..30).contains(&kind),
            "each seed has a subset of the kinds: {kinds:?}"
        );
    }
}

#[test]
fn faults_can_be_limited_to_kinds_and_hosts() {
    for seed in 0..10 {
        let faults = Faults::swarm().only([Fault::Crash]).hosts(["a"]);
        let (journal, boots) = swarm(seed, faults.quiet_after(30 * SECOND));
        assert!(boots > 3);
        assert!(
            journal
                .iter()
                .any(|line| line.contains("a loses its power")),
            "{journal:?}"
        );
        assert!(
            !journal
                .iter()
                .any(|line| line.contains("is cut") || line.contains("b loses"))
        );
    }
}

#[test]
fn a_fault_of_a_link_leaves_it_as_the_test_has_set_it() {
    let mut sim = Sim::new(1);
    let fixed = |ms| Link::latency(MS * ms..=MS * ms);
    sim.host("server", echo_server);
    sim.client("client", async {
        sleep(30 * SECOND).await;
        let start = now();
        TcpStream::connect("server:7").await?;
        assert_eq!(now() - start, 14 * MS);
        Ok(())
    });
    sim.link(fixed(3))
        .link_between("server", "client", fixed(7));
    sim.faults(
        Faults::swarm()
            .only([Fault::Loss, Fault::Latency])
            .quiet_after(20 * SECOND),
    );
    sim.run().unwrap();
}

#[test]
fn a_drift_leaves_the_clock_as_the_test_has_set_it() {
    let mut sim = Sim::new(1);
    sim.host("server", pending);
    sim.clock("server", Clock::ahead(SECOND).ppm(0));
    sim.faults(
        Faults::swarm()
            .only([Fault::Drift])
            .quiet_after(20 * SECOND),
    );
    sim.run_for(30 * SECOND).unwrap();
    let wall = Rc::new(Cell::new(None));
    let ours = Rc::clone(&wall);
    sim.client("probe", async move {
        ours.set(Some(system_now()));
        Ok(())
    });
    sim.run().unwrap();
    assert!(wall.get().is_some());
}

#[test]
fn a_link_that_the_test_has_cut_or_holds_stays_so_when_a_fault_of_the_seed_ends() {
    for seed in 0..20 {
        for is_cut in [true, false] {
            let reached = Rc::new(Cell::new(false));
            let mut sim = Sim::new(seed);
            sim.host("server", echo_server);
            let ours = Rc::clone(&reached);
            sim.host("client", move || {
                let reached = Rc::clone(&ours);
                async move {
                    loop {
                        let connected = timeout(SECOND, TcpStream::connect("server:7")).await;
                        reached.set(reached.get() || matches!(connected, Ok(Ok(_))));
                    }
                }
            });
            match is_cut {
                true => sim.partition("server", "client"),
                false => sim.hold("server", "client"),
            };
            let kinds = [Fault::Partition, Fault::OneWay, Fault::Hold];
            let faults = Faults::swarm().only(kinds).quiet_after(20 * SECOND);
            sim.faults(faults).run_for(30 * SECOND).unwrap();
            assert!(!reached.get(), "seed {seed}");
            match is_cut {
                true => sim.repair("server", "client"),
                false => sim.release("server", "client"),
            };
            sim.run_for(2 * SECOND).unwrap();
            assert!(reached.get());
        }
    }
}

#[test]
fn a_fault_of_the_seed_lasts_although_the_test_ends_its_own() {
    let mut sim = Sim::builder().seed(1).record(10_000).build();
    sim.host("a", pending).host("b", pending);
    sim.host("repairer", || async {
        loop {
            sleep(MS).await;
            sim::repair("a", "b");
            sim::release("a", "b");
            sim::resume("a");
        }
    });
    let kinds = [Fault::Partition, Fault::Hold, Fault::Pause];
    for kind in kinds {
        sim.faults(Faults::swarm().only([kind]).hosts(["a", "b"]));
        sim.run_for(61 * SECOND).unwrap();
    }
    let journal = sim.run_for(SECOND).unwrap().journal;
    for begins in ["is cut", "is held", "pauses"] {
        let time = |line: &String| line.split(' ').next().unwrap().parse::<f64>().unwrap();
        let begin = journal.iter().find(|line| line.contains(begins)).unwrap();
        let ends = ["is repaired", "is released", "resumes"];
        let mut later = journal.iter().filter(|line| time(line) >= time(begin));
        let end = later.find(|line| ends.iter().any(|end| line.contains(end)));
        assert!(time(end.unwrap()) - time(begin) > 0.002, "{begin}, {end:?}");
    }
}

#[test]
fn a_process_that_the_test_has_paused_or_ended_stays_so_when_a_fault_of_the_seed_ends() {
    for seed in 0..20 {
        for is_pause in [true, false] {
            let (ticks, boots) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let mut sim = Sim::new(seed);
            let ours = (Rc::clone(&ticks), Rc::clone(&boots));
            sim.host("server", move || {
                let (ticks, boots) = ours.clone();
                boots.set(boots.get() + 1);
                async move {
                    loop {
                        ticks.set(ticks.get() + 1);
                        sleep(SECOND).await;
                    }
                }
            });
            let kinds: &[Fault] = match is_pause {
                true => &[Fault::Pause],
                false => &[Fault::Crash, Fault::Kill],
            };
            let faults = Faults::swarm().only(kinds.iter().copied());
            sim.faults(faults).run_for(5 * SECOND).unwrap();
            match is_pause {
                true => sim.restart("server"),
                false => &mut sim,
            };
            sim.run_for(Duration::ZERO).unwrap();
            match is_pause {
                true => sim.pause("server"),
                false => sim.crash("server"),
            };
            let before = (ticks.get(), boots.get());
            sim.run_for(60 * SECOND).unwrap();
            assert_eq!((ticks.get(), boots.get()), before, "seed {seed}");
            match is_pause {
                true => sim.resume("server"),
                false => sim.restart("server"),
            };
            sim.run_for(2 * SECOND).unwrap();
            assert!(ticks.get() > before.0);
        }
    }
}

#[test]
fn the_faults_that_have_begun_end_although_others_replace_them() {
    for seed in 0..50 {
        let mut sim = Sim::new(seed);
        for name in ["a", "b", "c"] {
            sim.host(name, echo_server);
        }
        sim.faults(Faults::swarm().quiet_after(600 * SECOND));
        sim.run_for(100 * SECOND).unwrap();
        sim.faults(Faults::swarm().only([]).quiet_after(10 * SECOND));
        sim.run_for(11 * SECOND).unwrap();
        for name in ["a", "b", "c"] {
            assert!(sim.is_running(name), "seed {seed}");
        }
        sim.client("client", async {
            for name in ["a", "b", "c"] {
                let start = now();
                TcpStream::connect((name, 7)).await?;
                assert!(now() - start <= 20 * MS, "{name}");
            }
            Ok(())
        });
        sim.run().unwrap();
    }
}

#[test]
fn a_duplication_delivers_datagrams_twice_until_it_is_over() {
    let twice = Rc::new(Cell::new(0));
    for seed in 0..10 {
        let mut sim = Sim::new(seed);
        sim.host("server", || async {
            let socket = UdpSocket::bind("0.0.0.0:7").await?;
            loop {
                let (_, peer) = socket.recv_from(&mut [0; 9]).await?;
                socket.send_to(b"", peer).await?;
            }
        });
        let ours = Rc::clone(&twice);
        sim.client("client", async move {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            while sim::elapsed() < 30 * SECOND {
                socket.send_to(b"", "server:7").await?;
                let mut answers = 0;
                while timeout(100 * MS, socket.recv(&mut [0])).await.is_ok() {
                    answers += 1;
                }
                assert!(answers == 1 || (answers > 1 && sim::elapsed() < 21 * SECOND));
                ours.set(ours.get() + u32::from(answers > 1));
            }
            Ok(())
        });
        let faults = Faults::swarm().only([Fault::Duplication]);
        sim.faults(faults.quiet_after(20 * SECOND));
        sim.run().unwrap();
    }
    assert!(twice.get() > 10, "{twice:?}");
}

#[test]
fn a_step_moves_the_wall_clock_of_a_host_alone_and_is_undone() {
    let most = 300 * SECOND;
    let (ahead, behind) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    for seed in 0..20 {
        let mut sim = Sim::new(seed);
        let ours = (Rc::clone(&ahead), Rc::clone(&behind));
        sim.host("server", move || {
            let (ahead, behind) = ours.clone();
            async move {
                let (start, wall) = (now(), system_now());
                loop {
                    sleep(10 * MS).await;
                    assert_eq!(now() - start, sim::elapsed());
                    let (shown, right) = (system_now(), wall + sim::elapsed());
                    assert!((right - most..=right + most).contains(&shown));
                    assert!(shown == right || sim::elapsed() < 20 * SECOND);
                    ahead.set(ahead.get() + u32::from(shown > right));
                    behind.set(behind.get() + u32::from(shown < right));
                }
            }
        });
        sim.client("client", async move {
            let wall = system_now();
            for _ in 0..3_000 {
                sleep(10 * MS).await;
                assert_eq!(system_now(), wall + sim::elapsed(), "clients are spared");
            }
            Ok(())
        });
        let faults = Faults::swarm().only([Fault::ClockStep]);
        sim.faults(faults.quiet_after(20 * SECOND));
        sim.run().unwrap();
    }
    assert!(ahead.get() > 0 && behind.get() > 0);
}

#[test]
fn a_fault_between_a_host_and_itself_fails_the_host_that_asks_for_it() {
    let faults: [fn(); 9] = [
        || sim::partition("a", "a"),
        || sim::partition_oneway("a", "a"),
        || sim::repair("a", "a"),
        || sim::repair_oneway("a", "a"),
        || sim::hold("a", "a"),
        || sim::release("a", "a"),
        || sim::reset("a", "a"),
        || sim::link_between("a", "a", Link::default()),
        || sim::link_oneway("a", "a", Link::default()),
    ];
    for fault in faults {
        let mut sim = Sim::new(1);
        sim.host("a", pending);
        sim.client("chaos", async move {
            fault();
            Ok(())
        });
        let failure = sim.run().unwrap_err();
        assert_eq!(failure.host(), Some("chaos"));
        let text = failure.to_string();
        assert!(
            text.contains("there is no link between \"a\" and itself"),
            "{text}"
        );
    }
}

#[test]
#[should_panic(expected = "there is no link between \"a\" and itself")]
fn a_test_cannot_cut_the_link_between_a_host_and_itself() {
    let mut sim = Sim::new(1);
    sim.host("a", pending).partition("a", "a");
}

#[test]
fn the_longest_durations_overflow_nothing() {
    for seed in 0..20 {
        let mut sim = Sim::new(seed);
        sim.host("server", pending);
        sim.host("other", pending);
        sim.link(Link::latency(Duration::ZERO..=Duration::MAX));
        sim.faults(Faults::swarm().quiet_after(Duration::MAX));
        sim.time_limit(Duration::MAX);
        sim.every(Duration::MAX, || Ok(()));
        sim.client("client", async {
            sleep(SECOND).await;
            Ok(())
        });
        sim.run().unwrap();
        sim.faults(Faults::swarm().quiet_after(Duration::MAX));
        sim.run_for(Duration::MAX).unwrap_err();
        let year = 365 * 24 * 3600 * SECOND;
        assert!(sim.elapsed() > 100 * year, "{:?}", sim.elapsed());
    }
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
fn a_destructor_that_a_crash_runs_may_restart_the_host() {
    let boots = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&boots);
    sim.host("a", move || {
        ours.set(ours.get() + 1);
        let is_first = ours.get() == 1;
        async move {
            let _restarts = OnDrop(move || {
                if is_first {
                    sim::restart("a");
                }
            });
            pending().await
        }
    });
    sim.run_for(SECOND).unwrap();
    sim.crash("a");
    // Nothing else happens: no host is stepped.
    assert!(!sim.step().unwrap());
    assert!(sim.is_running("a"));
    assert_eq!(boots.get(), 2);
}

#[test]
fn a_destructor_that_restarts_its_host_forever_is_a_livelock() {
    let mut sim = Sim::builder().poll_limit(1000).build();
    sim.host("a", || async {
        let _restarts = OnDrop(|| sim::restart("a"));
        sim::crash("a");
        pending().await
    });
    let failure = sim.run_for(SECOND).unwrap_err();
    assert!(
        matches!(failure.cause(), Cause::Livelock { .. }),
        "{failure}"
    );
    assert_eq!(failure.host(), Some("a"));
}

#[test]
fn a_client_that_is_killed_before_it_boots_has_ended() {
    let mut sim = Sim::new(1);
    sim.client("client", pending());
    sim.kill("client");
    sim.run().unwrap();
}

#[test]
fn a_crash_takes_effect_after_the_poll_that_asks_for_it() {
    let polls = Rc::new(Cell::new(0));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&polls);
    sim.client("client", async move {
        for _ in 0..10 {
            let polls = Rc::clone(&ours);
            drop(glassfrog::spawn(async move {
                loop {
                    polls.set(polls.get() + 1);
                    if polls.get() == 50 {
                        sim::crash("client");
                    }
                    yield_now().await;
                }
            }));
        }
        pending().await
    });
    sim.run().unwrap();
    assert_eq!(polls.get(), 50);
}

#[test]
fn a_crash_is_in_the_journal_once() {
    let mut sim = Sim::builder().record(10).build();
    sim.host("a", pending);
    sim.crash("a");
    let report = sim.run_for(SECOND).unwrap();
    assert_eq!(report.journal, ["0.000000 a loses its power"]);
}

#[test]
fn the_jobs_of_a_paused_process_wait_until_it_resumes() {
    let has_run = Arc::new(AtomicBool::new(false));
    let mut sim = Sim::new(1);
    let ours = Arc::clone(&has_run);
    sim.host("a", move || {
        let has_run = Arc::clone(&ours);
        async move {
            let job = spawn_blocking(move || has_run.store(true, Ordering::Relaxed));
            sim::pause("a");
            job.await?;
            pending().await
        }
    });
    sim.run_for(SECOND).unwrap();
    assert!(!has_run.load(Ordering::Relaxed));
    sim.resume("a");
    sim.run_for(SECOND).unwrap();
    assert!(has_run.load(Ordering::Relaxed));
}

#[test]
fn a_host_that_restarts_a_client_fails_by_name() {
    let mut sim = Sim::new(1);
    sim.client("client", pending());
    sim.host("chaos", || async {
        sim::restart("client");
        Ok(())
    });
    let failure = sim.run().unwrap_err();
    assert_eq!(failure.host(), Some("chaos"));
    assert!(
        failure
            .to_string()
            .contains("client \"client\" cannot be restarted"),
        "{failure}"
    );
}
