//! The output of the program on a terminal.

use crate::support::{PROGRAM, Peer, close, command, read_request, watchdog};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

/// The width of the terminal.
const COLUMNS: u16 = 123;

/// Runs the program on a new terminal, and returns its output. The program fetches two pages, one of which is
/// refused. The other one responds after `sign` has appeared on the terminal, or after enough time for a progress
/// line.
fn on_a_terminal(sign: Option<&str>, change: impl FnOnce(&mut Command)) -> String {
    let _watchdog = watchdog();
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize {
        ws_row: 40,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&ours, size).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(OsStr::from_bytes(name.as_bytes()))
        .unwrap();

    let (seen, is_seen) = channel();
    let is_seen = Mutex::new(is_seen);
    let patience = match sign {
        Some(_) => Duration::from_secs(60),
        None => Duration::from_millis(600),
    };
    let peer = Peer::new(move |mut stream| {
        read_request(&mut stream);
        let _seen_or_not = is_seen.lock().unwrap().recv_timeout(patience);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            .unwrap();
        close(stream);
    });
    let mut command = command(PROGRAM);
    command
        .args([peer.url("/"), "http://127.0.0.1:1/".to_string()])
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs);
    change(&mut command);
    let mut process = command.spawn().unwrap();
    // It holds the other end, which must be closed when the process ends.
    drop(command);

    let mut printed = Vec::new();
    let mut ours = File::from(ours);
    let mut buffer = [0; 1024];
    loop {
        match ours.read(&mut buffer) {
            Ok(count @ 1..) => {
                printed.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&printed);
                if sign.is_some_and(|sign| text.contains(sign)) {
                    let _over_already = seen.send(());
                }
            }
            Ok(_) => break,
            // Linux reports this when the other end is closed.
            Err(error) if error.raw_os_error() == Some(5) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    process.wait().unwrap();
    String::from_utf8(printed).unwrap()
}

/// The progress line of these runs.
const PROGRESS: &str = "\r\x1b[K1 of 2 done, 1 in progress, 1 failed";

/// The sequence that erases it.
const WIPE: &str = "\r\x1b[K";

#[test]
fn a_terminal_gets_colours_a_chart_and_a_progress_line_that_is_erased() {
    let printed = on_a_terminal(Some(PROGRESS), |_| {});
    assert!(printed.contains(PROGRESS), "{printed:?}");
    // The following output begins on an erased line.
    let (_, behind) = printed.rsplit_once(PROGRESS).unwrap();
    assert!(behind.starts_with(WIPE), "{printed:?}");
    for part in [
        "\x1b[33m▚\x1b[34m░",
        "\x1b[31m×\x1b[0m",
        "\x1b[34m░\x1b[0m wait",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed:?}");
    }
}

#[test]
fn colours_can_be_disabled() {
    let printed = on_a_terminal(Some(PROGRESS), |command| {
        command.env("NO_COLOR", "1");
    });
    assert!(printed.contains("░"), "{printed:?}");
    // The progress line does not count as colour.
    assert!(printed.contains(PROGRESS), "{printed:?}");
    assert!(!printed.replace(WIPE, "").contains('\x1b'), "{printed:?}");
}

#[test]
fn a_dumb_terminal_gets_ascii_and_no_progress_line() {
    let printed = on_a_terminal(None, |command| {
        command.env("TERM", "dumb");
    });
    assert!(
        printed.is_ascii() && !printed.contains('\x1b'),
        "{printed:?}"
    );
    assert!(!printed.contains(" in progress"), "{printed:?}");
    assert!(printed.contains("% connect"), "{printed:?}");
}

/// Returns the width of the widest line of a report.
fn width(printed: &str) -> usize {
    // After the progress line.
    let (_, report) = printed.rsplit_once(WIPE).unwrap();
    let lines = report.lines().map(|line| line.chars().count());
    lines.max().unwrap()
}

#[test]
fn the_report_is_as_wide_as_the_terminal_unless_the_variable_columns_is_set() {
    for (columns, expected) in [
        (None, COLUMNS.into()),
        (Some("70"), 70),
        (Some(""), COLUMNS.into()),
        (Some("0"), COLUMNS.into()),
        (Some("20"), 64),
    ] {
        let printed = on_a_terminal(Some(PROGRESS), |command| {
            command.env("NO_COLOR", "1");
            if let Some(columns) = columns {
                command.env("COLUMNS", columns);
            }
        });
        // A bar and the text beside it fill the line.
        assert_eq!(width(&printed), expected, "{columns:?}: {printed:?}");
    }
    // Without a terminal, the output has the default width.
    let peer = Peer::answering("HTTP/1.1 200 OK\r\n\r\n");
    let run = crate::support::fetch([peer.url("/")]);
    let lines = run.stdout.lines().map(|line| line.chars().count());
    assert_eq!(lines.max(), Some(80));
}

#[test]
fn quiet_prints_no_progress_line() {
    let printed = on_a_terminal(None, |command| {
        command.arg("-q");
    });
    assert!(
        printed.starts_with("fetch: http://127.0.0.1:1/: "),
        "{printed:?}"
    );
    assert_eq!(printed.lines().count(), 1, "{printed:?}");
}
