//! What the node daemon costs a node on which nothing happens: memory, and processor time.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::node;

use super::client::Client;
use super::{PATIENCE, RUNTIMES, is_ready, pod};

/// Confined pods that run meanwhile.
const PODS: usize = 20;
/// Until it has said all that is new, and how long it is looked at then.
const REST: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_secs(120);

/// Measures and prints a table.
pub fn run(cluster: &Cluster, client: &Client) -> Result<(), Box<dyn Error>> {
    let confined = &RUNTIMES[1];
    let names: Vec<String> = (0..PODS).map(|number| format!("idle-{number}")).collect();
    for name in &names {
        client.post("/api/v1/namespaces/default/pods", &pod(name, confined))?;
    }
    for name in &names {
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(&serde_json::from_str(&client.text(&format!("/api/v1/namespaces/default/pods/{name}"))?)?) {
            if Instant::now() > deadline {
                return Err(format!("{name} is not ready").into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    eprintln!("bench: the node daemon, {} s", (REST + LOOK).as_secs());
    start(cluster)?;
    std::thread::sleep(REST);
    let process = process(cluster)?;
    let (before, begin) = (processor(&process)?, Instant::now());
    std::thread::sleep(LOOK);
    let share = 100.0 * (processor(&process)? - before) / begin.elapsed().as_secs_f64();
    let (all, own) = memory(&process)?;
    println!("## The node daemon\n");
    println!(
        "`zerocap node watch` beside {PODS} confined pods to which nothing happens, for {} s; it serves its numbers on loopback and to the network.\n",
        LOOK.as_secs()
    );
    println!("| | | goal |");
    println!("|---|---|---|");
    println!("| PSS (KiB) | {all} | ≤ 15360 |");
    println!("| of that its own, not of its file (KiB) | {own} | – |");
    println!("| processor time (% of one) | {share:.3} | ≤ 0.1 |\n");
    Ok(())
}

/// Starts it with every right: what is measured is not what it may do.
fn start(cluster: &Cluster) -> io::Result<()> {
    cluster.kubectl(&["create", "serviceaccount", "bench"], "")?;
    let bind =
        ["create", "clusterrolebinding", "bench", "--clusterrole=cluster-admin", "--serviceaccount=default:bench"];
    cluster.kubectl(&bind, "")?;
    let file = cluster.dir().join("bench.token");
    fs::write(&file, cluster.kubectl(&["create", "token", "bench"], "")?.trim())?;
    Command::new(node::repository().join("hack/cluster"))
        .args(["exec", "--dir"])
        .arg(cluster.dir())
        // As the chart sets it.
        .args(["env", "MALLOC_ARENA_MAX=2"])
        .arg(node::release_folder().join("zerocap"))
        .args(["node", "watch", "--node", "zerocap-node", "--runtime-class", "bench-zerocap-runc"])
        .args(["--listen", "127.0.0.1:9464", "--metrics-listen", "10.89.0.1:9465"])
        .args(["--server", "https://10.89.0.1:6443", "--certificate-authority"])
        .arg(cluster.dir().join("keys/ca.crt"))
        .arg("--token-file")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// Its folder in /proc: the process that has the token's file as its last argument and is the program itself.
fn process(cluster: &Cluster) -> Result<PathBuf, Box<dyn Error>> {
    let token = cluster.dir().join("bench.token").display().to_string();
    for entry in fs::read_dir("/proc")?.flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        if words.first().is_some_and(|word| word.ends_with(b"/zerocap")) && words.contains(&token.as_bytes()) {
            return Ok(entry.path());
        }
    }
    Err("the node daemon does not run".into())
}

/// Seconds of processor time that its threads have had.
fn processor(process: &Path) -> io::Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir(process.join("task"))?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or_default();
    }
    Ok(nanoseconds / 1e9)
}

/// All of it, and what is its own; KiB.
fn memory(process: &Path) -> Result<(u64, u64), Box<dyn Error>> {
    let rollup = fs::read_to_string(process.join("smaps_rollup"))?;
    let kib = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or(format!("no {name} in smaps_rollup"))
    };
    Ok((kib("Pss:")?, kib("Pss_Anon:")?))
}
