//! `zerocap install node` and configurations that nobody would write for it.

mod rig;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use rig::{Rig, ok, refused};

const RUNTIMES: &str = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes";

/// There and back, byte for byte, with our handlers in what containerd reads meanwhile.
#[test]
fn forms_that_containerd_takes() {
    for text in [
        "version = 3\r\n# ours\r\n[debug]\r\n  level = 'info'\r\n".to_owned(),
        "version = 3\r\n[debug]\r\n  level = 'info'".to_owned(),
        format!("version = 3\n[{RUNTIMES}]\nrunc.runtime_type = 'io.containerd.runc.v2'\n"),
        format!("version = 3\n{RUNTIMES}.runc.runtime_type = 'io.containerd.runc.v2'\n"),
        format!("version = 3\n[{RUNTIMES}]\nrunc = {{ runtime_type = 'io.containerd.runc.v2' }}\n"),
        "version = 4\n".to_owned(),
        "version = 3\n".to_owned(),
        "version = 3".to_owned(),
        "version=3\nroot = '''\n# >>> zerocap\n # <<< zerocap\n'''\n# <<< zerocap of old\n".to_owned(),
    ] {
        let rig = Rig::new("config.toml", &text);
        ok(&rig.install());
        let shim = rig.versions()[0].join("containerd-shim-zerocap-v2").display().to_string();
        assert_eq!(rig.dump().unwrap().to_string().matches(&shim).count(), 2, "{text}");
        ok(&rig.uninstall());
        assert_eq!(rig.text(), text);
    }
}

/// An editor that gives every line its own end changes the marker lines too.
#[test]
fn other_line_ends_since_the_installation() {
    let rig = Rig::new("config.toml", "version = 3\n[debug]");
    ok(&rig.install());
    fs::write(&rig.config, rig.text().replace('\n', "\r\n")).unwrap();
    ok(&rig.install());
    assert_eq!(rig.text().matches("# >>> zerocap").count(), 1, "{}", rig.text());
    ok(&rig.uninstall());
    assert_eq!(rig.text(), "version = 3\r\n[debug]");
}

#[test]
fn forms_that_are_refused_and_not_touched() {
    let inline = format!("version = 3\n{RUNTIMES} = {{ runc = {{ runtime_type = 'io.containerd.runc.v2' }} }}\n");
    let half =
        "version = 3\n# >>> zerocap: written by `zerocap install node`, removed by `zerocap uninstall node`\n[a]\n";
    for text in
        [inline.as_bytes(), half.as_bytes(), b"version = 3\n# \xff\n", b"version = 3\n[a\n", b"version = '3'\n", b""]
    {
        let rig = Rig::new("config.toml", "");
        fs::write(&rig.config, text).unwrap();
        refused(&rig.install(), 2, "ZC1101");
        assert_eq!((fs::read(&rig.config).unwrap().as_slice(), rig.restarts()), (text, 0));
        assert!(!rig.path("prefix").exists());
    }
}

/// containerd takes no such mark, so what has one is none of its configurations, whatever we could do with it.
#[test]
fn a_byte_order_mark() {
    let text = "\u{feff}version = 3\n";
    let rig = Rig::new("config.toml", text);
    rig.script(
        "containerd",
        "head -c 3 \"$2\" | grep -q version || { echo 'containerd: invalid character' >&2; exit 1; }",
    );
    assert!(!rig.install().status.success());
    assert_eq!((rig.text().as_str(), rig.restarts()), (text, 0));
}

/// A marker line that lost the other one: what is ours nobody can tell, and handlers without programs would be left.
#[test]
fn half_a_block_is_not_uninstalled() {
    let rig = Rig::new("config.toml", "version = 3\n[debug]\n");
    ok(&rig.install());
    let cut = rig.text().replace("# <<< zerocap\n", "");
    fs::write(&rig.config, &cut).unwrap();
    refused(&rig.uninstall(), 2, "ZC1101");
    assert_eq!((rig.text(), rig.versions().len()), (cut, 1));
}

