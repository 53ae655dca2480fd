//! `flume`: channels with a blocking and an async side. Nothing to write: they run as they are.

use std::thread;

#[test]
fn a_blocking_thread_and_a_task_exchange_messages() {
    let (requests, inbox) = flume::bounded(2);
    let (answers, outbox) = flume::bounded(2);
    let thread = thread::spawn(move || {
        for number in inbox.iter() {
            answers.send(number * 2).unwrap();
        }
    });
    let sum = glassfrog::block_on(async {
        let task = glassfrog::spawn(async move {
            for number in 0..100 {
                requests.send_async(number).await.unwrap();
            }
        });
        let mut sum = 0;
        while let Ok(number) = outbox.recv_async().await {
            sum += number;
        }
        task.await.unwrap();
        sum
    });
    thread.join().unwrap();
    assert_eq!(sum, 9900);
}
