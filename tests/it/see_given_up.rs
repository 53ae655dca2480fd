//! Waits that a task has begun and dropped before they completed: what a dump says of them, and when it is silent.

use crate::support::{accepted, block_on, connected, settle};
use crate::ticks::Ticks;
use futures::future::join;
use futures::{AsyncRead, AsyncReadExt};
use glassfrog::net::{TcpListener, TcpStream, UdpSocket};
use glassfrog::spawn;
use glassfrog::task::{self, yield_now};
use std::io::{self, Write};
use std::net;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// Returns the text of the dump for a task, and how often it has given up the wait of this kind.
fn shown(name: &str, kind: &str) -> (String, u32) {
    let dump = task::dump();
    let task = dump.find_by_name(name).unwrap();
    let wait = task.waits().iter().find(|wait| wait.kind() == kind);
    let wait = wait.unwrap_or_else(|| panic!("{dump}"));
    let text = dump.to_string();
    let line = text.lines().find(|line| line.contains(name)).unwrap();
    // The first line of the task's, or one below it.
    let text = match wait.given_up() {
        0..8 => line.to_string(),
        _ => text.clone(),
    };
    (text, wait.given_up())
}

/// Spawns a task with a name.
fn spawn_named<F: Future<Output = ()> + 'static>(name: &str, future: F) -> task::JoinHandle<()> {
    task::Builder::new().name(name).spawn(future)
}

/// Waits until a socket has something to read, in a way that gives nothing up.
async fn arrive() {
    // A turn of the reactor reports what was written over loopback.
    settle().await;
}

/// Loses what it has read at each tick, `count` times. The peer sends 3 bytes before each tick.
async fn lose<S: AsyncRead + Unpin + 'static>(stream: S, peer: &mut impl Write, count: u32) {
    let ticks = Ticks::default();
    let (theirs, mut stream) = (ticks.clone(), stream);
    let _task = spawn_named("loses", async move {
        let mut message = [0; 16];
        while theirs.or(stream.read_exact(&mut message)).await.is_none() {}
    });
    settle().await;
    for _ in 0..count {
        peer.write_all(b"abc").unwrap();
        arrive().await;
        ticks.give().await;
    }
}

