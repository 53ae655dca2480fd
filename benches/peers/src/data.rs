//! The measured values, in a file of tab-separated lines beside the report.
//!
//! A line has a row, a quantity, a runtime, the number of the conditions under which it was measured, and the
//! values: one for each round, in the order of the rounds, so that values of different runtimes at the same
//! index come from the same round. The conditions are at the top of the file, as `# number: text`.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// The head of the file.
const HEAD: &str = "\
# Written by `cargo run --profile count -p glassfrog-peers -- report`; read by `draw`. Times are in
# nanoseconds for each operation, and comparable within one row only.
# row, quantity, runtime, conditions, then a value for each round
";

/// The values of one quantity of a row on one runtime.
#[derive(Debug)]
struct Record {
    /// The row, with the point of a curve.
    row: String,
    /// The measured quantity.
    quantity: String,
    /// The runtime.
    runtime: String,
    /// The machine and the versions with which the values were measured.
    conditions: String,
    /// The values, one for each round.
    values: Vec<f64>,
}

/// All measured values.
#[derive(Debug, Default)]
pub(crate) struct Data {
    /// The records, in the order in which they were first measured.
    records: Vec<Record>,
}

impl Data {
    /// Reads the file at `path`. A missing file stands for no values.
    pub(crate) fn read(path: &Path) -> io::Result<Data> {
        match fs::read_to_string(path) {
            Ok(text) => Data::parse(&text).map_err(|message| {
                let message = format!("{}: {message}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Data::default()),
            Err(error) => Err(error),
        }
    }

    /// Parses the text of a file that [`write`](Data::write) has written.
    fn parse(text: &str) -> Result<Data, String> {
        let mut conditions = BTreeMap::new();
        let mut data = Data::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                if let Some((number, text)) = comment.split_once(": ") {
                    conditions.insert(number, text);
                }
                continue;
            }
            let wrong = || format!("not a line of values: {line}");
            let mut words = line.split('\t');
            let mut word = || words.next().ok_or_else(wrong);
            let (row, quantity, runtime, number) = (word()?, word()?, word()?, word()?);
            let values: Result<Vec<f64>, _> = words.map(str::parse).collect();
            data.records.push(Record {
                row: row.into(),
                quantity: quantity.into(),
                runtime: runtime.into(),
                conditions: conditions
                    .get(number)
                    .copied()
                    .ok_or_else(wrong)?
                    .to_owned(),
                values: values.map_err(|_| wrong())?,
            });
        }
        Ok(data)
    }

    /// Writes the file at `path`.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.text())
    }

    /// Returns the text of the file.
    fn text(&self) -> String {
        let mut text = String::from(HEAD);
        let conditions = self.conditions();
        for (index, conditions) in conditions.iter().enumerate() {
            text += &format!("# {}: {conditions}\n", index + 1);
        }
        for record in &self.records {
            let number = conditions.iter().position(|&it| it == record.conditions);
            let number = 1 + number.unwrap_or(0);
            let Record {
                row,
                quantity,
                runtime,
                ..
            } = record;
            text += &format!("{row}\t{quantity}\t{runtime}\t{number}");
            for value in &record.values {
                text += &format!("\t{}", short(*value));
            }
            text.push('\n');
        }
        text
    }

    /// Returns the different conditions, in the order of the records.
    pub(crate) fn conditions(&self) -> Vec<&str> {
        let mut all = Vec::new();
        for record in &self.records {
            if !all.contains(&record.conditions.as_str()) {
                all.push(&record.conditions);
            }
        }
        all
    }

    /// Removes the values of a row for the quantities that `is_old` selects.
    pub(crate) fn remove(&mut self, row: &str, is_old: impl Fn(&str) -> bool) {
        self.records
            .retain(|record| record.row != row || !is_old(&record.quantity));
    }

    /// Adds the values of one runtime.
    pub(crate) fn add(
        &mut self,
        row: &str,
        quantity: &str,
        runtime: &str,
        conditions: &str,
        values: Vec<f64>,
    ) {
        self.records.push(Record {
            row: row.into(),
            quantity: quantity.into(),
            runtime: runtime.into(),
            conditions: conditions.into(),
            values,
        });
    }

    /// Returns the values of one runtime, if they have been measured.
    pub(crate) fn values(&self, row: &str, quantity: &str, runtime: &str) -> Option<&[f64]> {
        let record = self.records.iter().find(|record| {
            record.row == row && record.quantity == quantity && record.runtime == runtime
        })?;
        Some(&record.values)
            .filter(|values| !values.is_empty())
            .map(Vec::as_slice)
    }

    /// Returns the quantities of a row whose names start with `prefix`, without the prefix.
    pub(crate) fn quantities(&self, row: &str, prefix: &str) -> Vec<&str> {
        let mut all = Vec::new();
        for record in self.records.iter().filter(|record| record.row == row) {
            if let Some(name) = record.quantity.strip_prefix(prefix)
                && !all.contains(&name)
            {
                all.push(name);
            }
        }
        all
    }

    /// Returns the largest number of values in a line.
    pub(crate) fn rounds(&self) -> usize {
        let lengths = self.records.iter().map(|record| record.values.len());
        lengths.max().unwrap_or(0)
    }
}

/// Formats a value with five significant digits.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = value.abs().log10().floor() as i32 + 1;
    let places = (5 - digits).clamp(0, 5) as usize;
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::Data;

    #[test]
    fn the_written_text_parses_to_the_same_data() {
        let mut data = Data::default();
        data.add("yield", "time", "tokio", "here", vec![41.25, 0.0]);
        data.add(
            "yield",
            "syscalls:epoll_wait",
            "tokio",
            "there: so",
            vec![0.0164],
        );
        let read = Data::parse(&data.text()).expect("it parses");
        assert_eq!(read.text(), data.text());
        assert_eq!(read.conditions(), ["here", "there: so"]);
        assert_eq!(
            read.values("yield", "time", "tokio"),
            Some(&[41.25, 0.0][..])
        );
        assert_eq!(read.quantities("yield", "syscalls:"), ["epoll_wait"]);
    }

    #[test]
    fn a_removed_quantity_leaves_the_others() {
        let mut data = Data::default();
        data.add("yield", "time", "tokio", "here", vec![1.0]);
        data.add("yield", "syscalls", "tokio", "here", vec![2.0]);
        data.remove("yield", |quantity| quantity == "time");
        assert_eq!(data.values("yield", "time", "tokio"), None);
        assert_eq!(data.values("yield", "syscalls", "tokio"), Some(&[2.0][..]));
    }
}
