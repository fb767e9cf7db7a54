//! The profile that is judged, from every side that a rule may look at it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::bad_input::BadInput;
use super::filter::Filter;
use super::input::{Form, Input};
use super::options::Options;
use super::written::{self, Written};
use crate::oci::source::{Place, Source, place};
use crate::oci::{self, Problem, docker};
use crate::written as written_list;
use crate::{Action, Arch, CompileError, Gate, Insn, Profile, Syscall, compile, lookup, names};

/// How many rules a profile may have, and names and conditions in them; those of container engines have below a hundred, a thousand
/// and a hundred.
const MAX_RULES: usize = 500;
const MAX_NAMES: usize = 10_000;
const MAX_CONDITIONS: usize = 1_000;

pub(super) struct Subject<'a> {
    pub(super) form: Form,
    pub(super) options: Options,
    /// The JSON text.
    pub(super) source: Option<&'a Source>,
    /// The path of the profile in it, with a dot at the end where there is one.
    pub(super) prefix: &'static str,
    /// The default action as written.
    pub(super) default: Option<Action>,
    /// The rules as written, also those that do not apply to the target.
    pub(super) rules: Vec<Written>,
    /// What the profile means; `None` for a compiled filter, and where no engine takes it.
    pub(super) profile: Option<Profile>,
    /// What the kernel gets; `None` where there is none.
    pub(super) filter: Option<Filter>,
    /// How many instructions the filter has or would have.
    pub(super) insns: Option<usize>,
    toml: Option<(&'a str, BTreeMap<String, Range<usize>>)>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(input: &'a Input, options: &Options) -> Result<Self, BadInput> {
        match input {
            Input::Json { form, source } => Self::json(*form, source, options),
            Input::Toml(text) => Self::toml(text, options),
            Input::Compiled(insns) => Self::compiled(insns, options),
        }
    }

    fn empty(form: Form, options: &Options) -> Self {
        Self {
            form,
            options: options.clone(),
            source: None,
            prefix: "",
            default: None,
            rules: Vec::new(),
            profile: None,
            filter: None,
            insns: None,
            toml: None,
        }
    }

    fn json(form: Form, source: &'a Source, options: &Options) -> Result<Self, BadInput> {
        let mut subject = Self { source: Some(source), ..Self::empty(form, options) };
        let mut document = source.value();
        if form == Form::Config {
            subject.prefix = "linux.seccomp.";
            subject.options.target.capabilities = bounding_set(document);
            document = document.pointer("/linux/seccomp").unwrap_or(&Value::Null);
        }
        let prefix = subject.prefix;
        let failed = |error: &oci::Error, at: String| BadInput::profile(error, &format!("{prefix}{at}"), source);
        let mut rules = written::rules(document, prefix);
        let names: usize = rules.iter().map(|rule| rule.names.len()).sum();
        let conditions: usize = rules.iter().map(|rule| rule.args.len()).sum();
        if rules.len() > MAX_RULES || names > MAX_NAMES || conditions > MAX_CONDITIONS {
            let problem = format!("{} rules with {names} names and {conditions} conditions", rules.len());
            let most = format!("{MAX_RULES} rules, {MAX_NAMES} names and {MAX_CONDITIONS} conditions");
            return Err(BadInput::new(problem, format!("a profile has at most {most} here")));
        }
        let (seccomp, kept) = if form == Form::Docker {
            let resolved =
                docker::resolve(document, &subject.options.target).map_err(|error| failed(&error, error.at.clone()))?;
            for (index, why) in resolved.dropped {
                if let Some(rule) = rules.iter_mut().find(|rule| rule.at == format!("{prefix}syscalls[{index}]")) {
                    rule.dropped = Some(why);
                }
            }
            (resolved.seccomp, Some(resolved.kept))
        } else {
            (document.clone(), None)
        };
        match oci::read(&seccomp) {
            Ok(profile) => subject.profile = Some(profile),
            // A rule of the linter has more to say to this.
            Err(error) if matches!(error.problem, Problem::Notify(_)) => {}
            Err(error) => return Err(failed(&error, original(&error.at, kept.as_deref()))),
        }
        let text = |key: &str| seccomp.get(key).and_then(Value::as_str);
        let errno = seccomp.get("defaultErrnoRet").and_then(Value::as_u64);
        subject.default = text("defaultAction").and_then(|word| written::action(word, errno));
        subject.rules = rules;
        subject.compile();
        Ok(subject)
    }

    fn toml(text: &'a str, options: &Options) -> Result<Self, BadInput> {
        let intent = written_list::read(text).map_err(|error| BadInput::intent(&error))?;
        let mut subject = Self { toml: Some((text, keys(text))), ..Self::empty(Form::Toml, options) };
        // As the command line compiles it: the knob `unix` is on unless somebody says otherwise.
        let on = intent.knobs.iter().map(String::as_str).filter(|knob| *knob == "unix").collect();
        subject.profile = Some(intent.profile(options.target.arch, &on));
        subject.compile();
        Ok(subject)
    }

    fn compiled(insns: &[Insn], options: &Options) -> Result<Self, BadInput> {
        let hint = "the kernel would not load it: give a seccomp filter";
        let filter = Filter::new(insns.to_vec()).map_err(|error| BadInput::new(error.to_string(), hint))?;
        Ok(Self { filter: Some(filter), insns: Some(insns.len()), ..Self::empty(Form::Compiled, options) })
    }

    fn compile(&mut self) {
        let Some(profile) = &self.profile else { return };
        match compile(profile, self.options.target.arch, Gate::None) {
            Ok(program) => {
                self.insns = Some(program.insns.len());
                self.filter = Filter::new(program.insns).ok();
            }
            Err(CompileError::TooLong(insns)) => self.insns = Some(insns),
            // The target is a native architecture, or the command line has refused it.
            Err(CompileError::NotNative(_)) => {}
        }
    }

    /// The native ABI.
    pub(super) fn native(&self) -> Arch {
        self.options.target.arch
    }

    /// Rules that apply to the target and are not the default action.
    pub(super) fn active(&self) -> impl Iterator<Item = &Written> {
        self.applying().filter(|rule| Some(rule.action) != self.default)
    }

    /// Rules that apply to the target.
    pub(super) fn applying(&self) -> impl Iterator<Item = &Written> {
        self.rules.iter().filter(|rule| rule.dropped.is_none())
    }

    /// What the filter answers to a call of the native ABI.
    pub(super) fn answer(&self, name: &str, args: [u64; 6]) -> Option<Action> {
        self.answer_on(self.native(), name, args)
    }

    /// What the filter answers to a call of an ABI.
    pub(super) fn answer_on(&self, abi: Arch, name: &str, args: [u64; 6]) -> Option<Action> {
        self.filter.as_ref()?.call(abi, lookup(name)?, args)
    }

    /// Every call of the native ABI.
    pub(super) fn calls(&self) -> impl Iterator<Item = (Syscall, u32)> {
        let native = self.native();
        names().filter_map(move |call| Some((call, call.number(native)?)))
    }

    /// Where a call is decided: the name in the last rule that has it, else the default action.
    pub(super) fn decided_at(&self, name: &str) -> String {
        if self.source.is_none() {
            return name.to_owned();
        }
        let rule = self.applying().filter(|rule| rule.names.iter().any(|known| known == name)).last();
        match rule {
            Some(rule) => {
                let index = rule.names.iter().position(|known| known == name).unwrap_or(0);
                format!("{}[{index}]", rule.names_at())
            }
            None => format!("{}defaultAction", self.prefix),
        }
    }

    /// The bytes that a path or a call's name stands for.
    pub(super) fn span(&self, at: &str) -> Range<usize> {
        match (self.source, &self.toml) {
            (Some(source), _) => source.span(at),
            // What a list does not name gets its answer for known calls.
            (None, Some((_, keys))) => keys.get(at).or_else(|| keys.get("known")).cloned().unwrap_or(0..0),
            (None, None) => 0..0,
        }
    }

    /// Line and column.
    pub(super) fn place(&self, span: &Range<usize>) -> Option<Place> {
        match (self.source, &self.toml) {
            (Some(source), _) => Some(source.place(span.start)),
            (None, Some((text, _))) => Some(place(text, span.start)),
            (None, None) => None,
        }
    }
}

