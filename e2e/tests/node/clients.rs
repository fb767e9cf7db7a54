//! Programs that people run, by name: each fetches from a listed name over HTTP or HTTPS, and reaches no other one.
//!
//! They are this machine's own, mounted into the container; one that is not there is counted as skipped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use zerocap_e2e::internet::Internet;
use zerocap_e2e::verdict::skip;
use zerocap_e2e::{Container, Node, Outcome, Pod, TestResult, ensure, ensure_eq};

use crate::names::{TCP, client, internet};
use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    // A program's way is the same under every engine.
    let engines = &ENGINES[1..2];
    suite.each("clients::curl", engines, |node, handler| {
        fetches(node, handler, "curl", "curl -sS --cacert /srv/ca.pem URL")
    });
    suite.each("clients::node_fetch", engines, |node, handler| {
        let script = "fetch('URL').then(a => a.text()).then(t => process.stdout.write(t), e => { console.error(e); process.exit(1) })";
        fetches(node, handler, "node", &format!("NODE_EXTRA_CA_CERTS=/srv/ca.pem node -e \"{script}\""))
    });
    suite.each("clients::python_requests", engines, |node, handler| {
        let script = "from pip._vendor import requests; print(requests.get('URL', verify='/srv/ca.pem').text, end='')";
        fetches(node, handler, "python3", &format!("PYTHONPATH=/srv python3 -c \"{script}\""))
    });
    suite.each("clients::go", engines, |node, handler| {
        fetches(node, handler, "go", "SSL_CERT_FILE=/srv/ca.pem /srv/fetch URL")
    });
    suite.each("clients::java", engines, |node, handler| {
        let trust = "-Djavax.net.ssl.trustStore=/srv/ca.p12 -Djavax.net.ssl.trustStorePassword=password";
        fetches(node, handler, "javac", &format!("java -Xshare:off {trust} -cp /srv Fetch URL"))
    });
    suite.each("clients::go_datagrams", engines, |node, handler| datagrams(node, handler, "go", "/srv/ask HOST:7123"));
    suite.each("clients::java_datagrams", engines, |node, handler| {
        let java = "java -Xshare:off -cp /srv";
        datagrams(
            node,
            handler,
            "javac",
            &format!("{java} Ask HOST 7123 && {java} -Djava.net.preferIPv4Stack=true Ask HOST 7123 >/tmp/out"),
        )
    });
    suite.each("clients::node_datagrams", engines, |node, handler| {
        let script = "const s = require('dgram').createSocket('udp4');
            setTimeout(() => process.exit(1), 4000);
            s.on('message', m => process.stdout.write(m, () => process.exit())); s.send('hello', 7123, 'HOST')";
        datagrams(node, handler, "node", &format!("node -e \"{script}\""))
    });
    suite.each("clients::connects_of_every_kind", &ENGINES[..2], connects_of_every_kind);
    suite.each("clients::a_flow_outlives_its_name", engines, a_flow_outlives_its_name);
    suite.each("clients::git_over_https", engines, git);
    suite.each("clients::pip_against_a_local_index", engines, pip);
}

/// Where datagrams are sent back.
const DATAGRAMS: u16 = 7123;

