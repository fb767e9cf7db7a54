//! `zerocap install node` and `zerocap uninstall node`: the only commands that change a node.

pub mod args;
mod block;
mod change;
mod containerd;
pub mod driver;
mod enter;
mod file;
mod floor;
mod lock;
mod pending;
mod places;
mod programs;
mod record;
mod selftest;
pub mod turn;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use zerocap_annotations::{ZcError, code};

use crate::failure::Failure;
use crate::out::{out, outln};
use args::{Install, Node, Output, Place, RemoveNode, Uninstall, What, WhatToRemove};
use block::Wanted;
use change::Change;
use driver::Driver;
use enter::Kept;
use lock::Lock;
use pending::Pending;
use programs::Programs;
use record::Record;
use turn::Turn;

/// What was done, for `--output json`.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// The folder of the programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<PathBuf>,
    /// The files of containerd's configuration that were changed; none if they were right already.
    changed: Vec<PathBuf>,
    /// Whether containerd was restarted.
    restarted: bool,
    /// Whether a confined container was started to see that it is.
    #[serde(rename = "self-test")]
    self_test: bool,
    /// Whether the floor file was written or removed.
    floor: bool,
    /// Versions that stay because pods run on them, or another containerd's configuration names them.
    kept: Vec<PathBuf>,
}

/// `zerocap install`.
pub fn install(arguments: &Install) -> Result<ExitCode, Failure> {
    match &arguments.what {
        What::Node(node) => install_node(node),
        // What the installer's pod does after its work. A signal ends it.
        What::Stay => loop {
            std::thread::park();
        },
    }
}

/// `zerocap uninstall`.
pub fn uninstall(arguments: &Uninstall) -> Result<ExitCode, Failure> {
    let WhatToRemove::Node(node) = &arguments.what;
    uninstall_node(node)
}

fn install_node(node: &Node) -> Result<ExitCode, Failure> {
    let place = &node.place;
    // 1. What is there, and what should be there. Nothing is touched.
    let floor = floor::wanted(node.floor.as_deref()).map_err(Failure::bad_input)?;
    let from = match &node.from {
        Some(folder) => folder.clone(),
        None => own_folder().map_err(|error| Failure::bad_input(failed(Path::new("/proc/self/exe"), &error)))?,
    };
    let turn = Turn::prepare(&place.turn).map_err(Failure::bad_input)?;
    let from = enter_with(place, from)?;
    let programs = Programs::of(from.path()).map_err(Failure::bad_input)?;
    let folder = programs.place(&place.prefix);
    let shim = folder.join(programs::SHIM);
    let driver = Driver::of(node.cgroup_driver, place);
    let wanted = Wanted { shim: &shim, engine: &node.engine, driver };
    let anew = || Change::to_install(&place.config, &known(place)?, wanted);
    if node.dry_run {
        out!("{}", anew().map_err(Failure::bad_input)?.diff());
        return Ok(ExitCode::SUCCESS);
    }
    anew().map_err(Failure::bad_input)?;
    floor::may_write(floor.as_deref()).map_err(Failure::refused)?;

    // 2. One at a time, and what is decided is decided then; programs first, since the configuration names them.
    let _lock = Lock::take(&place.prefix, &place.config).map_err(Failure::refused)?;
    sweep(place).map_err(Failure::refused)?;
    let mut change = anew().map_err(Failure::bad_input)?;
    let mut floor = floor::Change::to(floor).map_err(Failure::refused)?;
    let copied = programs.copy(&place.prefix).map_err(Failure::refused)?;

    // 3. containerd's opinion, 4. floor and configuration, the restart, 5. a container, or everything as it was.
    let test = || match node.no_self_test {
        true => Ok(()),
        false => selftest::run(place, &folder, &node.engine, driver),
    };
    let seen = |trouble| (code::install::SELF_TEST, trouble);
    let made = Made { change: &mut change, floor: Some(&mut floor), wanted: Some(wanted) };
    let applied = apply(place, made, anew, turn, || test().map_err(seen)).map_err(Failure::refused)?;
    let restarted = applied == Applied::WithRestart;
    let note = Record::passed(&folder);
    let tested = !node.no_self_test && (applied != Applied::Nothing || !note.stands());
    if tested
        && applied == Applied::Nothing
        && let Err(trouble) = test()
    {
        record::remove().map_err(Failure::refused)?;
        let instead = "look at these words and at `zerocap check`; the configuration was right already and stays";
        return Err(Failure::refused(ZcError::new(code::install::SELF_TEST, trouble, instead)));
    }
    if tested {
        note.write().map_err(Failure::refused)?;
    }

    // 6. Versions that nothing uses any more.
    let kept = programs::sweep(&place.prefix, Some(&folder), &others(place)?).map_err(Failure::refused)?;
    tell(
        place,
        &Done {
            programs: copied.then_some(folder),
            changed: change.changed(),
            restarted,
            self_test: tested,
            floor: floor.is_needed(),
            kept,
        },
    );
    Ok(ExitCode::SUCCESS)
}