/// The path in the input of a path in what Docker makes of it.
fn original(at: &str, kept: Option<&[usize]>) -> String {
    let moved = || {
        let (index, rest) = at.strip_prefix("syscalls[")?.split_once(']')?;
        let index: usize = index.parse().ok()?;
        Some(format!("syscalls[{}]{rest}", kept?.get(index)?))
    };
    moved().unwrap_or_else(|| at.to_owned())
}

fn bounding_set(config: &Value) -> std::collections::BTreeSet<String> {
    let list = config.pointer("/process/capabilities/bounding").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Where the calls of a list stand.
fn keys(text: &str) -> BTreeMap<String, Range<usize>> {
    let mut found = BTreeMap::new();
    if let Ok(table) = toml::de::DeTable::parse(text) {
        collect(table.get_ref(), 0, &mut found);
    }
    found
}

fn collect(table: &toml::de::DeTable<'_>, depth: usize, found: &mut BTreeMap<String, Range<usize>>) {
    const SECTIONS: usize = 3;
    for (key, value) in table {
        found.entry(key.get_ref().to_string()).or_insert_with(|| key.span());
        if let toml::de::DeValue::Table(inner) = value.get_ref()
            && depth < SECTIONS
        {
            collect(inner, depth + 1, found);
        }
    }
}
