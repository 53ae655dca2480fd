//! Which tasks share a line of the text. `src/dump/fold.rs` has the property tests.

use super::*;

/// Returns the lines that begin with the number of tasks of a group, in a tree or not.
fn groups(dump: &Dump) -> Vec<String> {
    let text = dump.to_string();
    let is_group = |line: &&str| {
        let mut words = line.trim_start_matches([' ', '└']).split(' ');
        words.next().is_some_and(|word| word.parse::<u32>().is_ok()) && words.next() == Some("×")
    };
    text.lines().filter(is_group).map(String::from).collect()
}

/// Spawns detached tasks at this place, with these names.
fn crowd<F: Future<Output = ()> + 'static>(
    count: usize,
    name: impl Fn(usize) -> Option<String>,
    future: impl Fn() -> F,
) {
    for index in 0..count {
        let mut builder = task::Builder::new();
        if let Some(name) = name(index) {
            builder = builder.name(name);
        }
        drop(builder.spawn(future()));
    }
}

#[test]
fn tasks_of_one_place_that_wait_for_the_same_kind_of_thing_share_a_line() {
    virtually(async {
        let place = line!() + 6;
        let mut peers = Vec::new();
        for _ in 0..32 {
            let (stream, peer) = accepted().await;
            peers.push((ends(&stream), peer));
            // The sleeps of `main` let the first task wait for longest.
            drop(spawn(
                async move { stream.read(&mut [0; 1]).await.map(drop) },
            ));
            sleep(Duration::from_millis(100)).await;
        }
        // Tasks know the time to 17 ms.
        sleep(Duration::from_millis(1050)).await;
        let dump = task::dump();
        let [group] = &groups(&dump)[..] else {
            panic!("{dump}");
        };
        assert!(group.starts_with("32 ×  "), "{dump}");
        assert!(group.contains(&format!("{}:{place}  ", file!())), "{dump}");
        let end = format!("read {}, the longest for 4.2 s: task 1", peers[0].0);
        assert!(group.ends_with(&end), "{dump}");
        // The heading, `main` and the group.
        assert_eq!(dump.to_string().lines().count(), 3, "{dump}");
        assert_eq!(format!("{dump:#}").lines().count(), 34, "{dump:#}");
        assert_eq!(tasks(&dump).len(), 33);
    });
}

#[test]
fn two_tasks_do_not_fold_and_neither_do_tasks_that_wait_for_different_things() {
    virtually(async {
        for seconds in [1, 2] {
            drop(spawn(sleep(secs(seconds))));
        }
        let mut streams = Vec::new();
        for index in 0..4 {
            let (stream, peer) = accepted().await;
            streams.push(peer);
            drop(spawn(async move {
                let mut stream = stream;
                match index {
                    0 | 1 => drop(stream.read(&mut [0; 1]).await),
                    _ => loop {
                        drop(futures::AsyncWriteExt::write_all(&mut stream, &[0; 1 << 16]).await);
                    },
                }
            }));
        }
        let mut dump = settled().await;
        while by_id(&dump, 6).state != "waiting" || by_id(&dump, 5).state != "waiting" {
            dump = settled().await;
        }
        assert!(groups(&dump).is_empty(), "{dump}");
        assert_eq!(dump.to_string(), format!("{dump:#}"));
    });
}

#[test]
fn tasks_whose_wakers_nothing_holds_fold_apart_from_the_others() {
    virtually(async {
        let mut senders = Vec::new();
        for index in 0..10 {
            let (sender, receiver) = oneshot::channel::<()>();
            senders.push(sender);
            drop(spawn(async move {
                match index % 2 {
                    0 => drop(receiver.await),
                    _ => pending().await,
                }
            }));
        }
        sleep(Duration::from_millis(2050)).await;
        let dump = task::dump();
        let groups = groups(&dump);
        assert_eq!(groups.len(), 2, "{dump}");
        let held = format!("{OUTSIDE}, the longest for 2.0 s: task 1 (its waker has 1 holder)");
        let lost = ": nothing holds their wakers, so nothing will wake them";
        assert!(groups[0].ends_with(&held), "{dump}");
        assert!(groups[1].ends_with(lost), "{dump}");
    });
}

#[test]
fn finished_tasks_that_nothing_has_joined_share_a_line_whatever_their_names() {
    virtually(async {
        let handles = ["a", "b"].map(|name| named(name, async {}));
        let unnamed: Vec<_> = (0..7).map(|_| spawn(async {})).collect();
        sleep(Duration::from_millis(3050)).await;
        let dump = task::dump();
        let groups = groups(&dump);
        assert_eq!(groups.len(), 2, "{dump}");
        assert!(groups[0].starts_with("2 ×  "), "{dump}");
        let text = "finished  not joined yet, the longest for 3.0 s: task 1 \"a\"";
        assert!(groups[0].ends_with(text), "{dump}");
        assert!(groups[1].starts_with("7 ×  "), "{dump}");
        drop((handles, unnamed));
        assert_eq!(settled().await.to_string().lines().count(), 2);
    });
}

#[test]
fn tasks_with_different_names_have_lines_of_their_own_while_they_are_few() {
    virtually(async {
        let numbered = |index| Some(format!("client {index}"));
        crowd(30, numbered, || sleep(secs(9)));
        let dump = settled().await;
        assert!(groups(&dump).is_empty(), "{dump}");
        crowd(30, numbered, || sleep(secs(9)));
        let dump = settled().await;
        let [group] = &groups(&dump)[..] else {
            panic!("{dump}");
        };
        // The helper spawns all of them at the same place.
        assert!(group.starts_with("60 ×  "), "{dump}");
        assert!(group.ends_with("task 1 \"client 0\""), "{dump}");
    });
}

