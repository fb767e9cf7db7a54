//! `zerocap install node` against folders of a node. containerd is a script here, which is told what to answer; the node tests
//! do the same with the real one.

mod rig;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};

use rig::{Rig, ok, refused};

const V3: &str = "version = 3\n# ours: do not touch\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n  default_runtime_name = 'runc' # why\n";
const V2: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"pause\"";
const IMPORTS: &str = "version = 3\nimports = ['conf.d/*.toml']\n";
const K3S: &str = "{{ template \"base\" . }}\n\n# added by hand\n";

#[test]
fn there_and_back_byte_for_byte() {
    for (name, text) in
        [("config.toml", V3), ("config.toml", V2), ("config-v3.toml.tmpl", K3S), ("config.toml.tmpl", K3S)]
    {
        let rig = Rig::new(name, text);
        ok(&rig.install());
        let with = rig.text();
        assert!(with.starts_with(text) && with.contains("runtimes.zerocap-platform"), "{with}");
        let plugin = if text == V3 || name.contains("v3") {
            "io.containerd.cri.v1.runtime"
        } else {
            "io.containerd.grpc.v1.cri"
        };
        assert!(with.contains(&format!("[plugins.'{plugin}'.containerd.runtimes.zerocap]")), "{with}");
        assert_eq!((rig.versions().len(), rig.restarts()), (1, 1));
        // Once more: nothing changes, nothing restarts.
        assert!(ok(&rig.install()).contains("is right already"));
        assert_eq!((rig.text(), rig.restarts()), (with, 1));
        assert!(rig.note().is_some_and(|note| note.contains(&rig.versions()[0].display().to_string())));
        ok(&rig.uninstall());
        assert_eq!(rig.text(), text);
        assert_eq!(rig.etc(), std::slice::from_ref(&rig.config));
        assert!(!rig.path("prefix").exists() && !rig.path("state").exists());
    }
}

#[test]
fn a_folder_that_is_imported_gets_a_drop_in() {
    let rig = Rig::new("config.toml", IMPORTS);
    ok(&rig.install());
    let drop_in = rig.path("etc/conf.d/zerocap.toml");
    assert_eq!(rig.text(), IMPORTS);
    assert!(fs::read_to_string(&drop_in).unwrap().contains("runtimes.zerocap]"));
    ok(&rig.uninstall());
    assert!(!drop_in.exists());
}

#[test]
fn a_configuration_that_does_not_exist_is_ours_to_remove() {
    for name in ["config.toml", "config-v3.toml.tmpl"] {
        let rig = Rig::new(name, "");
        fs::remove_file(&rig.config).unwrap();
        ok(&rig.install());
        assert!(rig.text().contains("runtimes.zerocap]"));
        ok(&rig.uninstall());
        assert!(rig.etc().is_empty(), "{:?}", rig.etc());
    }
}

#[test]
fn dry_run_shows_the_change_and_makes_none() {
    let rig = Rig::new("config.toml", V3);
    let shown = ok(&rig.command("install").arg("--dry-run").output().unwrap());
    assert!(shown.contains("runtimes.zerocap.options]"), "{shown}");
    assert_eq!((rig.text().as_str(), rig.restarts(), rig.path("prefix").exists()), (V3, 0, false));
}

#[test]
fn what_containerd_refuses_is_never_put_in_place() {
    let rig = Rig::new("config.toml", V3);
    rig.script("containerd", "echo 'containerd: no such plugin' >&2; exit 1");
    refused(&rig.install(), 1, "ZC1104");
    // It must also see what we wrote.
    rig.script("containerd", "echo 'version = 3'");
    refused(&rig.install(), 1, "ZC1104");
    assert_eq!((rig.text().as_str(), rig.restarts()), (V3, 0));
    assert_eq!(rig.etc(), std::slice::from_ref(&rig.config));
}

