//! How connections are made, and the errors when that fails.

use crate::support::{accepted, block_on, park_on, watchdog};
use crate::task_probes::poll_with;
use futures::channel::oneshot;
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream, ToSocketAddrs};
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::task::Waker;
use std::thread;

/// A pending connect.
type Connect = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Returns an address that refuses connections, and a socket that keeps it from other processes.
fn refusing() -> (Socket, SocketAddr) {
    refusing_at(Ipv4Addr::LOCALHOST.into())
}

/// Like [`refusing`], on a given interface.
pub(crate) fn refusing_at(ip: IpAddr) -> (Socket, SocketAddr) {
    let any_port = SocketAddr::from((ip, 0));
    let socket = Socket::new(Domain::for_address(any_port), Type::STREAM, None).unwrap();
    socket.bind(&any_port.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

#[test]
fn a_refused_connect_names_the_address() {
    block_on(async {
        let (_socket, addr) = refusing();
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    });
}

#[test]
fn a_connect_uses_the_first_address_that_answers() {
    block_on(async {
        let (_one, refusing_one) = refusing();
        let (_two, refusing_two) = refusing();
        let first = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let second = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        for addrs in [
            &[first][..],
            &[first, second],
            &[refusing_one, first, second],
            &[refusing_one, refusing_two, first, second],
        ] {
            let stream = TcpStream::connect(addrs).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), first);
        }
    });
}

#[test]
fn a_connect_that_moves_to_another_runtime_continues_with_its_other_addresses() {
    let executors: [fn(Connect) -> io::Result<TcpStream>; 2] = [
        |connect| park_on(connect),
        |connect| glassfrog::block_on(connect),
    ];
    let _watchdog = watchdog();
    for executor in executors {
        let (_socket, refusing) = refusing();
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut connect: Connect = Box::pin(TcpStream::connect([refusing, addr]));
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            assert!(poll_with(&mut connect, Waker::noop()).is_pending());
        });
        let (done, is_done) = oneshot::channel();
        let thread = thread::spawn(move || {
            let connected = executor(connect);
            done.send(()).unwrap();
            connected
        });
        runtime.block_on(is_done).unwrap();
        let stream = thread.join().unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        // The stream still belongs to the runtime that started the connect.
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
        let read = runtime.block_on(async { stream.read(&mut [0; 8]).await });
        assert_eq!(read.unwrap(), 5);
    }
}

#[test]
fn a_failed_connect_reports_the_error_of_each_address() {
    block_on(async {
        let (_one, refusing_one) = refusing();
        let (_two, refusing_two) = refusing();
        let mut reasons = Vec::new();
        for addr in [refusing_one, refusing_two] {
            let error = TcpStream::connect(addr).await.unwrap_err();
            reasons.push(error.to_string());
        }
        let error = TcpStream::connect([refusing_one, refusing_two])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), reasons.join("; "));
        // The text is one line too, for `main` functions that return the error.
        assert!(format!("{error:?}").contains(&reasons.join("; ")));
    });
}

#[test]
fn an_empty_list_of_addresses_is_an_error() {
    block_on(async {
        let none: &[SocketAddr] = &[];
        for error in [
            TcpStream::connect(none).await.unwrap_err(),
            TcpListener::bind(none).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("no address"), "{error}");
        }
    });
}

#[test]
fn every_form_of_address_is_accepted() {
    async fn reaches(listener: &TcpListener, addr: impl ToSocketAddrs) {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
    }
    block_on(async {
        let localhost = Ipv4Addr::LOCALHOST;
        let listener = TcpListener::bind((localhost, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let port = addr.port();
        reaches(&listener, addr).await;
        reaches(&listener, &addr).await;
        reaches(&listener, SocketAddrV4::new(localhost, port)).await;
        reaches(&listener, [addr]).await;
        reaches(&listener, &[addr][..]).await;
        reaches(&listener, (localhost, port)).await;
        reaches(&listener, (IpAddr::from(localhost), port)).await;
        reaches(&listener, ("127.0.0.1", port)).await;
        reaches(&listener, (String::from("127.0.0.1"), port)).await;
        reaches(&listener, format!("127.0.0.1:{port}")).await;
        reaches(&listener, &format!("127.0.0.1:{port}")).await;
        reaches(&listener, format!("127.0.0.1:{port}").as_str()).await;
    });
}

#[test]
fn ipv6_addresses_are_accepted() {
    // Not every machine has such an interface. The law holds only if the system itself can connect.
    if net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    block_on(async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for addr in [format!("[::1]:{port}"), format!("[0:0:0:0:0:0:0:1]:{port}")] {
            TcpStream::connect(addr).await.unwrap();
        }
        TcpStream::connect(("::1", port)).await.unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, port))
            .await
            .unwrap();
        TcpStream::connect(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0))
            .await
            .unwrap();
    });
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    block_on(async {
        let taken = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let error = TcpListener::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        // A refused address is no error if another one succeeds.
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind([addr, free]).await.unwrap();
        assert_ne!(listener.local_addr().unwrap(), addr);
    });
}

#[test]
fn dropping_a_listener_frees_its_port() {
    /// The number of ports to try: the kernel may give one to another process before the test binds it again.
    const PORTS: usize = 100;
    block_on(async {
        for _ in 0..PORTS {
            let (stream, peer) = accepted().await;
            let addr = stream.local_addr().unwrap();
            // The end that closes first is the one that stays in TIME_WAIT.
            drop(stream);
            drop(peer);
            if TcpListener::bind(addr).await.is_ok() {
                return;
            }
        }
        panic!("none of {PORTS} ports could be bound again");
    });
}
