//! `io::Async`: descriptors of any kind.

use crate::support::{block_on, few_or_many, park_on, settle, watchdog};
use futures::channel::oneshot;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt};
use glassfrog::Runtime;
use glassfrog::io::Async;
use glassfrog::net::UnixStream;
use glassfrog::task::{self, yield_now};
use glassfrog::time::timeout;
use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::mem;
use std::net::{self, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// How many operations a poll may finish.
const BUDGET: usize = 128;

const _: () = {
    const fn crosses<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    const fn reads<T: AsyncRead>() {}
    const fn writes<T: AsyncWrite>() {}
    crosses::<Async<PipeReader>>();
    crosses::<Async<OwnedFd>>();
    reads::<Async<PipeReader>>();
    reads::<&Async<PipeReader>>();
    reads::<Async<std::process::ChildStdout>>();
    writes::<Async<PipeWriter>>();
    writes::<&Async<PipeWriter>>();
    reads::<Async<net::TcpStream>>();
    writes::<&Async<net::TcpStream>>();
};

/// The two ends of a pipe.
fn ends() -> (Async<PipeReader>, Async<PipeWriter>) {
    let (reader, writer) = pipe().unwrap();
    (Async::new(reader).unwrap(), Async::new(writer).unwrap())
}

/// Reads from a pipe as far as it goes without waiting for more.
async fn read(reader: &Async<PipeReader>, buf: &mut [u8]) -> io::Result<usize> {
    reader.read_with(|mut pipe| pipe.read(buf)).await
}

/// Whether the descriptor is in non-blocking mode (`proc_pid_fdinfo(5)`).
#[cfg(target_os = "linux")]
fn is_nonblocking(fd: &impl AsFd) -> bool {
    /// `O_NONBLOCK` on most machines.
    const NONBLOCK: u32 = 0o4000;
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    u32::from_str_radix(flags.unwrap().trim(), 8).unwrap() & NONBLOCK != 0
}

#[test]
fn a_reader_waits_for_a_writer_and_for_its_end() {
    block_on(async {
        let (reader, writer) = ends();
        let mut buf = [0; 16];
        assert!(read(&reader, &mut buf).now_or_never().is_none());
        let writing = async {
            settle().await;
            writer.write_with(|mut pipe| pipe.write(b"hello")).await
        };
        let (count, written) = futures::join!(read(&reader, &mut buf), writing);
        assert_eq!((count.unwrap(), written.unwrap()), (5, 5));
        let ending = async {
            settle().await;
            drop(writer);
        };
        let (count, ()) = futures::join!(read(&reader, &mut buf), ending);
        assert_eq!(count.unwrap(), 0);
    });
}

#[test]
fn a_writer_waits_while_the_pipe_is_full_and_sees_that_the_reader_is_gone() {
    block_on(async {
        let (mut reader, mut writer) = ends();
        let bytes: Vec<u8> = (0..1 << 20_u32).map(|at| (at % 251) as u8).collect();
        let sent = bytes.clone();
        let writing = glassfrog::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
            writer
        });
        let mut got = vec![0; bytes.len()];
        reader.read_exact(&mut got).await.unwrap();
        assert!(got == bytes);
        let writer = writing.await.unwrap();
        // By reference, too.
        (&writer).write_all(b"hello").await.unwrap();
        (&reader).read_exact(&mut [0; 5]).await.unwrap();
        while writer
            .try_write_with(|mut pipe| pipe.write(&[0; 4096]))
            .is_ok()
        {}
        let waiting = writer.write_with(|mut pipe| pipe.write(b"x"));
        let ending = async {
            settle().await;
            drop(reader);
        };
        let (written, ()) = futures::join!(waiting, ending);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_idle_descriptor_has_no_futile_calls() {
    let while_idle = Duration::from_millis(few_or_many(100, 1000) as u64);
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        writer.write_all(b"hello").unwrap();
        let calls = Cell::new(0);
        let looping = async {
            loop {
                let count = reader.read_with(|mut pipe| {
                    calls.set(calls.get() + 1);
                    pipe.read(&mut [0; 16])
                });
                assert_eq!(count.await.unwrap(), 5);
            }
        };
        assert!(timeout(while_idle, looping).await.is_err());
        assert_eq!(calls.get(), 2);
    });
}

