//! Limits, statistics, cgroups.

use containerd_shim_protos::cgroups::metrics::Metrics;
use containerd_shim_protos::protobuf::reflect::ReflectFieldRef;
use containerd_shim_protos::protobuf::{Message, MessageDyn};

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
    if !any.type_url.ends_with("io.containerd.cgroups.v1.Metrics") {
        return;
    }
    match Metrics::parse_from_bytes(&any.value) {
        Ok(metrics) => {
            // Counters that are zero now and not a moment later would make the trace depend on time.
            let steady = ["pids.", "memory.usage.limit", "memory.swap.limit", "hugetlb", "memory.kernel"];
            let mut set = Vec::new();
            fields(&metrics, "", &mut set);
            let messages = set.iter().filter(|name| steady.iter().any(|s| name.starts_with(s)) || !name.contains('.'));
            run.note(&format!("fields: {}", messages.cloned().collect::<Vec<_>>().join(" ")));
            run.note(&format!("pids {} memory {}", metrics.pids.limit, metrics.memory.usage.limit));
            run.note(&format!(
                "some memory: {}, some time: {}",
                metrics.memory.usage.usage > 0,
                metrics.cpu.usage.total > 0
            ));
            run.note(&format!(
                "memory limits {:?}",
                metrics.memory.as_ref().map(|memory| {
                    let of = |entry: &containerd_shim_protos::protobuf::MessageField<
                        containerd_shim_protos::cgroups::metrics::MemoryEntry,
                    >| entry.as_ref().map(|entry| entry.limit);
                    (of(&memory.usage), of(&memory.swap), of(&memory.kernel), of(&memory.kernel_tcp))
                })
            ));
        }
        Err(error) => run.note(&format!("stats do not decode: {error}")),
    }
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
