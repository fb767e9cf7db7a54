//! Turns `seccomp/data/syscalls.tsv` into a static table: nothing is parsed at run time.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let source = Path::new(&manifest).join("../data/syscalls.tsv");
    println!("cargo::rerun-if-changed={}", source.display());
    let text = fs::read_to_string(&source).expect("seccomp/data/syscalls.tsv");

    let mut rows = String::from("&[\n");
    let mut last = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let name = cells.next().expect("every line has a name");
        assert!(last < name, "{name}: lines have to be sorted by name");
        last = name;
        let numbers: Vec<String> = cells
            .map(|cell| match cell {
                "-" => "NONE".to_owned(),
                number => number.parse::<u32>().expect("a number or -").to_string(),
            })
            .collect();
        assert_eq!(numbers.len(), 5, "{name}: one number per ABI");
        writeln!(rows, "Row {{ name: {name:?}, numbers: [{}] }},", numbers.join(", ")).expect("writing to a String");
    }
    rows.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("syscalls.rs"), rows).expect("OUT_DIR is writable");
}
