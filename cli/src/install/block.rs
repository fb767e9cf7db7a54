//! Our block in a configuration: appended between two marker lines, and taken out again without a trace.
//!
//! Appending text, rather than editing the document, keeps every other byte (comments, order, a template's braces) and works
//! for configurations of versions 2 to 4, drop-ins and the templates of k3s alike. TOML lets a table be defined anywhere
//! but once; the result is parsed, and shown to containerd, before it replaces anything.

use std::fmt::Write as _;
use std::path::Path;

use toml::Table;
use zerocap_annotations::{ZcError, code};

use super::driver::Driver;

const BEGIN: &str = "# >>> zerocap: written by `zerocap install node`, removed by `zerocap uninstall node`";
const BEGIN_UNENDED: &str = "# >>> zerocap: written by `zerocap install node` after a line without an end";
const END: &str = "# <<< zerocap";

/// The handlers: annotations decide, or platform mode without any.
pub const HANDLERS: [&str; 2] = ["zerocap", "zerocap-platform"];
/// containerd asks a runtime of this type, and of no other, which features it has (2.1, `internal/cri`): only so are user
/// namespaces and recursive read-only mounts offered to pods. `runtime_path` makes it our shim.
const TYPE_WITH_FEATURES: &str = "io.containerd.runc.v2";
/// The type whose options can name a floor.
const TYPE_WITH_FLOOR: &str = "io.containerd.zerocap.v2";
/// How Kubernetes' name for a template tells itself from a configuration.
const BASE_TEMPLATE: &str = "{{ template \"base\" . }}";

/// What the handlers need to know.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub shim: &'a Path,
    pub engine: &'a str,
    pub driver: Driver,
}

/// A configuration without our block.
pub fn strip(text: &str) -> String {
    for (begin, ended) in [(BEGIN, true), (BEGIN_UNENDED, false)] {
        let Some(start) = text.find(begin) else { continue };
        let Some(length) = text[start..].find(END) else { continue };
        let after = start + length + END.len();
        let rest = text[after..].strip_prefix('\n').unwrap_or(&text[after..]);
        let mut before = &text[..start];
        if !ended {
            before = before.strip_suffix('\n').unwrap_or(before);
        }
        return format!("{before}{rest}");
    }
    text.to_owned()
}

