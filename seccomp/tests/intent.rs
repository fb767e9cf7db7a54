//! The compiled presets mean what their TOML says: every number, every ABI, every class of arguments.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{assert_means, run};
use zerocap_seccomp::intent::{Intent, arguments, constant, constants};
use zerocap_seccomp::preset::{LastLayer, Preset, last_layer, refused_names};
use zerocap_seccomp::walk::on_bitmap;
use zerocap_seccomp::{Action, Arch, Condition, Gate, SeccompData, Test, Width, check, compile, lookup, names};

fn intent(preset: Preset) -> Intent {
    let text = |name: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("presets/{name}.toml"))).ok()
    };
    Intent::parse_with(&text(preset.name()).expect("the preset is there"), &text).expect("the preset can be read")
}

fn variants() -> impl Iterator<Item = (LastLayer, Arch, Intent)> {
    LastLayer::all().flat_map(|layer| Arch::NATIVE.map(|arch| (layer, arch, intent(layer.preset))))
}

#[test]
fn built_in_filters_mean_their_toml() {
    for (layer, native, intent) in variants() {
        let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
        let program = last_layer(native, &layer).expect("a native architecture");
        let compared = assert_means(program.insns, &intent.profile(native, &on), native, 2_000, &format!("{layer:?}"));
        assert!(compared > 20_000, "{compared}");
        assert_eq!(check(program.insns), Ok(()), "{layer:?} {native:?}");
        assert!(program.insns.len() <= 400, "{layer:?}: {} instructions", program.insns.len());
    }
}

/// Every call that x86-64 or aarch64 has is decided by a line of its own: an update of the tables makes this fail until
/// somebody has looked at the new calls.
#[test]
fn every_known_call_has_a_reason() {
    // `minimal` is a short list on purpose, and what `sandbox-blocklist` does not name is allowed on purpose.
    for preset in [Preset::General, Preset::Strict, Preset::ModelBackend] {
        let intent = intent(preset);
        let written: BTreeSet<&str> = intent.reasons().map(|(name, _)| name).collect();
        let native = names().filter(|call| Arch::NATIVE.iter().any(|arch| call.number(*arch).is_some()));
        let missing: Vec<_> = native.map(|call| call.name()).filter(|name| !written.contains(name)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "{preset:?}");
    }
}

#[test]
fn unconditional_calls_are_on_the_kernels_bitmap() {
    for (layer, native, intent) in variants() {
        let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
        let program = last_layer(native, &layer).expect("a native architecture");
        let mut cached = 0;
        for call in names() {
            let Some(number) = call.number(native) else { continue };
            let always = intent.decision(call, &on).unconditional() == Some(Action::Allow);
            assert_eq!(on_bitmap(program.insns, native, number), always, "{} {layer:?}", call.name());
            cached += usize::from(always);
        }
        assert!(cached > 200 || layer.preset != Preset::General, "{cached}");
    }
}

#[test]
fn refused_names_are_refused_whatever_the_arguments() {
    for (layer, native, _) in variants() {
        let program = last_layer(native, &layer).expect("a native architecture");
        let refused = refused_names(&layer);
        assert!(refused.windows(2).all(|pair| pair[0] < pair[1]));
        for name in refused {
            let Some(nr) = lookup(name).expect("a known name").number(native) else { continue };
            for fill in [0, 1, u64::MAX - 1, 0x5555_5555_5555_5555] {
                let data = SeccompData { nr, arch: native.audit(), instruction_pointer: 0, args: [fill; 6] };
                assert!(run(program.insns, &data).refuses(), "{name} {layer:?}");
            }
        }
        if layer.preset == Preset::General {
            assert_eq!(refused.contains(&"listen"), layer.platform && !layer.listen);
            assert!(!refused.contains(&"socket"));
        }
        assert!(refused.contains(&"io_uring_setup") && refused.contains(&"ptrace") && !refused.contains(&"read"));
    }
}

