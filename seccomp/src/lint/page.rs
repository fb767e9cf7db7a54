//! docs/lint.md, from the rules themselves.

use std::fmt::Write;

use super::rule::{Content, Sample};
use super::{RULES, human};

/// The page of all rules.
#[must_use]
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    for rule in RULES {
        let _ = writeln!(
            out,
            "| [{0}](#{1}) | `{2}` | {3} | {4} |",
            rule.id,
            anchor(rule.id, rule.slug),
            rule.slug,
            rule.severity.name(),
            rule.title
        );
    }
    for rule in RULES {
        let _ = write!(
            out,
            "\n## {} {}\n\n**{}** ({})\n\n{}\n\n**Instead:** {}\n\n",
            rule.id,
            rule.slug,
            rule.title,
            rule.severity.name(),
            rule.why,
            rule.advice
        );
        sample(&mut out, "Fires on", &rule.fires);
        sample(&mut out, "Silent on", &rule.silent);
        said(&mut out, rule);
    }
    out
}

fn anchor(id: &str, slug: &str) -> String {
    format!("{}-{slug}", id.to_lowercase())
}

fn sample(out: &mut String, what: &str, sample: &Sample) {
    let with = if sample.words.is_empty() { String::new() } else { format!(" (with `{}`)", sample.words) };
    match sample.content {
        Content::Text(text) => {
            let _ = write!(out, "{what}{with}:\n\n```json\n{text}\n```\n\n");
        }
        Content::Raw(insns) => {
            let _ = writeln!(out, "{what} a compiled filter of {} instructions{with}:\n\n```text", insns.len());
            for (index, insn) in insns.iter().enumerate().take(8) {
                let _ =
                    writeln!(out, "{index:3}: code {:#06x} jt {} jf {} k {:#x}", insn.code, insn.jt, insn.jf, insn.k);
            }
            if insns.len() > 8 {
                let _ = writeln!(out, "…");
            }
            out.push_str("```\n\n");
        }
    }
}

/// What the linter says of the example.
fn said(out: &mut String, rule: &super::Rule) {
    let mut options = super::Options { target: super::options::reference(), ..super::Options::default() };
    (rule.fires.options)(&mut options);
    let bytes = rule.fires.bytes();
    let Ok(mut report) = super::lint("profile.json", &bytes, &options) else { return };
    report.findings.retain(|finding| finding.rule.id == rule.id);
    // The worst one stands for all.
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    report.findings.truncate(1);
    report.fits.clear();
    let text = std::str::from_utf8(&bytes).ok().filter(|_| matches!(rule.fires.content, Content::Text(_)));
    let text = human(&report, text);
    let body = text.rsplit_once("\n\n").map_or(text.as_str(), |(body, _)| body);
    let _ = write!(out, "```text\n{}\n```\n", body.trim_end());
}

const HEAD: &str = "\
# What the linter looks for

`zerocap seccomp lint PROFILE` reads OCI JSON, a bundle's config.json, Docker's and Podman's format, a list in TOML, or a
compiled filter. It compiles the profile as the engine means it and asks the *compiled filter*: every call of every ABI,
with arguments on both sides of everything that the filter compares. Each finding says what was written, what the kernel
does, and what to write instead. This page is generated from the rules: `ZEROCAP_DOCS=write cargo test -p zerocap-seccomp
--test lint_docs` renews it.

Exit status: 0 nothing at or above `--fail-on` (`warning` unless given), 1 findings, 2 the file cannot be understood.
`--fix` corrects what needs no thought: it changes the file at once or not at all, and takes a change only if no call of any
ABI gets a laxer answer than before.

`--output json` prints one object for each profile:

| field | meaning |
|---|---|
| `schema` | 1; raised when a field changes its meaning or goes away |
| `file`, `form` | the name as given; `oci`, `config.json`, `docker`, `toml` or `compiled` |
| `errors`, `warnings`, `notes` | how many findings there are |
| `omitted` | how many more there are of rules that fire very often |
| `findings[].rule`, `.name`, `.title`, `.severity` | the rule as in the table below, and how bad it is here |
| `findings[].path`, `.line`, `.column` | the place in the document; line and column are null for a compiled filter |
| `findings[].written`, `.kernel`, `.instead` | what the author wrote, what the kernel does, what to write |
| `findings[].fixable` | can `--fix` put it right? |
| `presets[]` | presets against what the profile refuses by name, best first: `preset`, `prevented` and `left` (things \
that a program can do), `callsKept` of `callsOf` ordinary calls |

| rule | name | at worst | what is wrong |
|---|---|---|---|
";
