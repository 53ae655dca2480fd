//! The clocks of hosts: ahead, behind, fast and slow.

use glassfrog::sim::{self, Clock, Sim};
use glassfrog::time::{now, sleep, system_now};
use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);

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
fn a_clock_that_jumps_ahead_fires_what_it_passes() {
    let mut sim = Sim::new(1);
    sim.client("client", async {
        sleep(100 * SECOND).await;
        assert_eq!(sim::elapsed(), 10 * SECOND);
        Ok(())
    });
    sim.client("clockmaker", async {
        sleep(10 * SECOND).await;
        sim::clock("client", Clock::ahead(3600 * SECOND));
        Ok(())
    });
    sim.run().unwrap();
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
