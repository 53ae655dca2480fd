//! A connect that moves to another runtime.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{park_on, watchdog};
use crate::task_probes::poll_with;
use futures::channel::oneshot;
use glassfrog::Runtime;
use glassfrog::net::TcpStream;
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
use std::net::{self, IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::Waker;
use std::thread;

/// A pending connect.
type Connect = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Returns an address that refuses connections, and a socket that keeps it from other processes.
pub(crate) fn refusing_at(ip: IpAddr) -> (Socket, SocketAddr) {
    let any_port = SocketAddr::from((ip, 0));
    let socket = Socket::new(Domain::for_address(any_port), Type::STREAM, None).unwrap();
    socket.bind(&any_port.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

#[test]
fn a_connect_that_moves_to_another_runtime_continues_with_its_other_addresses() {
    let executors: [fn(Connect) -> io::Result<TcpStream>; 2] = [
        |connect| park_on(connect),
        |connect| glassfrog::block_on(connect),
    ];
    let _watchdog = watchdog();
    for executor in executors {
        let (_socket, refusing) = refusing_at(Ipv4Addr::LOCALHOST.into());
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
