//! `tokio-postgres` without its feature `runtime`: `connect_raw` over a stream of glassfrog, with tokio's traits by
//! `tokio-util`. The crate starts no thread.

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, TryStreamExt, pin_mut, stream};
use glassfrog::net::TcpStream;
use glassfrog_interop::{assert_threads, server};
use std::future::poll_fn;
use std::io;
use std::process::Command;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Notification};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// Connects a stream of glassfrog, with the traits of tokio.
async fn stream(addr: &str) -> io::Result<Compat<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream.compat())
}

/// Connects to a server, and spawns the task that drives the connection. Notifications go to the channel.
async fn connect(addr: &str) -> Result<(Client, mpsc::UnboundedReceiver<Notification>), Error> {
    let mut config = Config::new();
    config.user("frog").dbname("postgres");
    let stream = stream(addr).await.expect("the server listens");
    let (client, mut connection) = config.connect_raw(stream, NoTls).await?;
    let (notify, notifications) = mpsc::unbounded();
    glassfrog::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                Ok(AsyncMessage::Notification(one)) => drop(notify.unbounded_send(one)),
                Ok(_notice) => {}
                // The client returns the error too.
                Err(_closed) => break,
            }
        }
    });
    Ok((client, notifications))
}

#[test]
fn queries_are_pipelined_in_one_connection() {
    let Some(addr) = server("POSTGRES") else {
        return;
    };
    glassfrog::block_on(async {
        let (client, _) = connect(&addr).await.unwrap();
        let add = client.prepare("SELECT $1::INT4 + $2::INT4").await.unwrap();
        let sums = stream::iter(0..100)
            .map(|number| {
                let (client, add) = (&client, &add);
                async move {
                    let row = client.query_one(add, &[&number, &1]).await.unwrap();
                    row.get::<_, i32>(0)
                }
            })
            .buffered(10)
            .collect::<Vec<_>>()
            .await;
        assert_eq!(sums, (1..=100).collect::<Vec<_>>());
        assert_threads(&[]);
    });
}

#[test]
fn a_transaction_commits_or_rolls_back() {
    let Some(addr) = server("POSTGRES") else {
        return;
    };
    glassfrog::block_on(async {
        let (mut client, _) = connect(&addr).await.unwrap();
        let create = "CREATE TEMPORARY TABLE t (n INT4 PRIMARY KEY)";
        client.batch_execute(create).await.unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction
            .execute("INSERT INTO t VALUES (1)", &[])
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction
            .execute("INSERT INTO t VALUES (2)", &[])
            .await
            .unwrap();
        let error = transaction
            .execute("INSERT INTO t VALUES (1)", &[])
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
        // A dropped transaction rolls back.
        drop(transaction);
        let rows = client.query("SELECT n FROM t", &[]).await.unwrap();
        assert_eq!(rows.len(), 1);
    });
}

#[test]
fn copy_moves_rows_in_and_out() {
    let Some(addr) = server("POSTGRES") else {
        return;
    };
    glassfrog::block_on(async {
        let (client, _) = connect(&addr).await.unwrap();
        client
            .batch_execute("CREATE TEMPORARY TABLE t (n INT4)")
            .await
            .unwrap();
        let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
        pin_mut!(sink);
        let mut expected = String::new();
        for number in 0..100_000 {
            let line = format!("{number}\n");
            expected.push_str(&line);
            sink.send(io::Cursor::new(line.into_bytes())).await.unwrap();
        }
        assert_eq!(sink.as_mut().finish().await.unwrap(), 100_000);
        let rows = client.copy_out("COPY t TO STDOUT").await.unwrap();
        let text = rows
            .try_fold(Vec::new(), async |mut text, part| {
                text.extend_from_slice(&part);
                Ok(text)
            })
            .await
            .unwrap();
        assert_eq!(text, expected.into_bytes());
    });
}

#[test]
fn notifications_arrive_while_the_listener_sends_nothing() {
    let Some(addr) = server("POSTGRES") else {
        return;
    };
    glassfrog::block_on(async {
        let (listener, mut notifications) = connect(&addr).await.unwrap();
        let (sender, _) = connect(&addr).await.unwrap();
        listener.batch_execute("LISTEN pond").await.unwrap();
        sender.batch_execute("NOTIFY pond, 'croak'").await.unwrap();
        let notification = notifications.next().await.unwrap();
        assert_eq!(
            (notification.channel(), notification.payload()),
            ("pond", "croak")
        );
    });
}

#[test]
fn a_query_is_cancelled_from_another_connection() {
    let Some(addr) = server("POSTGRES") else {
        return;
    };
    glassfrog::block_on(async {
        let (client, _) = connect(&addr).await.unwrap();
        let (other, _) = connect(&addr).await.unwrap();
        let cancel = client.cancel_token();
        let query =
            glassfrog::spawn(async move { client.batch_execute("SELECT pg_sleep(3600)").await });
        let asleep =
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'";
        while other.query(asleep, &[]).await.unwrap().is_empty() {}
        cancel
            .cancel_query_raw(stream(&addr).await.unwrap(), NoTls)
            .await
            .unwrap();
        let error = query.await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    });
}

/// The last test of this row by name, because it restarts the server; `.ci/interop` runs the tests one by one.
#[test]
fn z_a_restart_of_the_server_is_an_error_and_a_new_connection_works() {
    let Some(addr) = server("POSTGRES") else {
        return;
    };
    let Some(restart) = server("POSTGRES_RESTART") else {
        return;
    };
    glassfrog::block_on(async {
        let (client, mut notifications) = connect(&addr).await.unwrap();
        let waiting = glassfrog::spawn(async move {
            let error = client
                .batch_execute("SELECT pg_sleep(3600)")
                .await
                .unwrap_err();
            // The server says goodbye, or the connection breaks.
            assert!(
                error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN),
                "{error:?}"
            );
            let later = client.query("SELECT 1", &[]).await.unwrap_err();
            assert!(later.is_closed(), "{later:?}");
        });
        let restarted = glassfrog::task::spawn_blocking(move || {
            Command::new("bash")
                .args(["-c", &restart])
                .status()
                .unwrap()
        });
        waiting.await.unwrap();
        // The task of the connection has ended.
        assert!(notifications.next().await.is_none());
        assert!(restarted.await.unwrap().success());
        let (client, _) = connect(&addr).await.unwrap();
        client.query_one("SELECT 1", &[]).await.unwrap();
    });
}
