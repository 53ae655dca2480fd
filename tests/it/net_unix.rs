//! Unix sockets: streams, listeners and datagrams.

use crate::net_udp::assert_budget_is_kept;
use crate::support::{block_on, few_or_many, park_on, settle, watchdog};
use futures::channel::oneshot;
use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use glassfrog::Runtime;
use glassfrog::net::{
    OwnedReadHalf, OwnedWriteHalf, ReuniteError, UnixDatagram, UnixIncoming, UnixListener,
    UnixStream,
};
use glassfrog::task::{self, yield_now};
#[cfg(target_os = "linux")]
use socket2::{Domain, SockAddr, Socket, Type};
use std::cell::Cell;
use std::env;
use std::error::Error;
use std::fmt::Debug;
use std::fs;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process;
use std::task::{Context, Poll, Waker};
use std::thread;
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

const _: () = {
    const fn common<T: Send + Sync + Unpin + Debug>() {}
    const fn reads<T: futures::AsyncRead>() {}
    const fn writes<T: futures::AsyncWrite>() {}
    common::<UnixStream>();
    common::<UnixListener>();
    common::<UnixDatagram>();
    common::<UnixIncoming<'_>>();
    common::<OwnedReadHalf<UnixStream>>();
    common::<OwnedWriteHalf<UnixStream>>();
    common::<ReuniteError<UnixStream>>();
    reads::<UnixStream>();
    reads::<&UnixStream>();
    reads::<OwnedReadHalf<UnixStream>>();
    writes::<UnixStream>();
    writes::<&UnixStream>();
    writes::<OwnedWriteHalf<UnixStream>>();
};

/// How many operations a poll may finish.
const BUDGET: usize = 128;

/// A path that nothing else uses. What is there is removed in the end.
struct Place(PathBuf);

impl Place {
    /// A path for a test.
    fn new(test: &str) -> Place {
        let name = format!("glassfrog-{}-{test}", process::id());
        Place(env::temp_dir().join(name))
    }

    /// Asserts that an error names this path.
    fn assert_named_by(&self, error: &io::Error) {
        let path = self.0.to_str().unwrap();
        assert!(error.to_string().contains(path), "{error}");
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _nothing_there = fs::remove_file(&self.0);
    }
}

/// A connection of each origin, with the plain socket at the other end.
async fn pairs(test: &str) -> [(UnixStream, net::UnixStream); 4] {
    let place = Place::new(test);
    let listener = UnixListener::bind(&place).await.unwrap();
    let accepted_peer = net::UnixStream::connect(&place).unwrap();
    let accepted = listener.accept().await.unwrap().0;
    drop(listener);
    drop(place);

    let place = Place::new(test);
    let listener = net::UnixListener::bind(&place).unwrap();
    let connected = UnixStream::connect(&place).await.unwrap();
    let connected_peer = listener.accept().unwrap().0;

    let (adopted, adopted_peer) = net::UnixStream::pair().unwrap();
    let (ours, other) = UnixStream::pair().unwrap();
    [
        (accepted, accepted_peer),
        (connected, connected_peer),
        (adopted.try_into().unwrap(), adopted_peer),
        (ours, other.try_into().unwrap()),
    ]
}

#[test]
fn bytes_go_both_ways() {
    block_on(async {
        for (stream, mut peer) in pairs("both-ways").await {
            peer.write_all(b"hello").unwrap();
            let mut buf = [0; 16];
            assert_eq!(stream.read(&mut buf).await.unwrap(), 5);
            assert!(stream.read(&mut buf).now_or_never().is_none());
            assert_eq!(stream.write(b"hi").await.unwrap(), 2);
            peer.read_exact(&mut buf[..2]).unwrap();
            assert_eq!(&buf[..2], b"hi");
            // A large transfer, in which each side waits for the other.
            let bytes: Vec<u8> = (0..1 << 22_u32).map(|at| (at % 251) as u8).collect();
            let echo = thread::spawn(move || io::copy(&mut peer.try_clone().unwrap(), &mut peer));
            let (mut reader, mut writer) = stream.into_split();
            let sent = bytes.clone();
            let writing = glassfrog::spawn(async move { writer.write_all(&sent).await });
            let mut read = Vec::new();
            AsyncReadExt::read_to_end(&mut reader, &mut read)
                .await
                .unwrap();
            writing.await.unwrap().unwrap();
            assert!(read == bytes);
            echo.join().unwrap().unwrap();
        }
    });
}