/// Constants of the C library have the same values; those that it lacks are counted, so that the test cannot go blind.
#[test]
fn constants_are_the_kernels() {
    macro_rules! libc_constants {
        ($($name:ident)*) => { [$((stringify!($name), libc::$name as i64 as u64)),*] };
    }
    let known = libc_constants![
        AF_UNIX AF_INET AF_INET6 AF_NETLINK SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_SEQPACKET NETLINK_ROUTE MSG_FASTOPEN
        IPPROTO_IP IPPROTO_ICMP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 SOL_SOCKET SOL_NETLINK SO_REUSEADDR SO_BROADCAST SO_SNDBUF
        SO_RCVBUF SO_KEEPALIVE SO_OOBINLINE SO_LINGER SO_REUSEPORT SO_PASSCRED SO_RCVLOWAT SO_SNDLOWAT SO_RCVTIMEO
        SO_SNDTIMEO SO_TIMESTAMP SO_PASSSEC SO_TIMESTAMPNS SO_RXQ_OVFL SO_PEEK_OFF SO_INCOMING_CPU SO_ZEROCOPY
        TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2 TCP_DEFER_ACCEPT
        TCP_WINDOW_CLAMP TCP_QUICKACK TCP_CONGESTION TCP_USER_TIMEOUT TCP_NOTSENT_LOWAT TCP_INQ IP_TOS IP_TTL
        IP_PKTINFO IP_MTU_DISCOVER IP_RECVERR IP_RECVTTL IP_RECVTOS IP_BIND_ADDRESS_NO_PORT IP_MULTICAST_ALL IPV6_UNICAST_HOPS IPV6_MULTICAST_HOPS IPV6_MULTICAST_ALL
        IPV6_MTU_DISCOVER IPV6_RECVERR IPV6_V6ONLY IPV6_RECVPKTINFO IPV6_RECVTCLASS IPV6_TCLASS NETLINK_ADD_MEMBERSHIP
        NETLINK_DROP_MEMBERSHIP NETLINK_PKTINFO NETLINK_BROADCAST_ERROR NETLINK_NO_ENOBUFS NETLINK_CAP_ACK
        CLONE_THREAD CLONE_NEWNS CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET AT_EMPTY_PATH
        MFD_HUGETLB MFD_NOEXEC_SEAL PROT_EXEC TCGETS TIOCGWINSZ FIONREAD TIOCSTI TIOCLINUX TIOCCONS PR_SCHED_CORE RLIMIT_CORE PRIO_PROCESS PRIO_PGRP
        SOCK_NONBLOCK SOCK_CLOEXEC CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PTRACE CLONE_VFORK CLONE_PARENT
        O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_CLOEXEC
        PROT_NONE PROT_READ PROT_WRITE MAP_SHARED MAP_PRIVATE MAP_FIXED MAP_ANONYMOUS
        EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN
        ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL
        ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM
        ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ECHRNG EL2NSYNC
        EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC
        EBADSLT EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV
        ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC
        ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE
        EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH
        ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN
        EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM
        EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON
    ];
    let compared: BTreeSet<&str> = known.iter().map(|(name, _)| *name).collect();
    for (name, value) in known {
        let ours = constants().find(|(ours, _)| *ours == name).map(|(_, value)| value);
        assert_eq!(ours, Some(value), "{name}");
    }
    let rest: Vec<_> = constants().map(|(name, _)| name).filter(|name| !compared.contains(name)).collect();
    // Values from linux/socket.h, linux/in.h, linux/netlink.h, asm-generic/ioctls.h, linux/personality.h and
    // linux/ioprio.h, which libc lacks.
    let by_hand = [
        ("SO_TIMESTAMP_NEW", 63),
        ("SO_TIMESTAMPNS_NEW", 64),
        ("SO_RCVTIMEO_NEW", 66),
        ("SO_SNDTIMEO_NEW", 67),
        ("SO_PASSPIDFD", 76),
        ("IP_LOCAL_PORT_RANGE", 51),
        ("NETLINK_EXT_ACK", 11),
        ("NETLINK_GET_STRICT_CHK", 12),
        ("TIOCSETD", 0x5423),
        ("PER_LINUX", 0),
        ("PER_LINUX32", 8),
        ("UNAME26", 0x0002_0000),
        ("IOPRIO_WHO_PROCESS", 1),
        ("IOPRIO_WHO_PGRP", 2),
    ];
    assert_eq!(rest, by_hand.map(|(name, _)| name));
    for (name, value) in by_hand {
        assert_eq!(constant(name), Some(value), "{name}");
    }
    assert_eq!(constant("AF_NOTHING"), None);
}