#[test]
fn what_does_not_parse_is_not_touched() {
    let rig = Rig::new("config.toml", "version = 3\n[plugins\n");
    refused(&rig.install(), 2, "ZC1101");
    assert_eq!(
        (rig.text().as_str(), rig.restarts(), rig.path("prefix").exists()),
        ("version = 3\n[plugins\n", 0, false)
    );
    fs::remove_file(rig.path("from/zerocap-engine")).unwrap();
    refused(&rig.install(), 2, "ZC1103");
}

#[test]
fn a_containerd_that_does_not_come_back_gets_its_configuration_back() {
    let rig = Rig::new("config.toml", V3);
    // It answers with the former configuration only.
    rig.script("healthy", &format!("! grep -q runtimes.zerocap '{}'", rig.config.display()));
    refused(&rig.install(), 1, "ZC1105");
    assert_eq!((rig.text().as_str(), rig.restarts()), (V3, 2));
    rig.script("healthy", "exit 1");
    refused(&rig.install(), 1, "ZC1106");
    assert_eq!(rig.text(), V3);
    rig.script("healthy", "exit 0");
    ok(&rig.install());
    ok(&rig.uninstall());
    assert_eq!(rig.text(), V3);
}

/// Killed while it asks containerd, restarts it, waits for it: the next run ends what was begun, or undoes it.
#[test]
fn killed_anywhere_the_next_run_makes_it_good() {
    for step in ["containerd", "restart", "healthy", "ctr"] {
        for recovers in [true, false] {
            let rig = Rig::new("config.toml", V3);
            let usual = fs::read_to_string(rig.path(step)).unwrap();
            // Between it and the installer may be shells.
            let kill = "p=$PPID; while [ \"$(cat /proc/$p/comm)\" != zerocap ]; do \
                        p=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' /proc/$p/stat); done; kill -9 $p; sleep 1";
            rig.script(step, kill);
            let output = rig.install();
            assert_eq!(
                output.status.code(),
                None,
                "{step} did not kill it: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            fs::write(rig.path(step), usual).unwrap();
            if recovers {
                ok(&rig.install());
                assert!(rig.text().contains("runtimes.zerocap]"), "{step}");
                assert!(rig.restarts() >= 1, "{step}: containerd was never restarted with it");
            } else {
                // The trouble is real: what was there before the killed run comes back.
                rig.script("healthy", &format!("! grep -q runtimes.zerocap '{}'", rig.config.display()));
                refused(&rig.install(), 1, "ZC1105");
                assert_eq!(rig.text(), V3, "{step}");
                rig.script("healthy", "exit 0");
            }
            ok(&rig.uninstall());
            assert_eq!(rig.text(), V3, "{step}");
            assert_eq!(rig.etc(), std::slice::from_ref(&rig.config), "{step}");
            assert!(
                !rig.path("prefix").exists(),
                "{step}: {:?}",
                fs::read_dir(rig.path("prefix")).map(|d| d.flatten().collect::<Vec<_>>())
            );
        }
    }
}

/// Between a killed run and the next one somebody else has changed the file, and the next one fails too.
#[test]
fn what_others_have_written_meanwhile_stays() {
    const THEIRS: &str = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.theirs]\n  runtime_type = 'x'\n";
    let rig = Rig::new("config.toml", V3);
    let usual = fs::read_to_string(rig.path("healthy")).unwrap();
    rig.script("healthy", "kill -9 $(ps -o ppid= -p $PPID); sleep 1");
    assert_eq!(rig.install().status.code(), None);
    assert!(rig.text().contains("runtimes.zerocap]"), "{}", rig.text());
    fs::write(&rig.config, format!("{}{THEIRS}", rig.text())).unwrap();
    rig.script("healthy", &format!("! grep -q runtimes.zerocap '{}'", rig.config.display()));
    refused(&rig.install(), 1, "ZC1105");
    assert_eq!(rig.text(), format!("{V3}{THEIRS}"));
    // And while it waits for containerd.
    rig.script(
        "healthy",
        &format!("grep -q more '{0}' || echo '# more' >>'{0}'; ! grep -q runtimes.zerocap '{0}'", rig.config.display()),
    );
    refused(&rig.install(), 1, "ZC1105");
    assert_eq!(rig.text(), format!("{V3}{THEIRS}# more\n"));
    fs::write(rig.path("healthy"), usual).unwrap();
    ok(&rig.install());
    ok(&rig.uninstall());
    assert_eq!(rig.text(), format!("{V3}{THEIRS}# more\n"));
}

