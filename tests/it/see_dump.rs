//! Dumps: what they show of each task, its waits and its state. Making one has no effect on tasks, sockets and
//! wakers.

mod ask;
mod fold;
mod pool;
mod workers;

use crate::support::{accepted, block_on, connected, few_or_many, park_on, settle, watchdog};
use crate::task_probes::{OnDrop, Wakes, counted, inside, poll_with};
use futures::channel::oneshot;
use futures::future::{Either, join, join_all, pending, poll_fn, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{AsyncRead as _, FutureExt as _, poll};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{self, JoinHandle, JoinSet, scope, spawn_blocking, yield_now};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Dump, Handle, OnDeadlock, Runtime, spawn};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use std::{io, net};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    /// `null`.
    Null,
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

/// A strict parser of RFC 8259 for the subset that a dump uses: no booleans, no exponents, no negative numbers, no
/// whitespace between tokens.
struct Reader<'a> {
    /// The unread text.
    rest: &'a str,
}

impl Reader<'_> {
    /// Reads one character.
    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Reads an expected text.
    fn expect(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// Reads a value.
    fn value(&mut self) -> Option<Json> {
        match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.list(),
            '"' => self.text().map(Json::Text),
            'n' => self.expect("null").map(|()| Json::Null),
            _ => self.number(),
        }
    }

    /// Reads an object, whose keys must be unique.
    fn object(&mut self) -> Option<Json> {
        let mut members = BTreeMap::new();
        self.expect("{")?;
        while !self.rest.starts_with('}') {
            if !members.is_empty() {
                self.expect(",")?;
            }
            let key = self.text()?;
            self.expect(":")?;
            if members.insert(key, self.value()?).is_some() {
                return None;
            }
        }
        self.expect("}")?;
        Some(Json::Object(members))
    }

    /// Reads an array.
    fn list(&mut self) -> Option<Json> {
        let mut elements = Vec::new();
        self.expect("[")?;
        while !self.rest.starts_with(']') {
            if !elements.is_empty() {
                self.expect(",")?;
            }
            elements.push(self.value()?);
        }
        self.expect("]")?;
        Some(Json::List(elements))
    }

    /// Reads a number.
    fn number(&mut self) -> Option<Json> {
        let is_part = |c: char| c.is_ascii_digit() || c == '.';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let begins_well = whole == "0" || !whole.starts_with('0');
        if !is_digits(whole) || !begins_well || !fraction.is_none_or(is_digits) {
            return None;
        }
        self.rest = rest;
        text.parse().ok().map(Json::Number)
    }

    /// Reads a string.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        self.expect("\"")?;
        loop {
            let c = match self.take()? {
                '"' => return Some(text),
                '\\' => match self.take()? {
                    c @ ('"' | '\\' | '/') => c,
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let (digits, rest) = self.rest.split_at_checked(4)?;
                        self.rest = rest;
                        char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                    }
                    _ => return None,
                },
                c if c < ' ' => return None,
                c => c,
            };
            text.push(c);
        }
    }
}

impl Json {
    /// Parses a text that consists of exactly one value.
    fn read(text: &str) -> Option<Json> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        reader.rest.is_empty().then_some(value)
    }

    /// Returns the value of a key that must exist.
    fn get(&self, key: &str) -> &Json {
        let Json::Object(members) = self else {
            panic!("an object was expected: {self:?}");
        };
        let value = members.get(key);
        value.unwrap_or_else(|| panic!("{key:?} is not in {self:?}"))
    }

    /// Returns the value as a string.
    fn text(&self) -> String {
        match self {
            Json::Text(text) => text.clone(),
            _ => panic!("a string was expected: {self:?}"),
        }
    }

    /// Returns the value as a number.
    fn number(&self) -> f64 {
        match self {
            Json::Number(number) => *number,
            _ => panic!("a number was expected: {self:?}"),
        }
    }

    /// Returns the value as an integer.
    fn count(&self) -> u64 {
        let number = self.number();
        assert_eq!(number.fract(), 0.0, "a whole number was expected");
        number as u64
    }

    /// Returns the value as an array.
    fn list(&self) -> &[Json] {
        match self {
            Json::List(elements) => elements,
            _ => panic!("an array was expected: {self:?}"),
        }
    }

    /// Returns the value unless it is `null`.
    fn maybe<T>(&self, read: impl FnOnce(&Json) -> T) -> Option<T> {
        (*self != Json::Null).then(|| read(self))
    }
}

/// A task, from the JSON of a dump.
#[derive(Clone, Debug)]
struct Task {
    id: u64,
    name: Option<String>,
    place: Option<(String, u64)>,
    joined_by: Option<u64>,
    child_of: Option<u64>,
    age: Option<f64>,
    idle: f64,
    polls: u64,
    state: String,
    waits: Vec<Leaf>,
}

/// The events that it waits for.
#[derive(Clone, Debug)]
struct Leaf {
    kind: String,
    what: String,
    poll: u64,
    seconds_left: Option<f64>,
    holders: Option<u64>,
}

/// Parses the JSON of a dump.
fn json(dump: &Dump) -> Json {
    let text = dump.to_json();
    assert!(!text.contains('\n'), "{text}");
    Json::read(&text).unwrap_or_else(|| panic!("no JSON: {text}"))
}

/// Returns all tasks of a dump, and checks the documented properties of the keys.
fn tasks(dump: &Dump) -> Vec<Task> {
    let json = json(dump);
    assert_eq!(json.get("state").text(), "tasks", "{dump}");
    json.get("tasks").list().iter().map(Task::read).collect()
}

impl Task {
    fn read(json: &Json) -> Task {
        let file = json.get("file").maybe(Json::text);
        let line = json.get("line").maybe(Json::count);
        assert_eq!(file.is_some(), line.is_some(), "{json:?}");
        Task {
            id: json.get("id").count(),
            name: json.get("name").maybe(Json::text),
            place: file.zip(line),
            joined_by: json.get("joined_by").maybe(Json::count),
            child_of: json.get("child_of").maybe(Json::count),
            age: json.get("age").maybe(Json::number),
            idle: json.get("idle").number(),
            polls: json.get("polls").count(),
            state: json.get("state").text(),
            waits: json.get("waits").list().iter().map(Leaf::read).collect(),
        }
    }

    /// Returns the descriptions of its waits.
    fn words(&self) -> Vec<&str> {
        self.waits.iter().map(|leaf| &*leaf.what).collect()
    }

    /// Returns the descriptions in sorted order, for comparison with the expected ones.
    fn sorted(&self) -> Vec<String> {
        let mut words: Vec<String> = self.words().into_iter().map(String::from).collect();
        words.sort();
        words
    }

    /// Returns the kinds of its waits.
    fn kinds(&self) -> Vec<&str> {
        self.waits.iter().map(|leaf| &*leaf.kind).collect()
    }
}

impl Leaf {
    fn read(json: &Json) -> Leaf {
        let kind = json.get("kind").text();
        let of_kind = |wanted: &str, key| match kind == wanted {
            true => json.get(key).maybe(Json::number),
            false => None,
        };
        Leaf {
            what: json.get("what").text(),
            poll: json.get("poll").count(),
            seconds_left: of_kind("timer", "seconds_left"),
            holders: of_kind("outside", "holders").map(|count| count as u64),
            kind,
        }
    }
}

