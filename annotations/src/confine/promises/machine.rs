//! What differs where there is no container: a program on this machine, as `zerocap run` starts it.
//!
//! Mounts, namespaces and a cgroup of one's own are a container's. What only they keep is said to be missing.

use super::{Row, View, scope};
use crate::confine::Target;
use crate::knob::Unix;
use crate::report::Fence;

pub(super) const NOTE: &str = "there is no container: files, processes and IPC of this machine are in view, and only what \
    a promise above refuses is out of reach";

impl View<'_> {
    /// What the start of a program on this machine cannot give up.
    pub(super) fn machine_privileges(&self, row: &mut Row) {
        let Target::Machine { privileged } = self.target else { return };
        if self.facts.uid == 0 {
            row.partly("uid 0 owns the files of this machine, capabilities or not: name another user with --user");
        }
        if !privileged {
            // Said, but no less than kept: no_new_privs makes the set useless.
            row.reasons.push(
                "the bounding set stays as it is, which takes CAP_SETPCAP to empty; with no_new_privs nothing is gained from it"
                    .to_owned(),
            );
        }
    }

    pub(super) fn machine_neighbours(&self) -> Row {
        let platform = self.policy.platform();
        if !platform && self.policy.unix() == Unix::Any {
            return Row::not_asked("network-enforcement is cluster");
        }
        let mut row = Row::kept();
        let signals = self.scoped & scope::SIGNAL != 0;
        self.unix(&mut row);
        if !platform {
            row.partly("network-enforcement is cluster: unix sockets only");
            return row;
        }
        self.other_processes(&mut row);
        row.fence(Fence::PrivateIpc, false, "takes a container");
        row.fence(Fence::PrivatePid, false, "takes a container");
        if !signals {
            row.partly(format!(
                "processes of the same user can be signalled: Landlock's scope (ABI 6, Linux 6.12) is missing{}",
                self.found()
            ));
        }
        if self.policy.unix() != Unix::None {
            row.partly("a service behind such a socket can be asked to act in the program's stead (systemd, D-Bus, Docker): unix: none closes that");
        }
        row.partly("System V IPC, POSIX message queues and /dev/shm are the machine's");
        row.partly("a process of the same user can be seen, its command line read, its files in /proc that need no ptrace right written");
        row
    }

    /// Who may type into the user's terminal needs no files of its own.
    pub(super) fn machine_files(&self, row: &mut Row) {
        if !self.target.in_container() && self.policy.presets().0.is_empty() {
            row.partly("without a seccomp preset the program can type into its terminal (TIOCSTI), for example: add seccomp: general");
        }
    }

    /// `filesystem: read-only` beside Landlock, which knows no chmod, chown and setxattr.
    pub(super) fn read_only_mounts(&self, row: &mut Row) {
        if self.target.in_container() {
            return row.fence(Fence::ReadOnlyMounts, true, "the root and the kubelet's files");
        }
        row.fence(Fence::ReadOnlyMounts, false, "takes a container");
        row.partly("Landlock does not refuse changes of mode, owner, times and extended attributes");
    }
}