#[test]
fn argument_tables_give_width_by_meaning() {
    assert_eq!(
        arguments("socket").iter().map(|argument| argument.name).collect::<Vec<_>>(),
        ["domain", "type", "protocol"]
    );
    assert!(arguments("socket").iter().all(|argument| argument.width == Width::W32));
    assert!(arguments("no_such_call").is_empty());
}

/// A profile in TOML around one line, to test what the reader refuses.
fn with(line: &str) -> Result<Intent, String> {
    let text = format!(
        "version = 1\nsummary = \"s\"\nknobs = [\"k\"]\n[answers]\nknown = \"EPERM\"\nunknown = \"ENOSYS\"\nforeign = \"ENOSYS\"\n{line}\n"
    );
    Intent::parse(&text).map_err(|error| error.to_string())
}

#[test]
fn mistakes_are_named() {
    for (line, expected) in [
        ("[allow]\nraed = \"why\"", "allow.raed: no system call has this name; did you mean read?"),
        ("[allow]\nread = \"\"", "allow.read: every line needs a reason"),
        ("[allow]\nread = 1", "allow.read: expected the reason as a string, or a table with conditions"),
        ("[allow]\nchown32 = \"why\"", "allow.chown32: neither x86_64 nor aarch64 has this call"),
        (
            "[allow]\nread = \"a\"\n[refuse.EPERM]\nread = \"b\"",
            "refuse.EPERM.read: this call is decided elsewhere in the file as well",
        ),
        (
            "[refuse.EWHAT]\nread = \"b\"",
            "refuse.EWHAT: EWHAT is neither an errno nor allow, log, trap, kill-thread, kill-process",
        ),
        (
            "[allwo]",
            "allwo: unknown key; known are: version, summary, base, knobs, on, answers, allow, deny, refuse, conditional, arch; \
             did you mean allow?",
        ),
        (
            "[conditional.socket]\nwhy = \"w\"\notherwise = \"EPERM\"\nwhen = [{ familie = 1 }]",
            "conditional.socket.when[0].familie: socket has no such argument; it has: domain, type, protocol",
        ),
        (
            "[conditional.socket]\nwhy = \"w\"\notherwise = \"EPERM\"\nwhen = [{ domain = \"AF_UNIC\" }]",
            "conditional.socket.when[0].domain: no constant is called AF_UNIC; did you mean AF_UNIX?",
        ),
        (
            "[conditional.socket]\nwhy = \"w\"\notherwise = \"EPERM\"\nwhen = [{ domain = 0x100000001 }]",
            "conditional.socket.when[0].domain: the argument has 32 bits, the value more",
        ),
        (
            "[conditional.socket]\nwhy = \"w\"\notherwise = \"EPERM\"\nwhen = [{ domain = { is = 1, not = 2 } }]",
            "conditional.socket.when[0].domain: write exactly one of: is, not, in, mask, none-of, any-of, all-of, only",
        ),
        (
            "[conditional.socket]\nwhy = \"w\"\notherwise = \"EPERM\"\nwhen = [{ if = [\"l\"] }]",
            "conditional.socket.when[0].if: the profile has no knob l",
        ),
        (
            "[conditional.socket]\nwhy = \"w\"\notherwise = \"EPERM\"",
            "conditional.socket.when: is missing; write an array of tables",
        ),
    ] {
        // tests/lists.rs looks at the places.
        let found = with(line).map(|_| ()).map_err(|error| error.split_once(": ").unwrap_or_default().1.to_owned());
        assert_eq!(found, Err(expected.to_owned()), "{line}");
    }
    assert!(with("[allow\n").is_err_and(|error| error.contains("line 8")));
    assert!(with("[allow]\nread = \"a\"\nread = \"b\"").is_err());
    assert!(Intent::parse("").is_err_and(|error| error.to_string().starts_with("line 1, column 1: version: ")));
}

