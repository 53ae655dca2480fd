//! [`WorkersDump`]: the dumps of several runtimes.

use super::Dump;
use super::json::Json;
use super::text::Table;
use std::fmt;

/// The dumps of all [`Workers`](crate::Workers), one for each runtime.
///
/// The [`Display`](fmt::Display) implementation prints one table, in which the row of a worker precedes those of its
/// tasks. A worker whose loop does not answer has a remark instead:
///
/// ```text
/// task          spawned at         age  polls  state    waits for
/// worker 0      -                    -      1  waiting  idle
/// 1 "listener"  src/main.rs:12  12.0 s      9  waiting  accept tcp 0.0.0.0:8080 for 3.2 s
/// worker 1      -                    -      1  waiting  idle
/// 1 "listener"  src/main.rs:12  12.0 s      4  waiting  accept tcp 0.0.0.0:8080 for 4.0 s
/// 5 ×           src/main.rs:15   7.1 s     31  waiting  read tcp 10.0.0.1:8080 → 10.0.0.9:40112, the longest for 4.1 s: task 3
/// worker 2: the loop does not answer: it has been in poll 3 of task 1 for at least 1.0 s
/// ```
///
/// "idle" is the wait of a worker's root future for the end of the workers. The tasks of each worker fold separately,
/// as in a [`Dump`]; `{:#}` lists every task.
///
/// # Examples
///
/// ```
/// use glassfrog::Workers;
///
/// let workers = Workers::new(2)?;
/// let tasks = workers.spawn_on_each(|_| std::future::pending::<()>());
/// let dump = workers.dump();
/// println!("{dump}");
/// assert_eq!(dump.dumps().len(), 2);
/// assert_eq!(dump.dumps()[1].worker(), Some(1));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct WorkersDump {
    /// The dumps, in the order of the workers' numbers.
    pub(crate) dumps: Vec<Dump>,
}

impl WorkersDump {
    /// Returns the dumps of the runtimes. The index of a dump is the number of its worker.
    ///
    /// # Examples
    ///
    /// See [`WorkersDump`].
    pub fn dumps(&self) -> &[Dump] {
        &self.dumps
    }

    /// Returns the dumps as one line of JSON (RFC 8259): an object with the key `workers`, an array of objects as
    /// those of [`Dump::to_json`].
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(1)?;
    /// let json = workers.dump().to_json();
    /// assert!(json.starts_with(r#"{"workers":[{"state":"tasks","worker":0,"tasks":["#));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        json.object(|json| json.key("workers").array(&self.dumps, Dump::write_json));
        json.text
    }
}

impl fmt::Display for WorkersDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        for dump in &self.dumps {
            table.add(dump, f.alternate());
        }
        table.fmt(f)
    }
}
