//! Sockets that are adopted, converted back, or shared with other descriptors.

use crate::support::{accepted, block_on, close_when_delivered, pairs, plain, settle};
use futures::{AsyncReadExt, FutureExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io::{self, Read, Write};
use std::net::{self, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

/// Reads to the end of the stream.
async fn read_all(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

/// Returns a second descriptor of the same connection.
fn duplicate(stream: &impl AsFd) -> net::TcpStream {
    stream.as_fd().try_clone_to_owned().unwrap().into()
}

#[test]
fn an_adopted_stream_reads_data_that_arrived_before() {
    let adoptions: [fn(net::TcpStream) -> TcpStream; 2] = [
        |stream| stream.try_into().unwrap(),
        |stream| OwnedFd::from(stream).into(),
    ];
    block_on(async {
        for adopt in adoptions {
            let (stream, mut peer) = plain();
            peer.write_all(b"hello").unwrap();
            let stream = adopt(stream);
            let mut buf = [0; 8];
            assert_eq!(stream.read(&mut buf).await.unwrap(), 5);
            // The read does not block here.
            assert!(stream.read(&mut buf).now_or_never().is_none());

            let (stream, mut peer) = plain();
            peer.write_all(b"hello").unwrap();
            close_when_delivered(peer).await;
            let stream = adopt(stream);
            assert_eq!(read_all(&stream).await, b"hello");
            assert_eq!(stream.write(b"x").await.unwrap(), 1);
        }
    });
}

#[test]
fn an_adopted_listener_accepts_connections_that_arrived_before() {
    let adoptions: [fn(net::TcpListener) -> TcpListener; 2] = [
        |listener| listener.try_into().unwrap(),
        |listener| OwnedFd::from(listener).into(),
    ];
    block_on(async {
        for adopt in adoptions {
            let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let before = net::TcpStream::connect(addr).unwrap();
            let listener = adopt(listener);
            let after = net::TcpStream::connect(addr).unwrap();
            for peer in [before, after] {
                let (_, peer_addr) = listener.accept().await.unwrap();
                assert_eq!(peer_addr, peer.local_addr().unwrap());
            }
            assert!(listener.accept().now_or_never().is_none());
        }
    });
}

#[test]
fn a_stream_converted_back_blocks_and_loses_no_data() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 2);
            let mut stream = net::TcpStream::try_from(stream).unwrap();
            assert!(!SockRef::from(&stream).nonblocking().unwrap());
            let mut rest = [0; 3];
            stream.read_exact(&mut rest).unwrap();
            assert_eq!(rest, *b"llo");
            let answering = thread::spawn(move || {
                peer.read_exact(&mut [0; 8]).unwrap();
                peer.write_all(b"answer").unwrap();
            });
            stream.write_all(b"question").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "answer");
            answering.join().unwrap();
        }
    });
}

#[test]
fn a_listener_converted_back_blocks_and_loses_no_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = net::TcpListener::try_from(listener).unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        assert_eq!(listener.accept().unwrap().1, peer.local_addr().unwrap());
    });
}

#[test]
fn a_stream_converted_back_can_be_adopted_again() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            for _ in 0..3 {
                peer.write_all(b"hello").unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
                stream = net::TcpStream::try_from(stream)
                    .unwrap()
                    .try_into()
                    .unwrap();
            }
            let stream = net::TcpStream::try_from(stream).unwrap();
            let elsewhere = thread::spawn(|| {
                block_on(async {
                    let stream = TcpStream::try_from(stream).unwrap();
                    stream.write(b"from another runtime").await.unwrap();
                });
            });
            elsewhere.join().unwrap();
            let mut heard = String::new();
            peer.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "from another runtime");
        }
    });
}

/// Adopts a descriptor in every way, and returns the errors.
async fn refusals(fd: impl Fn() -> OwnedFd) -> Vec<io::Error> {
    let stream = TcpStream::from(fd());
    let listener = TcpListener::from(fd());
    let mut buf = [0; 8];
    vec![
        TcpStream::try_from(net::TcpStream::from(fd())).unwrap_err(),
        TcpListener::try_from(net::TcpListener::from(fd())).unwrap_err(),
        stream.read(&mut buf).await.unwrap_err(),
        stream.write(b"x").await.unwrap_err(),
        stream.peek(&mut buf).await.unwrap_err(),
        stream.try_read(&mut buf).unwrap_err(),
        stream.readable().await.unwrap_err(),
        stream.writable().await.unwrap_err(),
        AsyncReadExt::read(&mut &stream, &mut buf)
            .await
            .unwrap_err(),
        listener.accept().await.unwrap_err(),
    ]
}

