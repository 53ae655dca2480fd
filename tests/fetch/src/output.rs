//! The printed output, and the exit codes.

use crate::support::{PROGRAM, Peer, Run, command, fetch, watchdog};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};

/// Starts a server with one page.
fn good() -> Peer {
    Peer::answering("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello")
}

/// Parses the lines of a run as JSON.
fn lines(run: &Run) -> Vec<Value> {
    let lines = run.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn without_urls_it_fetches_the_pages_of_the_embedded_server() {
    let run = fetch([""; 0])
        .exits_with(0)
        .says("A server on the same thread is listening on 127.0.0.1:")
        .says("Fetching 5 URLs at once, with a timeout of 30s each ...\n")
        .says("    connect     wait     read       bytes  response\n")
        .says("/large\n")
        .says(" 2,000,000  HTTP/1.0 200 OK\n")
        .says("% connect   . wait for the first byte   # read\n")
        .says("5 fetches in ")
        .complains("");
    assert_eq!(run.stdout.matches("HTTP/1.0 200 OK\n").count(), 5);
}

#[test]
fn a_pipe_gets_plain_ascii_and_no_progress_line() {
    let peer = Peer::new(|mut stream| {
        use std::io::Write;
        crate::support::read_request(&mut stream);
        // Long enough for a progress line.
        std::thread::sleep(std::time::Duration::from_millis(500));
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    });
    let run = fetch([
        peer.url("/"),
        "http://127.0.0.1:1/".into(),
        "http://ü/\u{1b}".into(),
    ])
    .exits_with(1)
    .complains("");
    let strange = run
        .stdout
        .chars()
        .find(|&c| c != '\n' && !(' '..='~').contains(&c));
    assert_eq!(strange, None, "{}", run.stdout);
}

#[test]
fn the_report_fits_the_width_of_the_terminal() {
    let peer = good();
    let url = peer.url(&format!("/{}", "x".repeat(300)));
    for width in [64, 100] {
        let output = command(PROGRAM)
            .env("COLUMNS", width.to_string())
            .arg(&url)
            .output();
        let run = Run::of(output.unwrap()).exits_with(0);
        let widest = run.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{width}: {run:#?}");
    }
}

#[test]
fn many_fetches_get_a_summary_chart() {
    let peer = good();
    let run = fetch([
        "-n",
        "300",
        "-c",
        "50",
        &peer.url("/"),
        "http://127.0.0.1:1/",
    ])
    .exits_with(1)
    .says("Fetching 2 URLs 300 times each, 50 at a time, with a timeout of 30s each ...\n")
    .says("Above: fetches in progress. Below: one fetch in 50.\n")
    .says("50 %")
    .says("slowest\n")
    .says("    total   ")
    .says("600 fetches in ")
    .says("300 failed.\n")
    .says("Status 200: 300.\n")
    .says("x 300 times: http://127.0.0.1:1/: connect to 127.0.0.1:1: ")
    .complains("");
    assert!(run.stdout.lines().count() < 50, "{run:#?}");
}

#[test]
fn verbose_shows_requests_and_response_heads() {
    let peer = Peer::replying(|request| match request.split(' ').nth(1) {
        Some("/") => b"HTTP/1.1 301 x\r\nLocation: /b\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nA: \xff\tb\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
    });
    let host = &peer.address;
    fetch(["-vL", &peer.url("/")])
        .exits_with(0)
        .says(format!(
            "\n1 {}\n> GET / HTTP/1.1\n> Host: {host}\n",
            peer.url("/")
        ))
        .says("\n< HTTP/1.1 301 x\n< Location: /b\n> GET /b HTTP/1.1\n")
        .says("\n< HTTP/1.1 200 OK\n< A: \\xff\\tb\n< Content-Length: 5\n5 bytes\n");
}

#[test]
fn quiet_prints_failures_only() {
    let peer = good();
    fetch(["-q", &peer.url("/")])
        .exits_with(0)
        .says("")
        .complains("");
    let run = fetch(["-qn3", &peer.url("/"), "http://127.0.0.1:1/"]).exits_with(1);
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr.lines().count(), 3);
}

#[test]
fn json_has_a_line_for_each_fetch_and_one_for_the_summary() {
    let peer = Peer::replying(|request| match request.split(' ').nth(1) {
        Some("/moved") => b"HTTP/1.1 301 x\r\nLocation: /b\r\n\r\n".to_vec(),
        Some("/shown") => b"HTTP/1.1 404 \"No\"\r\nContent-Length: 2\r\n\r\n..".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nA: \"\\\xff\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
    });
    let bad = "http://a b/\"\\\u{1b}ü";
    let urls = ["/moved", "/shown"].map(|path| peer.url(path));
    let run = fetch(["--json", "-vLc1", &urls[0], &urls[1], bad])
        .exits_with(1)
        .complains("");
    let lines = lines(&run);
    assert_eq!(lines.len(), 4);

    assert_eq!(lines[0]["fetch"], 1);
    assert_eq!(lines[0]["url"], json!(urls[0]));
    assert_eq!(lines[0]["ok"], json!(true));
    assert_eq!(lines[0]["error"], Value::Null);
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["bytes"], 5);
    assert_eq!(lines[0]["followed"], json!([peer.url("/b")]));
    assert_eq!(
        lines[0]["fields"],
        json!([["A", "\"\\\u{fffd}"], ["Content-Length", "5"]])
    );
    let phases = ["connect_us", "wait_us", "read_us"];
    let sum: u64 = phases
        .iter()
        .map(|phase| lines[0][phase].as_u64().unwrap())
        .sum();
    let took = lines[0]["took_us"].as_u64().unwrap();
    assert!(sum <= took, "{run:#?}");
    assert_eq!(lines[0]["resolve_us"], Value::Null);

    assert_eq!(lines[1]["status"], 404);
    assert_eq!(lines[1]["status_line"], "HTTP/1.1 404 \"No\"");

    assert_eq!(lines[2]["url"], json!(bad));
    assert_eq!(lines[2]["ok"], json!(false));
    let error = lines[2]["error"].as_str().unwrap();
    assert!(error.starts_with("invalid URL: "), "{error}");
    assert_eq!(lines[2]["status"], Value::Null);

    let summary = &lines[3];
    assert_eq!(summary["fetches"], 3);
    assert_eq!(summary["succeeded"], 2);
    assert_eq!(summary["failed"], 1);
    assert_eq!(summary["bytes"], 7);
    assert_eq!(summary["statuses"], json!({"200": 1, "404": 1}));
    assert!(summary["each_took_us"]["p99"].as_u64() >= summary["each_took_us"]["p50"].as_u64());
    assert!(summary["fetches_per_second"].as_f64() > Some(0.0));
}

