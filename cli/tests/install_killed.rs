//! The installer, stopped at each call that changes a file: killed there, told that the disk is full, or overtaken by somebody else.
//! What others wrote, and a containerd that starts, are there at every moment.
#![cfg(target_arch = "x86_64")]

mod rig;
mod traced;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use rig::{Rig, ok, refused};
use traced::{Act, Call, Ended};

const BARE: &str = "version = 3\n# theirs\n[debug]\n  level = 'info'\n";
const IMPORTS: &str = "version = 3\nimports = ['conf.d/*.toml']\n# theirs\n[debug]\n  level = 'info'\n";

/// Where a run begins.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// Nothing of ours.
    Bare,
    /// No configuration at all.
    Nothing,
    /// The block in the configuration, which imports a folder by now.
    ToMove,
    /// The drop-in, and no `imports` any more.
    ToMoveBack,
    /// The block in both.
    Both,
}

/// A node at its start, to which it can be put back.
struct Stage {
    rig: Rig,
    theirs: Option<&'static str>,
    first: [Option<String>; 2],
}

impl Stage {
    fn at(start: Start) -> Self {
        let rig = Rig::new("config.toml", BARE);
        let (with, without) = (|text| fs::write(&rig.config, text).unwrap(), || ok(&rig.install()));
        let drop_in = rig.path("etc/conf.d/zerocap.toml");
        let theirs = match start {
            Start::Bare => Some(BARE),
            Start::Nothing => {
                fs::remove_file(&rig.config).unwrap();
                None
            }
            Start::ToMove => {
                without();
                with(rig.text().replace(BARE, IMPORTS));
                Some(IMPORTS)
            }
            Start::ToMoveBack => {
                with(IMPORTS.to_owned());
                without();
                with(BARE.to_owned());
                Some(BARE)
            }
            Start::Both => {
                without();
                let block = rig.text();
                with(IMPORTS.to_owned());
                without();
                assert!(drop_in.exists());
                with(block.replace(BARE, IMPORTS));
                Some(IMPORTS)
            }
        };
        fs::copy("/bin/true", rig.path("from/zerocap")).unwrap();
        let stage = Self { first: files(&rig), rig, theirs };
        stage.copy("etc", "kept-etc");
        stage.copy("prefix", "kept-prefix");
        stage
    }

    fn copy(&self, from: &str, to: &str) {
        drop(fs::remove_dir_all(self.rig.path(to)));
        if self.rig.path(from).exists() {
            let copied = Command::new("cp").arg("-a").args([self.rig.path(from), self.rig.path(to)]).status().unwrap();
            assert!(copied.success());
        }
    }

    fn again(&self) {
        self.copy("kept-etc", "etc");
        self.copy("kept-prefix", "prefix");
        drop(fs::remove_dir_all(self.rig.path("state")));
        drop(fs::remove_file(self.rig.path("restart.log")));
    }

    /// Runs a verb to its `nth` call that changes something; whether there was one.
    fn stopped(&self, verb: &str, nth: usize, act: impl Fn(&Call) -> Act) -> Option<(Call, Ended)> {
        let (mut count, mut at) = (0, None);
        let ended = traced::run(&self.rig.command(verb), self.rig.path("").as_path(), &mut |call| {
            count += 1;
            if count != nth {
                return Act::Go;
            }
            at = Some(call.clone());
            act(call)
        });
        at.map(|call| (call, ended))
    }

    /// What containerd would read at this moment: it starts, and every handler has its shim.
    #[track_caller]
    fn starts(&self, why: &str) {
        if !self.rig.config.exists() {
            return;
        }
        let dump = self.rig.dump().unwrap_or_else(|| panic!("{why}: containerd refuses {:?}", files(&self.rig)));
        let runtimes = ["plugins", "io.containerd.cri.v1.runtime", "containerd", "runtimes"];
        let runtimes = runtimes.iter().try_fold(&dump, |table, key| table.get(*key)?.as_table());
        for (name, handler) in runtimes.into_iter().flatten() {
            let shim = handler["runtime_path"].as_str().unwrap();
            assert!(Path::new(shim).exists(), "{why}: {name} has {shim}, which is not there");
        }
    }

    /// Everything is as it was before us.
    #[track_caller]
    fn is_bare(&self, why: &str) {
        assert_eq!(files(&self.rig), [self.theirs.map(str::to_owned), None], "{why}");
        assert!(!self.rig.path("prefix").exists(), "{why}: {:?}", self.rig.versions());
        let scratch = |entry: &PathBuf| entry.file_name().unwrap().to_string_lossy().starts_with('.');
        assert!(!self.rig.etc().iter().any(scratch), "{why}: {:?}", self.rig.etc());
    }

    #[track_caller]
    fn has_one_block(&self, why: &str) {
        let blocks: usize = files(&self.rig).iter().flatten().map(|text| text.matches("# >>> zerocap").count()).sum();
        assert_eq!(blocks, 1, "{why}: {:?}", files(&self.rig));
    }
}

