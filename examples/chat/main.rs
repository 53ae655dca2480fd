//! A chat: whatever one says, all others hear, and nobody waits for somebody slow.
//!
//! ```text
//! cargo run --release --example chat
//! cargo run --release --example chat -- --listen 127.0.0.1:7777
//! ```
//!
//! Without arguments it talks to itself: some clients talk, one has stopped listening, and it checks
//! that the one is dropped and the others have heard every word. With `--listen` it is a server; try
//! `nc 127.0.0.1 7777` in several terminals. It speaks lines of text, the first of which is the name.
//!
//! Between the clients stands `Room`: for each member a bounded queue of lines, which the member's own
//! task sends. Who says something puts it into all queues and never waits. If a queue is full, its
//! member is removed. (The other way would be to leave lines out, which nobody would notice: a chat
//! with holes looks like one without. Who is thrown out knows, and can come back.)
//!
//! That nobody is removed who is not slow takes a bound on how much the others say: see `QUEUE`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::env;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use glassfrog::io::BufReader;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::task::JoinSet;
use glassfrog::time::{sleep, timeout};
use socket2::{SockRef, TcpKeepalive};

use crate::room::{Member, Room};

mod demo;
mod room;

/// How many clients are served at a time. Others wait in the queue of the listening socket.
const MAX_CLIENTS: usize = 50;

/// How long nothing more is read from a client that has said something. Otherwise one who talks
/// faster than the others' networks carry would have them all removed.
const BREATH: Duration = Duration::from_millis(20);

/// How many bytes of a line are read at once; the rest of a longer one counts as the next line.
const MAX_LINE: u64 = 1024;

/// How long a client may take to say its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(60);

/// After how long a silence the system asks whether a client is still there. One may listen for
/// hours, but one whose machine is gone would keep its place for ever.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How much the system keeps for a client that does not read, apart from the queue. Left to itself
/// it would be megabytes, and as much later is noticed that nobody reads.
const SEND_BUFFER: usize = 16 * 1024;

/// How long to wait after a failed `accept`, so that an error that lasts does not become a busy
/// loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let outcome = match &arguments[..] {
        [] => glassfrog::block_on(demo::run()),
        [option, address] if option == "--listen" => glassfrog::block_on(listen(address)),
        _ => Err(io::Error::other("give --listen and an address, or nothing")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens on an address, and serves until the process is killed.
async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

/// Lets clients into a room for ever, each with a task of its own.
async fn serve(listener: TcpListener) {
    let room = Rc::new(RefCell::new(Room::default()));
    let mut clients = JoinSet::new();
    loop {
        // Those who are gone leave the set, and if it is full, another one has to go first.
        while clients.try_join_next().is_some() {}
        if clients.len() == MAX_CLIENTS {
            clients.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, client)) => {
                let room = Rc::clone(&room);
                clients.spawn(async move {
                    match attend(stream, room).await {
                        Ok(()) => println!("{client}: gone"),
                        Err(error) => eprintln!("{client}: {error}"),
                    }
                });
            }
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one client: asks for its name, and then sends and reads lines at the same time.
async fn attend(stream: TcpStream, room: Rc<RefCell<Room>>) -> io::Result<()> {
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    stream.set_nodelay(true)?;

    let mut lines = BufReader::new(&stream);
    let introduced = timeout(NAME_TIMEOUT, introduce(&stream, &mut lines, &room)).await;
    let too_late = |_| io::Error::new(io::ErrorKind::TimedOut, "has not said its name");
    let mut member = introduced.map_err(too_late)??;
    let id = member.id;
    let removal = async {
        let _removed: Result<Infallible, _> = (&mut member.removal).await;
        Err(io::Error::other("removed, too slow"))
    };
    let send = async {
        while let Some(line) = member.lines.next().await {
            (&stream).write_all(line.as_bytes()).await?;
        }
        Ok(())
    };
    let read = async {
        while let Some(line) = read_line(&mut lines).await? {
            room.borrow_mut().say(id, &line);
            sleep(BREATH).await;
        }
        Ok(())
    };
    // The first that ends ends them all: even a `send` in the middle of a line.
    removal.or(send).or(read).await
}

/// Asks a client for its name until it gives one that can be used.
async fn introduce(
    mut stream: &TcpStream,
    lines: &mut BufReader<&TcpStream>,
    room: &Rc<RefCell<Room>>,
) -> io::Result<Member> {
    loop {
        stream.write_all(b"* your name?\n").await?;
        let Some(name) = read_line(lines).await? else {
            let reason = "left without a name";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        };
        match Room::join(room, &name) {
            Ok(member) => return Ok(member),
            Err(reason) => stream.write_all(reason.as_bytes()).await?,
        }
        sleep(BREATH).await;
    }
}

/// Reads a line, without its end, and without characters that could do something to the terminals of
/// the others. `None` if the client has closed its side.
async fn read_line(lines: &mut BufReader<&TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    lines.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    let line = String::from_utf8_lossy(&line);
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    Ok(Some(line.trim().to_string()))
}
