//! The plan's format: what goes in comes out, and nothing else is a plan.

mod common;

use proptest::prelude::*;
use zerocap_plan::{
    CookieSite, DecodeError, Filter, Insn, Landlock, LaunchPlan, MAX_FILTERS, MAX_INSNS, MAX_PATH_BYTES, MAX_PATHS,
    MAX_PLAN, Missing, PathRule, PlanError, PlanView, PortRule, Role, VERSION,
};

const RETURN: Insn = Insn { code: 6, jt: 0, jf: 0, k: 0 };

fn bare() -> LaunchPlan {
    LaunchPlan {
        role: Role::Init,
        landlock: None,
        forbidden_connect: None,
        native_abi_only: false,
        filters: Vec::new(),
    }
}

fn full() -> LaunchPlan {
    LaunchPlan {
        role: Role::Exec,
        landlock: Some(Landlock {
            handled_fs: 0xffff,
            handled_net: 3,
            scoped: 3,
            paths: vec![PathRule { path: b"/data".to_vec(), access: 7, missing: Missing::Fail }],
            ports: vec![PortRule { port: 3128, access: 2 }],
        }),
        forbidden_connect: Some(9),
        native_abi_only: true,
        filters: vec![Filter {
            insns: vec![Insn { code: 0xa4, jt: 0, jf: 0, k: 0 }, RETURN],
            cookie: vec![CookieSite { insn: 0, word: 5 }],
            spec_allow: true,
        }],
    }
}

fn with_path(path: Vec<u8>) -> LaunchPlan {
    let rule = PathRule { path, access: 1, missing: Missing::Skip };
    LaunchPlan { landlock: Some(Landlock { paths: vec![rule], ..Landlock::default() }), ..bare() }
}

fn with_filter(insns: usize, cookie: Vec<CookieSite>) -> LaunchPlan {
    LaunchPlan { filters: vec![Filter { insns: vec![RETURN; insns], cookie, spec_allow: false }], ..bare() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_plan_survives_the_journey(plan in common::plan()) {
        let bytes = plan.encode().unwrap();
        prop_assert!(bytes.len() <= MAX_PLAN);
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert_eq!(LaunchPlan::decode(&bytes).unwrap(), plan);
    }

    #[test]
    fn whatever_decodes_is_the_only_encoding_of_its_plan(
        plan in common::plan(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = plan.encode().unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(read) = LaunchPlan::decode(&bytes) {
            prop_assert_eq!(read.encode().unwrap(), bytes.clone());
        }
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(PlanView::decode(&bytes).is_err());
    }

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(PlanView::decode(&bytes).is_err());
    }

    #[test]
    fn noise_behind_a_good_header_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut bytes = full().encode().unwrap();
        bytes.truncate(48);
        bytes.extend(noise);
        let total = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&total.to_le_bytes());
        if let Ok(view) = PlanView::decode(&bytes) {
            let sites = view.filters().flat_map(|filter| filter.cookie().map(move |site| (site, filter.len())));
            for (site, insns) in sites {
                prop_assert!(usize::from(site.insn) < insns);
            }
        }
    }
}

#[test]
fn every_field_arrives() {
    let plan = full();
    assert_eq!(LaunchPlan::decode(&plan.encode().unwrap()).unwrap(), plan);
    assert_eq!(LaunchPlan::decode(&bare().encode().unwrap()).unwrap(), bare());
}

/// The launcher in the container and the shim outside may be of different releases only if this stays as it is.
#[test]
fn the_bytes_of_version_1() {
    let bytes = full().encode().unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        text,
        concat!(
            "7a63706c616e0100",
            "7800000001070900",
            "ffff000000000000",
            "0300000000000000",
            "0300000000000000",
            "0100010001000000",
            "0200000000000000",
            "380c000000000000",
            "0700000000000000",
            "0500010000000000",
            "2f64617461000000",
            "0200010001000000",
            "a400000000000000",
            "0600000000000000",
            "0000050000000000",
        )
    );
}

#[test]
fn other_versions_and_other_files_are_refused() {
    let mut bytes = full().encode().unwrap();
    bytes[6] = VERSION as u8 + 1;
    assert_eq!(PlanView::decode(&bytes).unwrap_err(), DecodeError::Version);
    bytes[0] = b'Z';
    assert_eq!(PlanView::decode(&bytes).unwrap_err(), DecodeError::Magic);
    assert_eq!(PlanView::decode(&[]).unwrap_err(), DecodeError::Length);
    assert_eq!(PlanView::decode(&vec![0; MAX_PLAN + 1]).unwrap_err(), DecodeError::Length);
}

