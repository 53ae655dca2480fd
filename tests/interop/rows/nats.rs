//! `async-nats`, inside the guard of tokio: one thread, on which the connection runs. The server is nats-server.

use async_nats::{Client, ConnectOptions};
use futures::StreamExt;
use glassfrog_interop::{assert_threads, server, tokio_runtime};

/// Connects to a server.
async fn connect(addr: &str) -> Client {
    ConnectOptions::new()
        .connect(format!("nats://{addr}"))
        .await
        .unwrap()
}

#[test]
fn messages_are_published_and_received_in_order() {
    let Some(addr) = server("NATS") else { return };
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let (sender, receiver) = (connect(&addr).await, connect(&addr).await);
        let mut messages = receiver.subscribe("pond").await.unwrap();
        receiver.flush().await.unwrap();
        let publisher = glassfrog::spawn(async move {
            for number in 0..1000 {
                sender
                    .publish("pond", number.to_string().into())
                    .await
                    .unwrap();
            }
            sender.flush().await.unwrap();
        });
        for number in 0..1000 {
            let message = messages.next().await.unwrap();
            assert_eq!(message.payload, number.to_string());
        }
        publisher.await.unwrap();
        assert_threads(&["tokio-rt-worker"]);
    });
}

#[test]
fn a_request_gets_its_answer() {
    let Some(addr) = server("NATS") else { return };
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let client = connect(&addr).await;
        let mut questions = client.subscribe("double").await.unwrap();
        client.flush().await.unwrap();
        let answerer = client.clone();
        glassfrog::spawn(async move {
            while let Some(question) = questions.next().await {
                let number: u32 = std::str::from_utf8(&question.payload)
                    .unwrap()
                    .parse()
                    .unwrap();
                let answer = (number * 2).to_string().into();
                answerer
                    .publish(question.reply.unwrap(), answer)
                    .await
                    .unwrap();
            }
        });
        let answer = client.request("double", "21".into()).await.unwrap();
        assert_eq!(answer.payload, "42");
        let nobody = client.request("triple", "21".into()).await;
        assert!(nobody.is_err());
    });
}