#[test]
fn half_a_close_leaves_the_other_direction_open() {
    block_on(async {
        for (stream, mut peer) in pairs("half-close").await {
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
            peer.write_all(b"answer").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            let mut all = Vec::new();
            assert_eq!(stream.read_to_end(&mut all).await.unwrap(), 6);
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            let error = stream.write(b"x").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            // Again, and after the end.
            stream.shutdown(Shutdown::Write).unwrap();
            drop(peer);
            stream.shutdown(Shutdown::Both).unwrap();
        }
        // By the traits, too.
        for (mut stream, mut peer) in pairs("half-close-2").await {
            stream.close().await.unwrap();
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        }
    });
}

#[test]
fn a_dropped_write_half_ends_the_stream_and_halves_reunite() {
    block_on(async {
        for (stream, mut peer) in pairs("halves").await {
            let (reader, writer) = stream.into_split();
            let (other, _) = UnixStream::pair().unwrap();
            let (_, other_writer) = other.into_split();
            let error = reader.reunite(other_writer).unwrap_err();
            assert!(error.to_string().contains("two different streams"));
            let stream = error.0.reunite(writer).unwrap();
            let (reader, writer) = stream.into_split();
            drop(writer);
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
            peer.write_all(b"hello").unwrap();
            assert_eq!(reader.as_ref().read(&mut [0; 8]).await.unwrap(), 5);
        }
    });
}

#[test]
fn connections_are_accepted_in_their_order() {
    block_on(async {
        let place = Place::new("accept");
        let listener = UnixListener::bind(&place).await.unwrap();
        assert!(listener.accept().now_or_never().is_none());
        let clients = [(); 3].map(|()| net::UnixStream::connect(&place).unwrap());
        let (first, addr) = listener.accept().await.unwrap();
        assert!(addr.is_unnamed());
        let rest: Vec<_> = listener.incoming().take(2).collect().await;
        let accepted = [first]
            .into_iter()
            .chain(rest.into_iter().map(Result::unwrap));
        for (server, mut client) in accepted.zip(clients) {
            client.write_all(b"hello").unwrap();
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 5);
            assert_eq!(
                server.local_addr().unwrap().as_pathname(),
                Some(place.as_ref())
            );
        }
        assert!(listener.accept().now_or_never().is_none());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn names_in_the_abstract_namespace_have_no_file() {
    use std::os::linux::net::SocketAddrExt;
    block_on(async {
        let name = format!("glassfrog-{}-abstract", process::id());
        let addr = net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&addr).await.unwrap();
        let client = UnixStream::connect_addr(&addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write(b"hello").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 5);
        let local = listener.local_addr().unwrap();
        assert_eq!(local.as_abstract_name(), Some(name.as_bytes()));
        // Errors name it.
        let taken = UnixListener::bind_addr(&addr).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        assert!(taken.to_string().contains(&name), "{taken}");
        // It is free as soon as nobody has it.
        drop(listener);
        let gone = UnixStream::connect_addr(&addr).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
        assert!(gone.to_string().contains(&name), "{gone}");
        let datagrams = UnixDatagram::bind_addr(&addr).await.unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to_addr(b"hello", &addr).await.unwrap();
        client.connect_addr(&addr).await.unwrap();
        client.send(b"again").await.unwrap();
        for _ in 0..2 {
            assert_eq!(datagrams.recv(&mut [0; 8]).await.unwrap(), 5);
        }
    });
}

#[test]
fn errors_of_bind_and_connect_name_the_path() {
    block_on(async {
        let place = Place::new("errors");
        let missing = UnixStream::connect(&place).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        place.assert_named_by(&missing);
        let source = missing.source().unwrap().downcast_ref::<io::Error>();
        assert!(source.unwrap().raw_os_error().is_some());

        // A stale file.
        drop(UnixListener::bind(&place).await.unwrap());
        let stale = UnixStream::connect(&place).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::ConnectionRefused);
        place.assert_named_by(&stale);
        assert!(
            stale.to_string().contains("no process listens there"),
            "{stale}"
        );
        let taken = UnixListener::bind(&place).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        place.assert_named_by(&taken);
        assert!(taken.to_string().contains("remove it"), "{taken}");
        let taken = UnixDatagram::bind(&place).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        place.assert_named_by(&taken);

        let socket = UnixDatagram::unbound().unwrap();
        for error in [
            socket.connect(&place).await.unwrap_err(),
            socket.send_to(b"x", &place).await.unwrap_err(),
        ] {
            place.assert_named_by(&error);
        }
        let too_long = "x".repeat(200);
        for error in [
            UnixStream::connect(&too_long).await.unwrap_err(),
            UnixListener::bind(&too_long).await.unwrap_err(),
            UnixDatagram::bind(&too_long).await.unwrap_err(),
            UnixStream::connect("with\0zero").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(text.contains(&too_long) || text.contains("with"), "{text}");
            assert!(!text.contains('\0'), "{text:?}");
        }
    });
}