#[test]
fn a_poll_reads_no_more_than_its_budget() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        writer.write_all(&[1; 1000]).unwrap();
        reader.readable().await.unwrap();
        yield_now().await;
        let reads = poll_fn(|cx| {
            let mut reads = 0;
            while let Poll::Ready(read) = reader.poll_read_with(cx, |mut pipe| pipe.read(&mut [0]))
            {
                assert_eq!(read.unwrap(), 1);
                reads += 1;
            }
            Poll::Ready(reads)
        });
        assert_eq!(reads.await, BUDGET);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_mode_is_put_back() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        assert!(!is_nonblocking(&reader));
        // By `into_inner`.
        let reader = Async::new(reader).unwrap();
        assert!(is_nonblocking(&reader));
        let reader = reader.into_inner().unwrap();
        assert!(!is_nonblocking(&reader));
        // By a drop, if somebody else has the descriptor.
        let borrowed: Async<BorrowedFd<'_>> = Async::new(reader.as_fd()).unwrap();
        assert!(is_nonblocking(&reader));
        drop(borrowed);
        assert!(!is_nonblocking(&reader));
        // A mode that it had before stays.
        let (ours, _peer) = unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = Async::new(ours).unwrap().into_inner().unwrap();
        assert!(is_nonblocking(&ours));
        // The other end is another file.
        assert!(!is_nonblocking(&writer));
        // Also if the value has been exchanged meanwhile.
        let mut exchanged = Async::new(reader).unwrap();
        let reader = mem::replace(exchanged.get_mut(), pipe().unwrap().0);
        drop(exchanged);
        assert!(!is_nonblocking(&reader));
    });
}

#[test]
fn a_descriptor_that_was_handed_out_blocks_and_has_lost_nothing() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        writer.write_all(b"hello").unwrap();
        assert_eq!(read(&reader, &mut [0; 2]).await.unwrap(), 2);
        let mut reader = reader.into_inner().unwrap();
        let more = thread::spawn(move || writer.write_all(b" again"));
        let mut rest = [0; 9];
        reader.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"llo again");
        more.join().unwrap().unwrap();
        // It can be registered once more.
        let reader = Async::new(reader).unwrap();
        assert_eq!(read(&reader, &mut [0; 2]).await.unwrap(), 0);
    });
}

