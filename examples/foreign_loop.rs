//! A foreign loop on bare `poll(2)` that drives a runtime without a second thread.
//!
//! ```text
//! cargo run --release --example foreign_loop
//! ```
//!
//! A GUI, a game or another event loop waits in the operating system for its own events. Here these are keys, which a
//! thread presses. It can also drive a runtime. The loop has three steps:
//!
//! 1. Make turns, until no task is ready.
//! 2. Wait for the descriptors of the loop and for that of the runtime, until the runtime's next deadline.
//! 3. Handle the events of the loop. The next turn polls the tasks that they wake or spawn.
//!
//! The program counts the reasons for which its waits end. While nothing happens, the loop sleeps.
//!
//! `examples/calloop` does the same with the event loop calloop.

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    foreign_loop::run()
}

#[cfg(not(unix))]
fn main() {
    println!(
        "this example needs the `poll(2)` of Unix: elsewhere, call `Runtime::turn` with a timeout"
    );
}

#[cfg(unix)]
mod foreign_loop {
    use std::io::{self, PipeReader, Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;
    use std::time::{Duration, Instant};

    use futures_channel::mpsc;
    use futures_core::Stream;
    use glassfrog::Runtime;
    use glassfrog::net::TcpStream;
    use glassfrog::time::sleep;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    /// The keys that are pressed.
    const KEYS: &str = "glassfrog";

    /// The time between two keys.
    const KEY: Duration = Duration::from_millis(30);

    /// The time between two ticks.
    const TICK: Duration = Duration::from_millis(50);

    /// The number of ticks.
    const TICKS: u32 = 4;

    /// The number of waits that each of these has ended.
    #[derive(Debug, Default)]
    struct Wakes {
        /// A key, or the end of the keys.
        key: u32,
        /// The descriptor of the runtime.
        runtime: u32,
        /// The next deadline of the runtime.
        deadline: u32,
    }

    /// Runs the program.
    pub(super) fn run() -> io::Result<()> {
        let mut keys = Some(press_keys(KEYS)?);
        let server = serve(&["a greeting ", "in three ", "pieces"])?;

        let runtime = Runtime::new()?;
        let (to_typist, typed) = mpsc::unbounded();
        let guard = runtime.enter();
        let typist = glassfrog::spawn(collect(typed));
        let fetch = glassfrog::spawn(fetch(server));
        let ticker = glassfrog::spawn(async {
            for _ in 0..TICKS {
                sleep(TICK).await;
            }
        });
        drop(guard);

        let mut wakes = Wakes::default();
        let mut typing = Some(to_typist);
        loop {
            while runtime.turn(Some(Duration::ZERO))?.is_ready {}
            if typist.is_finished() && fetch.is_finished() && ticker.is_finished() {
                break;
            }

            if wait(keys.as_ref(), &runtime, &mut wakes)?
                && let Some(pipe) = &mut keys
                && let Some(to_typist) = &typing
            {
                let mut key = [0];
                match pipe.read(&mut key)? {
                    // The end, which would keep the pipe readable.
                    0 => (keys, typing) = (None, None),
                    // Wakes the typist.
                    _ => drop(to_typist.unbounded_send(char::from(key[0]))),
                }
            }
        }

        let (typed, fetched) = runtime.block_on(async { (typist.await, fetch.await) });
        let (typed, fetched) = (typed?, fetched??);
        println!("typed {typed:?}, fetched {fetched:?}, ticked {TICKS} times");
        println!("woken by: {wakes:?}");
        assert_eq!(typed, KEYS);
        assert_eq!(fetched, "a greeting in three pieces");
        // Each key, and the end.
        assert_eq!(wakes.key, KEYS.len() as u32 + 1);
        // The connection and its pieces.
        assert!(wakes.runtime <= 20, "{wakes:?}");
        // A distant deadline takes a few waits.
        assert!(wakes.deadline <= 10 * TICKS, "{wakes:?}");
        Ok(())
    }

    /// Waits for a key, the runtime, or its next deadline. Returns whether a key or the end of the keys can be read.
    fn wait(keys: Option<&PipeReader>, runtime: &Runtime, wakes: &mut Wakes) -> io::Result<bool> {
        let deadline = runtime.next_deadline();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // If the timeout is too long for the operating system, wait without one.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(runtime, PollFlags::IN)];
        fds.extend(keys.map(|keys| PollFd::new(keys, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => wakes.deadline += 1,
            Ok(_) => {}
            // A signal.
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let has_key = fds.get(1).is_some_and(is_ready);
        wakes.runtime += u32::from(is_ready(&fds[0]));
        wakes.key += u32::from(has_key);
        Ok(has_key)
    }

    /// Presses keys on another thread.
    fn press_keys(text: &'static str) -> io::Result<PipeReader> {
        let (keys, mut pressed) = io::pipe()?;
        thread::spawn(move || {
            for key in text.as_bytes() {
                // The typist takes this long for a key.
                thread::sleep(KEY);
                pressed.write_all(&[*key])?;
            }
            io::Result::Ok(())
        });
        Ok(keys)
    }

    /// Answers one connection in pieces, on another thread.
    fn serve(pieces: &'static [&str]) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        thread::spawn(move || {
            let (mut client, _) = listener.accept()?;
            for piece in pieces {
                // The client sends each piece this long after the one before.
                thread::sleep(KEY);
                client.write_all(piece.as_bytes())?;
            }
            io::Result::Ok(())
        });
        Ok(addr)
    }

    /// Reads everything that a server sends.
    async fn fetch(server: SocketAddr) -> io::Result<String> {
        let stream = TcpStream::connect(server).await?;
        let (mut text, mut buffer) = (Vec::new(), [0; 1024]);
        loop {
            match stream.read(&mut buffer).await? {
                0 => return String::from_utf8(text).map_err(io::Error::other),
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Collects the keys until there are no more.
    async fn collect(mut keys: mpsc::UnboundedReceiver<char>) -> String {
        let mut text = String::new();
        while let Some(key) =
            std::future::poll_fn(|cx| std::pin::Pin::new(&mut keys).poll_next(cx)).await
        {
            text.push(key);
        }
        text
    }
}
