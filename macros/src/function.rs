//! The function under a macro, taken apart as far as the macros need it.

use crate::tokens::{Error, Tokens};
use proc_macro::{Ident, TokenStream, TokenTree};

/// A function.
pub(crate) struct Function {
    /// Its attributes, documentation among them.
    pub(crate) attributes: TokenStream,
    /// `pub`, or whatever stands there.
    pub(crate) visibility: TokenStream,
    /// Its name.
    pub(crate) name: TokenTree,
    /// What stands between arguments and body: an arrow and a type, or nothing.
    pub(crate) output: TokenStream,
    /// All but attributes and visibility, as it was written; an `async fn` even if it was none.
    pub(crate) item: TokenStream,
    /// Why it cannot be run: the first reason.
    pub(crate) mistake: Option<Error>,
}

impl Function {
    /// Takes the item apart that stands under the macro of this name; none if it is no function, or
    /// one without a body.
    pub(crate) fn parse(item: TokenStream, under: &str) -> Option<Function> {
        let mut mistake = None;
        let mut wrong = |span, runs: &str| {
            let message = format!("`#[glassfrog::{under}]` runs {runs}");
            mistake.get_or_insert(Error::new(span, message));
        };

        let mut tokens = Tokens::new(item);
        let mut attributes = TokenStream::new();
        while let Some(hash) = tokens.take("#") {
            attributes.extend([hash, tokens.next()?]);
        }
        let mut visibility = TokenStream::from_iter(tokens.take("pub"));
        visibility.extend(tokens.next_if(|token| matches!(token, TokenTree::Group(_))));

        let mut asynchronous = None;
        let keyword = loop {
            let word = tokens.next()?;
            match word.to_string().as_str() {
                "fn" => break word,
                "async" => asynchronous = Some(word),
                "const" | "unsafe" | "extern" => {
                    wrong(word.span(), &format!("no `{word}` functions"));
                }
                // The name of an ABI.
                text if text.ends_with('"') => {}
                _ => return None,
            }
        };
        let asynchronous = asynchronous.unwrap_or_else(|| {
            let runs = "only `async` functions: put `async` before this `fn`";
            wrong(keyword.span(), runs);
            Ident::new("async", keyword.span()).into()
        });

        let name = tokens.next()?;
        let rest = tokens.rest();
        let [first, between @ .., TokenTree::Group(_body)] = rest.as_slice() else {
            return None;
        };
        match first {
            TokenTree::Group(arguments) if arguments.stream().is_empty() => {}
            TokenTree::Group(_) => wrong(first.span(), "only functions without arguments"),
            _ => wrong(first.span(), "only functions without generic parameters"),
        }
        let start = [asynchronous, keyword, name.clone()];
        Some(Function {
            attributes,
            visibility,
            output: between.iter().cloned().collect(),
            item: TokenStream::from_iter(start.into_iter().chain(rest)),
            name,
            mistake,
        })
    }
}
