//! The part of a URL that `fetch` understands: `http://address[:port][/path][?query]`.
//!
//! Everything else is refused with a reason, before anything is connected. It does not resolve
//! names: the host has to be an IP address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of `http` (RFC 9110, section 4.2.1).
const DEFAULT_PORT: u16 = 80;

/// Where to connect, and what to ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Url {
    /// The URL as it was given, for the report.
    pub(crate) text: String,
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// The path and the query: what stands in the request line.
    target: String,
}

impl Url {
    /// Reads a URL, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // A line break in a URL would end the request line and start a header of the URL's
        // choosing. In a valid URL all such characters are percent-encoded (RFC 3986, section 2).
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!(
                "it contains the character {bad:?}; blanks, control characters and everything \
                 beyond ASCII have to be percent-encoded"
            ));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it does not start with http://".to_string());
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!(
                "this example speaks plain http only, not {scheme:?}"
            ));
        }

        // The part behind a `#` is for the reader of the document, and never sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let end_of_authority = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end_of_authority);
        Ok(Self {
            text: text.to_string(),
            address: parse_authority(authority)?,
            target: if target.starts_with('/') {
                target.to_string()
            } else {
                format!("/{target}")
            },
        })
    }

    /// The whole request.
    ///
    /// With HTTP/1.0 the answer ends where the peer closes, and is never in chunks. HTTP/1.0 does
    /// not ask for a `Host`, but servers that house several sites do.
    pub(crate) fn request(&self) -> String {
        let Self {
            target, address, ..
        } = self;
        let host = match (address.ip(), address.port()) {
            (IpAddr::V4(ip), DEFAULT_PORT) => ip.to_string(),
            (IpAddr::V6(ip), DEFAULT_PORT) => format!("[{ip}]"),
            _ => address.to_string(),
        };
        format!("GET {target} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    }
}

/// Reads `127.0.0.1`, `127.0.0.1:8000`, `[::1]` or `[::1]:8000`.
fn parse_authority(authority: &str) -> Result<SocketAddr, String> {
    if authority.contains('@') {
        return Err("user names and passwords are not supported".to_string());
    }
    let (ip, port): (IpAddr, &str) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or("the bracket of the IPv6 address is never closed")?;
        let ip: Ipv6Addr = host
            .parse()
            .map_err(|_| format!("{host:?} is not an IPv6 address"))?;
        (ip.into(), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let ip: Ipv4Addr = host.parse().map_err(|_| {
            if authority.parse::<Ipv6Addr>().is_ok() {
                "an IPv6 address has to stand in brackets, as in http://[::1]:8000/".to_string()
            } else if host.is_empty() {
                "it has no host".to_string()
            } else {
                format!(
                    "{host:?} is not an IP address, and this example does not resolve names: \
                     give an address, as in http://127.0.0.1:8000/"
                )
            }
        })?;
        (ip.into(), port)
    };

    let port = if port.is_empty() {
        DEFAULT_PORT
    } else {
        parse_port(port).ok_or_else(|| {
            format!("{port:?} is not a port: expected a colon and a number from 1 to 65535")
        })?
    };
    Ok(SocketAddr::new(ip, port))
}

/// Reads `:8000`. (Parsing the number alone is not enough: `u16` accepts `+8000`.)
fn parse_port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':')?;
    let port = digits.parse().ok()?;
    (port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_url_becomes_an_address_and_a_request() {
        for (text, address, target, host) in [
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
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!(url.text, text);
            assert_eq!(url.address.to_string(), address, "{text}");
            assert_eq!(
                url.request(),
                format!("GET {target} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            );
        }
    }

    #[test]
    fn whatever_cannot_be_fetched_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "does not start with http://"),
            ("127.0.0.1:8000", "does not start with http://"),
            ("https://127.0.0.1/", "plain http only"),
            ("file:///etc/passwd", "plain http only"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://:8000/", "no host"),
            ("http://example.com/", "does not resolve names"),
            ("http://localhost:8000/", "does not resolve names"),
            ("http://127.0.0.1.5/", "is not an IP address"),
            ("http://me:secret@127.0.0.1/", "passwords"),
            ("http://::1/", "in brackets, as in http://[::1]:8000/"),
            ("http://[::1/", "never closed"),
            ("http://[fe80::1%eth0]/", "is not an IPv6 address"),
            ("http://[127.0.0.1]/", "is not an IPv6 address"),
            ("http://[::1]8000/", "is not a port"),
            ("http://127.0.0.1:/", "is not a port"),
            ("http://127.0.0.1:0/", "is not a port"),
            ("http://127.0.0.1:+80/", "is not a port"),
            ("http://127.0.0.1:-1/", "is not a port"),
            ("http://127.0.0.1:65536/", "is not a port"),
            ("http://127.0.0.1:80:81/", "is not a port"),
            ("http://127.0.0.1:http/", "is not a port"),
            ("http://127.0.0.1/a b", "' '"),
            ("http://127.0.0.1/\r\nX-Evil: 1", "'\\r'"),
            ("http://127.0.0.1/\u{1b}[2J", "'\\u{1b}'"),
            ("http://127.0.0.1/ü", "'ü'"),
        ] {
            let refusal = Url::parse(text).expect_err(text);
            assert!(refusal.contains(reason), "{text:?}: {refusal}");
        }
    }
}