#[test]
fn a_link_stays_a_link() {
    let rig = Rig::new("config.toml", "");
    let real = rig.path("real.toml");
    fs::rename(&rig.config, &real).unwrap();
    fs::write(&real, "version = 3\n[debug]\n").unwrap();
    fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink("../real.toml", &rig.config).unwrap();
    ok(&rig.install());
    assert!(rig.config.is_symlink() && fs::read_to_string(&real).unwrap().contains("runtimes.zerocap]"));
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o600);
    ok(&rig.uninstall());
    assert_eq!((rig.text().as_str(), rig.config.is_symlink()), ("version = 3\n[debug]\n", true));
    // One that leads nowhere is somebody's, too.
    fs::remove_file(&real).unwrap();
    refused(&rig.install(), 2, "ZC1101");
    assert!(rig.config.is_symlink() && !real.exists());
}

/// containerd merges imported files by name, ours with theirs.
#[test]
fn a_handler_of_our_name_in_a_drop_in_of_somebody_else() {
    for (main, theirs) in [
        ("version = 3\nimports = ['conf.d/*.toml']\n", format!("[{RUNTIMES}.zerocap]\npod_annotations = []\n")),
        ("version = 3\nimports = ['conf.d/zz.toml']\n", format!("[{RUNTIMES}.zerocap-platform]\n")),
        (
            "version = 2\nimports = ['conf.d/*.toml']\n",
            "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.zerocap]\n".to_owned(),
        ),
    ] {
        let rig = Rig::new("config.toml", main);
        fs::create_dir(rig.path("etc/conf.d")).unwrap();
        let file = rig.path("etc/conf.d/zz.toml");
        fs::write(&file, &theirs).unwrap();
        let output = rig.install();
        refused(&output, 2, "ZC1102");
        assert!(String::from_utf8_lossy(&output.stderr).contains("zz.toml"), "{output:?}");
        assert_eq!((rig.text().as_str(), fs::read_to_string(file).unwrap()), (main, theirs));
    }
}

/// What a pattern hides from us containerd still says: without the annotations pods would run unconfined.
#[test]
fn handlers_that_another_file_has_changed_are_not_ours() {
    for change in ["pod_annotations = []", "container_annotations = ['*']", "runtime_type = 'io.containerd.runc.v1'"] {
        let main = "version = 3\nimports = ['*/z[z].toml']\n";
        let rig = Rig::new("config.toml", main);
        fs::create_dir(rig.path("etc/conf.d")).unwrap();
        fs::write(rig.path("etc/conf.d/zz.toml"), format!("[{RUNTIMES}.zerocap]\n{change}\n")).unwrap();
        refused(&rig.install(), 1, "ZC1104");
        assert_eq!((rig.text().as_str(), rig.restarts()), (main, 0));
    }
}

/// Two containerds of one machine with one folder of programs: each keeps the version that it names.
#[test]
fn programs_that_another_configuration_names_stay() {
    let rig = Rig::new("config.toml", "version = 3\n[debug]\n");
    ok(&rig.install());
    let first = rig.versions().remove(0);
    let other = rig.path("other.toml");
    fs::write(&other, "version = 3\n").unwrap();
    fs::copy("/bin/true", rig.path("from/zerocap")).unwrap();
    ok(&rig.command_for("install", &other).output().unwrap());
    assert!(first.is_dir() && rig.text().contains(&first.display().to_string()));
    assert_eq!(rig.versions().len(), 2);
    ok(&rig.command_for("uninstall", &other).output().unwrap());
    assert_eq!((fs::read_to_string(&other).unwrap().as_str(), rig.versions()), ("version = 3\n", vec![first]));
    ok(&rig.uninstall());
    assert!(!rig.path("prefix").exists());
    assert_eq!(rig.text(), "version = 3\n[debug]\n");
}

/// Somebody removed the programs by hand: handlers without programs are to be taken away all the same.
#[test]
fn a_block_without_programs_is_taken_away() {
    let rig = Rig::new("config.toml", "version = 3\n[debug]\n");
    ok(&rig.install());
    fs::remove_dir_all(rig.path("prefix")).unwrap();
    ok(&rig.command("uninstall").arg("--if-installed").output().unwrap());
    assert_eq!(rig.text(), "version = 3\n[debug]\n");
    assert!(!Path::new(&rig.path("prefix")).exists());
    refused(&rig.uninstall(), 1, "ZC1108");
}