/// What lies on the server and in the container.
struct Place {
    /// Goes with the value.
    folder: tempfile::TempDir,
    internet: Internet,
    server: Child,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The builds, of which each is made once.
static BUILDING: Mutex<()> = Mutex::new(());

fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn run(folder: &Path, line: &str) -> TestResult {
    let output = Command::new("sh").args(["-ec", line]).current_dir(folder).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn sources() -> PathBuf {
    zerocap_e2e::node::repository().join("e2e/tests/node/clients")
}

impl Place {
    /// `make` prepares the folder: `files` is what the server has, `srv` is mounted.
    fn new(node: &Node, make: &str) -> Result<Self, Outcome> {
        let internet = Internet::new(node, &[], &[DATAGRAMS])?;
        internet.name("deep.er.models.test", &[internet.server()]);
        internet.name("www.names.test", &[internet.server()]);
        internet.name("other.names.test", &[internet.other()]);
        let folder = tempfile::tempdir()?;
        let certificate = "mkdir files srv; echo hello >files/hello
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=www.names.test \
              -addext subjectAltName=DNS:www.names.test -keyout key.pem -out srv/ca.pem
            cat srv/ca.pem key.pem >server.pem";
        run(folder.path(), certificate)?;
        {
            let _one = BUILDING.lock();
            run(folder.path(), make)?;
        }
        run(folder.path(), "chmod -R a+rX .")?;
        let mut server = Command::new("nsenter")
            .arg(format!("--net={}", internet.netns().display()))
            .arg("python3")
            .arg(sources().join("server.py"))
            .arg(folder.path())
            .arg(internet.server().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = server.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let place = Self { folder, internet, server };
        ensure_eq!(line.trim(), "ready", "the server");
        Ok(place)
    }

    fn pod<'n>(&self, node: &'n Node, handler: &str) -> Result<Pod<'n>, Outcome> {
        let pod = node.pod(handler).platform().dns(self.internet.nameserver(), &[]);
        Ok(pod.annotate("zerocap.io/egress", "www.names.test:8080,8443").start()?)
    }

    /// A container with the machine's programs, and what was made.
    fn container<'p>(&self, node: &Node, pod: &'p Pod<'_>) -> Result<Container<'p>, Outcome> {
        let at = pod.volume("srv")?;
        run(self.folder.path(), &format!("cp -r srv/. {}", node.path(&at).display()))?;
        let mut builder = pod.container("main").command(&["/bin/sleep", "100000"]).mount(&at, "/srv", true);
        for (of_node, inside) in [("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64")] {
            builder = builder.mount(of_node, inside, true);
        }
        // Debian's Java has its settings there.
        for entry in fs::read_dir("/etc")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("java-") {
                builder = builder.mount(&format!("/etc/{name}"), &format!("/etc/{name}"), true);
            }
        }
        Ok(builder.start()?)
    }
}

/// Debian finds Java by a link in /etc, which the container has not.
const SURROUNDINGS: &str = "export HOME=/tmp PATH=$PATH:$(ls -d /usr/lib/jvm/*/bin | tr '\\n' :); ";

/// A line in which `URL` stands for what is fetched.
fn fetches(node: &Node, handler: &str, needs: &str, line: &str) -> TestResult {
    for program in [needs, "openssl", "python3"] {
        if !there(program) {
            return skip(format!("{program} is not on this machine"));
        }
    }
    let make = match needs {
        "go" => format!("CGO_ENABLED=0 go build -o srv/fetch {}", sources().join("fetch.go").display()),
        "javac" => format!(
            "javac -d srv {}; keytool -importcert -noprompt -file srv/ca.pem -keystore srv/ca.p12 -storetype PKCS12 -storepass password",
            sources().join("Fetch.java").display()
        ),
        "python3" => PIP.to_owned(),
        _ => String::new(),
    };
    let place = Place::new(node, &make)?;
    let pod = place.pod(node, handler)?;
    let main = place.container(node, &pod)?;
    for url in ["http://www.names.test:8080/hello", "https://www.names.test:8443/hello"] {
        let said = main.sh(&format!("{SURROUNDINGS}{}", line.replace("URL", url)))?;
        ensure_eq!(said.stdout.trim(), "hello", "{url}: {}", said.stderr);
    }
    let observer = place.internet.observer()?;
    let other = place.internet.other();
    for url in ["http://other.names.test:8080/hello".to_owned(), format!("http://{other}:8080/hello")] {
        let said = main.sh(&format!("{SURROUNDINGS}{}", line.replace("URL", &url)))?;
        ensure!(said.code != 0 && said.stdout.is_empty(), "{url}: {}", said.stdout);
    }
    ensure!(!observer.saw_address(other), "something was sent to {other}");
    Ok(())
}

