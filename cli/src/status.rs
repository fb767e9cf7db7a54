//! `zerocap status`: what is enforced for the containers of this node.

use crate::out::outln;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use zerocap_annotations::report::State;
use zerocap_annotations::{Report, Verdict, ZcError, code, quote};
use zerocap_node::NodeError;
use zerocap_node::state::{Document, Entry, Store};

use crate::args::{Output, Status};
use crate::failure::{Failure, NO};
use crate::table::{clean, or_dash, print, table};
use crate::words;

/// As much of an id as `crictl` shows.
pub const SHORT: usize = 13;

/// A container with what is known of it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Known {
    namespace: String,
    id: String,
    verdict: Verdict,
    report: Option<Report>,
}

/// Lists the node's containers, or shows one.
pub fn run(arguments: &Status) -> Result<ExitCode, Failure> {
    let store = Store::of_node();
    match &arguments.id {
        None => list(&store, arguments.output),
        Some(id) => one(&store, id, arguments.output),
    }
}

fn list(store: &Store, output: Output) -> Result<ExitCode, Failure> {
    let known =
        store.list().map_err(from_node)?.into_iter().map(|entry| known(store, entry)).collect::<Result<Vec<_>, _>>()?;
    match output {
        Output::Json => outln!("{:#}", json!(known)),
        Output::Table => list_table(&known),
    }
    Ok(ExitCode::SUCCESS)
}

fn list_table(known: &[Known]) {
    let mut rows = table(&["namespace", "id", "container", "process", "state", "promises"]);
    for container in known {
        let report = container.report.as_ref();
        rows.add_row([
            container.namespace.clone(),
            container.id.chars().take(SHORT).collect(),
            report.map_or_else(|| "-".to_owned(), |r| or_dash(&r.container)),
            report.map_or("-", |r| words::target(r.target)).to_owned(),
            container.verdict.word().to_owned(),
            report.map_or_else(|| "-".to_owned(), summary),
        ]);
    }
    if known.is_empty() {
        outln!("zerocap has started no container on this node.");
    } else {
        print("", &rows);
    }
    outln!("\nA container that is not listed was not started by zerocap and is NOT confined.");
}

