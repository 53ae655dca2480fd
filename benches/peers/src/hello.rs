//! What is built to be measured: this package once more with the feature `threads`, and the smallest program
//! of each runtime, which spawns a task that sleeps, and awaits it.
//!
//! Each program is a package of its own with a target directory of its own, so that its size, the crates in its tree
//! and the time of a clean build are its own. The versions are those of this workspace's `Cargo.lock`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, io};

/// The directory of the workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The versions of everything here.
pub(crate) const LOCK: &str = include_str!("../../../Cargo.lock");

/// The profile that a small program is built with: the default one for releases, without symbols.
const PROFILE: &str = "[profile.release]\nstrip = true\n";

/// What one build of a program shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// The bytes of the binary.
    pub(crate) size: u64,
    /// The crates in the tree, without the program itself.
    pub(crate) crates: u64,
    /// How long a clean build took, in nanoseconds.
    pub(crate) time: u64,
}

/// The dependency of the program, and its code.
fn program(runtime: &str) -> (String, &'static str) {
    match runtime {
        "tokio" => (
            dependency("tokio", r#"features = ["io-util", "net", "rt", "time"]"#),
            r#"
use std::time::Duration;

fn main() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let task = tokio::spawn(async { tokio::time::sleep(Duration::from_millis(1)).await });
        task.await.expect("the task");
    });
}
"#,
        ),
        "smol" => (
            dependency("smol", "default-features = true"),
            r#"
use std::time::Duration;

fn main() {
    let executor = smol::LocalExecutor::new();
    smol::block_on(executor.run(async {
        let task = executor.spawn(async { smol::Timer::after(Duration::from_millis(1)).await });
        task.await;
    }));
}
"#,
        ),
        "monoio" => (
            dependency(
                "monoio",
                r#"default-features = false, features = ["legacy"]"#,
            ),
            r#"
use std::time::Duration;

fn main() {
    let builder = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer();
    let mut runtime = builder.build().expect("a runtime");
    runtime.block_on(async {
        let task = monoio::spawn(async { monoio::time::sleep(Duration::from_millis(1)).await });
        task.await;
    });
}
"#,
        ),
        "glassfrog" => (
            format!("glassfrog = {{ path = \"{WORKSPACE}\" }}"),
            r#"
use std::time::Duration;

fn main() {
    glassfrog::block_on(async {
        let task = glassfrog::spawn(async { glassfrog::time::sleep(Duration::from_millis(1)).await });
        task.await.expect("the task");
    });
}
"#,
        ),
        _ => (String::new(), "fn main() {}\n"),
    }
}

/// The line of `Cargo.toml` for the version that this workspace has of a crate.
fn dependency(name: &str, more: &str) -> String {
    let version = version(name).unwrap_or("*");
    format!("{name} = {{ version = \"={version}\", {more} }}")
}

/// The version of a crate in this workspace.
pub(crate) fn version(name: &str) -> Option<&'static str> {
    let head = format!("name = \"{name}\"\nversion = \"");
    // Where there are several, the newest stands last.
    let (_, rest) = LOCK.rsplit_once(&head)?;
    rest.split('"').next()
}

/// Builds the program of a runtime from nothing.
pub(crate) fn build(runtime: &str) -> io::Result<Build> {
    let directory = directory(runtime)?;
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(directory.join("src"))?;
    let (dependency, code) = program(runtime);
    let name = format!("hello-{runtime}");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{dependency}\n\n{PROFILE}"
    );
    fs::write(directory.join("Cargo.toml"), manifest)?;
    fs::write(directory.join("Cargo.lock"), LOCK)?;
    fs::write(directory.join("src/main.rs"), code)?;

    let tree = cargo(
        &directory,
        &[
            "tree",
            "--edges=normal,build",
            "--prefix=none",
            "--no-dedupe",
        ],
    )?;
    let mut crates: Vec<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty() && !line.starts_with(&name))
        .collect();
    crates.sort_unstable();
    crates.dedup();

    let start = Instant::now();
    cargo(&directory, &["build", "--release"])?;
    let time = start.elapsed().as_nanos() as u64;
    let binary = directory.join("target/release").join(&name);
    // Whether it runs is part of the question.
    let status = Command::new(&binary).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{name}: {status}")));
    }
    let build = Build {
        size: fs::metadata(&binary)?.len(),
        crates: crates.len() as u64,
        time,
    };
    fs::remove_dir_all(&directory)?;
    Ok(build)
}

/// Builds this package with the feature `threads`, in the profile of this binary, and returns the new one.
pub(crate) fn with_threads() -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    let profile = this.parent().and_then(Path::file_name);
    let profile = profile.and_then(|name| name.to_str()).unwrap_or_default();
    let target = directory("threads")?;
    let words = [
        "build",
        "--package=glassfrog-peers",
        "--features=threads",
        // The directory of the profile `dev` has another name.
        &format!("--profile={}", profile.replace("debug", "dev")),
        &format!("--target-dir={}", target.display()),
    ];
    cargo(Path::new(WORKSPACE), &words)?;
    Ok(target.join(profile).join("glassfrog-peers"))
}

/// Where something is built: beside this binary, out of the workspace's own way.
fn directory(name: &str) -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    let target = this.parent().unwrap_or(Path::new("."));
    Ok(target.join("report").join(name))
}

/// Runs cargo in `directory` with what has been downloaded, and returns what it printed.
fn cargo(directory: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).arg("--offline").arg("--quiet");
    command.current_dir(directory).stdin(Stdio::null());
    // Where this is set, cargo builds elsewhere.
    command.env_remove("CARGO_TARGET_DIR");
    let output = command.output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
