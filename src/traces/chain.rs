//! [`chain`]: the async functions of the program in the text of a stack trace.
//!
//! The text that [`Backtrace`](std::backtrace::Backtrace) displays is the only stable source of its frames, although
//! its format is not guaranteed. So if no line of a text looks like a frame, the chain is the whole text.
//!
//! A frame belongs to the program unless its file or its name shows that it belongs to the standard library, to this
//! crate, or to a crate of combinators. The text of a frame depends on the debug information:
//!
//! ```text
//!    debug information      name                          file and line
//!    full, or `debug = 1`   app::read_reply::{{closure}}  yes
//!    line-tables-only       {async_fn#0}                  yes
//!    none                   app::read_reply::{{closure}}  no, and frames that were inlined are missing
//! ```

/// The crates whose frames are left out: those of `std`, this one, and those that only pass polls on.
const LIBRARIES: [&str; 20] = [
    "std",
    "core",
    "alloc",
    "glassfrog",
    "async_lock",
    "async_channel",
    "async_broadcast",
    "event_listener",
    "event_listener_strategy",
    "futures",
    "futures_core",
    "futures_executor",
    "futures_io",
    "futures_sink",
    "futures_task",
    "futures_lite",
    "futures_util",
    "futures_concurrency",
    "pin_project_lite",
    "tracing",
];

/// The beginnings of the names of the frames in which the runtime polls a task. Their callers are not async.
const RUNTIME: [&str; 3] = [
    "glassfrog::executor::Executor",
    "glassfrog::executor::task::",
    "glassfrog::event_loop::EventLoop",
];

/// The files with these frames, within this crate.
const RUNTIME_FILES: [&str; 2] = ["src/executor.rs", "src/event_loop.rs"];

/// The file, within this crate, with the function that captures the stack. Its frame is the first of this crate.
const CAPTURE_FILE: &str = "src/traces.rs";

/// The maximum number of frames in a chain, because a recursion may have any number.
const LONGEST: usize = 48;

/// The text of a chain of which no frame has a name or a place.
const NO_DEBUG_INFO: &str =
    "(no places: compile with `debug = \"line-tables-only\"` or `debug = 1`)";

/// A frame of a stack trace.
struct Frame<'a> {
    /// The name of the function.
    name: &'a str,
    /// The file with forward slashes, and the line.
    place: Option<(String, &'a str)>,
}

/// Returns the chain of the program's async functions in the text of a stack trace, the innermost first.
///
/// `directory` is the current directory, to which the text refers as `.`. `program` is the file of the program as a
/// [`Location`](std::panic::Location) shows it: the paths in the chain are relative to the same directory. An empty
/// string stands for an unknown file.
pub(crate) fn chain(text: &str, directory: &str, program: &str) -> String {
    let frames = frames(text, &directory.replace('\\', "/"));
    if frames.is_empty() {
        return text.trim().to_string();
    }
    let places = || frames.iter().filter_map(|frame| frame.place.as_ref());
    let root_above = |file: &str| {
        let file = file.replace('\\', "/");
        let is_file = !file.is_empty() && !file.starts_with('/');
        let mut paths = places().filter(|_| is_file);
        let found = paths.find_map(|(path, _)| path.strip_suffix(&file)?.strip_suffix('/'));
        found.map(String::from)
    };
    let context = Context {
        library: root_above(CAPTURE_FILE),
        program: root_above(program),
        directory: directory.replace('\\', "/"),
    };
    // Every trace goes through this crate. If no frame is known, the symbols were stripped, and only frames of the C
    // library are left.
    let is_known = |frame: &Frame<'_>| is_library(crate_of_name(frame.name));
    if context.library.is_none() && !frames.iter().any(is_known) {
        return String::from(NO_DEBUG_INFO);
    }
    let polls = frames.iter().take_while(|frame| !context.is_runtime(frame));
    let (mut links, mut has_places): (Vec<String>, bool) = (Vec::new(), false);
    for frame in polls {
        has_places |= frame.place.is_some();
        if let Some(link) = context.link(frame)
            && links.last() != Some(&link)
        {
            links.push(link);
        }
    }
    if links.is_empty() && !has_places {
        return String::from(NO_DEBUG_INFO);
    }
    if links.len() > LONGEST {
        links.truncate(LONGEST);
        links.push(String::from("…"));
    }
    links.join(" ← ")
}