#[test]
fn json_is_valid_when_every_fetch_fails() {
    let run = fetch(["--json", "http://127.0.0.1:1/"]).exits_with(1);
    let lines = lines(&run);
    assert_eq!(lines[1]["each_took_us"]["p50"], Value::Null);
    assert_eq!(lines[1]["bytes_per_second"], json!(0.0));
}

#[test]
fn invalid_options_have_their_own_exit_code() {
    for (line, complaint) in [
        ("--nonsense", "invalid option '--nonsense'"),
        (
            "-n 0 http://127.0.0.1:1/",
            "invalid value \"0\" for --times: expected a whole number, at least 1",
        ),
        (
            "--timeout soon a",
            "invalid value \"soon\" for --timeout: expected a number of seconds from 0.001 to 864000",
        ),
        (
            "--serve localhost:80",
            "invalid value \"localhost:80\" for --serve: expected IP:PORT, such as 127.0.0.1:8000 \
             or [::1]:8000",
        ),
        ("-q --json", "--quiet and --json cannot be used together"),
        (
            "-o - a b",
            "--output - can only be used with a single fetch",
        ),
    ] {
        let run = fetch(line.split(' ')).exits_with(2);
        assert_eq!(run.stdout, "");
        run.complains(&format!("fetch: {complaint}; see --help\n"));
    }
}

#[test]
fn help_exits_with_success() {
    for option in ["-h", "--help"] {
        fetch([option])
            .exits_with(0)
            .says("Usage: fetch ")
            .says("Exit codes: 0, ")
            .complains("");
    }
}

#[test]
fn a_closed_output_pipe_causes_no_panic() {
    let _watchdog = watchdog();
    let peer = good();
    let mut process = command(PROGRAM)
        .args(["--json", "-n", "3000", &peer.url("/")])
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(process.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let run = Run::of(process.wait_with_output().unwrap());
    run.exits_with(1).complains("");
}
