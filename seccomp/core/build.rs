//! Turns the tables of `seccomp/data` into static ones: nothing is parsed at run time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let text = read("syscalls.tsv");
    let mut names = Vec::new();
    let mut by_number: [Vec<(u32, usize)>; 5] = Default::default();
    let mut rows = String::from("&[\n");
    let mut last = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let name = cells.next().expect("every line has a name");
        assert!(last < name, "{name}: lines have to be sorted by name");
        last = name;
        names.push(name);
        let numbers: Vec<String> = cells
            .map(|cell| match cell {
                "-" => "NONE".to_owned(),
                number => number.parse::<u32>().expect("a number or -").to_string(),
            })
            .collect();
        assert_eq!(numbers.len(), 5, "{name}: one number per ABI");
        for (list, number) in by_number.iter_mut().zip(&numbers) {
            list.extend(number.parse::<u32>().ok().map(|number| (number, names.len() - 1)));
        }
        writeln!(rows, "Row {{ name: {name:?}, numbers: [{}] }},", numbers.join(", ")).expect("writing to a String");
    }
    rows.push(']');
    write("syscalls.rs", &rows);
    // Of two names for one number the alphabetically first stays.
    for list in &mut by_number {
        list.sort_unstable();
        list.dedup_by_key(|(number, _)| *number);
    }
    write("numbers.rs", &format!("[{}]", by_number.map(|list| format!("&{list:?}")).join(",\n")));
    write("arguments.rs", &arguments(&names));
    write("since.rs", &since(&names));
}

fn read(name: &str) -> String {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let source = Path::new(&manifest).join("../data").join(name);
    println!("cargo::rerun-if-changed={}", source.display());
    fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()))
}

fn write(name: &str, text: &str) {
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join(name), text).expect("OUT_DIR is writable");
}

/// One row a call, one list of arguments an ABI; equal lists are one.
fn arguments(names: &[&str]) -> String {
    let text = read("arguments.tsv");
    let mut lists: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows = String::from("static ROWS: &[[&[Argument]; 5]] = &[\n");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), names.len(), "arguments.tsv: one line per call");
    for (line, name) in lines.iter().zip(names) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!((cells.len(), cells[0]), (6, *name), "arguments.tsv has the calls of syscalls.tsv");
        rows.push('[');
        for cell in &cells[1..] {
            let cell = match *cell {
                "=" => cells[1],
                "-" => "",
                list => list,
            };
            let next = lists.len();
            let index = *lists.entry(cell).or_insert(next);
            write!(rows, "L{index}, ").expect("writing to a String");
        }
        rows.push_str("],\n");
    }
    rows.push_str("];\n");
    for (list, index) in lists {
        let mut items = String::new();
        for item in list.split_whitespace() {
            let [name, kind, bits] = item.split(':').collect::<Vec<_>>()[..] else { panic!("{item}") };
            let (first, rest) = kind.split_at(1);
            let kind = first.to_uppercase() + rest;
            write!(items, "Argument {{ name: {name:?}, width: Width::W{bits}, kind: Kind::{kind} }}, ")
                .expect("writing to a String");
        }
        writeln!(rows, "const L{index}: &[Argument] = &[{items}];").expect("writing to a String");
    }
    rows
}

/// The version of each call, in the order of the calls; all zero where it is not known.
fn since(names: &[&str]) -> String {
    let text = read("since.tsv");
    let known: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let mut rows = String::from("&[\n");
    for name in names {
        let mut parts = known.get(name).into_iter().flat_map(|version| version.split('.'));
        let mut part = || parts.next().map_or(0, |part| part.parse::<u8>().expect("a small number"));
        let (major, minor, patch) = (part(), part(), part());
        writeln!(rows, "KernelVersion {{ major: {major}, minor: {minor}, patch: {patch} }},")
            .expect("writing to a String");
    }
    rows.push(']');
    rows
}
