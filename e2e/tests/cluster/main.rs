//! The tests that need a real Kubernetes: API server, scheduler, controllers and a kubelet that runs our shim. One cluster
//! is started and shared; each test has a namespace of its own.
//!
//! `cargo test -p zerocap-e2e --test cluster -- FILTER`. The first run builds Kubernetes (ten minutes).

mod admission;
mod chart;
mod console;
mod daemon;
mod egress;
mod examples;
mod grammar;
mod installer;
mod manifest;
mod openshift;
mod pods;
mod poor;
mod scrape;
mod turns;
mod works;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, RwLock};

use libtest_mimic::{Arguments, Trial};
use zerocap_e2e::cluster::{self, Cluster};
use zerocap_e2e::verdict::{completion, skip};
use zerocap_e2e::{TestResult, node};

/// The tests of this program.
struct Suite {
    cluster: Option<Arc<Cluster>>,
    obstacle: Option<String>,
    trials: Vec<Trial>,
    /// Read by every test, written by one that takes a part of the cluster away from the others.
    undisturbed: Arc<RwLock<()>>,
}

impl Suite {
    fn add(&mut self, name: &str, body: impl FnOnce(&Cluster) -> TestResult + Send + 'static) {
        let undisturbed = self.undisturbed.clone();
        self.push(name, move |cluster| {
            let _shared = undisturbed.read();
            body(cluster)
        });
    }

    /// One that takes away what the others need, so none of them runs beside it.
    fn add_alone(&mut self, name: &str, body: impl FnOnce(&Cluster) -> TestResult + Send + 'static) {
        let undisturbed = self.undisturbed.clone();
        self.push(name, move |cluster| {
            let _alone = undisturbed.write();
            body(cluster)
        });
    }

    fn push(&mut self, name: &str, body: impl FnOnce(&Cluster) -> TestResult + Send + 'static) {
        let (cluster, obstacle) = (self.cluster.clone(), self.obstacle.clone());
        self.trials.push(Trial::ignorable_test(name, move || {
            completion(match &cluster {
                Some(cluster) => body(cluster),
                None => skip(obstacle.unwrap_or_default()),
            })
        }));
    }
}

/// A cluster with the chart installed as a user installs it.
fn start() -> std::io::Result<Cluster> {
    cluster::build()?;
    let cluster = Cluster::start()?;
    chart::install(&cluster)?;
    Ok(cluster)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut suite =
        Suite { cluster: None, obstacle: cluster::obstacle(), trials: Vec::new(), undisturbed: Arc::default() };
    if suite.obstacle.is_none() && !node::release_shim_is_built() {
        suite.obstacle = Some("zerocap is not built: run `make build`".to_owned());
    }
    if suite.obstacle.is_none() && !arguments.list {
        match start() {
            Ok(cluster) => suite.cluster = Some(Arc::new(cluster)),
            // An obstacle is something that the machine lacks; this is a fault.
            Err(error) => {
                eprintln!("the cluster does not start: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let skipped = Arc::new(Mutex::new(suite.obstacle.clone()));
    pods::add(&mut suite);
    admission::add(&mut suite);
    grammar::add(&mut suite);
    chart::add(&mut suite);
    examples::add(&mut suite);
    openshift::add(&mut suite);
    installer::add(&mut suite);
    daemon::add(&mut suite);
    scrape::add(&mut suite);
    egress::add(&mut suite);
    turns::add(&mut suite);
    works::add(&mut suite);
    poor::add(&mut suite);
    let Suite { cluster, trials, .. } = suite;
    let mut conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(Err(error)) = cluster.and_then(Arc::into_inner).map(|mut cluster| cluster.down()) {
        conclusion.num_failed += 1;
        println!("the cluster does not go down: {error}");
    }
    if let Ok(Some(reason)) = skipped.lock().as_deref() {
        println!("skipped, {reason}: all of them");
    }
    println!(
        "\n{} passed, {} failed, {} skipped",
        conclusion.num_passed, conclusion.num_failed, conclusion.num_ignored
    );
    conclusion.exit_code()
}