/// Splits the text into its frames. A line without a number is a function that was inlined into the next one.
fn frames<'a>(text: &'a str, directory: &str) -> Vec<Frame<'a>> {
    let mut frames: Vec<Frame<'a>> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(at) = trimmed.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut()
                && frame.place.is_none()
            {
                frame.place = place(at, directory);
            }
            continue;
        }
        let name = match trimmed.split_once(": ") {
            Some((number, name)) if is_number(number) => name,
            _ if !frames.is_empty() && line.starts_with("    ") && !trimmed.is_empty() => trimmed,
            _ => continue,
        };
        frames.push(Frame { name, place: None });
    }
    frames
}

/// Returns whether the text is a number.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits a place into its absolute file and its line, without the column.
fn place<'a>(text: &'a str, directory: &str) -> Option<(String, &'a str)> {
    let (before, last) = text.rsplit_once(':')?;
    let (file, line) = match before.rsplit_once(':') {
        Some((file, line)) if is_number(line) && is_number(last) => (file, line),
        _ if is_number(last) => (before, last),
        _ => return None,
    };
    let file = file.replace('\\', "/");
    Some(match file.strip_prefix("./") {
        Some(below) => (format!("{directory}/{below}"), line),
        None => (file, line),
    })
}

/// The directories of the paths in a trace.
struct Context {
    /// The directory of this crate, if the trace contains it.
    library: Option<String>,
    /// The directory to which the paths of the program are relative, if the trace contains it.
    program: Option<String>,
    /// The current directory.
    directory: String,
}

impl Context {
    /// Returns the path of a file within this crate.
    fn within_library<'f>(&self, file: &'f str) -> Option<&'f str> {
        let library = self.library.as_deref()?;
        let within = file.strip_prefix(library)?.strip_prefix('/')?;
        within.starts_with("src/").then_some(within)
    }

    /// Returns whether the runtime polls a task in this frame.
    fn is_runtime(&self, frame: &Frame<'_>) -> bool {
        let file = frame.place.as_ref();
        let file = file.and_then(|(file, _)| self.within_library(file));
        let name = frame.name.trim_start_matches('<');
        file.is_some_and(|file| RUNTIME_FILES.contains(&file))
            || RUNTIME.iter().any(|runtime| name.starts_with(runtime))
    }

    /// Returns the text of a frame, or `None` if it does not belong to the program.
    fn link(&self, frame: &Frame<'_>) -> Option<String> {
        if is_library(crate_of_name(frame.name)) || frame.name.starts_with("__rust") {
            return None;
        }
        let name = short_name(frame.name);
        let Some((file, line)) = &frame.place else {
            return name;
        };
        // As compiled by the project, and as the component `rust-src` has it. A program may have a `library` too.
        let is_std = (file.starts_with("/rustc/") && file.contains("/library/"))
            || file.contains("/lib/rustlib/src/rust/library/");
        if is_std || is_library(crate_of_path(file)) || self.within_library(file).is_some() {
            return None;
        }
        let file = self.shorten(file);
        Some(match name {
            Some(name) => format!("{file}:{line} {name}"),
            None => format!("{file}:{line}"),
        })
    }

    /// Returns a path as a `Location` would show it, where that is known. The path of a file from a registry begins
    /// with the name and the version of its crate.
    fn shorten<'f>(&self, file: &'f str) -> &'f str {
        let roots = [self.program.as_deref(), Some(&*self.directory)];
        let below = |root: &str| file.strip_prefix(root)?.strip_prefix('/');
        let relative = roots.into_iter().flatten().find_map(below);
        relative.or_else(|| in_registry(file)).unwrap_or(file)
    }
}