/// Returns the task with this name.
fn by_name(dump: &Dump, name: &str) -> Task {
    let wanted = |task: &Task| task.name.as_deref() == Some(name);
    let mut found = tasks(dump).into_iter().filter(wanted);
    let task = found.next();
    assert!(found.next().is_none(), "{name:?} is there twice:\n{dump}");
    task.unwrap_or_else(|| panic!("{name:?} is missing:\n{dump}"))
}

/// Returns the task with this id.
fn by_id(dump: &Dump, id: u64) -> Task {
    let mut found = tasks(dump).into_iter().filter(|task| task.id == id);
    let task = found.next();
    assert!(found.next().is_none(), "{id} is there twice:\n{dump}");
    task.unwrap_or_else(|| panic!("{id} is missing:\n{dump}"))
}

/// Returns the line of the text that begins with a prefix.
fn line(dump: &Dump, begin: &str) -> String {
    let text = dump.to_string();
    let found = text
        .lines()
        .find(|line| line.trim_start_matches([' ', '└']).starts_with(begin));
    String::from(found.unwrap_or_else(|| panic!("no line begins with {begin}:\n{dump}")))
}

/// Spawns a named task.
#[track_caller]
fn named<F: Future<Output: 'static> + 'static>(name: &str, future: F) -> JoinHandle<F::Output> {
    task::Builder::new().name(name).spawn(future)
}

/// Runs a future on a runtime with a virtual clock.
#[track_caller]
fn virtually<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    runtime.block_on(future)
}

/// Takes a dump when every task waits.
async fn settled() -> Dump {
    settle().await;
    task::dump()
}

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Returns a number of seconds as a duration.
fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Returns both addresses of a stream in the format of a dump.
fn ends(stream: &TcpStream) -> String {
    let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    format!("tcp {local} → {peer}")
}

const OUTSIDE: &str = "something outside glassfrog";

#[test]
fn the_json_parser_of_these_tests_accepts_only_json() {
    for json in [
        r#"{"a":[1,2.5,null,{}],"b":"\u000a\"\\é"}"#,
        "[]",
        "0.0000001",
    ] {
        assert!(Json::read(json).is_some(), "{json}");
    }
    for other in [
        "",
        "[1,]",
        "[,1]",
        "[1 ",
        "{\"a\":1,\"a\":2}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "1e",
        "\"\n\"",
        r#""\x41""#,
        r#""\u00g0""#,
        "[][]",
        "NaN",
        "inf",
    ] {
        assert!(Json::read(other).is_none(), "{other}");
    }
}

#[test]
fn a_dump_shows_id_name_location_age_polls_and_state_of_a_task() {
    let called = (String::from(file!()), u64::from(line!()) + 1);
    virtually(async {
        let place = (String::from(file!()), u64::from(line!()) + 1);
        let _named = named("sleeper", async { sleep(secs(100)).await });
        let _unnamed = glassfrog::spawn(pending::<()>());
        sleep(secs(5)).await;
        let dump = task::dump();
        let seen = by_id(&dump, 1);
        assert_eq!(seen.name.as_deref(), Some("sleeper"));
        assert_eq!(seen.place.as_ref(), Some(&place));
        assert_eq!((seen.polls, &*seen.state), (1, "waiting"));
        // Tasks know the time to 17 ms.
        assert!((seen.age.unwrap() - 5.0).abs() < 0.02, "{seen:?}");
        assert!((seen.idle - 5.0).abs() < 0.02, "{seen:?}");
        let line = line(&dump, "1 \"sleeper\"");
        assert!(line.contains(&format!("{}:{}", place.0, place.1)), "{line}");
        assert!(
            line.ends_with(&format!(
                "  1  waiting  sleep, 1 min 35 s to go ({}:{})",
                place.0, place.1
            )),
            "{line}"
        );

        let unnamed = by_id(&dump, 2);
        assert_eq!(unnamed.name, None);

        let main = by_id(&dump, 0);
        assert_eq!((main.name, main.age), (None, None));
        assert_eq!(main.place, Some(called));
        assert_eq!((main.polls, &*main.state), (2, "running"));
        assert_eq!(main.idle, 0.0);
        assert_eq!(dump.to_string().lines().count(), 4);
    });
}

#[test]
fn a_dump_shows_direction_and_addresses_of_a_socket() {
    block_on(async {
        let (reader, _peer) = accepted().await;
        let (writer, _peer_that_does_not_read) = connected().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let read = format!("read {}", ends(&reader));
        let write = format!("write {}", ends(&writer));
        let accept = format!("accept tcp {}", listener.local_addr().unwrap());
        let _tasks = (
            named(
                "reader",
                async move { reader.read(&mut [0; 1]).await.map(drop) },
            ),
            named("writer", async move {
                while writer.write(&[0; 1 << 16]).await.is_ok() {}
            }),
            named("server", async move { listener.accept().await.map(drop) }),
        );
        let mut dump = settled().await;
        while by_name(&dump, "writer").state != "waiting" {
            dump = settled().await;
        }
        for (name, what) in [("reader", read), ("writer", write), ("server", accept)] {
            let task = by_name(&dump, name);
            assert_eq!(task.state, "waiting");
            assert_eq!((task.words(), task.kinds()), (vec![&*what], vec!["io"]));
            assert_eq!(task.waits[0].poll, task.polls);
            let line = line(&dump, &format!("{} {name:?}", task.id));
            assert!(line.contains(&format!("waiting  {what} for ")), "{line}");
        }
    });
}

/// Elsewhere the destination of a pending connect is unknown.
#[cfg(target_os = "linux")]
#[test]
fn a_dump_shows_the_destination_of_a_connect() {
    use socket2::{Domain, Socket, Type};
    block_on(async {
        for (domain, any) in [(Domain::IPV4, "127.0.0.1:0"), (Domain::IPV6, "[::1]:0")] {
            let any: net::SocketAddr = any.parse().unwrap();
            let deaf = Socket::new(domain, Type::STREAM, None).unwrap();
            deaf.bind(&any.into()).unwrap();
            deaf.listen(0).unwrap();
            let addr = deaf.local_addr().unwrap().as_socket().unwrap();
            // A connection that does not fit into the backlog gets no answer.
            let _fills_it = net::TcpStream::connect(addr).unwrap();
            let connects = [1, 2, 3].map(|_| named("client", TcpStream::connect(addr)));
            let dump = settled().await;
            let clients = tasks(&dump).into_iter();
            let waiting: Vec<Task> = clients
                .filter(|task| task.name.is_some() && task.state == "waiting")
                .collect();
            assert!(waiting.len() >= 2, "{dump}");
            let mut locals: Vec<net::SocketAddr> = waiting
                .iter()
                .map(|task| {
                    let what = task.words().pop().unwrap();
                    let addrs = what.strip_prefix("connect tcp ");
                    let (local, peer) = addrs.unwrap_or(what).split_once(" → ").unwrap();
                    assert_eq!(peer, addr.to_string(), "{what}");
                    local.parse().unwrap()
                })
                .collect();
            assert!(locals.iter().all(|local| local.ip() == addr.ip()));
            locals.dedup();
            assert_eq!(locals.len(), waiting.len());
            for connect in connects {
                connect.abort();
                let _cancelled = connect.await;
            }
        }
    });
}

