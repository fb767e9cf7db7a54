//! The way through a kubelet, and what the node daemon costs: on a private cluster, the runtimes taking turns.

mod client;
mod idle;

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zerocap_e2e::cluster::{self, Cluster};
use zerocap_e2e::node;

use super::{RUNTIMES, Runtime, column, ms};
use client::Client;

/// How this part is asked for alone.
pub const ALONE: &str = "kubernetes";
/// What the kubelet calls its questions to the runtime, as its own histogram counts them.
const OPERATIONS: [&str; 3] = ["run_podsandbox", "create_container", "start_container"];
/// How long one pod may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// From the POST to Ready, and what of that passed in the runtime; milliseconds.
type Sample = [f64; 2];

/// Measures and prints both tables. Where no cluster can run, it says so.
pub fn run(rounds: usize) -> Result<(), Box<dyn Error>> {
    println!("## Through the kubelet\n");
    if let Some(reason) = cluster::obstacle() {
        println!("Not measured: {reason}\n");
        return Ok(());
    }
    cluster::build()?;
    let mut cluster = Cluster::start()?;
    let client = Client::start(&cluster)?;
    for runtime in &RUNTIMES {
        let class = json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": class(runtime) }, "handler": runtime.handler,
        });
        client.post("/apis/node.k8s.io/v1/runtimeclasses", &class)?;
    }
    let mut samples = vec![Vec::with_capacity(rounds); RUNTIMES.len()];
    for round in 0..=rounds {
        for turn in 0..RUNTIMES.len() {
            let which = (turn + round) % RUNTIMES.len();
            let sample = one(&client, &RUNTIMES[which])?;
            // Round 0 warms everything up.
            if round > 0 {
                samples[which].push(sample);
            }
        }
        eprint!("\rbench: through the kubelet, round {round} of {rounds}");
    }
    eprintln!();
    print_table(rounds, &samples);
    idle::run(&cluster, &client)?;
    cluster.down()?;
    Ok(())
}

fn class(runtime: &Runtime) -> String {
    format!("bench-{}", runtime.handler)
}

/// A pod that the restricted standard admits.
fn pod(name: &str, runtime: &Runtime) -> Value {
    let annotations = if runtime.platform { json!({ "network-enforcement": "platform" }) } else { json!({}) };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "annotations": annotations },
        "spec": {
            "runtimeClassName": class(runtime), "terminationGracePeriodSeconds": 0,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main", "image": node::image("busybox"), "imagePullPolicy": "Never", "command": ["sleep", "100000"],
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

fn one(client: &Client, runtime: &Runtime) -> Result<Sample, Box<dyn Error>> {
    let name = format!("bench-{}", runtime.handler);
    let before = in_runtime(client)?;
    let mut watch =
        client.watch(&format!("/api/v1/namespaces/default/pods?watch=1&fieldSelector=metadata.name%3D{name}"))?;
    let start = Instant::now();
    client.post("/api/v1/namespaces/default/pods", &pod(&name, runtime))?;
    loop {
        if is_ready(&watch.next()?["object"]) {
            break;
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("{name}: not ready after {PATIENCE:?}").into());
        }
    }
    let ready = start.elapsed();
    let runtimes = in_runtime(client)? - before;
    client.delete(&format!("/api/v1/namespaces/default/pods/{name}"))?;
    Ok([ms(ready), runtimes])
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|told| told["type"] == "Ready" && told["status"] == "True"))
}

/// Milliseconds that the kubelet has waited for the runtime to start things, ever.
fn in_runtime(client: &Client) -> Result<f64, Box<dyn Error>> {
    let text = client.text("/api/v1/nodes/zerocap-node/proxy/metrics")?;
    let sums = OPERATIONS.map(|operation| {
        let row = format!("kubelet_runtime_operations_duration_seconds_sum{{operation_type=\"{operation}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&row)?.parse::<f64>().ok()).unwrap_or_default()
    });
    Ok(sums.iter().sum::<f64>() * 1000.0)
}

fn print_table(rounds: usize, samples: &[Vec<Sample>]) {
    println!(
        "A pod from its POST to Ready, with scheduler, kubelet and network; of that the kubelet's calls RunPodSandbox, CreateContainer and"
    );
    println!(
        "StartContainer, by its own histogram. n = {rounds} pods each, taking turns; median (99th percentile); the ratio is of the medians.\n"
    );
    println!("| | containerd-shim-runc-v2 | zerocap, platform mode | ratio | goal |");
    println!("|---|---|---|---|---|");
    for (pair, runtimes) in samples.chunks(2).zip(RUNTIMES.chunks(2)) {
        let engine = runtimes[0].engine;
        let of = |samples: &[Sample], index: usize| column(samples.iter().map(|sample| sample[index]));
        for (index, (what, goal)) in
            [("POST to Ready (ms)", "≤ 1.0"), ("of that in the runtime (ms)", "–")].iter().enumerate()
        {
            let ((theirs, their_tail), (ours, our_tail)) = (of(&pair[0], index), of(&pair[1], index));
            println!(
                "| {engine}: {what} | {theirs:.0} ({their_tail:.0}) | {ours:.0} ({our_tail:.0}) | {:.2} | {goal} |",
                ours / theirs
            );
        }
        let share = |samples: &[Sample]| 100.0 * of(samples, 1).0 / of(samples, 0).0;
        println!("| {engine}: the runtime's share (%) | {:.0} | {:.0} | | – |", share(&pair[0]), share(&pair[1]));
    }
    println!();
}
