//! The clocks of hosts: ahead, behind, fast and slow.

use glassfrog::sim::{self, Clock, Fault, Faults, Sim};
use glassfrog::time::{now, sleep, system_now, timeout};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

#[test]
fn a_fast_clock_wakes_its_sleepers_early_and_a_slow_one_late() {
    let woken = Rc::new(RefCell::new(Vec::new()));
    let mut sim = Sim::new(5);
    for (name, ppm) in [("right", 0), ("fast", 100_000), ("slow", -100_000)] {
        let woken = Rc::clone(&woken);
        sim.client(name, async move {
            let start = now();
            sleep(99 * SECOND).await;
            assert_eq!(now() - start, 99 * SECOND);
            woken.borrow_mut().push((name, sim::elapsed()));
            Ok(())
        });
        sim.clock(name, Clock::default().ppm(ppm));
    }
    sim.run().unwrap();
    let expected = [
        ("fast", 90 * SECOND),
        ("right", 99 * SECOND),
        ("slow", 110 * SECOND),
    ];
    assert_eq!(*woken.borrow(), expected);
}

#[test]
fn the_wall_clocks_of_hosts_differ() {
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let mut sim = Sim::builder().epoch(epoch).build();
    for (name, clock) in [
        ("right", Clock::default()),
        ("ahead", Clock::ahead(30 * SECOND)),
        ("behind", Clock::behind(30 * SECOND)),
    ] {
        sim.client(name, async move {
            sleep(SECOND).await;
            let expected = match name {
                "ahead" => epoch + 31 * SECOND,
                "behind" => epoch - 29 * SECOND,
                _ => epoch + SECOND,
            };
            assert_eq!(system_now(), expected, "{name}");
            Ok(())
        });
        sim.clock(name, clock);
    }
    sim.run().unwrap();
}

#[test]
fn a_clock_that_changes_moves_the_deadlines() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        let start = now();
        // Half of the time at double speed.
        sleep(30 * SECOND).await;
        assert_eq!((now() - start, sim::elapsed()), (30 * SECOND, 20 * SECOND));
        Ok(())
    });
    sim.client("clockmaker", async {
        sleep(10 * SECOND).await;
        sim::clock("client", Clock::ahead(Duration::ZERO).ppm(1_000_000));
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_clock_that_is_set_on_a_running_host_moves_only_its_wall_clock() {
    for clock in [Clock::ahead(3600 * SECOND), Clock::behind(3600 * SECOND)] {
        let mut sim = Sim::new(1);
        sim.client("client", async move {
            let (start, wall) = (now(), system_now());
            let late = timeout(50 * SECOND, pending::<()>());
            let (late, ()) = futures::join!(late, sleep(100 * SECOND));
            assert!(late.is_err());
            assert_eq!(now() - start, 100 * SECOND);
            assert_eq!(sim::elapsed(), 100 * SECOND);
            let right = wall + 100 * SECOND;
            let expected = match clock == Clock::ahead(3600 * SECOND) {
                true => right + 3600 * SECOND,
                false => right - 3600 * SECOND,
            };
            assert_eq!(system_now(), expected);
            Ok(())
        });
        sim.client("clockmaker", async move {
            sleep(10 * SECOND).await;
            sim::clock("client", clock);
            Ok(())
        });
        sim.run().unwrap();
    }
}

#[test]
fn a_sleep_takes_its_time_by_the_clock_of_its_host_whatever_happens_to_the_clock() {
    for seed in 0..50 {
        let mut sim = Sim::new(seed);
        sim.host("sleeper", || async {
            loop {
                let start = now();
                let time = Duration::from_micros(sim::rng().below(3_000_000));
                sleep(time).await;
                let slept = now() - start;
                // The clock is at most twice as fast as the simulation, which counts nanoseconds.
                let most = time + 2 * NANOSECOND;
                assert!((time..=most).contains(&slept), "{slept:?}, not {time:?}");
            }
        });
        sim.host("clockmaker", || async {
            loop {
                sleep(Duration::from_millis(sim::rng().below(5_000))).await;
                let error = Duration::from_millis(sim::rng().below(600_000));
                let clock = match sim::rng().chance(0.5) {
                    true => Clock::ahead(error),
                    false => Clock::behind(error),
                };
                sim::clock("sleeper", clock.ppm(sim::rng().range(-900_000..=900_000)));
            }
        });
        sim.faults(
            Faults::swarm()
                .only([Fault::Drift])
                .hosts(["sleeper"])
                .quiet_after(60 * SECOND),
        );
        sim.run_for(70 * SECOND).unwrap();
    }
}

#[test]
fn a_lease_with_a_margin_for_the_drift_ends_before_its_owner_takes_it_back() {
    for seed in 0..50 {
        let (longest, shortest) = (
            Rc::new(Cell::new(Duration::ZERO)),
            Rc::new(Cell::new(Duration::MAX)),
        );
        let mut sim = Sim::new(seed);
        let ours = Rc::clone(&longest);
        sim.host("holder", move || {
            let longest = Rc::clone(&ours);
            async move {
                loop {
                    let start = sim::elapsed();
                    sleep(7 * SECOND).await;
                    longest.set(longest.get().max(sim::elapsed() - start));
                }
            }
        });
        let ours = Rc::clone(&shortest);
        sim.host("owner", move || {
            let shortest = Rc::clone(&ours);
            async move {
                loop {
                    let start = sim::elapsed();
                    sleep(10 * SECOND).await;
                    shortest.set(shortest.get().min(sim::elapsed() - start));
                }
            }
        });
        sim.clock("holder", Clock::behind(SECOND).ppm(-10_000));
        sim.clock("owner", Clock::ahead(SECOND).ppm(10_000));
        sim.faults(
            Faults::swarm()
                .only([Fault::Drift])
                .quiet_after(600 * SECOND),
        );
        sim.run_for(700 * SECOND).unwrap();
        // Each clock is wrong by 6 % at most.
        assert!(longest.get() < 7 * SECOND * 100 / 93, "{longest:?}");
        assert!(shortest.get() > 10 * SECOND * 100 / 107, "{shortest:?}");
    }
}

#[test]
fn a_restart_keeps_the_clock() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut sim = Sim::new(1);
    let ours = Rc::clone(&seen);
    sim.host("server", move || {
        let seen = Rc::clone(&ours);
        async move {
            seen.borrow_mut().push(system_now());
            pending().await
        }
    });
    sim.clock("server", Clock::ahead(60 * SECOND));
    sim.run_for(10 * SECOND).unwrap();
    sim.restart("server");
    sim.run_for(SECOND).unwrap();
    let seen = seen.borrow();
    assert_eq!(seen[1].duration_since(seen[0]).unwrap(), 10 * SECOND);
}

#[test]
#[should_panic(expected = "a clock cannot be fast by -1000000 parts in a million")]
fn a_clock_that_stands_still_is_refused() {
    let _ = Clock::default().ppm(-1_000_000);
}
