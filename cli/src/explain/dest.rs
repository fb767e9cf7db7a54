//! `zerocap explain --dest`: whether one destination may be reached, and by which entry.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;
use serde_json::json;
use zerocap_annotations::knob::{Destination, Knob, Peer, Transport};
use zerocap_annotations::report::State;
use zerocap_annotations::{By, Promise, Reach, one_destination, reach};

use super::Answer;
use crate::args::{Arguments, ExplainOutput};
use crate::failure::{Failure, NO};
use crate::out::outln;
use crate::table::clean;
use crate::words;

/// The exit status where addresses decide, which are not known before the program runs.
const AT_RUN_TIME: u8 = 3;

/// What is said.
struct Said {
    verdict: &'static str,
    by: Vec<String>,
    note: String,
    status: u8,
}

/// Prints the answer.
pub fn run(text: &str, answer: &Answer, output: ExplainOutput) -> Result<ExitCode, Failure> {
    let to = one_destination(text).map_err(Failure::bad_input)?;
    let said = say(&to, answer);
    let from = answer.policy.sources().get(&Knob::Egress).map(words::source);
    match output {
        ExplainOutput::Json => outln!(
            "{:#}",
            json!({ "version": 1, "destination": to.to_string(), "verdict": said.verdict, "by": said.by,
                    "egress-from": from, "note": said.note })
        ),
        ExplainOutput::Table => table(&to, &said, from.as_deref()),
        ExplainOutput::Diff | ExplainOutput::Spec => {
            let text = "--dest goes with --output table or json";
            Arguments::command().error(ErrorKind::ArgumentConflict, text).exit()
        }
    }
    Ok(ExitCode::from(said.status))
}

fn table(to: &Destination, said: &Said, from: Option<&str>) {
    outln!("destination  {}", clean(&to.to_string()));
    outln!("verdict      {}", said.verdict);
    for by in &said.by {
        outln!("by           {}", clean(by));
    }
    if let Some(from) = from {
        outln!("egress from  {}", clean(from));
    }
    if !said.note.is_empty() {
        outln!("note         {}", clean(&said.note));
    }
}

fn say(to: &Destination, answer: &Answer) -> Said {
    let report = &answer.confinement.report;
    let said = |verdict, by, note: &str, status| Said { verdict, by, note: note.to_owned(), status };
    if !answer.policy.platform() {
        let note = "network-enforcement is cluster: zerocap refuses no destination, a NetworkPolicy may";
        return said("not decided here", Vec::new(), note, 0);
    }
    if answer.confinement.packets.is_none() {
        return without_fence(to, answer);
    }
    let by = |ways: &[By]| ways.iter().map(|way| words_of(way, answer)).collect::<Vec<_>>();
    match reach(&answer.policy, to) {
        Reach::Allowed(way) => {
            let name = matches!(to.peer, Peer::Name(_));
            let note = "its addresses are resolved on the node while the container runs; those that no name may have are refused";
            said("allowed", by(&[way]), if name { note } else { "" }, 0)
        }
        Reach::AtRunTime(ways) => {
            let note = "egress does not have this name: its addresses decide";
            said("decided at run time", by(&ways), note, AT_RUN_TIME)
        }
        Reach::Refused if report.audits() => {
            let note = format!(
                "mode is audit: it is let through, counted and reported; to permit it, add {to} to zerocap.io/egress"
            );
            said("would be refused", Vec::new(), &note, NO)
        }
        Reach::Refused => said("refused", Vec::new(), &format!("to permit it, add {to} to zerocap.io/egress"), NO),
    }
}

/// Landlock alone: the proxy's port on any address, or nothing at all that refuses.
fn without_fence(to: &Destination, answer: &Answer) -> Said {
    let egress = answer.confinement.report.promises.iter().find(|row| row.promise == Promise::Egress);
    let note = egress.map_or_else(String::new, |row| row.reason.clone());
    let landlock = egress.is_some_and(|row| row.state == State::Partly);
    let proxy = to.transport == Transport::Tcp && to.ports.0 == answer.policy.proxy_port();
    let (verdict, status) = match (to.transport, landlock) {
        _ if proxy => ("allowed", 0),
        (Transport::Udp, _) | (_, true) => ("refused", NO),
        (Transport::Tcp, false) => ("allowed", 0),
    };
    Said { verdict, by: Vec::new(), note, status }
}

fn words_of(way: &By, answer: &Answer) -> String {
    match way {
        By::Proxy => format!("the proxy on loopback, proxy-port {}", answer.policy.proxy_port()),
        By::Own => format!("listen ({}), on loopback", answer.policy.listen()),
        By::Entry(entry) => format!("{entry} of egress"),
    }
}