/// Returns whether the frames of this crate are left out.
fn is_library(name: Option<&str>) -> bool {
    name.is_some_and(|name| {
        let name = name.replace('-', "_");
        LIBRARIES.contains(&&*name)
    })
}

/// Returns a path below the sources of a registry: first the directory of the crate.
fn in_registry(file: &str) -> Option<&str> {
    let (_, below) = file.split_once("/registry/src/")?;
    below.split_once('/').map(|(_index, file)| file)
}

/// Returns the crate to which a file from a registry belongs.
fn crate_of_path(file: &str) -> Option<&str> {
    let (directory, _) = in_registry(file)?.split_once('/')?;
    // The version begins with the first number after a hyphen.
    let mut hyphens = directory.match_indices('-').map(|(at, _)| at);
    let is_version = |at: &usize| directory[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let end = hyphens.find(is_version);
    end.map(|end| &directory[..end])
}

/// Returns the crate to which a function belongs: that of its path, of its type, or of the trait.
fn crate_of_name(name: &str) -> Option<&str> {
    first_crate(name).or_else(|| first_crate(name.split_once(" as ")?.1))
}

/// Returns the first segment of the path with which the text begins. References and the like may stand before it.
fn first_crate(text: &str) -> Option<&str> {
    let mut text = text;
    loop {
        let trimmed = text.trim_start_matches(['<', '&', '(', '[', '*', ' ']);
        let words = ["mut ", "const ", "dyn "];
        let rest = words.iter().find_map(|word| trimmed.strip_prefix(word));
        match rest {
            Some(rest) => text = rest,
            None if trimmed.len() == text.len() => break,
            None => text = trimmed,
        }
    }
    let (name, _) = text.split_once("::")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// Returns the name of a function without its path, but with its type: `read_reply`, `Client::call`. A closure and an
/// async block have the name of the function around them. Returns `None` if the name says nothing.
fn short_name(name: &str) -> Option<String> {
    let mut segments = segments(name);
    // After the first segment, `<…>` has the generic arguments of the one before.
    let first = segments.first().copied();
    segments.retain(|segment| !segment.starts_with('{') && !segment.is_empty());
    segments.retain(|segment| !segment.starts_with('<') || first == Some(*segment));
    if segments.last().is_some_and(|last| is_hash(last)) {
        segments.pop();
    }
    let function = segments.pop()?;
    if function == "<unknown>" || function.starts_with('<') {
        return None;
    }
    let is_type = |segment: &&&str| {
        segment.starts_with('<') || segment.starts_with(|c: char| c.is_uppercase())
    };
    let function = without_generics(function);
    let Some(of) = segments.last().filter(is_type) else {
        return Some(function.to_string());
    };
    // The type in `<Type as Trait>`, or in `<Type>`.
    let inner = of
        .strip_prefix('<')
        .map_or(*of, |inner| inner.strip_suffix('>').unwrap_or(inner));
    let inner = inner.split(" as ").next().unwrap_or(inner);
    let inner = inner.rsplit(['&', ' ']).next().unwrap_or(inner);
    let path = self::segments(inner);
    let of = without_generics(path.last().copied().unwrap_or(inner));
    Some(match of.is_empty() {
        true => function.to_string(),
        false => format!("{of}::{function}"),
    })
}

/// Returns whether a segment is the hash of an old symbol.
fn is_hash(segment: &str) -> bool {
    let hash = segment.strip_prefix('h');
    hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns the segment without its generic arguments.
fn without_generics(segment: &str) -> &str {
    segment.split('<').next().unwrap_or(segment)
}

/// Splits a path at the `::` that are not inside brackets.
fn segments(path: &str) -> Vec<&str> {
    let (mut segments, mut depth, mut begin) = (Vec::new(), 0_i32, 0);
    let bytes = path.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of a function type closes no bracket.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth -= 1,
            b':' if depth == 0 && at >= begin && bytes.get(at + 1) == Some(&b':') => {
                segments.push(&path[begin..at]);
                begin = at + 2;
            }
            _ => {}
        }
    }
    segments.push(path.get(begin..).unwrap_or_default());
    segments
}
