//! The same thing very often: a shim that has served thousands of execs, and a node that has seen hundreds of pods, are
//! as they were. Short here; 20 000 execs and 500 pods with `make soak`.

use std::fs;

use crate::faults::rounds;
use zerocap_e2e::task::{Run, Shim};

type Outcome = Result<(), String>;

/// Longer than the shim waits before it gives memory back, twice.
const SETTLED: std::time::Duration = std::time::Duration::from_millis(1200);

/// How often it is looked at: the allocator's rest goes with one of its next rounds.
const LOOKS: u32 = 6;

/// What may grow, and by how much it may differ between two looks.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// KiB that the shim alone has written: pages of its program count as private only while no other shim runs.
    memory: u64,
    descriptors: usize,
    threads: usize,
    children: usize,
    /// Mounts and cgroups of the run, files of the bundle.
    leftovers: usize,
}

impl Size {
    /// KiB by which the memory may differ: the allocator keeps some for the next request.
    const SLACK: u64 = 512;

    fn of(run: &Run) -> Self {
        let pid = run.shim_pid();
        let count = |path: String| fs::read_dir(path).map_or(0, Iterator::count);
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let private = rollup.lines().filter(|line| line.starts_with("Private_Dirty:"));
        let memory = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        Self {
            memory,
            descriptors: count(format!("/proc/{pid}/fd")),
            threads: count(format!("/proc/{pid}/task")),
            children: children.split_whitespace().count(),
            leftovers: run.left().len() + count(run.bundle_of("c").display().to_string()),
        }
    }

    fn grown_since(&self, before: &Self) -> bool {
        self.memory > before.memory + Self::SLACK
            || self.descriptors > before.descriptors
            || self.threads > before.threads
            || self.children > before.children
            || self.leftovers > before.leftovers
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(work)
}

/// The shim's size once it has settled: it gives memory back a moment after a call. Waits until it has not `grown`, or
/// for long enough.
async fn settled(run: &Run, before: Option<&Size>) -> Size {
    tokio::time::sleep(SETTLED).await;
    for _ in 0..LOOKS {
        let size = Size::of(run);
        if before.is_none_or(|before| !size.grown_since(before)) {
            return size;
        }
        tokio::time::sleep(SETTLED).await;
    }
    Size::of(run)
}

/// Execs in one container, one after the other.
pub fn execs(shim: Shim, engine: &'static str) -> Outcome {
    block_on(async {
        let run = Run::start(shim, engine).await?;
        run.create("c", &["sleep", "1000000"]).await?;
        run.start_process("c", "").await.ok_or("it does not start")?;
        let some = |count: usize| {
            let run = &run;
            async move {
                for number in 0..count {
                    let id = format!("e{number}");
                    run.exec_quietly("c", &id, &["true"]).await.map_err(|error| format!("exec {number}: {error}"))?;
                }
                Ok::<(), String>(())
            }
        };
        let many = rounds(100, 20_000);
        some(many / 10).await?;
        run.drop_events();
        let before = settled(&run, None).await;
        some(many).await?;
        run.drop_events();
        let after = settled(&run, Some(&before)).await;
        println!("{many} execs with {engine}, {shim:?}: {before:?} before, {after:?} after");
        run.kill("c", "", 9).await;
        run.wait("c", "").await;
        run.delete("c", "").await;
        run.finish().await?;
        if after.grown_since(&before) {
            Err(format!("grown: {before:?}, after {many} execs {after:?}"))
        } else {
            Ok(())
        }
    })
}

/// Pods, one after the other: each with a shim of its own, two containers and an exec. Nothing may stay of any.
pub fn pods(shim: Shim, engine: &'static str) -> Outcome {
    block_on(async {
        for number in 0..rounds(3, 500) {
            let run = Run::start(shim, engine).await?;
            let told = |error: &str| format!("pod {number}: {error}; {:?}", run.last());
            for id in ["c", "d"] {
                run.create(id, &["sleep", "1000"]).await?;
                run.start_process(id, "").await.ok_or_else(|| told("it does not start"))?;
            }
            run.exec_quietly("d", "e", &["true"]).await.map_err(|error| told(&error))?;
            for id in ["d", "c"] {
                run.kill(id, "", 9).await;
                run.wait(id, "").await;
                run.delete(id, "").await;
            }
            let lines = run.finish().await?;
            let left = lines.iter().filter(|line| line.starts_with("left:")).collect::<Vec<_>>();
            if !left.is_empty() {
                return Err(format!("pod {number}: {left:?}"));
            }
        }
        Ok(())
    })
}
