//! A picture as text: the few shapes of SVG that the report draws with.
//!
//! Colours are variables of a style sheet that follows the reader's preference for light or dark.

use std::fmt::Write as _;

/// The colours, first for a light page, then for a dark one, and the letters.
const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: var(--text); }
.title { font-size: 15px; font-weight: 600; }
.group { font-weight: 600; }
.dim { fill: var(--dim); }
.ours { font-weight: 600; }
.page { fill: var(--page); }
.grid { stroke: var(--grid); stroke-width: 1; }
.one { stroke: var(--dim); stroke-width: 1.5; }
.spread { stroke-width: 3; stroke-linecap: round; opacity: 0.45; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
:root {
  --page: #ffffff; --text: #1f2328; --dim: #59636e; --grid: #d1d9e0;
  --c-raw: #818b98; --c-std: #818b98; --c-tokio: #d9480f; --c-smol: #9c36b5; --c-monoio: #1971c2; --c-glassfrog: #2b8a3e;
  --c-0: #4c6ef5; --c-1: #12b886; --c-2: #f08c00; --c-3: #e03131; --c-4: #9c36b5; --c-5: #74b816; --c-6: #868e96;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --text: #f0f6fc; --dim: #9198a1; --grid: #343b44;
    --c-raw: #9198a1; --c-std: #9198a1; --c-tokio: #ff922b; --c-smol: #da77f2; --c-monoio: #4dabf7; --c-glassfrog: #51cf66;
    --c-0: #748ffc; --c-1: #38d9a9; --c-2: #fcc419; --c-3: #ff8787; --c-4: #da77f2; --c-5: #a9e34b; --c-6: #adb5bd;
  }
}
";

/// Where a text begins: its left end, its middle or its right end is at the given place.
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
    /// How wide it is.
    width: f64,
    /// What it shows, for readers that do not see it.
    title: String,
    /// The shapes.
    body: String,
}

impl Svg {
    /// An empty picture.
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
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}" style="stroke:var(--c-{colour})"/>"#
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
            r#"<polyline points="{points}" class="curve" style="stroke:var(--c-{colour})"/>"#
        ));
    }

    /// Draws a filled rectangle.
    pub(crate) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.push(format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" style="fill:var(--c-{colour})"/>"#
        ));
    }

    /// Draws the mark of a runtime: a shape and a colour of its own.
    pub(crate) fn mark(&mut self, x: f64, y: f64, runtime: &str) {
        // Corners around the middle.
        let corners: &[(f64, f64)] = match runtime {
            "tokio" => &[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)],
            "smol" => &[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)],
            "glassfrog" => &[(0.0, -6.5), (6.5, 0.0), (0.0, 6.5), (-6.5, 0.0)],
            "monoio" => {
                self.push(format!(
                    r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5" style="fill:var(--c-monoio)"/>"#
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
            r#"<polygon points="{corners}" style="fill:var(--c-{runtime})"/>"#
        ));
    }

    /// The text of the picture, which is `height` high.
    pub(crate) fn finish(self, height: f64) -> String {
        let Svg { width, title, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" class=\"page\"/>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, shape: String) {
        let _ = writeln!(self.body, "{shape}");
    }
}

/// A text with what means something in SVG replaced.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