/// "6 kept, 1 partly", of those that are asked for.
fn summary(report: &Report) -> String {
    let count = |state| report.promises.iter().filter(|p| p.state == state).count();
    [State::Kept, State::Partly, State::NotKept]
        .into_iter()
        .map(|state| (count(state), words::state(state)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The one container whose id begins so.
pub fn entry(store: &Store, id: &str) -> Result<Entry, Failure> {
    let mut found = store.find(id).map_err(from_node)?;
    let Some(entry) = found.pop() else {
        return Err(Failure::refused(unknown(id)));
    };
    if let Some(other) = found.pop() {
        let message =
            format!("{} may be {}/{} or {}/{}", quote(id), other.namespace, other.id, entry.namespace, entry.id);
        let error = ZcError::new(code::node::NO_SUCH_CONTAINER, message, "write more of the id");
        return Err(Failure::bad_input(error));
    }
    Ok(entry)
}

fn one(store: &Store, id: &str, output: Output) -> Result<ExitCode, Failure> {
    let container = known(store, entry(store, id)?)?;
    match output {
        Output::Json => outln!("{:#}", json!(container)),
        Output::Table => one_table(&container),
    }
    Ok(match container.verdict {
        Verdict::Confined => ExitCode::SUCCESS,
        Verdict::Audited | Verdict::NotVerified | Verdict::NotConfined => ExitCode::from(NO),
    })
}

fn one_table(container: &Known) {
    outln!("id          {}", container.id);
    outln!("namespace   {}", container.namespace);
    outln!("state       {}", container.verdict.word());
    let Some(report) = &container.report else {
        outln!("\nThere is no report: create did not finish, or the container is not one of a pod.");
        return;
    };
    outln!("container   {}", or_dash(&report.container));
    outln!("process     {}", words::target(report.target));
    outln!("engine      {}", clean(&report.engine));
    outln!("kernel      {}", clean(&report.kernel));
    if !report.active {
        outln!("\nNothing is enforced: no annotation that reached zerocap and no floor asks for it.");
        outln!("If the pod has annotations, look at pod_annotations of its handler in containerd's configuration.");
        return;
    }
    policy_table(report);
    promise_table(report);
    verified_table(report);
    notes(report);
}

/// Every knob that has a value, and who gave it.
pub fn policy_table(report: &Report) {
    let mut rows = table(&["knob", "value", "from"]);
    for (knob, setting) in &report.policy {
        rows.add_row([knob.name().to_owned(), or_dash(&setting.value), clean(&words::source(&setting.source))]);
    }
    print("Policy", &rows);
}

/// Promise × fence.
pub fn promise_table(report: &Report) {
    let mut rows = table(&["promise", "state", "required", "kept by", "remark"]);
    for promise in &report.promises {
        let fences: Vec<_> = promise.fences.iter().filter(|f| f.applied).map(|f| words::fence(f.fence)).collect();
        rows.add_row([
            promise.promise.name().to_owned(),
            words::state(promise.state).to_owned(),
            words::level(promise.required).to_owned(),
            or_dash(&fences.join(", ")),
            or_dash(&promise.reason),
        ]);
    }
    print("Promises", &rows);
}

/// What the kernel showed while the process was parked.
pub fn verified_table(report: &Report) {
    if report.verified.is_empty() {
        return;
    }
    let mut rows = table(&["read from the kernel", "expected", "seen", ""]);
    for step in &report.verified {
        let word = if step.holds { "ok" } else { "MISMATCH" };
        rows.add_row([clean(&step.step), or_dash(&step.expected), or_dash(&step.seen), word.to_owned()]);
    }
    print("Verified while parked", &rows);
}

/// Later differences of the annotations, and what else a reader should know.
pub fn notes(report: &Report) {
    if !report.differences.is_empty() {
        let mut rows = table(&["knob", "at the pod's start", "now", "effect"]);
        for difference in &report.differences {
            rows.add_row([
                difference.knob.name().to_owned(),
                or_dash(difference.frozen.as_deref().unwrap_or_default()),
                or_dash(difference.now.as_deref().unwrap_or_default()),
                words::effect(difference.effect).to_owned(),
            ]);
        }
        print("Annotations that changed", &rows);
    }
    if !report.notes.is_empty() {
        outln!("\nNotes");
        for note in &report.notes {
            outln!("  {}", clean(note));
        }
    }
}

fn known(store: &Store, entry: Entry) -> Result<Known, Failure> {
    let report = report(store, &entry)?;
    Ok(Known { namespace: entry.namespace, id: entry.id, verdict: Verdict::of(report.as_ref()), report })
}

/// A container's report, if it has one.
pub fn report(store: &Store, entry: &Entry) -> Result<Option<Report>, Failure> {
    let dir = store.container(&entry.namespace, &entry.id).map_err(from_node)?;
    let report: Option<Report> = dir.read_json(Document::Report).map_err(from_node)?;
    if let Some(report) = &report
        && report.version != Report::VERSION
    {
        let message = format!(
            "the report of {} has version {}, this zerocap knows {}",
            entry.id,
            report.version,
            Report::VERSION
        );
        return Err(Failure::bad_input(ZcError::new(
            code::node::STATE_VERSION,
            message,
            "use the zerocap that wrote it",
        )));
    }
    Ok(report)
}

fn unknown(id: &str) -> ZcError {
    ZcError::new(
        code::node::NO_SUCH_CONTAINER,
        format!(
            "there is no report for {}: if that container runs, zerocap did not start it and it is NOT confined",
            quote(id)
        ),
        "look at the pod's runtimeClassName, and at `zerocap status` for the containers that zerocap started",
    )
}

fn from_node(error: NodeError) -> Failure {
    Failure::bad_input(error)
}