#[test]
fn a_dump_shows_the_remaining_time_of_a_deadline_by_the_runtime_clock() {
    virtually(async {
        let _sleeper = named("sleeper", sleep(secs(90)));
        let _long = named("long", sleep(secs(3 * 86400 + 7200)));
        let _never = named("never", sleep(Duration::MAX));
        let _brief = named("brief", sleep(Duration::from_millis(30_250)));
        sleep(secs(30)).await;
        let dump = task::dump();
        let leaf = by_name(&dump, "sleeper").waits.remove(0);
        assert_eq!(
            (&*leaf.kind, &*leaf.what),
            ("timer", "sleep, 1 min 0 s to go")
        );
        assert_eq!(leaf.seconds_left, Some(60.0));
        assert_eq!(by_name(&dump, "long").words(), ["sleep, 3 d 1 h to go"]);
        assert_eq!(by_name(&dump, "brief").words(), ["sleep, 250 ms to go"]);
        let never = by_name(&dump, "never");
        assert_eq!(never.words(), ["sleep, forever"]);
        assert_eq!(never.waits[0].seconds_left, None);
    });
}

#[test]
fn a_dump_shows_a_timeout_beside_the_wait_it_limits() {
    virtually(async {
        let (stream, _peer) = accepted().await;
        let read = format!("read {}", ends(&stream));
        let _task = named("limited", async move {
            timeout(secs(9), stream.read(&mut [0; 1])).await.map(drop)
        });
        let dump = settled().await;
        let task = by_name(&dump, "limited");
        assert_eq!(task.sorted(), [read, String::from("sleep, 9.0 s to go")]);
        // One line for each; only the first has the other columns.
        let text = dump.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines
            .iter()
            .position(|line| line.starts_with("1 "))
            .unwrap();
        let column = lines[0].find("waits for").unwrap();
        assert_eq!(lines[first + 1][..column].trim(), "");
        assert_eq!(lines.len(), 4);
    });
}

#[test]
fn an_awaited_task_is_listed_under_its_joiner() {
    block_on(async {
        let inner = named("inner", pending::<()>());
        let remote = Handle::current().spawn(pending::<()>());
        let remote_id = remote.id().to_string();
        let middle = named("middle", inner);
        let _outer = named("outer", async { join(middle, remote).await.0.is_ok() });
        let dump = settled().await;
        let (inner, middle, outer) = (
            by_name(&dump, "inner"),
            by_name(&dump, "middle"),
            by_name(&dump, "outer"),
        );
        let remote = by_id(&dump, remote_id.parse().unwrap());
        assert_eq!(middle.words(), ["join task 1 \"inner\""]);
        assert_eq!(middle.kinds(), ["join"]);
        let mut joins = ["join task 2".to_owned(), format!("join task {remote_id}")];
        joins[if middle.id == 2 { 0 } else { 1 }] = format!("join task {} \"middle\"", middle.id);
        joins.sort();
        assert_eq!(outer.sorted(), joins);
        assert_eq!(inner.joined_by, Some(middle.id));
        assert_eq!(middle.joined_by, Some(outer.id));
        assert_eq!(remote.joined_by, Some(outer.id));
        assert_eq!((outer.joined_by, outer.child_of), (None, None));
        let order: Vec<u64> = tasks(&dump).iter().map(|task| task.id).collect();
        let place = |task: &Task| order.iter().position(|id| *id == task.id).unwrap();
        assert!(place(&outer) < place(&middle));
        assert_eq!(place(&middle) + 1, place(&inner));
        assert!(line(&dump, &format!("{} \"middle\"", middle.id)).starts_with("└ "));
        assert!(line(&dump, "1 \"inner\"").starts_with("  └ "));
    });
}

#[test]
fn a_dump_shows_the_tasks_that_a_set_waits_for() {
    virtually(async {
        let _owner = named("owner", async {
            let mut set = JoinSet::new();
            for seconds in [1, 10, 20] {
                set.spawn(sleep(secs(seconds)));
            }
            while set.join_next().await.is_some() {}
        });
        let dump = settled().await;
        let joins = ["join task 2", "join task 3", "join task 4"];
        assert_eq!(by_name(&dump, "owner").sorted(), joins);
        for id in [2, 3, 4] {
            assert_eq!(by_id(&dump, id).joined_by, Some(1));
        }
        // After the first task has finished, the others remain.
        sleep(secs(2)).await;
        let owner = by_name(&task::dump(), "owner");
        assert_eq!(owner.sorted(), ["join task 3", "join task 4"]);
    });
}

#[test]
fn each_member_of_a_group_and_its_joiner_have_one_row() {
    const MEMBERS: usize = 20;
    virtually(async {
        let _set = named("set", async {
            let mut set = JoinSet::new();
            for _ in 0..MEMBERS {
                set.spawn(sleep(secs(10)));
            }
            while set.join_next().await.is_some() {}
        });
        let _scope = named("scope", async {
            scope(async |s| {
                for _ in 0..MEMBERS {
                    s.spawn(sleep(secs(10)));
                }
            })
            .await;
        });
        let _both = named("both", async {
            let (tasks, last) = (
                [spawn(sleep(secs(10))), spawn(sleep(secs(10)))],
                sleep(secs(20)),
            );
            join(join_all(tasks), last).await
        });
        let dump = settled().await;
        let set = format!("join the {MEMBERS} tasks below for ");
        assert!(line(&dump, "1 \"set\"").contains(&set), "{dump}");
        assert!(line(&dump, "2 \"scope\"").contains("the children of its scope"));
        // Its other wait has a separate line.
        assert!(line(&dump, "3 \"both\"").contains("join the 2 tasks below for "));
        // The headings, `main`, three owners with their members, and that line.
        let lines = 1 + 1 + (1 + MEMBERS) + (1 + MEMBERS) + (1 + 2) + 1;
        assert_eq!(format!("{dump:#}").lines().count(), lines, "{dump:#}");
        // The JSON lists each wait.
        assert_eq!(by_name(&dump, "set").waits.len(), MEMBERS);

        // A finished group leaves no trace.
        sleep(secs(30)).await;
        let dump = settled().await;
        let lines = 1 + 1 + 3;
        assert_eq!(dump.to_string().lines().count(), lines, "{dump}");
    });
}

#[test]
fn tasks_awaited_in_different_polls_form_a_group_with_the_range_of_polls() {
    virtually(async {
        let _owner = named("owner", async {
            let mut set = JoinSet::new();
            for _ in 0..3 {
                set.spawn(sleep(secs(10)));
                let _first = set.join_next().now_or_never();
                yield_now().await;
            }
            while set.join_next().await.is_some() {}
        });
        let dump = settled().await;
        let joins = "join the 3 tasks below, since polls 1 to 3 of 4";
        assert!(line(&dump, "1 \"owner\"").contains(joins), "{dump}");
    });
}

#[test]
fn tasks_that_await_each_other_in_a_cycle_form_no_group() {
    let place: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
    block_on(async {
        // The first task awaits two others, one of which awaits the first.
        let theirs = Rc::clone(&place);
        let first = spawn(async move {
            yield_now().await;
            let others = theirs.take();
            join_all(others).await;
        });
        let circle = spawn(async move { first.await.unwrap() });
        let other = spawn(pending::<()>());
        place.borrow_mut().extend([circle, other]);
        let dump = settled().await;
        assert!(
            line(&dump, "1 ").contains("join the 2 tasks below"),
            "{dump}"
        );
        assert!(line(&dump, "2 ").contains("join task 1 for"), "{dump}");
    });
}

