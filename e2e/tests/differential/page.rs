//! docs/compatibility.md, made of the scenarios and the list of differences.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::allowed::List;
use crate::scenarios::Scenario;

/// Where the page is.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/compatibility.md");

/// The page as it has to be.
fn render(scenarios: &[Scenario], list: &List) -> String {
    let mut page = String::from(
        "# Compatibility with containerd-shim-runc-v2\n\n\
         Made by `UPDATE_SNAPSHOTS=1 cargo test -p zerocap-e2e --test differential`; a test holds it up to date.\n\n\
         The test is one client that speaks the shims' task API. It runs each scenario below under containerd's own shim and \
         under zerocap's, with runc and with crun; and once more under zerocap in a container with \
         `network-enforcement: platform`, where that must look the same. Everything a client can see is compared: answers with \
         all their fields, codes and messages, events in their order, exit statuses, bytes of the streams, and what is left \
         behind: mounts, cgroups, sockets, state. Process ids and times are compared by kind.\n\n\
         ## Differences\n\n\
         There are no others in these scenarios. A difference that has closed, and a list of more than ten, fail the test.\n",
    );
    let text = |text: &str| text.replace('\n', " ");
    for (number, one) in (1..).zip(&list.difference) {
        let _ = write!(page, "\n{number}. **{}** {}\n", text(&one.notice), text(&one.reason));
    }
    page.push_str("\n## Beside the task API\n\n");
    for one in &list.beside {
        let _ = writeln!(page, "* **{}** {}", text(&one.notice), text(&one.reason));
    }
    page.push_str(
        "\n## What operators notice in confined pods\n\n\
         They follow from the confinement, not from the task API; a pod without any zerocap knob shows none of them.\n\n",
    );
    for one in &list.confined {
        let _ = writeln!(page, "* **{}** {}", text(&one.notice), text(&one.reason));
    }
    page.push_str("\n## Scenarios\n\n| scenario | what happens | confined too |\n|---|---|---|\n");
    for one in scenarios {
        let _ = writeln!(page, "| `{}` | {} | {} |", one.name, one.about, if one.confined { "yes" } else { "–" });
    }
    page
}

/// Compares the page with what it has to be; writes it if that is asked for.
pub fn check(scenarios: &[Scenario], list: &List) -> Result<(), String> {
    let wanted = render(scenarios, list);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        return fs::write(PAGE, wanted).map_err(|error| error.to_string());
    }
    let there = fs::read_to_string(Path::new(PAGE)).unwrap_or_default();
    if there == wanted {
        Ok(())
    } else {
        Err("docs/compatibility.md is old: run this test with UPDATE_SNAPSHOTS=1".into())
    }
}
