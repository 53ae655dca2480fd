//! Where a URL leads: names, addresses, and URLs that are rejected before connecting.

use crate::support::{Peer, fetch};
use std::net::{SocketAddr, TcpListener};

/// Responds with the request as the body.
fn mirror(request: &str) -> Vec<u8> {
    let length = request.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{request}").into()
}

#[test]
fn the_request_conforms_to_http_1_1() {
    let peer = Peer::replying(mirror);
    let run = fetch(["-qo", "-", &peer.url("/a/b?c=d%20e#f")]).exits_with(0);
    let lines: Vec<&str> = run.stdout.split("\r\n").collect();
    let host = format!("Host: {}", peer.address);
    assert_eq!(lines[..2], ["GET /a/b?c=d%20e HTTP/1.1", &host]);
    assert!(lines[2].starts_with("User-Agent: glassfrog-fetch/"));
    assert_eq!(lines[3..], ["Accept: */*", "Connection: close", "", ""]);
}

#[test]
fn a_name_is_resolved_and_sent_as_the_host() {
    let peer = Peer::replying(mirror);
    let port = peer.address.parse::<SocketAddr>().unwrap().port();
    let url = format!("http://localhost:{port}/");
    fetch(["-qo", "-", &url])
        .exits_with(0)
        .says(format!("\r\nHost: localhost:{port}\r\n"));
    // The report has this column only for a name.
    fetch([&url]).exits_with(0).says("    resolve  connect ");
    fetch([&peer.url("/")]).exits_with(0).never_says("resolve");
}

#[test]
fn an_ipv6_address_keeps_its_brackets() {
    let Some(peer) = at_ipv6("[::1]:0") else {
        println!("skipped: no IPv6 here");
        return;
    };
    assert!(peer.address.starts_with("[::1]:"));
    fetch(["-qo", "-", &peer.url("/")])
        .exits_with(0)
        .says(format!("\r\nHost: {}\r\n", peer.address));
}

/// Starts a server on an IPv6 address, if the machine has one.
fn at_ipv6(address: &str) -> Option<Peer> {
    let peer = Peer::at(address, |mut stream| {
        use std::io::Write;
        let request = crate::support::read_request(&mut stream);
        stream.write_all(&mirror(&request)).unwrap();
        crate::support::close(stream);
    });
    peer.ok()
}

#[test]
fn a_zone_is_used_to_connect_and_is_not_sent() {
    let Some(peer) = at_ipv6("[::1]:0") else {
        println!("skipped: no IPv6 here");
        return;
    };
    let port = peer.address.trim_start_matches("[::1]:");
    // Number 1 is the loopback interface wherever zones have numbers.
    for host in ["[::1%1]", "[::1%251]"] {
        fetch(["-qo-", &format!("http://{host}:{port}/")])
            .exits_with(0)
            .says(format!("\r\nHost: [::1]:{port}\r\n"));
    }
    // An interface that does not exist.
    let run = fetch(["-q", "http://[fe80::1%nosuch0]/"]).exits_with(1);
    let begin = "fetch: http://[fe80::1%nosuch0]/: resolve fe80::1%nosuch0";
    assert!(run.stderr.starts_with(begin), "{run:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_link_local_address_is_reached_through_its_interface_name() {
    // Address, index, prefix, scope, flags, name; link-local is scope 20.
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let link_local = interfaces.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = u128::from_str_radix(fields[0], 16).ok()?;
        let index = u32::from_str_radix(fields[1], 16).ok()?;
        let ip = std::net::Ipv6Addr::from(address);
        (fields[3] == "20").then(|| (ip, index, fields[5].to_string()))
    });
    let Some((ip, index, interface)) = link_local else {
        println!("skipped: no interface has a link-local address");
        return;
    };
    let Some(peer) = at_ipv6(&format!("[{ip}%{index}]:0")) else {
        println!("skipped: {interface} does not have its address any more");
        return;
    };
    let port = peer.address.rsplit(':').next().unwrap();
    for percent in ["%", "%25"] {
        fetch([
            "-qo-",
            &format!("http://[{ip}{percent}{interface}]:{port}/"),
        ])
        .exits_with(0)
        .says(format!("\r\nHost: [{ip}]:{port}\r\n"));
    }
}

#[test]
fn the_scheme_is_optional() {
    let peer = Peer::replying(mirror);
    fetch(["-qo-", &format!("{}/a?b", peer.address)])
        .exits_with(0)
        .says(format!("GET /a?b HTTP/1.1\r\nHost: {}\r\n", peer.address));
    let port = peer.address.parse::<SocketAddr>().unwrap().port();
    fetch(["-q", &format!("localhost:{port}")]).exits_with(0);
}

#[test]
fn a_failed_lookup_reports_the_name() {
    let run = fetch(["-q", "http://nosuch.invalid:81/x"]).exits_with(1);
    let begin = "fetch: http://nosuch.invalid:81/x: resolve nosuch.invalid";
    assert!(run.stderr.starts_with(begin), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1);
}

#[test]
fn a_refused_connection_reports_the_address() {
    // A port that was free a moment ago.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    drop(deaf);
    let url = format!("http://{address}/");
    let run = fetch(["-q", &url]).exits_with(1);
    let begin = format!("fetch: {url}: connect to {address}: ");
    assert!(run.stderr.starts_with(&begin), "{run:#?}");
}

#[test]
fn a_url_that_could_smuggle_a_request_is_rejected_before_connecting() {
    let peer = Peer::replying(mirror);
    let address = &peer.address;
    let urls = [
        format!("http://{address}/a b"),
        format!("http://{address}/a\r\nX-Evil: 1"),
        format!("http://{address}/a\nX-Evil: 1"),
        format!("http://{address}/a\rb"),
        format!("http://{address}/a\tb"),
        format!("http://{address}/\u{1b}[2J"),
        format!("http://{address}/\u{7f}"),
        format!("http://{address}\r\nX-Evil:1/"),
        format!("http://{address} /"),
        format!("http://evil@{address}/"),
        "http://local host/".to_string(),
        format!("http://{address}/ü"),
    ];
    let run = fetch([&["-q".to_string()], &urls[..]].concat()).exits_with(1);
    let complaints: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(complaints.len(), urls.len());
    for (complaint, url) in complaints.iter().zip(&urls) {
        let url = url
            .replace('\r', "\\r")
            .replace('\n', "\\n")
            .replace('\t', "\\t");
        let url = url
            .replace('\u{1b}', "\\x1b")
            .replace('\u{7f}', "\\x7f")
            .replace('ü', "\\xc3\\xbc");
        let begin = format!("fetch: {url}: invalid URL: ");
        assert!(complaint.starts_with(&begin), "{complaint:?}");
    }
    assert_eq!(peer.accepted(), 0);
    // None of it reaches a terminal unescaped.
    assert!(run.stderr.chars().all(|c| c == '\n' || !c.is_control()));
    // The server has counted the connection.
    fetch(["-q", &peer.url("/")]).exits_with(0);
    assert_eq!(peer.accepted(), 1);
}
