//! Compiles the programs in `bpf/` with clang and turns the object file into Rust tables: instructions, and where which map
//! belongs. So the shim has neither an ELF reader nor a loader library, and the tree no binary.
//!
//! `BPF_CLANG` names the compiler; without it Debian's clang-14 is taken, which `hack/setup` installs.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

const SOURCE: &str = "bpf/fence.c";

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=BPF_CLANG");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let object = Path::new(&out).join("fence.o");
    compile(&object);
    let bytes = fs::read(&object).expect("the object file was just written");
    fs::write(Path::new(&out).join("programs.rs"), tables(&bytes)).expect("OUT_DIR can be written");
}

fn compile(object: &Path) {
    let clang = env::var("BPF_CLANG").unwrap_or_else(|_| "clang-14".to_owned());
    // Debian keeps the architecture's headers in a folder that is not searched for the target bpf.
    let headers = format!("/usr/include/{}-linux-gnu", env::consts::ARCH);
    let status = Command::new(&clang)
        .args(["-O2", "-target", "bpfel", "-mcpu=v2", "-Wall", "-Wextra", "-Werror", "-idirafter", &headers])
        .args(["-c", SOURCE, "-o"])
        .arg(object)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{clang} cannot compile {SOURCE}: {status}"),
        Err(error) => panic!("{clang} cannot be run: {error}; run hack/setup, or name another clang with BPF_CLANG"),
    }
}

/// One `Program` per section that has code.
fn tables(bytes: &[u8]) -> String {
    let file = object::File::parse(bytes).expect("clang writes an ELF file");
    let mut text = String::from("pub(crate) static PROGRAMS: &[Program] = &[\n");
    for section in file.sections() {
        let hook = section.name().expect("sections have names");
        let code = section.data().expect("sections have data");
        if !hook.starts_with("cgroup") || code.is_empty() {
            continue;
        }
        write!(text, "    Program {{ section: {hook:?}, insns: &[").expect("a string takes all");
        for insn in code.chunks_exact(8) {
            let insn: [u8; 8] = insn.try_into().expect("chunks of eight");
            write!(text, "{:#x},", u64::from_le_bytes(insn)).expect("a string takes all");
        }
        text.push_str("], maps: &[");
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("{hook}: not a map") };
            let name = file.symbol_by_index(symbol).and_then(|symbol| symbol.name()).expect("maps have names");
            let (first, rest) = name.split_at(1);
            write!(text, "({}, Map::{}{rest}),", offset / 8, first.to_uppercase()).expect("a string takes all");
        }
        text.push_str("] },\n");
    }
    text.push_str("];\n");
    text
}