/// The configuration and the drop-in.
fn files(rig: &Rig) -> [Option<String>; 2] {
    [rig.config.clone(), rig.path("etc/conf.d/zerocap.toml")].map(|path| fs::read_to_string(path).ok())
}

/// Killed before every single change, by turns with a signal that could be caught and one that cannot; then the next run ends it,
/// undoes it, or takes everything away.
fn killed_before_every_change(start: Start, verb: &str) {
    let stage = Stage::at(start);
    let usual = fs::read_to_string(stage.rig.path("restart")).unwrap();
    for nth in 1.. {
        stage.again();
        let signal = if nth % 2 == 0 { Signal::SIGKILL } else { Signal::SIGTERM };
        let Some((call, ended)) = stage.stopped(verb, nth, |_| Act::Kill(signal)) else {
            assert!(nth > 20, "only {nth} calls");
            break;
        };
        let why = format!("{start:?}, {verb}, killed before {nth}: {call:?}");
        assert_eq!(ended.code, None, "{why}");
        stage.starts(&why);
        if nth % 3 == 0 {
            ok(&stage.rig.install());
            stage.has_one_block(&why);
            stage.starts(&why);
        } else if nth % 3 == 1 {
            // The next one fails too: what was there before the first is there again, or what the first had ended.
            let there = files(&stage.rig);
            let pending = stage.rig.path("prefix/pending.json").exists();
            stage.rig.script("restart", "[ -e \"$0.again\" ] || { touch \"$0.again\"; exit 1; }");
            let needed = stage.rig.install().status.code() != Some(0);
            if needed {
                assert_eq!(files(&stage.rig), if pending { stage.first.clone() } else { there }, "{why}");
            }
            fs::write(stage.rig.path("restart"), &usual).unwrap();
            drop(fs::remove_file(stage.rig.path("restart.again")));
            stage.starts(&why);
        }
        ok(&stage.rig.command("uninstall").arg("--if-installed").output().unwrap());
        stage.is_bare(&why);
    }
}

#[test]
fn an_installation() {
    killed_before_every_change(Start::Bare, "install");
}

#[test]
fn an_installation_without_a_configuration() {
    killed_before_every_change(Start::Nothing, "install");
}

#[test]
fn an_installation_that_moves_the_block() {
    killed_before_every_change(Start::ToMove, "install");
    killed_before_every_change(Start::ToMoveBack, "install");
}

#[test]
fn an_uninstallation() {
    killed_before_every_change(Start::Both, "uninstall");
}

/// No room, or no right to write, at every single change.
#[test]
fn a_full_disk_at_every_change() {
    for (start, verb) in [(Start::ToMove, "install"), (Start::Both, "uninstall")] {
        let stage = Stage::at(start);
        for nth in 1.. {
            stage.again();
            let fails = |call: &Call| match call {
                Call::Open(_) | Call::Write(_) | Call::Mkdir(_) => Act::Fail(Errno::ENOSPC),
                Call::Rename(..) | Call::Remove(_) => Act::Fail(Errno::EROFS),
                Call::Sync(_) | Call::Lock(_) => Act::Fail(Errno::EIO),
            };
            let Some((call, ended)) = stage.stopped(verb, nth, fails) else { break };
            let why = format!("{start:?}, {verb}, failed at {nth}: {call:?}: {}", ended.errors);
            stage.starts(&why);
            if ended.code != Some(0) {
                assert!(ended.errors.starts_with("error: ZC11") && ended.errors.lines().count() == 1, "{why}");
                let undone = files(&stage.rig) == stage.first || stage.rig.path("prefix/pending.json").exists();
                // Once containerd has confirmed it, it is not undone any more.
                assert!(undone || stage.rig.restarts() == 1, "{why}");
            }
            ok(&stage.rig.install());
            stage.has_one_block(&why);
            ok(&stage.rig.uninstall());
            stage.is_bare(&why);
        }
    }
}

/// A folder of configurations that cannot be written: containerd has nothing new to read and is left alone, or every try of the
/// installer's pod would restart it. A template is not shown to containerd, for which a file would have been needed too.
#[test]
fn a_folder_that_cannot_be_written_restarts_nothing() {
    for name in ["config.toml", "config-v3.toml.tmpl"] {
        let rig = Rig::new(name, BARE);
        let etc = rig.path("etc");
        let ended = traced::run(&rig.command("install"), &rig.path(""), &mut |call| match call {
            Call::Open(path) if path.starts_with(&etc) => Act::Fail(Errno::EROFS),
            _ => Act::Go,
        });
        assert_eq!(ended.code, Some(1), "{}", ended.errors);
        assert!(ended.errors.starts_with("error: ZC1107") && ended.errors.contains("Read-only"), "{}", ended.errors);
        assert_eq!((rig.text().as_str(), rig.restarts()), (BARE, 0));
        assert!(!rig.path("prefix/pending.json").exists(), "{name}");
    }
}

