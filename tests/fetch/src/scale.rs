//! Thousands of fetches, a lack of descriptors, and clients that only occupy connections.

use crate::parts::{play, start};
use crate::support::{PROGRAM, TempDir, fetch};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[test]
fn ten_thousand_fetches_in_batches_of_a_thousand_all_complete() {
    let server = play("server");
    let directory = TempDir::new("ten_thousand");
    let path = directory.path("bodies");
    let url = format!("http://{}/hello", server.told);
    let run = fetch(["--json", "-n10000", "-c1000", "-o", &path, &url]).exits_with(0);

    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (summary, fetches) = lines.split_last().unwrap();
    assert_eq!(summary["succeeded"], 10_000);
    assert_eq!(summary["bytes"], 60_000);
    let numbers: BTreeSet<u64> = fetches
        .iter()
        .map(|line| line["fetch"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, BTreeSet::from_iter(1..=10_000));
    let mut files = 0;
    for entry in fs::read_dir(&path).unwrap() {
        files += 1;
        assert_eq!(fs::read(entry.unwrap().path()).unwrap(), b"/hello");
    }
    assert_eq!(files, 10_000);
}

#[cfg(unix)]
#[test]
fn a_low_limit_of_open_files_reduces_concurrency_and_loses_no_fetch() {
    use crate::support::{Run, command};

    let server = play("server");
    let directory = TempDir::new("few_files");
    let path = directory.path("bodies");
    let url = format!("http://{}/hello", server.told);
    // With files to save, a name to resolve, and the server in the same process.
    for arguments in [
        &["-n1000", "-c500", url.as_str()][..],
        &["-n1000", "-c500", "-o", &path, &url],
        &["-n20", "-c100"],
    ] {
        let output = command("sh")
            .args(["-c", "ulimit -n 64; exec \"$@\"", "sh", PROGRAM])
            .args(arguments)
            .output();
        let run = Run::of(output.unwrap()).exits_with(0);
        assert!(
            run.stderr
                .ends_with(" because of the limit on open files (ulimit -n)\n"),
            "{run:#?}"
        );
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1000);
}

#[cfg(target_os = "linux")]
#[test]
fn a_fetch_that_runs_out_of_descriptors_is_retried() {
    use crate::support::{Peer, Run, close, command, read_request, watchdog};
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    use std::io::Write;
    use std::sync::{Arc, Condvar, Mutex};

    let _watchdog = watchdog();
    // No request is answered before the limit is lowered.
    let lowered = Arc::new((Mutex::new(false), Condvar::new()));
    let gate = Arc::clone(&lowered);
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let peer = Peer::new(move |mut stream| {
        read_request(&mut stream);
        let _enough = arrived.send(());
        let is_lowered = gate.0.lock().unwrap();
        drop(
            gate.1
                .wait_while(is_lowered, |is_lowered| !*is_lowered)
                .unwrap(),
        );
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            .unwrap();
        close(stream);
    });
    let directory = TempDir::new("run_out");
    let process = command(PROGRAM)
        .args([
            "-qn200",
            "-c50",
            "-o",
            &directory.path("in"),
            &peer.url("/"),
        ])
        .spawn()
        .unwrap();
    for _ in 0..50 {
        arrivals.recv().unwrap();
    }
    // Fifty connections are open, and no descriptors are left for their files.
    let limit = Rlimit {
        current: Some(55),
        maximum: Some(55),
    };
    let pid = Pid::from_child(&process);
    prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    *lowered.0.lock().unwrap() = true;
    lowered.1.notify_all();

    let run = Run::of(process.wait_with_output().unwrap()).exits_with(0);
    assert_eq!(
        run.stderr,
        "fetch: too many open files: retrying the fetches concerned, fewer at a time\n"
    );
    assert_eq!(fs::read_dir(directory.path("in")).unwrap().count(), 200);
}

#[test]
fn a_thousand_unfinished_requests_do_not_block_the_embedded_server() {
    let mut server = Command::new(PROGRAM);
    server
        .args(["--serve", "127.0.0.1:0"])
        .stderr(std::process::Stdio::null());
    let server = start(server, "listening on ");
    let in_the_way = play(&format!("drip {}", server.told));
    assert_eq!(in_the_way.told, "1000");

    let url = format!("http://{}/fast", server.told);
    for _ in 0..2 {
        fetch(["-n100", &url])
            .exits_with(0)
            .says("Status 200: 100.\n");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_embedded_server_limits_its_connections() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    let mut server = Command::new(PROGRAM);
    server
        .args(["--serve", "127.0.0.1:0"])
        .stderr(std::process::Stdio::null());
    let server = start(server, "listening on ");
    let open_files = format!("/proc/{}/fd", server.id());
    let count = || fs::read_dir(&open_files).unwrap().count();
    let before = count();
    let _in_the_way = [(); 2].map(|()| play(&format!("drip {}", server.told)));

    // A client served now was queued behind all two thousand.
    let is_served = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !is_served.load(Ordering::Relaxed) {
                most = most.max(count());
                // Often enough to see an obstruction that lasts for seconds.
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let run = fetch([&format!("http://{}/fast", server.told)]);
        is_served.store(true, Ordering::Relaxed);
        run.exits_with(0);
        watch.join().unwrap()
    });
    assert!(most > before && most <= before + 1000, "{before}, {most}");
}

#[test]
fn the_embedded_server_lists_its_pages() {
    let mut server = Command::new(PROGRAM);
    server.args(["--serve", "127.0.0.1:0"]);
    let server = start(server, "listening on ");
    let run = fetch(["-o-", &format!("http://{}/nowhere", server.told)]).exits_with(0);
    assert!(run.stderr.contains("HTTP/1.0 404 Not Found"));
    run.says("/balanced\n").says("/large\n");

    let taken = fetch(["--serve", &server.told]).exits_with(1);
    let begin = format!("fetch: listen on {}: ", server.told);
    assert!(taken.stderr.starts_with(&begin), "{taken:#?}");
}
