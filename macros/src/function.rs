//! [`Function`]: the function that an attribute is applied to, split into the parts that the expansions need.

use crate::tokens::{Error, Tokens};
use proc_macro::{Ident, TokenStream, TokenTree};

/// A parsed function.
pub(crate) struct Function {
    /// The attributes of the function, including its documentation.
    pub(crate) attributes: TokenStream,
    /// The visibility of the function, possibly empty.
    pub(crate) visibility: TokenStream,
    /// The name of the function.
    pub(crate) name: TokenTree,
    /// The tokens between the parameters and the body: an arrow and a type, or nothing.
    pub(crate) output: TokenStream,
    /// The function without its attributes and visibility, and with `async` added if it was missing; without it if the
    /// function runs a simulation.
    pub(crate) item: TokenStream,
    /// The first reason why the function cannot be run.
    pub(crate) mistake: Option<Error>,
}

impl Function {
    /// Parses the item that the attribute `under` is applied to, with the setting `sim` or without. Returns `None` if the
    /// item is not a function with a body.
    pub(crate) fn parse(item: TokenStream, under: &str, is_sim: bool) -> Option<Function> {
        let mut mistake = None;
        let mut wrong = |span, requires: &str| {
            let message = format!("`#[glassfrog::{under}]` {requires}");
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
                    wrong(word.span(), &format!("does not support `{word}` functions"));
                }
                // The name of the ABI after `extern`.
                text if text.ends_with('"') => {}
                _ => return None,
            }
        };
        let asynchronous: Option<TokenTree> = match (asynchronous, is_sim) {
            (Some(word), true) => {
                let requires = "with `sim` requires a function that is not `async`: remove this `async`; only the \
                                software of its hosts and clients is `async`";
                wrong(word.span(), requires);
                None
            }
            (None, false) => {
                let requires = "requires an `async` function: add `async` before this `fn`";
                wrong(keyword.span(), requires);
                Some(Ident::new("async", keyword.span()).into())
            }
            (asynchronous, _) => asynchronous,
        };

        let name = tokens.next()?;
        let rest = tokens.rest();
        let [first, between @ .., TokenTree::Group(_body)] = rest.as_slice() else {
            return None;
        };
        match first {
            TokenTree::Group(arguments) if arguments.stream().is_empty() != is_sim => {}
            TokenTree::Group(_) if is_sim => wrong(
                first.span(),
                "with `sim` requires a parameter: add `sim: &mut Sim`",
            ),
            TokenTree::Group(_) => wrong(
                first.span(),
                "requires a function without parameters: remove them",
            ),
            _ => wrong(
                first.span(),
                "requires a function without generic parameters: remove them",
            ),
        }
        let start = asynchronous.into_iter().chain([keyword, name.clone()]);
        Some(Function {
            attributes,
            visibility,
            output: between.iter().cloned().collect(),
            item: TokenStream::from_iter(start.chain(rest)),
            name,
            mistake,
        })
    }
}
