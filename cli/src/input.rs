//! Files that a person names: bounded, and with errors that say which file and where in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use zerocap_annotations::{ZcError, code};

use crate::failure::Failure;

/// Far above any real config.json or host file.
const LIMIT: u64 = 16 << 20;

/// Reads a file of text; `-` is stdin.
pub fn text(path: &Path) -> Result<String, Failure> {
    let unreadable = |e: io::Error| {
        let message = format!("{}: {e}", path.display());
        Failure::bad_input(ZcError::new(code::node::FILE_UNREADABLE, message, "correct the path"))
    };
    let mut bytes = Vec::new();
    let source: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(unreadable)?) };
    source.take(LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        let message = format!("{} is larger than {} MiB", path.display(), LIMIT >> 20);
        return Err(Failure::bad_input(ZcError::new(code::node::TOO_LARGE, message, "give a smaller file")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let message = format!("{}: not UTF-8 text, at byte {}", path.display(), e.utf8_error().valid_up_to());
        Failure::bad_input(ZcError::new(code::node::NOT_JSON, message, "give a text file"))
    })
}

/// Reads a JSON file.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    parse_json(&text(path)?, path)
}

/// Reads a JSON file, or a TOML file if its name says so.
pub fn json_or_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = text(path)?;
    if path.extension().is_none_or(|e| e != "toml") {
        return parse_json(&text, path);
    }
    toml::from_str(&text).map_err(|e| {
        let place = match e.span() {
            Some(span) => format!(" line {}", text[..span.start.min(text.len())].lines().count().max(1)),
            None => String::new(),
        };
        let message = format!("{}{place}: {}", path.display(), e.message());
        Failure::bad_input(ZcError::new(code::node::NOT_JSON, message, "correct that line"))
    })
}

fn parse_json<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|e| {
        let message = format!("{}: {e}", path.display());
        Failure::bad_input(ZcError::new(code::node::NOT_JSON, message, "correct that place"))
    })
}
