//! Signals that end a run early.

use crate::support::{PROGRAM, Peer, Run, TempDir, close, command, read_request, watchdog};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

/// Both signals, with the exit code of the run.
const SIGNALS: [(Signal, &str, i32); 2] =
    [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143)];

/// The capacity of a pipe in bytes (`pipe(7)`).
const PIPE_CAPACITY: usize = 64 * 1024;

/// Starts a server whose page `/whole` is complete, and whose page `/half` never is.
fn halting() -> Peer {
    Peer::new(|mut stream| {
        let request = read_request(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        if request.starts_with("GET /whole ") {
            // The program may have exited.
            let _gone = write!(stream, "{head}hello");
            close(stream);
        } else {
            let _gone = write!(stream, "{head}hel");
            drop(stream.read_to_end(&mut Vec::new()));
        }
    })
}

/// Sends a signal to a process that has not been waited for.
fn send(signal: Signal, process: &Child) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

/// Waits until an incomplete file is in the directory.
fn wait_for_part(directory: &TempDir) {
    while !directory.files().iter().any(|name| name.ends_with(".part")) {
        // Only to leave the processor to the program.
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_signal_removes_incomplete_files_and_reports_completed_fetches() {
    for (signal, name, code) in SIGNALS {
        let _watchdog = watchdog();
        let directory = TempDir::new(name);
        let peer = halting();
        let mut process = command(PROGRAM)
            .args(["-v", "-c2", "-o", &directory.path("")])
            .args(["/whole", "/half", "/whole"].map(|path| peer.url(path)))
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        for _ in 0..2 {
            let mut line = String::new();
            while line != "5 bytes\n" {
                line.clear();
                assert_ne!(stdout.read_line(&mut line).unwrap(), 0);
            }
        }
        wait_for_part(&directory);
        send(signal, &process);
        let mut report = String::new();
        stdout.read_to_string(&mut report).unwrap();
        let run = Run::of(process.wait_with_output().unwrap()).exits_with(code);
        assert_eq!(directory.files(), ["1-whole", "3-whole"]);
        assert_eq!(report.matches(" 5  HTTP/1.1 200 OK\n").count(), 2);
        assert!(report.contains("\n2 fetches in ") && !report.contains("/half"));
        run.complains(&format!(
            "fetch: {name} ended the run: 2 of 3 fetches are done\n"
        ));
    }
}

#[test]
fn the_summary_of_an_interrupted_run_says_so() {
    let _watchdog = watchdog();
    let peer = halting();
    let mut process = command(PROGRAM)
        .args(["--json", &peer.url("/whole"), &peer.url("/half")])
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    send(Signal::INT, &process);
    let mut summary = String::new();
    stdout.read_line(&mut summary).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["interrupted_by"], "SIGINT");
    assert_eq!(summary["succeeded"], 1);
    assert_eq!(process.wait().unwrap().code(), Some(130));
}

#[test]
fn a_run_interrupted_before_its_first_result_reports_that() {
    let _watchdog = watchdog();
    let directory = TempDir::new("nothing_done");
    let peer = halting();
    let process = command(PROGRAM)
        .args(["-o", &directory.path("body"), &peer.url("/half")])
        .spawn()
        .unwrap();
    wait_for_part(&directory);
    send(Signal::INT, &process);
    Run::of(process.wait_with_output().unwrap())
        .exits_with(130)
        .says("\nNo fetch is done.\n")
        .complains("fetch: SIGINT ended the run: 0 of 1 fetches are done\n");
    assert!(directory.files().is_empty());
}

#[test]
fn a_second_signal_ends_a_program_that_is_blocked_on_its_report() {
    let _watchdog = watchdog();
    let directory = TempDir::new("second");
    let peer = halting();
    // A full pipe: every write to it blocks.
    let (_unread, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'.'; PIPE_CAPACITY]).unwrap();
    let mut process = command(PROGRAM)
        .args(["--json", "-o", &directory.path("")])
        .args([peer.url("/half"), peer.url("/whole")])
        .stdout(full)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_part(&directory);
    let code = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status.code();
        }
        send(Signal::TERM, &process);
        // Two pending signals of the same number are merged into one.
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(code, Some(143));
    let names = directory.files();
    assert!(names.iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn only_a_killed_run_leaves_temporary_files() {
    let _watchdog = watchdog();
    let directory = TempDir::new("killed");
    let peer = halting();
    let path = directory.path("body");
    let mut process = command(PROGRAM)
        .args(["-o", &path, &peer.url("/half")])
        .spawn()
        .unwrap();
    wait_for_part(&directory);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(directory.files().len(), 1);
    // The timeout must cover it, too.
    let output = command(PROGRAM)
        .args(["-q", "--timeout=0.3", "-o", &path, &peer.url("/half")])
        .output();
    Run::of(output.unwrap()).exits_with(1);
    assert_eq!(directory.files().len(), 1);
}