/// A listener with as many connections waiting as it takes.
#[cfg(target_os = "linux")]
fn full_listener(place: &Place) -> (Socket, Vec<Socket>) {
    let addr = SockAddr::unix(place).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&addr).unwrap();
    listener.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&addr) {
            Ok(()) => waiting.push(socket),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return (listener, waiting);
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_connect_waits_while_the_backlog_is_full_and_does_not_spin() {
    /// How many attempts are waited for.
    const ATTEMPTS: u32 = 6;
    block_on(async {
        let place = Place::new("backlog");
        let (listener, waiting) = full_listener(&place);
        let began = Instant::now();
        let mut polls = 0;
        let mut listener = Some(listener);
        let mut connecting = pin!(UnixStream::connect(&place));
        let stream = poll_fn(|cx| {
            polls += 1;
            let polled = connecting.as_mut().poll(cx);
            if polls == ATTEMPTS {
                // 1, 2, 4, 8 and 16 ms have passed.
                assert!(began.elapsed() >= Duration::from_millis(31));
                let listener = listener.as_ref().unwrap();
                for _ in 0..waiting.len() {
                    drop(listener.accept().unwrap());
                }
            }
            if polls <= ATTEMPTS {
                assert!(polled.is_pending(), "it cannot be connected");
            }
            polled
        });
        let stream = stream.await.unwrap();
        let (peer, _) = listener.take().unwrap().accept().unwrap();
        peer.send(b"hello").unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_connect_to_a_full_backlog_can_be_dropped_and_ends_with_its_listener() {
    block_on(async {
        let place = Place::new("backlog-end");
        let (listener, _waiting) = full_listener(&place);
        assert!(UnixStream::connect(&place).now_or_never().is_none());
        let connecting = UnixStream::connect(&place);
        let ending = async {
            settle().await;
            drop(listener);
        };
        let (connected, ()) = futures::join!(connecting, ending);
        let error = connected.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        place.assert_named_by(&error);
    });
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_read_that_ends_at_a_message_with_descriptors_is_followed_by_the_rest() {
    use socket2::{MsgHdr, SockRef};
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;

    /// A control message with a descriptor (`cmsg(3)`).
    fn rights(file: &impl AsRawFd) -> Vec<u8> {
        /// `SOL_SOCKET` and `SCM_RIGHTS`.
        const RIGHTS: [i32; 2] = [1, 1];
        let mut message = Vec::from(20_usize.to_ne_bytes());
        for word in RIGHTS.into_iter().chain([file.as_raw_fd(), 0]) {
            message.extend(word.to_ne_bytes());
        }
        message
    }

    block_on(async {
        for (stream, mut peer) in pairs("rights").await {
            let file = fs::File::open("/dev/null").unwrap();
            let control = rights(&file);
            let bufs = [IoSlice::new(b"with it")];
            let message = MsgHdr::new().with_buffers(&bufs).with_control(&control);
            SockRef::from(&peer).sendmsg(&message, 0).unwrap();
            peer.write_all(b"after").unwrap();
            let mut buf = [0; 64];
            assert_eq!(stream.read(&mut buf).await.unwrap(), 7);
            // No further event comes for this.
            let read = stream.read(&mut buf).now_or_never();
            assert_eq!(read.unwrap().unwrap(), 5);
        }
    });
}

/// A datagram socket of each origin, connected to the plain one beside it.
async fn datagrams(test: &str) -> [(UnixDatagram, net::UnixDatagram); 3] {
    let (ours, other) = UnixDatagram::pair().unwrap();
    let (adopted, peer) = net::UnixDatagram::pair().unwrap();
    let (here, there) = (
        Place::new(&format!("{test}-1")),
        Place::new(&format!("{test}-2")),
    );
    let bound = UnixDatagram::bind(&here).await.unwrap();
    let bound_peer = net::UnixDatagram::bind(&there).unwrap();
    bound.connect(&there).await.unwrap();
    bound_peer.connect(&here).unwrap();
    [
        (ours, other.try_into().unwrap()),
        (adopted.try_into().unwrap(), peer),
        (bound, bound_peer),
    ]
}

#[test]
fn datagrams_keep_their_ends_and_their_order() {
    block_on(async {
        for (socket, peer) in datagrams("order").await {
            for text in ["one", "", "three"] {
                peer.send(text.as_bytes()).unwrap();
            }
            let mut buf = [0; 64];
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 3);
            // A short datagram says nothing about the next.
            let next = socket.recv(&mut buf).now_or_never();
            assert_eq!(next.unwrap().unwrap(), 0);
            let next = socket.recv_from(&mut buf).now_or_never();
            assert_eq!(next.unwrap().unwrap().0, 5);
            assert!(socket.recv(&mut buf).now_or_never().is_none());
            // Too long for the buffer.
            peer.send(b"truncated").unwrap();
            peer.send(b"whole").unwrap();
            assert_eq!(socket.recv(&mut buf[..5]).await.unwrap(), 5);
            assert_eq!(&buf[..5], b"trunc");
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 5);
            assert_eq!(&buf[..5], b"whole");
        }
    });
}

// Other systems return an error instead.
#[cfg(target_os = "linux")]
#[test]
fn a_sender_waits_for_a_connected_receiver() {
    block_on(async {
        for (socket, peer) in datagrams("full").await {
            let datagrams = 5000_u32;
            let receiving = thread::spawn(move || {
                for number in 0..datagrams {
                    let mut buf = [0; 8];
                    assert_eq!(peer.recv(&mut buf).unwrap(), 4);
                    assert_eq!(buf[..4], number.to_ne_bytes());
                }
            });
            for number in 0..datagrams {
                let bytes = number.to_ne_bytes();
                assert_eq!(socket.send(&bytes).await.unwrap(), 4);
            }
            receiving.join().unwrap();
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_sender_waits_for_a_receiver_that_it_is_not_connected_to() {
    block_on(async {
        let place = Place::new("unconnected");
        let receiver = net::UnixDatagram::bind(&place).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let mut sent = 0;
        while sender.try_send_to(b"x", &place).is_ok() {
            sent += 1;
        }
        let error = sender.try_send_to(b"x", &place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);

        let began = Instant::now();
        let mut polls = 0;
        let mut sending = pin!(sender.send_to(b"last", &place));
        poll_fn(|cx| {
            polls += 1;
            if polls == 5 {
                // 1, 2, 4 and 8 ms have passed.
                assert!(began.elapsed() >= Duration::from_millis(15));
                receiver.recv(&mut [0; 8]).unwrap();
            }
            let polled = sending.as_mut().poll(cx);
            assert_eq!(polled.is_ready(), polls >= 5);
            polled
        })
        .await
        .unwrap();
        for _ in 1..sent {
            assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 1);
        }
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 4);
        // The socket has not lost its readiness for others.
        assert_eq!(sender.try_send_to(b"x", &place).unwrap(), 1);
    });
}

#[test]
fn a_datagram_to_a_closed_socket_is_refused() {
    block_on(async {
        for (socket, peer) in datagrams("refused").await {
            drop(peer);
            let error = socket.send(b"anybody?").await.unwrap_err();
            assert!(
                [
                    ErrorKind::ConnectionRefused,
                    ErrorKind::NotConnected,
                    ErrorKind::ConnectionReset,
                ]
                .contains(&error.kind()),
                "{error}"
            );
        }
    });
}

#[test]
fn a_poll_reads_no_more_than_its_budget() {
    block_on(async {
        for (stream, mut peer) in pairs("budget").await {
            peer.write_all(&[1; 1000]).unwrap();
            stream.readable().await.unwrap();
            yield_now().await;
            let reads = poll_fn(|cx| {
                let reads = Cell::new(0);
                let mut reading = pin!(async {
                    loop {
                        assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
                        reads.set(reads.get() + 1);
                    }
                });
                assert!(reading.as_mut().poll(cx).is_pending());
                Poll::Ready(reads.get())
            });
            assert_eq!(reads.await, BUDGET);
        }
    });
}

#[test]
fn a_flooded_reader_lets_others_run() {
    let reads = few_or_many(20_000, 200_000);
    block_on(async {
        for (stream, mut peer) in pairs("flood").await {
            // It ends with an error when the reader closes.
            let flood = thread::spawn(move || while peer.write_all(&[1; 4096]).is_ok() {});
            let read = async move || {
                stream.read(&mut [0; 16]).await.unwrap();
            };
            assert_budget_is_kept(reads, read).await;
            flood.join().unwrap();
        }
    });
}

#[test]
fn a_thousand_connections_wait_side_by_side() {
    // Each has two descriptors, and the limit is often 1024.
    let count = few_or_many(300, 1000);
    block_on(async {
        let (clients, servers): (Vec<_>, Vec<_>) =
            (0..count).map_while(|_| UnixStream::pair().ok()).unzip();
        let echoes: Vec<_> = servers
            .into_iter()
            .map(|server| {
                glassfrog::spawn(async move {
                    let mut buf = [0; 8];
                    let count = server.read(&mut buf).await?;
                    server.write(&buf[..count]).await
                })
            })
            .collect();
        settle().await;
        for client in clients.iter().rev() {
            client.write(b"hello").await.unwrap();
        }
        for client in &clients {
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 5);
        }
        for echo in join_all(echoes).await {
            assert_eq!(echo.unwrap().unwrap(), 5);
        }
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    block_on(async {
        for (stream, mut peer) in pairs("dropped").await {
            for _ in 0..100 {
                assert!(stream.read(&mut [0; 8]).now_or_never().is_none());
            }
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
        }
        let place = Place::new("dropped");
        let listener = UnixListener::bind(&place).await.unwrap();
        for _ in 0..100 {
            assert!(listener.accept().now_or_never().is_none());
        }
        let _client = net::UnixStream::connect(&place).unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn a_stream_works_on_another_thread_under_another_executor() {
    block_on(async {
        for (mut stream, mut peer) in pairs("threads").await {
            let (done, is_done) = oneshot::channel();
            thread::spawn(move || {
                let answer = park_on(async {
                    stream.write_all(b"question").await.unwrap();
                    let mut answer = [0; 6];
                    stream.read_exact(&mut answer).await.unwrap();
                    answer
                });
                done.send(answer).unwrap();
            });
            peer.read_exact(&mut [0; 8]).unwrap();
            settle().await;
            peer.write_all(b"answer").unwrap();
            assert_eq!(&is_done.await.unwrap(), b"answer");
        }
    });
}

#[test]
fn after_the_end_of_the_runtime_operations_say_so() {
    fn assert_ended<T: std::fmt::Debug>(result: io::Result<T>) {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("runtime") && text.contains("ended"), "{text}");
    }
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let place = Place::new("end");
    let (streams, sockets, listener) = runtime.block_on(async {
        let listener = UnixListener::bind(&place).await.unwrap();
        (pairs("end-2").await, datagrams("end-3").await, listener)
    });
    let mut waiting = Box::pin(listener.accept());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    drop(runtime);
    assert_ended(waiting.now_or_never().unwrap());
    assert_ended(listener.accept().now_or_never().unwrap());
    for (stream, _peer) in streams {
        assert_ended(stream.read(&mut [0; 8]).now_or_never().unwrap());
        assert_ended(stream.write(b"x").now_or_never().unwrap());
        assert_ended(stream.try_read(&mut [0; 8]));
        assert_ended(stream.writable().now_or_never().unwrap());
    }
    for (socket, _peer) in sockets {
        assert_ended(socket.recv(&mut [0; 8]).now_or_never().unwrap());
        assert_ended(socket.send(b"x").now_or_never().unwrap());
        assert_ended(socket.send_to(b"x", &place).now_or_never().unwrap());
    }
}

#[test]
fn a_dump_shows_the_sockets_that_tasks_wait_for() {
    block_on(async {
        let place = Place::new("dump");
        let path = place.0.to_str().unwrap();
        let listener = UnixListener::bind(&place).await.unwrap();
        let client = UnixStream::connect(&place).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let bound = Place::new("dump-2");
        let socket = UnixDatagram::bind(&bound).await.unwrap();
        let waiting = [
            glassfrog::spawn(async move { listener.accept().await.map(|_| 0) }),
            glassfrog::spawn(async move { client.read(&mut [0; 8]).await }),
            glassfrog::spawn(async move { server.read(&mut [0; 8]).await }),
            glassfrog::spawn(async move { socket.recv(&mut [0; 8]).await }),
        ];
        settle().await;
        let dump = task::dump().to_string();
        for row in [
            format!("accept unix {path}"),
            format!("read unix (unnamed) → {path}"),
            format!("read unix {path} → (unnamed)"),
            format!("recv unix {}", bound.0.to_str().unwrap()),
        ] {
            assert!(dump.contains(&row), "{row} is not in\n{dump}");
        }
        for task in waiting {
            task.abort();
        }
    });
}

#[test]
fn sockets_of_std_and_descriptors_are_adopted_and_handed_out() {
    block_on(async {
        let (ours, mut peer) = net::UnixStream::pair().unwrap();
        let stream = UnixStream::from(OwnedFd::from(ours));
        peer.write_all(b"hello").unwrap();
        assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 2);
        let mut plain = net::UnixStream::try_from(stream).unwrap();
        // It blocks again, and has lost nothing.
        let mut rest = [0; 3];
        plain.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"llo");

        let place = Place::new("adopted");
        let listener = UnixListener::try_from(net::UnixListener::bind(&place).unwrap()).unwrap();
        let _client = net::UnixStream::connect(&place).unwrap();
        listener.accept().await.unwrap();
        drop(net::UnixListener::try_from(listener).unwrap());

        let file = fs::File::open("Cargo.toml").unwrap();
        let refused = UnixDatagram::from(OwnedFd::from(file));
        let error = refused.recv(&mut [0; 8]).await.unwrap_err();
        assert!(error.to_string().contains("a regular file"), "{error}");
    });
}
