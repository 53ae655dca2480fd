//! Tests of the repository itself: which names the source may use, and what its documents must contain.
//!
//! They read the files as text, line by line, which suffices for code formatted by rustfmt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layers, top down: each module of the crate, and the modules that it may use. Each uses only modules after it.
const LAYERS: [(&str, &[&str]); 30] = [
    // What users call.
    (
        "test_runs",
        &[
            "runtime",
            "handle",
            "context",
            "event_loop",
            "executor",
            "dump",
            "waiter",
            "timeline",
            "foreign",
            "threads",
            "primitives",
            "sim",
        ],
    ),
    (
        "sim",
        &[
            "time",
            "task",
            "context",
            "event_loop",
            "executor",
            "pool",
            "dump",
            "timeline",
            "wire",
            "clock",
            "foreign",
            "primitives",
        ],
    ),
    (
        "hyper",
        &[
            "handle",
            "net",
            "time",
            "task",
            "context",
            "event_loop",
            "executor",
            "foreign",
            "slab",
        ],
    ),
    (
        "signal",
        &["handle", "net", "context", "reactor", "timeline", "threads"],
    ),
    (
        "workers",
        &[
            "runtime",
            "handle",
            "task",
            "dump",
            "waiter",
            "foreign",
            "primitives",
        ],
    ),
    (
        "runtime",
        &["handle", "context", "event_loop", "executor", "timeline"],
    ),
    (
        "handle",
        &[
            "task",
            "context",
            "event_loop",
            "executor",
            "pool",
            "dump",
            "metrics",
            "timeline",
            "waiter",
            "foreign",
        ],
    ),
    (
        "io",
        &[
            "net",
            "time",
            "context",
            "event_loop",
            "executor",
            "reactor",
            "pool",
            "timeline",
            "traces",
            "waiter",
            "foreign",
        ],
    ),
    (
        "net",
        &[
            "time",
            "task",
            "context",
            "event_loop",
            "executor",
            "reactor",
            "pool",
            "timeline",
            "traces",
            "wire",
            "waiter",
            "foreign",
            "slab",
        ],
    ),
    (
        "time",
        &[
            "task",
            "context",
            "event_loop",
            "executor",
            "timers",
            "traces",
            "foreign",
            "slab",
        ],
    ),
    (
        "task",
        &[
            "context",
            "event_loop",
            "executor",
            "pool",
            "dump",
            "timeline",
            "traces",
            "waiter",
            "foreign",
            "slab",
            "primitives",
        ],
    ),
    (
        "sync",
        &[
            "context",
            "event_loop",
            "executor",
            "dump",
            "clock",
            "waiter",
            "foreign",
            "slab",
            "primitives",
        ],
    ),
    // The runtime of this thread.
    ("context", &["event_loop", "executor"]),
    // The loop.
    (
        "event_loop",
        &[
            "executor",
            "reactor",
            "timers",
            "pool",
            "dump",
            "metrics",
            "timeline",
            "traces",
            "wire",
            "clock",
            "waiter",
            "foreign",
            "slab",
            "threads",
            "primitives",
        ],
    ),
    // The engines, which do not use one another.
    (
        "executor",
        &[
            "dump",
            "timeline",
            "traces",
            "clock",
            "waiter",
            "foreign",
            "slab",
            "primitives",
        ],
    ),
    (
        "reactor",
        &["timeline", "waiter", "foreign", "slab", "primitives"],
    ),
    ("timers", &["waiter", "foreign", "slab", "primitives"]),
    ("pool", &["waiter", "foreign", "threads", "primitives"]),
    (
        "wire",
        &["timeline", "clock", "foreign", "slab", "primitives"],
    ),
    // Their building blocks.
    ("dump", &["traces"]),
    ("metrics", &[]),
    (
        "timeline",
        &["clock", "waiter", "foreign", "threads", "primitives"],
    ),
    ("traces", &["clock", "primitives"]),
    ("clock", &["primitives"]),
    ("waiter", &[]),
    ("foreign", &[]),
    ("slab", &[]),
    ("threads", &["primitives"]),
    ("primitives", &[]),
    // Documentation only.
    ("guide", &[]),
];