/// An upgrade that fails leaves the handlers of the version before.
#[test]
fn an_upgrade_that_fails_leaves_the_version_before() {
    let rig = Rig::new("config.toml", V3);
    ok(&rig.install());
    let first = rig.text();
    fs::copy("/bin/true", rig.path("from/zerocap")).unwrap();
    let broken = "grep -q more '{0}' || echo '# more' >>'{0}'; ! grep -q \"$(ls -td '{1}'/*-*/ | head -n1 | xargs basename)\" '{0}'";
    let broken = broken.replace("{0}", &rig.config.display().to_string());
    rig.script("healthy", &broken.replace("{1}", &rig.path("prefix").display().to_string()));
    refused(&rig.install(), 1, "ZC1105");
    assert_eq!(rig.text().replace("# more\n", ""), first);
}

/// Containers are asked for by containerd's client: a killed installer leaves the one of its self-test, whose shim nobody else removes.
#[test]
fn an_uninstallation_takes_the_self_test_of_a_killed_run_away() {
    let rig = Rig::new("config.toml", V3);
    ok(&rig.install());
    let shim = Running::start(&rig.versions()[0]);
    fs::create_dir_all(rig.path("prefix/.self-test/root")).unwrap();
    rig.script("ctr", &format!("case $* in *'tasks rm'*) kill -9 {}; sleep 0.3;; esac; exit 0", shim.0.id()));
    ok(&rig.uninstall());
    assert!(!rig.path("prefix").exists());
}

/// A running program of an installed version.
struct Running(Child);