#[test]
fn a_dump_shows_the_name_or_location_of_a_blocking_job() {
    block_on(async {
        let (end, ended) = mpsc::channel::<()>();
        let (place, job) = (line!() + 1, async move {
            spawn_blocking(move || ended.recv()).await.map(drop)
        });
        let _unnamed = named("waits", job);
        let (end_named, ended) = mpsc::channel::<()>();
        let job = task::Builder::new().name("thumbnails");
        let job = job.spawn_blocking(move || ended.recv().is_err());
        let _named = named("waits too", job);
        let dump = settled().await;
        let unnamed = by_name(&dump, "waits");
        assert_eq!(unnamed.kinds(), ["job"]);
        let words = unnamed.words()[0];
        assert!(words.starts_with("blocking job "), "{words}");
        assert!(words.contains(&format!("{}:{place}", file!())), "{words}");
        let named = by_name(&dump, "waits too");
        assert_eq!(named.kinds(), ["job"]);
        assert!(named.words()[0].contains("thumbnails"), "{dump}");
        drop((end, end_named));
    });
}

#[test]
fn a_dump_shows_a_blocking_job_that_waits_for_a_thread() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (end, ended) = mpsc::channel::<()>();
        let first = task::Builder::new().name("first");
        let second = task::Builder::new().name("second");
        let first = named("one", first.spawn_blocking(move || ended.recv().is_err()));
        let _second = named("two", second.spawn_blocking(|| ()));
        let dump = settled().await;
        for (task, job) in [("one", "first"), ("two", "second")] {
            let task = by_name(&dump, task);
            assert_eq!(task.kinds(), ["job"]);
            assert!(task.words()[0].contains(job), "{dump}");
        }
        drop(end);
        assert!(first.await.unwrap().unwrap());
    });
}

#[test]
fn the_children_of_a_scope_are_listed_with_their_waits_under_the_parent() {
    virtually(async {
        let _parent = named("parent", async {
            scope(async |s| {
                s.spawn(sleep(secs(1)));
                s.spawn(scope(async |s| {
                    s.spawn(sleep(secs(2)));
                    s.spawn(pending::<()>());
                }));
            })
            .await;
        });
        let dump = settled().await;
        let parent = by_name(&dump, "parent");
        assert_eq!(
            (parent.kinds(), parent.words()),
            (vec!["children"], vec!["the children of its scope"])
        );
        let children = |of: u64| -> Vec<Task> {
            let all = tasks(&dump).into_iter();
            all.filter(|task| task.child_of == Some(of)).collect()
        };
        let [sleeper, inner] = &children(parent.id)[..] else {
            panic!("{dump}");
        };
        assert_eq!(sleeper.words(), ["sleep, 1.0 s to go"]);
        assert_eq!(inner.kinds(), ["children"]);
        let [nested, stuck] = &children(inner.id)[..] else {
            panic!("{dump}");
        };
        assert_eq!(nested.words(), ["sleep, 2.0 s to go"]);
        assert_eq!(stuck.words(), [OUTSIDE]);
        assert_eq!(stuck.waits[0].holders, None);
        assert!(
            line(&dump, &format!("{} ", nested.id)).starts_with("  └ "),
            "{dump}"
        );
        assert_eq!(nested.place.as_ref().unwrap().0, file!());
    });
}

#[test]
fn the_own_waits_of_a_scope_parent_are_listed_as_its_own() {
    virtually(async {
        let _parent = named("parent", async {
            let children = scope(async |s| {
                s.spawn(sleep(secs(1)));
                sleep(secs(2)).await;
            });
            join(children, sleep(secs(3))).await;
        });
        let dump = settled().await;
        let parent = by_name(&dump, "parent");
        assert_eq!(
            parent.sorted(),
            ["sleep, 2.0 s to go", "sleep, 3.0 s to go"]
        );
        let child = tasks(&dump).pop().unwrap();
        assert_eq!(child.words(), ["sleep, 1.0 s to go"]);
        assert_eq!(child.child_of, Some(parent.id));
    });
}

#[test]
fn a_child_spawned_by_another_child_belongs_to_the_scope() {
    virtually(async {
        let _parent = named("parent", async {
            scope(async |s| {
                let same = s.clone();
                // The child finishes at once; the child that it has spawned does not.
                s.spawn(async move {
                    same.spawn(sleep(secs(1)));
                });
            })
            .await;
        });
        let dump = settled().await;
        let parent = by_name(&dump, "parent");
        assert_eq!(parent.kinds(), ["children"], "{dump}");
        let child = tasks(&dump).pop().unwrap();
        assert_eq!(child.words(), ["sleep, 1.0 s to go"]);
        assert_eq!(child.child_of, Some(parent.id), "{dump}");
    });
}

#[test]
fn a_child_of_a_scope_is_shown_as_running_while_it_is_polled() {
    for in_main in [true, false] {
        block_on(async {
            let dumps = Rc::new(RefCell::new(Vec::new()));
            let noted = Rc::clone(&dumps);
            let parent = scope(async move |s| {
                s.spawn(async move { noted.borrow_mut().push(task::dump()) });
            });
            match in_main {
                true => parent.await,
                false => glassfrog::spawn(parent).await.unwrap(),
            }
            let dump = dumps.borrow_mut().pop().unwrap();
            let child = tasks(&dump)
                .into_iter()
                .find(|task| task.child_of.is_some());
            let child = child.unwrap();
            let parent = by_id(&dump, child.child_of.unwrap());
            assert_eq!(
                (&*parent.state, &*child.state),
                ("running", "running"),
                "{dump}"
            );
        });
    }
}

#[test]
fn a_dump_shows_the_leaves_of_all_branches() {
    virtually(async {
        let (stream, _peer) = accepted().await;
        let read = format!("read {}", ends(&stream));
        let _select = named("select", async move {
            let mut buf = [0; 1];
            let read = pin!(stream.read(&mut buf).map(drop));
            let sleep = pin!(sleep(secs(60)));
            select(read, sleep).await.factor_first();
        });
        let _join_all = named("join_all", join_all([1, 2, 3].map(|n| sleep(secs(n)))));
        let dump = settled().await;
        let select = by_name(&dump, "select");
        assert_eq!(select.sorted(), [&*read, "sleep, 1 min 0 s to go"]);
        let sleeps = [
            "sleep, 1.0 s to go",
            "sleep, 2.0 s to go",
            "sleep, 3.0 s to go",
        ];
        assert_eq!(by_name(&dump, "join_all").sorted(), sleeps);
    });
}

#[test]
fn a_wait_registered_in_an_earlier_poll_is_shown_with_that_poll() {
    virtually(async {
        let place = line!() + 2;
        let _task = named("unordered", async {
            let sleeps = [1, 10, 20].map(|n| sleep(secs(n)));
            let mut sleeps = FuturesUnordered::from_iter(sleeps);
            while sleeps.next().await.is_some() {}
        });
        sleep(secs(2)).await;
        let dump = task::dump();
        let task = by_name(&dump, "unordered");
        let timers: Vec<&Leaf> = task
            .waits
            .iter()
            .filter(|leaf| leaf.kind == "timer")
            .collect();
        let left: Vec<_> = timers
            .iter()
            .map(|leaf| leaf.seconds_left.unwrap())
            .collect();
        assert_eq!(left.iter().sum::<f64>(), 26.0);
        assert!(timers.iter().all(|leaf| leaf.poll == 1));
        let text = dump.to_string();
        for left in ["8.0", "18.0"] {
            let line = format!(
                "sleep, {left} s to go ({}:{place}), since poll 1 of {}
",
                file!(),
                task.polls
            );
            assert!(text.contains(&line), "{text}");
        }
    });
}

