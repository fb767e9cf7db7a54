//! What a call costs bare and under filters, in one interleaved run: threads of this process, each under filters of its own and all
//! on one processor, take turns in batches. Nanoseconds: the fastest batch, since everything else on the machine can only add.
//! `cargo bench -p zerocap-seccomp --bench calls`.
#![cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(unused))]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../tests/kernel_child/raw.rs"]
mod raw;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod run {
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    use zerocap_seccomp::preset::{LastLayer, last_layer};
    use zerocap_seccomp::walk::on_bitmap;
    use zerocap_seccomp::{Arch, Gate, Insn, compile, lookup, oci, opcode};

    use super::raw::{Call, load_with, raw};

    const ROUNDS: usize = 400;
    const BATCH: u32 = 500;
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`, as the launcher loads its filters.
    const SPEC_ALLOW: u64 = 4;

    /// A thread under its filters.
    struct Worker {
        name: &'static str,
        ask: Sender<Vec<Call>>,
        told: Receiver<f64>,
        thread: JoinHandle<()>,
    }

    impl Worker {
        fn new(name: &'static str, filters: Vec<Vec<Insn>>) -> Self {
            let (ask, asked): (Sender<Vec<Call>>, Receiver<Vec<Call>>) = channel();
            let (tell, told) = channel();
            let thread = thread::spawn(move || {
                for filter in filters {
                    load_with(&filter, SPEC_ALLOW).expect("the kernel takes it");
                }
                while let Ok(calls) = asked.recv() {
                    tell.send(batch(&calls)).expect("somebody listens");
                }
            });
            Self { name, ask, told, thread }
        }

        fn turn(&self, calls: &[Call]) -> f64 {
            self.ask.send(calls.to_vec()).expect("the thread lives");
            self.told.recv().expect("the thread lives")
        }
    }

    /// Nanoseconds of a call, with what it opened closed again.
    fn batch(calls: &[Call]) -> f64 {
        let start = Instant::now();
        for _ in 0..BATCH {
            let first = raw(&calls[0]);
            if let [_, close] = calls {
                raw(&Call { args: [first as u64, close.args[1], 0, 0, 0, 0], ..*close });
            }
        }
        start.elapsed().as_nanos() as f64 / f64::from(BATCH)
    }

    /// The threads that follow inherit it.
    fn stay_on_one_processor() {
        let mut mask = 0u64;
        let mut cpu = 0u32;
        let number = |name| lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it");
        raw(&Call { number: number("getcpu"), args: [(&raw mut cpu).addr() as u64, 0, 0, 0, 0, 0] });
        mask |= 1 << (cpu % 64);
        let args = [0, 8, (&raw const mask).addr() as u64, 0, 0, 0];
        assert!(raw(&Call { number: number("sched_setaffinity"), args }) >= 0, "the processor can be chosen");
    }

    /// The least that a filter can be which looks at an argument: nothing on the kernel's bitmap, and one answer.
    fn shortest() -> Vec<Insn> {
        vec![Insn::stmt(opcode::LD_ABS, 16), Insn::stmt(opcode::RET_K, 0x7fff_0000)]
    }

    pub fn run() {
        stay_on_one_processor();
        let file = std::fs::File::open("/proc/self/exe").expect("this program");
        let file = u64::try_from(file.as_raw_fd()).expect("a descriptor");
        let number = |name| lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it");
        let call = |name, args| Call { number: number(name), args };
        let word = (&raw const *Box::leak(Box::new(0u64))).addr() as u64;
        let calls: Vec<(&str, Vec<Call>)> = vec![
            ("getppid", vec![call("getppid", [0; 6])]),
            ("lseek", vec![call("lseek", [file, 0, 0, 0, 0, 0])]),
            ("ioctl FIONREAD", vec![call("ioctl", [file, 0x541b, word, 0, 0, 0])]),
            ("prctl PR_GET_DUMPABLE", vec![call("prctl", [3, 0, 0, 0, 0, 0])]),
            ("sendto a bad descriptor", vec![call("sendto", [u64::MAX, 0, 0, 0x4000, 0, 0])]),
            ("mprotect of nothing", vec![call("mprotect", [0x1000, 0, 1, 0, 0, 0])]),
            ("socket and close", vec![call("socket", [1, 0x80001, 0, 0, 0, 0]), call("close", [0; 6])]),
            (
                "mmap and munmap",
                vec![call("mmap", [0, 4096, 1, 0x22, u64::MAX, 0]), call("munmap", [0, 4096, 0, 0, 0, 0])],
            ),
        ];
        let general = last_layer(Arch::X86_64, &LastLayer::default()).expect("a native architecture").insns;
        // The pod's own profile, which the engine loads first; here as this crate compiles it.
        let own = serde_json::from_str(include_str!("../fixtures/runtime-default.json")).expect("JSON");
        let own = compile(&oci::read(&own).expect("a profile"), Arch::X86_64, Gate::None).expect("small").insns;
        let workers = [
            Worker::new("bare", vec![]),
            Worker::new("shortest", vec![shortest()]),
            Worker::new("general", vec![general.to_vec()]),
            Worker::new("stack", vec![own.clone(), general.to_vec()]),
        ];
        print!("{:<24}", "ns a call");
        workers.iter().for_each(|worker| print!(" {:>8}", worker.name));
        println!(" {:>13} {:>17} {:>10}  answered by", "general/bare", "general/shortest", "stack/bare");
        for (name, calls) in calls {
            let mut best = [f64::INFINITY; 4];
            for round in 0..ROUNDS {
                for turn in 0..workers.len() {
                    let which = (round + turn) % workers.len();
                    best[which] = best[which].min(workers[which].turn(&calls));
                }
            }
            let [bare, shortest, under, stack] = best;
            print!("{name:<24}");
            best.iter().for_each(|ns| print!(" {ns:>8.0}"));
            let bitmap = |insns| on_bitmap(insns, Arch::X86_64, calls[0].number);
            let by = match (bitmap(general), bitmap(&own)) {
                (true, true) => "bitmap",
                (false, true) => "general's filter",
                (true, false) => "the pod's filter",
                (false, false) => "both filters",
            };
            println!(" {:>13.2} {:>17.2} {:>10.2}  {by}", under / bare, under / shortest, stack / bare);
        }
        println!(
            "fastest of {ROUNDS} batches each, in turns on one processor; shortest: two instructions; stack: the pod's profile and general"
        );
        for Worker { ask, thread, .. } in workers {
            drop(ask);
            thread.join().expect("it ends");
        }
    }
}

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    run::run();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    println!("calls are measured on x86-64 only");
}
