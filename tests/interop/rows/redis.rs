//! `redis`: a `MultiplexedConnection` over a stream of glassfrog, with tokio's traits by `tokio-util`.
//!
//! The crate starts no thread. Its own timeouts need tokio: turn them off, and use `glassfrog::time::timeout`.

use glassfrog::net::TcpStream;
use glassfrog::time::timeout;
use glassfrog_interop::{assert_threads, server};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisResult, cmd, pipe};
use std::time::Duration;
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// Connects to a server, and spawns the task that drives the connection.
async fn connect(addr: &str) -> RedisResult<MultiplexedConnection> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let info = RedisConnectionInfo::default();
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream.compat(), config).await?;
    glassfrog::spawn(driver);
    Ok(connection)
}

#[test]
fn a_value_is_set_and_read() {
    let Some(addr) = server("REDIS") else { return };
    glassfrog::block_on(async {
        let mut redis = connect(&addr).await.unwrap();
        let () = cmd("SET")
            .arg("a")
            .arg(1)
            .query_async(&mut redis)
            .await
            .unwrap();
        let (next, text): (i64, String) = pipe()
            .atomic()
            .incr("a", 41)
            .get("a")
            .query_async(&mut redis)
            .await
            .unwrap();
        assert_eq!((next, text.as_str()), (42, "42"));
        assert_threads(&[]);
    });
}

#[test]
fn a_thousand_tasks_share_a_connection() {
    let Some(addr) = server("REDIS") else { return };
    glassfrog::block_on(async {
        let redis = connect(&addr).await.unwrap();
        let tasks: Vec<_> = (0..1000)
            .map(|number| {
                let mut redis = redis.clone();
                glassfrog::spawn(async move {
                    let echo = cmd("ECHO").arg(number).query_async(&mut redis).await;
                    assert_eq!(echo, Ok(number));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_timeout_abandons_a_command_and_the_connection_stays_usable() {
    let Some(addr) = server("REDIS") else { return };
    glassfrog::block_on(async {
        let mut redis = connect(&addr).await.unwrap();
        let mut wait = cmd("BLPOP");
        wait.arg("nothing").arg(0.2);
        let wait = wait.query_async::<Option<(String, String)>>(&mut redis);
        assert!(timeout(Duration::from_millis(10), wait).await.is_err());
        let pong: String = cmd("PING").query_async(&mut redis).await.unwrap();
        assert_eq!(pong, "PONG");
    });
}

#[test]
fn an_error_of_the_server_is_an_error() {
    let Some(addr) = server("REDIS") else { return };
    glassfrog::block_on(async {
        let mut redis = connect(&addr).await.unwrap();
        let wrong: RedisResult<()> = cmd("NONSENSE").query_async(&mut redis).await;
        assert!(wrong.unwrap_err().to_string().contains("NONSENSE"));
    });
}
