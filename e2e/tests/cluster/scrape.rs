//! The daemon's numbers over the network: real tokens, real rights, and a client of another make.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, ensure_eq, node};

use crate::Suite;
use crate::daemon::{Daemon, memory, page};
use crate::manifest::Namespace;

/// Where the shared daemon serves to the network.
pub const ADDRESS: &str = "10.89.0.1:9465";

pub fn add(suite: &mut Suite) {
    suite.add("scrape::token_and_right_decide", decide);
    suite.add("scrape::only_over_tls_and_nothing_but_numbers", only_tls);
    // From the same address as the others' clients, which it would take the place of.
    suite.add_alone("scrape::hanging_clients_do_not_stop_it", hanging);
    suite.add("scrape::certificate_from_a_secret_is_verified_and_renewed", certificate);
}

/// What OpenSSL's client reads for a request; the status line is the first.
fn ask(cluster: &Cluster, address: &str, request: &str, more: &str) -> io::Result<String> {
    let script = format!(
        "printf '%b' \"$0\" | timeout 20 openssl s_client -quiet -no_ign_eof -connect {address} {more} 2>&1; true"
    );
    // The client must not leave at the end of its input: it is given some time to be answered.
    let script = script.replace("printf '%b' \"$0\"", "{ printf '%b' \"$0\"; sleep 2; }");
    let request = request.replace('\n', "\\r\\n");
    Ok(String::from_utf8_lossy(&cluster.exec(&["bash", "-c", &script, &request], "")?.stdout).into_owned())
}

/// The status and the body of an answer.
fn answer(said: &str) -> (u16, &str) {
    let from = said.find("HTTP/1.1 ").map_or("", |at| &said[at..]);
    let status = from.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, from.split_once("\r\n\r\n").unwrap_or_default().1)
}

fn with(token: &str) -> String {
    format!("GET /metrics HTTP/1.1\nHost: x\nAuthorization: Bearer {token}\n\n")
}

/// An account's token. The one that may scrape gets the right as a person gives it.
fn account(space: &Namespace<'_>, name: &str, may: bool) -> io::Result<String> {
    space.kubectl(&["create", "serviceaccount", name])?;
    if may {
        let whom = format!("--serviceaccount={}:{name}", space.name);
        let binding = format!("scraper-{}", space.name);
        space
            .cluster
            .kubectl(&["create", "clusterrolebinding", &binding, "--clusterrole=zerocap-metrics-reader", &whom], "")?;
    }
    Ok(space.kubectl(&["create", "token", name])?.trim().to_owned())
}

fn decide(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    let (good, poor) = (account(&space, "scraper", true)?, account(&space, "poor", false)?);
    let said = ask(cluster, ADDRESS, &with(&good), "")?;
    let (status, body) = answer(&said);
    ensure_eq!(status, 200, "with the right: {}", said);
    // Every family that the pod's own loopback has.
    let families = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("# TYPE ")).map(str::to_owned).collect()
    };
    ensure!(families(body).len() > 8, "few families: {body}");
    ensure_eq!(families(body), families(&page(cluster, "/metrics")?), "families");
    for (what, request, expected) in [
        ("no token", "GET /metrics HTTP/1.1\nHost: x\n\n".to_owned(), 401),
        ("a forged token", with(&format!("{good}x")), 401),
        ("no token at all", with("no-token-at-all"), 401),
        ("a token without the right", with(&poor), 403),
    ] {
        let said = ask(cluster, ADDRESS, &request, "")?;
        ensure_eq!(answer(&said), (expected, "refused\n"), "{}: {}", what, said);
    }
    // The right is taken away: a minute later at most the token is of no use.
    cluster.kubectl(&["delete", "clusterrolebinding", &format!("scraper-{}", space.name)], "")?;
    space.until(Duration::from_secs(75), "the refusal", || {
        Ok(answer(&ask(cluster, ADDRESS, &with(&good), "")?).0 == 403)
    })?;
    Ok(())
}

