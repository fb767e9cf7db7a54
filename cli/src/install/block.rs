//! Our block in a configuration: appended between two marker lines, and taken out again without a trace.
//!
//! Appending text, rather than editing the document, keeps every other byte (comments, order, a template's braces) and works
//! for configurations of versions 2 to 4, drop-ins and the templates of k3s alike. TOML lets a table be defined anywhere
//! but once; the result is parsed, and shown to containerd, before it replaces anything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::Table;
use zerocap_annotations::{ZcError, code};

use super::driver::Driver;

const BEGIN: &str = "# >>> zerocap: written by `zerocap install node`, removed by `zerocap uninstall node`";
const BEGIN_UNENDED: &str = "# >>> zerocap: written by `zerocap install node` after a line without an end";
const BEGIN_MADE: &str =
    "# >>> zerocap: this file was made by `zerocap install node`, and `zerocap uninstall node` removes it";
const END: &str = "# <<< zerocap";

/// The handlers: annotations decide, or platform mode without any.
pub const HANDLERS: [&str; 2] = ["zerocap", "zerocap-platform"];
/// containerd asks a runtime of this type, and of no other, which features it has (2.1, `internal/cri`): only so are user
/// namespaces and recursive read-only mounts offered to pods. `runtime_path` makes it our shim.
const TYPE_WITH_FEATURES: &str = "io.containerd.runc.v2";
/// The type whose options can name a floor.
const TYPE_WITH_FLOOR: &str = "io.containerd.zerocap.v2";
/// What a configuration begins with that does not exist yet.
const FIRST_LINE: &str = "version = 3";
/// How Kubernetes' name for a template tells itself from a configuration.
const BASE_TEMPLATE: &str = "{{ template \"base\" . }}";

/// What the handlers need to know.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub shim: &'a Path,
    pub engine: &'a str,
    pub driver: Driver,
}

/// How a block came into its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// After what was there.
    Ended,
    /// After a last line that had no end, which was given one.
    Unended,
    /// With the file itself.
    Made,
}

const KINDS: [(Kind, &str); 3] = [(Kind::Ended, BEGIN), (Kind::Unended, BEGIN_UNENDED), (Kind::Made, BEGIN_MADE)];

/// A block and what is around it.
struct Found<'t> {
    kind: Kind,
    before: &'t str,
    lines: &'t str,
    after: &'t str,
}

fn find(text: &str) -> Option<Found<'_>> {
    KINDS.iter().find_map(|&(kind, begin)| {
        let start = line(text, begin)?;
        let lines = start + begin.len();
        let end = lines + line(&text[lines..], END)?;
        let mut before = &text[..start];
        if kind == Kind::Unended {
            before = before.strip_suffix('\n').map_or(before, |line| line.strip_suffix('\r').unwrap_or(line));
        }
        let after = &text[end + END.len()..];
        // An editor may have given all lines its own ends.
        let after = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')).unwrap_or(after);
        Some(Found { kind, before, lines: &text[lines..end], after })
    })
}

/// Where a whole line is this marker.
fn line(text: &str, marker: &str) -> Option<usize> {
    text.match_indices(marker).map(|(at, _)| at).find(|&at| {
        let ends = |rest: &str| rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n");
        (at == 0 || text[..at].ends_with('\n')) && ends(&text[at + marker.len()..])
    })
}

/// Whether there is a block of ours.
pub fn is_there(text: &str) -> bool {
    find(text).is_some()
}

/// A configuration without our block.
fn strip(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(found) = find(&text) {
        text = format!("{}{}", found.before, found.after);
    }
    text
}

/// A configuration without our block: nothing, if the file came with the block and has nothing else.
pub fn without(text: &str) -> Option<String> {
    let bare = strip(text);
    let first = [FIRST_LINE, BASE_TEMPLATE].contains(&bare.trim_end());
    if is_made(text) && (first || bare.is_empty()) { None } else { Some(bare) }
}

/// Whether the file came with the block.
fn is_made(text: &str) -> bool {
    // A drop-in of before had its version in the block.
    let made = |found: Found<'_>| found.kind == Kind::Made || found.lines.trim_start().starts_with(FIRST_LINE);
    find(text).is_some_and(made)
}

/// Refuses a file in which a marker line has lost the other one: nobody knows what is ours.
///
/// # Errors
/// ZC1101.
pub fn is_whole(file: &Path, text: &str) -> Result<(), ZcError> {
    let bare = strip(text);
    let marker = KINDS.iter().map(|(_, begin)| *begin).chain([END]).find_map(|marker| line(&bare, marker));
    marker.map_or(Ok(()), |at| {
        let line = bare[..at].lines().count() + 1;
        Err(unusable(
            file,
            &format!("line {line}: one of the two lines that enclose zerocap's block, without the other"),
        ))
    })
}

