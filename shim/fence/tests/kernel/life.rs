//! How long a fence lives, and what it tells of itself.

use std::process::Command;
use std::time::{Duration, Instant};

use zerocap_fence::{Attached, Hook};

use crate::foreign;
use crate::room::{Room, expect, mount, possible, rules};

#[test]
fn it_outlives_who_attached_it_and_ends_with_its_group() {
    let Some(mut room) = Room::new(&rules(&[])) else { return };
    // What the process that attached has open goes away; the programs stay.
    room.loaded = zerocap_fence::Loaded::new(&rules(&[])).expect("the fence loads");
    expect(&room.run("t('connect', lambda: tcp('10.77.0.2', 443) and 'reached')"), &["connect EACCES"]);
    let ids = room.ids.clone();
    assert!(ids.iter().all(|id| foreign::programs().contains(id)));
    drop(room);
    // The kernel frees them a moment later.
    let deadline = Instant::now() + Duration::from_secs(5);
    while ids.iter().any(|id| foreign::programs().contains(id)) {
        assert!(Instant::now() < deadline, "programs stay: {ids:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn groups_below_are_inside_and_processes_that_leave_take_their_sockets_with_them() {
    let Some(room) = Room::new(&rules(&["tcp 10.77.0.2 443"])) else { return };
    let _server = room.outside_serves(
        "s = socket.socket(); s.bind(('10.77.0.2', 443)); s.listen(9); print('ready', flush=True)\nwhile True: s.accept()",
    );
    let group = format!("{}{}", mount(), room.path());
    let results = room.run(&format!(
        r#"
os.mkdir("{group}/below")
open("{group}/below/cgroup.procs", "w").write(str(os.getpid()))
t("below", lambda: tcp("10.77.0.2", 444) and "reached")
t("below_listed", lambda: tcp("10.77.0.2", 443) and None)
old = socket.socket()
open("{root}/cgroup.procs", "w").write(str(os.getpid()))
t("old_socket", lambda: old.connect(("10.77.0.2", 444)))
"#,
        root = mount()
    ));
    expect(&results, &["below EACCES", "below_listed ok", "old_socket EACCES"]);
}

#[test]
fn what_was_refused_is_told_with_process_and_destination() {
    let Some(room) = Room::new(&rules(&[])) else { return };
    let script = r#"
import ctypes
ctypes.CDLL(None).prctl(15, b"\x1b[31mevil\n", 0, 0, 0)
for _ in range(3): t("connect", lambda: tcp("10.77.0.2", 443) and "reached")
t("bind", lambda: socket.socket().bind(("", 80)))
t("udp", lambda: udp(socket.AF_INET6).sendto(b"x", ("fd77::2", 53)) and "sent")
print("pid", os.getpid())
"#;
    let results = room.run(script);
    let attached = room.attached();
    let counters = attached.counters().expect("counters can be read");
    let times = |wanted| counters.refused.iter().find(|(hook, _)| *hook == wanted).map(|(_, times)| *times);
    assert_eq!((times(Hook::Connect), times(Hook::Bind), times(Hook::Send)), (Some(3), Some(1), Some(1)));
    let refusals = attached.reader().expect("the ring can be read").take();
    assert_eq!(refusals.len(), 5);
    assert!(refusals.windows(2).all(|two| two[0].at <= two[1].at));
    assert_eq!(refusals[0].comm, b"\x1b[31mevil\n");
    assert_eq!(refusals[0].pid.map(|pid| pid.to_string()).as_ref(), results.get("pid"));
    assert_eq!((refusals[0].address.to_canonical().to_string(), refusals[0].port), ("10.77.0.2".to_owned(), 443));
    assert!(attached.reader().expect("the ring can be read").take().is_empty(), "each is told once");
    let destinations = attached.destinations().expect("destinations can be read");
    let connect = destinations.iter().find(|d| d.port == 443).expect("it was asked for");
    assert_eq!((connect.times, connect.refused, connect.protocol), (3, true, 6));
}

#[test]
fn more_refusals_than_there_is_room_for_cost_nothing_but_their_story() {
    let Some(room) = Room::new(&rules(&[])) else { return };
    let results = room.run(
        r#"
def many():
    for port in range(1, 501):
        try: tcp("10.77.0.2", port)
        except OSError as e:
            if e.errno != errno.EACCES: return "port %d" % port
t("many", many)
"#,
    );
    expect(&results, &["many ok"]);
    let attached = room.attached();
    let counters = attached.counters().expect("counters can be read");
    let told = attached.reader().expect("the ring can be read").take().len() as u64;
    assert!(told > 20 && counters.lost > 0 && told + counters.lost == 500, "{told} {counters:?}");
    assert!(attached.destinations().expect("destinations can be read").len() <= 128);
}

#[test]
fn a_process_elsewhere_and_a_fence_that_was_taken_off_are_noticed() {
    let Some(room) = Room::new(&rules(&[])) else { return };
    let attached = room.attached();
    let mut child = Command::new("sleep").arg("100").spawn().expect("sleep runs");
    let pid = child.id().cast_signed();
    let elsewhere = attached.holds(&room.tree, pid).expect_err("it is not inside").to_string();
    assert!(elsewhere.contains(room.path()), "{elsewhere}");
    room.group().enter(pid).expect("root may move it");
    attached.holds(&room.tree, pid).expect("it is inside");
    foreign::detach(room.group(), foreign::CONNECT4, room.ids[0]).expect("root may detach");
    let gone = attached.holds(&room.tree, pid).expect_err("a program is missing").to_string();
    assert!(gone.contains("cgroup/connect4"), "{gone}");
    assert!(Attached::new(room.group(), room.ids.clone()).is_err());
    child.kill().expect("it lives");
    child.wait().expect("it is ours");
}

#[test]
fn a_groups_own_process_is_told_from_a_shared_group() {
    let Some(room) = Room::new(&rules(&[])) else { return };
    let group = room.group();
    let mut children: Vec<_> = (0..2).map(|_| Command::new("sleep").arg("100").spawn().expect("sleep runs")).collect();
    let pids: Vec<_> = children.iter().map(|child| child.id().cast_signed()).collect();
    group.enter(pids[0]).expect("root may move it");
    assert!(room.tree.is_own(&group, pids[0]).expect("it can be read"));
    group.enter(pids[1]).expect("root may move it");
    assert!(!room.tree.is_own(&group, pids[0]).expect("it can be read"));
    let root = room.tree.group("/").expect("there is a root");
    assert!(!room.tree.is_own(&root, pids[0]).expect("it can be read"), "we are below it ourselves");
    for child in &mut children {
        child.kill().expect("it lives");
        child.wait().expect("it is ours");
    }
}

/// The shim tries the fence where other threads fork: nobody may wait for another one's child.
#[test]
fn trials_at_once_do_not_hold_each_other_up() {
    if !possible() {
        return;
    }
    let trial = || (0..10).try_for_each(|_| zerocap_fence::probe().map_err(|error| error.to_string()));
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(trial)).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        assert!(Instant::now() < deadline, "a trial waits for ever");
        std::thread::sleep(Duration::from_millis(10));
    }
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), Ok(()));
    }
}
