//! Real resolvers against the responder, as a container has them: with its resolv.conf, in the pod's network namespace. A program that is
//! not on this machine is skipped, with a word.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zerocap_names::Names;

use super::room::{Room, aside, names, root, skip};

/// What every resolver is asked: a pinned name, one below a wildcard, a short one, an odd spelling.
const LISTED: [&str; 5] = ["api.example.test", "x.models.test", "deep.er.models.test", "db", "API.Example.Test"];
/// And what no one may know.
const OTHER: [&str; 3] = ["other.test", "models.test", "db.svc.test"];

const C: &str = r#"
#include <stdio.h>
#include <netdb.h>
#include <arpa/inet.h>
int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int failed = getaddrinfo(argv[1], "443", &hints, &found);
    if (failed) { fprintf(stderr, "%s\n", gai_strerror(failed)); return 1; }
    for (; found; found = found->ai_next) {
        char text[INET6_ADDRSTRLEN];
        void *at = found->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
                                               : (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        puts(inet_ntop(found->ai_family, at, text, sizeof text));
    }
}
"#;

const GO: &str = r#"
package main
import ("fmt"; "net"; "os")
func main() {
    found, err := net.LookupHost(os.Args[1])
    if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
    for _, address := range found { fmt.Println(address) }
}
"#;

const JAVA: &str = r#"
import java.net.*;
class Look {
    public static void main(String[] args) throws Exception {
        for (InetAddress address : InetAddress.getAllByName(args[0])) System.out.println(address.getHostAddress());
    }
}
"#;

const PYTHON: &str = "import socket, sys
for found in socket.getaddrinfo(sys.argv[1], 443, type=socket.SOCK_STREAM): print(found[4][0])";

const NODE: &str = "require('dns').promises.lookup(process.argv[1], {all: true})
.then(all => all.forEach(one => console.log(one.address)), e => { console.error(e.code); process.exit(1) })";

/// c-ares, which asks for one type at a time.
const NODE_ARES: &str = "const dns = require('dns').promises, name = process.argv[1];
Promise.all([dns.resolve4(name), dns.resolve6(name)])
.then(all => all.flat().forEach(one => console.log(one)), e => { console.error(e.code); process.exit(1) })";

/// A pod with names, and the files of one container.
struct Pod {
    room: Room,
    dir: PathBuf,
    _names: Names,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Pod {
    async fn new(name: &str) -> Arc<Self> {
        let room = Room::new();
        let policy = [(false, "api.example.test"), (true, "models.test"), (false, "db")];
        let names = names(&room, &policy).await;
        let dir = std::env::temp_dir().join(format!("zerocap-names-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        fs::write(dir.join("resolv.conf"), names.resolv_conf()).expect("written");
        fs::write(dir.join("hosts"), "127.0.0.1 localhost\n").expect("written");
        Arc::new(Self { room, dir, _names: names })
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// Runs a program with the container's files.
    fn run(&self, program: &[&str]) -> Output {
        let dir = self.dir.display();
        let script = format!(
            "mount --bind {dir}/resolv.conf /etc/resolv.conf; mount --bind {dir}/hosts /etc/hosts; exec timeout 30 \"$@\""
        );
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.room.path())).args(["unshare", "-m", "sh", "-ec", &script, "sh"]);
        command.args(program).output().expect("nsenter runs")
    }
}

/// Whether a program is there.
fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    if !there {
        skip(&format!("no {program} on this machine"));
    }
    there
}

/// Asks for every name, and judges what comes back.
async fn judge(pod: Arc<Pod>, program: Vec<String>) {
    aside(move || {
        for name in LISTED {
            let output = ask(&pod, &program, name);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let words: BTreeSet<&str> = text.split_whitespace().collect();
            let v6 = words.contains("2001:db8::1") || words.contains("2001:db8:0:0:0:0:0:1");
            assert!(words.contains("192.0.2.1") && v6, "{program:?} {name}: {output:?}");
        }
        for name in OTHER {
            let begun = Instant::now();
            let output = ask(&pod, &program, name);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!text.contains("192.0.2.1") && !output.status.success(), "{program:?} {name}: {output:?}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{program:?} {name}: {:?}", begun.elapsed());
        }
    })
    .await;
}

fn ask(pod: &Pod, program: &[String], name: &str) -> Output {
    let words: Vec<&str> = program.iter().map(String::as_str).chain([name]).collect();
    pod.run(&words)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).into()).collect()
}

fn build(command: &mut Command) -> bool {
    let output = command.output().expect("the compiler runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn glibc() {
    if root() && there("getent") {
        judge(Pod::new("glibc").await, words(&["getent", "ahosts"])).await;
    }
}

#[tokio::test]
async fn musl() {
    if root() && there("musl-gcc") {
        let pod = Pod::new("musl").await;
        let (source, program) = (pod.file("look.c", C), pod.dir.join("look"));
        build(Command::new("musl-gcc").args(["-static", "-o"]).args([&program, &source]));
        judge(pod, vec![text(&program)]).await;
    }
}

#[tokio::test]
async fn busybox() {
    if root() && there("busybox") {
        judge(Pod::new("busybox").await, words(&["busybox", "nslookup"])).await;
    }
}

#[tokio::test]
async fn python() {
    if root() && there("python3") {
        judge(Pod::new("python").await, words(&["python3", "-c", PYTHON])).await;
    }
}

#[tokio::test]
async fn node() {
    if root() && there("node") {
        let pod = Pod::new("node").await;
        judge(pod.clone(), words(&["node", "-e", NODE])).await;
        judge(pod, words(&["node", "-e", NODE_ARES])).await;
    }
}

#[tokio::test]
async fn go() {
    if root() && there("go") {
        let pod = Pod::new("go").await;
        let (source, program) = (pod.file("look.go", GO), pod.dir.join("look"));
        // Its own resolver, not the C library's.
        build(Command::new("go").env("CGO_ENABLED", "0").args(["build", "-o"]).args([&program, &source]));
        judge(pod, vec![text(&program)]).await;
    }
}

#[tokio::test]
async fn java() {
    if root() && there("java") {
        let pod = Pod::new("java").await;
        let source = pod.file("Look.java", JAVA);
        judge(pod, words(&["java", &text(&source)])).await;
    }
}