/// A configuration with our block at its end, in place of an older one; where there is none it is begun.
///
/// # Errors
/// ZC1101 or ZC1102: it does not parse, its version is unknown, a handler of that name is somebody else's.
pub fn append(file: &Path, text: Option<&str>, wanted: Wanted<'_>) -> Result<String, ZcError> {
    if let Some(text) = text {
        is_whole(file, text)?;
    }
    let first = if is_of_template(file) { BASE_TEMPLATE } else { FIRST_LINE };
    let there = text.and_then(without);
    let made = there.is_none() || text.is_some_and(is_made);
    let mut out = there.unwrap_or_else(|| format!("{first}\n"));
    let plugin = plugin(file, &out)?;
    let kind = begin(&mut out, made);
    let _ = writeln!(out, "{kind}");
    write_handlers(&mut out, plugin, wanted);
    let _ = writeln!(out, "{END}");
    if !is_template(&out) {
        parse(file, &out)?;
    }
    Ok(out)
}

/// Ends the last line; the marker for what follows.
fn begin(text: &mut String, made: bool) -> &'static str {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
        return BEGIN_UNENDED;
    }
    if made { BEGIN_MADE } else { BEGIN }
}

/// A configuration with the block of another one in place of its own.
pub fn with_block_of(text: &str, other: &str) -> String {
    let mut out = strip(text);
    if let Some(found) = find(other) {
        let begin = begin(&mut out, found.kind == Kind::Made);
        let _ = writeln!(out, "{begin}{}{END}", found.lines);
    }
    out
}

/// What a configuration imports, as absolute patterns.
pub fn imports(file: &Path, text: &str) -> Vec<PathBuf> {
    let table: Table = strip(text).parse().unwrap_or_default();
    let entries = table.get("imports").and_then(toml::Value::as_array);
    // Relative ones are relative to the file.
    let folder = file.parent().unwrap_or(Path::new("/"));
    entries.into_iter().flatten().filter_map(|entry| Some(folder.join(entry.as_str()?))).collect()
}

/// The folder of a pattern `FOLDER/*.toml`.
pub fn folder_of(pattern: &Path) -> Option<&Path> {
    let folder = pattern.parent().filter(|_| pattern.ends_with("*.toml"))?;
    // `$` is a distribution's own, which fills it in.
    let plain = !folder.to_string_lossy().contains(['*', '?', '[', '\\', '$', '{']);
    plain.then_some(folder)
}

/// The folder that a configuration imports, if containerd merges what lies there (from version 3 on: before, an imported
/// plugin table replaced the whole of the former one) and nobody fills the file in before containerd reads it.
pub fn import_folder(file: &Path, text: &str) -> Option<PathBuf> {
    let table: Table = strip(text).parse().ok()?;
    if is_of_template(file) || version(&table).is_none_or(|version| version < 3) {
        return None;
    }
    imports(file, text).iter().find_map(|pattern| folder_of(pattern)).map(Path::to_owned)
}

/// Whether the name says that a distribution makes the configuration of this file.
pub fn is_of_template(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "tmpl")
}

/// Refuses an imported file in which somebody else has a handler of our names: containerd would merge it with ours.
///
/// # Errors
/// ZC1102.
pub fn is_free(file: &Path, text: &str) -> Result<(), ZcError> {
    // What does not parse is for containerd to say.
    let table: Table = strip(text).parse().unwrap_or_default();
    PLUGINS.iter().try_for_each(|plugin| has_none(file, &table, plugin))
}

/// Whether what containerd prints of its configuration has our handlers as they were written: another file could have changed
/// one, and without the annotations its pods would not be confined.
pub fn is_in(dump: &str, wanted: Wanted<'_>) -> bool {
    let Ok(table) = dump.parse::<Table>() else { return false };
    let as_written = |plugin| {
        let mut text = String::new();
        write_handlers(&mut text, plugin, wanted);
        let ours: Table = text.parse().unwrap_or_default();
        HANDLERS.iter().all(|name| {
            let (Some(ours), Some(there)) = (runtime(&ours, plugin, name), runtime(&table, plugin, name)) else {
                return false;
            };
            let from_image = there.get("container_annotations").and_then(toml::Value::as_array);
            is_within(ours, there) && from_image.is_none_or(Vec::is_empty)
        })
    };
    PLUGINS.iter().any(|plugin| as_written(plugin))
}