#[test]
fn a_select_that_loses_what_it_has_read_is_shown() {
    block_on(async {
        let (stream, mut peer) = connected().await;
        lose(stream, &mut peer, 160).await;
        let (text, count) = shown("loses", "io");
        assert_eq!(count, 160, "{text}");
        let says = ": begun and dropped 160 times by this task without completing";
        assert!(text.contains(says), "{text}");
        let line = text.lines().find(|line| line.contains(says)).unwrap();
        assert!(line.contains("read tcp 127.0.0.1:"), "{text}");
        let json = task::dump().to_json();
        assert!(json.contains(r#""given_up":160,"completed":0"#), "{json}");
    });
}

#[test]
fn the_half_of_a_stream_and_a_reference_to_it_are_watched_too() {
    block_on(async {
        let (stream, mut peer) = accepted().await;
        let (reader, _writer) = stream.into_split();
        lose(reader, &mut peer, 10).await;
        assert_eq!(shown("loses", "io").1, 10);
    });
    block_on(async {
        let (stream, mut peer) = accepted().await;
        let stream: &'static TcpStream = Box::leak(Box::new(stream));
        lose(stream, &mut peer, 10).await;
        assert_eq!(shown("loses", "io").1, 10);
    });
}

#[cfg(unix)]
#[test]
fn a_unix_stream_and_a_watched_descriptor_are_watched_too() {
    use std::os::unix::net::UnixStream as Plain;
    block_on(async {
        let (ours, mut peer) = Plain::pair().unwrap();
        let stream = glassfrog::net::UnixStream::try_from(ours).unwrap();
        lose(stream, &mut peer, 10).await;
        let (text, count) = shown("loses", "io");
        assert_eq!(count, 10, "{text}");
        assert!(text.contains("without completing"), "{text}");
    });
    block_on(async {
        let (ours, mut peer) = Plain::pair().unwrap();
        let stream = glassfrog::io::Async::new(ours).unwrap();
        lose(stream, &mut peer, 10).await;
        assert_eq!(shown("loses", "io").1, 10);
    });
}

#[test]
fn a_future_that_is_kept_over_the_ticks_gives_nothing_up() {
    block_on(async {
        let (mut stream, mut peer) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let task = spawn_named("keeps", async move {
            let mut message = [0; 40];
            let mut read = stream.read_exact(&mut message);
            while theirs.or(&mut read).await.is_none() {}
        });
        for _ in 0..12 {
            peer.write_all(b"abc").unwrap();
            arrive().await;
            ticks.give().await;
        }
        let (text, count) = shown("keeps", "io");
        assert_eq!(count, 0, "{text}");
        assert!(!text.contains("begun and dropped"), "{text}");
        peer.write_all(b"abcd").unwrap();
        task.await.unwrap();
    });
}

#[test]
fn a_read_that_is_polled_often_beside_a_ticker_gives_nothing_up() {
    block_on(async {
        let (mut stream, mut peer) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let _task = spawn_named("joins", async move {
            let read = async {
                let mut message = [0; 1000];
                stream.read_exact(&mut message).await
            };
            let tick = async {
                loop {
                    theirs.next().await;
                }
            };
            let _never: (io::Result<()>, ()) = join(read, tick).await;
        });
        for round in 0..40 {
            if round % 2 == 0 {
                peer.write_all(b"abc").unwrap();
            }
            arrive().await;
            ticks.give().await;
        }
        let (text, count) = shown("joins", "io");
        assert_eq!(count, 0, "{text}");
    });
}

#[test]
fn two_futures_of_a_task_that_read_by_turns_give_nothing_up() {
    block_on(async {
        let (stream, mut peer) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let _task = spawn_named("two", async move {
            let read = async |length: usize| {
                let (mut stream, mut message) = (&stream, vec![0; length]);
                stream.read_exact(&mut message).await
            };
            let tick = async {
                loop {
                    theirs.next().await;
                }
            };
            let _never: ((_, _), ()) = join(join(read(1000), read(2000)), tick).await;
        });
        for round in 0..40 {
            if round % 3 == 0 {
                peer.write_all(b"abc").unwrap();
            }
            arrive().await;
            ticks.give().await;
        }
        let (text, count) = shown("two", "io");
        assert!(count < 8, "{text}");
        assert!(!text.contains("begun and dropped"), "{text}");
    });
}

#[test]
fn a_read_into_the_next_part_of_a_buffer_gives_nothing_up() {
    block_on(async {
        let (mut stream, mut peer) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let _task = spawn_named("fills", async move {
            let (mut buffer, mut filled) = ([0; 1000], 0);
            loop {
                // The method of the trait, not that of the stream.
                let read = AsyncReadExt::read(&mut stream, &mut buffer[filled..]);
                if let Some(count) = theirs.or(read).await {
                    filled += count.unwrap();
                }
            }
        });
        for _ in 0..20 {
            peer.write_all(b"abc").unwrap();
            arrive().await;
            ticks.give().await;
        }
        assert_eq!(shown("fills", "io").1, 0);
    });
}

#[test]
fn messages_that_complete_are_counted_whole() {
    block_on(async {
        let (mut stream, mut peer) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let _task = spawn_named("both", async move {
            let mut message = [0; 6];
            loop {
                let _lost = theirs.or(stream.read_exact(&mut message)).await;
            }
        });
        settle().await;
        for _ in 0..20 {
            peer.write_all(b"abc").unwrap();
            arrive().await;
            ticks.give().await;
            for _ in 0..3 {
                // Two parts of one message.
                peer.write_all(b"abc").unwrap();
                arrive().await;
                peer.write_all(b"def").unwrap();
                arrive().await;
            }
        }
        let (text, count) = shown("both", "io");
        assert_eq!(count, 20, "{text}");
        let says = "begun and dropped 20 times by this task, while 60 completed";
        assert!(text.contains(says), "{text}");
    });
}

#[test]
fn a_heartbeat_beside_a_busy_read_is_not_shown() {
    block_on(async {
        let (stream, mut peer) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let _task = spawn_named("beats", async move {
            let mut buffer = [0; 100];
            loop {
                let _read = theirs.or(stream.read(&mut buffer)).await;
            }
        });
        settle().await;
        for _ in 0..20 {
            ticks.give().await;
            for _ in 0..11 {
                peer.write_all(b"abc").unwrap();
                arrive().await;
            }
        }
        let (text, count) = shown("beats", "io");
        assert_eq!(count, 20, "{text}");
        assert!(!task::dump().to_string().contains("begun and"), "{text}");
    });
}

#[test]
fn dropped_methods_of_sockets_are_counted_exactly() {
    block_on(async {
        let ticks = Ticks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (stream, _peer) = connected().await;
        let (other, _other_peer) = connected().await;
        let names = ["accepts", "receives", "reads", "reads all"];
        let each = ticks.clone();
        let _accepts = spawn_named(names[0], async move {
            while each.or(listener.accept()).await.is_none() {}
        });
        for _ in 0..9 {
            settle().await;
            ticks.give().await;
        }
        let each = Ticks::default();
        let theirs = each.clone();
        let _receives = spawn_named(names[1], async move {
            while theirs.or(udp.recv_from(&mut [0; 8])).await.is_none() {}
        });
        for _ in 0..9 {
            settle().await;
            each.give().await;
        }
        let each = Ticks::default();
        let theirs = each.clone();
        let _reads = spawn_named(names[2], async move {
            while theirs.or(stream.read(&mut [0; 8])).await.is_none() {}
        });
        for _ in 0..9 {
            settle().await;
            each.give().await;
        }
        let each = Ticks::default();
        let theirs = each.clone();
        let _reads_all = spawn_named(names[3], async move {
            let mut all = Vec::new();
            while theirs.or(other.read_to_end(&mut all)).await.is_none() {}
        });
        for _ in 0..9 {
            settle().await;
            each.give().await;
        }
        for name in names {
            let (text, count) = shown(name, "io");
            assert_eq!(count, 9, "{name}: {text}");
        }
        let text = task::dump().to_string();
        let says = "begun and dropped 9 times by this task without completing";
        assert_eq!(text.matches(says).count(), 4, "{text}");
    });
}

#[test]
fn each_task_has_a_count_of_its_own() {
    block_on(async {
        let (stream, _peer) = connected().await;
        let stream = Rc::new(stream);
        let ticks = Ticks::default();
        let (theirs, reader) = (ticks.clone(), Rc::clone(&stream));
        let _one = spawn_named("one", async move {
            loop {
                let _read = theirs.or(reader.read(&mut [0; 8])).await;
            }
        });
        let reader = Rc::clone(&stream);
        let _other = spawn_named("other", async move {
            let _read = reader.read(&mut [0; 8]).await;
        });
        settle().await;
        for _ in 0..9 {
            ticks.give().await;
        }
        assert_eq!(shown("one", "io").1, 9);
        assert_eq!(shown("other", "io").1, 0);
    });
}

#[test]
fn a_task_that_gives_up_is_not_folded_with_those_that_wait() {
    block_on(async {
        let mut peers = Vec::new();
        let ticks = Ticks::default();
        for number in 0..10 {
            let (stream, peer) = connected().await;
            peers.push(peer);
            let theirs = ticks.clone();
            spawn(async move {
                match number {
                    0 => loop {
                        let _read = theirs.or(stream.read(&mut [0; 8])).await;
                    },
                    _ => drop(stream.read(&mut [0; 8]).await),
                }
            });
        }
        settle().await;
        for _ in 0..9 {
            ticks.give().await;
        }
        let text = task::dump().to_string();
        assert!(text.contains("begun and dropped 9 times"), "{text}");
        assert!(text.contains("9 ×"), "{text}");
    });
}

/// A reader that always polls with a buffer on the stack of its poll.
struct OnStack(TcpStream);

impl Future for OnStack {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let mut buffer = [0; 64];
        while let Poll::Ready(count) = Pin::new(&mut self.0).poll_read(cx, &mut buffer) {
            assert!(count.unwrap() > 0);
        }
        Poll::Pending
    }
}

#[test]
fn a_reader_with_a_buffer_on_the_stack_gives_nothing_up() {
    block_on(async {
        let (stream, mut peer): (_, net::TcpStream) = connected().await;
        let ticks = Ticks::default();
        let theirs = ticks.clone();
        let _task = spawn_named("stack", async move {
            let mut reader = OnStack(stream);
            while theirs.or(&mut reader).await.is_none() {}
        });
        for _ in 0..20 {
            peer.write_all(b"abc").unwrap();
            arrive().await;
            ticks.give().await;
        }
        yield_now().await;
        assert_eq!(shown("stack", "io").1, 0);
    });
}
