//! The URLs that `fetch` supports: `http://host[:port][/path][?query]`, where the host is a name or an IP
//! address. On the command line, `http://` is optional.
//!
//! The parser rejects everything else with a reason, before anything is resolved or connected. It also
//! checks the URLs of redirects.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The port of `http` (RFC 9110, section 4.2.1).
const DEFAULT_PORT: u16 = 80;

/// The longest name of a host in the DNS (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// The longest part of a name between two dots (in the same section).
const MAX_LABEL: usize = 63;

/// A parsed URL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Url {
    /// The URL as given, for the report.
    text: String,
    /// The host to connect to.
    host: Host,
    /// The port to connect to.
    port: u16,
    /// The path and the query, as in the request line.
    target: String,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Host {
    /// An address.
    Ip(IpAddr),
    /// An IPv6 address and the zone in which it is valid: the name or the number of an interface
    /// (RFC 4007, section 11).
    Zoned(Ipv6Addr, String),
    /// A name to resolve.
    Name(String),
}

impl Url {
    /// Parses a URL as typed by a user, which may begin with the host.
    pub(crate) fn parse_typed(text: &str) -> Result<Self, String> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        let is_http = |scheme: &str| ["http", "https"].contains(&&*scheme.to_ascii_lowercase());
        let names_scheme = text.split_once("://").is_some_and(|(it, _)| is_scheme(it));
        match names_scheme || scheme.is_some_and(is_http) {
            true => Self::parse(text),
            false => Self::parse(&format!("http://{text}")),
        }
    }

    /// Parses a URL, or returns what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // A line break in a URL would end the request line and start a header of the URL's
        // choosing. In a valid URL all such characters are percent-encoded (RFC 3986, section 2).
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!(
                "it contains '{}': spaces, control characters and non-ASCII characters must be \
                 percent-encoded",
                bad.escape_default()
            ));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it does not start with http://".to_string());
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!(
                "the scheme is {scheme:?}, and only http is supported"
            ));
        }

        let rest = without_fragment(rest);
        let end_of_authority = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end_of_authority);
        let (host, port) = parse_authority(authority)?;
        Ok(Self {
            text: text.to_string(),
            host,
            port,
            target: if target.starts_with('/') {
                target.to_string()
            } else {
                format!("/{target}")
            },
        })
    }

    /// Resolves a reference in a page of this URL (RFC 3986, section 5.2.2): an absolute URL, or a path
    /// relative to the host or to the page. The fragment is removed first, so it may contain anything.
    pub(crate) fn join(&self, reference: &str) -> Result<Self, String> {
        let reference = without_fragment(reference);
        let is_absolute = |(scheme, _)| is_scheme(scheme);
        if reference.split_once(':').is_some_and(is_absolute) {
            return Ok(Self::parse(reference)?.without_dots());
        }
        if reference.starts_with("//") {
            return Ok(Self::parse(&format!("http:{reference}"))?.without_dots());
        }
        let (path, _) = split_query(&self.target);
        let target = if reference.is_empty() {
            self.target.clone()
        } else if reference.starts_with('?') {
            format!("{path}{reference}")
        } else {
            let (reference, query) = split_query(reference);
            let merged = if reference.starts_with('/') {
                reference.to_string()
            } else {
                // Relative to the page: replaces what follows the last slash.
                let directory = path.rfind('/').map_or("/", |slash| &path[..=slash]);
                format!("{directory}{reference}")
            };
            without_dots(&merged) + query
        };
        // In a URL the `%` before a zone is encoded (RFC 6874, section 2).
        let host = match &self.host {
            Host::Zoned(ip, zone) => format!("[{ip}%25{zone}]"),
            host => host.to_string(),
        };
        Self::parse(&format!("http://{}{target}", self.with_port(host)))
    }

    /// Returns the same URL without the segments `.` and `..` of its path.
    fn without_dots(mut self) -> Self {
        let (path, query) = split_query(&self.target);
        let target = without_dots(path) + query;
        if target != self.target {
            // The URL ends with the path and query, and has no fragment.
            self.text.truncate(self.text.len() - self.target.len());
            self.text += &target;
            self.target = target;
        }
        self
    }

    /// Returns the host to connect to.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Returns whether the operating system must resolve the host.
    pub(crate) fn needs_look_up(&self) -> bool {
        match &self.host {
            Host::Ip(_) => false,
            Host::Zoned(_, zone) => u32::from_str(zone).is_err(),
            Host::Name(_) => true,
        }
    }

    /// Returns the port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the part of the path after the last slash.
    pub(crate) fn file_name(&self) -> &str {
        let (path, _) = split_query(&self.target);
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the host and the port, for messages.
    pub(crate) fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns the whole request (RFC 9112, section 3).
    pub(crate) fn request(&self) -> String {
        format!(
            "GET {} HTTP/1.1\r\n\
             Host: {}\r\n\
             User-Agent: glassfrog-fetch/{}\r\n\
             Accept: */*\r\n\
             Connection: close\r\n\
             \r\n",
            self.target,
            self.authority(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Returns the value of the field `Host`, without a zone (RFC 6874, section 4).
    fn authority(&self) -> String {
        self.with_port(match &self.host {
            Host::Zoned(ip, _) => format!("[{ip}]"),
            host => host.to_string(),
        })
    }

    /// Returns a host with the port of this URL, unless it is the default port.
    fn with_port(&self, host: String) -> String {
        match self.port {
            DEFAULT_PORT => host,
            port => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Zoned(ip, zone) => write!(f, "[{ip}%{zone}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// Parses a host with an optional port: `example.com`, `127.0.0.1:8000`, `[::1]:8000`.
fn parse_authority(authority: &str) -> Result<(Host, u16), String> {
    if authority.contains('@') {
        return Err("user names and passwords are not supported".to_string());
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (ip, port) = rest
            .split_once(']')
            .ok_or("the IPv6 address has no closing bracket")?;
        (parse_ipv6(ip)?, port)
    } else if authority.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address must be in brackets, as in http://[::1]:8000/".to_string());
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        match host.parse::<Ipv4Addr>() {
            Ok(ip) => (Host::Ip(ip.into()), port),
            Err(_) => (Host::Name(parse_name(host)?), port),
        }
    };

    let port = if port.is_empty() {
        DEFAULT_PORT
    } else {
        parse_port(port).ok_or_else(|| {
            format!("{port:?} is not a port: expected a colon and a number from 1 to 65535")
        })?
    };
    Ok((host, port))
}

/// Parses an address in brackets: `::1`, `fe80::1%eth0`, or `fe80::1%25eth0`, the form of a zone in a URL
/// (RFC 6874, section 2).
fn parse_ipv6(text: &str) -> Result<Host, String> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    let ip: Ipv6Addr = ip
        .parse()
        .map_err(|_| format!("{text:?} is not an IPv6 address"))?;
    let Some(zone) = zone else {
        return Ok(Host::Ip(ip.into()));
    };
    let zone = match zone.strip_prefix("25") {
        Some(rest) if !rest.is_empty() => rest,
        _ => zone,
    };
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if zone.is_empty() || !zone.chars().all(is_unreserved) {
        return Err(format!("{zone:?} is not the name of a network interface"));
    }
    Ok(Host::Zoned(ip, zone.to_string()))
}

/// Parses a name that may be passed to a resolver.
fn parse_name(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("it has no host".to_string());
    }
    // A final dot means that the name is complete.
    let labels = name.strip_suffix('.').unwrap_or(name);
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label =
        |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.chars().all(is_letter);
    if labels.len() > MAX_NAME || !labels.split('.').all(is_label) {
        return Err(format!("{name:?} is not a valid host name"));
    }
    // A resolver accepts `127.1` and `0x7f000001` as addresses. No name ends like that (RFC 3696, section
    // 2), and such addresses are mostly used to bypass checks.
    let last = labels.rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let is_number = match digits {
        Some(digits) => digits.chars().all(|c| c.is_ascii_hexdigit()),
        None => last.chars().all(|c| c.is_ascii_digit()),
    };
    if is_number {
        return Err(format!(
            "{name:?} is neither an IP address nor a valid host name"
        ));
    }
    Ok(name.to_string())
}

/// Parses `:8000`. (Parsing the number alone is not enough: `u16` accepts `+8000`.)
fn parse_port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':')?;
    let port = digits.parse().ok()?;
    (port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(port)
}

/// Returns whether a text is the name of a scheme (RFC 3986, section 3.1).
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Removes the part after a `#`, which is never sent.
fn without_fragment(text: &str) -> &str {
    text.split('#').next().unwrap_or_default()
}

/// Splits a path from its query, which keeps its question mark.
fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

/// Removes the segments `.` and `..` from an absolute path; nothing is above its root.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut ends_in_directory = false;
    for part in path.split('/').skip(1) {
        ends_in_directory = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if ends_in_directory {
        parts.push("");
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_url_becomes_a_peer_and_a_request() {
        for (text, peer, target, host) in [
            ("http://127.0.0.1", "127.0.0.1:80", "/", "127.0.0.1"),
            ("http://127.0.0.1:80/", "127.0.0.1:80", "/", "127.0.0.1"),
            (
                "HTTP://10.0.0.7:8000/a/b?c=d&e",
                "10.0.0.7:8000",
                "/a/b?c=d&e",
                "10.0.0.7:8000",
            ),
            (
                "http://10.0.0.7?to=http://x",
                "10.0.0.7:80",
                "/?to=http://x",
                "10.0.0.7",
            ),
            ("http://10.0.0.7:81#part", "10.0.0.7:81", "/", "10.0.0.7:81"),
            ("http://[::1]/x#y", "[::1]:80", "/x", "[::1]"),
            ("http://[::1]:8000/", "[::1]:8000", "/", "[::1]:8000"),
            (
                "http://example.com./a",
                "example.com.:80",
                "/a",
                "example.com.",
            ),
            (
                "http://localhost:8000",
                "localhost:8000",
                "/",
                "localhost:8000",
            ),
            ("http://a_b.7-z.x1/", "a_b.7-z.x1:80", "/", "a_b.7-z.x1"),
            ("http://[fe80::1%lo]/", "[fe80::1%lo]:80", "/", "[fe80::1]"),
            (
                "http://[fe80::1%25eth0.7]:81/",
                "[fe80::1%eth0.7]:81",
                "/",
                "[fe80::1]:81",
            ),
            ("http://[fe80::1%25]/", "[fe80::1%25]:80", "/", "[fe80::1]"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!(url.to_string(), text);
            assert_eq!(url.peer(), peer, "{text}");
            let request = url.request();
            let begin = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ");
            assert!(request.starts_with(&begin), "{request}");
            assert!(
                request.ends_with("\r\nAccept: */*\r\nConnection: close\r\n\r\n"),
                "{request}"
            );
        }
    }

    #[test]
    fn an_unsupported_url_is_rejected_with_the_reason() {
        let long_label = format!("http://{}.com/", "a".repeat(64));
        let long_name = format!("http://{}com/", "a.".repeat(126));
        for (text, reason) in [
            ("", "does not start with http://"),
            ("127.0.0.1:8000", "does not start with http://"),
            ("https://127.0.0.1/", "only http is supported"),
            ("file:///etc/passwd", "only http is supported"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://:8000/", "no host"),
            ("http://./", "is not a valid host name"),
            ("http://a..b/", "is not a valid host name"),
            ("http://a%20b/", "is not a valid host name"),
            ("http://a\\b/", "is not a valid host name"),
            ("http://a,b/", "is not a valid host name"),
            (&long_label, "is not a valid host name"),
            (&long_name, "is not a valid host name"),
            ("http://127.0.0.1.5/", "neither an IP address nor"),
            ("http://127.1/", "neither an IP address nor"),
            ("http://127.1./", "neither an IP address nor"),
            ("http://2130706433/", "neither an IP address nor"),
            ("http://0x7f000001/", "neither an IP address nor"),
            ("http://0.0x/", "neither an IP address nor"),
            ("http://me:secret@127.0.0.1/", "passwords"),
            ("http://::1/", "in brackets, as in http://[::1]:8000/"),
            ("http://[::1/", "no closing bracket"),
            ("http://[fe80::1%]/", "is not the name of a network"),
            ("http://[fe80::1%a/b]/", "no closing bracket"),
            ("http://[fe80::1%a%b]/", "is not the name of a network"),
            ("http://[%lo]/", "is not an IPv6 address"),
            ("http://[127.0.0.1]/", "is not an IPv6 address"),
            ("http://[::1]8000/", "is not a port"),
            ("http://127.0.0.1:/", "is not a port"),
            ("http://127.0.0.1:0/", "is not a port"),
            ("http://127.0.0.1:+80/", "is not a port"),
            ("http://127.0.0.1:-1/", "is not a port"),
            ("http://127.0.0.1:65536/", "is not a port"),
            ("http://127.0.0.1:80:81/", "is not a port"),
            ("http://example.com:http/", "is not a port"),
            ("http://exa mple.com/", "' '"),
            ("http://example.com\r\nX-Evil: 1/", "'\\r'"),
            ("http://127.0.0.1/a b", "' '"),
            ("http://127.0.0.1/\r\nX-Evil: 1", "'\\r'"),
            ("http://127.0.0.1/\nX-Evil: 1", "'\\n'"),
            ("http://127.0.0.1/\0", "'\\u{0}'"),
            ("http://127.0.0.1/\t", "'\\t'"),
            ("http://127.0.0.1/\u{7f}", "'\\u{7f}'"),
            ("http://127.0.0.1/\u{1b}[2J", "'\\u{1b}'"),
            ("http://127.0.0.1/ü", "'\\u{fc}'"),
        ] {
            let refusal = Url::parse(text).expect_err(text);
            assert!(refusal.contains(reason), "{text:?}: {refusal}");
        }
    }

    #[test]
    fn a_user_may_leave_out_the_scheme() {
        for (typed, url) in [
            ("localhost:8000", "http://localhost:8000"),
            ("127.0.0.1:8000/a?b#c", "http://127.0.0.1:8000/a?b#c"),
            ("[::1]:8000", "http://[::1]:8000"),
            ("example.com", "http://example.com"),
            ("a:80/?to=http://b", "http://a:80/?to=http://b"),
            ("http://a:80", "http://a:80"),
        ] {
            assert_eq!(Url::parse_typed(typed).unwrap().to_string(), url);
        }
        for (typed, reason) in [
            ("", "no host"),
            ("/path", "no host"),
            ("//a/", "no host"),
            ("https://a", "only http is supported"),
            ("https:a", "does not start with http://"),
            ("http:/a", "does not start with http://"),
            ("HTTP:", "does not start with http://"),
            ("javascript:alert(1)", "is not a port"),
            ("me@a:80", "passwords"),
            ("a b:80", "' '"),
        ] {
            let refusal = Url::parse_typed(typed).expect_err(typed);
            assert!(refusal.contains(reason), "{typed:?}: {refusal}");
        }
    }

    #[test]
    fn a_reference_is_resolved_as_the_rfc_says() {
        // The examples of RFC 3986, section 5.4, as far as they are http.
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, resolved) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("a/b:c", "http://a/b/c/a/b:c"),
            ("HTTP://x:1/y", "HTTP://x:1/y"),
            // Dots are removed from absolute references and those with a host too.
            ("http://x/./b/../c?d/../e", "http://x/c?d/../e"),
            ("http://x/../../g", "http://x/g"),
            ("http://x?y/../z", "http://x?y/../z"),
            ("//x/b/c/..", "http://x/b/"),
            ("//x/.", "http://x/"),
            // The fragment is not sent.
            ("g#\u{e4}\n", "http://a/b/c/g"),
            ("http://x/g#\u{e4}", "http://x/g"),
            ("//x/./g#\u{e4}", "http://x/g"),
        ] {
            let url = base.join(reference).expect(reference);
            assert_eq!(url.to_string(), resolved, "{reference}");
        }
        let port = Url::parse("http://[::1]:81/x/y").unwrap();
        assert_eq!(port.join("z").unwrap().to_string(), "http://[::1]:81/x/z");
        let zone = Url::parse("http://[fe80::1%25lo]:81/x/y").unwrap();
        let joined = zone.join("z").unwrap();
        assert_eq!(joined.to_string(), "http://[fe80::1%25lo]:81/x/z");
        assert_eq!(joined.peer(), zone.peer());
    }

    #[test]
    fn the_target_of_a_redirect_is_checked_in_the_same_way() {
        let base = Url::parse("http://a/b").unwrap();
        for (reference, reason) in [
            ("https://a/", "only http is supported"),
            ("file:///etc/passwd", "only http is supported"),
            ("javascript:alert(1)", "does not start with http://"),
            ("http:g", "does not start with http://"),
            ("/a b", "' '"),
            ("/a\r\nX: y", "'\\r'"),
            ("//me@x/", "passwords"),
            ("//", "no host"),
            ("//127.1/", "neither an IP address nor"),
        ] {
            let refusal = base.join(reference).expect_err(reference);
            assert!(refusal.contains(reason), "{reference:?}: {refusal}");
        }
    }
}
