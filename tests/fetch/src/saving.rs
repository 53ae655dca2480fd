//! Saving bodies to files.

use crate::support::{Peer, TempDir, fetch};
use std::fs;

/// Responds with the path.
fn echo(request: &str) -> Vec<u8> {
    let path = request.split(' ').nth(1).unwrap();
    let length = path.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}").into()
}

#[test]
fn the_body_of_one_fetch_is_saved_to_a_file() {
    let directory = TempDir::new("one");
    let peer = Peer::replying(echo);
    let path = directory.path("a file");
    for body in ["/once", "/and-again"] {
        fetch(["-o", &path, &peer.url(body)])
            .exits_with(0)
            .says(format!("saved as {path}\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), body);
        assert_eq!(directory.files(), ["a file"]);
    }
}

#[test]
fn a_body_on_standard_output_moves_the_report_to_standard_error() {
    let peer = Peer::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xffx\r\n\0");
    let _watchdog = crate::support::watchdog();
    let output = crate::support::command(crate::support::PROGRAM)
        .args(["-o", "-", &peer.url("/")])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"\xffx\r\n\0");
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.contains(" 5  HTTP/1.1 200 OK\n"));
}

#[test]
fn the_bodies_of_several_fetches_are_saved_to_a_directory() {
    let directory = TempDir::new("several");
    let peer = Peer::replying(echo);
    let path = directory.path("new/deep");
    let urls = ["/a/b.html?c", "/", "/a/b.html"].map(|path| peer.url(path));
    fetch(
        [
            &["-qn4", "-o", &path],
            &urls.each_ref().map(String::as_str)[..],
        ]
        .concat(),
    )
    .exits_with(0);
    for (name, body) in [
        ("01-b.html", "/a/b.html?c"),
        ("02-index", "/"),
        ("03-b.html", "/a/b.html"),
        ("04-b.html", "/a/b.html?c"),
        ("12-b.html", "/a/b.html"),
    ] {
        let saved = fs::read_to_string(format!("{path}/{name}"));
        assert_eq!(saved.unwrap(), body, "{name}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 12);
    // A single one, if the directory exists.
    fetch(["-q", "-o", &path, &peer.url("/alone")]).exits_with(0);
    assert_eq!(
        fs::read_to_string(format!("{path}/1-alone")).unwrap(),
        "/alone"
    );
}

#[test]
fn no_url_escapes_the_directory() {
    let directory = TempDir::new("inside");
    let peer = Peer::replying(echo);
    let path = directory.path("in");
    let urls = [
        "/../../out",
        "/..",
        "/%2e%2e%2fout",
        r"/..\..\out",
        "/.hidden",
        "/a:b",
    ]
    .map(|path| peer.url(path));
    fetch(
        [
            &["-q", "-o", &path],
            &urls.each_ref().map(String::as_str)[..],
        ]
        .concat(),
    )
    .exits_with(0);
    assert_eq!(directory.files(), ["in"]);
    let mut names: Vec<String> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "1-out",
            "2-index",
            "3-_2e_2e_2fout",
            "4-_.._out",
            "5-hidden",
            "6-a_b"
        ]
    );
}

#[test]
fn no_redirect_escapes_the_directory() {
    let directory = TempDir::new("redirect");
    let peer = Peer::replying(|request| match request.split(' ').nth(1).unwrap() {
        "/" => b"HTTP/1.1 302 x\r\nLocation: /..%2f..%2fout\r\n\r\n".to_vec(),
        _ => echo(request),
    });
    let path = directory.path("in");
    fetch(["-qL", "-n2", "-o", &path, &peer.url("/")]).exits_with(0);
    assert_eq!(directory.files(), ["in"]);
    assert!(fs::exists(format!("{path}/1-_2f.._2fout")).unwrap());
}

