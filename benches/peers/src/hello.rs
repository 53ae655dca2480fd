//! Builds the programs to measure: this package once more with the feature `threads`, and the smallest program of
//! each runtime, which spawns a task that sleeps, and awaits it.
//!
//! Each program is a package with a target directory of its own, so its size, its crates and the time of its clean
//! build do not depend on other packages. The versions are those of this workspace's `Cargo.lock`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, io};

/// The directory of the workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The lock file of this workspace, which has the versions of all crates.
pub(crate) const LOCK: &str = include_str!("../../../Cargo.lock");

/// The profile of a small program: the default release profile, without symbols.
const PROFILE: &str = "[profile.release]\nstrip = true\n";

/// The measurements of one build of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// The size of the binary in bytes.
    pub(crate) size: u64,
    /// The number of crates in the tree, without the program itself.
    pub(crate) crates: u64,
    /// The time of a clean build in nanoseconds.
    pub(crate) time: u64,
}

/// Returns the dependency of the program, and its code.
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

/// Returns the line of `Cargo.toml` for a crate, with the version in this workspace.
fn dependency(name: &str, more: &str) -> String {
    let version = version(name).unwrap_or("*");
    format!("{name} = {{ version = \"={version}\", {more} }}")
}

/// Returns the version of a crate in this workspace.
pub(crate) fn version(name: &str) -> Option<&'static str> {
    let head = format!("name = \"{name}\"\nversion = \"");
    // If there are several versions, the newest comes last.
    let (_, rest) = LOCK.rsplit_once(&head)?;
    rest.split('"').next()
}

/// Builds the program of a runtime from scratch.
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
    // The program must also run.
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

/// Builds this package with the feature `threads`, in the profile of this binary. Returns the path of the new
/// binary.
pub(crate) fn with_threads() -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    let profile = this.parent().and_then(Path::file_name);
    let profile = profile.and_then(|name| name.to_str()).unwrap_or_default();
    let target = directory("threads")?;
    let words = [
        "build",
        "--package=glassfrog-peers",
        "--features=threads",
        // The directory of the profile `dev` is named `debug`.
        &format!("--profile={}", profile.replace("debug", "dev")),
        &format!("--target-dir={}", target.display()),
    ];
    cargo(Path::new(WORKSPACE), &words)?;
    Ok(target.join(profile).join("glassfrog-peers"))
}

/// Returns the directory for a build: next to this binary, and separate from the workspace's own builds.
fn directory(name: &str) -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    let target = this.parent().unwrap_or(Path::new("."));
    Ok(target.join("report").join(name))
}

/// Runs cargo offline in `directory`, and returns its output.
fn cargo(directory: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).arg("--offline").arg("--quiet");
    command.current_dir(directory).stdin(Stdio::null());
    // If this were set, cargo would build elsewhere.
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
