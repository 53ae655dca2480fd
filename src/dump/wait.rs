//! [`Wait`]: what a task in a dump waits for.

use super::Time;
use super::text::QuotedLabel;
use crate::traces::Trace;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Something that a task in a [`Dump`](super::Dump) waits for.
///
/// The [`Display`](fmt::Display) implementation prints what the task waits for, as in the text of the dump, and where the
/// wait began, if that is known.
///
/// # Examples
///
/// ```
/// use glassfrog::task;
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     task::Builder::new().name("sleeper").spawn(sleep(Duration::MAX));
///     task::yield_now().await;
///     let dump = task::dump();
///     let wait = &dump.find_by_name("sleeper").unwrap().waits()[0];
///     assert_eq!((wait.kind(), wait.poll()), ("timer", 1));
///     assert!(wait.to_string().starts_with("sleep, forever"));
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Wait {
    /// What the task waits for.
    pub(crate) what: What,
    /// The poll in which the task left its waker.
    pub(crate) poll: u32,
    /// Where the program began the wait, if that is known.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The ids of the tasks of this runtime that must act before the wait ends.
    pub(crate) blocked_by: Vec<u64>,
    /// The ids in groups of such tasks. The wait lasts as long as no task of one of the groups acts.
    pub(crate) groups: Vec<Vec<u64>>,
    /// The receiver that somebody must use before the wait ends, if nobody has used it yet.
    pub(crate) unused: Option<Unused>,
    /// The stack of the thread when the wait began, if the runtime traces waits. It is resolved when the dump is
    /// printed, and its chain of async functions stands below the wait.
    pub(crate) trace: Option<Trace>,
    /// The number of labels around this one. The text is indented accordingly.
    pub(crate) depth: u16,
    /// How long the wait has lasted, if the task has declared it. Other waits are known since a poll.
    pub(crate) lasted: Option<Duration>,
    /// How often the task has begun such a wait and dropped it before it completed.
    pub(crate) given_up: u32,
    /// How often such a wait has completed since the task dropped one first.
    pub(crate) completed: u32,
}

/// A receiver that has never been used. The task that made it may have given it away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unused {
    /// The id of the task that made it.
    pub(crate) maker: u64,
    /// The time since then.
    pub(crate) age: Duration,
    /// The address of the channel, which identifies it.
    pub(crate) channel: usize,
}

/// The things that a task can wait for.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A socket, with its description.
    Io(String),
    /// A socket, with its description. The wait is over, but the socket still keeps the waker.
    Kept(String),
    /// A deadline, with the time until then; `None` if it is never reached.
    Timer(Option<Duration>),
    /// The end of a task.
    Join {
        /// The id of the task.
        id: u64,
        /// The label of the task.
        task: String,
    },
    /// A blocking job, with its description.
    Job(String),
    /// The children of a scope, which are listed under the task with their own waits.
    Children,
    /// Something that the program has described.
    Label(String),
    /// A lock, a channel or another primitive of `sync`.
    Sync {
        /// The `kind` in JSON, such as `"lock"`.
        kind: &'static str,
        /// The subject, such as `lock "accounts" (made at src/bank.rs:12)`.
        subject: String,
        /// The state, which follows the subject after a comma or a colon.
        state: String,
        /// The id of the task that has the other end of a channel, if it is known. The state ends with what it does.
        other_end: Option<u64>,
        /// Where the primitive was made, unless the subject says so.
        origin: Option<String>,
    },
    /// Something outside glassfrog, with the number of other references to the task's waker, if it is known.
    Outside(Option<usize>),
    /// The end of the [`Workers`](crate::Workers): the root future of a worker waits for nothing else.
    Idle,
}

/// The number of waits that were given up below which the text does not mention them. A timeout that ends a wait now and
/// then is no fault.
const FEWEST_GIVEN_UP: u32 = 8;

/// The number of completed waits for each one that was given up above which the text does not mention them. A heartbeat
/// that interrupts a busy connection is no fault.
const MOST_COMPLETED: u32 = 10;

