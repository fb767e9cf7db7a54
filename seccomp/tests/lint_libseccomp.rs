//! Names that the installed libseccomp does not know are those that the linter says it does not know (SL16).

// The rest of it is for the comparison of filters.
#[allow(dead_code)]
mod libseccomp;

use libseccomp::Libseccomp;
use serde_json::json;
use zerocap_seccomp::lint::{Options, lint};
use zerocap_seccomp::{Arch, names};

#[test]
fn names_that_are_too_new_are_named() {
    let Some(library) = Libseccomp::open() else { return };
    let version = library.version();
    let options = Options { libseccomp: Some(version), ..Options::default() };
    let mut unknown = 0;
    for call in names() {
        // Any ABI's name will do: the library knows names apart from numbers.
        if library.resolve(Arch::X86_64, call.name()) != -1 {
            continue;
        }
        unknown += 1;
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{ "names": [call.name()], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }] });
        let report = lint("profile.json", profile.to_string().as_bytes(), &options).expect("a profile");
        let said =
            report.findings.iter().any(|finding| finding.rule.id == "SL16" && finding.kernel.contains("does not know"));
        assert!(said, "libseccomp {version:?} does not know {}", call.name());
    }
    println!("libseccomp {version:?} does not know {unknown} names");
    // A version from before the table knows none of it.
    let options = Options { libseccomp: Some((2, 5, 0)), ..Options::default() };
    let profile =
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mseal"], "action": "SCMP_ACT_ERRNO" }] }"#;
    let report = lint("profile.json", profile.as_bytes(), &options).expect("a profile");
    assert!(report.findings.iter().any(|finding| finding.rule.id == "SL16"));
}
