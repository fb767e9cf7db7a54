//! What a call costs bare and under `general`, in one interleaved run: one thread of this process is confined, the other
//! is not, and they take turns. Nanoseconds, medians; `cargo bench -p zerocap-seccomp --bench calls`.
#![cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(unused))]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../tests/kernel_child/raw.rs"]
mod raw;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod run {
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;
    use std::time::Instant;

    use zerocap_seccomp::preset::{LastLayer, last_layer};
    use zerocap_seccomp::walk::on_bitmap;
    use zerocap_seccomp::{Arch, lookup};

    use super::raw::{Call, load_with, raw};

    const ROUNDS: usize = 301;
    const BATCH: u32 = 1000;
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`, as the launcher loads its filters.
    const SPEC_ALLOW: u64 = 4;

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

    fn median(mut times: Vec<f64>) -> f64 {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    pub fn run() {
        let file = std::fs::File::open("/proc/self/exe").expect("this program");
        let file = u64::try_from(file.as_raw_fd()).expect("a descriptor");
        let number = |name| lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it");
        let call = |name, args| Call { number: number(name), args };
        let calls: Vec<(&str, Vec<Call>)> = vec![
            ("getppid", vec![call("getppid", [0; 6])]),
            ("lseek", vec![call("lseek", [file, 0, 0, 0, 0, 0])]),
            (
                "ioctl FIONREAD",
                vec![call("ioctl", [file, 0x541b, &raw const *Box::leak(Box::new(0u64)) as u64, 0, 0, 0])],
            ),
            ("prctl PR_GET_DUMPABLE", vec![call("prctl", [3, 0, 0, 0, 0, 0])]),
            ("mprotect of nothing", vec![call("mprotect", [0x1000, 0, 1, 0, 0, 0])]),
            ("socket and close", vec![call("socket", [1, 0x80001, 0, 0, 0, 0]), call("close", [0; 6])]),
            (
                "mmap and munmap",
                vec![call("mmap", [0, 4096, 1, 0x22, u64::MAX, 0]), call("munmap", [0, 4096, 0, 0, 0, 0])],
            ),
        ];
        let insns = last_layer(Arch::X86_64, &LastLayer::default()).expect("a native architecture").insns;
        let (ask, asked): (Sender<Vec<Call>>, Receiver<Vec<Call>>) = channel();
        let (tell, told) = channel();
        let confined = thread::spawn(move || {
            load_with(insns, SPEC_ALLOW).expect("the kernel takes it");
            while let Ok(calls) = asked.recv() {
                tell.send(batch(&calls)).expect("somebody listens");
            }
        });
        println!("{:<24} {:>8} {:>10} {:>6}  answered by", "call", "bare ns", "general ns", "ratio");
        for (name, calls) in calls {
            let (mut bare, mut under) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                bare.push(batch(&calls));
                ask.send(calls.clone()).expect("the thread lives");
                under.push(told.recv().expect("the thread lives"));
            }
            let (bare, under) = (median(bare), median(under));
            let by = if on_bitmap(insns, Arch::X86_64, calls[0].number) { "bitmap" } else { "filter" };
            println!("{name:<24} {bare:>8.0} {under:>10.0} {:>6.2}  {by}", under / bare);
        }
        drop(ask);
        confined.join().expect("it ends");
    }
}

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    run::run();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    println!("calls are measured on x86-64 only");
}