/// Whether all that one table says, the other one says too.
fn is_within(one: &Table, other: &Table) -> bool {
    one.iter().all(|(key, value)| match (value, other.get(key)) {
        (toml::Value::Table(one), Some(toml::Value::Table(other))) => is_within(one, other),
        // An option that says nothing is left out of containerd's words.
        (toml::Value::Table(one), None) => one.is_empty(),
        (value, there) => there == Some(value),
    })
}

/// Whether a distribution makes the configuration of this file.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

const PLUGIN_2: &str = "io.containerd.grpc.v1.cri";
const PLUGIN_3: &str = "io.containerd.cri.v1.runtime";
/// The plugin that has the runtimes, by versions of the configuration.
pub const PLUGINS: [&str; 2] = [PLUGIN_3, PLUGIN_2];

fn plugin(file: &Path, text: &str) -> Result<&'static str, ZcError> {
    if is_template(text) {
        if !text.contains(BASE_TEMPLATE) && !text.contains("version = ") {
            return Err(unusable(file, "is a template that does not say which configuration it becomes"));
        }
        let third = file.to_string_lossy().contains("-v3") || text.contains("version = 3");
        return Ok(if third { PLUGIN_3 } else { PLUGIN_2 });
    }
    let table = parse(file, text)?;
    let plugin = match version(&table) {
        Some(2) => PLUGIN_2,
        Some(3 | 4) => PLUGIN_3,
        Some(other) => return Err(unusable(file, &format!("has version {other}; zerocap knows 2, 3 and 4"))),
        // An empty file is the default configuration.
        None if table.is_empty() => {
            return Err(unusable(file, "has no version; begin it with `version = 3` (2 for containerd 1.7)"));
        }
        None => {
            return Err(unusable(
                file,
                "has no version, which means version 1; `containerd config migrate` makes a newer one",
            ));
        }
    };
    has_none(file, &table, plugin)?;
    Ok(plugin)
}

/// Refuses a configuration with a handler of our names.
fn has_none(file: &Path, table: &Table, plugin: &str) -> Result<(), ZcError> {
    let Some((name, handler)) = HANDLERS.iter().find_map(|name| Some((name, runtime(table, plugin, name)?))) else {
        return Ok(());
    };
    let kind = handler.get("runtime_type").map_or_else(|| "no runtime_type".to_owned(), ToString::to_string);
    Err(ZcError::new(
        code::install::HANDLER_TAKEN,
        format!("{} already has the runtime {name} with {kind}, not by `zerocap install`", file.display()),
        "remove or rename that runtime, then install again",
    ))
}

fn version(table: &Table) -> Option<i64> {
    table.get("version").and_then(toml::Value::as_integer)
}

fn runtime<'t>(table: &'t Table, plugin: &str, name: &str) -> Option<&'t Table> {
    let runtimes = ["plugins", plugin, "containerd", "runtimes", name];
    runtimes.iter().try_fold(table, |table, key| table.get(*key)?.as_table())
}

fn parse(file: &Path, text: &str) -> Result<Table, ZcError> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        unusable(file, &format!("line {line}: {}", error.message()))
    })
}

fn unusable(file: &Path, what: &str) -> ZcError {
    ZcError::new(
        code::install::CONFIG_UNUSABLE,
        format!("{} {what}", file.display()),
        "correct the file, or name another one with --config",
    )
}

fn write_handlers(out: &mut String, plugin: &str, wanted: Wanted<'_>) {
    let shim = toml::Value::from(wanted.shim.display().to_string());
    for name in HANDLERS {
        let platform = name == "zerocap-platform";
        let kind = if platform { TYPE_WITH_FLOOR } else { TYPE_WITH_FEATURES };
        let _ = write!(
            out,
            "[plugins.'{plugin}'.containerd.runtimes.{name}]\n\
             \x20 runtime_type = \"{kind}\"\n\
             \x20 runtime_path = {shim}\n\
             \x20 # `*` does not cross `/`: three patterns. Never container_annotations, which an image could set.\n\
             \x20 pod_annotations = [\"network-enforcement\", \"zerocap.io/*\", \"*.zerocap.io/*\"]\n\
             \x20 [plugins.'{plugin}'.containerd.runtimes.{name}.options]\n",
        );
        match (platform, binary(wanted)) {
            (true, _) => {
                let engine = toml::Value::from(wanted.engine);
                let _ = write!(out, "    floor = \"platform\"\n    engine = {engine}\n");
            }
            (false, Some(binary)) => {
                let _ = writeln!(out, "    BinaryName = {}", toml::Value::from(binary));
            }
            // Without a name the shim takes the first engine that is installed.
            (false, None) => {}
        }
        if let Some(value) = wanted.driver.value() {
            let _ = writeln!(out, "    SystemdCgroup = {value}");
        }
    }
}

