//! Correcting what needs no thought.

use super::input::{Form, Input};
use super::options::Options;
use super::subject::Subject;
use super::{BadInput, Report, report};
use crate::algebra::contains;
use crate::{Action, Profile};

/// A corrected profile.
#[derive(Debug)]
pub struct Fixed {
    /// The new text.
    pub text: String,
    /// What was corrected: the rule, and the place in the text as it was then.
    pub done: Vec<(&'static str, String)>,
    /// What the linter has to say of the new text.
    pub report: Report,
}

/// How many corrections are made at most; a real profile has a handful of faults.
const MAX_FIXES: usize = 200;

/// Correct a JSON profile. A change is taken only if afterwards no call of any ABI with any arguments gets a laxer answer
/// than before, and the finding that asked for it is gone.
///
/// # Errors
///
/// [`BadInput`] if the profile cannot be understood, or is not JSON.
pub fn fix(name: &str, bytes: &[u8], options: &Options) -> Result<Fixed, BadInput> {
    let mut input = Input::read(bytes)?;
    if matches!(input.form(), Form::Toml | Form::Compiled) {
        return Err(BadInput::new("only JSON profiles can be corrected", "leave --fix out"));
    }
    let (mut done, mut refused) = (Vec::new(), Vec::<String>::new());
    while done.len() < MAX_FIXES {
        let Input::Json { source, .. } = &input else { break };
        let subject = Subject::new(&input, options)?;
        let now = report(name, &input, &subject);
        let next = now.findings.iter().find_map(|finding| {
            let edit = finding.edit.as_ref()?;
            let text = edit.apply(source.text());
            if refused.contains(&text) || text == source.text() {
                return None;
            }
            Some((finding, text))
        });
        let Some((finding, text)) = next else {
            return Ok(Fixed { text: source.text().to_owned(), done, report: now });
        };
        let changed = Input::read(text.as_bytes()).ok().filter(|changed| {
            let Ok(after) = Subject::new(changed, options) else { return false };
            let same = |other: &super::Finding| {
                other.rule.id == finding.rule.id && other.at == finding.at && other.wrote == finding.wrote
            };
            no_laxer(&subject, &after) && !report(name, changed, &after).findings.iter().any(same)
        });
        match changed {
            Some(changed) => {
                done.push((finding.rule.id, finding.at.clone()));
                input = changed;
            }
            None => refused.push(text),
        }
    }
    let Input::Json { source, .. } = &input else { return Err(BadInput::new("not JSON", "give a JSON profile")) };
    let report = report(name, &input, &Subject::new(&input, options)?);
    Ok(Fixed { text: source.text().to_owned(), done, report })
}

/// Does the new profile give no call a laxer answer than the old one, under no ABI and with no arguments? A call that would
/// newly report success without being made counts as laxer too.
fn no_laxer(before: &Subject<'_>, after: &Subject<'_>) -> bool {
    let (Some(old), Some(new)) = (&before.profile, &after.profile) else { return false };
    let lies = |profile: &Profile| profile.any_action(|action| action == Action::Errno(0));
    contains(before.native(), old, new) == Ok(true) && (lies(old) || !lies(new))
}