#[test]
fn a_descriptor_that_is_not_a_socket_is_rejected_with_advice() {
    use std::fs::File;

    let file = || OwnedFd::from(File::open("Cargo.toml").unwrap());
    let directory = || OwnedFd::from(File::open("..").unwrap());
    let device = || OwnedFd::from(File::open("/dev/null").unwrap());
    let pipe = || OwnedFd::from(io::pipe().unwrap().0);
    let kinds: [(&str, &dyn Fn() -> OwnedFd, &str); 4] = [
        ("a regular file", &file, "it cannot be polled"),
        ("a directory", &directory, "it cannot be polled"),
        ("a character device", &device, "it is not a socket"),
        ("a pipe", &pipe, "it is not a socket"),
    ];
    block_on(async {
        for (kind, fd, reason) in kinds {
            for error in refusals(fd).await {
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                let text = error.to_string();
                let begin = format!("{kind} could not be registered with the reactor");
                assert!(text.starts_with(&begin), "{text}");
                assert!(text.contains(reason), "{text}");
                assert!(text.contains("`spawn_blocking`"), "{text}");
                assert!(!text.contains("log"), "{text}");
            }
        }
    });
}

#[test]
fn a_dump_does_not_call_a_unix_socket_tcp() {
    use std::os::unix::net::{UnixListener, UnixStream};

    /// Returns how a dump describes the wait of an operation on the descriptor.
    async fn shown<F: Future>(operation: F) -> String {
        let mut operation = Box::pin(operation);
        assert!((&mut operation).now_or_never().is_none());
        let dump = task::dump().to_string();
        let row = dump.lines().find(|row| row.starts_with("main"));
        String::from(row.unwrap_or_else(|| panic!("{dump}")))
    }

    let path = std::env::temp_dir().join(format!("glassfrog-{}.socket", std::process::id()));
    block_on(async {
        let (unix, _peer) = UnixStream::pair().unwrap();
        let unix = TcpStream::from(OwnedFd::from(unix));
        let row = shown(unix.read(&mut [0; 8])).await;
        assert!(row.contains("read a Unix socket (not TCP) for"), "{row}");

        let _removed_before = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let listener = TcpListener::from(OwnedFd::from(listener));
        let row = shown(listener.accept()).await;
        assert!(row.contains("accept a Unix socket (not TCP) for"), "{row}");

        let udp = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(udp.local_addr().unwrap()).unwrap();
        let addr = udp.local_addr().unwrap();
        let udp = TcpStream::from(OwnedFd::from(udp));
        let row = shown(udp.read(&mut [0; 8])).await;
        let what = format!("read a socket {addr} (not TCP) for");
        assert!(row.contains(&what), "{row}");

        // TCP sockets are called TCP, adopted ones too.
        let (stream, _peer) = plain();
        let addr = stream.local_addr().unwrap();
        let stream = TcpStream::from(OwnedFd::from(stream));
        let row = shown(stream.read(&mut [0; 8])).await;
        assert!(row.contains(&format!("read tcp {addr} → ")), "{row}");
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = TcpListener::from(OwnedFd::from(listener));
        let row = shown(listener.accept()).await;
        assert!(row.contains(&format!("accept tcp {addr} for")), "{row}");
    });
}

#[test]
fn a_short_read_of_an_adopted_descriptor_does_not_clear_readiness() {
    block_on(async {
        // A datagram socket, so that each read returns one message, however large the buffer is.
        let (ours, peer) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        let adopted = TcpStream::from(OwnedFd::from(ours));
        for message in [&b"one"[..], b"more", b"last"] {
            peer.send(message).unwrap();
        }
        let mut buf = [0; 64];
        for message in [&b"one"[..], b"more", b"last"] {
            let count = adopted.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..count], message);
        }
        assert!(adopted.read(&mut buf).now_or_never().is_none());
    });
}

#[test]
fn an_adopted_duplicate_and_its_original_work_independently() {
    block_on(async {
        for (original, mut peer) in pairs().await {
            let adopted = TcpStream::try_from(duplicate(&original)).unwrap();
            for stream in [&original, &adopted, &original] {
                peer.write_all(b"hello").unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
            }
            let mut buf = [0; 8];
            let mut reading = Box::pin(original.read(&mut buf));
            assert!((&mut reading).now_or_never().is_none());
            drop(adopted);
            peer.write_all(b"hello").unwrap();
            assert_eq!(reading.await.unwrap(), 5);

            peer.write_all(b"hello").unwrap();
            let adopted = TcpStream::try_from(duplicate(&original)).unwrap();
            drop(original);
            assert_eq!(adopted.read(&mut [0; 8]).await.unwrap(), 5);
            drop(peer);
            assert_eq!(adopted.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_task_does_not_hang_when_another_descriptor_takes_its_data() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut other = duplicate(&stream);
            peer.write_all(b"hello").unwrap();
            stream.readable().await.unwrap();
            other.read_exact(&mut [0; 5]).unwrap();
            let mut buf = [0; 8];
            let mut reading = Box::pin(stream.read(&mut buf));
            assert!((&mut reading).now_or_never().is_none());
            peer.write_all(b"again").unwrap();
            assert_eq!(reading.await.unwrap(), 5);
        }
    });
}

#[test]
fn a_stream_with_a_borrowed_descriptor_still_sees_data_and_the_end() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            assert_eq!(stream.as_fd().as_raw_fd(), stream.as_raw_fd());
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
            peer.write_all(b"hello").unwrap();
            close_when_delivered(peer).await;
            assert_eq!(read_all(&stream).await, b"hello");
        }
    });
}