/// Each byte of a small plan, set to each value: an error, or a plan that encodes to exactly these bytes.
#[test]
fn every_single_byte_change_is_seen() {
    let plan = full();
    let good = plan.encode().unwrap();
    for at in 0..good.len() {
        for value in 0..=255 {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(read) = LaunchPlan::decode(&bytes) {
                assert_eq!(read.encode().unwrap(), bytes, "byte {at} = {value}");
                assert_eq!(read == plan, bytes == good, "byte {at} = {value}");
            }
        }
    }
}

#[test]
fn bytes_behind_the_plan_are_refused() {
    let mut bytes = full().encode().unwrap();
    bytes.extend([0; 8]);
    assert_eq!(PlanView::decode(&bytes).unwrap_err(), DecodeError::Length);
    let total = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&total.to_le_bytes());
    assert_eq!(PlanView::decode(&bytes).unwrap_err(), DecodeError::Length);
}

#[test]
fn paths_are_bounded_on_both_sides() {
    let longest = [b"/".as_slice(), &vec![b'a'; MAX_PATH_BYTES - 1]].concat();
    let plan = with_path(longest.clone());
    assert_eq!(LaunchPlan::decode(&plan.encode().unwrap()).unwrap(), plan);
    for bad in [Vec::new(), b"data".to_vec(), b"/a\0b".to_vec(), [longest, b"a".to_vec()].concat()] {
        assert_eq!(with_path(bad.clone()).encode().unwrap_err(), PlanError::Path(bad));
    }
    let mut relative = with_path(b"/data".to_vec()).encode().unwrap();
    let at = relative.windows(5).position(|window| window == b"/data").unwrap();
    relative[at] = b'x';
    assert_eq!(PlanView::decode(&relative).unwrap_err(), DecodeError::Path);
}

#[test]
fn counts_are_bounded_on_both_sides() {
    let mut plan = with_path(b"/".to_vec());
    let rule = plan.landlock.as_ref().unwrap().paths[0].clone();
    plan.landlock.as_mut().unwrap().paths = vec![rule; MAX_PATHS];
    assert_eq!(LaunchPlan::decode(&plan.encode().unwrap()).unwrap(), plan);
    let rule = plan.landlock.as_ref().unwrap().paths[0].clone();
    plan.landlock.as_mut().unwrap().paths.push(rule);
    assert!(matches!(plan.encode().unwrap_err(), PlanError::TooMany { what: "path rules", .. }));

    let largest = with_filter(MAX_INSNS, vec![CookieSite { insn: 4095, word: 5 }]);
    assert_eq!(LaunchPlan::decode(&largest.encode().unwrap()).unwrap(), largest);
    assert!(matches!(with_filter(MAX_INSNS + 1, vec![]).encode().unwrap_err(), PlanError::TooMany { .. }));
    assert_eq!(with_filter(0, vec![]).encode().unwrap_err(), PlanError::EmptyFilter { filter: 0 });

    let mut many = largest.clone();
    many.filters = vec![many.filters[0].clone(); MAX_FILTERS];
    assert!(many.encode().unwrap().len() <= MAX_PLAN);
    many.filters.push(many.filters[0].clone());
    assert!(matches!(many.encode().unwrap_err(), PlanError::TooMany { what: "filters", .. }));
}

#[test]
fn a_plan_over_its_size_is_refused() {
    let mut plan = with_path([b"/".as_slice(), &vec![b'a'; 4000]].concat());
    let rule = plan.landlock.as_ref().unwrap().paths[0].clone();
    plan.landlock.as_mut().unwrap().paths = vec![rule; 70];
    assert!(matches!(plan.encode().unwrap_err(), PlanError::TooMany { what: "bytes", .. }));
}

#[test]
fn cookie_sites_stay_within_filter_and_cookie() {
    for site in [CookieSite { insn: 2, word: 0 }, CookieSite { insn: 0, word: 6 }] {
        assert_eq!(with_filter(2, vec![site]).encode().unwrap_err(), PlanError::CookieSite { filter: 0, site });
    }
    let good = with_filter(1, vec![CookieSite { insn: 0, word: 0 }]).encode().unwrap();
    for (from_end, value) in [(8, 1), (6, 6), (5, 1), (1, 1)] {
        let mut bytes = good.clone();
        let at = bytes.len() - from_end;
        bytes[at] = value;
        assert!(PlanView::decode(&bytes).is_err(), "byte {from_end} from the end");
    }
}

#[test]
fn errors_say_what_to_look_at() {
    let error = with_path(b"relative".to_vec()).encode().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the launch plan cannot carry the path \"relative\": it must be absolute, without NUL and at most 4095 bytes long"
    );
}
