//! The blocking pool in dumps: its threads, and its jobs with what awaits them.

use super::*;
use glassfrog::dump::{JobDump, JobState};
use glassfrog::{Builder, Workers};

/// Builds a runtime with this many threads for jobs.
fn with_threads(threads: usize) -> Runtime {
    let builder = Runtime::builder().blocking_threads(threads);
    builder.build().unwrap()
}

/// Lets a job return when it is dropped.
type End = mpsc::Sender<()>;

/// Submits a job that runs until the test ends it, and waits until it has begun.
#[track_caller]
fn hang(builder: task::Builder) -> (JoinHandle<()>, End) {
    let ((begun, has_begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
    let job = builder.spawn_blocking(move || {
        begun.send(()).unwrap();
        // The test may be over.
        let _ended: Result<(), _> = ended.recv();
    });
    has_begun.recv().unwrap();
    (job, end)
}

/// Submits a job with a name, and waits until it has begun.
#[track_caller]
fn hang_named(name: &str) -> (JoinHandle<()>, End) {
    hang(task::Builder::new().name(name))
}

/// Returns the job with this name.
#[track_caller]
fn job<'a>(dump: &'a Dump, name: &str) -> &'a JobDump {
    let mut jobs = dump.pool().jobs().iter();
    let job = jobs.find(|job| job.name() == Some(name));
    job.unwrap_or_else(|| panic!("no job {name:?}:\n{dump}"))
}

/// Returns the line of the text that begins with these words.
#[track_caller]
fn row(dump: &Dump, begin: &str) -> String {
    let text = dump.to_string();
    let row = text.lines().find(|line| line.starts_with(begin));
    row.map_or_else(|| panic!("no row {begin:?}:\n{text}"), String::from)
}

/// Returns the cells of a row. At least two spaces stand between them.
fn cells(row: &str) -> Vec<&str> {
    let cells = row.split("  ").map(str::trim);
    cells.filter(|cell| !cell.is_empty()).collect()
}

/// Returns the pool in the JSON of a dump.
#[track_caller]
fn pool_json(dump: &Dump) -> Json {
    Json::read(&dump.to_json()).unwrap().get("pool").clone()
}

#[test]
fn a_dump_shows_each_running_job_with_its_number_name_place_and_awaiter() {
    block_on(async {
        let line = line!() + 1;
        let (indexer, _end) = hang_named("indexer");
        let id = u64::from(indexer.id());
        let waits = named("waits", indexer);
        let dump = settled().await;
        let (task, seen) = (u64::from(waits.id()), job(&dump, "indexer"));
        assert_eq!((seen.id(), seen.kind()), (id, "job"));
        assert_eq!(seen.state(), JobState::Running);
        assert_eq!(seen.awaited_by(), Some(task));
        let at = seen.location().unwrap();
        assert_eq!((at.file(), at.line()), (file!(), line));
        let pool = dump.pool();
        assert_eq!((pool.threads(), pool.idle_threads()), (1, 0));
        assert_eq!((pool.queued(), pool.oldest_queued()), (0, None));
        let row = row(&dump, &format!("job {id} \"indexer\" "));
        let (place, awaited) = (
            format!("{}:{line}", file!()),
            format!("task {task} \"waits\""),
        );
        let cells = cells(&row);
        assert_eq!(
            (cells[1], cells[3], cells[4]),
            (&*place, "running", &*awaited)
        );
        // The wait names the job in the same way.
        let wait = by_name(&dump, "waits").words()[0].to_string();
        let begin = format!("blocking job {id} \"indexer\" ({place}:");
        assert!(wait.starts_with(&begin), "{wait}");
        let json = pool_json(&dump);
        assert_eq!(json.get("threads").count(), 1);
        let json = &json.get("jobs").list()[0];
        assert_eq!(
            (json.get("id").count(), json.get("name").text()),
            (id, "indexer".into())
        );
        assert_eq!(json.get("file").text(), file!());
        assert_eq!(json.get("line").count(), u64::from(line));
        assert_eq!(json.get("state").text(), "running");
        assert_eq!(json.get("awaited").text(), "task");
        assert_eq!(json.get("awaited_by").count(), task);
    });
}

