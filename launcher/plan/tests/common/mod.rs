//! Generated plans.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use zerocap_plan::{CookieSite, Filter, Insn, Landlock, LaunchPlan, Missing, PathRule, PortRule, Role};

/// Any plan that can be encoded.
pub fn plan() -> impl Strategy<Value = LaunchPlan> {
    let role = prop_oneof![Just(Role::Init), Just(Role::Exec)];
    (role, option::of(landlock()), any::<Option<u16>>(), any::<bool>(), vec(filter(), 0..=4)).prop_map(
        |(role, landlock, forbidden_connect, native_abi_only, filters)| LaunchPlan {
            role,
            landlock,
            forbidden_connect,
            native_abi_only,
            filters,
        },
    )
}

fn landlock() -> impl Strategy<Value = Landlock> {
    let port = (any::<u16>(), any::<u64>()).prop_map(|(port, access)| PortRule { port, access });
    (any::<u64>(), any::<u64>(), any::<u64>(), vec(path(), 0..20), vec(port, 0..20)).prop_map(
        |(handled_fs, handled_net, scoped, paths, ports)| Landlock { handled_fs, handled_net, scoped, paths, ports },
    )
}

fn path() -> impl Strategy<Value = PathRule> {
    let missing = prop_oneof![Just(Missing::Skip), Just(Missing::Fail)];
    (vec(1..=255u8, 0..40), any::<u64>(), missing).prop_map(|(mut path, access, missing)| {
        path.insert(0, b'/');
        PathRule { path, access, missing }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let insn =
        (any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()).prop_map(|(code, jt, jf, k)| Insn { code, jt, jf, k });
    (vec(insn, 1..60), vec((any::<u16>(), 0..6u8), 0..12), any::<bool>()).prop_map(|(insns, cookie, spec_allow)| {
        let sites = cookie.into_iter().map(|(insn, word)| CookieSite { insn: insn % insns.len() as u16, word });
        Filter { cookie: sites.collect(), insns, spec_allow }
    })
}
