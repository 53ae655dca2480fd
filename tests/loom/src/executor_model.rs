//! What crosses threads: the flag of a task, the inbox, and what is known of ended tasks.

use crate::ended::{Ended, Writer};
use crate::flag::{QueuedFlag, TaskFlags};
use crate::inbox::{Inbox, InboxHandle};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// The park of a loop, and how many times it was ended.
struct Park {
    /// What the loop waits for.
    notify: Notify,
    /// How many times somebody went to the trouble of waking it.
    unparked: AtomicUsize,
}

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        self.unparked.fetch_add(1, Ordering::Relaxed);
        self.notify.notify();
    }
}

/// A park and an inbox that ends it.
fn parked_inbox<M>() -> (Arc<Park>, Arc<Inbox<M>>) {
    let park = Arc::new(Park {
        notify: Notify::new(),
        unparked: AtomicUsize::new(0),
    });
    let inbox = Arc::new(Inbox::new(Waker::from(Arc::clone(&park))));
    (park, inbox)
}

/// Reads the messages, if the loop was called.
fn read<M>(inbox: &Inbox<M>) -> Vec<M> {
    let mut messages = Vec::new();
    if inbox.awake() {
        inbox.drain(&mut messages);
    }
    messages
}

/// The loop: gives what comes to `take` until that has had enough, and parks in between. Returns
/// how many times it parked.
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
            // If a message could be lost, loom would find the loop here for ever.
            park.notify.wait();
        }
    }
}

#[test]
fn every_message_arrives_and_a_park_is_ended_at_most_once() {
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
fn a_nudge_ends_the_park_or_forbids_it() {
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
        // As the loop does it: announce, then look at the deadlines, then park.
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
fn the_drop_of_the_last_handle_is_seen() {
    loom::model(|| {
        let (park, inbox) = parked_inbox::<()>();
        let handle = InboxHandle::new(&inbox);
        let thread = thread::spawn(move || drop(handle));
        // The loop parks for as long as somebody might have something to say.
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
        // There before the loop asks.
        let handle = InboxHandle::new(&inbox);
        let thread = thread::spawn(move || {
            handle.post(7).expect("open");
            drop(handle);
        });
        let mut messages = Vec::new();
        while messages.is_empty() {
            if inbox.announce_park() {
                // The question whether anybody is left, as the loop asks it. The answer is yes, as long as
                // there is something that it has not seen.
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
fn a_wake_is_a_poll_that_sees_what_came_before_the_wake() {
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
            // The poll: ready once both have done their part.
            flag.lower();
            done.iter().all(|done| done.load(Ordering::Relaxed) == 1)
        });
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

/// The run queue of one task: how many times it stands in it, and how many times it was polled.
#[derive(Default)]
struct Queue {
    /// Places in the queue.
    places: usize,
    /// Polls.
    polls: usize,
}

#[test]
fn wakes_from_two_sides_lead_to_a_poll_that_sees_both() {
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
                // The first poll wakes its own task, twice; it comes back once.
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
        // The two of its own, and one for each message at most.
        assert!(queue.polls <= 4);
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

#[test]
fn who_sees_the_end_of_a_task_sees_what_it_did() {
    loom::model(|| {
        let ended = Arc::new(Ended::new());
        let done = Arc::new(AtomicUsize::new(0));
        let watcher = {
            let (ended, done) = (Arc::clone(&ended), Arc::clone(&done));
            thread::spawn(move || {
                // The second of two tasks in one slot, of which the first makes the word.
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
