//! Which tasks are woken when several wait for one socket.

use super::{Place, bulk, fill, pattern, read, settle, write};
use crate::task_probes::{Wakes, counted};
use futures::future::{abortable, join_all};
use futures::{AsyncReadExt, StreamExt};
use glassfrog::net::TcpStream;
use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

laws! {
    a_cancelled_reader_passes_its_wake_to_the_other_readers,
    a_cancelled_peek_passes_its_wake_to_the_other_peeks,
    a_cancelled_writer_passes_its_wake_to_the_other_writers,
    the_end_of_the_stream_wakes_all_readers,
    an_overfull_waiter_list_loses_no_wake,
    any_number_of_tasks_waiting_on_a_listener_come_to_rest,
    reading_and_writing_wake_separately,
    clearing_one_direction_does_not_clear_the_other,
    an_event_wakes_the_waker_of_the_last_poll,
    a_dropped_wait_keeps_no_waker,
    waiting_does_not_poll,
}

/// Polls a future once with a given waker.
fn poll_for<F: Future>(waker: &Waker, future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Starts eight waiting tasks, aborts the first, triggers the event with `happen`, and joins the others.
async fn eight_wait<W, F>(stream: TcpStream, wait: W, happen: impl AsyncFnOnce())
where
    W: Fn(Rc<TcpStream>) -> F,
    F: Future<Output = io::Result<()>> + 'static,
{
    let stream = Rc::new(stream);
    let waiting = Rc::new(Cell::new(0));
    let (first, handle) = abortable(wait(Rc::clone(&stream)));
    let first = glassfrog::spawn(first);
    let others: Vec<_> = (0..7)
        .map(|_| glassfrog::spawn(counted(&waiting, wait(Rc::clone(&stream)))))
        .collect();
    settle().await;
    assert_eq!(waiting.get(), 7);
    handle.abort();
    assert!(first.await.unwrap().is_err());
    happen().await;
    for other in others {
        other.await.unwrap().unwrap();
    }
    // Each was woken once and found its event.
    assert_eq!(waiting.get(), 14);
}

async fn a_cancelled_reader_passes_its_wake_to_the_other_readers(place: Place) {
    for (stream, peer) in place.pairs().await {
        let readable = |stream: Rc<TcpStream>| async move { stream.readable().await };
        eight_wait(stream, readable, async || write(&peer, b"x").await).await;
    }
}

async fn a_cancelled_peek_passes_its_wake_to_the_other_peeks(place: Place) {
    for (stream, peer) in place.pairs().await {
        let peek = |stream: Rc<TcpStream>| async move {
            assert_eq!(stream.peek(&mut [0; 8]).await?, 1);
            Ok(())
        };
        eight_wait(stream, peek, async || write(&peer, b"x").await).await;
    }
}

async fn a_cancelled_writer_passes_its_wake_to_the_other_writers(place: Place) {
    let bytes = pattern(bulk(), 17);
    for (stream, peer) in place.pairs().await {
        let sent = fill(&stream, &bytes).await;
        let writable = |stream: Rc<TcpStream>| async move { stream.writable().await };
        let happen = async || assert!(read(&peer, sent).await == bytes[..sent]);
        eight_wait(stream, writable, happen).await;
    }
}

async fn the_end_of_the_stream_wakes_all_readers(place: Place) {
    for (stream, peer) in place.pairs().await {
        let read = |stream: Rc<TcpStream>| async move {
            assert_eq!(stream.read(&mut [0; 8]).await?, 0);
            Ok(())
        };
        eight_wait(stream, read, async || drop(peer)).await;
    }
}

async fn an_overfull_waiter_list_loses_no_wake(place: Place) {
    const TASKS: usize = 20;
    for (stream, peer) in place.pairs().await {
        let stream = Rc::new(stream);
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let stream = Rc::clone(&stream);
                glassfrog::spawn(async move {
                    let mut byte = [0];
                    let reading = AsyncReadExt::read_exact(&mut &*stream, &mut byte).await;
                    reading.map(|()| byte[0])
                })
            })
            .collect();
        settle().await;
        let sent: Vec<u8> = (0..TASKS as u8).collect();
        for byte in &sent {
            write(&peer, &[*byte]).await;
            settle().await;
        }
        let read = join_all(tasks).await.into_iter();
        let mut read: Vec<_> = read.map(|byte| byte.unwrap().unwrap()).collect();
        read.sort_unstable();
        assert_eq!(read, sent);
    }
}

