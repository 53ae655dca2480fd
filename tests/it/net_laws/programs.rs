//! Servers and their clients, each a program of its own: between hosts, the tasks of a server run on the far one.

use super::{Place, pattern, read, read_all, write};
use futures::future::{join, join_all, lazy};
use futures::{AsyncWriteExt, StreamExt};
use glassfrog::io::copy_bidirectional;
use glassfrog::net::{TcpListener, TcpStream, UdpSocket};
use std::io;
use std::net::{Shutdown, SocketAddr};

laws! {
    an_echo_server_answers_many_clients,
    a_response_ends_with_its_connection,
    an_aborted_server_refuses_connections,
    a_proxy_passes_both_directions_and_their_ends,
    a_chat_over_udp_loses_nothing_while_each_waits_for_the_other,
}

/// Echoes what a client sends until the client ends its stream.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    futures::io::copy(reader, &mut writer).await?;
    writer.close().await
}

/// Serves each client in a task of its own.
async fn serve<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        drop(glassfrog::spawn(serve(stream.unwrap())));
    }
}

/// Starts a server at the far end. Returns its address.
async fn start<F>(place: &Place, client: impl Fn(TcpStream) -> F + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let (listener, addr) = place.listener().await;
    let starting = lazy(|_| drop(glassfrog::spawn(serve(listener, client))));
    place.there(starting).await;
    addr
}

async fn an_echo_server_answers_many_clients(place: Place) {
    const CLIENTS: u32 = 20;
    let addr = start(&place, echo).await;
    let clients = (0..CLIENTS).map(async |number| {
        let stream = TcpStream::connect(addr).await.unwrap();
        for round in 0..5 {
            let message = pattern(1 + (number + round) as usize * 100, number);
            write(&stream, &message).await;
            assert!(read(&stream, message.len()).await == message);
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream, 8).await.unwrap(), b"");
    });
    join_all(clients).await;
}

async fn a_response_ends_with_its_connection(place: Place) {
    const BYTES: usize = 100_000;
    let respond = async |stream| {
        let request = read_all(&stream, 64).await?;
        write(&stream, &pattern(BYTES, request.len() as u32)).await;
        Ok(())
    };
    let addr = start(&place, respond).await;
    for length in [1, 10, 1000] {
        let stream = TcpStream::connect(addr).await.unwrap();
        write(&stream, &vec![b'x'; length]).await;
        stream.shutdown(Shutdown::Write).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        assert!(response == pattern(BYTES, length as u32));
    }
}

async fn an_aborted_server_refuses_connections(place: Place) {
    // Another process may get the port in between.
    for _ in 0..10 {
        let (listener, addr) = place.listener().await;
        let starting = lazy(|_| glassfrog::spawn(serve(listener, echo)));
        let server = place.there(starting).await;
        let stream = TcpStream::connect(addr).await.unwrap();
        write(&stream, b"hello").await;
        assert_eq!(read(&stream, 5).await, b"hello");
        let stopping = async {
            server.abort();
            assert!(server.await.is_err());
        };
        place.there(stopping).await;
        // The tasks of the clients go on.
        write(&stream, b"again").await;
        assert_eq!(read(&stream, 5).await, b"again");
        if let Err(error) = TcpStream::connect(addr).await {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            return;
        }
    }
    panic!("connections to aborted servers succeed");
}

async fn a_proxy_passes_both_directions_and_their_ends(place: Place) {
    let backend = TcpListener::bind((place.near, 0)).await.unwrap();
    let behind = backend.local_addr().unwrap();
    let addr = start(&place, move |mut client| async move {
        let mut server = TcpStream::connect(behind).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    });
    let stream = TcpStream::connect(addr.await).await.unwrap();
    let (question, answer) = (pattern(50_000, 21), pattern(70_000, 22));
    let serving = async {
        let (server, _) = backend.accept().await.unwrap();
        let heard = read_all(&server, 1000).await.unwrap();
        write(&server, &answer).await;
        heard
    };
    let asking = async {
        write(&stream, &question).await;
        stream.shutdown(Shutdown::Write).unwrap();
        read_all(&stream, 1000).await.unwrap()
    };
    let (heard, answered) = join(serving, asking).await;
    assert!(heard == question && answered == answer);
}

async fn a_chat_over_udp_loses_nothing_while_each_waits_for_the_other(place: Place) {
    let server = place.far_udp().await;
    let addr = server.local_addr().unwrap();
    let serve = async move |server: UdpSocket| {
        let mut buf = [0; 64];
        loop {
            let (count, from) = server.recv_from(&mut buf).await.unwrap();
            server.send_to(&buf[..count], from).await.unwrap();
        }
    };
    let serve = serve(server);
    let starting = lazy(|_| drop(glassfrog::spawn(serve)));
    place.there(starting).await;
    let chats = (0..5_u8).map(async |number| {
        let socket = place.near_udp().await;
        socket.connect(addr).await.unwrap();
        for round in 0..20 {
            socket.send(&[number, round]).await.unwrap();
            let mut buf = [0; 64];
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 2);
            assert_eq!(buf[..2], [number, round]);
        }
    });
    join_all(chats).await;
}