/// The files that know of a host of a simulation, and whose modules other runtimes have too.
const SIMULATED: [&str; 17] = [
    "clock.rs",
    "event_loop.rs",
    "event_loop/settings.rs",
    "event_loop/shared.rs",
    "executor.rs",
    "executor/failure.rs",
    "executor/inbox.rs",
    "executor/message.rs",
    "executor/receive.rs",
    "net/resolve.rs",
    "pool.rs",
    "pool/queue.rs",
    "reactor.rs",
    "reactor/queue.rs",
    "task/promise.rs",
    "test_runs.rs",
    "test_runs/limit.rs",
];

/// The maximum number of lines of code in a file, without comments and tests.
const LONGEST_FILE: usize = 600;

/// The maximum number of crates, this one included: without features, with the default ones, and with others.
const MOST_CRATES: [(&[&str], usize); 5] = [
    (&["--no-default-features"], 8),
    (&[], 12),
    (&["--features", "macros"], 13),
    (&["--features", "hyper"], 18),
    (&["--features", "hyper-serve"], 36),
];

/// The maximum number of crates to build for an example, glassfrog included: an example is the first thing that a
/// newcomer runs.
const MOST_CRATES_OF_EXAMPLES: usize = 28;

/// Returns the directory of the crate, two above that of its tests.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.ancestors().nth(2).unwrap()
}

/// Returns the text of a file of the crate.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A source file.
struct Source {
    /// Its path below `src`, with slashes.
    path: String,
    /// Its text.
    text: String,
}

impl Source {
    /// Returns the top-level module that it belongs to.
    fn module(&self) -> &str {
        let end = self.path.find(['/', '.']).unwrap();
        &self.path[..end]
    }

    /// Returns its lines of code with their numbers, without comments, blank lines and unit tests.
    fn code(&self) -> Vec<(usize, &str)> {
        let mut lines = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            if line == "#[cfg(test)]" {
                // The unit tests come last in a file.
                break;
            }
            let code = line.split(" // ").next().unwrap_or(line);
            if !code.trim().is_empty() && !code.trim_start().starts_with("//") {
                lines.push((index + 1, code));
            }
        }
        lines
    }

    /// Returns the prefix of a complaint about a line.
    fn at(&self, line: usize) -> String {
        format!("src/{}:{line}", self.path)
    }
}

/// Returns all source files.
fn sources() -> Vec<Source> {
    fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, paths);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "these are not all: {paths:?}");
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&src).unwrap().to_str().unwrap();
            Source {
                path: path.replace('\\', "/"),
                text,
            }
        })
        .collect()
}

/// Fails with all complaints, if there are any.
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Returns the words of a line, which consist of letters, digits and underscores.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// Returns the first segment after each `prefix`, such as `crate::`, in a line.
fn after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    line.match_indices(prefix)
        .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .map(|(at, _)| {
            let rest = &line[at + prefix.len()..];
            words(rest).next().filter(|word| rest.starts_with(word))
        })
        .map(|word| word.unwrap_or("{"))
        .collect()
}