async fn any_number_of_tasks_waiting_on_a_listener_come_to_rest(place: Place) {
    const TASKS: usize = 20;
    let (listener, addr) = place.listener().await;
    let listener = Rc::new(listener);
    let polls = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let listener = Rc::clone(&listener);
            let accept = async move { listener.incoming().next().await.unwrap().map(drop) };
            glassfrog::spawn(counted(&polls, accept))
        })
        .collect();
    settle().await;
    assert_eq!(polls.get(), TASKS);
    let peers = join_all((0..TASKS).map(|_| TcpStream::connect(addr))).await;
    assert!(peers.iter().all(Result::is_ok));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

async fn reading_and_writing_wake_separately(place: Place) {
    let bytes = pattern(bulk(), 18);
    for (stream, peer) in place.pairs().await {
        fill(&stream, &bytes).await;
        let ((reads, reader), (writes, writer)) = (Wakes::new(), Wakes::new());
        let mut readable = pin!(stream.readable());
        let mut writable = pin!(stream.writable());
        assert!(poll_for(&reader, readable.as_mut()).is_pending());
        assert!(poll_for(&writer, writable.as_mut()).is_pending());
        write(&peer, b"x").await;
        settle().await;
        assert_eq!((reads.count(), writes.count()), (1, 0));
        assert!(poll_for(&reader, readable.as_mut()).is_ready());
        assert!(poll_for(&writer, writable.as_mut()).is_pending());
    }
}

async fn clearing_one_direction_does_not_clear_the_other(place: Place) {
    let bytes = pattern(bulk(), 19);
    for (stream, peer) in place.pairs().await {
        stream.writable().await.unwrap();
        write(&peer, b"x").await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
        stream.try_read(&mut [0; 8]).unwrap_err();
        assert_eq!(stream.try_write(b"x").unwrap(), 1);

        write(&peer, b"x").await;
        stream.readable().await.unwrap();
        fill(&stream, &bytes).await;
        assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 1);
    }
}

async fn an_event_wakes_the_waker_of_the_last_poll(place: Place) {
    for (stream, peer) in place.pairs().await {
        let ((first, first_waker), (last, last_waker)) = (Wakes::new(), Wakes::new());
        let mut readable = pin!(stream.readable());
        assert!(poll_for(&first_waker, readable.as_mut()).is_pending());
        assert!(poll_for(&last_waker, readable.as_mut()).is_pending());
        // The clones belong to `first` and `first_waker`.
        assert_eq!(Arc::strong_count(&first), 2);
        write(&peer, b"x").await;
        settle().await;
        assert_eq!((first.count(), last.count()), (0, 1));
    }
}

async fn a_dropped_wait_keeps_no_waker(place: Place) {
    for (stream, peer) in place.pairs().await {
        let counters = [(); 10].map(|()| Wakes::new());
        let wait = |(_, waker): &(Arc<Wakes>, Waker)| {
            let mut wait = Box::pin(stream.readable());
            assert!(poll_for(waker, wait.as_mut()).is_pending());
            wait
        };
        let mut waits: Vec<_> = counters.iter().map(wait).collect();
        // The first, one in the middle, and the last.
        for dropped in [9, 4, 0] {
            drop(waits.remove(dropped));
        }
        let is_dropped = |number| [9, 4, 0].contains(&number);
        for (number, (wakes, _)) in counters.iter().enumerate() {
            assert_eq!(
                Arc::strong_count(wakes),
                3 - usize::from(is_dropped(number))
            );
        }
        write(&peer, b"x").await;
        settle().await;
        for (number, (wakes, _)) in counters.iter().enumerate() {
            assert_eq!(wakes.count(), usize::from(!is_dropped(number)));
        }
    }
}

async fn waiting_does_not_poll(place: Place) {
    for (stream, peer) in place.pairs().await {
        let polls = Rc::new(Cell::new(0));
        let read = async move { stream.read(&mut [0; 8]).await };
        let reading = glassfrog::spawn(counted(&polls, read));
        settle().await;
        assert_eq!(polls.get(), 1);
        write(&peer, b"x").await;
        assert_eq!(reading.await.unwrap().unwrap(), 1);
        assert_eq!(polls.get(), 2);
    }
}
