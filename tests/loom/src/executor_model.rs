//! State shared between threads: the flag of a task, the inbox, and the table of finished tasks.

use crate::ended::{Ended, Writer};
use crate::flag::{QueuedFlag, TaskFlags};
use crate::inbox::{Inbox, InboxHandle};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// The park of a loop, and the number of times it was ended.
struct Park {
    /// The condition that the loop waits for.
    notify: Notify,
    /// The number of times that a thread took the trouble to wake it.
    unparked: AtomicUsize,
}

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        self.unparked.fetch_add(1, Ordering::Relaxed);
        self.notify.notify();
    }
}

/// Creates a park, and an inbox that ends it.
fn parked_inbox<M>() -> (Arc<Park>, Arc<Inbox<M>>) {
    let park = Arc::new(Park {
        notify: Notify::new(),
        unparked: AtomicUsize::new(0),
    });
    let inbox = Arc::new(Inbox::new(Waker::from(Arc::clone(&park)), ()));
    (park, inbox)
}

/// Reads the messages if the loop was notified.
fn read<M>(inbox: &Inbox<M>) -> Vec<M> {
    let mut messages = Vec::new();
    if inbox.awake() {
        inbox.drain(&mut messages);
    }
    messages
}

/// Runs the loop: passes each message to `take` until `take` has had enough, and parks in between. Returns the number
/// of parks.
fn run<M>(park: &Park, inbox: &Inbox<M>, mut take: impl FnMut(M) -> bool) -> usize {
    let mut parks = 0;
    loop {
        let mut done = false;
        for message in read(inbox) {
            done |= take(message);
        }
        if done {
            return parks;
        }
        if inbox.announce_park() {
            parks += 1;
            // If a message could be lost, loom would find the loop stuck here.
            park.notify.wait();
        }
    }
}

#[test]
fn every_message_arrives_and_ends_a_park_at_most_once() {
    loom::model(|| {
        let (park, inbox) = parked_inbox();
        let threads: Vec<_> = [1, 2]
            .map(|number| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || inbox.post(number).expect("open"))
            })
            .into();
        let mut sum = 0;
        let parks = run(&park, &inbox, |number| {
            sum += number;
            sum == 3
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(park.unparked.load(Ordering::Relaxed) <= parks);
    });
}

