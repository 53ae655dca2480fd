//! The clients of the demo, which `chat` runs without arguments.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use glassfrog::io::BufReader;
use glassfrog::net::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::task::try_scope;
use glassfrog::time::{interval, timeout};

/// The number of clients that talk.
const TALKERS: usize = 8;

/// The time between two lines of a client: longer than `BREATH`, so that no lines pile up.
const RHYTHM: Duration = Duration::from_millis(25);

/// The number of characters in a line: many, so that the queue of the slow client soon fills.
const LENGTH: usize = 1000;

/// The longest line that a client reads from the server.
const MAX_LINE: u64 = 2000;

/// The time limit of the demo, so that a mistake in the server cannot make it hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Talks until the server removes the slow client, and checks that the others have missed nothing.
pub(crate) async fn run() -> io::Result<()> {
    timeout(TIMEOUT, talk_among_us()).await?
}

/// Runs the demo without a time limit.
async fn talk_among_us() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    glassfrog::spawn(super::serve(listener));

    // All clients join before the first one talks, so that each of them hears everything.
    let mut slow = Client::join(address, "slow").await?;
    let mut talkers = Vec::new();
    for number in 0..TALKERS {
        talkers.push(Client::join(address, &format!("talker-{number}")).await?);
    }

    // The child futures borrow their clients, and the first error cancels them all.
    let slow_is_gone = Cell::new(false);
    let heard: Vec<usize> = try_scope(async |scope| {
        let talks = talkers.iter_mut().map(|it| it.talk(&slow_is_gone));
        let talks: Vec<_> = talks.map(|talk| scope.spawn(talk)).collect();
        let mut heard = Vec::new();
        for talk in talks {
            heard.push(talk.await);
        }
        io::Result::Ok(heard)
    })
    .await?;
    println!("lines received by each talker, without a gap: {heard:?}");

    // The slow client reads what the server had sent, until the connection is closed or reset.
    let mut before = 0;
    while let Ok(Some(_)) = slow.hear().await {
        before += 1;
    }
    println!("lines sent to the slow client before its removal: {before}");
    Ok(())
}

/// A client of the chat.
struct Client {
    /// The lines from the server.
    reader: BufReader<OwnedReadHalf>,
    /// The lines to the server.
    writer: OwnedWriteHalf,
}

impl Client {
    /// Joins the chat, and waits for the greeting.
    async fn join(address: SocketAddr, name: &str) -> io::Result<Client> {
        let (reader, mut writer) = TcpStream::connect(address).await?.into_split();
        writer.write_all(format!("{name}\n").as_bytes()).await?;
        let reader = BufReader::new(reader);
        let mut client = Client { reader, writer };
        let welcome = format!("* {name} has joined");
        while let Some(line) = client.hear().await? {
            if line.starts_with(&welcome) {
                return Ok(client);
            }
        }
        Err(io::Error::other(format!("the server did not admit {name}")))
    }

    /// Reads a line, or returns `None` at the end.
    async fn hear(&mut self) -> io::Result<Option<String>> {
        hear(&mut self.reader).await
    }

    /// Talks until the slow client is removed, and listens until all others have said goodbye. Returns
    /// the number of lines received.
    async fn talk(&mut self, slow_is_gone: &Cell<bool>) -> io::Result<usize> {
        let Client { reader, writer } = self;
        let speak = async {
            let words = "bla ".repeat(LENGTH / 4);
            let mut rhythm = interval(RHYTHM);
            let mut number = 0;
            while !slow_is_gone.get() {
                rhythm.tick().await;
                let line = format!("{number} {words}\n");
                writer.write_all(line.as_bytes()).await?;
                number += 1;
            }
            writer.write_all(b"goodbye\n").await
        };
        let listen = async {
            let mut next_of = BTreeMap::new();
            let mut goodbyes = 0;
            while goodbyes < TALKERS - 1 {
                let line = hear(reader).await?;
                let line = line.ok_or_else(|| io::Error::other("the server removed a talker"))?;
                match line.split_once(": ") {
                    Some((_, "goodbye")) => goodbyes += 1,
                    Some((name, words)) => {
                        let number: Option<usize> =
                            words.split(' ').next().and_then(|it| it.parse().ok());
                        let next = next_of.entry(name.to_string()).or_default();
                        if number != Some(*next) {
                            let gap = format!("{name} said {number:?} instead of {next}");
                            return Err(io::Error::other(gap));
                        }
                        *next += 1;
                    }
                    None => {
                        if line == "* slow was removed for being too slow" {
                            slow_is_gone.set(true);
                        }
                    }
                }
            }
            Ok(next_of.values().sum())
        };
        try_scope(async |scope| {
            let speaking = scope.spawn(speak);
            let heard = listen.await?;
            speaking.await;
            Ok(heard)
        })
        .await
    }
}

/// Reads a line and returns it without its end, or `None` at the end.
async fn hear(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut line = String::new();
    reader.take(MAX_LINE).read_line(&mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_string()))
}
