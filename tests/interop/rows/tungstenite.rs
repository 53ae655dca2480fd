//! `async-tungstenite`: WebSockets over the streams of glassfrog. Nothing to write: the streams have the traits of
//! `futures-io`.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::{accept_async, client_async};
use futures::StreamExt;
use futures::channel::mpsc;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog_interop::{assert_threads, program};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::Stdio;
use std::rc::Rc;

/// The queues to the members of the chat.
type Members = Rc<RefCell<Vec<mpsc::UnboundedSender<Message>>>>;

/// Serves a chat: each text of a member goes to all members.
async fn chat(listener: TcpListener) {
    let members = Members::default();
    while let Ok((tcp, _peer)) = listener.accept().await {
        glassfrog::spawn(member(tcp, Rc::clone(&members)));
    }
}

/// Serves one member, until it leaves.
async fn member(tcp: TcpStream, members: Members) {
    let Ok(socket) = accept_async(tcp).await else {
        return;
    };
    let (mut sink, mut stream) = socket.split();
    let (queue, mut messages) = mpsc::unbounded();
    queue.unbounded_send(Message::text("welcome")).unwrap();
    members.borrow_mut().push(queue);
    let writer = glassfrog::spawn(async move {
        while let Some(message) = messages.next().await {
            if sink.send(message).await.is_err() {
                break;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() {
            let text =
                |queue: &mpsc::UnboundedSender<_>| queue.unbounded_send(message.clone()).is_ok();
            members.borrow_mut().retain(text);
        }
    }
    writer.abort();
}

/// Starts the chat, and returns its address.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    glassfrog::spawn(chat(listener));
    addr
}

#[test]
fn every_member_hears_every_text() {
    glassfrog::block_on(async {
        let addr = start().await;
        let mut members = Vec::new();
        for _ in 0..20 {
            let tcp = TcpStream::connect(addr).await.unwrap();
            let (mut socket, _) = client_async("ws://localhost/", tcp).await.unwrap();
            let welcome = socket.next().await.unwrap().unwrap();
            assert_eq!(welcome.into_text().unwrap(), "welcome");
            members.push(socket);
        }
        let long = "x".repeat(100_000);
        members[0].send(Message::text(&*long)).await.unwrap();
        for member in &mut members {
            let text = member.next().await.unwrap().unwrap().into_text().unwrap();
            assert!(text == long.as_str());
            member.close(None).await.unwrap();
        }
        assert_threads(&[]);
    });
}

/// The stranger: a client in Python, without libraries.
const PYTHON: &str = include_str!("tungstenite.py");

#[test]
fn a_client_in_python_takes_part() {
    let Some(mut python) = program("python3") else {
        return;
    };
    glassfrog::block_on(async {
        let port = start().await.port();
        python.args(["-c", PYTHON, &port.to_string(), "croak"]);
        let child = python.stdout(Stdio::piped()).spawn().unwrap();
        let output = glassfrog::task::spawn_blocking(|| child.wait_with_output()).await;
        let output = output.unwrap().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"welcome\ncroak\n");
    });
}
