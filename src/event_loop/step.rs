//! [`EventLoop::step`]: the turns of a simulated host, which its driver asks for.
//!
//! A host does not wait: its driver knows when something happens next, and steps the host then. A step polls until no
//! task is ready, at one moment of the host's clock. It reads no other clock and makes no syscall, so the same steps
//! always make the same polls. It looks neither for deadlocks nor for circles nor for a standstill, because the driver
//! knows more: whether anything at all can still happen.

use super::{BATCH, EventLoop};
use crate::executor::unreceived::TaskPanic;
use crate::executor::{Payload, Polled};
use crate::reactor::readiness::{ERROR, READ_CLOSED, READABLE, WRITABLE, WRITE_CLOSED};
use crate::wire::Mask;

/// The result of [`EventLoop::step`].
#[derive(Default)]
pub(crate) struct Stepped {
    /// The number of polls.
    pub(crate) polls: u64,
    /// Whether the host has to be stepped again at this moment: a task is ready, because the step has made as many polls
    /// as it may, or something has called the host. In the latter case, the bell has rung too.
    pub(crate) is_ready_again: bool,
    /// The panics of tasks and jobs that no handle returns, or that no task was waiting for, oldest first.
    pub(crate) panics: Vec<TaskPanic>,
    /// The panic that has ended the runtime.
    pub(crate) panicked: Option<Payload>,
}

impl EventLoop {
    /// Steps a simulated host: publishes the readiness of these sockets, fires the timers that are due, and polls until
    /// no task is ready, but at most `most_polls` times, and not after a poll that makes `must_end` true. The caller
    /// has [entered](crate::context::enter) the context, and leaves it afterwards.
    pub(crate) fn step(
        &self,
        ready: &[(usize, Mask)],
        most_polls: u64,
        must_end: impl Fn() -> bool,
    ) -> Stepped {
        if self.executor.is_closed() {
            return Stepped::default();
        }
        let before = self.executor.polls();
        let most_polls = before.saturating_add(most_polls);
        let is_over = || self.executor.polls() >= most_polls || must_end();
        let panicked = self.make_turns(ready, is_over);
        Stepped {
            polls: self.executor.polls() - before,
            // From now on, a call makes the host ready again: the bell rings.
            is_ready_again: !self.executor.is_idle() || !self.shared.inbox.announce_park(),
            panics: self.executor.take_panics(),
            panicked,
        }
    }

    /// Makes turns until no task is ready, or until a poll after which the step `is_over`. Returns the panic that has
    /// ended the runtime.
    fn make_turns(&self, ready: &[(usize, Mask)], is_over: impl Fn() -> bool) -> Option<Payload> {
        let _running = self.begin(false);
        if !ready.is_empty() {
            if let Some(recorder) = &self.shared.recorder {
                recorder.begin_events();
            }
            self.shared.status.events.add(ready.len() as u64);
            let ready = ready.iter().map(|(at, mask)| (*at, bits(*mask)));
            self.reactor.make_ready(ready);
        }
        let mut left = 0;
        loop {
            // These are the steps of `look_around` that concern a host, and then those of `poll_batch`.
            self.executor.take_messages();
            let now = self.begin_turn(false);
            self.shared.fire_timers(now);
            self.executor.postpone(left);
            if self.executor.is_idle() {
                return None;
            }
            for _ in 0..BATCH {
                if is_over() {
                    break;
                }
                match self.executor.poll_next() {
                    Polled::Task => {}
                    // There is no `block_on`.
                    Polled::Root => drop(self.executor.skip_root()),
                    Polled::Nothing => break,
                    Polled::Panicked(payload) => {
                        self.shut_down();
                        return Some(payload);
                    }
                }
            }
            left = self.executor.end_polls();
            if is_over() {
                return None;
            }
        }
    }
}

