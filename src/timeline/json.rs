//! [`Json`]: a writer of JSON that may stand inside HTML.

use std::fmt::Write;

/// A writer of JSON without whitespace.
///
/// What it writes contains no `<`, no line separators and no controls of the direction of text, so it can be the content
/// of a `<script>` element, and a string in it cannot reorder what an editor shows.
///
/// Its methods are not inlined into their many callers: this halves the code of a rarely used printer.
#[derive(Default)]
pub(super) struct Json {
    /// The text written so far.
    pub(super) text: String,
}

impl Json {
    /// Writes a comma, unless the next element is the first.
    #[inline(never)]
    fn separate(&mut self) {
        if !matches!(
            self.text.as_bytes().last(),
            None | Some(b'{' | b'[' | b':' | b'\n')
        ) {
            self.text.push(',');
        }
    }

    /// Begins a new line after a comma, unless the next element is the first.
    #[inline(never)]
    pub(super) fn line(&mut self) {
        self.separate();
        self.text.push('\n');
    }

    /// Writes a key. The caller writes the value next.
    #[inline(never)]
    pub(super) fn key(&mut self, key: &str) -> &mut Json {
        self.separate();
        self.write_text(key);
        self.text.push(':');
        self
    }

    /// Writes an object.
    pub(super) fn object(&mut self, members: impl FnOnce(&mut Json)) {
        self.separate();
        self.text.push('{');
        members(self);
        self.text.push('}');
    }

    /// Writes an array.
    pub(super) fn array<T>(
        &mut self,
        elements: impl IntoIterator<Item = T>,
        mut element: impl FnMut(T, &mut Json),
    ) {
        self.separate();
        self.text.push('[');
        for each in elements {
            element(each, self);
        }
        self.text.push(']');
    }

    /// Writes a value, or `null`.
    pub(super) fn or_null<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Json, T)) {
        match value {
            Some(value) => write(self, value),
            None => {
                self.separate();
                self.text.push_str("null");
            }
        }
    }

    /// Writes an integer.
    #[inline(never)]
    pub(super) fn number(&mut self, number: i64) {
        self.separate();
        let sign = if number < 0 { "-" } else { "" };
        self.text.push_str(sign);
        self.digits(number.unsigned_abs(), 1);
    }

    /// Writes nanoseconds as microseconds, exactly.
    #[inline(never)]
    pub(super) fn micros(&mut self, nanos: i64) {
        let micros = nanos.unsigned_abs() / 1000;
        let sign = if nanos < 0 { "-" } else { "" };
        self.separate();
        self.text.push_str(sign);
        self.digits(micros, 1);
        let rest = nanos.unsigned_abs() % 1000;
        if rest > 0 {
            self.text.push('.');
            self.digits(rest, 3);
        }
    }

    /// Writes the digits of a number, at least so many.
    fn digits(&mut self, mut number: u64, least: usize) {
        // The largest number has twenty digits.
        let mut digits = [b'0'; 20];
        let mut begin = digits.len();
        while number > 0 || digits.len() - begin < least {
            begin -= 1;
            digits[begin] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.text
            .extend(digits[begin..].iter().map(|digit| char::from(*digit)));
    }

    /// Writes a string.
    #[inline(never)]
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        self.write_text(text);
    }

    /// Writes a string without a comma before it.
    #[inline(never)]
    fn write_text(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                c if must_be_escaped(c) => {
                    // The numbers of these characters have at most four hexadecimal digits.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

/// Returns whether a character could end a script, break a line, or reorder what is shown.
fn must_be_escaped(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() || c == '<';
    }
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_can_neither_end_the_script_nor_reorder_text() {
        let mut json = Json::default();
        json.text("</script>\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}\0\u{7f}\u{85}\"\\é🐸");
        let expected = concat!(
            r#""\u003c/script>\u2028\u2029\u202e\u2066\u061c\u0000\u007f\u0085"#,
            r#"\"\\é🐸""#
        );
        assert_eq!(json.text, expected);
    }

    #[test]
    fn numbers_are_exact() {
        let mut json = Json::default();
        json.array([i64::MIN, -1, 0, 10, i64::MAX], |number, json| {
            json.number(number);
        });
        let numbers = "[-9223372036854775808,-1,0,10,9223372036854775807]";
        assert_eq!(json.text, numbers);
        let mut json = Json::default();
        json.array([0, 1, 1000, 12_340, -5_006], |nanos, json| {
            json.micros(nanos);
        });
        assert_eq!(json.text, "[0,0.001,1,12.340,-5.006]");
    }
}
