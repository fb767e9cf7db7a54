//! The floor file as TOML, and its errors with line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Floor, MAX_FILE, NameNetworks, Pattern, Section};
use crate::code::{self, Code};
use crate::error::{ZcError, quote};
use crate::grammar::did_you_mean;
use crate::knob::{self, Knob, KnobValue, Mode, Settings, is_dns_label};

/// The version of the file that this zerocap knows.
const VERSION: i64 = 1;

type Table = BTreeMap<Spanned<String>, Spanned<Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    version: Spanned<i64>,
    #[serde(default)]
    defaults: Table,
    #[serde(default)]
    ceilings: Table,
    #[serde(default)]
    forbidden: Vec<Spanned<String>>,
    modes: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    policies: BTreeMap<Spanned<String>, Table>,
    #[serde(default)]
    names: FileNames,
    #[serde(default)]
    section: Vec<Spanned<FileSection>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileSection {
    namespaces: Vec<Spanned<String>>,
    #[serde(default)]
    defaults: Table,
    #[serde(default)]
    ceilings: Table,
    #[serde(default)]
    forbidden: Vec<Spanned<String>>,
    modes: Option<Vec<Spanned<String>>>,
    policies: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    names: FileNames,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct FileNames {
    never: Vec<Spanned<String>>,
    may: Vec<Spanned<String>>,
}

/// The text of the file, to turn byte offsets into lines and columns.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn place(&self, span: &Range<usize>) -> String {
        let before = self.0.get(..span.start).unwrap_or(self.0);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        format!("floor line {line}, column {column}")
    }

    fn error(&self, code: Code, span: &Range<usize>, what: &str, instead: impl Into<String>) -> ZcError {
        ZcError::new(code, format!("{}: {what}", self.place(span)), instead)
    }

    fn knob(&self, name: &Spanned<String>) -> Result<Knob, ZcError> {
        Knob::from_name(name.get_ref()).ok_or_else(|| {
            let near = did_you_mean(name.get_ref(), Knob::ALL.iter().map(|knob| knob.name()));
            self.error(
                code::floor::SHAPE,
                &name.span(),
                &format!("{} is no knob", quote(name.get_ref())),
                near.map_or_else(
                    || "see `zerocap explain` for the knobs".into(),
                    |near| format!("did you mean {near}?"),
                ),
            )
        })
    }

    fn settings(&self, part: &str, table: &Table) -> Result<Settings, ZcError> {
        let mut settings = Settings::default();
        for (name, value) in table {
            let knob = self.knob(name)?;
            let text = text_of(value.get_ref()).ok_or_else(|| {
                self.error(
                    code::floor::SHAPE,
                    &value.span(),
                    &format!("{part}.{knob} is neither a string nor a number nor a list of these"),
                    "write the value as in an annotation",
                )
            })?;
            settings.set(knob, &text).map_err(|malformed| {
                let what = format!("{part}.{knob} {}", malformed.what);
                self.error(code::floor::BAD_VALUE, &value.span(), &what, malformed.instead)
            })?;
            if !settings.enforced(knob) {
                return Err(self.error(
                    code::annotation::NOT_SUPPORTED,
                    &value.span(),
                    &format!("{part}.{knob} = {} is not supported by this version", quote(&text)),
                    "remove it",
                ));
            }
            if knob == Knob::Policy && part != "defaults" {
                return Err(self.error(
                    code::floor::CONTRADICTION,
                    &name.span(),
                    &format!("{part}.policy names a policy where none can be named"),
                    "write policy only among defaults",
                ));
            }
        }
        self.exclusive_files(part, &settings, table)?;
        Ok(settings)
    }

    /// The path lists stand instead of `filesystem`.
    fn exclusive_files(&self, part: &str, settings: &Settings, table: &Table) -> Result<(), ZcError> {
        let list = [Knob::FsRead, Knob::FsWrite, Knob::FsExecute].into_iter().find(|knob| settings.has(*knob));
        let name = table.keys().find(|name| name.get_ref() == Knob::Filesystem.name());
        match (list, name) {
            (Some(list), Some(name)) => Err(self.error(
                code::floor::CONTRADICTION,
                &name.span(),
                &format!("{part} has filesystem and {list}, which stands instead of it"),
                "keep one of the two",
            )),
            _ => Ok(()),
        }
    }

    fn forbidden(&self, names: &[Spanned<String>]) -> Result<BTreeSet<Knob>, ZcError> {
        names.iter().map(|name| self.knob(name)).collect()
    }

    fn modes(&self, names: Option<&Vec<Spanned<String>>>) -> Result<Option<BTreeSet<Mode>>, ZcError> {
        let Some(names) = names else { return Ok(None) };
        let mode = |name: &Spanned<String>| {
            Mode::parse(name.get_ref()).map_err(|malformed| {
                let what = format!("modes {}", malformed.what);
                self.error(code::floor::BAD_VALUE, &name.span(), &what, malformed.instead)
            })
        };
        names.iter().map(mode).collect::<Result<_, _>>().map(Some)
    }

    fn names(&self, names: &FileNames) -> Result<NameNetworks, ZcError> {
        let network = |text: &Spanned<String>| {
            knob::network(text.get_ref()).ok_or_else(|| {
                self.error(
                    code::floor::BAD_VALUE,
                    &text.span(),
                    &format!("names has {}, which is no network", quote(text.get_ref())),
                    "write ADDRESS or NETWORK/LENGTH, with zeros behind the length",
                )
            })
        };
        let all = |list: &[Spanned<String>]| list.iter().map(network).collect::<Result<_, _>>();
        Ok(NameNetworks { never: all(&names.never)?, may: all(&names.may)? })
    }

    fn patterns(&self, section: &Spanned<FileSection>) -> Result<Vec<Pattern>, ZcError> {
        let names = &section.get_ref().namespaces;
        if names.is_empty() {
            return Err(self.error(
                code::floor::BAD_PATTERN,
                &section.span(),
                "the section matches no namespace",
                "write namespaces = [\"NAME\", …]",
            ));
        }
        let pattern = |name: &Spanned<String>| {
            Pattern::parse(name.get_ref()).ok_or_else(|| {
                self.error(
                    code::floor::BAD_PATTERN,
                    &name.span(),
                    &format!("{} is no pattern for namespace names", quote(name.get_ref())),
                    "write lower-case letters, digits, dashes, * and ?",
                )
            })
        };
        names.iter().map(pattern).collect()
    }

    fn policies(&self, tables: &BTreeMap<Spanned<String>, Table>) -> Result<BTreeMap<String, Settings>, ZcError> {
        let mut policies = BTreeMap::new();
        for (name, table) in tables {
            if !is_dns_label(name.get_ref()) {
                return Err(self.error(
                    code::floor::BAD_VALUE,
                    &name.span(),
                    &format!("{} is no name for a policy", quote(name.get_ref())),
                    "write one name of lower-case letters, digits and dashes",
                ));
            }
            let settings = self.settings(&format!("policies.{}", name.get_ref()), table)?;
            policies.insert(name.get_ref().clone(), settings);
        }
        Ok(policies)
    }

    fn named(
        &self,
        names: Option<&Vec<Spanned<String>>>,
        policies: &BTreeMap<String, Settings>,
    ) -> Result<Option<BTreeSet<String>>, ZcError> {
        for name in names.into_iter().flatten() {
            if !policies.contains_key(name.get_ref()) {
                return Err(self.error(
                    code::floor::CONTRADICTION,
                    &name.span(),
                    &format!("there is no [policies.{}]", name.get_ref()),
                    "define it, or remove the name",
                ));
            }
        }
        Ok(names.map(|names| names.iter().map(|name| name.get_ref().clone()).collect()))
    }

    /// A default that is looser than a ceiling beside it would be refused in every pod.
    fn consistent(&self, table: &Table, defaults: &Settings, ceilings: &Settings) -> Result<(), ZcError> {
        for knob in ceilings.knobs().filter(|knob| defaults.has(*knob)) {
            let loose = defaults.compare(knob, ceilings).is_none_or(std::cmp::Ordering::is_lt);
            let span = table.iter().find(|(name, _)| name.get_ref() == knob.name()).map(|(_, value)| value.span());
            if let (true, Some(span)) = (loose, span) {
                return Err(self.error(
                    code::floor::CONTRADICTION,
                    &span,
                    &format!("defaults.{knob} is looser than ceilings.{knob}"),
                    "make the default at least as strict",
                ));
            }
        }
        Ok(())
    }
}