#[test]
fn every_way_to_write_a_condition() {
    let intent = with(
        "[conditional.socket]\nwhy = \"w\"\notherwise = \"EACCES\"\nwhen = [\
         { domain = { is = 3, mask = 7 }, then = \"log\" }, { domain = { not = 4 }, type = 1, then = \"trap\" }, \
         { type = { only = [1, 2] }, protocol = { all-of = [4, 8] }, then = \"kill-process\" }, \
         { protocol = { none-of = [1] }, if = [\"k\"], then = \"kill-thread\" }, { why = \"rest\", unless = [\"k\"] }]",
    )
    .expect("all of it is right");
    let socket = lookup("socket").expect("a known name");
    let plain = intent.decision(socket, &BTreeSet::new());
    let knob = intent.decision(socket, &BTreeSet::from(["k"]));
    let high = 0xffff_ffff_0000_0000;
    for (args, without, with) in [
        ([0xb | high, 0, 0], Action::Log, Action::Log),
        ([0, 1 | high, 0], Action::Trap, Action::Trap),
        ([4, 3, 12], Action::KillProcess, Action::KillProcess),
        ([4, 4, 12], Action::Allow, Action::KillThread),
        ([4, 4, 13], Action::Allow, Action::Errno(13)),
    ] {
        let args = [args[0], args[1], args[2], 0, 0, 0];
        assert_eq!(plain.action(&args), without, "{args:x?}");
        assert_eq!(knob.action(&args), with, "{args:x?}");
    }
    let program =
        compile(&intent.profile(Arch::X86_64, &BTreeSet::from(["k"])), Arch::X86_64, Gate::None).expect("small");
    assert_means(&program.insns, &intent.profile(Arch::X86_64, &BTreeSet::from(["k"])), Arch::X86_64, 20_000, "ways");
}

#[test]
fn a_condition_beyond_the_sixth_argument_cannot_be_made() {
    assert!(Condition::new(6, Width::W64, Test::Eq(0)).is_none());
    assert!(Condition::new(5, Width::W64, Test::Eq(0)).is_some());
}

#[test]
fn a_profile_built_on_another_keeps_its_other_lines() {
    let base = |name: &str| {
        (name == "b").then(|| {
            "version = 1\nsummary = \"b\"\nknobs = [\"k\"]\n[answers]\nknown = \"EPERM\"\nunknown = \"ENOSYS\"\nforeign = \"trap\"\n\
             [allow]\nread = \"r\"\nwrite = \"w\"\n"
                .to_owned()
        })
    };
    let on = |name: &str| {
        format!(
            "version = 1\nsummary = \"s\"\nbase = \"{name}\"\n[answers]\nknown = \"EACCES\"\n[refuse.ENOSYS]\nwrite = \"no\"\n"
        )
    };
    let intent = Intent::parse_with(&on("b"), &base).expect("valid");
    let answer = |name: &str| intent.decision(lookup(name).expect("known"), &BTreeSet::new()).unconditional();
    assert_eq!(answer("read"), Some(Action::Allow));
    assert_eq!(answer("write"), Some(Action::Errno(38)));
    assert_eq!(answer("open"), Some(Action::Errno(13)));
    assert_eq!(intent.profile(Arch::X86_64, &BTreeSet::new()).foreign, Action::Trap);
    assert_eq!(intent.knobs, ["k"]);
    let error = |text: &str, base: &dyn Fn(&str) -> Option<String>| {
        Intent::parse_with(text, base).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(error(&on("c"), &base), Err("line 3, column 8: base: there is no profile c".to_owned()));
    assert!(error(&on("b"), &|_| Some(on("b"))).is_err_and(|error| error.contains("more than 4 profiles")));
}