/// Returns the bits of readiness that a socket of the wire sets, as an event of the operating system would.
fn bits(mask: Mask) -> u32 {
    // Only an operation can return an error or the end to its caller, so both count as ready.
    let parts = [
        (mask.readable, READABLE),
        (mask.writable, WRITABLE),
        (mask.read_closed, READABLE | READ_CLOSED),
        (mask.write_closed, WRITABLE | WRITE_CLOSED),
        (mask.error, READABLE | WRITABLE | ERROR),
    ];
    let set = parts.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(0, |bits, (_, part)| bits | part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::host::{HostClock, TrueTime};
    use crate::event_loop::{Settings, SimulatedHost, TimelineOutput};
    use crate::executor::Remote;
    use crate::pool::Pool;
    use crate::task::{JoinHandle, spawn_blocking, yield_now};
    use crate::wire::{Host, Wire};
    use crate::{context, net, spawn, time};
    use futures_task::ArcWake;
    use std::cell::Cell;
    use std::future::pending;
    use std::io;
    use std::net::SocketAddr;
    use std::ops::RangeInclusive;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Waker};
    use std::thread;
    use std::time::{Duration, Instant, SystemTime};

    /// Counts how often it is rung.
    #[derive(Default)]
    struct Bell(AtomicU64);

    impl ArcWake for Bell {
        fn wake_by_ref(bell: &Arc<Bell>) {
            bell.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A host, and what its driver would have.
    struct Fixture {
        /// The runtime.
        event_loop: Rc<EventLoop>,
        /// The time of the simulation.
        time: TrueTime,
        /// The clock of the host.
        clock: Arc<HostClock>,
        /// The bell.
        bell: Arc<Bell>,
    }

    impl Fixture {
        /// Boots a host whose clock is fast by some parts in a million.
        fn new(ppm: i64) -> Fixture {
            let time = TrueTime::default();
            let (zero, epoch) = (Instant::now(), SystemTime::UNIX_EPOCH);
            let clock = Arc::new(HostClock::new(time.clone(), zero, epoch));
            clock.set(0, ppm);
            let bell = Arc::<Bell>::default();
            let wire = Wire::new(0, crate::wire::Tcp::default(), time.clone());
            let settings = Settings {
                seed: Some(7),
                watchdog: None,
                timeline: Some(1000),
                output: TimelineOutput::Chosen(None),
                host: Some(SimulatedHost {
                    host: Host { wire, id: 0 },
                    clock: Arc::clone(&clock),
                    bell: futures_task::waker(Arc::clone(&bell)),
                    recorder: None,
                }),
                ..Settings::default()
            };
            Fixture {
                event_loop: Rc::new(EventLoop::new(&settings).unwrap()),
                time,
                clock,
                bell,
            }
        }

        /// Spawns a task on the host.
        fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
            let _context = context::enter(&self.event_loop);
            spawn(future)
        }

        /// Steps the host.
        fn step(&self) -> Stepped {
            self.step_for(1_000_000)
        }

        /// Steps the host for a number of polls.
        fn step_for(&self, most_polls: u64) -> Stepped {
            let _context = context::enter(&self.event_loop);
            self.event_loop.step(&[], most_polls, || false)
        }

        /// Steps the host, and returns the outcome of a task, which must have ended.
        fn outcome<T: 'static>(&self, task: JoinHandle<T>) -> T {
            assert!(self.step().panics.is_empty());
            assert!(task.is_finished());
            let _context = context::enter(&self.event_loop);
            match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => outcome.unwrap(),
                Poll::Pending => panic!("the task has not ended"),
            }
        }

        /// Returns the pool of the host, which holds its jobs.
        fn pool(&self) -> &Arc<Pool> {
            &self.event_loop.shared.pool
        }

        /// Returns how often the bell was rung since the last call.
        fn rung(&self) -> u64 {
            self.bell.0.swap(0, Ordering::Relaxed)
        }

        /// Moves the time to the next deadline of the host. Returns the true time.
        fn jump(&self) -> u64 {
            let deadline = self.event_loop.next_deadline().unwrap();
            self.time.advance_to(self.clock.true_time_of(deadline));
            self.time.now()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _context = context::enter(&self.event_loop);
            self.event_loop.shut_down();
        }
    }

    /// Panics without a report on the standard error stream.
    async fn fail() {
        std::panic::resume_unwind(Box::new("out of luck"));
    }

    /// Chooses the oldest of the held jobs, which have ids in this range.
    fn oldest(ids: RangeInclusive<u64>) -> u64 {
        *ids.start()
    }

    #[test]
    fn a_step_polls_until_no_task_is_ready() {
        let host = Fixture::new(0);
        let task = host.spawn(async {
            for _ in 0..1000 {
                yield_now().await;
            }
        });
        assert_eq!(host.rung(), 1, "a spawn from outside must ring the bell");
        let stepped = host.step();
        assert_eq!((stepped.polls, stepped.is_ready_again), (1001, false));
        assert!(task.is_finished());
        assert_eq!(host.step().polls, 0);
    }

    #[test]
    fn a_step_makes_no_more_polls_than_it_may() {
        let host = Fixture::new(0);
        let _spinner = host.spawn(async {
            loop {
                yield_now().await;
            }
        });
        let stepped = host.step_for(300);
        assert_eq!((stepped.polls, stepped.is_ready_again), (300, true));
    }

    #[test]
    fn a_sleep_ends_when_the_clock_of_its_host_says_so() {
        for (ppm, due) in [
            (0, 10_000_000),
            (1_000_000, 5_000_000),
            (-500_000, 20_000_000),
        ] {
            let host = Fixture::new(ppm);
            let task = host.spawn(async {
                let before = time::now();
                time::sleep(Duration::from_millis(10)).await;
                time::now() - before
            });
            host.step();
            assert_eq!(host.jump(), due);
            assert_eq!(host.outcome(task), Duration::from_millis(10));
            assert_eq!(host.event_loop.next_deadline(), None);
        }
    }

    #[cfg(feature = "timeline")]
    #[test]
    fn the_timeline_of_a_host_has_its_time_and_the_metrics_count_its_polls() {
        let host = Fixture::new(0);
        let task = host.spawn(async { time::sleep(Duration::from_millis(10)).await });
        host.step();
        host.jump();
        host.outcome(task);
        let handle = crate::Handle::new(Arc::clone(&host.event_loop.shared));
        assert_eq!(
            (handle.metrics().polls, handle.metrics().timers_fired),
            (2, 1)
        );
        let lines = handle.timeline().latest(3);
        assert!(
            lines[0].ends_with("0.010000 s  deadlines passed: 1"),
            "{lines:?}"
        );
        assert!(
            lines[2].ends_with("task 1 ran for 0 ns, and ended"),
            "{lines:?}"
        );
    }

    #[test]
    fn the_wall_clock_of_a_host_is_its_own() {
        let host = Fixture::new(0);
        host.time.advance_to(3_000_000_000);
        host.clock.set(-1_000_000_000, 0);
        let task = host.spawn(async { time::system_now() });
        let two_seconds = Duration::from_secs(2);
        assert_eq!(host.outcome(task), SystemTime::UNIX_EPOCH + two_seconds);
    }

    #[test]
    fn a_thread_that_calls_a_host_rings_its_bell_even_while_the_host_is_stepped() {
        let host = Fixture::new(0);
        let inbox: Arc<Remote> = Arc::clone(&host.event_loop.shared.inbox);
        let polled = Rc::new(Cell::new(0));
        let _task = host.spawn({
            let polled = Rc::clone(&polled);
            std::future::poll_fn(move |cx| {
                polled.set(polled.get() + 1);
                if polled.get() == 1 {
                    let (waker, inbox) = (cx.waker().clone(), Arc::clone(&inbox));
                    let call = move || {
                        // The second call finds that the loop was called already.
                        inbox.nudge();
                        waker.wake();
                    };
                    thread::spawn(call).join().unwrap();
                }
                Poll::<()>::Pending
            })
        });
        host.rung();
        let stepped = host.step();
        assert_eq!(host.rung(), 2);
        assert_eq!((stepped.polls, stepped.is_ready_again), (2, false));
    }

    #[test]
    fn a_wake_while_the_host_rests_rings_its_bell() {
        let host = Fixture::new(0);
        let kept = Rc::new(Cell::new(None::<Waker>));
        let _task = host.spawn({
            let kept = Rc::clone(&kept);
            std::future::poll_fn(move |cx| {
                kept.set(Some(cx.waker().clone()));
                Poll::<()>::Pending
            })
        });
        host.step();
        host.rung();
        kept.take().unwrap().wake();
        assert_eq!(host.rung(), 1);
        assert_eq!(host.step().polls, 1);
    }

    #[test]
    fn a_panic_that_no_handle_returns_is_reported() {
        let host = Fixture::new(0);
        drop(host.spawn(fail()));
        let panics = host.step().panics;
        let [panic] = &panics[..] else {
            panic!("{panics:?}");
        };
        assert_eq!(panic.text, "task 1 panicked: out of luck");
        assert!(!panic.has_handle);
        assert!(panic.location.file().ends_with("step.rs"), "{panic:?}");
        assert!(host.step().panics.is_empty());
    }

    #[test]
    fn a_panic_that_a_task_waits_for_is_the_business_of_the_program() {
        let host = Fixture::new(0);
        let task = host.spawn(async { spawn(fail()).await.unwrap_err().is_panic() });
        assert!(host.outcome(task));
    }

    #[test]
    fn a_panic_that_nothing_waits_for_yet_is_reported_with_the_handle() {
        let host = Fixture::new(0);
        let kept = host.spawn(fail());
        let panics = host.step().panics;
        assert!(panics.len() == 1 && panics[0].has_handle, "{panics:?}");
        let executor = &host.event_loop.executor;
        assert!(executor.has_outcome(panics[0].id));
        // The handle is dropped after all.
        let _context = context::enter(&host.event_loop);
        drop(kept);
        assert!(!executor.has_outcome(panics[0].id));
        let panics = executor.take_panics();
        assert!(panics.len() == 1 && !panics[0].has_handle, "{panics:?}");
    }

    #[test]
    fn a_job_is_held_until_the_driver_runs_it() {
        let host = Fixture::new(0);
        let task = host.spawn(async {
            let here = thread::current().id();
            spawn_blocking(move || thread::current().id() != here).await
        });
        host.step();
        let pool = Arc::clone(host.pool());
        assert_eq!((pool.held_jobs(), pool.counts()), (1, (0, 1)));
        let job = pool.take_held(oldest).unwrap();
        let about = job.describe();
        assert!(
            about.starts_with("blocking job 2 (") && about.contains("step.rs:"),
            "{about}"
        );
        assert_eq!((pool.held_jobs(), pool.counts()), (0, (1, 0)));
        host.rung();
        thread::spawn(move || job.run()).join().unwrap();
        assert!(host.rung() > 0);
        assert_eq!(pool.counts(), (0, 0));
        assert!(host.outcome(task).unwrap());
        assert!(pool.take_held(oldest).is_none());
    }

    #[test]
    fn an_aborted_job_is_never_taken() {
        let host = Fixture::new(0);
        let task = host.spawn(async {
            let job = spawn_blocking(|| ());
            job.abort();
            job.await.unwrap_err().is_cancelled()
        });
        assert!(host.outcome(task));
        assert!(host.pool().take_held(oldest).is_none());
    }

    #[test]
    fn a_job_that_is_dropped_instead_of_run_is_cancelled() {
        let host = Fixture::new(0);
        let task = host.spawn(async { spawn_blocking(|| ()).await.unwrap_err().is_cancelled() });
        host.step();
        drop(host.pool().take_held(oldest));
        assert!(host.outcome(task));
        assert_eq!(host.pool().counts(), (0, 0));
    }

    #[test]
    fn the_panic_of_a_job_that_no_handle_returns_is_reported() {
        let host = Fixture::new(0);
        let _task = host.spawn(async {
            drop(spawn_blocking(|| {
                std::panic::resume_unwind(Box::new("out of luck"))
            }));
        });
        host.step();
        host.pool().take_held(oldest).unwrap().run();
        let panics = host.step().panics;
        assert!(panics.len() == 1 && !panics[0].has_handle, "{panics:?}");
        assert_eq!(panics[0].text, "task 2 panicked: out of luck");
    }

    #[test]
    fn the_end_of_a_host_drops_its_tasks_and_jobs() {
        let host = Fixture::new(0);
        let task = host.spawn(pending::<()>());
        let _job = host.spawn(async { spawn_blocking(|| ()).await });
        host.step();
        let context = context::enter(&host.event_loop);
        host.event_loop.shut_down();
        drop(context);
        assert_eq!(host.step().polls, 0);
        assert!(task.is_finished());
        assert!(host.pool().take_held(oldest).is_none());
    }

    #[test]
    fn a_descriptor_of_the_operating_system_is_refused() {
        let host = Fixture::new(0);
        let _context = context::enter(&host.event_loop);
        let real = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = net::UdpSocket::try_from(real).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains("a simulated host has simulated sockets only"),
            "{text}"
        );
    }

    #[test]
    fn localhost_is_the_host_itself() {
        let host = Fixture::new(0);
        let task = host.spawn(async {
            let found = net::lookup_host("localhost:80").await.unwrap();
            found.collect::<Vec<_>>()
        });
        assert_eq!(
            host.outcome(task),
            ["127.0.0.1:80".parse::<SocketAddr>().unwrap()]
        );
    }

    #[test]
    #[should_panic(expected = "only a virtual clock can be advanced")]
    fn only_the_driver_advances_the_clock_of_a_host() {
        let host = Fixture::new(0);
        let _context = context::enter(&host.event_loop);
        drop(time::advance(Duration::from_secs(1)));
    }
}
