//! The dumps of workers.

use super::*;
use glassfrog::{Builder, Workers};

#[test]
fn the_dumps_of_workers_have_one_heading_and_the_number_of_each_worker() {
    let _watchdog = watchdog();
    let workers = Workers::build(Builder::new().test_patience(FAR), 3).unwrap();
    let _tasks = workers.spawn_on_each(|index| async move {
        named(&format!("task of {index}"), pending::<()>()).await
    });
    // Each worker has polled its tasks before it answers.
    for handle in workers.handles() {
        glassfrog::block_on(handle.spawn(settle())).unwrap();
    }
    let dump = workers.dump();
    let text = dump.to_string();
    let headings = text.lines().filter(|line| line.starts_with("task "));
    assert_eq!(headings.count(), 1, "{text}");
    assert_eq!(text.lines().count(), 1 + 3 * 3, "{text}");
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("worker "))
        .collect();
    for (index, row) in rows.iter().enumerate() {
        assert!(row.starts_with(&format!("worker {index}  ")), "{text}");
        assert!(row.ends_with("waiting  idle"), "{text}");
    }
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(format!("{dump:#}"), text);
    for (index, dump) in dump.dumps().iter().enumerate() {
        assert_eq!(dump.worker(), Some(index));
        assert!(
            dump.find_by_name(&format!("task of {index}")).is_some(),
            "{text}"
        );
        let root = by_id(dump, 0);
        assert_eq!((root.kinds(), root.words()), (vec!["idle"], vec!["idle"]));
        assert!(dump.to_string().contains(&format!("worker {index}  ")));
    }
    let json = Json::read(&dump.to_json()).unwrap();
    let json = json.get("workers").list();
    for (index, (json, dump)) in json.iter().zip(dump.dumps()).enumerate() {
        assert_eq!(json.get("worker").count(), index as u64);
        assert_eq!(Some(json), Json::read(&dump.to_json()).as_ref());
    }
}

#[test]
fn the_handle_of_a_worker_knows_its_number_and_other_runtimes_have_none() {
    let _watchdog = watchdog();
    let workers = Workers::build(Builder::new().test_patience(FAR), 2).unwrap();
    assert_eq!(workers.handles()[1].dump().worker(), Some(1));
    let dump = block_on(async { task::dump() });
    assert_eq!(dump.worker(), None);
    assert!(dump.to_string().contains("\nmain "), "{dump}");
    assert!(!dump.to_json().contains("\"worker\""));
}

#[test]
fn a_worker_that_does_not_answer_has_a_remark_and_the_others_have_rows() {
    let _watchdog = watchdog();
    let workers = Workers::build(Builder::new().test_patience(LITTLE), 2).unwrap();
    let (busy, is_busy) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    drop(workers.handles()[0].spawn(async move {
        busy.send(()).unwrap();
        released.recv().unwrap();
    }));
    is_busy.recv().unwrap();
    let dump = workers.dump();
    let text = dump.to_string();
    release.send(()).unwrap();
    let begin = "worker 0: the loop does not answer: it has been in poll 1 of task 1";
    assert!(text.lines().any(|line| line.starts_with(begin)), "{text}");
    assert!(text.starts_with("task "), "{text}");
    let json = Json::read(&dump.to_json()).unwrap();
    let states: Vec<String> = json
        .get("workers")
        .list()
        .iter()
        .map(|dump| dump.get("state").text())
        .collect();
    assert_eq!(states[0], "busy");
}

#[test]
fn a_task_of_a_worker_may_take_the_dump_of_all() {
    let _watchdog = watchdog();
    let workers = Arc::new(Workers::build(Builder::new().test_patience(FAR), 2).unwrap());
    let theirs = Arc::clone(&workers);
    let task = workers.handles()[1].spawn(async move {
        let dump = theirs.dump();
        dump.dumps()
            .iter()
            .map(|dump| dump.tasks().len())
            .collect::<Vec<_>>()
    });
    assert_eq!(glassfrog::block_on(task).unwrap(), [1, 2]);
}