/// An uninstallation ends and removes the lock's file, between the moment when the next run has opened it and the moment when it locks it.
#[test]
fn a_lock_that_is_removed_meanwhile_is_taken_anew() {
    let stage = Stage::at(Start::Bare);
    let lock = stage.rig.path("prefix/lock");
    let (mut locked, mut other) = (0, None);
    let ended = traced::run(&stage.rig.command("install"), &stage.rig.path(""), &mut |call| {
        if *call == Call::Lock(lock.clone()) {
            locked += 1;
            if locked == 1 {
                fs::remove_file(&lock).unwrap();
            }
        }
        // At work: nobody else may be. Another configuration, since that has a lock of its own.
        if matches!(call, Call::Rename(_, to) if *to == stage.rig.config) {
            let config = stage.rig.path("elsewhere/config.toml");
            let output = stage.rig.command_for("install", &config).output().unwrap();
            other = Some(output);
        }
        Act::Go
    });
    assert_eq!((ended.code, locked), (Some(0), 2), "{}", ended.errors);
    refused(&other.unwrap(), 1, "ZC1109");
}

/// Two installations with programs in different folders want to change one configuration.
#[test]
fn one_at_a_time_for_a_configuration() {
    let stage = Stage::at(Start::Bare);
    let mut other = None;
    let ended = traced::run(&stage.rig.command("install"), &stage.rig.path(""), &mut |call| {
        if matches!(call, Call::Rename(_, to) if *to == stage.rig.config) {
            other =
                Some(stage.rig.command_with("install", &stage.rig.path("other"), &stage.rig.config).output().unwrap());
        }
        Act::Go
    });
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    refused(&other.unwrap(), 1, "ZC1109");
}

/// What a power failure could take away: what was written and not synced, by path.
#[derive(Default)]
struct Unsynced {
    /// Files and folders whose own bytes or mode are not on the disk.
    contents: BTreeSet<PathBuf>,
    /// Names that their folder does not have, or still has, on the disk.
    names: BTreeSet<PathBuf>,
}

impl Unsynced {
    fn see(&mut self, call: &Call) {
        match call {
            // Made or not, nobody sees from here.
            Call::Open(path) => {
                if !path.exists() {
                    self.names.insert(path.clone());
                }
                self.contents.insert(path.clone());
            }
            Call::Write(path) => drop(self.contents.insert(path.clone())),
            Call::Mkdir(path) => {
                if !path.exists() {
                    self.names.insert(path.clone());
                }
            }
            Call::Remove(path) => {
                self.contents.remove(path);
                self.names.insert(path.clone());
            }
            Call::Rename(from, to) => {
                for set in [&mut self.contents, &mut self.names] {
                    *set = set
                        .iter()
                        .map(|path| path.strip_prefix(from).map_or_else(|_| path.clone(), |rest| to.join(rest)))
                        .collect();
                }
                self.names.insert(to.clone());
            }
            Call::Sync(path) => {
                self.contents.remove(path);
                self.names.retain(|name| name.parent() != Some(path));
            }
            Call::Lock(_) => {}
        }
    }

    fn below(&self, folder: &Path) -> Vec<&PathBuf> {
        self.contents.iter().chain(&self.names).filter(|path| path.starts_with(folder)).collect()
    }
}

/// The programs are on the disk before a configuration names them, with every folder above them that was made; so is the note of
/// what was there before. And the programs go after the configuration that names them.
#[test]
fn what_a_power_failure_leaves_can_start() {
    let stage = Stage::at(Start::Bare);
    let (prefix, config) = (stage.rig.path("prefix"), stage.rig.config.clone());
    // The lock needs no disk.
    let lock = prefix.join("lock");
    let (mut unsynced, mut named) = (Unsynced::default(), 0);
    let ended = traced::run(&stage.rig.command("install"), &stage.rig.path(""), &mut |call| {
        if matches!(call, Call::Rename(_, to) if *to == config) {
            named += 1;
            let left: Vec<_> = unsynced.below(&prefix).into_iter().filter(|path| **path != lock).collect();
            assert!(left.is_empty(), "not on the disk when the configuration names it: {left:?}");
        }
        unsynced.see(call);
        Act::Go
    });
    assert_eq!((ended.code, named), (Some(0), 1), "{}", ended.errors);
    let left = unsynced.below(&stage.rig.path("etc"));
    assert!(left.is_empty(), "the configuration: {left:?}");

    // Programs alone that were missing: nothing else is written then.
    let version = stage.rig.versions().remove(0);
    fs::remove_dir_all(&version).unwrap();
    let mut unsynced = Unsynced::default();
    let ended = traced::run(&stage.rig.command("install"), &stage.rig.path(""), &mut |call| {
        unsynced.see(call);
        Act::Go
    });
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let left = unsynced.below(&version);
    assert!(version.exists() && left.is_empty(), "the programs: {left:?}");

    let (mut unsynced, mut removed) = (Unsynced::default(), 0);
    let ended = traced::run(&stage.rig.command("uninstall"), &stage.rig.path(""), &mut |call| {
        if matches!(call, Call::Rename(from, _) if *from == version) {
            removed += 1;
            let left = unsynced.below(&stage.rig.path("etc"));
            assert!(left.is_empty(), "removed while the configuration on the disk names them: {left:?}");
        }
        unsynced.see(call);
        Act::Go
    });
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert_eq!(removed, 1);
}
