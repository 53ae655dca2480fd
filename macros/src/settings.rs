//! [`Settings`]: the settings in the parentheses of an attribute.

use crate::tokens::{Error, Tokens, fill};
use proc_macro::{Literal, Span, TokenStream, TokenTree};
use std::mem;

/// The settings of an attribute.
pub(crate) struct Settings {
    /// The path of glassfrog in the crate that uses the attribute.
    pub(crate) krate: TokenStream,
    /// The other settings, as calls of the methods of the same names.
    pub(crate) calls: TokenStream,
}

impl Settings {
    /// Parses the settings of the attribute `of`.
    ///
    /// # Errors
    ///
    /// Returns the first mistake.
    pub(crate) fn parse(settings: TokenStream, of: &str) -> Result<Settings, Error> {
        let is_sim = is_sim(&settings);
        let mut tokens = Tokens::new(settings);
        let mut krate = fill("::glassfrog", &[]);
        let mut calls = TokenStream::new();
        let mut seen = Vec::new();
        while let Some(token) = tokens.next() {
            let (name, span) = (token.to_string(), token.span());
            if seen.contains(&name) {
                return Err(Error::new(span, format!("`{name}` is set twice")));
            }
            match name.as_str() {
                "crate" => krate = path(&mut tokens, span)?,
                "virtual_clock" | "timeout" | "seed" | "iterations" | "sim" | "twice"
                    if of == "main" =>
                {
                    let message = format!(
                        "`{name}` is a setting of `#[glassfrog::test]` only: use `glassfrog::Builder` and \
                         `Runtime::block_on` instead of `#[glassfrog::main]`"
                    );
                    return Err(Error::new(span, message));
                }
                "virtual_clock" if is_sim => {
                    let message = "`virtual_clock` cannot be combined with `sim`: the clocks of simulated hosts are \
                                   always virtual";
                    return Err(Error::new(span, message));
                }
                "virtual_clock" => calls.extend(fill(".virtual_clock()", &[])),
                "sim" => {}
                "twice" if !is_sim => {
                    let message = "`twice` requires `sim`: it compares two runs of a simulation";
                    return Err(Error::new(span, message));
                }
                "twice" => calls.extend(fill(".twice()", &[])),
                "timeout" => calls.extend(timeout(&mut tokens, span)?),
                "seed" | "iterations" => {
                    let least = if name == "seed" { 0 } else { 1 };
                    let number = number(&mut tokens, &token, least)?;
                    let parts = [("NAME", token.into()), ("NUMBER", number)];
                    calls.extend(fill(".NAME(NUMBER)", &parts));
                }
                _ => {
                    let settings = match of {
                        "main" => "`crate = path`",
                        _ => {
                            "`virtual_clock`, `timeout = \"5s\"`, `seed = N`, `iterations = N`, `sim`, `twice`, `crate = path`"
                        }
                    };
                    let message = format!(
                        "`{name}` is not a setting of `#[glassfrog::{of}]`, which has {settings}"
                    );
                    return Err(Error::new(span, message));
                }
            }
            if tokens.take(",").is_none()
                && let Some(token) = tokens.next()
            {
                let message =
                    format!("expected a comma after the setting `{name}`, found `{token}`");
                return Err(Error::new(token.span(), message));
            }
            seen.push(name);
        }
        Ok(Settings { krate, calls })
    }
}

/// Returns whether the settings contain `sim`, whatever mistakes they contain.
pub(crate) fn is_sim(settings: &TokenStream) -> bool {
    // The path after `crate =` may contain any word.
    let mut begins = true;
    settings.clone().into_iter().any(|token| match token {
        TokenTree::Ident(word) => mem::take(&mut begins) && word.to_string() == "sim",
        TokenTree::Punct(sign) => {
            begins = sign.as_char() == ',';
            false
        }
        _ => false,
    })
}

/// Reads the path that follows the name of a setting.
fn path(tokens: &mut Tokens, name: Span) -> Result<TokenStream, Error> {
    let wrong = |span| Error::new(span, "`crate` takes a path: `crate = my_glassfrog`");
    tokens.take("=").ok_or_else(|| wrong(name))?;
    let mut path = TokenStream::from_iter(tokens.take(":"));
    path.extend(tokens.take(":"));
    loop {
        match tokens.next() {
            Some(word @ TokenTree::Ident(_)) => path.extend([word]),
            other => return Err(wrong(other.map_or(name, |token| token.span()))),
        }
        let Some(colon) = tokens.take(":") else {
            return Ok(path);
        };
        path.extend([colon]);
        path.extend(tokens.take(":"));
    }
}

/// Reads the number that follows the name of a setting; it must be at least `least`.
fn number(tokens: &mut Tokens, name: &TokenTree, least: u64) -> Result<TokenStream, Error> {
    let value = tokens.take("=").and_then(|_| tokens.next());
    let span = value.as_ref().unwrap_or(name).span();
    match value.and_then(to_u64) {
        Some(number) if number >= least => {
            Ok(TokenTree::from(Literal::u64_unsuffixed(number)).into())
        }
        _ => {
            let most = u64::MAX;
            let message = format!("`{name}` takes a number from {least} to {most}: `{name} = 100`");
            Err(Error::new(span, message))
        }
    }
}

/// The units of a time, each with its number of milliseconds. A unit comes before those that it ends with.
const UNITS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("min", 60_000)];

/// Reads the time that follows the name `timeout`. Returns the call of the method of the same name.
fn timeout(tokens: &mut Tokens, name: Span) -> Result<TokenStream, Error> {
    let value = tokens.take("=").and_then(|_| tokens.next());
    let span = value.as_ref().map_or(name, TokenTree::span);
    let text = value.map_or_else(String::new, |value| value.to_string());
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    if text == Some("none") {
        return Ok(fill(".timeout(::core::option::Option::None)", &[]));
    }
    match text.and_then(to_millis) {
        Some(millis @ 1..) => {
            let call = ".timeout(::core::option::Option::Some(::core::time::Duration::from_millis(MILLIS)))";
            let millis = TokenTree::from(Literal::u64_unsuffixed(millis));
            Ok(fill(call, &[("MILLIS", millis.into())]))
        }
        _ => {
            let message = "`timeout` takes \"none\", or a whole number of `ms`, `s` or `min` that is not zero: \
                           `timeout = \"5s\"`";
            Err(Error::new(span, message))
        }
    }
}

/// Returns the number of milliseconds of a time such as `5s`.
fn to_millis(text: &str) -> Option<u64> {
    let mut units = UNITS.into_iter();
    let (number, millis) =
        units.find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
    // Not only `parse`, which accepts a sign.
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(millis)
}

/// Returns the value of a literal.
fn to_u64(token: TokenTree) -> Option<u64> {
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    let text = literal.to_string().replace('_', "");
    let text = text.strip_suffix("u64").unwrap_or(&text);
    let mut prefixes = [("0x", 16), ("0o", 8), ("0b", 2), ("", 10)].into_iter();
    let (digits, radix) =
        prefixes.find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix)))?;
    u64::from_str_radix(digits, radix).ok()
}