#[test]
fn a_wait_that_is_polled_again_belongs_to_the_latest_poll() {
    virtually(async {
        let (stream, _peer) = accepted().await;
        let read = format!("read {}", ends(&stream));
        let (end, ended) = mpsc::channel::<()>();
        let _task = named("all", async move {
            let mut buf = [0; 1];
            let job = spawn_blocking(move || ended.recv().is_err());
            let local = named("local", pending::<()>());
            let remote = Handle::current().spawn(pending::<()>());
            let joins = join(join(local, remote), job);
            let waits = join(stream.read(&mut buf), sleep(secs(60)));
            drop(join(poll_twice(), join(waits, joins)).await);
        });
        settle().await;
        let dump = task::dump();
        let task = by_name(&dump, "all");
        assert!(task.polls > 2);
        assert_eq!(task.waits.len(), 5, "{dump}");
        assert!(task.words().contains(&&*read));
        assert!(
            task.waits.iter().all(|leaf| leaf.poll == task.polls),
            "{dump}"
        );
        assert!(!dump.to_string().contains("since"), "{dump}");
        drop(end);
    });
}

/// Polls the task twice more.
async fn poll_twice() {
    yield_now().await;
    yield_now().await;
}

#[test]
fn a_cancelled_wait_of_an_async_method_is_not_shown() {
    virtually(async {
        let (stream, _peer) = accepted().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_sender, receiver) = oneshot::channel::<()>();
        let _task = named("fickle", async move {
            let (mut waited, mut buf) = (0, [0; 1]);
            {
                let read = pin!(stream.read(&mut buf).map(drop));
                let accept = pin!(listener.accept().map(drop));
                let join = pin!(glassfrog::spawn(pending::<()>()).map(drop));
                let waits = select(select(read, accept), select(join, sleep(secs(60))));
                if let Either::Right(_) = select(waits, sleep(secs(1))).await {
                    waited += 1;
                }
            }
            receiver.await.unwrap();
            waited
        });
        sleep(secs(2)).await;
        let dump = task::dump();
        let task = by_name(&dump, "fickle");
        assert_eq!((task.polls, task.words()), (2, vec![OUTSIDE]), "{dump}");
        assert_eq!(task.waits[0].holders, Some(1));
    });
}

#[test]
fn an_abandoned_wait_of_a_poll_method_is_shown_with_its_poll() {
    virtually(async {
        let (mut stream, _peer) = accepted().await;
        let read = format!("read {}", ends(&stream));
        let _task = named("fickle", async move {
            let gives_up = poll_fn(|cx| {
                let polled = Pin::new(&mut stream).poll_read(cx, &mut [0; 1]);
                assert!(polled.is_pending());
                Poll::Ready(())
            });
            gives_up.await;
            yield_now().await;
            pending::<()>().await;
        });
        settle().await;
        let dump = task::dump();
        let task = by_name(&dump, "fickle");
        assert_eq!((task.polls, task.words()), (2, vec![&*read, OUTSIDE]));
        assert_eq!((task.waits[0].poll, task.waits[1].poll), (1, 2));
        // The waker in the reactor does not count: the task no longer waits for that event.
        assert_eq!(task.waits[1].holders, Some(0), "{dump}");
        assert!(
            dump.to_string()
                .contains(&format!("{read}, since poll 1 of 2\n"))
        );
    });
}

#[test]
fn an_abandoned_wait_of_a_poll_method_is_shown_as_over_after_a_sweep() {
    virtually(async {
        let (stream, _peer) = accepted().await;
        let stream = Rc::new(stream);
        let read = format!("read {}", ends(&stream));
        let given_up = Rc::clone(&stream);
        let _task = named("fickle", async move {
            assert!(poll!(poll_fn(|cx| poll_read(&given_up, cx))).is_pending());
            pending::<()>().await;
        });
        settle().await;
        // Other readers give up too, until the list is full and all its wakers are called.
        while by_name(&task::dump(), "fickle").polls == 1 {
            let (_, waker) = Wakes::new();
            assert!(poll_read(&stream, &mut Context::from_waker(&waker)).is_pending());
            sleep(secs(1)).await;
        }
        let dump = task::dump();
        let task = by_name(&dump, "fickle");
        assert_eq!((task.polls, task.words()), (2, vec![&*read, OUTSIDE]));
        assert_eq!(task.kinds(), ["kept", "outside"]);
        assert_eq!((task.waits[0].poll, task.waits[1].poll), (1, 2));
        let over = format!("{read}, until poll 1 of 2 (the socket still keeps the waker)\n");
        assert!(dump.to_string().contains(&over), "{dump}");
        // The socket keeps the waker until the next sweep but will not call it.
        assert_eq!(task.waits[1].holders, Some(0), "{dump}");
    });
}

/// Reads with the poll method.
fn poll_read(mut stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    Pin::new(&mut stream).poll_read(cx, &mut [0; 1])
}

#[test]
fn a_foreign_wait_is_shown_with_the_number_of_held_wakers() {
    virtually(async {
        let (_sender, receiver) = oneshot::channel::<()>();
        let kept = Rc::new(RefCell::new(Vec::<Waker>::new()));
        let keeps = Rc::clone(&kept);
        let _tasks = (
            named("lost", pending::<()>()),
            named("channel", receiver),
            named(
                "kept",
                poll_fn(move |cx| {
                    keeps
                        .borrow_mut()
                        .extend([1, 2, 3].map(|_| cx.waker().clone()));
                    Poll::<()>::Pending
                }),
            ),
        );
        // Tasks know the time to 17 ms.
        sleep(Duration::from_millis(2050)).await;
        let dump = task::dump();
        for (name, holders, end) in [
            (
                "lost",
                0,
                "for 2.0 s: nothing holds its waker, so nothing will wake it",
            ),
            ("channel", 1, "for 2.0 s (its waker has 1 holder)"),
            ("kept", 3, "for 2.0 s (its waker has 3 holders)"),
        ] {
            let task = by_name(&dump, name);
            assert_eq!(
                (task.kinds(), task.words()),
                (vec!["outside"], vec![OUTSIDE])
            );
            assert_eq!(task.waits[0].holders, Some(holders), "{dump}");
            let line = line(&dump, &format!("{} {name:?}", task.id));
            assert!(
                line.ends_with(&format!("waiting  {OUTSIDE} {end}")),
                "{line}"
            );
        }
        kept.borrow_mut().clear();
        assert_eq!(by_name(&task::dump(), "kept").waits[0].holders, Some(0));
    });
}

/// Runs a future whose tasks form circles on purpose, on a runtime that does not report them.
fn block_on_circles<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    let silent = Runtime::builder().on_deadlock(OnDeadlock::Ignore);
    silent.build().unwrap().block_on(future)
}

