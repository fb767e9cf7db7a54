//! From TOML to [`Intent`].

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::error::{IntentError, place};
use super::node::{Fields, Node};
use super::rules::{self, Kind};
use super::{Intent, Line, MAX_TEXT, Place};
use crate::{Action, Arch, lookup, names};

pub(super) type Result<T> = std::result::Result<T, IntentError>;

/// The version of the schema.
const VERSION: u64 = 1;
const SECTIONS: [&str; 4] = ["allow", "deny", "refuse", "conditional"];
const TOP: &[&str] =
    &["version", "summary", "base", "knobs", "on", "answers", "allow", "deny", "refuse", "conditional", "arch"];

/// How many profiles may be built on one another.
const MAX_BASES: usize = 4;

pub(super) fn intent(text: &str, file: &str, bases: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<Intent> {
    if text.len() > MAX_TEXT {
        let problem = format!("the file has more than {} KiB", MAX_TEXT >> 10);
        return Err(IntentError::new("", 0..0, "", problem).hint("no list of system calls is that long"));
    }
    let document = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
    let top = Fields::top(text, document.get_ref(), TOP)?;
    let version = top.need("version", "begin the file with: version = 1")?;
    if version.integer() != Some(Ok(VERSION)) {
        return Err(version.wrong(format!("this version of zerocap reads {VERSION}")));
    }
    let base = top.get("base").map(|node| base(node, bases, depth)).transpose()?;
    let mut intent = head(&top, base)?;
    let mut sections = Sections { file, intent: &mut intent, decided: BTreeSet::new() };
    sections.read(&top, None)?;
    if let Some(arch) = top.get("arch") {
        for (name, node) in arch.fields()?.entries {
            let native = Arch::from_name(name).filter(|arch| Arch::NATIVE.contains(arch)).ok_or_else(|| {
                let names = Arch::NATIVE.map(Arch::name);
                node.wrong_key(format!("sections are for {}", names.join(" and "))).meant(name, names)
            })?;
            sections.read(&node.fields()?.only(&SECTIONS)?, Some(native))?;
        }
    }
    Ok(intent)
}

fn syntax(text: &str, error: &toml::de::Error) -> IntentError {
    let problem = error.message().lines().collect::<Vec<_>>().join(", ");
    match error.span() {
        Some(span) => IntentError::new(text, span, "", problem),
        None => {
            let (line, column) = place(text, text.len());
            IntentError { line, column, at: String::new(), problem, hint: String::new() }
        }
    }
}

fn base(node: &Node<'_>, bases: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<Intent> {
    let name = node.str()?;
    if depth >= MAX_BASES {
        return Err(node.wrong(format!("more than {MAX_BASES} profiles are built on one another")));
    }
    let text = bases(name).ok_or_else(|| node.wrong(format!("there is no profile {name}")))?;
    intent(&text, name, bases, depth + 1).map_err(|error| node.wrong(format!("{name}: {error}")))
}

/// Everything but the calls.
fn head(top: &Fields<'_>, base: Option<Intent>) -> Result<Intent> {
    let summary = top.get("summary").map_or(Ok(""), Node::str)?.to_owned();
    let strings = |key: &str| top.get(key).map_or(Ok(Vec::new()), Node::strings);
    let mut knobs: Vec<String> = strings("knobs")?.into_iter().map(str::to_owned).collect();
    if let Some(base) = &base {
        let inherited: Vec<String> = base.knobs.iter().filter(|knob| !knobs.contains(knob)).cloned().collect();
        knobs.extend(inherited);
    }
    let on = match top.get("on") {
        Some(node) => rules::knob_list(&knobs, node)?,
        None => base.as_ref().map_or_else(Vec::new, |base| base.on.clone()),
    };
    let answers = top.get("answers").map(Node::fields).transpose()?;
    let answers = answers.map(|answers| answers.only(&["known", "unknown", "foreign"])).transpose()?;
    let answer = |key: &str, inherited: Option<Action>| {
        let written = answers.as_ref().and_then(|answers| answers.get(key));
        match (written, inherited, &answers) {
            (Some(node), _, _) => rules::action(node),
            (None, Some(inherited), _) => Ok(inherited),
            (None, None, Some(answers)) => answers.need(key, "write an action, as \"EPERM\"").and_then(rules::action),
            (None, None, None) => top
                .need("answers", "build the list on a preset, as base = \"general\", or write [answers]")
                .and_then(rules::action),
        }
    };
    Ok(Intent {
        summary,
        on,
        known: answer("known", base.as_ref().map(|base| base.known))?,
        unknown: answer("unknown", base.as_ref().map(|base| base.unknown))?,
        foreign: answer("foreign", base.as_ref().map(|base| base.foreign))?,
        lines: base.as_ref().map_or_else(BTreeMap::new, |base| base.lines.clone()),
        own: base.map_or_else(BTreeMap::new, |base| base.own),
        knobs,
    })
}

/// Reads the sections that decide calls, for all architectures first and then for single ones.
struct Sections<'f, 'i> {
    file: &'f str,
    intent: &'i mut Intent,
    /// What this file has decided already.
    decided: BTreeSet<(Option<Arch>, &'static str)>,
}

impl Sections<'_, '_> {
    fn read(&mut self, fields: &Fields<'_>, arch: Option<Arch>) -> Result<()> {
        if let Some(allow) = fields.get("allow") {
            self.simple(allow, arch, Kind::Allow)?;
        }
        if let Some(refuse) = fields.get("refuse") {
            for (how, calls) in refuse.fields()?.entries {
                let action = rules::action_named(how, &calls.wrong_key(""))?;
                for (name, node) in calls.fields()?.entries {
                    let line = Line::always(action, rules::reason(&node)?, self.place(&node));
                    self.decide(arch, name, &node, line)?;
                }
            }
        }
        if let Some(conditional) = fields.get("conditional") {
            for (name, node) in conditional.fields()?.entries {
                let line = rules::conditional(&self.intent.knobs, name, &node, self.place(&node))?;
                self.decide(arch, name, &node, line)?;
            }
        }
        // Last, since what is denied is denied whatever stands above.
        fields.get("deny").map_or(Ok(()), |deny| self.simple(deny, arch, Kind::Deny))
    }

    /// `allow` and `deny`: a table of calls, or a mere list of names.
    fn simple(&mut self, section: &Node<'_>, arch: Option<Arch>, kind: Kind) -> Result<()> {
        if let Some(names) = section.elements() {
            for node in names {
                let name = node.str()?;
                let line = Line::always(kind.action(), String::new(), self.place(&node));
                self.put(arch, name, &node, line, kind)?;
            }
            return Ok(());
        }
        for (name, node) in section.fields()?.entries {
            let line = match node.as_str() {
                Some(_) => Line::always(kind.action(), rules::reason(&node)?, self.place(&node)),
                None => rules::simple(&self.intent.knobs, self.intent.known, name, &node, kind, self.place(&node))?,
            };
            self.put(arch, name, &node, line, kind)?;
        }
        Ok(())
    }

    fn put(&mut self, arch: Option<Arch>, name: &str, node: &Node<'_>, line: Line, kind: Kind) -> Result<()> {
        match kind {
            Kind::Allow => self.decide(arch, name, node, line),
            Kind::Deny => self.deny(arch, name, node, line),
        }
    }

    fn place(&self, node: &Node<'_>) -> Place {
        Place { file: self.file.to_owned(), line: node.line() }
    }

    /// The line decides its call, whatever a base says.
    fn decide(&mut self, arch: Option<Arch>, name: &str, node: &Node<'_>, line: Line) -> Result<()> {
        let call = call(arch, name, node)?;
        if !self.decided.insert((arch, call)) {
            return Err(node.wrong_key("this call is decided elsewhere in the file as well"));
        }
        match arch {
            Some(arch) => _ = self.intent.own.insert((arch, call), line),
            None => {
                // A base's lines for single architectures go too.
                self.intent.own.retain(|(_, other), _| *other != call);
                self.intent.lines.insert(call, line);
            }
        }
        Ok(())
    }

    /// Where the line's rules apply they decide; elsewhere everything stays as it is.
    fn deny(&mut self, arch: Option<Arch>, name: &str, node: &Node<'_>, line: Line) -> Result<()> {
        let call = call(arch, name, node)?;
        let known = self.intent.known;
        let before =
            |line: Option<&Line>| line.cloned().unwrap_or_else(|| Line::always(known, String::new(), Place::default()));
        match arch {
            Some(arch) => {
                let kept = before(self.intent.own.get(&(arch, call)).or(self.intent.lines.get(call)));
                self.intent.own.insert((arch, call), line.over(kept, node)?);
            }
            None => {
                for arch in Arch::NATIVE {
                    if let Some(kept) = self.intent.own.get_mut(&(arch, call)) {
                        *kept = line.clone().over(kept.clone(), node)?;
                    }
                }
                let kept = before(self.intent.lines.get(call));
                self.intent.lines.insert(call, line.over(kept, node)?);
            }
        }
        Ok(())
    }
}

fn call(arch: Option<Arch>, name: &str, node: &Node<'_>) -> Result<&'static str> {
    let call = lookup(name)
        .ok_or_else(|| node.wrong_key("no system call has this name").meant(name, names().map(|call| call.name())))?;
    match arch {
        Some(arch) if call.number(arch).is_none() => Err(node.wrong_key(format!("{} has no such call", arch.name()))),
        None if Arch::NATIVE.iter().all(|arch| call.number(*arch).is_none()) => {
            Err(node.wrong_key("neither x86_64 nor aarch64 has this call"))
        }
        _ => Ok(call.name()),
    }
}