#[test]
fn what_cannot_be_polled_is_refused_with_the_reason() {
    block_on(async {
        for (path, kind) in [("Cargo.toml", "a regular file"), (".", "a directory")] {
            let file = File::open(path).unwrap();
            let error = Async::new(&file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(
                text.starts_with(kind) && text.contains("cannot be polled"),
                "{text}"
            );
            assert!(text.contains("spawn_blocking"), "{text}");
            #[cfg(target_os = "linux")]
            assert!(!is_nonblocking(&file));
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_that_cannot_be_polled_is_refused_and_a_terminal_is_not() {
    block_on(async {
        let null = File::open("/dev/null").unwrap();
        let error = Async::new(&null).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("cannot be polled"), "{error}");
        assert!(!is_nonblocking(&null));
        let terminal = File::options().read(true).write(true).open("/dev/ptmx");
        let Ok(terminal) = terminal else {
            println!("skipped: there is no terminal here");
            return;
        };
        let terminal = Async::new(terminal).unwrap();
        let reading = terminal.read_with(|mut terminal| terminal.read(&mut [0; 8]));
        assert!(reading.now_or_never().is_none());
    });
}

#[test]
fn the_output_of_a_child_process_is_read_to_its_end() {
    block_on(async {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = Async::new(child.stdin.take().unwrap()).unwrap();
        let mut stdout = Async::new(child.stdout.take().unwrap()).unwrap();
        let writing = async move {
            stdin.write_all(&[7; 1 << 18]).await.unwrap();
            stdin.close().await.unwrap();
            // Only this ends the input of the child.
            drop(stdin);
        };
        let mut output = Vec::new();
        let (read, ()) = futures::join!(stdout.read_to_end(&mut output), writing);
        assert_eq!(read.unwrap(), 1 << 18);
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn sockets_of_std_and_of_this_crate_work_too() {
    block_on(async {
        let listener = Async::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let addr = listener.get_ref().local_addr().unwrap();
        let accepting = listener.read_with(|listener| listener.accept());
        let connecting = async {
            settle().await;
            net::TcpStream::connect(addr).unwrap()
        };
        let (accepted, mut client) = futures::join!(accepting, connecting);
        let mut server = Async::new(accepted.unwrap().0).unwrap();
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        client.read_exact(&mut [0; 6]).unwrap();

        let (ours, other) = UnixStream::pair().unwrap();
        let second = Async::new(&ours).unwrap();
        other.write(b"hello").await.unwrap();
        second.readable().await.unwrap();
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[test]
fn many_descriptors_wait_side_by_side() {
    // A pipe has two descriptors, and its duplicates two more. The limit is often 1024.
    let count = few_or_many(100, 1000);
    block_on(async {
        let pipes: Vec<_> = (0..count)
            .map_while(|_| {
                let (reader, writer) = pipe().ok()?;
                Some((Async::new(reader).ok()?, writer))
            })
            .collect();
        let (readers, mut writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
        let reading = readers
            .into_iter()
            .map(|reader| glassfrog::spawn(async move { read(&reader, &mut [0; 8]).await }));
        let reading: Vec<_> = reading.collect();
        settle().await;
        for writer in writers.iter_mut().rev() {
            writer.write_all(b"hello").unwrap();
        }
        for task in reading {
            assert_eq!(task.await.unwrap().unwrap(), 5);
        }
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        for _ in 0..100 {
            assert!(read(&reader, &mut [0; 8]).now_or_never().is_none());
        }
        writer.write_all(b"hello").unwrap();
        assert_eq!(read(&reader, &mut [0; 8]).await.unwrap(), 5);
    });
}

#[test]
fn a_descriptor_works_on_another_thread_under_another_executor() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        let (done, is_done) = oneshot::channel();
        thread::spawn(move || done.send(park_on(async { read(&reader, &mut [0; 8]).await })));
        settle().await;
        writer.write_all(b"hello").unwrap();
        assert_eq!(is_done.await.unwrap().unwrap(), 5);
    });
}

#[test]
fn after_the_end_of_the_runtime_operations_say_so() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let (mut reader, writer) = runtime.block_on(async { ends() });
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut waiting = pin!(read(&reader, &mut []));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
    }
    drop(runtime);
    for result in [
        read(&reader, &mut [0; 8]).now_or_never().unwrap(),
        reader.read(&mut [0; 8]).now_or_never().unwrap(),
        writer.try_write_with(|mut pipe| pipe.write(b"x")),
        writer.writable().now_or_never().unwrap().map(|()| 0),
    ] {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("runtime") && text.contains("ended"), "{text}");
    }
    // It can still be taken out.
    let (mut reader, mut writer) = (reader.into_inner().unwrap(), writer.into_inner().unwrap());
    writer.write_all(b"hello").unwrap();
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 5);
}

#[test]
fn a_dump_shows_the_descriptor_that_a_task_waits_for() {
    block_on(async {
        let (reader, _writer) = ends();
        let row = format!("read fd {} (a pipe)", reader.as_raw_fd());
        let task = glassfrog::spawn(async move { read(&reader, &mut [0; 8]).await });
        settle().await;
        let dump = task::dump().to_string();
        assert!(dump.contains(&row), "{row} is not in\n{dump}");
        task.abort();
    });
}

#[test]
fn a_value_that_was_exchanged_takes_no_other_socket_out_of_the_runtime() {
    block_on(async {
        let (reader, _writer) = pipe().unwrap();
        let mut exchanged = Async::new(reader).unwrap();
        let (other, _) = pipe().unwrap();
        // The number of the old descriptor is free after this, and the next socket gets it.
        drop(mem::replace(exchanged.get_mut(), other));
        let (ours, peer) = UnixStream::pair().unwrap();
        drop(exchanged);
        assert!(ours.read(&mut [0; 8]).now_or_never().is_none());
        peer.write(b"hello").await.unwrap();
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn descriptors_are_closed_with_their_owners() {
    use crate::support::{child, open_files};
    child(|| {
        let _watchdog = watchdog();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let before = open_files();
            drop(ends());
            let (reader, writer) = ends();
            drop((reader.into_inner().unwrap(), writer.into_inner().unwrap()));
            drop(Async::new(File::open("Cargo.toml").unwrap()));
            drop(Async::new(File::open("/dev/null").unwrap()));
            assert_eq!(open_files(), before);
        });
    })
    .finish();
}
