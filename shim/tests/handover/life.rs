//! What works: init and exec, many times, with everything that a workload may bring.

use serde_json::json;
use zerocap_annotations::Expect;

use crate::rig::{Container, Engine, UID, bare, block_on, expect, waiting};

pub const TESTS: &[(&str, crate::Body)] = &[
    ("init_and_exec_start_verified", init_and_exec_start_verified),
    ("the_workload_sees_nothing_of_the_hand_over", the_workload_sees_nothing_of_the_hand_over),
    ("a_program_that_ends_at_once_always_starts", a_program_that_ends_at_once_always_starts),
    ("arguments_and_environment_of_any_size", arguments_and_environment_of_any_size),
    ("uid_0_without_capabilities", uid_0_without_capabilities),
    ("no_proc_in_the_container", no_proc_in_the_container),
    ("a_read_only_root_and_a_second_start", a_read_only_root_and_a_second_start),
];

fn init_and_exec_start_verified(engine: &Engine) {
    block_on(async {
        let container = Container::new(engine, &["sh", "-c", "echo init; exec sleep 1000"]);
        let (verified, started, init) = container.start(&bare()).await.run(&expect()).await.unwrap();
        assert_eq!((verified.capabilities, verified.no_new_privs, verified.uid), ([0; 5], true, UID));
        assert_eq!(verified.descriptors, Some(vec![0, 1, 2, 4, 5]));
        assert!(verified.seccomp_filters >= 1 && !verified.cgroup.is_empty(), "{verified:?}");
        assert!(!started.ended);

        let exec = container.exec(&bare(), &["sh", "-c", "echo exec; exit 7"]).await;
        let (verified, _, exec) = exec.run(&expect()).await.unwrap();
        assert_eq!((verified.capabilities, verified.no_new_privs, verified.uid), ([0; 5], true, UID));
        assert_eq!(exec.end().await, (7, "exec".to_owned()));
        init.child.kill();
        assert_eq!(init.end().await, (137, "init".to_owned()));
    });
}

fn the_workload_sees_nothing_of_the_hand_over(engine: &Engine) {
    block_on(async {
        let container = waiting(engine).await;
        let (_, _, exec) = container.exec(&bare(), &["ls", "/proc/self/fd"]).await.run(&expect()).await.unwrap();
        // 3 is the folder that ls itself reads.
        assert_eq!(exec.end().await, (0, "0\n1\n2\n3".to_owned()));
        let (_, _, exec) = container.exec(&bare(), &["env"]).await.run(&expect()).await.unwrap();
        let (status, environment) = exec.end().await;
        assert_eq!(status, 0);
        let mut names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
        names.retain(|name| *name != "HOME");
        names.sort_unstable();
        assert_eq!(names, ["HOSTNAME", "PATH"], "engines add HOME and nothing else: {environment}");
    });
}

/// The fastest program there is ends before anybody can look at it.
fn a_program_that_ends_at_once_always_starts(engine: &Engine) {
    let times = if std::env::var_os("ZEROCAP_SOAK").is_some() { 1000 } else { 100 };
    block_on(async {
        let container = waiting(engine).await;
        for _ in 0..times {
            let (_, _, exec) = container.exec(&bare(), &["true"]).await.run(&expect()).await.unwrap();
            assert_eq!(exec.end().await.0, 0);
        }
        for _ in 0..times / 5 {
            let container = Container::new(engine, &["true"]);
            let (_, _, init) = container.start(&bare()).await.run(&expect()).await.unwrap();
            assert_eq!(init.end().await.0, 0);
        }
    });
}

fn arguments_and_environment_of_any_size(engine: &Engine) {
    block_on(async {
        let mut container = Container::new(engine, &["sleep", "1000"]);
        let large: Vec<String> = (0..64).map(|index| format!("LARGE{index}={}", "x".repeat(16 << 10))).collect();
        container.config()["process"]["env"].as_array_mut().unwrap().extend(large.iter().map(|entry| json!(entry)));
        container.start(&bare()).await.run(&expect()).await.unwrap();
        let (_, _, exec) = container.exec(&bare(), &["sh", "-c", "env | wc -c"]).await.run(&expect()).await.unwrap();
        assert!(exec.end().await.1.parse::<usize>().unwrap() > 1 << 20);

        let container = waiting(engine).await;
        let long = "x".repeat(100_000);
        let script = "echo ${#1}";
        let exec = container.exec(&bare(), &["sh", "-c", script, "sh", &long]).await;
        assert_eq!(exec.run(&expect()).await.unwrap().2.end().await.1, "100000");
        let numbers: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        let mut many = vec!["sh", "-c", "echo $#", "sh"];
        many.extend(numbers.iter().map(String::as_str));
        assert_eq!(container.exec(&bare(), &many).await.run(&expect()).await.unwrap().2.end().await.1, "10000");
    });
}

fn uid_0_without_capabilities(engine: &Engine) {
    block_on(async {
        let mut container = Container::new(engine, &["id", "-u"]);
        container.config()["process"]["user"] = json!({ "uid": 0, "gid": 0 });
        let expect = Expect { uid: Some(0), ..expect() };
        let (verified, _, init) = container.start(&bare()).await.run(&expect).await.unwrap();
        assert_eq!(verified.capabilities, [0; 5]);
        assert_eq!(init.end().await, (0, "0".to_owned()));
    });
}

fn no_proc_in_the_container(engine: &Engine) {
    block_on(async {
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.config()["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/proc");
        let (_, _, init) = container.start(&bare()).await.run(&expect()).await.unwrap();
        assert_eq!(init.end().await, (0, "ran".to_owned()));
    });
}

fn a_read_only_root_and_a_second_start(engine: &Engine) {
    block_on(async {
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.config()["root"]["readonly"] = json!(true);
        std::fs::create_dir(container.rootfs().join(".zerocap")).unwrap();
        let process = container.start(&bare()).await;
        let (_, _, init) = process.run(&expect()).await.unwrap();
        assert_eq!(init.end().await, (0, "ran".to_owned()));
    });
}