/// A line in which `HOST` stands for whom a word is sent to, which comes back. The name below a domain is in no file: the program's own
/// resolver asks for it.
fn datagrams(node: &Node, handler: &str, needs: &str, line: &str) -> TestResult {
    for program in [needs, "openssl", "python3"] {
        if !there(program) {
            return skip(format!("{program} is not on this machine"));
        }
    }
    let make = match needs {
        "go" => format!("CGO_ENABLED=0 go build -o srv/ask {}", sources().join("ask.go").display()),
        "javac" => format!("javac -d srv {}", sources().join("Ask.java").display()),
        _ => String::new(),
    };
    let place = Place::new(node, &make)?;
    let pod = node.pod(handler).platform().dns(place.internet.nameserver(), &[]);
    let list = format!("udp://www.names.test:{DATAGRAMS}, udp://*.models.test:{DATAGRAMS}");
    let pod = pod.annotate("zerocap.io/egress", &list).start()?;
    let main = place.container(node, &pod)?;
    for host in ["www.names.test", "deep.er.models.test", &place.internet.server().to_string()] {
        let said = main.sh(&format!("{SURROUNDINGS}{}", line.replace("HOST", host)))?;
        ensure_eq!(said.stdout.trim(), "hello", "{host}: {}", said.stderr);
    }
    let observer = place.internet.observer()?;
    let other = place.internet.other();
    let said = main.sh(&format!("{SURROUNDINGS}{}", line.replace("HOST", &other.to_string())))?;
    ensure!(said.code != 0 && said.stdout.is_empty(), "{other}: {}", said.stdout);
    ensure!(!observer.saw_address(other), "something was sent to {other}");
    Ok(())
}

/// pip, and in it requests, of this machine's Python.
const PIP: &str = "cp -r \"$(python3 -c 'import pip; print(pip.__path__[0])')\" srv/pip";

fn git(node: &Node, handler: &str) -> TestResult {
    if !there("git") || !there("openssl") {
        return skip("git or openssl is not on this machine");
    }
    let make = "export HOME=$PWD; git init -q work; cd work; echo hello >hello; git add hello
        git -c user.name=n -c user.email=e@example.com commit -qm c; cd ..; git clone -q --bare work files/work.git
        git -C files/work.git update-server-info";
    let place = Place::new(node, make)?;
    let pod = place.pod(node, handler)?;
    let main = place.container(node, &pod)?;
    let clone = |host: &str| {
        main.sh(&format!("cd /tmp; export HOME=/tmp GIT_SSL_CAINFO=/srv/ca.pem; rm -rf w; git clone -q https://{host}:8443/work.git w && cat w/hello"))
    };
    let said = clone("www.names.test")?;
    ensure_eq!(said.stdout.trim(), "hello", "git: {}", said.stderr);
    ensure!(clone("other.names.test")?.code != 0, "git reaches a name that is not listed");
    Ok(())
}