/// A knob's value as an annotation would write it.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(items) if !items.iter().any(Value::is_array) => {
            items.iter().map(text_of).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        _ => None,
    }
}

pub(super) fn parse(toml: &str) -> Result<Floor, ZcError> {
    if toml.len() > MAX_FILE {
        return Err(ZcError::new(
            code::floor::SHAPE,
            format!("the floor file has {} bytes", toml.len()),
            format!("write at most {MAX_FILE}"),
        ));
    }
    let text = Text(toml);
    let file: File = match toml::from_str(toml) {
        Ok(file) => file,
        Err(error) => return Err(toml_error(&text, &error)),
    };
    if *file.version.get_ref() != VERSION {
        return Err(text.error(
            code::floor::VERSION,
            &file.version.span(),
            &format!("version {} is not known", file.version.get_ref()),
            format!("write version = {VERSION}"),
        ));
    }
    let policies = text.policies(&file.policies)?;
    let base = Section {
        defaults: text.settings("defaults", &file.defaults)?,
        ceilings: text.settings("ceilings", &file.ceilings)?,
        forbidden: text.forbidden(&file.forbidden)?,
        modes: text.modes(file.modes.as_ref())?,
        policies: None,
        names: text.names(&file.names)?,
    };
    text.consistent(&file.defaults, &base.defaults, &base.ceilings)?;
    let mut sections = Vec::with_capacity(file.section.len());
    for section in &file.section {
        let patterns = text.patterns(section)?;
        let part = section.get_ref();
        let section = Section {
            defaults: text.settings("defaults", &part.defaults)?,
            ceilings: text.settings("ceilings", &part.ceilings)?,
            forbidden: text.forbidden(&part.forbidden)?,
            modes: text.modes(part.modes.as_ref())?,
            policies: text.named(part.policies.as_ref(), &policies)?,
            names: text.names(&part.names)?,
        };
        text.consistent(&part.defaults, &section.defaults, &section.ceilings)?;
        text.consistent(&part.defaults, &section.defaults, &base.ceilings)?;
        sections.push((patterns, section));
    }
    Ok(Floor { base, sections, policies, platform: false })
}

/// Tells a file that is no TOML from one that has the wrong keys.
fn toml_error(text: &Text<'_>, error: &toml::de::Error) -> ZcError {
    let span = error.span().unwrap_or(0..0);
    let what = error.message().trim();
    if text.0.parse::<toml::Table>().is_ok() {
        text.error(code::floor::SHAPE, &span, what, "correct the key or the type of its value")
    } else {
        text.error(code::floor::SYNTAX, &span, what, "correct the line")
    }
}
