//! A strict parser of JSON (RFC 8259), which knows nothing of what glassfrog writes.

use std::collections::BTreeMap;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Truth(bool),
    /// A number, as it was written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

/// What is not read yet.
struct Reader<'a> {
    /// The text.
    rest: &'a str,
}

impl Reader<'_> {
    /// Skips whitespace.
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t']);
    }

    /// Skips a text, if it comes next.
    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads a text.
    fn expect(&mut self, text: &str) -> Option<()> {
        self.skip(text).then_some(())
    }

    /// Reads a value, and the whitespace around it.
    fn value(&mut self) -> Option<Json> {
        self.space();
        let value = match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.list(),
            '"' => self.text().map(Json::Text),
            'n' => self.expect("null").map(|()| Json::Null),
            't' => self.expect("true").map(|()| Json::Truth(true)),
            'f' => self.expect("false").map(|()| Json::Truth(false)),
            _ => self.number(),
        };
        self.space();
        value
    }

    /// Reads an object, whose keys must differ.
    fn object(&mut self) -> Option<Json> {
        let mut members = BTreeMap::new();
        self.expect("{")?;
        self.space();
        if self.skip("}") {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let key = self.text()?;
            self.space();
            self.expect(":")?;
            if members.insert(key, self.value()?).is_some() {
                return None;
            }
            if self.skip("}") {
                return Some(Json::Object(members));
            }
            self.expect(",")?;
        }
    }

    /// Reads an array.
    fn list(&mut self) -> Option<Json> {
        let mut elements = Vec::new();
        self.expect("[")?;
        self.space();
        if self.skip("]") {
            return Some(Json::List(elements));
        }
        loop {
            elements.push(self.value()?);
            if self.skip("]") {
                return Some(Json::List(elements));
            }
            self.expect(",")?;
        }
    }

    /// Reads digits, and returns whether there was one.
    fn digits(&mut self) -> bool {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_any = rest.len() < self.rest.len();
        self.rest = rest;
        is_any
    }

    /// Reads a number.
    fn number(&mut self) -> Option<Json> {
        let before = self.rest;
        self.skip("-");
        if !self.skip("0") && !self.digits() {
            return None;
        }
        if self.skip(".") && !self.digits() {
            return None;
        }
        if self.skip("e") || self.skip("E") {
            let _ = self.skip("+") || self.skip("-");
            if !self.digits() {
                return None;
            }
        }
        let text = &before[..before.len() - self.rest.len()];
        Some(Json::Number(String::from(text)))
    }

    /// Reads four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.rest = rest;
        is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
    }

    /// Reads a string.
    fn text(&mut self) -> Option<String> {
        let mut units: Vec<u16> = Vec::new();
        self.expect("\"")?;
        loop {
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            let c = match c {
                '"' => return String::from_utf16(&units).ok(),
                c if c < ' ' => return None,
                '\\' => {
                    let c = self.rest.chars().next()?;
                    self.rest = &self.rest[c.len_utf8()..];
                    match c {
                        '"' | '\\' | '/' => c,
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'u' => {
                            units.push(self.unit()?);
                            continue;
                        }
                        _ => return None,
                    }
                }
                c => c,
            };
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
}

impl Json {
    /// Parses a text that consists of exactly one value.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Json {
        let mut reader = Reader { rest: text };
        let value = reader.value();
        let rest: String = reader.rest.chars().take(60).collect();
        match value {
            Some(value) if rest.is_empty() => value,
            _ => panic!("this is no JSON, before {rest:?}"),
        }
    }

    /// Returns the value of a key that must exist.
    #[track_caller]
    pub(crate) fn get(&self, key: &str) -> &Json {
        let value = self.maybe(key);
        value.unwrap_or_else(|| panic!("{key:?} is not in {self:?}"))
    }

    /// Returns the value of a key of an object, if it exists.
    #[track_caller]
    pub(crate) fn maybe(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(key),
            _ => panic!("an object was expected: {self:?}"),
        }
    }

    /// Returns the value as a string.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            _ => panic!("a string was expected: {self:?}"),
        }
    }

    /// Returns the value as an integer.
    #[track_caller]
    pub(crate) fn integer(&self) -> i64 {
        match self {
            Json::Number(number) => number.parse().unwrap(),
            _ => panic!("a number was expected: {self:?}"),
        }
    }

    /// Returns a number with at most three decimals, times a thousand.
    #[track_caller]
    pub(crate) fn thousandths(&self) -> i64 {
        let Json::Number(number) = self else {
            panic!("a number was expected: {self:?}");
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        assert!(fraction.len() <= 3 && !number.starts_with('-'), "{number}");
        format!("{whole}{fraction:0<3}").parse().unwrap()
    }

    /// Returns the value as an array.
    #[track_caller]
    pub(crate) fn list(&self) -> &[Json] {
        match self {
            Json::List(elements) => elements,
            _ => panic!("an array was expected: {self:?}"),
        }
    }
}

#[test]
fn the_parser_is_strict() {
    let read = |text| {
        let mut reader = Reader { rest: text };
        let value = reader.value();
        value.filter(|_| reader.rest.is_empty())
    };
    for good in [
        "[]",
        "{}",
        " [1, -0.5e+3, \"\\ud83d\\udc38\", null] ",
        "{\"a\":{},\"b\":true}",
    ] {
        assert!(read(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\":1,\"a\":2}",
        "01",
        "1.",
        ".5",
        "-",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud83d\"",
        "[1 2]",
        "{a:1}",
        "nul",
        "[1]]",
        "'a'",
        "+1",
        "1e",
    ] {
        assert!(read(bad).is_none(), "{bad}");
    }
}