fn uninstall_node(node: &RemoveNode) -> Result<ExitCode, Failure> {
    let place = &node.place;
    let turn = Turn::prepare(&place.turn).map_err(Failure::bad_input)?;
    let _view = enter_with(place, PathBuf::from("/"))?;
    let anew = || Change::to_uninstall(&place.config, &known(place)?);
    // Somebody may have removed the programs alone.
    if !place.prefix.is_dir() && !anew().map_err(Failure::bad_input)?.is_needed() {
        if node.if_installed {
            outln!("nothing is installed");
            return Ok(ExitCode::SUCCESS);
        }
        let what = format!("{} is not there", place.prefix.display());
        return Err(Failure::refused(ZcError::new(
            code::install::NOT_INSTALLED,
            what,
            "name the folder with --prefix",
        )));
    }
    let lock = Lock::take(&place.prefix, &place.config).map_err(Failure::refused)?;
    sweep(place).map_err(Failure::refused)?;
    // Without its note a node loses its label, and gets no new pods while the last ones end.
    record::remove().map_err(Failure::refused)?;
    let left = |what| Failure::refused(ZcError::new(code::install::SELF_TEST, what, "remove that container with ctr"));
    selftest::clear(place).map_err(left)?;
    unused(place).map_err(|(code, what)| Failure::refused(ZcError::new(code, what, DRAIN)))?;
    let mut change = anew().map_err(Failure::bad_input)?;
    // A pod may have started meanwhile.
    let made = Made { change: &mut change, floor: None, wanted: None };
    let applied = apply(place, made, anew, turn, || unused(place)).map_err(Failure::refused)?;
    // The floor goes last: until here a pod could have started under it.
    let floor = floor::Change::to(None).map_err(Failure::refused)?;
    floor.make().map_err(Failure::refused)?;
    let kept = programs::sweep(&place.prefix, None, &others(place)?).map_err(Failure::refused)?;
    record::forget();
    lock.remove(kept.is_empty());
    let changed = change.changed();
    let restarted = applied == Applied::WithRestart;
    tell(place, &Done { programs: None, changed, restarted, self_test: false, floor: floor.is_needed(), kept });
    Ok(ExitCode::SUCCESS)
}

const DRAIN: &str = "delete or drain the pods with our RuntimeClasses, then uninstall again";

/// No pod runs on our programs.
fn unused(place: &Place) -> Result<(), Trouble> {
    match programs::shims(&place.prefix) {
        Ok(0) => Ok(()),
        Ok(shims) => Err((code::install::PODS_RUN, format!("{shims} shims run from {}", place.prefix.display()))),
        Err(error) => Err((error.code, error.message)),
    }
}

/// Keeps a folder of this view open, and enters the one that was asked for.
fn enter_with(place: &Place, folder: PathBuf) -> Result<Kept, Failure> {
    let Some(pid) = place.enter else { return Ok(Kept::plain(folder)) };
    let kept = Kept::open(&folder).map_err(Failure::bad_input)?;
    enter::enter(pid).map_err(Failure::refused)?;
    Ok(kept)
}

/// What goes wrong after a change, and its code.
type Trouble = (code::Code, String);

/// What is to be made.
struct Made<'a> {
    change: &'a mut Change,
    floor: Option<&'a mut floor::Change>,
    /// What containerd's reading of the configuration must show.
    wanted: Option<Wanted<'a>>,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
enum Applied {
    Nothing,
    /// The floor alone: the next pod's shim reads it.
    WithoutRestart,
    WithRestart,
}

