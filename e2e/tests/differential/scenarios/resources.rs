//! Limits, statistics, cgroups.

use containerd_shim_protos::cgroups::metrics::{MemoryEntry, Metrics};
use containerd_shim_protos::cgroups_v2::metrics::Metrics as MetricsV2;
use containerd_shim_protos::protobuf::reflect::ReflectFieldRef;
use containerd_shim_protos::protobuf::{Message, MessageDyn, MessageField};

use super::execs::end;
use super::{Outcome, scenarios};
use zerocap_e2e::task::Run;

scenarios! { "resources":
    both stats "every field of the statistics, before and after the start";
    both stats_after "statistics after the end, and after the delete";
    both update "new limits, as the kernel then has them";
    both update_created "new limits before the start";
    both update_refused "limits that the kernel refuses";
}

/// Names of all fields that are set, with those of the messages in them.
fn fields(message: &dyn MessageDyn, prefix: &str, into: &mut Vec<String>) {
    for field in message.descriptor_dyn().fields() {
        let name = format!("{prefix}{}", field.name());
        match field.get_reflect(message) {
            ReflectFieldRef::Optional(value) => {
                if let Some(value) = value.value() {
                    into.push(name.clone());
                    if let containerd_shim_protos::protobuf::reflect::ReflectValueRef::Message(inner) = value {
                        fields(&*inner, &format!("{name}."), into);
                    }
                }
            }
            ReflectFieldRef::Repeated(list) => {
                if !list.is_empty() {
                    into.push(format!("{name}[]"));
                }
            }
            ReflectFieldRef::Map(_) => {}
        }
    }
}

async fn note_stats(run: &Run, id: &str) {
    let Some(any) = run.stats(id).await else { return };
    run.note(&format!("stats {id} of type {}", any.type_url));
    let noted = if any.type_url.ends_with("io.containerd.cgroups.v1.Metrics") {
        Metrics::parse_from_bytes(&any.value).map(|metrics| note_v1(run, &metrics))
    } else {
        MetricsV2::parse_from_bytes(&any.value).map(|metrics| note_v2(run, &metrics))
    };
    if let Err(error) = noted {
        run.note(&format!("stats do not decode: {error}"));
    }
}

/// Notes which messages there are, and which fields that begin with one of `steady`: counters that are zero now and not a moment later would
/// make the trace depend on time.
fn note_fields(run: &Run, metrics: &dyn MessageDyn, steady: &[&str]) {
    let mut set = Vec::new();
    fields(metrics, "", &mut set);
    set.retain(|name| !name.contains('.') || steady.iter().any(|start| name.starts_with(start)));
    run.note(&format!("fields: {}", set.join(" ")));
}

fn note_v1(run: &Run, metrics: &Metrics) {
    note_fields(run, metrics, &["pids.", "memory.usage.limit", "memory.swap.limit", "hugetlb", "memory.kernel"]);
    run.note(&format!("pids {} memory {}", metrics.pids.limit, metrics.memory.usage.limit));
    run.note(&format!("some memory: {}, some time: {}", metrics.memory.usage.usage > 0, metrics.cpu.usage.total > 0));
    run.note(&format!(
        "memory limits {:?}",
        metrics.memory.as_ref().map(|memory| {
            let of = |entry: &MessageField<MemoryEntry>| entry.as_ref().map(|entry| entry.limit);
            (of(&memory.usage), of(&memory.swap), of(&memory.kernel), of(&memory.kernel_tcp))
        })
    ));
}

fn note_v2(run: &Run, metrics: &MetricsV2) {
    let memory = "memory.usage memory.swap_limit memory.workingset memory.psi";
    let steady: Vec<&str> =
        memory.split(' ').chain(["pids.", "cpu.psi", "io.psi", "cpu.nr_", "memory_events."]).collect();
    note_fields(run, metrics, &steady);
    let mut pages: Vec<_> = metrics.hugetlb.iter().map(|entry| (entry.pagesize.as_str(), entry.max)).collect();
    pages.sort_unstable();
    run.note(&format!("pids {:?} huge pages {pages:?}", (metrics.pids.current, metrics.pids.limit)));
    run.note(&format!("memory limits {:?}", (metrics.memory.usage_limit, metrics.memory.swap_limit)));
    run.note(&format!("some memory: {}, some time: {}", metrics.memory.usage > 0, metrics.cpu.usage_usec > 0));
    run.note(&format!("rdma {:?}", (metrics.rdma.current.len(), metrics.rdma.limit.len())));
}

async fn stats(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.start_process("c", "").await;
    note_stats(run, "c").await;
    end(run).await
}

async fn stats_after(run: &Run) -> Outcome {
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    note_stats(run, "c").await;
    run.delete("c", "").await;
    note_stats(run, "c").await;
    run.event("/tasks/delete", 1).await
}

/// What the kernel holds for the container: the same file has another name in version 2.
fn limits(run: &Run) {
    let group = run.groups.path("c");
    for file in ["memory/*/memory.limit_in_bytes", "pids/*/pids.max", "cpu/*/cpu.shares", "*/memory.max", "*/pids.max"]
    {
        let path = format!(
            "/sys/fs/cgroup/{}",
            file.replace("/*", &group).replace("*/", &format!("{}/", group.trim_start_matches('/')))
        );
        if let Ok(value) = std::fs::read_to_string(&path) {
            run.note(&format!("{file}: {}", value.trim()));
        }
    }
}

async fn update(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    limits(run);
    run.update("c", r#"{"memory":{"limit":33554432},"pids":{"limit":32},"cpu":{"shares":512}}"#).await;
    limits(run);
    note_stats(run, "c").await;
    end(run).await
}

async fn update_created(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.update("c", r#"{"memory":{"limit":33554432},"pids":{"limit":32}}"#).await;
    limits(run);
    run.start_process("c", "").await;
    end(run).await
}

async fn update_refused(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    // Less than a millisecond.
    run.update("c", r#"{"cpu":{"quota":1}}"#).await;
    limits(run);
    end(run).await
}