/// The configuration with our block at its end, in place of an older one.
///
/// # Errors
/// ZC1101 or ZC1102: it does not parse, its version is unknown, a handler of that name is somebody else's.
pub fn append(file: &Path, text: &str, wanted: Wanted<'_>) -> Result<String, ZcError> {
    let bare = strip(text);
    let plugin = plugin(file, &bare)?;
    let ended = bare.is_empty() || bare.ends_with('\n');
    let mut out = bare;
    if !ended {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", if ended { BEGIN } else { BEGIN_UNENDED });
    write_handlers(&mut out, plugin, wanted);
    let _ = writeln!(out, "{END}");
    if !is_template(&out) {
        parse(file, &out)?;
    }
    Ok(out)
}

/// A configuration with the block of another one in place of its own.
pub fn with_block_of(text: &str, other: &str) -> String {
    let mut out = strip(text);
    let block = [BEGIN, BEGIN_UNENDED].into_iter().find_map(|begin| {
        let start = other.find(begin)? + begin.len();
        Some(&other[start..start + other[start..].find(END)?])
    });
    if let Some(block) = block {
        let ended = out.is_empty() || out.ends_with('\n');
        if !ended {
            out.push('\n');
        }
        let _ = writeln!(out, "{}{block}{END}", if ended { BEGIN } else { BEGIN_UNENDED });
    }
    out
}

/// A whole drop-in file.
pub fn drop_in(wanted: Wanted<'_>) -> String {
    let mut out = format!("{BEGIN}\nversion = 3\n");
    write_handlers(&mut out, PLUGIN_3, wanted);
    let _ = writeln!(out, "{END}");
    out
}

/// The folder that a configuration imports, if containerd merges what lies there (from version 3 on: before, an imported
/// plugin table replaced the whole of the former one).
pub fn import_folder(file: &Path, text: &str) -> Option<String> {
    let table: Table = strip(text).parse().ok()?;
    if version(&table).is_none_or(|version| version < 3) {
        return None;
    }
    let imports = table.get("imports")?.as_array()?;
    let folder = imports.iter().filter_map(|entry| entry.as_str()?.strip_suffix("/*.toml")).next()?;
    // Relative ones are relative to the file.
    Some(file.parent()?.join(folder).display().to_string())
}

/// Whether what containerd prints of its configuration has our handlers with that shim.
pub fn is_in(dump: &str, shim: &Path) -> bool {
    let Ok(table) = dump.parse::<Table>() else { return false };
    HANDLERS.iter().all(|name| {
        PLUGINS.iter().any(|plugin| {
            runtime(&table, plugin, name)
                .and_then(|handler| handler.get("runtime_path"))
                .and_then(toml::Value::as_str)
                .is_some_and(|path| Path::new(path) == shim)
        })
    })
}

/// Whether a distribution makes the configuration of this file.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// What a template is that does not exist yet: k3s then makes its own configuration, and ours after it.
pub fn new_template() -> String {
    format!("{BASE_TEMPLATE}\n")
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
    for name in HANDLERS {
        if let Some(handler) = runtime(&table, plugin, name) {
            let kind = handler.get("runtime_type").map_or_else(|| "no runtime_type".to_owned(), ToString::to_string);
            return Err(ZcError::new(
                code::install::HANDLER_TAKEN,
                format!("{} already has the runtime {name} with {kind}, not by `zerocap install`", file.display()),
                "remove or rename that runtime, then install again",
            ));
        }
    }
    Ok(plugin)
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
        append(Path::new("config.toml"), text, wanted())
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
            assert_eq!(strip(&with), text);
            // Installing again changes nothing; what an administrator adds behind the block stays.
            assert_eq!(appended(&with).unwrap(), with);
            assert_eq!(strip(&format!("{with}[later]\n")), format!("{text}[later]\n"));
        }
    }

    #[test]
    fn every_version_gets_its_plugin() {
        for (version, plugin) in [(2, PLUGIN_2), (3, PLUGIN_3), (4, PLUGIN_3)] {
            let with = appended(&format!("version = {version}\n[plugins.'{plugin}'.containerd]\nx = 1\n")).unwrap();
            assert!(is_in(&with, Path::new(SHIM)), "{with}");
            assert!(!is_in(&with, Path::new("/elsewhere")), "{with}");
        }
        assert!(!is_in("version = 3\n", Path::new(SHIM)));
    }

    #[test]
    fn both_handlers_have_the_driver_of_the_node() {
        let with = |driver| append(Path::new("config.toml"), "version = 3\n", Wanted { driver, ..wanted() }).unwrap();
        assert_eq!(with(Driver::Systemd).matches("    SystemdCgroup = true\n").count(), 2);
        assert!(!with(Driver::Cgroupfs).contains("SystemdCgroup"));
        let template = append(
            Path::new("config-v3.toml.tmpl"),
            &new_template(),
            Wanted { driver: Driver::OfTemplate, ..wanted() },
        );
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
        let folder = |text: &str| import_folder(file, text);
        assert_eq!(
            folder("version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n").as_deref(),
            Some("/etc/containerd/conf.d")
        );
        assert_eq!(folder("version = 3\nimports = ['conf.d/*.toml']\n").as_deref(), Some("/etc/containerd/conf.d"));
        assert!(folder("version = 4\nimports = ['/etc/containerd/conf.d/*.toml']\n").is_some());
        assert_eq!(folder("version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n"), None);
        assert_eq!(folder("version = 3\nimports = ['/etc/one.toml']\n"), None);
        assert!(drop_in(wanted()).parse::<Table>().is_ok());
    }
}
