//! A chat server that sends each line to all other clients and never waits for a slow one.
//!
//! ```text
//! cargo run --release --example chat
//! cargo run --release --example chat -- --listen 127.0.0.1:7777
//! ```
//!
//! Without arguments, the program connects to itself: several clients talk and one has stopped reading.
//! The program checks that the server removes that client and that the others receive every line. With
//! `--listen`, it is a server; try `nc 127.0.0.1 7777` in several terminals. The protocol is lines of
//! text, the first of which is the name of the client.
//!
//! `Room` connects the clients. It has a bounded queue of lines for each member, which the task of the
//! member sends. The task of a client puts each line that the client says into all queues, and never waits.
//! If a queue is full, the server removes its member. (Dropping lines instead would go unnoticed. A member
//! that is removed notices, and can come back.)
//!
//! The rate at which clients may talk is limited, so that the server removes only slow members: see
//! `QUEUE`.

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

/// The number of clients served at a time; others wait in the backlog of the listening socket.
const MAX_CLIENTS: usize = 50;

/// The pause before the server reads the next line of a client. Without it, a client that talks faster
/// than the networks of the others would cause the removal of all others.
const BREATH: Duration = Duration::from_millis(20);

/// The longest line in bytes; the rest of a longer one counts as the next line.
const MAX_LINE: u64 = 1024;

/// The time limit for a client to send its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(60);

/// The time of silence after which the system checks whether a client is still there. A client may
/// listen for hours, but one whose machine is gone must not keep its place forever.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The size of the send buffer in the kernel. The default may be megabytes, and it would take the server that
/// much longer to notice a client that does not read.
const SEND_BUFFER: usize = 16 * 1024;

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let outcome = match &arguments[..] {
        [] => glassfrog::block_on(demo::run()),
        [option, address] if option == "--listen" => glassfrog::block_on(listen(address)),
        _ => Err(io::Error::other("give --listen ADDRESS, or no argument")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens on an address and serves until the process is killed.
async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

/// Accepts clients into a room forever, each with a task of its own.
async fn serve(listener: TcpListener) {
    let room = Rc::new(RefCell::new(Room::default()));
    let mut clients = JoinSet::new();
    loop {
        // Remove the tasks that have finished. If the set is full, wait for one to finish.
        while clients.try_join_next().is_some() {}
        if clients.len() == MAX_CLIENTS {
            clients.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, client)) => {
                let room = Rc::clone(&room);
                clients.spawn(async move {
                    match attend(stream, room).await {
                        Ok(()) => println!("{client}: disconnected"),
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

/// Serves a client: asks for its name, and then sends and reads lines at the same time.
async fn attend(stream: TcpStream, room: Rc<RefCell<Room>>) -> io::Result<()> {
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    stream.set_nodelay(true)?;

    let mut lines = BufReader::new(&stream);
    let introduced = timeout(NAME_TIMEOUT, introduce(&stream, &mut lines, &room)).await;
    let too_late = |_| io::Error::new(io::ErrorKind::TimedOut, "the client did not send its name");
    let mut member = introduced.map_err(too_late)??;
    let id = member.id;
    let removal = async {
        let _removed: Result<Infallible, _> = (&mut member.removal).await;
        Err(io::Error::other("removed for being too slow"))
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
    // The first future to end cancels the others, even a `send` in the middle of a line.
    removal.or(send).or(read).await
}

/// Asks a client for its name until the name is valid and free.
async fn introduce(
    mut stream: &TcpStream,
    lines: &mut BufReader<&TcpStream>,
    room: &Rc<RefCell<Room>>,
) -> io::Result<Member> {
    loop {
        stream.write_all(b"* your name?\n").await?;
        let Some(name) = read_line(lines).await? else {
            let reason = "the client left without a name";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        };
        match Room::join(room, &name) {
            Ok(member) => return Ok(member),
            Err(reason) => stream.write_all(reason.as_bytes()).await?,
        }
        sleep(BREATH).await;
    }
}

/// Reads a line and returns it without its end and without control characters, which could affect the
/// terminals of the others. Returns `None` if the client has closed its side.
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