/// The engine as runc's options name it.
fn binary(wanted: Wanted<'_>) -> Option<String> {
    match wanted.engine {
        "auto" => None,
        "embedded" => Some(wanted.shim.with_file_name("zerocap-engine").display().to_string()),
        path => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIM: &str = "/opt/zerocap/1/containerd-shim-zerocap-v2";

    fn wanted() -> Wanted<'static> {
        Wanted { shim: Path::new(SHIM), engine: "auto", driver: Driver::Cgroupfs }
    }

    fn appended(text: &str) -> Result<String, ZcError> {
        append(Path::new("config.toml"), Some(text), wanted())
    }

    #[test]
    fn taken_out_without_a_trace() {
        for text in [
            "version = 3",
            "version = 3\n",
            "version = 2\n# a comment\n[plugins.'io.containerd.grpc.v1.cri']\n  sandbox_image = 'x' # why\n",
            "version = 3\n\n\n[plugins]\n\n",
            "# no end\nversion = 3\n[a]\nb = 1",
            "{{ template \"base\" . }}",
            "{{ template \"base\" . }}\n\n[x]\n",
        ] {
            let with = appended(text).unwrap();
            assert_ne!(with, text);
            assert_eq!(without(&with).as_deref(), Some(text));
            // Installing again changes nothing; what an administrator adds behind the block stays.
            assert_eq!(appended(&with).unwrap(), with);
            assert_eq!(strip(&format!("{with}[later]\n")), format!("{text}[later]\n"));
        }
    }

    #[test]
    fn every_version_gets_its_plugin() {
        for (version, plugin) in [(2, PLUGIN_2), (3, PLUGIN_3), (4, PLUGIN_3)] {
            let with = appended(&format!("version = {version}\n[plugins.'{plugin}'.containerd]\nx = 1\n")).unwrap();
            assert!(is_in(&with, wanted()), "{with}");
            assert!(!is_in(&with, Wanted { shim: Path::new("/elsewhere"), ..wanted() }), "{with}");
        }
        assert!(!is_in("version = 3\n", wanted()));
    }

    #[test]
    fn both_handlers_have_the_driver_of_the_node() {
        let with =
            |driver| append(Path::new("config.toml"), Some("version = 3\n"), Wanted { driver, ..wanted() }).unwrap();
        assert_eq!(with(Driver::Systemd).matches("    SystemdCgroup = true\n").count(), 2);
        assert!(!with(Driver::Cgroupfs).contains("SystemdCgroup"));
        let template =
            append(Path::new("config-v3.toml.tmpl"), None, Wanted { driver: Driver::OfTemplate, ..wanted() });
        assert_eq!(template.unwrap().matches("    SystemdCgroup = {{ .SystemdCgroup }}\n").count(), 2);
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        for (text, code) in [
            ("version = 3\n[plugins\n", "ZC1101"),
            ("version = 1\n", "ZC1101"),
            ("version = 5\n", "ZC1101"),
            ("[plugins.cri]\n", "ZC1101"),
            ("", "ZC1101"),
            ("version = 3\nplugins = 4\n", "ZC1101"),
            ("version = 3\nplugins.'io.containerd.cri.v1.runtime'.containerd.runtimes = { runc = {} }\n", "ZC1101"),
            ("{{ if .X }}\n", "ZC1101"),
            (
                "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.zerocap]\nruntime_type = 'x'\n",
                "ZC1102",
            ),
        ] {
            assert_eq!(appended(text).map_err(|e| e.code.as_str()), Err(code), "{text}");
        }
    }

    #[test]
    fn folders_that_are_imported_and_merged() {
        let file = Path::new("/etc/containerd/config.toml");
        let folder = |text: &str| import_folder(file, text).map(|folder| folder.display().to_string());
        assert_eq!(
            folder("version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n").as_deref(),
            Some("/etc/containerd/conf.d")
        );
        assert_eq!(folder("version = 3\nimports = ['conf.d/*.toml']\n").as_deref(), Some("/etc/containerd/conf.d"));
        assert!(folder("version = 4\nimports = ['/etc/containerd/conf.d/*.toml']\n").is_some());
        assert_eq!(folder("version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n"), None);
        assert_eq!(folder("version = 3\nimports = ['/etc/one.toml']\n"), None);
        assert_eq!(folder("version = 3\nimports = ['${SNAP_DATA}/conf.d/*.toml']\n"), None);
        assert_eq!(folder("version = 3\nimports = ['/etc/*/*.toml', '/etc/b/*.toml']\n").as_deref(), Some("/etc/b"));
        // k3s fills in the template, and not what it imports.
        assert_eq!(import_folder(Path::new("config-v3.toml.tmpl"), "version = 3\nimports = ['/etc/b/*.toml']\n"), None);
    }
}
