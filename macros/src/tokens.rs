//! What the macros need for reading tokens and for making some.

use proc_macro::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};

/// A mistake of the user.
pub(crate) struct Error {
    /// Where it stands.
    span: Span,
    /// What it is, and what to do about it.
    message: String,
}

impl Error {
    /// A mistake that stands there.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Error {
        let message = message.into();
        Error { span, message }
    }

    /// An item that does not compile, for this reason.
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

/// The tokens of a template, with parts in the place of their names.
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

/// Tokens that are read from the first to the last.
pub(crate) struct Tokens {
    /// Those that are left, the next one last.
    left: Vec<TokenTree>,
}

impl Tokens {
    /// Begins to read.
    pub(crate) fn new(stream: TokenStream) -> Tokens {
        let mut tokens = Tokens { left: Vec::new() };
        tokens.put_back(stream);
        tokens
    }

    /// Has these come next.
    fn put_back(&mut self, stream: TokenStream) {
        let begin = self.left.len();
        self.left.extend(stream);
        self.left[begin..].reverse();
    }

    /// The next token, which stays. A fragment that a `macro_rules!` macro has passed on is a group
    /// without delimiters, and is opened.
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

    /// The next token.
    pub(crate) fn next(&mut self) -> Option<TokenTree> {
        self.peek()?;
        self.left.pop()
    }

    /// The next token, if that may be taken.
    pub(crate) fn next_if(&mut self, may: impl FnOnce(&TokenTree) -> bool) -> Option<TokenTree> {
        self.peek().filter(|token| may(token))?;
        self.left.pop()
    }

    /// The next token, if it is this word or sign.
    pub(crate) fn take(&mut self, text: &str) -> Option<TokenTree> {
        self.next_if(|token| token.to_string() == text)
    }

    /// All that are left, as they are.
    pub(crate) fn rest(self) -> Vec<TokenTree> {
        self.left.into_iter().rev().collect()
    }
}