impl Wait {
    /// Creates a wait that began in a poll, with the details that most waits have.
    pub(crate) fn new(what: What, poll: u32) -> Wait {
        let blocked_by = match what {
            What::Join { id, .. } => vec![id],
            _ => Vec::new(),
        };
        Wait {
            what,
            poll,
            location: None,
            blocked_by,
            groups: Vec::new(),
            unused: None,
            trace: None,
            depth: 0,
            lasted: None,
            given_up: 0,
            completed: 0,
        }
    }

    /// Displays the place where the wait began, after what the task waits for.
    pub(super) fn place(&self) -> String {
        match (self.location, &self.what) {
            (None, _) => String::new(),
            // The description of a primitive ends with a place of its own.
            (Some(at), What::Sync { .. }) => {
                format!("; waiting at {}:{}", at.file(), at.line())
            }
            (Some(at), _) => format!(" ({}:{})", at.file(), at.line()),
        }
    }

    /// Returns whether the task has given up such waits so often that the text says so.
    pub(super) fn is_often_given_up(&self) -> bool {
        let (given_up, completed) = (self.given_up, self.completed);
        given_up >= FEWEST_GIVEN_UP && given_up.saturating_mul(MOST_COMPLETED) >= completed
    }

    /// Says how often the task has given up such waits, after the rest of the line; an empty text if that was rarely.
    pub(super) fn given_up_text(&self) -> String {
        let (given_up, completed) = (self.given_up, self.completed);
        match completed {
            _ if !self.is_often_given_up() => String::new(),
            0 => format!(": begun and dropped {given_up} times by this task without completing"),
            _ => format!(
                ": begun and dropped {given_up} times by this task, while {completed} completed"
            ),
        }
    }

