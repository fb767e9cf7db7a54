//! Pages that show commands and what they print, in blocks of the kind `console`: each command is run as it is written, and what it
//! prints is compared. `...` stands for anything, on a line of its own at the beginning or the end for any number of lines.

use std::fs;
use std::io;

use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, node};

/// A command and what the page says that it prints.
struct Step {
    command: String,
    prints: Vec<String>,
}

/// The steps below a heading, or those of the whole page.
fn steps(page: &str, heading: Option<&str>) -> io::Result<Vec<Step>> {
    let text = fs::read_to_string(node::repository().join(page))?;
    let (mut inside, mut counts) = (false, heading.is_none());
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside && line.starts_with("## ") && heading.is_some() => {
                counts = line.strip_prefix("## ") == heading
            }
            _ if !inside || !counts => {}
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), prints: Vec::new() }),
                (None, Some(step)) => step.prints.push(line.to_owned()),
                (None, None) => return Err(io::Error::other(format!("{page}: a block begins with {line:?}"))),
            },
        }
    }
    Ok(steps)
}

/// Runs the commands of a page, in a namespace.
pub fn run(cluster: &Cluster, page: &str, heading: Option<&str>, namespace: &str) -> TestResult {
    let steps = steps(page, heading)?;
    ensure!(steps.len() > 4, "{page} shows {} commands", steps.len());
    let kubectl =
        format!("cd '{}'; kubectl() {{ command kubectl -n {namespace} \"$@\"; }}", node::repository().display());
    for step in steps {
        let line = step.command.replace("hack/cluster exec ", "");
        let output = cluster.exec(&["sh", "-c", &format!("{kubectl}\n{{ {line}\n}} 2>&1")], "")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            fits(&step.prints, &said),
            "{page}: {}\nprints\n{said}\nand not\n{}",
            step.command,
            step.prints.join("\n")
        );
    }
    Ok(())
}

/// `...` at the end of the page's lines: more may follow; at the beginning of the first one: more may come before.
fn fits(wanted: &[String], said: &str) -> bool {
    let mut lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let mut wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    if wanted.last() == Some(&"...") {
        wanted.pop();
        lines.truncate(wanted.len());
    }
    if wanted.first() == Some(&"...") {
        wanted.remove(0);
        let surplus = lines.len().saturating_sub(wanted.len());
        lines.drain(..surplus);
    }
    lines.len() == wanted.len() && wanted.iter().zip(&lines).all(|(wanted, line)| fits_line(wanted, line))
}

fn fits_line(wanted: &str, line: &str) -> bool {
    match wanted.split_once("...") {
        Some((begin, end)) => line.len() >= begin.len() + end.len() && line.starts_with(begin) && line.ends_with(end),
        None => wanted == line,
    }
}
