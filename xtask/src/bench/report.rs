//! Tables for people, and the same as JSON for programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::machine;
use crate::output::{Closed, say};

/// A cell of a table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    /// A number, shown with so many decimals.
    Number(f64, usize),
    Nothing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are below 2^53")]
    fn from(number: u64) -> Self {
        Self::Number(number as f64, 0)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Nothing, Into::into)
    }
}

impl Cell {
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number, decimals) => format!("{number:.decimals$}"),
            Self::Nothing => "-".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number, 0) => json!(number.round()),
            Self::Number(number, _) => json!(number),
            Self::Nothing => Value::Null,
        }
    }
}

/// A table. The first column is text, the others are numbers or short words.
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    fn json(&self) -> Value {
        let row = |cells: &Vec<Cell>| {
            let cells = self.columns.iter().zip(cells);
            Value::Object(cells.map(|(name, cell)| ((*name).to_owned(), cell.json())).collect::<Map<_, _>>())
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

impl core::fmt::Display for Table {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let cells: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect();
        let width = |(at, name): (usize, &&str)| {
            cells.iter().filter_map(|row| row.get(at)).map(String::len).chain([name.len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        writeln!(f, "{}", self.title)?;
        let head = self.columns.iter().map(|name| (*name).to_owned()).collect();
        for row in core::iter::once(&head).chain(&cells) {
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if at == 0 {
                    write!(f, "{cell:<width$}")?;
                } else {
                    write!(f, "  {cell:>width$}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The tables of a run: printed as they are made, written at the end if that is wanted.
pub(crate) struct Report {
    json: Option<PathBuf>,
    tables: Vec<Value>,
}

impl Report {
    /// A report that also goes to this file.
    pub(crate) fn new(json: Option<&Path>) -> Self {
        Self { json: json.map(Path::to_owned), tables: Vec::new() }
    }

    /// Prints a table. Where nobody reads on, only a file that is to be written keeps the work going.
    pub(crate) fn table(&mut self, table: &Table) -> Result<()> {
        match say(table) {
            Err(error) if error.is::<Closed>() && self.json.is_some() => {}
            said => said?,
        }
        self.tables.push(table.json());
        Ok(())
    }

    /// Writes the file.
    pub(crate) fn finish(self) -> Result<()> {
        let Some(file) = self.json else { return Ok(()) };
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let all = json!({
            "command": format!("cargo xtask {}", arguments.join(" ")),
            "machine": machine::kind(),
            "tables": self.tables,
        });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(&file, text + "\n").with_context(|| file.display().to_string())
    }
}

/// The middle of the values, the upper one of two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