#[test]
fn a_module_names_only_the_modules_below_it() {
    let layers = BTreeMap::from(LAYERS);
    let mut complaints = Vec::new();
    for source in sources() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let Some(allowed) = layers.get(module) else {
            complaints.push(format!("src/{} belongs to no layer", source.path));
            continue;
        };
        for (line, code) in source.code() {
            for named in after(code, "crate::") {
                if named != module && !allowed.contains(&named) {
                    complaints.push(format!("{}: `{module}` names `{named}`", source.at(line)));
                }
            }
            // Only in the file of a top-level module does `super` lead to the crate root.
            let depth = source.path.matches('/').count();
            let ups = "super::".repeat(depth + 1);
            if code.contains(&ups) {
                complaints.push(format!(
                    "{}: `super` leads to the crate root",
                    source.at(line)
                ));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn the_layers_list_every_module_without_a_cycle() {
    let lib = read("src/lib.rs");
    let declared: BTreeSet<&str> = lib
        .lines()
        .filter(|line| line.ends_with(';'))
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    let order: Vec<&str> = LAYERS.iter().map(|layer| layer.0).collect();
    assert_eq!(declared, BTreeSet::from_iter(order.clone()));
    for (index, (module, uses)) in LAYERS.iter().enumerate() {
        for used in *uses {
            let position = order.iter().position(|other| other == used);
            assert!(position > Some(index), "`{used}` is not below `{module}`");
        }
    }
}

#[test]
fn mio_appears_only_in_reactor_and_net_and_in_no_public_signature() {
    let mut complaints = Vec::new();
    for source in sources() {
        let may = ["reactor", "net"].contains(&source.module());
        // Whether the line belongs to a signature, which extends to the body or the end of the item.
        let mut in_public = false;
        for (line, code) in source.code() {
            let item = code.trim_start();
            in_public |= item.starts_with("pub ")
                // All implementations except those of the crate's own traits.
                || (item.starts_with("impl")
                    && item.contains(" for ")
                    && !["impl Io ", "impl Bytes "]
                        .iter()
                        .any(|own| item.starts_with(own)))
                || item.starts_with("type ");
            let names = words(code).any(|word| word == "mio");
            if names && !may {
                complaints.push(format!("{}: mio", source.at(line)));
            }
            if names && in_public && source.module() == "net" {
                complaints.push(format!("{}: mio in public", source.at(line)));
            }
            if code.ends_with(['{', ';', '}', ',']) {
                in_public = false;
            }
        }
    }
    assert_none(complaints);
}

/// Returns the section of ARCHITECTURE.md with a second-level heading.
fn section(heading: &str) -> String {
    let page = read("ARCHITECTURE.md");
    let text = page.split("\n## ").find(|text| text.starts_with(heading));
    String::from(text.unwrap_or_else(|| panic!("no section `{heading}`")))
}

#[test]
fn the_code_map_names_every_file() {
    let map = section("Code map");
    let mapped: Vec<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let files: Vec<String> = sources().into_iter().map(|source| source.path).collect();
    let mut complaints = Vec::new();
    for file in &files {
        if mapped.iter().filter(|path| *path == file).count() != 1 {
            complaints.push(format!("src/{file} must be in the code map once"));
        }
    }
    for path in mapped {
        if !files.iter().any(|file| file == path) {
            complaints.push(format!(
                "the code map names src/{path}, which does not exist"
            ));
        }
    }
    assert_none(complaints);
}

#[test]
fn the_journeys_name_existing_functions() {
    let mut count = 0;
    let mut complaints = Vec::new();
    for line in section("Journeys").lines() {
        // A step begins with a number or a dash, and its location: `file.rs`: `function`.
        let step = line.trim_start_matches(|c: char| c.is_ascii_digit() || ". -".contains(c));
        let Some((file, rest)) = step
            .strip_prefix('`')
            .and_then(|rest| rest.split_once("`: `"))
        else {
            continue;
        };
        let function = rest.split('`').next().unwrap_or_default();
        count += 1;
        let text = fs::read_to_string(root().join("src").join(file)).unwrap_or_default();
        let is_there = [format!("fn {function}("), format!("fn {function}<")]
            .iter()
            .any(|head| text.contains(head));
        if !is_there {
            complaints.push(format!("there is no `{function}` in src/{file}"));
        }
    }
    assert!(count > 20, "these {count} steps are not all");
    assert_none(complaints);
}

#[test]
fn there_is_no_unsafe_code() {
    let lib = read("src/lib.rs");
    assert!(lib.lines().any(|line| line == "#![forbid(unsafe_code)]"));
    let mut complaints = Vec::new();
    for source in sources() {
        for (line, code) in source.code() {
            if words(code).any(|word| word == "unsafe") {
                complaints.push(format!("{}: {code}", source.at(line)));
            }
        }
    }
    assert_none(complaints);
}

/// Returns the crates, with their versions, that Cargo builds for glassfrog with these kinds of dependencies and
/// these features. Returns `None` if Cargo cannot tell them here.
fn crates(edges: &str, features: &[&str]) -> Option<BTreeSet<String>> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--offline", "--package", "glassfrog"])
        .args(["--edges", edges, "--prefix", "none", "--format", "{p}"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(features)
        .output();
    let output = match tree {
        Ok(output) if output.status.success() => output,
        other => {
            println!("skipped: cargo cannot tell the dependencies here: {other:?}");
            return None;
        }
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<String> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect();
    assert!(crates.iter().any(|name| name.starts_with("mio ")));
    Some(crates)
}

#[test]
fn glassfrog_builds_no_more_crates_than_promised() {
    for (features, most) in MOST_CRATES {
        let Some(crates) = crates("normal", features) else {
            return;
        };
        assert!(crates.len() <= most, "{features:?}: {crates:#?}");
    }
}

#[test]
fn an_example_builds_no_more_crates_than_promised_and_no_test_crates() {
    let Some(crates) = crates("normal,build,dev", &[]) else {
        return;
    };
    assert!(crates.len() <= MOST_CRATES_OF_EXAMPLES, "{crates:#?}");
    for slow in ["proptest ", "rand ", "syn "] {
        assert!(
            !crates.iter().any(|name| name.starts_with(slow)),
            "{crates:#?}"
        );
    }
}

#[test]
fn each_dependency_has_a_reason_beside_it() {
    let manifest = read("Cargo.toml");
    let mut complaints = Vec::new();
    let mut count = 0;
    let (mut previous, mut in_dependencies) = ("", false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
            // The table of a single dependency has its reason above it.
            if line.contains("dependencies.") && !previous.starts_with('#') {
                complaints.push(String::from(line));
            }
        } else if in_dependencies && line.contains('=') {
            count += 1;
            if !previous.starts_with('#') {
                complaints.push(String::from(line));
            }
        }
        previous = line;
    }
    assert!(count > 0);
    assert_none(complaints);
}

#[test]
fn the_changelog_has_an_entry_for_this_version() {
    let changelog = read("CHANGELOG.md");
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = "))
        .unwrap()
        .trim_matches('"');
    let versions: Vec<&str> = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## ")?.split(' ').next())
        .collect();
    assert!(
        versions.contains(&version),
        "{version} is not in {versions:?}"
    );
}

#[test]
fn the_code_in_the_readme_is_tested() {
    let readme = read("README.md");
    assert!(readme.contains("```rust"), "no Rust code in the README");
    let lib = read("src/lib.rs");
    let lines: Vec<&str> = lib.lines().collect();
    let include = r#"#[doc = include_str!("../README.md")]"#;
    let at = lines.iter().position(|line| *line == include).unwrap();
    assert!(lines[at - 1].starts_with("#[cfg(") && lines[at - 1].contains("doctest"));
}

/// Returns the version of a crate that a package of the workspace depends on, from `Cargo.lock`.
fn locked_version(package: &str, name: &str) -> Option<String> {
    let lock = read("Cargo.lock");
    let entries: Vec<&str> = lock.split("[[package]]").collect();
    let entry = |name: &str| {
        let head = format!("\nname = \"{name}\"\n");
        let is_of = move |entry: &&&str| entry.starts_with(&head);
        entries.iter().find(is_of).copied()
    };
    let dependencies = entry(package)?.split_once("dependencies = [")?.1;
    let mut words = dependencies
        .split('"')
        .map(|dependency| dependency.split(' '))
        .find(|words| words.clone().next() == Some(name))?;
    // The list gives the version only if there are several.
    match words.nth(1) {
        Some(version) => Some(String::from(version)),
        None => {
            let version = entry(name)?.split_once("version = \"")?.1;
            Some(String::from(version.split_once('"')?.0))
        }
    }
}

#[test]
fn the_table_of_crates_lists_each_row_with_its_version() {
    let readme = read("README.md");
    let table = readme.split_once("<!-- crates -->").unwrap().1;
    let table = table.split_once("<!-- end of crates -->").unwrap().0;
    let mut complaints = Vec::new();
    let mut listed = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| [`")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let (name, link) = cells[0].split_once("`](tests/interop/rows/").unwrap();
        let name = name.strip_prefix("| [`").unwrap();
        listed.push(link.strip_suffix(".rs)").unwrap());
        let locked = locked_version("glassfrog-interop", name);
        if locked.as_deref() != Some(cells[1]) {
            complaints.push(format!(
                "{name} {}, but Cargo.lock has {locked:?}",
                cells[1]
            ));
        }
    }
    listed.sort_unstable();
    let manifest = read("tests/interop/Cargo.toml");
    let path = |line| str::strip_prefix(line, "path = \"rows/")?.strip_suffix(".rs\"");
    let mut rows: Vec<&str> = manifest.lines().filter_map(path).collect();
    rows.sort_unstable();
    assert!(rows.len() > 20, "these {} rows are not all", rows.len());
    assert_eq!(listed, rows, "the table and the programs");
    assert_none(complaints);
}

#[test]
fn no_feature_compiles_a_runtime_of_tokio() {
    // Only what needs neither a thread nor an event queue.
    let harmless =
        ["bytes", "default", "io-util", "sync"].map(|name| format!("tokio feature \"{name}\""));
    let Some(parts) = crates("normal,features", &["--all-features"]) else {
        return;
    };
    for part in parts
        .iter()
        .filter(|part| part.starts_with("tokio feature "))
    {
        assert!(harmless.contains(part), "{part}");
    }
    for absent in ["async-compat ", "tokio-stream "] {
        assert!(
            !parts.iter().any(|part| part.starts_with(absent)),
            "{absent}"
        );
    }
    let manifest = read("Cargo.toml");
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    for name in ["tokio", "async-compat"] {
        let is_named = |line: &str| {
            line.starts_with(&format!("{name} =")) || line.contains(&format!("dep:{name}\""))
        };
        assert!(!dependencies.lines().any(is_named), "{name}");
    }
}

#[test]
fn an_adapter_to_copy_has_at_most_fifty_lines_of_code() {
    let mut count = 0;
    for file in fs::read_dir(root().join("tests/interop/adapters")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(str::trim_start).filter(|line| {
            !line.is_empty() && !line.starts_with("//") && !line.starts_with("use ")
        });
        assert!(code.count() <= 50, "{} is too long", path.display());
        count += 1;
    }
    assert!(count > 3, "these {count} adapters are not all");
}

#[test]
fn the_code_of_the_page_about_tokio_is_tested() {
    let page = read("src/guide/tokio_crates.rs");
    let example = page.split("//! ```").nth(1).unwrap();
    let code = example
        .lines()
        .skip(1)
        .map(|line| line.trim_start_matches("//!").trim());
    // A test uses `unwrap` in place of `?`, and a server of its own.
    let test = read("tests/interop/rows/tokio.rs");
    for line in code.take_while(|line| !line.contains("glassfrog::block_on")) {
        let line = line.replace("?;", ".unwrap();");
        assert!(test.contains(&line), "`{line}` is in no test");
    }
}

#[test]
fn each_file_begins_with_a_module_doc_and_is_not_too_long() {
    let mut complaints = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            complaints.push(format!("{}: no `//!`", source.at(1)));
        }
        let length = source.code().len();
        if length > LONGEST_FILE {
            complaints.push(format!("src/{}: {length} lines of code", source.path));
        }
    }
    assert_none(complaints);
}

/// Returns the name of the field that a line of a struct declares.
fn field(code: &str) -> Option<&str> {
    let code = match code.strip_prefix("pub") {
        // A visibility, with or without parentheses.
        Some(rest) => rest.split_once(' ')?.1,
        None => code,
    };
    let (name, _type) = code.split_once(": ")?;
    words(name).eq([name]).then_some(name)
}

#[test]
fn each_field_is_documented() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for source in sources() {
        // The indentation of the fields of the current struct.
        let mut fields = None;
        let mut documented = false;
        for (index, line) in source.text.lines().enumerate() {
            if line == "#[cfg(test)]" {
                break;
            }
            let code = line.trim_start();
            let indent = line.len() - code.len();
            if code.starts_with("//") {
                documented = true;
                continue;
            }
            if code.starts_with("#[") {
                continue;
            }
            if code.ends_with('{') && words(code).any(|word| word == "struct") {
                fields = Some(indent + 4);
            } else if code.starts_with('}') && fields == Some(indent + 4) {
                fields = None;
            } else if fields == Some(indent)
                && let Some(name) = field(code)
            {
                count += 1;
                if !documented {
                    complaints.push(format!("{}: {name}", source.at(index + 1)));
                }
            }
            documented = false;
        }
    }
    assert!(count > 80, "these {count} fields are not all");
    assert_none(complaints);
}

#[test]
fn no_file_contains_a_todo_or_a_suppressed_lint() {
    /// Texts that may appear in no file, neither in code nor in comments.
    const NOWHERE: [&str; 10] = [
        "todo!",
        "unimplemented!",
        "dbg!",
        "TODO",
        "FIXME",
        "XXX",
        "#[ignore",
        "[allow(",
        "[expect(",
        ", allow(",
    ];
    let mut complaints = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            for bad in NOWHERE {
                if line.contains(bad) {
                    complaints.push(format!("{}: {bad}", source.at(index + 1)));
                }
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn cfg_appears_only_where_it_is_allowed() {
    /// Returns whether a `cfg` may appear in this line, above the next line of code.
    fn is_allowed(path: &str, code: &str, next: &str) -> bool {
        let is_module = ["mod ", "pub mod ", "pub(crate) mod "]
            .iter()
            .any(|start| next.starts_with(start));
        let whole_module = ["#[cfg(unix)]", "#[cfg(windows)]"].contains(&code)
            || code.starts_with("#[cfg(feature = ")
            || code.starts_with("#[cfg(all(unix, feature = ");
        match path {
            // The platform rules.
            "reactor/platform.rs" => true,
            // The choice between real and simulated sockets.
            "net/raw.rs" => true,
            "net/raw/stand_in.rs" if whole_module && next.starts_with("handles!") => true,
            // What a host of a simulation has besides, or does differently.
            _ if code.contains(r#"feature = "sim""#) && SIMULATED.contains(&path) => true,
            // Defaults of debug builds.
            "event_loop/settings.rs" if code.contains("cfg!(debug_assertions)") => true,
            // The system that lists the threads of a process.
            "threads.rs" if code.contains(r#"cfg!(target_os = "linux")"#) => true,
            // The alias for the types of a model checker.
            "primitives.rs" if words(code).any(|word| word == "loom") => true,
            // The events that only a feature needs, and that the model checker replaces.
            "primitives.rs"
                if whole_module && next.starts_with("pub(crate) use event_listener::") =>
            {
                true
            }
            // What only the timeline needs.
            "primitives.rs" if whole_module && next.ends_with("atomic::fence;") => true,
            // The files that stand for a module without its feature.
            "lib.rs" | "timeline.rs"
                if code.starts_with("#[cfg(not(") && next.starts_with("#[path = \"timeline/") =>
            {
                true
            }
            // The type of a module that belongs to a feature.
            "lib.rs" if whole_module && next == "pub use self::timeline::Timeline;" => true,
            "signal.rs" if whole_module && next.starts_with("pub use self::timeline::") => true,
            // What a feature notes in each poll.
            "executor/actor.rs" if code == r#"if cfg!(feature = "sync") {"# => true,
            // What only a feature uses.
            _ if code.starts_with("#[cfg_attr(not(") && code.contains("expect(dead_code") => true,
            _ if whole_module && is_module => true,
            // The items that a Unix-only module makes public.
            "net.rs" | "io.rs" if code == "#[cfg(unix)]" && next.starts_with("pub use self::") => {
                true
            }
            // The items of a package that belongs to a feature.
            "io.rs" if whole_module && next.starts_with("pub use futures_lite::") => true,
            // The items of a module that belongs to a feature, and of its package.
            "hyper.rs" if whole_module && next.starts_with("pub use ") => true,
            // A package that belongs to a feature.
            "lib.rs" if whole_module && next.starts_with("pub use glassfrog_") => true,
            // The badges of items that a feature enables.
            "lib.rs" if code == "#![cfg_attr(docsrs, feature(doc_cfg))]" => true,
            // The README, as a test.
            "lib.rs" if words(code).any(|word| word == "doctest") => next.starts_with("#[doc"),
            // Whether an example runs.
            _ => code.contains("cfg_attr(") && code.contains(r#"doc = "```"#),
        }
    }
    let mut complaints = Vec::new();
    for source in sources() {
        let code = source.code();
        for (index, (line, text)) in code.iter().enumerate() {
            let next = code.get(index + 1).map_or("", |(_, next)| *next);
            let asks = words(text).any(|word| word == "cfg" || word == "cfg_attr");
            if asks && !is_allowed(&source.path, text.trim(), next.trim()) {
                complaints.push(format!("{}: {}", source.at(*line), text.trim()));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn the_page_about_simulation_tests_the_program_that_it_shows() {
    let page = read("src/guide/simulation.rs");
    let is_code =
        |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with("use ");
    let visible: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    let mut count = 0;
    for file in ["program", "hosts"] {
        let hidden = read(&format!("src/guide/simulation/{file}.txt"));
        for line in hidden
            .lines()
            .map(|line| line.trim_start_matches('#').trim())
            .filter(is_code)
        {
            count += 1;
            assert!(visible.contains(&line), "`{line}` is only in {file}.txt");
        }
    }
    assert!(count > 40, "these {count} lines are not all");
}