#[test]
fn a_dump_tells_apart_what_awaits_a_job() {
    block_on(async {
        let (detached, _ends_1) = hang_named("detached");
        drop(detached);
        let (_held, _ends_2) = hang_named("held");
        let (root, _ends_3) = hang_named("of main");
        let (mut foreign, _ends_4) = hang_named("foreign");
        // A waker that belongs to no task of this runtime.
        let polled = thread::spawn(move || {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut foreign).poll(&mut cx).is_pending());
            foreign
        });
        let _foreign = polled.join().unwrap();
        let mut root = pin!(root);
        poll_fn(|cx| {
            assert!(root.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let dump = task::dump();
        let awaited = |name: &str| {
            let json = pool_json(&dump);
            let jobs = json.get("jobs").list();
            let job = jobs.iter().find(|job| job.get("name").text() == name);
            job.unwrap().get("awaited").text()
        };
        for (name, in_json, in_text) in [
            ("detached", "detached", "nothing: its handle was dropped"),
            ("held", "no", "nothing yet"),
            ("of main", "task", "main"),
            ("foreign", "elsewhere", "something outside this runtime"),
        ] {
            assert_eq!(awaited(name), in_json, "{dump}");
            let seen = job(&dump, name);
            let row = row(&dump, &format!("job {} ", seen.id()));
            assert_eq!(cells(&row)[4], in_text, "{dump}");
            assert_eq!(seen.is_detached(), in_json == "detached");
            assert_eq!(seen.awaited_by(), (name == "of main").then_some(0));
        }
    });
}

#[test]
fn a_text_without_jobs_has_no_lines_about_the_pool() {
    block_on(async {
        let dump = task::dump();
        assert!(!dump.to_string().contains("blocking pool"), "{dump}");
        // The thread is still there.
        spawn_blocking(|| ()).await.unwrap();
        while task::dump().pool().idle_threads() == 0 {
            yield_now().await;
        }
        let dump = task::dump();
        assert_eq!(dump.pool().threads(), 1);
        assert!(!dump.to_string().contains("blocking pool"), "{dump}");
        assert_eq!(pool_json(&dump).get("idle").count(), 1);
    });
}

#[test]
fn a_dump_shows_the_oldest_queued_job_and_the_number_of_the_others() {
    let _watchdog = watchdog();
    with_threads(1).block_on(async {
        let (_running, _end) = hang_named("first");
        let queued = task::Builder::new().name("second");
        let second = queued.spawn_blocking(|| ());
        let dump = task::dump();
        assert_eq!(job(&dump, "second").state(), JobState::Queued);
        assert!(dump.pool().oldest_queued() >= Some(job(&dump, "second").lasted()));
        let heading = row(&dump, "blocking pool: ");
        let begin = "blocking pool: 1 thread, 0 idle, 1 job queued for ";
        assert!(heading.starts_with(begin), "{heading}");
        let _others: Vec<_> = (0..19).map(|_| spawn_blocking(|| ())).collect();
        let dump = task::dump();
        assert_eq!(dump.pool().queued(), 20);
        assert_eq!(dump.pool().jobs().len(), 1 + 8);
        let heading = row(&dump, "blocking pool: ");
        assert!(
            heading.contains(", 20 jobs queued, the oldest for "),
            "{heading}"
        );
        let text = dump.to_string();
        let rows = text.lines().filter(|line| line.contains("  queued  "));
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows.len(), 1, "{text}");
        let begin = format!("job {} \"second\"", u64::from(second.id()));
        assert!(rows[0].starts_with(&begin), "{text}");
        let whole = format!("{dump:#}");
        let rows = whole.lines().filter(|line| line.contains("  queued  "));
        assert_eq!(rows.count(), 8, "{whole}");
        assert_eq!(pool_json(&dump).get("queued").count(), 20);
        assert_eq!(pool_json(&dump).get("jobs").list().len(), 1 + 8);
    });
}

#[test]
fn a_dump_finds_the_awaited_job_wherever_it_is_queued() {
    /// Enough for several rounds of the search.
    const MANY: usize = few_or_many(5_000, 1_000_000);
    let _watchdog = watchdog();
    with_threads(1).block_on(async {
        let (_running, _end) = hang_named("first");
        for place in [0, MANY / 2, MANY / 3, MANY - 1] {
            let mut jobs: Vec<_> = (0..MANY).map(|_| spawn_blocking(|| ())).collect();
            let awaited = jobs.swap_remove(place);
            let (id, abort) = (u64::from(awaited.id()), awaited.abort_handle());
            let waits = named("waits", awaited);
            let dump = settled().await;
            assert_eq!(dump.pool().queued(), MANY);
            assert_eq!(dump.pool().jobs().len(), 1 + 8);
            let wait = by_name(&dump, "waits").words()[0].to_string();
            assert!(wait.starts_with(&format!("blocking job {id} (")), "{wait}");
            assert!(wait.contains(", queued"), "{wait}");
            assert_eq!(by_name(&dump, "waits").waits.len(), 1);
            // Cancels all of them. The task has the handle of one.
            jobs.iter().for_each(JoinHandle::abort);
            abort.abort();
            waits.await.unwrap().unwrap_err();
            assert_eq!(task::dump().pool().queued(), 0);
        }
    });
}