fn pip(node: &Node, handler: &str) -> TestResult {
    if !there("python3") || !there("openssl") {
        return skip("python3 or openssl is not on this machine");
    }
    let wheel = "python3 -c \"
import zipfile
with zipfile.ZipFile('files/simple/demo/demo-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('demo.py', 'print(\\\"hello\\\")')
    info = 'demo-1.0.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', ''.join(name + ',,\\n' for name in wheel.namelist() + [info + 'RECORD']))
\"";
    let make = format!("{PIP}; mkdir -p files/simple/demo; {wheel}");
    let place = Place::new(node, &make)?;
    let pod = place.pod(node, handler)?;
    let main = place.container(node, &pod)?;
    let install = |host: &str| {
        main.sh(&format!(
            "cd /tmp; export HOME=/tmp PYTHONPATH=/srv:/tmp/t; python3 -m pip install -q --no-cache-dir --disable-pip-version-check --retries 0 \
             --cert /srv/ca.pem --index-url https://{host}:8443/simple --target /tmp/t demo && python3 -c 'import demo'"
        ))
    };
    let said = install("www.names.test")?;
    ensure_eq!(said.stdout.trim(), "hello", "pip: {}", said.stderr);
    main.sh("rm -rf /tmp/t")?;
    ensure!(install("other.names.test")?.code != 0, "pip reaches an index that is not listed");
    Ok(())
}

const EVERY_KIND: &str = r#"
import asyncio, selectors
def nonblocking(to, port):
    s = socket.socket(); s.setblocking(False); r = s.connect_ex((to, port)); assert r in (0, errno.EINPROGRESS), r
    with selectors.DefaultSelector() as w:
        w.register(s, selectors.EVENT_WRITE); assert w.select(5)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and s.getpeername() == (to, port)
    # The first one says that it is done, as the kernel has it.
    s.connect((to, port))
    try: s.connect((to, port)); return "connected twice"
    except OSError as e: assert e.errno == errno.EISCONN, e
def times_out(to, port):
    s = socket.socket(); s.settimeout(0.3); s.connect((to, port))
async def eyeballs(name, port):
    r, w = await asyncio.wait_for(asyncio.open_connection(name, port, happy_eyeballs_delay=0.1), 8)
    w.write(b"GET / HTTP/1.0\r\n\r\n"); assert (await r.read()).endswith(b"hello")
async def many(name, port, count):
    at_once = asyncio.Semaphore(1000)
    async def one():
        async with at_once:
            r, w = await asyncio.open_connection(name, port); w.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await r.read()).endswith(b"hello"); w.close()
    await asyncio.gather(*[one() for _ in range(count)])
t("blocking", lambda: hello("both.names.test", 7443))
t("nonblocking", lambda: nonblocking(server, 7443))
t("dark", lambda: times_out(socket.gethostbyname("dark.names.test"), 7443))
t("eyeballs", lambda: asyncio.run(eyeballs("both.names.test", 7443)))
t("thousands", lambda: asyncio.run(many("both.names.test", 7443, 3000)))
t("elsewhere", lambda: asyncio.run(eyeballs(other, 7443)))
"#;

fn connects_of_every_kind(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    // Nobody is at the IPv6 address, and nobody at all at the dark one.
    internet.name("both.names.test", &["fd00:99::1".parse()?, internet.server()]);
    internet.name("dark.names.test", &[internet.nobody()]);
    let pod = node.pod(handler).platform().dns(internet.nameserver(), &[]);
    let list = format!("both.names.test:{TCP}, dark.names.test:{TCP}");
    let pod = pod.annotate("zerocap.io/egress", &list).start()?;
    let main = pod.python("main")?;
    let said = client(&main, &internet, EVERY_KIND)?;
    let expected = "blocking ok\nnonblocking ok\ndark TIMEOUT\neyeballs ok\nthousands ok\nelsewhere EACCES";
    ensure_eq!(said, expected, "what the client got");
    Ok(())
}

/// A name that moves: new answers lead elsewhere, and what is connected stays so.
fn a_flow_outlives_its_name(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    internet.talk(7800)?;
    let pod = node.pod(handler).platform().dns(internet.nameserver(), &[]);
    let pod = pod.annotate("zerocap.io/egress", "api.names.test:7800,7443").start()?;
    let main = pod.python("main")?;
    let script = r#"
import time
def answer():
    q = bytes.fromhex("123401000001000000000000") + b"\x03api\x05names\x04test\0\0\x01\0\x01"
    d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.settimeout(4)
    d.sendto(q, (open("/etc/resolv.conf").read().split()[1], 53)); return socket.inet_ntoa(d.recv(512)[-4:])
s = socket.create_connection((answer(), 7800), 4)
def talk():
    s.sendall(b"x"); assert s.recv(1) == b"x"
t("before", lambda: answer() != server or talk())
for _ in range(300):
    if answer() == other: break
    time.sleep(0.1)
t("moved", lambda: answer() != other)
t("flow", talk)
t("new", lambda: hello(answer(), 7443))
"#;
    let said = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(2));
            internet.name("api.names.test", &[internet.other()]);
        });
        client(&main, &internet, script)
    })?;
    ensure_eq!(said, "before ok\nmoved ok\nflow ok\nnew ok", "what the client got");
    Ok(())
}
