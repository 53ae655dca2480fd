//! A picture as text, with the few shapes of SVG that the report needs.
//!
//! Colours are rules of a style sheet, which follows the reader's preference for a light or a dark page.

use std::fmt::Write as _;

/// The style of all shapes, without the colours.
const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.group, .ours { font-weight: 600; }
.grid { stroke-width: 1; }
.one { stroke-width: 1.5; }
.spread { stroke-width: 3; stroke-linecap: round; opacity: 0.45; }
.curve { stroke-width: 2; stroke-linejoin: round; }
";

/// The fill colours of these selectors, on a light page and on a dark one.
const FILLS: [(&str, &str, &str); 15] = [
    ("text", "#1f2328", "#f0f6fc"),
    (".dim", "#59636e", "#9198a1"),
    (".page", "#ffffff", "#0d1117"),
    (".raw, .std", "#818b98", "#9198a1"),
    (".tokio", "#d9480f", "#ff922b"),
    (".smol", "#9c36b5", "#da77f2"),
    (".monoio", "#1971c2", "#4dabf7"),
    (".glassfrog", "#2b8a3e", "#51cf66"),
    (".kind-0", "#4c6ef5", "#748ffc"),
    (".kind-1", "#12b886", "#38d9a9"),
    (".kind-2", "#f08c00", "#fcc419"),
    (".kind-3", "#e03131", "#ff8787"),
    (".kind-4", "#9c36b5", "#da77f2"),
    (".kind-5", "#74b816", "#a9e34b"),
    (".kind-6", "#868e96", "#adb5bd"),
];

/// The colours of lines.
const STROKES: [(&str, &str, &str); 7] = [
    (".grid", "#d1d9e0", "#343b44"),
    (".one", "#59636e", "#9198a1"),
    (".line-raw", "#818b98", "#9198a1"),
    (".line-tokio", "#d9480f", "#ff922b"),
    (".line-smol", "#9c36b5", "#da77f2"),
    (".line-monoio", "#1971c2", "#4dabf7"),
    (".line-glassfrog", "#2b8a3e", "#51cf66"),
];

/// Returns the style sheet, which follows the reader's preference.
fn style() -> String {
    let mut light = String::from(STYLE);
    let mut dark = String::new();
    for (property, colours) in [("fill", &FILLS[..]), ("stroke", &STROKES[..])] {
        for (selector, on_light, on_dark) in colours {
            light += &format!("{selector} {{ {property}: {on_light}; }}\n");
            dark += &format!("{selector} {{ {property}: {on_dark}; }}\n");
        }
    }
    format!("{light}.curve {{ fill: none; }}\n@media (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

/// The part of a text that is at the given position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The left end.
    Start,
    /// The middle.
    Middle,
    /// The right end.
    End,
}

/// A picture.
#[derive(Debug)]
pub(crate) struct Svg {
    /// The width.
    width: f64,
    /// The title, for readers who do not see the picture.
    title: String,
    /// The shapes.
    body: String,
}

impl Svg {
    /// Creates an empty picture.
    pub(crate) fn new(width: f64, title: &str) -> Svg {
        Svg {
            width,
            title: escape(title),
            body: String::new(),
        }
    }

    /// Writes a text in the style of a class.
    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.push(format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        ));
    }

    /// Draws a line in the style of a class.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    /// Draws a line in a colour.
    pub(crate) fn coloured_line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        class: &str,
        colour: &str,
    ) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class} line-{colour}"/>"#
        ));
    }

    /// Draws a curve through points.
    pub(crate) fn curve(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        self.push(format!(
            r#"<polyline points="{points}" class="curve line-{colour}"/>"#
        ));
    }

    /// Draws a filled rectangle.
    pub(crate) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.push(format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="{colour}"/>"#
        ));
    }

    /// Draws the mark of a runtime: a shape and a colour of its own.
    pub(crate) fn mark(&mut self, x: f64, y: f64, runtime: &str) {
        // The corners, relative to the center.
        let corners: &[(f64, f64)] = match runtime {
            "tokio" => &[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)],
            "smol" => &[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)],
            "glassfrog" => &[(0.0, -6.5), (6.5, 0.0), (0.0, 6.5), (-6.5, 0.0)],
            "monoio" => {
                self.push(format!(
                    r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5" class="monoio"/>"#
                ));
                return;
            }
            _ => &[(-1.5, -6.0), (1.5, -6.0), (1.5, 6.0), (-1.5, 6.0)],
        };
        let corners: Vec<_> = corners
            .iter()
            .map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy))
            .collect();
        let corners = corners.join(" ");
        self.push(format!(
            r#"<polygon points="{corners}" class="{runtime}"/>"#
        ));
    }

    /// Returns the text of the picture, with this height.
    pub(crate) fn finish(self, height: f64) -> String {
        let Svg { width, title, body } = self;
        let style = style();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{style}</style>\n<rect width=\"100%\" height=\"100%\" class=\"page\"/>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, shape: String) {
        let _ = writeln!(self.body, "{shape}");
    }
}

/// Replaces the characters that are special in SVG.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