#[test]
fn tasks_that_await_each_other_in_a_cycle_are_shown_once_each() {
    block_on_circles(async {
        let mut senders = Vec::new();
        let mut handles = Vec::new();
        for _ in 0..3 {
            let (sender, receiver) = oneshot::channel::<JoinHandle<()>>();
            senders.push(sender);
            handles.push(glassfrog::spawn(async {
                receiver.await.unwrap().await.unwrap();
            }));
        }
        // Task 1 awaits 2, 2 awaits 3, and 3 awaits 1.
        handles.rotate_left(1);
        for (sender, handle) in senders.into_iter().zip(handles) {
            sender.send(handle).unwrap();
        }
        let (sender, receiver) = oneshot::channel::<JoinHandle<()>>();
        let alone = glassfrog::spawn(async { receiver.await.unwrap().await.unwrap() });
        sender.send(alone).unwrap();
        let dump = settled().await;
        let seen: Vec<_> = tasks(&dump)
            .into_iter()
            .map(|task| (task.id, task.joined_by))
            .collect();
        let circle = [(1, Some(3)), (2, Some(1)), (3, Some(2))];
        assert_eq!(seen.len(), 5, "{dump}");
        assert!(circle.iter().all(|task| seen.contains(task)), "{dump}");
        assert!(seen.contains(&(4, Some(4))), "{dump}");
        assert_eq!(dump.to_string().lines().count(), 6);
    });
}

#[test]
fn the_states_are_running_ready_waiting_and_finished() {
    block_on(async {
        let _finished = named("finished", async {});
        let (sender, receiver) = oneshot::channel::<()>();
        let _woken = named("woken", receiver);
        let _waiting = named("waiting", pending::<()>());
        let aborted = named("aborted", pending::<()>());
        settle().await;
        let _new = named("new", pending::<()>());
        sender.send(()).unwrap();
        aborted.abort();
        let dump = task::dump();
        for (name, state, polls) in [
            ("finished", "finished", 1),
            ("woken", "ready", 1),
            ("waiting", "waiting", 1),
            ("aborted", "ready", 1),
            ("new", "ready", 0),
        ] {
            let task = by_name(&dump, name);
            assert_eq!(
                (&*task.state, task.polls),
                (state, polls),
                "{name}:\n{dump}"
            );
            assert_eq!(task.waits.is_empty(), state != "waiting");
        }
        assert_eq!(by_id(&dump, 0).state, "running");
        let itself = named("itself", async { task::dump() });
        let dump = itself.await.unwrap();
        assert_eq!(by_name(&dump, "itself").state, "running");
        assert_eq!(by_id(&dump, 0).state, "waiting");
        assert_eq!(by_id(&dump, 0).words(), ["join task 6 \"itself\""]);
        let (sender, receiver) = oneshot::channel::<()>();
        let wakes = named("wakes", async {
            sender.send(()).unwrap();
            task::dump()
        });
        receiver.await.unwrap();
        assert_eq!(by_id(&wakes.await.unwrap(), 0).state, "ready");
        // A task that was joined, or that nobody can join, is removed.
        let dump = settled().await;
        assert!(tasks(&dump).iter().all(|task| task.id != 6));
    });
}

#[test]
fn a_dump_polls_no_task() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let (stream, _peer) = accepted().await;
        let _tasks = (
            glassfrog::spawn(counted(&polls, pending::<()>())),
            glassfrog::spawn(counted(&polls, sleep(secs(3600)))),
            glassfrog::spawn(counted(
                &polls,
                async move { stream.read(&mut [0; 1]).await },
            )),
            glassfrog::spawn(counted(
                &polls,
                scope(async |s| {
                    s.spawn(pending::<()>());
                }),
            )),
        );
        settle().await;
        let never = glassfrog::spawn(counted(&polls, pending::<()>()));
        let (before, metrics) = (polls.get(), Handle::current().metrics());
        let dump = task::dump();
        drop((dump.to_string(), dump.to_json()));
        assert_eq!(polls.get(), before);
        let after = Handle::current().metrics();
        assert_eq!(after.polls, metrics.polls);
        assert_eq!(
            after.wakes_local + after.wakes_remote,
            metrics.wakes_local + metrics.wakes_remote
        );
        drop(never);
    });
}

#[test]
fn a_dump_calls_clones_and_keeps_no_waker() {
    block_on(async {
        let (stream, _peer) = accepted().await;
        let (wakes, waker) = Wakes::new();
        let mut read = Box::pin(stream.read(&mut []).map(drop));
        assert!(poll_with(&mut read, &waker).is_ready());
        let mut buf = [0; 1];
        let mut read = Box::pin(stream.read(&mut buf).map(drop));
        let mut nap = sleep(secs(3600));
        let mut local = glassfrog::spawn(pending::<()>());
        let mut remote = Handle::current().spawn(pending::<()>());
        let (end, ended) = mpsc::channel::<()>();
        let mut job = spawn_blocking(move || ended.recv().is_err());
        assert!(poll_with(&mut read, &waker).is_pending());
        assert!(poll_with(&mut nap, &waker).is_pending());
        assert!(poll_with(&mut local, &waker).is_pending());
        assert!(poll_with(&mut remote, &waker).is_pending());
        assert!(poll_with(&mut job, &waker).is_pending());
        settle().await;
        let before = Arc::strong_count(&wakes);
        assert_eq!(before, 7);
        let dump = task::dump();
        // This task registered them, whichever waker it used.
        assert_eq!(by_id(&dump, 0).waits.len(), 5, "{dump}");
        assert_eq!((Arc::strong_count(&wakes), wakes.count()), (before, 0));
        drop((read, nap, local, remote, job, waker));
        settle().await;
        assert_eq!(Arc::strong_count(&wakes), 1);
        drop(end);
    });
}

#[test]
fn a_dump_keeps_no_future_and_no_output() {
    block_on(async {
        let alive = Rc::new(());
        let (running, finished) = (Rc::clone(&alive), Rc::clone(&alive));
        let running = glassfrog::spawn(async move {
            let _running = running;
            pending::<()>().await;
        });
        let finished = glassfrog::spawn(async { finished });
        let dump = settled().await;
        running.abort();
        drop((running, finished));
        settle().await;
        assert_eq!(Rc::strong_count(&alive), 1);
        drop(dump);
    });
}

#[test]
fn sockets_may_leave_on_other_threads_during_dumps() {
    let _watchdog = watchdog();
    // The loop still works although dumps keep it busy.
    let runtime = Runtime::builder().watchdog(secs(3600)).build().unwrap();
    runtime.block_on(async {
        let waiting = join_all((0..20).map(|_| accepted())).await;
        let (readers, _peers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        for stream in readers {
            drop(glassfrog::spawn(async move {
                drop(stream.read(&mut [0; 1]).await);
            }));
        }
        let free = join_all((0..100).map(|_| accepted())).await;
        let (streams, _peers): (Vec<_>, Vec<_>) = free.into_iter().unzip();
        settle().await;
        let dumps = Arc::new(AtomicUsize::new(0));
        let made = Arc::clone(&dumps);
        let thread = thread::spawn(move || {
            let mut errors = Vec::new();
            for stream in streams {
                let before = made.load(Ordering::SeqCst);
                while made.load(Ordering::SeqCst) == before {
                    thread::yield_now();
                }
                // Another dump is in progress.
                errors.extend(net::TcpStream::try_from(stream).err());
            }
            errors
        });
        while !thread.is_finished() {
            drop(task::dump());
            dumps.fetch_add(1, Ordering::SeqCst);
        }
        let errors = thread.join().unwrap();
        assert!(errors.is_empty(), "{errors:?}");
    });
}

#[test]
fn a_parked_loop_answers_a_dump_from_another_thread() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().test_patience(FAR).build().unwrap();
    let dump = runtime.block_on(async {
        let handle = Handle::current();
        let (sender, receiver) = oneshot::channel();
        thread::spawn(move || sender.send(handle.dump()).unwrap());
        receiver.await.unwrap()
    });
    let main = by_id(&dump, 0);
    assert_eq!((&*main.state, main.polls), ("waiting", 1));
    assert_eq!(
        (main.words(), main.waits[0].holders),
        (vec![OUTSIDE], Some(1))
    );
}