fn only_tls(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    let good = account(&space, "scraper", true)?;
    let request = with(&good).replace('\n', "\\r\\n");
    // The server may be gone by the time that it is written to.
    let script = "trap '' PIPE; exec 3<>/dev/tcp/10.89.0.1/9465; printf '%b' \"$0\" >&3; timeout 10 cat <&3 | wc -c";
    let plain = cluster.exec(&["bash", "-c", script, &request], "")?;
    let bytes = String::from_utf8_lossy(&plain.stdout).into_owned();
    let few = bytes.trim().parse().is_ok_and(|bytes: usize| bytes < 20);
    ensure!(few, "{bytes:?} bytes in answer to plain HTTP: {}", String::from_utf8_lossy(&plain.stderr));
    // The reports are not there, whatever the right.
    for path in ["/pods", "/", "/metrics/x", "/pods/kube-system/x"] {
        let said = ask(cluster, ADDRESS, &with(&good).replace("/metrics", path), "")?;
        ensure_eq!(answer(&said), (404, "refused\n"), "{}", path);
    }
    // Old versions of TLS are not spoken.
    let said = ask(cluster, ADDRESS, &with(&good), "-tls1_1")?;
    ensure_eq!(answer(&said).0, 0, "TLS 1.1: {}", said);
    Ok(())
}

fn hanging(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    let good = account(&space, "scraper", true)?;
    ensure_eq!(answer(&ask(cluster, ADDRESS, &with(&good), "")?).0, 200, "before");
    let before = memory(cluster)?.1;
    // Two hundred that say nothing, and fifty that have shaken hands and say nothing more.
    let script = "for n in {1..200}; do exec {fd}<>/dev/tcp/10.89.0.1/9465; done
        for n in {1..50}; do sleep 25 | openssl s_client -quiet -connect 10.89.0.1:9465 >/dev/null 2>&1 & done
        sleep 25";
    let hanging = std::thread::scope(|scope| {
        let clients = scope.spawn(|| cluster.exec(&["bash", "-c", script], ""));
        std::thread::sleep(Duration::from_secs(6));
        let mut said = Vec::new();
        for _ in 0..3 {
            let start = Instant::now();
            let status = answer(&ask(cluster, ADDRESS, &with(&good), "")?).0;
            said.push((status, start.elapsed()));
        }
        let grown = memory(cluster)?.1.saturating_sub(before);
        drop(clients.join());
        Ok::<_, io::Error>((said, grown))
    });
    let (said, grown) = hanging?;
    ensure!(said.iter().all(|(status, took)| *status == 200 && *took < Duration::from_secs(10)), "{said:?}");
    ensure!(grown <= 4 * 1024, "{grown} KiB more memory");
    Ok(())
}

fn certificate(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    let good = account(&space, "scraper", true)?;
    let dir = cluster.dir().join("certificate");
    fs::create_dir_all(&dir)?;
    let folder = dir.display().to_string();
    let make = |name: &str| -> io::Result<()> {
        let script = "cd \"$0\" && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -subj \"/CN=$1\" -addext \"subjectAltName=DNS:$1\" -keyout new.key -out new.crt && mv new.key tls.key && mv new.crt tls.crt";
        let made = cluster.exec(&["bash", "-c", script, &folder, name], "")?;
        if made.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&made.stderr))) }
    };
    make("one.example")?;
    let (crt, key) = (format!("{folder}/tls.crt"), format!("{folder}/tls.key"));
    let other = "10.89.0.1:9466";
    let files = ["--no-labels", "--metrics-listen", other, "--metrics-certificate", &crt, "--metrics-key", &key];
    let (_, mut child) = Daemon::start(cluster, crate::daemon::NODE, "secret", &files)?;
    let verified = |name: &str| -> io::Result<u16> {
        let more = format!("-verify_return_error -CAfile {crt} -verify_hostname {name} -servername {name}");
        Ok(answer(&ask(cluster, other, &with(&good), &more)?).0)
    };
    let outcome = (|| -> TestResult {
        space.until(Duration::from_secs(20), "the numbers", || Ok(verified("one.example")? == 200))?;
        ensure_eq!(verified("two.example")?, 0, "the control: another name is not this one");
        make("two.example")?;
        space.until(Duration::from_secs(40), "the renewed certificate", || Ok(verified("two.example")? == 200))?;
        Ok(())
    })();
    child.kill()?;
    child.wait()?;
    outcome?;
    // What cannot be used ends the start, with its code.
    fs::write(dir.join("tls.crt"), "no certificate")?;
    let zerocap = node::release_folder().join("zerocap").display().to_string();
    let authority = cluster.dir().join("keys/ca.crt").display().to_string();
    let said = cluster.exec(
        &[
            &[zerocap.as_str(), "node", "watch", "--node", "n", "--server", "https://127.0.0.1:1"][..],
            &["--certificate-authority", &authority, "--token-file", "/dev/null"],
            &files,
        ]
        .concat(),
        "",
    )?;
    ensure!(String::from_utf8_lossy(&said.stderr).contains("ZC1407") && said.status.code() == Some(2), "{said:?}");
    Ok(())
}