    /// Returns the kind of the thing that the task waits for: the `kind` in the [JSON](super::Dump::to_json).
    ///
    /// # Examples
    ///
    /// See [`Wait`].
    pub fn kind(&self) -> &'static str {
        self.what.kind()
    }

    /// Returns the number of the poll in which the task left its waker. If it is less than the number of the task's
    /// polls, the wait may be over.
    ///
    /// # Examples
    ///
    /// See [`Wait`].
    pub fn poll(&self) -> u32 {
        self.poll
    }

    /// Returns the place where the program began the wait, if that is known.
    ///
    /// # Examples
    ///
    /// ```
    /// for (task, wait) in glassfrog::block_on(async { glassfrog::task::dump() }).waits() {
    ///     if let Some(at) = wait.location() {
    ///         println!("task {} waits at {at}", task.id());
    ///     }
    /// }
    /// ```
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns how many times the task has begun this wait and dropped it before it completed.
    ///
    /// A task gives up a wait when it drops the future, as a `select` or a [`timeout`](crate::time::timeout()) does when the
    /// other future is ready first. That is harmless if the future is *cancel safe*. Otherwise the task loses what the
    /// future has done: `read_exact` loses the bytes that it has read. If a task has given up the same wait at least eight
    /// times, and at least once for ten waits that completed meanwhile, the text of the dump says so:
    ///
    /// ```text
    /// read tcp 127.0.0.1:40116 → 127.0.0.1:80 for 3 ms: begun and dropped 160 times by this task without completing
    /// ```
    ///
    /// The waits for one direction of a socket count as the same, and so do the waits for a primitive of `sync` that began
    /// at the same place. Waits for sleeps, tasks, jobs, labels, cancellation tokens and oneshot channels are not counted.
    ///
    /// # Precision
    ///
    /// The number is exact for the methods of sockets, such as `read` and `accept`, and for `sync`. For the traits of
    /// `futures-io`, it is a lower bound. The socket compares the buffer of a read with that of the read before, so it
    /// sees that the next one begins elsewhere, but not that it begins anew with the same buffer. It does not see what
    /// happens above the buffer of a `BufReader` or of TLS.
    ///
    /// # Examples
    ///
    /// This client waits for a reply of eight bytes, and gives up at each tick. The future of `read_exact` then drops the
    /// bytes that have arrived, so the reply is never complete:
    ///
    #[cfg_attr(feature = "prelude", doc = "```")]
    #[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
    /// use glassfrog::net::{TcpListener, TcpStream};
    /// use glassfrog::prelude::*;
    /// use glassfrog::task;
    /// use glassfrog::time::{sleep, timeout};
    /// use std::time::Duration;
    ///
    /// const TICK: Duration = Duration::from_millis(2);
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (server, _) = listener.accept().await?;
    /// let client = task::Builder::new().name("client").spawn(async move {
    ///     let mut reply = [0; 8];
    ///     while timeout(TICK, stream.read_exact(&mut reply)).await.is_err() {
    ///         // Something else is due at each tick.
    ///     }
    /// });
    /// let text = loop {
    ///     server.write(b"x").await?;
    ///     sleep(4 * TICK).await;
    ///     let dump = task::dump();
    ///     let client = dump.find_by_name("client").unwrap();
    ///     let read = client.waits().iter().find(|wait| wait.kind() == "io");
    ///     if let Some(read) = read.filter(|read| read.given_up() >= 8) {
    ///         break read.to_string();
    ///     }
    /// };
    /// assert!(text.contains("times by this task without completing"), "{text}");
    /// # client.abort();
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// Keep the future outside the loop, and poll it by reference. Then a tick drops nothing:
    ///
    #[cfg_attr(feature = "prelude", doc = "```")]
    #[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # use glassfrog::prelude::*;
    /// # use glassfrog::time::timeout;
    /// # use std::time::Duration;
    /// # const TICK: Duration = Duration::from_millis(2);
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (server, _) = listener.accept().await?;
    /// # glassfrog::spawn(async move {
    /// #     for _ in 0..8 {
    /// #         server.write(b"x").await?;
    /// #         glassfrog::time::sleep(4 * TICK).await;
    /// #     }
    /// #     std::io::Result::Ok(())
    /// # });
    /// let mut reply = [0; 8];
    /// let mut read = stream.read_exact(&mut reply);
    /// loop {
    ///     if let Ok(result) = timeout(TICK, &mut read).await {
    ///         break result;
    ///     }
    /// }
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn given_up(&self) -> u32 {
        self.given_up
    }

    /// Returns the ids of the tasks of the same runtime that must act before the wait ends: the task that is joined, the
    /// children of the scope, or the tasks that have taken the lock.
    ///
    /// A task that has taken an owned guard or permit and waits for the next has probably given the first away, so it does
    /// not block itself. For the same reason, the result leaves out a task that has taken several owned permits of the
    /// semaphore. It contains no holder of a permit that another holder can replace.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    ///
    /// glassfrog::block_on(async {
    ///     let slow = task::Builder::new().name("slow");
    ///     let slow = slow.spawn(std::future::pending::<()>());
    ///     task::Builder::new().name("waits").spawn(slow);
    ///     task::yield_now().await;
    ///     let dump = task::dump();
    ///     let (slow, waits) = (dump.find_by_name("slow"), dump.find_by_name("waits"));
    ///     let (slow, waits) = (slow.unwrap(), waits.unwrap());
    ///     assert_eq!(waits.waits()[0].blocked_by(), [slow.id()]);
    ///     assert_eq!(slow.joined_by(), Some(waits.id()));
    /// });
    /// ```
    pub fn blocked_by(&self) -> &[u64] {
        &self.blocked_by
    }
}

impl What {
    /// Returns the `kind` in JSON.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            What::Io(_) => "io",
            What::Kept(_) => "kept",
            What::Timer(_) => "timer",
            What::Join { .. } => "join",
            What::Job(_) => "job",
            What::Children => "children",
            What::Label(_) => "label",
            What::Sync { kind, .. } => kind,
            What::Outside(_) => "outside",
            What::Idle => "idle",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Io(text) | What::Kept(text) | What::Job(text) => f.write_str(text),
            What::Sync {
                subject,
                state,
                origin,
                ..
            } => {
                write!(f, "{subject}{state}")?;
                match origin {
                    Some(origin) => write!(f, "; {origin}"),
                    None => Ok(()),
                }
            }
            What::Join { task, .. } => write!(f, "join task {task}"),
            What::Timer(None) => f.write_str("sleep, forever"),
            What::Timer(Some(Duration::ZERO)) => f.write_str("sleep, due now"),
            What::Timer(Some(left)) => write!(f, "sleep, {} to go", Time(*left)),
            What::Children => f.write_str("the children of its scope"),
            What::Label(text) => QuotedLabel(text).fmt(f),
            What::Outside(_) => f.write_str("something outside glassfrog"),
            What::Idle => f.write_str("idle"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.what, self.place(), self.given_up_text())
    }
}