#[test]
fn a_foreign_loop_that_waits_between_two_turns_misses_no_message() {
    loom::model(|| {
        let (park, inbox) = parked_inbox();
        let senders: Vec<_> = (0..2)
            .map(|message| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || inbox.post(message).unwrap())
            })
            .collect();
        let mut taken = 0;
        loop {
            // A turn.
            taken += read(&inbox).len();
            if taken == 2 {
                break;
            }
            // The loop rests, and the foreign loop waits until the descriptor is readable. If a message could be
            // lost, loom would find it here for ever.
            if !inbox.announce_park() {
                inbox.unpark();
            }
            park.notify.wait();
        }
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_nudge_ends_or_prevents_the_park() {
    loom::model(|| {
        let (park, inbox) = parked_inbox::<()>();
        let deadline = Arc::new(AtomicUsize::new(0));
        let sleeper = {
            let (inbox, deadline) = (Arc::clone(&inbox), Arc::clone(&deadline));
            thread::spawn(move || {
                deadline.store(1, Ordering::Relaxed);
                inbox.nudge();
            })
        };
        // As the loop does: announces the park, checks the deadlines, and parks.
        while deadline.load(Ordering::Relaxed) == 0 {
            if inbox.announce_park() && deadline.load(Ordering::Relaxed) == 0 {
                park.notify.wait();
            }
            read(&inbox);
        }
        sleeper.join().unwrap();
    });
}

#[test]
fn the_loop_notices_the_drop_of_the_last_handle() {
    loom::model(|| {
        let (park, inbox) = parked_inbox::<()>();
        let handle = InboxHandle::new(&inbox);
        let thread = thread::spawn(move || drop(handle));
        // The loop parks as long as a message may still arrive.
        while inbox.has_handles() {
            if inbox.announce_park() && inbox.has_handles() {
                park.notify.wait();
            }
            read(&inbox);
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_departing_handle_delivers_its_last_message() {
    loom::model(|| {
        let (park, inbox) = parked_inbox();
        // Sent before the loop checks.
        let handle = InboxHandle::new(&inbox);
        let thread = thread::spawn(move || {
            handle.post(7).expect("open");
            drop(handle);
        });
        let mut messages = Vec::new();
        while messages.is_empty() {
            if inbox.announce_park() {
                // The loop's check whether any handle is left. The answer is yes as long as there is a message that
                // the loop has not seen.
                assert!(inbox.has_handles() || !inbox.is_quiet());
                park.notify.wait();
            }
            messages = read(&inbox);
        }
        thread.join().unwrap();
        assert!(!inbox.has_handles());
    });
}

#[test]
fn a_closed_inbox_loses_nothing() {
    loom::model(|| {
        let (_park, inbox) = parked_inbox();
        let poster = {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.post(7).is_err())
        };
        let left = inbox.close();
        let refused = poster.join().unwrap();
        assert_eq!(left.len() + usize::from(refused), 1);
        assert!(inbox.is_closed());
    });
}

#[test]
fn the_poll_after_a_wake_sees_writes_before_the_wake() {
    loom::model(|| {
        let (park, inbox) = parked_inbox();
        let flag = Arc::new(QueuedFlag::default());
        let done = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let wakers: Vec<_> = [0, 1]
            .map(|which| {
                let (inbox, flag, done) =
                    (Arc::clone(&inbox), Arc::clone(&flag), Arc::clone(&done));
                thread::spawn(move || {
                    done[which].store(1, Ordering::Relaxed);
                    if flag.raise() {
                        inbox.post(()).expect("open");
                    }
                })
            })
            .into();
        run(&park, &inbox, |()| {
            // The poll: ready once both threads have done their part.
            flag.lower();
            done.iter().all(|done| done.load(Ordering::Relaxed) == 1)
        });
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

/// The run queue of one task: its entries and polls.
#[derive(Default)]
struct Queue {
    /// Entries in the queue.
    places: usize,
    /// Polls.
    polls: usize,
}

#[test]
fn the_poll_after_two_concurrent_wakes_sees_the_writes_before_both() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (park, inbox) = parked_inbox();
        let flags = Arc::new(TaskFlags::default());
        let done = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let wakers: Vec<_> = [0, 1]
            .map(|which| {
                let (inbox, flags, done) =
                    (Arc::clone(&inbox), Arc::clone(&flags), Arc::clone(&done));
                thread::spawn(move || {
                    done[which].store(1, Ordering::Relaxed);
                    if flags.wake_remote() {
                        inbox.post(()).expect("open");
                    }
                })
            })
            .into();
        let mut queue = Queue::default();
        // The spawn, which queues the task.
        assert!(flags.wake_local());
        queue.places += 1;
        'run: loop {
            for () in read(&inbox) {
                queue.places += usize::from(flags.receive());
            }
            while queue.places > 0 {
                queue.places -= 1;
                flags.begin_poll();
                queue.polls += 1;
                if done.iter().all(|done| done.load(Ordering::Relaxed) == 1) {
                    break 'run;
                }
                // The first poll wakes its own task twice, which queues it once.
                if queue.polls == 1 {
                    queue.places += usize::from(flags.wake_local());
                    queue.places += usize::from(flags.wake_local());
                    assert_eq!(queue.places, 1);
                }
            }
            if inbox.announce_park() {
                park.notify.wait();
            }
        }
        // Two by the task itself, and at most one for each message.
        assert!(queue.polls <= 4);
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_sees_the_end_of_a_task_sees_its_effects() {
    loom::model(|| {
        let ended = Arc::new(Ended::new());
        let done = Arc::new(AtomicUsize::new(0));
        let watcher = {
            let (ended, done) = (Arc::clone(&ended), Arc::clone(&done));
            thread::spawn(move || {
                // The second of two tasks in one slot, of which the first creates the word of the table.
                if ended.has(0, 2) {
                    assert_eq!(done.load(Ordering::Relaxed), 2);
                    assert!(ended.has(0, 1));
                }
            })
        };
        let mut writer = Writer::new();
        for number in [1, 2] {
            done.store(number as usize, Ordering::Relaxed);
            ended.note(&mut writer, 0, number);
        }
        ended.shrink(&mut writer, 0);
        watcher.join().unwrap();
        assert!(ended.has(0, 2) && !ended.has(0, 3));
    });
}