/// How long a dump waits in tests for a loop that does not answer: the documented second, where tests may take long.
const LITTLE: Duration = Duration::from_millis(few_or_many(100, 1000) as u64);

/// Builds a runtime whose loop has this long to answer.
fn impatient() -> Runtime {
    let builder = Runtime::builder();
    let builder = match cfg!(feature = "slow") {
        true => builder,
        false => builder.test_patience(LITTLE),
    };
    builder.build().unwrap()
}

/// Takes a dump from another thread while a closure blocks the loop. The closure sends the handle and blocks until
/// the dump is done.
fn told_while(
    runtime: Runtime,
    block: impl FnOnce(Runtime, mpsc::Sender<Handle>, mpsc::Receiver<()>),
) -> Dump {
    let _watchdog = watchdog();
    let (busy, is_busy) = mpsc::channel::<Handle>();
    let (release, released) = mpsc::channel();
    let asks = thread::spawn(move || {
        let dump = is_busy.recv().unwrap().dump();
        release.send(()).unwrap();
        dump
    });
    block(runtime, busy, released);
    asks.join().unwrap()
}

#[test]
fn a_dump_of_a_busy_loop_names_the_task_that_blocks_it() {
    let place = line!() + 3;
    let dump = told_while(impatient(), |runtime, busy, released| {
        runtime.block_on(async move {
            let task = named("stuck", async move {
                busy.send(Handle::current()).unwrap();
                released.recv().unwrap();
            });
            task.await.unwrap();
        });
    });
    // A debug build watches the polls, and so knows more of them.
    let who = match cfg!(debug_assertions) {
        true => format!(
            "poll 1 of task 1 \"stuck\" (spawned at {}:{place}:",
            file!()
        ),
        false => String::from("poll 1 of task 1"),
    };
    let text = dump.to_string();
    let begin = format!("the loop does not answer: it has been in {who}");
    assert!(text.starts_with(&begin), "{text}");
    assert!(
        text.contains(" for at least ") && text.ends_with("s\n"),
        "{text}"
    );
    let json = json(&dump);
    assert_eq!(json.get("state").text(), "busy");
    assert!(json.get("what").text().starts_with(&who));
    assert_eq!((json.get("task").count(), json.get("poll").count()), (1, 1));
    assert!(json.get("seconds").number() >= LITTLE.as_secs_f64());
    assert!(json.get("tasks").list().is_empty());
}

#[test]
fn a_dump_of_a_loop_blocked_by_the_root_future_says_so() {
    let place = line!() + 2;
    let dump = told_while(impatient(), |runtime, busy, released| {
        runtime.block_on(async move {
            yield_now().await;
            busy.send(Handle::current()).unwrap();
            released.recv().unwrap();
        });
    });
    let json = json(&dump);
    assert_eq!((json.get("task").count(), json.get("poll").count()), (0, 2));
    let who = match cfg!(debug_assertions) {
        true => format!(
            "poll 2 of the future of `block_on` (called at {}:{place}:",
            file!()
        ),
        false => String::from("poll 2 of task main"),
    };
    let what = json.get("what").text();
    assert!(what.starts_with(&who), "{what}");
}

#[test]
fn the_id_and_the_description_of_the_blocking_task_agree_in_a_scope() {
    let dump = told_while(impatient(), |runtime, busy, released| {
        runtime.block_on(scope(async move |s| {
            s.spawn(async move {
                busy.send(Handle::current()).unwrap();
                released.recv().unwrap();
            });
        }));
    });
    let json = json(&dump);
    let (task, what) = (json.get("task").count(), json.get("what").text());
    let is_main = what.contains("the future of `block_on`") || what.ends_with("task main");
    assert_eq!(is_main, task == 0, "task {task}: {what}");
    assert!(
        is_main || what.contains(&format!("of task {task}")),
        "task {task}: {what}"
    );
}

#[test]
fn a_dump_does_not_overstate_how_long_a_loop_was_busy() {
    let (began, begin) = mpsc::channel();
    let dump = told_while(impatient(), |runtime, busy, released| {
        runtime.block_on(async move {
            // Another task of the same turn takes long too.
            drop(glassfrog::spawn(async { thread::sleep(2 * LITTLE) }));
            let task = glassfrog::spawn(async move {
                began.send(Instant::now()).unwrap();
                busy.send(Handle::current()).unwrap();
                released.recv().unwrap();
            });
            task.await.unwrap();
        });
    });
    // Tasks know the time to 17 ms.
    let truth = begin.recv().unwrap().elapsed() + Duration::from_millis(17);
    let told = json(&dump).get("seconds").number();
    assert!(told <= truth.as_secs_f64(), "{told} s instead of {truth:?}");
}

#[test]
fn a_dump_of_a_runtime_outside_block_on_says_so() {
    let _watchdog = watchdog();
    let runtime = impatient();
    let handle = runtime.handle();
    let asleep = || {
        let dump = handle.dump();
        let text = dump.to_string();
        assert_eq!(
            text,
            "the loop is not running: no thread is inside `block_on` or a turn\n"
        );
        let json = json(&dump);
        assert_eq!(json.get("state").text(), "asleep");
        assert!(json.get("tasks").list().is_empty());
    };
    asleep();
    runtime.block_on(async { drop(glassfrog::spawn(pending::<()>())) });
    asleep();
    // The answer to the earlier request has no receiver.
    let dump = runtime.block_on(settled());
    assert_eq!(tasks(&dump).len(), 2);
}

#[test]
fn a_dump_of_a_dropped_runtime_says_so() {
    let _watchdog = watchdog();
    let handle = block_on(async { Handle::current() });
    let dump = handle.dump();
    assert_eq!(dump.to_string(), "the runtime has ended\n");
    assert_eq!(json(&dump).get("state").text(), "ended");
    assert!(json(&dump).get("tasks").list().is_empty());
}

#[test]
fn a_dump_of_a_runtime_that_ends_meanwhile_says_so() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().test_patience(FAR).build().unwrap();
    let handle = runtime.handle();
    let (asking, is_asking) = mpsc::channel();
    let asks = thread::spawn(move || {
        asking.send(()).unwrap();
        handle.dump()
    });
    is_asking.recv().unwrap();
    // Usually the thread has asked by then; if not, the answer is the same.
    thread::sleep(LITTLE);
    drop(runtime);
    let dump = asks.join().unwrap();
    assert_eq!(dump.to_string(), "the runtime has ended\n");
}

