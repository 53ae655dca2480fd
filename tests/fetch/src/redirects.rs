//! Redirects.

use crate::support::{Peer, fails, fetch};

/// Starts a server that responds to a path with the redirect that `to` returns, or else with that path.
fn redirecting(to: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Peer {
    Peer::replying(move |request| {
        let path = request.split(' ').nth(1).unwrap();
        let answer = match to(path) {
            Some(location) => {
                format!(
                    "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\nover"
                )
            }
            None => {
                let length = path.len();
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}")
            }
        };
        answer.into_bytes()
    })
}

#[test]
fn a_redirect_is_shown_and_not_followed_by_default() {
    let peer = redirecting(|path| (path == "/").then(|| "/there".to_string()));
    fetch([peer.url("/")])
        .exits_with(0)
        .says(" 4  HTTP/1.1 302 Found\n    redirects to /there\n");
    assert_eq!(peer.accepted(), 1);
}

#[test]
fn a_redirect_is_followed_on_request() {
    let other = redirecting(|_| None);
    let elsewhere = other.url("/elsewhere");
    let lower = format!("//{}/no-scheme", other.address);
    let peer = redirecting(move |path| {
        let location = match path {
            "/a/relative" => "b",
            "/a/absolute" => "/c?d=e#f",
            "/a/up" => "../g",
            "/a/elsewhere" => &elsewhere,
            "/a/no-scheme" => &lower,
            "/a/query" => "?x",
            "/a/twice" => "/a/relative",
            _ => return None,
        };
        Some(location.to_string())
    });
    for (path, target) in [
        ("/a/relative", "/a/b"),
        ("/a/absolute", "/c?d=e"),
        ("/a/up", "/g"),
        ("/a/elsewhere", "/elsewhere"),
        ("/a/no-scheme", "/no-scheme"),
        ("/a/query", "/a/query?x"),
        ("/a/twice", "/a/b"),
    ] {
        let run = fetch(["-L", "-o-", &peer.url(path)]).exits_with(0);
        assert_eq!(run.stdout, target, "{path}");
        assert!(
            run.stderr
                .contains("HTTP/1.1 302 Found, followed to http://")
        );
    }
    assert_eq!(other.accepted(), 2);
}

#[test]
fn absolute_locations_are_normalized_like_relative_ones() {
    let other = redirecting(|_| None);
    let address = other.address.clone();
    let peer = redirecting(move |path| {
        Some(match path {
            "/absolute" => format!("http://{address}/a/./b/../c?d/../e"),
            "/no-scheme" => format!("//{address}/a/../../b/."),
            "/fragment" => format!("http://{address}/a#\u{fc}"),
            "/no-scheme-fragment" => format!("//{address}/a#\u{fc}"),
            "/relative-fragment" => "/there#\u{fc}".to_string(),
            _ => return None,
        })
    });
    for (path, target) in [
        ("/absolute", "/a/c?d/../e"),
        ("/no-scheme", "/b/"),
        ("/fragment", "/a"),
        ("/no-scheme-fragment", "/a"),
        ("/relative-fragment", "/there"),
    ] {
        let run = fetch(["-Lo-", &peer.url(path)]).exits_with(0);
        assert_eq!(run.stdout, target, "{path}");
    }
}

#[test]
fn a_redirect_to_the_same_page_fails_at_once() {
    for location in ["", "#part"] {
        let peer = redirecting(move |_| Some(location.to_string()));
        let reason = format!("redirected to {location:?}: that is the same page again");
        fails(&["-L"], &peer, &format!("read from PEER: {reason}"));
        assert_eq!(peer.accepted(), 1);
    }
    let peer = redirecting(|_| Some(String::new()));
    fetch([peer.url("/")])
        .exits_with(0)
        .says("    redirects nowhere: the Location is empty\n");
}

#[test]
fn a_redirect_loop_ends_with_a_failure() {
    let circle = redirecting(|_| Some("/again".to_string()));
    fails(
        &["-L"],
        &circle,
        "read from PEER: redirected more than 10 times",
    );
    assert_eq!(circle.accepted(), 11);
}

#[test]
fn ten_redirects_are_followed() {
    let stairs = redirecting(|path| {
        let step: usize = path[1..].parse().unwrap();
        (step < 10).then(|| format!("/{}", step + 1))
    });
    let run = fetch(["-Lo", "-", &stairs.url("/0")]).exits_with(0);
    assert_eq!(run.stdout, "/10");
}

#[test]
fn a_redirect_target_is_validated_like_any_url() {
    for (location, reason) in [
        (
            "https://127.0.0.1/",
            "the scheme is \"https\", and only http is supported",
        ),
        (
            "file:///etc/passwd",
            "the scheme is \"file\", and only http is supported",
        ),
        (
            "ftp://127.0.0.1/",
            "the scheme is \"ftp\", and only http is supported",
        ),
        ("javascript:alert(1)", "it does not start with http://"),
        (
            "//me:secret@127.0.0.1/",
            "user names and passwords are not supported",
        ),
        ("//", "it has no host"),
        (
            "http://127.1/",
            "\"127.1\" is neither an IP address nor a valid host name",
        ),
        (
            "/a b",
            "it contains ' ': spaces, control characters and non-ASCII characters must be \
             percent-encoded",
        ),
    ] {
        let to = location.to_string();
        let peer = redirecting(move |_| Some(to.clone()));
        fails(
            &["-L"],
            &peer,
            &format!("read from PEER: redirected to {location:?}: {reason}"),
        );
        assert_eq!(peer.accepted(), 1);
    }
}

#[test]
fn a_redirect_to_an_unreachable_server_names_the_last_address_tried() {
    let peer = redirecting(|_| Some("http://nosuch.invalid/".to_string()));
    let run = fetch(["-qL", &peer.url("/")]).exits_with(1);
    let begin = format!("fetch: {}: resolve nosuch.invalid", peer.url("/"));
    assert!(run.stderr.starts_with(&begin), "{run:#?}");
}

#[test]
fn the_deadline_covers_all_redirects_together() {
    let slow = redirecting(|_| {
        // The part of the deadline that each of them takes.
        std::thread::sleep(std::time::Duration::from_millis(100));
        Some("/again".to_string())
    });
    let run = fetch(["-qL", "--timeout", "0.5", &slow.url("/")]).exits_with(1);
    assert!(run.stderr.ends_with("timed out after 500ms\n"), "{run:#?}");
}

#[test]
fn a_response_that_only_resembles_a_redirect_is_an_ordinary_response() {
    for head in [
        "302 Found\r\n",
        "300 Multiple Choices\r\nLocation: /x\r\n",
        "304 Not Modified\r\nLocation: /x\r\n",
        "201 Created\r\nLocation: /x\r\n",
    ] {
        let peer = Peer::answering(format!("HTTP/1.1 {head}Content-Length: 0\r\n\r\n"));
        fetch(["-L", &peer.url("/")]).exits_with(0);
        assert_eq!(peer.accepted(), 1, "{head}");
    }
}

#[test]
fn a_location_is_shown_escaped() {
    let peer =
        Peer::answering(b"HTTP/1.1 302 x\r\nLocation: /\xc2\x9b2J\r\nContent-Length: 0\r\n\r\n");
    fetch([peer.url("/")])
        .exits_with(0)
        .says("    redirects to /\\xc2\\x9b2J\n");
}
