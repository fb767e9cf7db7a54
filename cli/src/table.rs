//! Tables for people: no lines but under the head, no colours, at most a hundred columns.

use crate::out::outln;
use comfy_table::{ContentArrangement, Table, presets};

const WIDTH: u16 = 100;

/// A table with a head.
pub fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(head.iter().map(|h| h.to_uppercase()));
    table
}

/// Prints a table under a heading, without blanks at the ends of lines.
pub fn print(heading: &str, table: &Table) {
    if !heading.is_empty() {
        outln!("\n{heading}");
    }
    for line in table.lines() {
        outln!("{}", line.trim_end());
    }
}

/// Text from a file or an annotation, safe for a terminal.
pub fn clean(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// The text, or a dash.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { clean(text) }
}
