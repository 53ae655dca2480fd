//! A message parser that takes the bytes of one read for one message.

use super::{MS, Version, assert_is_found_and_mended, random_ms, simulation};
use futures::io::BufReader;
use futures::{AsyncBufReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Failure, Report};
use glassfrog::spawn;
use glassfrog::time::sleep;
use std::collections::BTreeMap;
use std::io;

/// Executes a command: `set NAME VALUE` or `get NAME`. Returns the response.
fn execute(values: &mut BTreeMap<String, String>, command: &str) -> io::Result<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["set", name, value] => {
            values.insert(String::from(name), String::from(value));
            Ok(String::from("ok\n"))
        }
        ["get", name] => {
            let value = values.get(name).map_or("none", String::as_str);
            Ok(format!("{value}\n"))
        }
        _ => Err(io::Error::other(format!("no such command: {command:?}"))),
    }
}

/// Serves one client.
async fn serve_client(stream: TcpStream, version: Version) -> io::Result<()> {
    let mut values = BTreeMap::new();
    match version {
        Version::Buggy => {
            let mut buf = [0; 1024];
            loop {
                let count = stream.read(&mut buf).await?;
                if count == 0 {
                    return Ok(());
                }
                let command = String::from_utf8_lossy(&buf[..count]);
                let response = execute(&mut values, &command)?;
                (&stream).write_all(response.as_bytes()).await?;
            }
        }
        Version::Mended => {
            let mut lines = BufReader::new(&stream);
            let mut command = String::new();
            while lines.read_line(&mut command).await? > 0 {
                let response = execute(&mut values, &command)?;
                (&stream).write_all(response.as_bytes()).await?;
                command.clear();
            }
            Ok(())
        }
    }
}

/// Serves all clients.
async fn server(version: Version) -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:6379").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        drop(spawn(async move {
            let served = serve_client(stream, version).await;
            served.expect("a client sends only commands that exist");
        }));
    }
}

/// Sets values and reads them again.
async fn client() -> sim::Result {
    let stream = TcpStream::connect("server:6379").await?;
    let mut lines = BufReader::new(&stream);
    let mut response = String::new();
    for number in 0..10 {
        for command in [format!("set x{number} {number}"), format!("get x{number}")] {
            (&stream)
                .write_all(format!("{command}\n").as_bytes())
                .await?;
            response.clear();
            lines.read_line(&mut response).await?;
        }
        if response.trim_end() != number.to_string() {
            return Err(format!("x{number} is {response:?}").into());
        }
        sleep(random_ms(50)).await;
    }
    Ok(())
}

/// Runs the program without any fault.
fn run(seed: u64, version: Version) -> Result<Report, Failure> {
    let mut sim = simulation(seed);
    sim.host("server", move || server(version));
    sim.client("client", async {
        sleep(MS).await;
        client().await
    });
    sim.run()
}

#[test]
fn a_parser_that_takes_one_read_for_one_message_fails_without_any_fault() {
    assert_is_found_and_mended(run);
}
