//! The timeline of a simulation: the file that `GLASSFROG_TIMELINE` names.

use crate::sim_hosts::MS;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Link, Sim};
use glassfrog::time::sleep;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, process};

/// The environment variable that names the file.
const VARIABLE: &str = "GLASSFROG_TIMELINE";

/// The environment variable of a child process, which runs a part of a test.
const PART: &str = "GLASSFROG_TEST_PART";

/// Returns whether this is a child process.
fn is_child() -> bool {
    env::var_os(PART).is_some()
}

/// Runs the named test in a child process, with the variable set to a path in a new directory, and a part of it there.
/// Returns the text of the file, if there is one.
fn run(test: &str, file: &str, part: impl FnOnce()) -> Option<String> {
    if is_child() {
        part();
        process::exit(0)
    }
    let directory = env::temp_dir().join(format!("glassfrog-{test}-{}", process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path: PathBuf = directory.join(file);
    let output = Command::new(env::current_exe().unwrap())
        .args([&format!("sim_timeline::{test}"), "--exact", "--nocapture"])
        .env(PART, "1")
        .env(VARIABLE, &path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(&path).ok();
    assert_alone(&directory, &path);
    fs::remove_dir_all(&directory).unwrap();
    text
}

/// Asserts that a directory contains no file but this.
fn assert_alone(directory: &Path, path: &Path) {
    let names = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let others: Vec<_> = names.filter(|name| name != path).collect();
    assert!(others.is_empty(), "{others:?}");
}

const SECOND: Duration = Duration::from_secs(1);

/// A server that answers each byte.
async fn server() -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let echo = async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok()
                && stream.write_all(&byte).await.is_ok()
            {}
        };
        drop(glassfrog::task::Builder::new().name("echo").spawn(echo));
    }
}

/// Runs a client that sends a byte before a partition, one during it, and one to a server that was started again.
fn simulate() {
    let mut sim = Sim::new(1);
    sim.link(Link::latency(10 * MS..=10 * MS));
    sim.host("server", server);
    sim.clock("server", sim::Clock::ahead(Duration::from_secs(5)).ppm(300));
    sim.client("client", async {
        sleep(5 * MS).await;
        let mut stream = TcpStream::connect("server:80").await?;
        stream.write_all(b"a").await?;
        stream.read_exact(&mut [0]).await?;
        sim::partition("client", "server");
        stream.write_all(b"b").await?;
        sleep(100 * MS).await;
        sim::repair("client", "server");
        stream.read_exact(&mut [0]).await?;
        sim::crash("server");
        sleep(20 * MS).await;
        sim::restart("server");
        sleep(20 * MS).await;
        let mut stream = TcpStream::connect("server:80").await?;
        stream.write_all(b"c").await?;
        stream.read_exact(&mut [0]).await?;
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_simulation_writes_one_file_with_its_hosts_segments_and_faults() {
    let test = "a_simulation_writes_one_file_with_its_hosts_segments_and_faults";
    let page = run(test, "run.html", simulate).unwrap();
    let data = page.split_once("id=\"data\">").unwrap().1;
    let data = data.split_once("</script>").unwrap().0;
    for part in [
        "\"name\":\"server\"",
        "\"name\":\"client\"",
        "\"restart\":1",
        "\"syn\"",
        "\"data #0, 1 byte\"",
        "\"data #1, 1 byte (cut)\"",
        "\"client ↔ server is cut\"",
        "\"server loses its power\"",
        "\"server has its clock set: 5s ahead, 300 ppm fast\"",
        "\"ready: read tcp",
        "\"sleep 100 ms\"",
    ] {
        assert!(data.contains(part), "{part} is not in {data}");
    }
}

#[test]
fn the_file_of_a_run_that_fails_is_not_replaced_by_that_of_one_that_passes() {
    let test = "the_file_of_a_run_that_fails_is_not_replaced_by_that_of_one_that_passes";
    let page = run(test, "run.html", || {
        let mut sim = Sim::new(1);
        sim.client("fails", async { Err("as the test wants".into()) });
        sim.run().unwrap_err();
        drop(sim);
        simulate();
    });
    let page = page.unwrap();
    assert!(page.contains("\"name\":\"fails\"") && !page.contains("\"name\":\"server\""));
}

#[test]
fn the_timeline_of_a_failure_marks_it_and_shows_the_packets_that_are_held() {
    let test = "the_timeline_of_a_failure_marks_it_and_shows_the_packets_that_are_held";
    let trace = run(test, "run.json", || {
        let mut sim = Sim::new(1);
        sim.host("server", server);
        sim.client("client", async {
            sleep(5 * MS).await;
            let mut stream = TcpStream::connect("server:80").await?;
            sleep(SECOND).await;
            sim::hold("client", "server");
            stream.write_all(b"w").await?;
            sleep(SECOND).await;
            Err("lost entry 7\nand more".into())
        });
        sim.run().unwrap_err();
    });
    let trace = trace.unwrap();
    for part in [
        r#""name":"client fails: returned an error: lost entry 7""#,
        r#""name":"client ↔ server is held""#,
        "data #0, 1 byte",
    ] {
        assert!(trace.contains(part), "{part} is not in {trace}");
    }
}

#[test]
fn the_timeline_of_a_failure_without_a_host_marks_it() {
    let test = "the_timeline_of_a_failure_without_a_host_marks_it";
    let trace = run(test, "run.json", || {
        let mut sim = Sim::new(1);
        sim.client("client", std::future::pending());
        sim.every(SECOND, || Err("two leaders".into()));
        sim.run_for(2 * SECOND).unwrap_err();
    });
    let trace = trace.unwrap();
    let part = r#""name":"the simulation fails: an invariant does not hold: two leaders""#;
    assert!(trace.contains(part), "{trace}");
}

#[test]
fn a_path_that_ends_in_json_gets_a_trace_with_segments_as_flows() {
    let test = "a_path_that_ends_in_json_gets_a_trace_with_segments_as_flows";
    let trace = run(test, "run.json", simulate).unwrap();
    assert!(trace.contains(r#""name":"process_name","args":{"name":"server"}"#));
    assert!(trace.contains(r#""cat":"segment","id":"#), "{trace}");
}
