//! Properties of the socket types, checked by the compiler.

use futures::{AsyncRead, AsyncWrite, Stream};
use glassfrog::net::{
    Incoming, OwnedReadHalf, OwnedWriteHalf, ReuniteError, TcpListener, TcpStream, ToSocketAddrs,
    UdpSocket,
};
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Asserts the traits that every type of the module implements.
const fn common<T: Send + Sync + Unpin + Debug>() {}
const fn reads<T: AsyncRead>() {}
const fn writes<T: AsyncWrite>() {}
const fn yields_streams<T: Stream<Item = io::Result<TcpStream>>>() {}
const fn is_error<T: Error>() {}
const fn is_address<T: ToSocketAddrs>() {}

const _: () = {
    common::<TcpStream>();
    common::<TcpListener>();
    common::<UdpSocket>();
    common::<Incoming<'_>>();
    common::<OwnedReadHalf>();
    common::<OwnedWriteHalf>();
    common::<ReuniteError>();
    reads::<TcpStream>();
    reads::<&TcpStream>();
    reads::<OwnedReadHalf>();
    writes::<TcpStream>();
    writes::<&TcpStream>();
    writes::<OwnedWriteHalf>();
    yields_streams::<Incoming<'_>>();
    is_error::<ReuniteError>();
    is_address::<SocketAddr>();
    is_address::<&[SocketAddr]>();
    is_address::<&str>();
    is_address::<String>();
    is_address::<(&str, u16)>();
    is_address::<(String, u16)>();
    is_address::<(IpAddr, u16)>();
};

/// The futures of the sockets are `Send`, so that tasks that await them may be too.
#[expect(dead_code, reason = "it is enough that it compiles")]
fn futures_cross_threads(
    stream: &TcpStream,
    listener: &TcpListener,
    socket: &UdpSocket,
    addr: SocketAddr,
) {
    fn crosses<F: Future + Send>(_: F) {}
    crosses(TcpStream::connect(addr));
    crosses(TcpStream::connect("127.0.0.1:80"));
    crosses(TcpListener::bind(addr));
    crosses(stream.read(&mut []));
    crosses(stream.write(&[]));
    crosses(stream.peek(&mut []));
    crosses(stream.readable());
    crosses(stream.writable());
    crosses(listener.accept());
    crosses(stream.read_with(|_| Ok(())));
    crosses(UdpSocket::bind("127.0.0.1:80"));
    crosses(socket.connect("127.0.0.1:80"));
    crosses(socket.send_to(&[], "127.0.0.1:80"));
    crosses(socket.recv_from(&mut []));
}