#[test]
fn similar_jobs_share_a_line() {
    block_on(async {
        let hanging: Vec<_> = (0..12).map(|_| hang_named("copy")).collect();
        let two: Vec<_> = (0..2).map(|_| hang_named("move")).collect();
        let dump = task::dump();
        let oldest = u64::from(hanging[0].0.id());
        let row = row(&dump, "12 × job \"copy\" ");
        let longest = format!("the longest is job {oldest} \"copy\": nothing yet");
        assert_eq!(cells(&row)[4], longest, "{dump}");
        let text = dump.to_string();
        assert_eq!(text.matches(" \"move\" ").count(), two.len(), "{text}");
        let whole = format!("{dump:#}");
        assert_eq!(whole.matches(" \"copy\" ").count(), 12, "{whole}");
        assert_eq!(pool_json(&dump).get("jobs").list().len(), 14);
    });
}

#[test]
fn a_text_has_few_lines_for_many_different_jobs() {
    block_on(async {
        let names = (0..30).map(|n| n.to_string());
        let _hanging: Vec<_> = names.map(|name| hang_named(&name)).collect();
        let dump = task::dump();
        let text = dump.to_string();
        let rows = text.lines().filter(|line| line.starts_with("job "));
        // With the heading of the table.
        assert_eq!(rows.count(), 1 + 10, "{text}");
        let rest = "and 20 more running jobs, which `{:#}` and the JSON list\n";
        assert!(text.ends_with(rest), "{text}");
        let whole = format!("{dump:#}");
        let rows = whole.lines().filter(|line| line.starts_with("job "));
        assert_eq!(rows.count(), 1 + 30, "{whole}");
    });
}

#[test]
fn a_dump_of_a_busy_loop_shows_the_pool() {
    let dump = told_while(impatient(), |runtime, busy, released| {
        runtime.block_on(async move {
            let (_job, _end) = hang_named("indexer");
            busy.send(Handle::current()).unwrap();
            released.recv().unwrap();
        });
    });
    assert_eq!(
        Json::read(&dump.to_json()).unwrap().get("state").text(),
        "busy"
    );
    assert_eq!(job(&dump, "indexer").state(), JobState::Running);
    let text = dump.to_string();
    assert!(
        text.contains("\nblocking pool: 1 thread, 0 idle, no job queued\n"),
        "{text}"
    );
}

#[test]
fn a_dump_of_a_sleeping_or_ended_runtime_shows_the_pool() {
    let _watchdog = watchdog();
    let runtime = impatient();
    let handle = runtime.handle();
    let (job, _end) = runtime.block_on(async { hang_named("indexer") });
    let ask = || {
        let handle = handle.clone();
        thread::spawn(move || handle.dump()).join().unwrap()
    };
    let dump = ask();
    assert_eq!(
        Json::read(&dump.to_json()).unwrap().get("state").text(),
        "asleep"
    );
    assert_eq!(dump.pool().jobs().len(), 1, "{dump}");
    drop(runtime);
    let dump = ask();
    assert_eq!(
        Json::read(&dump.to_json()).unwrap().get("state").text(),
        "ended"
    );
    assert_eq!(dump.pool().jobs().len(), 1, "{dump}");
    drop(job);
}

#[test]
fn the_pool_of_each_worker_stands_below_its_tasks() {
    let _watchdog = watchdog();
    let workers = Workers::build(Builder::new().test_patience(FAR), 2).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (_end, ended) = mpsc::channel::<()>();
    let _job = workers.handles()[1].spawn_blocking(move || {
        begun.send(()).unwrap();
        ended.recv().is_err()
    });
    has_begun.recv().unwrap();
    let dump = workers.dump();
    let pools = dump.dumps().iter().map(|dump| dump.pool().threads());
    assert_eq!(pools.collect::<Vec<_>>(), [0, 1]);
    let text = dump.to_string();
    let heading = "\nworker 1: blocking pool: 1 thread, 0 idle, no job queued\n";
    assert!(text.contains(heading), "{text}");
    let json = Json::read(&dump.to_json()).unwrap();
    let json = &json.get("workers").list()[1];
    assert_eq!(json.get("pool").get("jobs").list().len(), 1);
}
