//! Processes that end or hang in the middle of the hand-over: a failed start, soon, and never a forged success.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use zerocap_annotations::code::handover as code;
use zerocap_plan::record::Ready;
use zerocap_plan::{Filter, Insn, LaunchPlan};

use crate::rig::{Container, Engine, Process, bare, block_on, identity, waiting};

pub const TESTS: &[(&str, crate::Body)] = &[
    ("killed_while_parked", killed_while_parked),
    ("killed_between_go_and_execve", killed_between_go_and_execve),
    ("killed_by_seccomp_at_execve", killed_by_seccomp_at_execve),
    ("stopped_while_parked", stopped_while_parked),
    ("not_ready_in_time", not_ready_in_time),
    ("a_shim_that_gives_up_starts_nothing", a_shim_that_gives_up_starts_nothing),
];

async fn parked(engine: &Engine) -> (Container<'_>, [Process; 2], [Ready; 2]) {
    let container = Container::new(engine, &["echo", "ran"]);
    let mut init = container.start(&bare()).await;
    let init_ready = init.parked().await.unwrap();
    let mut exec = container.exec(&bare(), &["echo", "ran"]).await;
    let exec_ready = exec.parked().await.unwrap();
    (container, [exec, init], [exec_ready, init_ready])
}

async fn refused(process: Process, ready: &Ready) -> zerocap_annotations::ZcError {
    let Process { handover, child, output } = process;
    let deadline = Instant::now() + Duration::from_secs(3);
    let error = handover.go(child.pid, ready, identity(), deadline, child.death()).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(output).unwrap(), "", "{error}");
    error
}

fn killed_while_parked(engine: &Engine) {
    block_on(async {
        let (_container, processes, readies) = parked(engine).await;
        for (process, ready) in processes.into_iter().zip(readies) {
            process.child.signal(Signal::KILL);
            // Until its descriptors are closed GO is still taken; both are failures.
            let error = refused(process, &ready).await;
            assert!([code::GO_FAILED, code::DIED_AFTER_GO].contains(&error.code), "{error}");
            assert!(error.message.contains("killed by signal 9"), "{error}");
        }
    });
}

/// On the channel this looks like success.
fn killed_between_go_and_execve(engine: &Engine) {
    block_on(async {
        let (_container, processes, readies) = parked(engine).await;
        for (process, ready) in processes.into_iter().zip(readies) {
            let child = process.child.clone();
            child.signal(Signal::STOP);
            let kill = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                child.signal(Signal::KILL);
            };
            let (error, ()) = tokio::join!(refused(process, &ready), kill);
            assert_eq!(error.code, code::DIED_AFTER_GO, "{error}");
        }
    });
}

fn killed_by_seccomp_at_execve(engine: &Engine) {
    const LD_ABS: u16 = 0x20;
    const JEQ: u16 = 0x15;
    const RET: u16 = 0x06;
    let execve = if cfg!(target_arch = "aarch64") { 221 } else { 59 };
    let insn = |code, jf, k| Insn { code, jt: 0, jf, k };
    let insns = vec![insn(LD_ABS, 0, 0), insn(JEQ, 1, execve), insn(RET, 0, 0x8000_0000), insn(RET, 0, 0x7fff_0000)];
    let plan = LaunchPlan { filters: vec![Filter { insns, cookie: Vec::new(), spec_allow: true }], ..bare() };
    block_on(async {
        let container = waiting(engine).await;
        let mut exec = container.exec(&plan, &["echo", "ran"]).await;
        let ready = exec.parked().await.unwrap();
        let error = refused(exec, &ready).await;
        assert_eq!(error.code, code::DIED_AFTER_GO);
        assert!(error.message.contains("SIGSYS"), "{error}");
    });
}

fn stopped_while_parked(engine: &Engine) {
    block_on(async {
        let (_container, processes, readies) = parked(engine).await;
        for (process, ready) in processes.into_iter().zip(readies) {
            let child = process.child.clone();
            child.signal(Signal::STOP);
            let begin = Instant::now();
            let error = refused(process, &ready).await;
            assert_eq!(error.code, code::NOT_READY_IN_TIME, "{error}");
            assert!(begin.elapsed() < Duration::from_secs(20));
            // The handover is gone, yet GO was said: only a kill makes sure.
            child.signal(Signal::KILL);
            assert_eq!(child.death().await.status, 137);
        }
    });
}

fn not_ready_in_time(engine: &Engine) {
    block_on(async {
        let container = Container::new(engine, &["echo", "ran"]);
        let (mut handover, _child) = zerocap_shim::handover::Handover::new(&bare(), "echo").unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let error = handover.parked(deadline, std::future::pending()).await.unwrap_err();
        assert_eq!(error.code, code::NOT_READY_IN_TIME);
        // The same engine, given time.
        let mut init = container.start(&bare()).await;
        init.parked().await.unwrap();
    });
}

fn a_shim_that_gives_up_starts_nothing(engine: &Engine) {
    block_on(async {
        let (_container, processes, _) = parked(engine).await;
        for process in processes {
            let (child, output) = (process.child.clone(), process.output.clone());
            drop(process);
            assert_eq!(child.death().await.status, 125);
            assert_eq!(std::fs::read_to_string(output).unwrap(), "");
        }
    });
}
