//! The changes of a spec, as a unified diff of its pretty-printed JSON.

use serde_json::Value;
use similar::TextDiff;

/// Lines around a change.
const CONTEXT: usize = 2;

/// The diff; empty where nothing changed.
pub fn unified(before: &Value, after: &Value) -> String {
    let (before, after) = (pretty(before), pretty(after));
    if before == after {
        return String::new();
    }
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header("config.json", "config.json (zerocap)")
        .to_string()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_shown() {
        let before = json!({ "a": 1, "b": 2 });
        assert_eq!(unified(&before, &before), "");
        let diff = unified(&before, &json!({ "a": 1, "b": 3 }));
        assert!(diff.contains("\n-  \"b\": 2\n+  \"b\": 3\n"), "{diff}");
    }
}