/// Changes floor and configuration, restarts containerd, and undoes it all if containerd does not come back or `test` fails. The
/// change is decided `anew` once it is this node's turn, for which it may have waited long.
fn apply(
    place: &Place,
    made: Made<'_>,
    anew: impl Fn() -> Result<Change, ZcError>,
    turn: Turn,
    test: impl Fn() -> Result<(), Trouble>,
) -> Result<Applied, ZcError> {
    let Made { change, mut floor, wanted } = made;
    let restarts = change.is_needed() || Pending::is_there(&place.prefix);
    if !restarts && !floor.as_ref().is_some_and(|floor| floor.is_needed()) {
        places::note(&place.prefix, &place.config, change.places())?;
        return Ok(Applied::Nothing);
    }
    let mine = if restarts { Some(turn.wait()?) } else { None };
    *change = anew()?;
    Pending::resume(&place.prefix, &place.config, change, floor.as_deref_mut())?;
    let floor = floor.as_deref();
    if let (Some(wanted), Some(text)) = (wanted.filter(|_| restarts), change.to_check()) {
        containerd::accepts(place, text, wanted)?;
    }
    let restart = |code| match restarts {
        true => containerd::restart(place).map_err(|trouble| (code, trouble)),
        false => Ok(()),
    };
    let pending = Pending::begin(&place.prefix, &place.config, change, floor)?;
    // The floor holds for the first pod already.
    let written =
        floor.map_or(Ok(()), floor::Change::make).and_then(|()| if restarts { change.make() } else { Ok(()) });
    let unwritten = written.is_err();
    let works = written
        .map_err(|error| (error.code, error.message))
        .and_then(|()| restart(code::install::ROLLED_BACK))
        .and_then(|()| test());
    let Err((code, trouble)) = works else {
        places::note(&place.prefix, &place.config, change.places())?;
        pending.end()?;
        if let Some(mine) = mine {
            mine.end();
        }
        return Ok(if restarts { Applied::WithRestart } else { Applied::WithoutRestart });
    };
    let (undone, floor) = (change.undo(), floor.map_or(Ok(()), floor::Change::undo));
    let undone = floor.and(undone).map_err(|error| {
        ZcError::new(error.code, format!("{trouble}; undoing it: {}", error.message), "correct that, and run it again")
    })?;
    // A containerd that has read nothing new goes on: where a disk is full, every further try would restart it.
    let again =
        if unwritten && !undone && !change.is_begun() { Ok(()) } else { restart(code::install::ROLLBACK_FAILED) };
    let (code, what) = match again {
        Ok(()) => {
            pending.end()?;
            (code, trouble)
        }
        Err((code, again)) => (code, format!("{trouble}; with the former configuration: {again}")),
    };
    Err(ZcError::new(code, what, "configuration and floor are what they were; look at containerd's log"))
}

/// The files that earlier runs wrote, or began to write, for this configuration.
fn known(place: &Place) -> Result<Vec<PathBuf>, ZcError> {
    let mut files = places::of(&place.prefix, &place.config)?;
    files.extend(Pending::files(&place.prefix, &place.config)?);
    Ok(files)
}

/// Removes what a killed run was writing.
fn sweep(place: &Place) -> Result<(), ZcError> {
    let files = known(place)?;
    let folders = files.iter().chain([&place.config]).filter_map(|file| file.parent()).chain([place.prefix.as_path()]);
    folders.into_iter().try_for_each(|folder| file::sweep(folder).map_err(|error| failed(folder, &error)))
}

/// What files of other configurations say.
fn others(place: &Place) -> Result<Vec<String>, Failure> {
    places::of_others(&place.prefix, &place.config).map_err(Failure::refused)
}

fn tell(place: &Place, done: &Done) {
    if place.output == Output::Json {
        match serde_json::to_string_pretty(done) {
            Ok(text) => outln!("{text}"),
            Err(error) => eprintln!("error: {error}"),
        }
        return;
    }
    if let Some(folder) = &done.programs {
        outln!("programs: {}", folder.display());
    }
    for file in &done.changed {
        outln!("changed: {}", file.display());
    }
    if done.changed.is_empty() {
        outln!("{} is right already", place.config.display());
    }
    if done.restarted {
        outln!("containerd was restarted and answers");
    }
    if done.floor {
        outln!("changed: {}", zerocap_node::floor::FLOOR_FILE);
    }
    if done.self_test {
        outln!("a container was started, and is confined");
    }
    for folder in &done.kept {
        outln!("kept, since pods run on it or another configuration names it: {}", folder.display());
    }
}

fn own_folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program.parent().map(Path::to_owned).ok_or_else(|| io::Error::other("this program lies in no folder"))
}

/// A file of the node that could not be written or read.
fn failed(file: &Path, error: &io::Error) -> ZcError {
    ZcError::new(
        code::install::NODE_WRITE,
        format!("{}: {error}", file.display()),
        "look at permissions, space and read-only mounts",
    )
}