#[test]
fn a_failed_fetch_creates_no_file_and_keeps_an_existing_one() {
    let directory = TempDir::new("failed");
    let path = directory.path("file");
    fs::write(&path, "old").unwrap();
    let short = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    fetch(["-q", "-o", &path, &short.url("/")]).exits_with(1);
    let missing = Peer::answering("HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello");
    fetch(["-q", "--fail", "-o", &path, &missing.url("/")]).exits_with(1);
    let silent = Peer::new(|mut stream| {
        use std::io::{Read, Write};
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    fetch(["-q", "--timeout", "0.3", "-o", &path, &silent.url("/")]).exits_with(1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(directory.files(), ["file"]);

    // A shown body is saved too: without `--fail` it is no failure.
    fetch(["-q", "-o", &path, &missing.url("/")]).exits_with(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
}

#[test]
fn a_write_error_is_a_failure_that_names_the_file() {
    let directory = TempDir::new("unwritable");
    let path = directory.path("not/there");
    let peer = Peer::replying(echo);
    let run = fetch(["-q", "-o", &path, &peer.url("/")]).exits_with(1);
    let begin = format!(
        "fetch: {}: save as {path}: there is no directory ",
        peer.url("/")
    );
    assert!(run.stderr.starts_with(&begin), "{run:#?}");

    fs::write(directory.path("file"), "").unwrap();
    let below = directory.path("file/below");
    let run = fetch(["-n2", "-o", &below, &peer.url("/")]).exits_with(1);
    let begin = format!("fetch: create the directory {below}: ");
    assert!(run.stderr.starts_with(&begin), "{run:#?}");
}

#[test]
fn a_path_with_a_trailing_slash_is_a_directory() {
    let directory = TempDir::new("slash");
    let peer = Peer::replying(echo);
    let path = directory.path("new/deep/");
    fetch(["-q", "-o", &path, &peer.url("/a")]).exits_with(0);
    assert_eq!(fs::read_to_string(format!("{path}1-a")).unwrap(), "/a");
}

#[test]
fn a_missing_directory_is_reported_as_the_cause() {
    let directory = TempDir::new("missing");
    let peer = Peer::replying(echo);
    let path = directory.path("not/there");
    let missing = directory.path("not");
    let url = peer.url("/");
    fetch(["-q", "-o", &path, &url])
        .exits_with(1)
        .complains(&format!(
            "fetch: {url}: save as {path}: there is no directory {missing}\n"
        ));
}

#[cfg(unix)]
#[test]
fn leftovers_of_a_killed_run_with_the_same_process_id_do_no_harm() {
    use crate::support::{PROGRAM, Run, command};

    let directory = TempDir::new("remains");
    let peer = Peer::replying(echo);
    let path = directory.path("file");
    // The shell becomes the program and keeps its process id.
    let output = command("sh")
        .args([
            "-c",
            r#"echo old > "$2.$$.part"; exec "$1" -q -o "$2" "$3""#,
        ])
        .args(["sh", PROGRAM, &path, &peer.url("/new")])
        .output();
    Run::of(output.unwrap()).exits_with(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "/new");
    // Another process, perhaps in another container, may be alive.
    let remains: Vec<String> = directory.files().into_iter().skip(1).collect();
    assert_eq!(remains.len(), 1);
    assert_eq!(
        fs::read_to_string(directory.path(&remains[0])).unwrap(),
        "old\n"
    );
}

#[cfg(unix)]
#[test]
fn the_longest_file_name_can_be_saved() {
    let directory = TempDir::new("long_name");
    let peer = Peer::replying(echo);
    for name in ["x".repeat(255), "\u{fc}".repeat(127)] {
        let path = directory.path(&name);
        fetch(["-q", "-o", &path, &peer.url("/new")]).exits_with(0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "/new");
    }
    assert_eq!(directory.files().len(), 2);
}

/// Creates a named pipe.
#[cfg(unix)]
fn make_pipe(path: &str) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_unread_pipe_delays_neither_the_deadline_nor_other_fetches() {
    let directory = TempDir::new("unread_pipe");
    let peer = Peer::replying(echo);
    let pipe = directory.path("1-pipe");
    make_pipe(&pipe);
    let urls = ["/pipe", "/file"].map(|path| peer.url(path));
    let run = fetch([
        "--json",
        "--timeout",
        "1.5",
        "-o",
        &directory.path(""),
        &urls[0],
        &urls[1],
    ])
    .exits_with(1);
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // In the order in which they finish.
    assert_eq!(
        (&lines[0]["fetch"], &lines[0]["ok"]),
        (&2.into(), &true.into())
    );
    assert_eq!(
        lines[1]["error"],
        format!("save as {pipe}: timed out after 1.5s")
    );
    assert_eq!(
        fs::read_to_string(directory.path("2-file")).unwrap(),
        "/file"
    );
    assert_eq!(directory.files(), ["1-pipe", "2-file"]);

    // The only one, as a single file.
    let url = peer.url("/");
    fetch(["-q", "--timeout", "0.5", "-o", &pipe, &url])
        .exits_with(1)
        .complains(&format!(
            "fetch: {url}: save as {pipe}: timed out after 500ms\n"
        ));
}

#[cfg(unix)]
#[test]
fn an_unread_standard_output_does_not_delay_the_deadline() {
    use crate::support::{PROGRAM, Run, command, watchdog};

    let _watchdog = watchdog();
    // More than a pipe holds.
    let length = 1 << 20;
    let body = "x".repeat(length);
    let peer = Peer::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let url = peer.url("/");
    let mut process = command(PROGRAM)
        .args(["-q", "--timeout", "0.5", "-o", "-", &url])
        .spawn()
        .unwrap();
    process.wait().unwrap();
    let run = Run::of(process.wait_with_output().unwrap());
    run.exits_with(1).complains(&format!(
        "fetch: {url}: write to standard output: timed out after 500ms\n"
    ));
}

#[cfg(unix)]
#[test]
fn a_dangling_symlink_is_written_through() {
    use std::os::unix::fs::symlink;

    let directory = TempDir::new("dangling");
    let peer = Peer::replying(echo);
    let (link, link_to_link) = (directory.path("link"), directory.path("link-to-link"));
    symlink("target", &link).unwrap();
    symlink(&link, &link_to_link).unwrap();
    for body in ["/first", "/again"] {
        fetch(["-q", "-o", &link_to_link, &peer.url(body)]).exits_with(0);
        assert_eq!(fs::read_to_string(directory.path("target")).unwrap(), body);
        for link in [&link, &link_to_link] {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        }
    }

    let astray = directory.path("astray");
    symlink("no/target", &astray).unwrap();
    let url = peer.url("/");
    let reason = format!(
        "save as {}: there is no directory {}",
        directory.path("no/target"),
        directory.path("no")
    );
    fetch(["-q", "-o", &astray, &url])
        .exits_with(1)
        .complains(&format!("fetch: {url}: {reason}\n"));

    let circle = directory.path("circle");
    symlink("circle", &circle).unwrap();
    fetch(["-q", "-o", &circle, &url])
        .exits_with(1)
        .complains(&format!(
            "fetch: save as {circle}: too many links that lead to links\n"
        ));
}

#[cfg(unix)]
#[test]
fn a_symlink_is_followed_and_a_device_is_not_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::thread;

    let directory = TempDir::new("links");
    let peer = Peer::replying(echo);
    let (file, link) = (directory.path("file"), directory.path("link"));
    fs::write(&file, "old").unwrap();
    symlink(&file, &link).unwrap();
    fetch(["-q", "-o", &link, &peer.url("/new")]).exits_with(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "/new");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    // A pipe represents all devices: replacing one of the system's would do harm.
    let pipe = directory.path("pipe");
    make_pipe(&pipe);
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    fetch(["-q", "-o", &pipe, &peer.url("/new")]).exits_with(0);
    let kind = fs::metadata(&pipe).unwrap().file_type();
    assert!(kind.is_fifo());
    assert_eq!(reader.join().unwrap(), "/new");

    // A link to a file without a name.
    let run = fetch(["-q", "-o", "/dev/stdout", &peer.url("/new")]).exits_with(0);
    assert_eq!(run.stdout, "/new");

    // In a directory the program owns the names: it replaces a link instead of following it.
    let victim = directory.path("victim");
    fs::write(&victim, "old").unwrap();
    fs::create_dir(directory.path("in")).unwrap();
    symlink(&victim, directory.path("in/1-new")).unwrap();
    fetch(["-q", "-o", &directory.path("in"), &peer.url("/new")]).exits_with(0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "old");
    assert_eq!(
        fs::read_to_string(directory.path("in/1-new")).unwrap(),
        "/new"
    );
}

#[test]
fn a_timeline_has_a_lane_for_each_fetch() {
    let directory = TempDir::new("timeline");
    let peer = Peer::replying(echo);
    let path = directory.path("run.html");
    let url = peer.url("/a");
    fetch(["-qn2", "--timeline", &path, &url]).exits_with(0);
    assert_eq!(directory.files(), ["run.html"]);
    let page = fs::read_to_string(&path).unwrap();
    for number in [1, 2] {
        assert!(page.contains(&format!("\"{url} #{number}\"")));
    }
}

#[test]
fn a_timeline_that_cannot_be_written_is_an_error() {
    let directory = TempDir::new("timeline-error");
    let peer = Peer::replying(echo);
    let path = directory.path("missing/run.html");
    let reason = fs::write(&path, "").unwrap_err();
    fetch(["-q", "--timeline", &path, &peer.url("/a")])
        .exits_with(1)
        .complains(&format!(
            "fetch: cannot write the timeline to {path}: {reason}\n"
        ));
}
