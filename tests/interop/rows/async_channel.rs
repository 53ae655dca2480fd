//! `async-channel`: bounded and unbounded queues. Nothing to write: they run as they are.

use async_channel::{bounded, unbounded};
use std::thread;

#[test]
fn a_bounded_channel_makes_its_senders_wait() {
    glassfrog::block_on(async {
        let (sender, receiver) = bounded(1);
        let senders: Vec<_> = (0..10)
            .map(|number| {
                let sender = sender.clone();
                glassfrog::spawn(async move { sender.send(number).await.unwrap() })
            })
            .collect();
        drop(sender);
        let mut sum = 0;
        while let Ok(number) = receiver.recv().await {
            sum += number;
        }
        for task in senders {
            task.await.unwrap();
        }
        assert_eq!(sum, 45);
    });
}

#[test]
fn a_foreign_thread_wakes_a_receiver() {
    let (sender, receiver) = unbounded();
    let thread = thread::spawn(move || {
        for number in 0..1000 {
            sender.send_blocking(number).unwrap();
        }
    });
    let sum: u32 = glassfrog::block_on(async {
        let mut sum = 0;
        while let Ok(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    thread.join().unwrap();
    assert_eq!(sum, 499_500);
}
