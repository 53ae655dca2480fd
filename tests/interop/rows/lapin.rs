//! `lapin`: AMQP with the runtime kit of `adapters/lapin.rs`, against RabbitMQ. The crate starts one thread for each
//! connection.

#[path = "../adapters/lapin.rs"]
mod adapter;

use adapter::Glassfrog;
use futures::StreamExt;
use glassfrog::Handle;
use glassfrog_interop::{assert_threads, server};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties, Result};

/// Connects to a server.
async fn connect(addr: &str) -> Result<Connection> {
    let runtime = async_rs::Runtime::new(Glassfrog(Handle::current()));
    let uri = format!("amqp://{addr}/%2f");
    Connection::connect_with_runtime(&uri, ConnectionProperties::default(), runtime).await
}

#[test]
fn messages_are_published_confirmed_consumed_and_acknowledged() {
    /// The number of messages.
    const MESSAGES: usize = 500;
    let Some(addr) = server("AMQP") else { return };
    glassfrog::block_on(async {
        let connection = connect(&addr).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let queue = channel
            .queue_declare("".into(), exclusive, FieldTable::default())
            .await
            .unwrap();
        let name = queue.name().clone();
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        let mut consumer = channel
            .basic_consume(
                name.clone(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        let consumed = glassfrog::spawn(async move {
            for number in 0..MESSAGES {
                let delivery = consumer.next().await.unwrap().unwrap();
                assert_eq!(delivery.data, number.to_string().as_bytes());
                delivery.ack(BasicAckOptions::default()).await.unwrap();
            }
        });
        for number in 0..MESSAGES {
            let text = number.to_string();
            let (options, properties) =
                (BasicPublishOptions::default(), BasicProperties::default());
            let sent = channel.basic_publish(
                "".into(),
                name.clone(),
                options,
                text.as_bytes(),
                properties,
            );
            assert_eq!(sent.await.unwrap().await.unwrap(), Confirmation::Ack(None));
        }
        consumed.await.unwrap();
        assert_threads(&["lapin-io-loop"]);
        connection.close(200, "done".into()).await.unwrap();
    });
}

#[test]
fn a_refused_connection_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    glassfrog::block_on(async {
        assert!(connect(&addr.to_string()).await.is_err());
    });
}