#[test]
fn tasks_with_the_same_name_share_a_line_with_that_name() {
    virtually(async {
        crowd(5, |_| Some(String::from("client")), || sleep(secs(9)));
        crowd(5, |_| Some(String::from("server")), || sleep(secs(9)));
        let dump = settled().await;
        let groups = groups(&dump);
        assert_eq!(groups.len(), 2, "{dump}");
        assert!(groups[0].starts_with("5 × \"client\"  "), "{dump}");
        assert!(groups[1].starts_with("5 × \"server\"  "), "{dump}");
    });
}

#[test]
fn similar_trees_of_tasks_fold_into_one_tree() {
    virtually(async {
        for _ in 0..1000 {
            drop(spawn(async {
                let mut set = JoinSet::new();
                set.spawn(sleep(secs(9)));
                set.spawn(scope(async |s| {
                    s.spawn(pending::<()>());
                    s.spawn(pending::<()>());
                }));
                while set.join_next().await.is_some() {}
            }));
        }
        let dump = settled().await;
        let groups = groups(&dump);
        let begin = ["1000 ×", "└ 1000 ×", "└ 1000 ×", "  └ 1000 ×", "  └ 1000 ×"];
        assert_eq!(groups.len(), begin.len(), "{dump}");
        for (group, begin) in groups.iter().zip(begin) {
            assert!(group.starts_with(begin), "{dump}");
        }
        assert!(
            groups[0].contains("join 2 tasks, the longest for"),
            "{dump}"
        );
        assert!(
            groups[2].contains("the children of their scopes, the longest"),
            "{dump}"
        );
        assert_eq!(dump.to_string().lines().count(), 2 + begin.len(), "{dump}");
        assert_eq!(dump.tasks().len(), 5001);
    });
}

#[test]
fn a_chain_of_tasks_folds_into_one_line() {
    virtually(async {
        let mut last = spawn(sleep(secs(9)));
        for _ in 0..5000 {
            last = spawn(async move { last.await.unwrap() });
        }
        let dump = settled().await;
        assert_eq!(dump.to_string().lines().count(), 4, "{dump}");
        assert!(groups(&dump)[0].starts_with("5000 ×"), "{dump}");
        assert!(groups(&dump)[0].contains("join task "), "{dump}");
        drop(last);
    });
}

/// Spawns a task at each of twelve places, which differ in their lines.
fn twelve_places() {
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
    drop(spawn(sleep(secs(9))));
}

#[test]
fn a_dump_of_many_groups_shows_the_ten_largest_and_counts_the_rest() {
    virtually(async {
        for _ in 0..100 {
            twelve_places();
        }
        let dump = settled().await;
        assert_eq!(groups(&dump).len(), 12, "{dump}");
        // The names make 1,200 groups of one task each, and three waits make 36 lines of the twelve places.
        crowd(
            3000,
            |index| Some(index.to_string()),
            || async {
                let both = join(sleep(secs(9)), sleep(secs(8)));
                join(both, pending::<()>()).await;
            },
        );
        for index in 0..60 {
            let future = async move {
                // Each waits for a different kind of things.
                let bit = |bit| async move {
                    if index & 1 << bit != 0 {
                        pending::<()>().await;
                    }
                };
                join(bit(0), bit(1)).await;
                task::waiting_for(format!("answer {index}"), pending::<()>()).await;
            };
            drop(spawn(future));
        }
        let dump = settled().await;
        let text = dump.to_string();
        assert!(text.lines().count() <= 40, "{text}");
        let groups = groups(&dump);
        assert_eq!(groups.len(), 10, "{text}");
        assert!(groups[0].starts_with("3000 ×"), "{text}");
        let shown: usize = groups
            .iter()
            .map(|group| group.split(' ').next().unwrap().parse::<usize>().unwrap())
            .sum();
        let rest = dump.tasks().len() - 1 - shown;
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with(&format!("and {rest} more tasks in ")),
            "{text}"
        );
        assert_eq!(
            format!("{dump:#}")
                .lines()
                .filter(|line| !line.starts_with(' '))
                .count(),
            {
                // Each task, and the heading.
                1 + dump.tasks().len()
            }
        );
    });
}

#[test]
fn the_waits_of_one_task_have_at_most_eight_lines() {
    virtually(async {
        let _many = named("many", join_all((1..=100).map(|n| sleep(secs(n)))));
        let dump = settled().await;
        let text = dump.to_string();
        assert_eq!(text.lines().count(), 1 + 1 + 8, "{text}");
        assert!(text.ends_with(" and 93 more waits\n"), "{text}");
        assert_eq!(format!("{dump:#}").lines().count(), 1 + 1 + 100);
        assert_eq!(by_name(&dump, "many").waits.len(), 100);
    });
}

#[test]
fn the_columns_of_a_folded_dump_are_aligned() {
    virtually(async {
        for _ in 0..100 {
            drop(spawn(async {
                drop(timeout(secs(5), spawn(sleep(secs(9)))).await);
            }));
        }
        aligned(&settled().await);
    });
}

#[test]
fn tasks_whose_waits_have_different_labels_do_not_fold() {
    virtually(async {
        for index in 0..6 {
            let label = ["reply of billing", "reply of stock"][index % 2];
            drop(spawn(task::waiting_for(label, sleep(secs(9)))));
        }
        let dump = settled().await;
        let groups = groups(&dump);
        assert_eq!(groups.len(), 2, "{dump}");
        for (group, label) in groups
            .iter()
            .zip(["\"reply of billing\"", "\"reply of stock\""])
        {
            assert!(group.starts_with("3 ×  "), "{dump}");
            assert!(group.contains(label), "{dump}");
        }
    });
}
