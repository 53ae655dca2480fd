//! Asking a dump for its tasks, waits and circles.

use super::*;
use glassfrog::dump::TaskState;

#[test]
fn the_tasks_of_a_dump_agree_with_its_json() {
    virtually(async {
        let (stream, _peer) = accepted().await;
        let inner = named(
            "inner",
            async move { stream.read(&mut [0; 1]).await.map(drop) },
        );
        let _outer = named("outer", async { inner.await.unwrap() });
        let _scope = named(
            "scope",
            scope(async |s| {
                s.spawn(sleep(secs(9)));
                s.spawn(pending::<()>());
            }),
        );
        let _finished = spawn(async {});
        sleep(secs(1)).await;
        let dump = task::dump();
        let json = tasks(&dump);
        assert_eq!(dump.tasks().len(), json.len());
        for (task, json) in dump.tasks().iter().zip(&json) {
            assert_eq!(task.id(), json.id);
            assert_eq!(task.name(), json.name.as_deref());
            let place = task
                .location()
                .map(|at| (String::from(at.file()), u64::from(at.line())));
            assert_eq!(place, json.place);
            assert_eq!(u64::from(task.polls()), json.polls);
            assert_eq!(task.age().map(|age| age.as_secs_f64()), json.age);
            assert_eq!(task.idle().as_secs_f64(), json.idle);
            assert_eq!(format!("{:?}", task.state()).to_lowercase(), json.state);
            assert_eq!(
                (task.joined_by(), task.child_of()),
                (json.joined_by, json.child_of)
            );
            assert_eq!(task.waits().len(), json.waits.len());
            for (wait, json) in task.waits().iter().zip(&json.waits) {
                assert_eq!(
                    (wait.kind(), u64::from(wait.poll())),
                    (&*json.kind, json.poll)
                );
                assert!(wait.to_string().starts_with(&json.what), "{wait}");
            }
        }
        let waits: usize = dump.tasks().iter().map(|task| task.waits().len()).sum();
        assert_eq!(dump.waits().count(), waits);
    });
}

#[test]
fn a_wait_names_the_tasks_that_block_it() {
    virtually(async {
        let inner = named("inner", pending::<()>());
        let _outer = named("outer", inner);
        let _parent = named(
            "parent",
            scope(async |s| {
                s.spawn(sleep(secs(9)));
                s.spawn(sleep(secs(9)));
            }),
        );
        let dump = settled().await;
        let blocked_by = |name| {
            let waits = dump.find_by_name(name).unwrap().waits();
            assert_eq!(waits.len(), 1, "{dump}");
            waits[0].blocked_by().to_vec()
        };
        assert_eq!(blocked_by("outer"), [1]);
        let parent = dump.find_by_name("parent").unwrap().id();
        let children = dump
            .tasks()
            .iter()
            .filter(|task| task.child_of() == Some(parent));
        assert_eq!(
            blocked_by("parent"),
            Vec::from_iter(children.map(|task| task.id()))
        );
        assert!(blocked_by("inner").is_empty());
    });
}

#[test]
fn a_task_is_found_by_its_name() {
    block_on(async {
        let tasks = ["one", "two", "two"].map(|name| named(name, pending::<()>()));
        let dump = settled().await;
        assert_eq!(
            dump.find_by_name("two").map(|task| task.id()),
            Some(tasks[1].id().into())
        );
        assert_eq!(
            dump.find_by_name("one").unwrap().state(),
            TaskState::Waiting
        );
        assert!(dump.find_by_name("three").is_none());
        assert!(dump.find_by_name("main").is_none());
    });
}

#[test]
fn tasks_that_await_one_another_are_a_circle() {
    let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    block_on_circles(async {
        let _innocent = named("innocent", spawn(pending::<()>()));
        let theirs = Rc::clone(&place);
        let a = named("a", async move {
            yield_now().await;
            let last = theirs.borrow_mut().take().unwrap();
            last.await.unwrap();
        });
        let b = named("b", a);
        let c = spawn(async { b.await.unwrap().unwrap() });
        let c_id = c.id();
        let (_, waits_for_the_ring) =
            (place.borrow_mut().insert(c), named("late", pending::<()>()));
        let dump = settled().await;
        let circles = dump.circles();
        assert_eq!(circles.len(), 1, "{dump}");
        let sentence = format!(
            "\"a\" waits for task {c_id} (join), which waits for \"b\" (join), which waits for \"a\" (join)"
        );
        assert_eq!(circles[0].to_string(), sentence);
        let ids: Vec<u64> = circles[0].tasks().iter().map(|task| task.id()).collect();
        assert_eq!(ids.len(), circles[0].waits().len());
        for (index, wait) in circles[0].waits().iter().enumerate() {
            assert_eq!(wait.blocked_by(), [ids[(index + 1) % ids.len()]]);
        }
        drop(waits_for_the_ring);
    });
}

#[test]
fn a_task_that_awaits_itself_is_a_circle() {
    block_on_circles(async {
        let (sender, receiver) = oneshot::channel::<JoinHandle<()>>();
        let own = named("own", async { receiver.await.unwrap().await.unwrap() });
        sender.send(own).unwrap();
        let dump = settled().await;
        let circles: Vec<String> = dump.circles().iter().map(ToString::to_string).collect();
        assert_eq!(circles, ["\"own\" waits for itself (join)"]);
    });
}

#[test]
fn a_circle_may_lead_through_a_scope() {
    let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    block_on_circles(async {
        let theirs = Rc::clone(&place);
        let parent = named("parent", async move {
            scope(async |s| {
                s.spawn(async {
                    yield_now().await;
                    let parent = theirs.borrow_mut().take().unwrap();
                    parent.await.unwrap();
                });
            })
            .await;
        });
        place.borrow_mut().replace(parent);
        let dump = settled().await;
        let circles = dump.circles();
        assert_eq!(circles.len(), 1, "{dump}");
        let child = circles[0].tasks()[1].id();
        assert_eq!(
            circles[0].to_string(),
            format!("\"parent\" waits for task {child} (scope), which waits for \"parent\" (join)")
        );
    });
}

#[test]
fn tasks_that_wait_for_one_end_are_no_circle() {
    virtually(async {
        let end = named("end", sleep(secs(9)));
        let middle = named("middle", end);
        let _begin = named("begin", middle);
        let dump = settled().await;
        assert!(dump.circles().is_empty(), "{dump}");
    });
}

#[test]
fn a_dump_without_tasks_answers_too() {
    let _watchdog = watchdog();
    let handle = block_on(async { Handle::current() });
    let dump = handle.dump();
    assert!(dump.tasks().is_empty() && dump.circles().is_empty());
    assert_eq!((dump.waits().count(), dump.worker()), (0, None));
}
