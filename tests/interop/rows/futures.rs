//! `futures`: combinators, channels and streams. Nothing to write: they run as they are.

use futures::channel::{mpsc, oneshot};
use futures::{AsyncReadExt, AsyncWriteExt, SinkExt, StreamExt, future, select, stream};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::time::sleep;
use std::time::Duration;

#[test]
fn select_join_and_channels_work() {
    glassfrog::block_on(async {
        let (mut sender, mut receiver) = mpsc::channel(1);
        let (done, mut finished) = oneshot::channel();
        let producer = glassfrog::spawn(async move {
            for number in 0..100 {
                sender.send(number).await.unwrap();
            }
            done.send("done").unwrap();
        });
        let mut sum = 0;
        let word = loop {
            select! {
                number = receiver.select_next_some() => sum += number,
                word = finished => break word.unwrap(),
            }
        };
        while let Some(number) = receiver.next().await {
            sum += number;
        }
        producer.await.unwrap();
        assert_eq!((word, sum), ("done", 4950));
    });
}

#[test]
fn the_extension_traits_work_on_sockets() {
    glassfrog::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = async {
            let (stream, _peer) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.split();
            futures::io::copy(reader, &mut writer).await.unwrap()
        };
        let client = async {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(b"to the echo and back").await.unwrap();
            stream.close().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let (count, text) = future::join(server, client).await;
        assert_eq!((count, text.as_str()), (20, "to the echo and back"));
    });
}

#[test]
fn buffered_streams_of_sleeps_finish_in_the_order_of_their_deadlines() {
    glassfrog::block_on(async {
        let order: Vec<u64> = stream::iter([30, 10, 20])
            .map(|ms| async move {
                sleep(Duration::from_millis(ms)).await;
                ms
            })
            .buffer_unordered(3)
            .collect()
            .await;
        assert_eq!(order, [10, 20, 30]);
    });
}
