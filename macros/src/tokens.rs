//! Reading and writing tokens: [`Tokens`] is a cursor, [`fill`] expands a template, and [`Error`] is a mistake that the
//! compiler reports.

use proc_macro::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};

/// A mistake in the use of an attribute.
pub(crate) struct Error {
    /// Where the mistake is.
    span: Span,
    /// What the mistake is, and how to fix it.
    message: String,
}

impl Error {
    /// Creates an error at `span`.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Error {
        let message = message.into();
        Error { span, message }
    }

    /// Returns a `compile_error!` with this message.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let at_span = |mut token: TokenTree| {
            token.set_span(self.span);
            token
        };
        let message = at_span(Literal::string(&self.message).into()).into();
        let item = fill(
            "::core::compile_error! { MESSAGE }",
            &[("MESSAGE", message)],
        );
        item.into_iter().map(at_span).collect()
    }
}

/// Returns the tokens of a template in which each name is replaced by its part.
pub(crate) fn fill(template: &str, parts: &[(&str, TokenStream)]) -> TokenStream {
    fn filled(tokens: TokenStream, parts: &[(&str, TokenStream)]) -> TokenStream {
        let fill = |token: TokenTree| {
            if let TokenTree::Group(group) = token {
                let group = Group::new(group.delimiter(), filled(group.stream(), parts));
                return TokenTree::from(group).into();
            }
            let text = token.to_string();
            match parts.iter().find(|(name, _)| *name == text) {
                Some((_, part)) => part.clone(),
                None => token.into(),
            }
        };
        tokens.into_iter().flat_map(fill).collect()
    }
    filled(template.parse().expect("a template is Rust"), parts)
}

/// A cursor over tokens.
pub(crate) struct Tokens {
    /// The tokens still to be read, in reverse order.
    left: Vec<TokenTree>,
}

impl Tokens {
    /// Creates a cursor at the first token.
    pub(crate) fn new(stream: TokenStream) -> Tokens {
        let mut tokens = Tokens { left: Vec::new() };
        tokens.put_back(stream);
        tokens
    }

    /// Puts tokens back, to be read next.
    fn put_back(&mut self, stream: TokenStream) {
        let begin = self.left.len();
        self.left.extend(stream);
        self.left[begin..].reverse();
    }

    /// Returns the next token without reading it. A fragment that a `macro_rules!` macro has passed on is a
    /// group without delimiters; its contents are read instead.
    fn peek(&mut self) -> Option<&TokenTree> {
        while let Some(TokenTree::Group(group)) = self.left.last()
            && group.delimiter() == Delimiter::None
        {
            let fragment = group.stream();
            self.left.pop();
            self.put_back(fragment);
        }
        self.left.last()
    }

    /// Reads the next token.
    pub(crate) fn next(&mut self) -> Option<TokenTree> {
        self.peek()?;
        self.left.pop()
    }

    /// Reads the next token if `may` returns true for it.
    pub(crate) fn next_if(&mut self, may: impl FnOnce(&TokenTree) -> bool) -> Option<TokenTree> {
        self.peek().filter(|token| may(token))?;
        self.left.pop()
    }

    /// Reads the next token if its text is `text`.
    pub(crate) fn take(&mut self, text: &str) -> Option<TokenTree> {
        self.next_if(|token| token.to_string() == text)
    }

    /// Returns the remaining tokens.
    pub(crate) fn rest(self) -> Vec<TokenTree> {
        self.left.into_iter().rev().collect()
    }
}
