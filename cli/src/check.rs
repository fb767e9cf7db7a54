//! `zerocap check`: what this kernel can enforce, and what is missing.

use crate::out::outln;
use std::process::ExitCode;

use serde_json::json;
use zerocap_annotations::report::State;
use zerocap_annotations::{Confinement, Floor, Host, PodPolicy, Report, Target, ZcError, confine};
use zerocap_node::Abilities;
use zerocap_node::kernel::Cgroup;

use crate::args::{Check, CheckOutput};
use crate::failure::{Failure, NO};
use crate::rights::{Kind, missing};
use crate::table::{or_dash, print, table};
use crate::{explain, status, this_host, words};

/// One ability of the kernel.
struct Ability {
    name: &'static str,
    /// Found by trying.
    works: bool,
    /// What was found, or what is missing.
    detail: String,
    /// What it is good for, or since when it exists.
    purpose: &'static str,
}

/// Tries the kernel, and shows what platform mode would have of it.
pub fn run(arguments: &Check) -> Result<ExitCode, Failure> {
    let found = this_host::abilities()?;
    let host = this_host::host(&arguments.engine)?;
    let outlook = Outlook::of(&host);
    match arguments.output {
        CheckOutput::Host => outln!("{:#}", json!(host)),
        CheckOutput::Json => {
            let refusal =
                outlook.refusal.as_ref().map(|e| json!({ "code": e.code, "message": e.message, "hint": e.hint }));
            outln!(
                "{:#}",
                json!({ "version": 1, "abilities": found, "platform-mode": { "refusal": refusal, "report": outlook.report } })
            );
        }
        CheckOutput::Table => show(&found, &outlook),
    }
    Ok(match outlook.refusal {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(NO),
    })
}

/// What an ordinary restricted pod in platform mode would get here.
struct Outlook {
    /// Why it would not start; `None` if it would.
    refusal: Option<ZcError>,
    /// The promises, also those that are not kept.
    report: Option<Report>,
}

impl Outlook {
    fn of(host: &Host) -> Self {
        let refusal = decide(host, &[]).err();
        // An explicit list demands these only; everything else is merely reported. Files are a promise only if asked for.
        let demands = [("zerocap.io/require", "descriptors"), ("zerocap.io/filesystem", "read-only")];
        let report = decide(host, &demands).ok().map(|c| c.report);
        Self { refusal, report }
    }
}

fn decide(host: &Host, annotations: &[(&str, &str)]) -> Result<Confinement, ZcError> {
    let mut spec = explain::sample();
    spec["annotations"]["network-enforcement"] = json!("platform");
    for (key, value) in annotations {
        spec["annotations"][*key] = json!(value);
    }
    let pod = PodPolicy::from_sandbox(&spec, &Floor::none())?;
    confine(&spec, Target::Init, &pod.container_of(&spec)?, host)
}

fn show(found: &Abilities, outlook: &Outlook) {
    outln!("kernel      {} ({})", found.kernel, found.machine);
    let mut rows = table(&["ability", "works", "found", "for"]);
    for ability in abilities(found) {
        let word = if ability.works { "yes" } else { "NO" };
        rows.add_row([ability.name.to_owned(), word.to_owned(), or_dash(&ability.detail), ability.purpose.to_owned()]);
    }
    print("Tried on this kernel", &rows);
    if let Some(report) = &outlook.report {
        status::promise_table(report);
    }
    match &outlook.refusal {
        None => outln!("\nA restricted pod with network-enforcement: platform starts here.{}", shortfall(outlook)),
        Some(error) => outln!("\nA restricted pod with network-enforcement: platform is REFUSED here.\n{error}"),
    }
}

/// The promises that are less than kept, in a sentence.
fn shortfall(outlook: &Outlook) -> String {
    let partly: Vec<_> = outlook
        .report
        .iter()
        .flat_map(|r| &r.promises)
        .filter(|p| matches!(p.state, State::Partly | State::NotKept))
        .map(|p| format!("{} ({})", p.promise, words::state(p.state)))
        .collect();
    if partly.is_empty() { String::new() } else { format!(" Less than kept: {}.", partly.join(", ")) }
}

fn abilities(found: &Abilities) -> Vec<Ability> {
    let landlock = &found.landlock;
    vec![
        Ability {
            name: "Landlock",
            works: landlock.abi > 0,
            detail: claims(found),
            purpose: "promises files, egress, inbound, neighbours; Linux 5.13, lsm=landlock",
        },
        Ability {
            name: "Landlock files",
            works: landlock.keeps_files(),
            detail: lacking(&missing(Kind::Fs, landlock.fs | RESOLVE_UNIX)),
            purpose: "promise files; truncate Linux 6.2, ioctl_dev 6.10",
        },
        Ability {
            name: "Landlock TCP",
            works: landlock.keeps_tcp(),
            detail: lacking(&missing(Kind::Net, landlock.net)),
            purpose: "promises egress and inbound; Linux 6.7",
        },
        Ability {
            name: "Landlock scopes",
            works: landlock.keeps_scopes(),
            detail: lacking(&missing(Kind::Scope, landlock.scoped)),
            purpose: "promise neighbours; Linux 6.12",
        },
        Ability {
            name: "Landlock unix",
            works: landlock.keeps_unix(),
            detail: lacking(&missing(Kind::Fs, landlock.fs | !RESOLVE_UNIX)),
            purpose: "promise neighbours, for sockets on shared volumes; Linux 7.1",
        },
        Ability {
            name: "seccomp filters",
            works: found.seccomp.filter,
            detail: String::new(),
            purpose: "promises privileges, protocols, inbound; every start",
        },
        Ability {
            name: "seccomp listener",
            works: found.seccomp.listener,
            detail: listener(found),
            purpose: "not used by this version",
        },
        Ability {
            name: "packet fence",
            works: found.packet_fence.works,
            detail: packet_fence(found),
            purpose: "promises egress, inbound, protocols; every start in platform mode; Linux 5.18",
        },
    ]
}

/// `LANDLOCK_ACCESS_FS_RESOLVE_UNIX`.
const RESOLVE_UNIX: u64 = 1 << 16;

fn claims(found: &Abilities) -> String {
    let landlock = &found.landlock;
    let mut text = format!("ABI {}", landlock.abi);
    if !landlock.broken.is_empty() {
        text.push_str(&format!("; claimed but NOT kept: {}", landlock.broken.join(", ")));
    }
    if !landlock.untried.is_empty() {
        text.push_str(&format!("; could not be tried here: {}", landlock.untried.join(", ")));
    }
    text
}

fn lacking(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("lacks {}", names.join(", ")) }
}

fn listener(found: &Abilities) -> String {
    let flags = [(found.seccomp.wait_killable, "wait_killable"), (found.seccomp.sync_wake_up, "sync_wake_up")];
    let lacks: Vec<_> = flags.iter().filter(|(works, _)| !works).map(|(_, name)| (*name).to_owned()).collect();
    lacking(&lacks)
}

fn packet_fence(found: &Abilities) -> String {
    match found.packet_fence.missing.as_str() {
        "" => cgroup(found.cgroup).to_owned(),
        missing => format!("{}; {missing}", cgroup(found.cgroup)),
    }
}

const fn cgroup(cgroup: Cgroup) -> &'static str {
    match cgroup {
        Cgroup::V2 => "cgroup v2",
        Cgroup::Hybrid => "cgroup v1 with v2 beside it",
        Cgroup::V1 => "cgroup v1 only",
        Cgroup::None => "no cgroup mounted",
    }
}