#[test]
fn the_halves_expose_the_descriptor_of_their_stream() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let descriptor = stream.as_raw_fd();
            let (reader, writer) = stream.into_split();
            assert_eq!(reader.as_raw_fd(), descriptor);
            assert_eq!(reader.as_fd().as_raw_fd(), descriptor);
            assert_eq!(writer.as_raw_fd(), descriptor);
            assert_eq!(writer.as_fd().as_raw_fd(), descriptor);
            peer.write_all(b"hello").unwrap();
            assert_eq!(reader.as_ref().read(&mut [0; 8]).await.unwrap(), 5);
        }
    });
}

#[test]
fn an_end_seen_before_the_descriptor_was_borrowed_stays() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            peer.write_all(b"hello").unwrap();
            close_when_delivered(peer).await;
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
            let other = duplicate(&stream);
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            drop(other);
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
}

#[test]
fn events_of_a_duplicate_do_not_reach_the_next_socket() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut other = duplicate(&stream);
            drop(stream);
            let (next, mut next_peer) = accepted().await;
            peer.write_all(b"hello").unwrap();
            other.set_nonblocking(false).unwrap();
            other.read_exact(&mut [0; 5]).unwrap();
            settle().await;
            assert!(next.readable().now_or_never().is_none());
            next_peer.write_all(b"x").unwrap();
            next.readable().await.unwrap();
        }
    });
}

#[test]
fn keep_alive_is_set_on_a_live_stream() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let time = Duration::from_secs(77);
            let keepalive = TcpKeepalive::new().with_time(time);
            SockRef::from(&stream)
                .set_tcp_keepalive(&keepalive)
                .unwrap();
            assert!(SockRef::from(&stream).keepalive().unwrap());
            assert_eq!(SockRef::from(&stream).tcp_keepalive_time().unwrap(), time);
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
            let (reader, writer) = stream.into_split();
            assert!(SockRef::from(&reader).keepalive().unwrap());
            assert!(SockRef::from(&writer).keepalive().unwrap());
        }
    });
}

/// Returns a socket bound to an address.
fn bound(addr: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket
}

/// Returns port 0 on the loopback interface.
fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

#[test]
fn two_listeners_may_share_a_port() {
    const CONNECTIONS: usize = 30;
    block_on(async {
        let listen = |addr| {
            let socket = bound(addr);
            socket.listen(128).unwrap();
            TcpListener::try_from(net::TcpListener::from(socket)).unwrap()
        };
        let one = listen(anywhere());
        let addr = one.local_addr().unwrap();
        let two = listen(addr);
        assert_eq!(two.local_addr().unwrap(), addr);
        let _peers = [(); CONNECTIONS].map(|()| net::TcpStream::connect(addr).unwrap());
        for _ in 0..CONNECTIONS {
            // The kernel chooses which listener gets a connection.
            futures::select! {
                accepted = Box::pin(one.accept()).fuse() => accepted.unwrap(),
                accepted = Box::pin(two.accept()).fuse() => accepted.unwrap(),
            };
        }
    });
}

#[test]
fn a_socket_may_be_bound_before_it_is_connected() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = bound(anywhere());
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&listener.local_addr().unwrap().into());
        let stream = TcpStream::try_from(net::TcpStream::from(socket)).unwrap();
        stream.writable().await.unwrap();
        assert!(stream.take_error().unwrap().is_none());
        let (accepted, peer_addr) = listener.accept().await.unwrap();
        assert_eq!(peer_addr, addr);
        assert_eq!(stream.write(b"hello").await.unwrap(), 5);
        assert_eq!(accepted.read(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[test]
fn take_error_returns_the_error_of_an_adopted_connect() {
    block_on(async {
        // Bound, but not listening.
        let nobody = bound(anywhere());
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&nobody.local_addr().unwrap()) {
            // Some systems report the refusal at once.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            _in_progress => {}
        }
        let stream = TcpStream::try_from(net::TcpStream::from(socket)).unwrap();
        stream.writable().await.unwrap();
        let error = stream.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(stream.take_error().unwrap().is_none());
    });
}