#[test]
fn a_destructor_of_a_task_may_take_a_dump() {
    let dumps = Rc::new(RefCell::new(Vec::new()));
    let on_drop = || {
        let dumps = Rc::clone(&dumps);
        OnDrop(move || {
            let made = catch_unwind(AssertUnwindSafe(|| {
                (task::dump(), Handle::current().dump())
            }));
            dumps.borrow_mut().push(made.is_ok());
        })
    };
    let forever = |probe: OnDrop<_>| async move {
        let _probe = probe;
        pending::<()>().await;
    };
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        // Dropped by an abort, at the end of a task, and in an untaken output.
        let aborted = glassfrog::spawn(forever(on_drop()));
        settle().await;
        aborted.abort();
        let output = on_drop();
        let finished = glassfrog::spawn(async { output });
        settle().await;
        drop((aborted, finished));
        let children = [forever(on_drop()), forever(on_drop())];
        drop(glassfrog::spawn(scope(async |s| {
            for child in children {
                s.spawn(child);
            }
        })));
        drop(glassfrog::spawn(forever(on_drop())));
        let never_polled = on_drop();
        settle().await;
        drop(glassfrog::spawn(forever(never_polled)));
    });
    assert_eq!(*dumps.borrow(), [true; 2]);
    drop(runtime);
    assert_eq!(*dumps.borrow(), [true; 6]);
}

#[test]
fn waits_of_other_runtimes_and_executors_are_not_attributed_to_a_task() {
    let _watchdog = watchdog();
    let home = Runtime::new().unwrap();
    let (one, two, _peers) = home.block_on(async {
        // Task 1, the same id as in the other runtime.
        drop(named("innocent", pending::<()>()));
        let ((one, peer), (two, second_peer)) = (accepted().await, accepted().await);
        (one, two, (peer, second_peer))
    });
    let remote = home.handle().spawn(pending::<()>());
    let nap = inside(&home, || sleep(secs(3600)));
    let (tell, told) = mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let (end_too, ended_too) = oneshot::channel::<()>();
    let guest = thread::spawn(move || {
        glassfrog::block_on(async {
            drop(named("guest", async move {
                let mut buf = [0; 1];
                let read = one.read(&mut buf).map(drop).boxed();
                drop(select(read, join(remote, nap)).await);
            }));
            tell.send(settled().await).unwrap();
            let _dropped = ended.await;
        });
    });
    let guests = told.recv().unwrap();
    let (tell, told) = mpsc::channel();
    let other = thread::spawn(move || {
        let mut buf = [0; 1];
        let mut read = pin!(two.read(&mut buf).map(drop));
        park_on(async {
            assert!(poll!(&mut read).is_pending());
            tell.send(()).unwrap();
            let _dropped = ended_too.await;
        });
    });
    told.recv().unwrap();
    let dump = home.block_on(settled());
    let innocent = by_name(&dump, "innocent");
    assert_eq!(
        (innocent.id, innocent.words()),
        (1, vec![OUTSIDE]),
        "{dump}"
    );
    assert_eq!(innocent.waits[0].holders, Some(0));
    assert!(
        tasks(&dump).iter().all(|task| task.joined_by.is_none()),
        "{dump}"
    );
    assert!(!dump.to_string().contains("tcp"), "{dump}");
    let guest_task = by_name(&guests, "guest");
    assert_eq!(
        (guest_task.id, guest_task.words()),
        (1, vec![OUTSIDE]),
        "{guests}"
    );
    assert!(guest_task.waits[0].holders >= Some(1));
    drop((end, end_too));
    guest.join().unwrap();
    other.join().unwrap();
}

#[test]
fn a_dump_lists_ten_thousand_tasks() {
    virtually(async {
        for second in 1..=10_000 {
            drop(glassfrog::spawn(sleep(secs(second))));
        }
        settle().await;
        let dump = task::dump();
        let tasks = tasks(&dump);
        assert_eq!(tasks.len(), 10_001);
        for (id, task) in tasks.iter().enumerate() {
            assert_eq!(task.id, id as u64);
            let left = task.waits.first().and_then(|leaf| leaf.seconds_left);
            assert_eq!(left, (id > 0).then_some(id as f64));
        }
        assert_eq!(format!("{dump:#}").lines().count(), 10_002);
    });
}

#[test]
fn the_columns_of_a_dump_are_aligned() {
    virtually(async {
        let wide = named(&"é→🐸".repeat(9), pending::<()>());
        aligned(&task::dump());
        let _tasks = (
            named("outer", named("inner", timeout(secs(5), wide))),
            glassfrog::spawn(async {}),
        );
        for _ in 0..200 {
            yield_now().await;
        }
        sleep(secs(1)).await;
        let dump = task::dump();
        aligned(&dump);
        assert_eq!(dump.to_string().lines().count(), 7, "{dump}");
    });
}

/// Asserts that the columns of a dump are aligned with their headings.
fn aligned(dump: &Dump) {
    let text = dump.to_string();
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let heads: String = rows[0].iter().collect();
    let place = |head: &str| heads.find(head).unwrap();
    let is_blank = |cells: &[char]| cells.iter().all(|c| *c == ' ');
    let last = place("waits for");
    // No column is wider than necessary.
    let longest = place("spawned at") - 3;
    assert!(rows.iter().any(|row| row[longest] != ' '), "{text}");
    for row in &rows[1..] {
        assert_ne!(row.last(), Some(&' '), "{text}");
        if let Some(first) = row.get(last) {
            assert!(*first != ' ' && is_blank(&row[last - 2..last]), "{text}");
        }
        // The further lines of a task contain only its waits.
        if row[0] == ' ' && is_blank(&row[..last]) {
            continue;
        }
        for begin in ["spawned at", "state"].map(place) {
            assert!(
                row[begin] != ' ' && is_blank(&row[begin - 2..begin]),
                "{text}"
            );
        }
        for end in ["age", "polls"].map(|head| place(head) + head.len()) {
            assert!(
                row[end - 1] != ' ' && is_blank(&row[end..end + 2]),
                "{text}"
            );
        }
    }
}

/// A name with every character that needs escaping.
const WILD: &str = "two\nlines \"quoted\" back\\slash \t\r\u{0}\u{1b}[31m\u{7f}\u{85}é🐸\u{202e}";

#[test]
fn a_task_name_is_escaped_in_text_and_json() {
    block_on(async {
        let task = named(WILD, pending::<()>());
        let _joins = named("joins", task);
        let dump = settled().await;
        let text = dump.to_string();
        assert_eq!(text.lines().count(), 4, "{text}");
        let bare = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(bare), "{text:?}");
        assert!(text.contains(&format!("1 {WILD:?}")));
        let wild = by_name(&dump, WILD);
        assert_eq!(wild.id, 1);
        assert_eq!(
            by_name(&dump, "joins").words(),
            [format!("join task 1 {WILD:?}")]
        );
        assert!(!dump.to_json().contains(char::is_control));
    });
}

#[test]
fn a_job_name_is_escaped_in_text_and_json() {
    block_on(async {
        let (end, ended) = mpsc::channel::<()>();
        let job = task::Builder::new().name(WILD);
        let _waits = named("waits", job.spawn_blocking(move || ended.recv().is_err()));
        let dump = settled().await;
        assert_eq!(by_name(&dump, "waits").kinds(), ["job"]);
        let text = dump.to_string();
        drop(end);
        assert!(!dump.to_json().contains(char::is_control));
        // The heading, `main`, the task, and three lines about the pool.
        assert_eq!(text.lines().count(), 6, "{text:?}");
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    });
}