impl Running {
    fn start(version: &Path) -> Self {
        Self(Command::new(version.join("containerd-shim-zerocap-v2")).arg("60").spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn an_upgrade_leaves_running_pods_their_programs() {
    let rig = Rig::new("config.toml", V3);
    ok(&rig.install());
    let first = rig.versions().remove(0);
    let pod = Running::start(&first);
    // Another version: other bytes.
    fs::copy("/bin/true", rig.path("from/zerocap")).unwrap();
    assert!(ok(&rig.install()).contains("kept, since pods run on it"));
    assert_eq!((rig.versions().len(), rig.restarts()), (2, 2));
    assert!(!rig.text().contains(&first.display().to_string()));
    // containerd refuses execs in pods whose handler it no longer knows: none may be stranded.
    let with = rig.text();
    assert!(rig.note().is_some());
    refused(&rig.uninstall(), 1, "ZC1110");
    assert_eq!((rig.versions().len(), rig.text()), (2, with));
    // But a node that is to be emptied gets no new pods.
    assert_eq!(rig.note(), None);
    drop(pod);
    ok(&rig.uninstall());
    assert!(!rig.path("prefix").exists());
    refused(&rig.uninstall(), 1, "ZC1108");
    ok(&rig.command("uninstall").arg("--if-installed").output().unwrap());
}

#[test]
fn a_container_that_is_not_confined_undoes_the_change() {
    let rig = Rig::new("config.toml", V3);
    rig.script("ctr", "case $* in *' run '*) echo 'NOT CONFINED: CapEff' >&2; exit 1;; esac");
    refused(&rig.install(), 1, "ZC1111");
    assert_eq!((rig.text().as_str(), rig.restarts(), rig.note()), (V3, 2, None));
    // Not asked for, it decides nothing, and earns no label.
    ok(&rig.command("install").arg("--no-self-test").output().unwrap());
    assert_eq!((rig.restarts(), rig.note()), (3, None));
    // What is right already stays, for the pods that run; the label does not come.
    let with = rig.text();
    refused(&rig.install(), 1, "ZC1111");
    assert_eq!((rig.text(), rig.restarts(), rig.note()), (with, 3, None));
    rig.script("ctr", "echo \"$*\" >> \"$0.log\"");
    ok(&rig.install());
    assert!(rig.note().is_some());
    // It ran the programs that were installed, and left nothing in containerd.
    let said = fs::read_to_string(rig.path("ctr.log")).unwrap();
    let run = said.lines().find(|line| line.contains(" run ")).unwrap();
    assert!(run.contains(&rig.versions()[0].join("containerd-shim-zerocap-v2").display().to_string()), "{run}");
    assert!(said.ends_with("namespaces rm zerocap-self-test\n") && !rig.path("prefix/.self-test").exists(), "{said}");
    // After a boot the note is gone: it has to be earned again, without a restart.
    fs::remove_dir_all(rig.path("state")).unwrap();
    ok(&rig.install());
    assert!(rig.note().is_some());
    assert_eq!(rig.restarts(), 3);
}

#[test]
fn a_floor_that_does_not_parse_touches_nothing() {
    let rig = Rig::new("config.toml", V3);
    let floor = rig.path("floor.toml");
    fs::write(&floor, "version = 1\n[defaults]\nnetwork-enforcement = \"platfrom\"\n").unwrap();
    let output = rig.command("install").arg("--floor").arg(&floor).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("error: ZC") && text.contains("floor.toml"), "{text}");
    assert_eq!((output.status.code(), rig.text().as_str(), rig.path("prefix").exists()), (Some(2), V3, false));
}

#[test]
fn a_pod_without_the_machine_in_sight_installs_nothing() {
    let rig = Rig::new("config.toml", V3);
    // Its own first process, as a pod without hostPID would name it.
    let own = std::process::id().to_string();
    refused(&rig.command("install").args(["--enter", &own]).output().unwrap(), 1, "ZC1112");
    assert_eq!((rig.text().as_str(), rig.path("prefix").exists()), (V3, false));
}

/// Who may not look at a process with a shim's name cannot know that it is none of ours.
#[test]
fn who_does_not_see_every_process_removes_nothing() {
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: it takes root to become somebody else");
        return;
    }
    let rig = Rig::new("config.toml", V3);
    ok(&rig.install());
    let (with, _pod) = (rig.text(), Running::start(&rig.versions()[0]));
    for place in ["", "prefix", "etc", "state"] {
        fs::set_permissions(rig.path(place), PermissionsExt::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(rig.path("prefix/lock"), PermissionsExt::from_mode(0o666)).unwrap();
    let program = rig.path("zerocap");
    fs::copy(env!("CARGO_BIN_EXE_zerocap"), &program).unwrap();
    let uninstall = rig.command("uninstall");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(uninstall.get_args());
    let output = command.env("ZEROCAP_STATE", rig.path("state")).output().unwrap();
    refused(&output, 1, "ZC1107");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/proc/"), "{output:?}");
    assert_eq!((rig.text(), rig.versions().len()), (with, 1));
}

#[test]
fn a_handler_of_somebody_else_is_left_alone() {
    let text =
        format!("{V3}[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.zerocap]\n  runtime_type = 'mine'\n");
    let rig = Rig::new("config.toml", &text);
    refused(&rig.install(), 2, "ZC1102");
    assert_eq!(rig.text(), text);
}

#[test]
fn one_at_a_time() {
    let rig = Rig::new("config.toml", V3);
    rig.script("restart", "touch \"$0.begun\"; sleep 3");
    let mut first = rig.command("install").stdout(std::process::Stdio::null()).spawn().unwrap();
    while !rig.path("restart.begun").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    refused(&rig.uninstall(), 1, "ZC1109");
    assert!(first.wait().unwrap().success());
}

#[test]
fn the_answer_as_json() {
    let rig = Rig::new("config.toml", V3);
    let said = ok(&rig.command("install").args(["--output", "json"]).output().unwrap());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["changed"], serde_json::json!([rig.config]));
    assert_eq!((&said["restarted"], &said["kept"]), (&true.into(), &serde_json::json!([])));
}
