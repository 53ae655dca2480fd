//! The first program of the README, unchanged, on simulated hosts.

use super::{MS, SEEDS, random_ms, simulation};
use crate::support::few_or_many;
use futures::io::BufReader;
use futures::{AsyncBufReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Link};
use glassfrog::time::sleep;
use std::io;

// From here on, this is the text of the README.
async fn fetch_data(addr: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut text = Vec::with_capacity(4096);
    stream.read_to_end(&mut text).await?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// The bytes of the page. They do not fit into one segment.
const LENGTH: usize = 10_000;

/// Serves a page to each client.
async fn server() -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        drop(glassfrog::spawn(async move {
            let mut lines = BufReader::new(&stream);
            let mut line = String::new();
            while lines.read_line(&mut line).await? > 2 {
                line.clear();
            }
            let page = format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(LENGTH));
            (&stream).write_all(page.as_bytes()).await
        }));
    }
}

#[test]
fn the_fetch_of_the_readme_runs_unchanged() {
    for seed in 0..few_or_many(100, SEEDS as usize) as u64 {
        let mut sim = simulation(seed);
        sim.link(Link::latency(MS..=10 * MS).loss(0.01));
        sim.host("example.com", server);
        sim.client("client", async {
            // Five fetches at once, on this thread.
            let fetches: Vec<_> = (0..5)
                .map(|_| glassfrog::spawn(fetch_data("example.com:80")))
                .collect();
            for fetch in fetches {
                assert_eq!(
                    fetch.await??.len(),
                    "HTTP/1.0 200 OK\r\n\r\n".len() + LENGTH
                );
            }
            Ok(())
        });
        sim.client("chaos", async {
            sleep(random_ms(50)).await;
            sim::partition("client", "example.com");
            sleep(random_ms(1000)).await;
            sim::repair("client", "example.com");
            Ok(())
        });
        sim.run().unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn the_fetch_is_that_of_the_readme() {
    let function = |text: &'static str| {
        let begin = text.find("async fn fetch_data").unwrap();
        let end = text[begin..].find("\n}\n").unwrap();
        &text[begin..begin + end]
    };
    let readme = function(include_str!("../../../README.md"));
    assert_eq!(function(include_str!("fetch.rs")), readme);
}
