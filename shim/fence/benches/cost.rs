//! What a fence costs by itself: loading, attaching, kernel memory, and connects under policies of different size.
//!
//! `cargo bench -p zerocap-fence --bench cost [-- ROUNDS]`, as root. The policies take turns within every round.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use zerocap_annotations::knob::Transport;
use zerocap_annotations::{Allow, PacketRules};
use zerocap_fence::{Loaded, Tree};

const ROUNDS: usize = 25;
const CONNECTS: usize = 2000;
/// Addresses of the policies that are compared.
const SIZES: [u32; 2] = [100, 10_000];
/// With this argument the program is the child that connects.
const CHILD: &str = "connect";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [word, to] = arguments.as_slice()
        && word == CHILD
    {
        return connect(to.parse()?);
    }
    let rounds = arguments.first().map_or(Ok(ROUNDS), |word| word.parse())?;
    if let Err(error) = zerocap_fence::probe() {
        println!("SKIPPED: {error}");
        return Ok(());
    }
    // Twice the same first, so that what comes once per kernel (static keys) is not counted.
    drop(Loaded::new(&rules(1))?);
    println!("{:<46}{:>10}{:>10}", format!("packet fence, n = {rounds}"), "median", "p90");
    start(rounds)?;
    memory()?;
    connects(rounds)
}

/// Loopback addresses, so that each can be connected to; only the last one is.
fn rules(addresses: u32) -> PacketRules {
    let allow = (1..=addresses).map(|number| Allow {
        transport: Transport::Tcp,
        network: (target(number).into(), 32),
        ports: (PORT, PORT),
    });
    PacketRules { allow: allow.collect(), ..PacketRules::default() }
}

/// Of the listener.
const PORT: u16 = 31280;

fn target(addresses: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f00_0000 + addresses)
}

fn row(what: &str, mut values: Vec<f64>, unit: &str) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    println!("{what:<46}{:>10.2}{:>10.2} {unit}", at(0.5), at(0.9));
}

/// A fence's life, step by step.
fn start(rounds: usize) -> Result<(), Box<dyn Error>> {
    let tree = Tree::open()?;
    let (mut loads, mut attaches) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let path = format!("/zerocap.bench.{}.{round}", std::process::id());
        let begin = Instant::now();
        let loaded = black_box(Loaded::new(&rules(3))?);
        loads.push(begin.elapsed().as_secs_f64() * 1e6);
        let group = tree.make(&path)?;
        let begin = Instant::now();
        let attached = loaded.attach(&tree, &group).map(|ids| ids.len());
        attaches.push(begin.elapsed().as_secs_f64() * 1e6);
        drop(group);
        tree.remove(&path)?;
        attached?;
    }
    row("loading, beside the engine's create", loads, "µs");
    row("attaching, which the start waits for (≤ 500)", attaches, "µs");
    Ok(())
}

/// What the kernel says that programs and maps of this process hold locked.
fn memory() -> Result<(), Box<dyn Error>> {
    for (what, addresses) in [("a policy of 3 addresses (≤ 100)", 3), ("a policy of 10 000 addresses", 10_000)] {
        let loaded = Loaded::new(&rules(addresses))?;
        let kib = locked()? as f64 / 1024.0;
        row(&format!("kernel memory, {what}"), vec![kib], "KiB");
        drop(loaded);
    }
    Ok(())
}

fn locked() -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let bytes = text.lines().filter_map(|line| line.strip_prefix("memlock:")?.trim().parse::<u64>().ok());
        sum += bytes.sum::<u64>();
    }
    Ok(sum)
}

/// Connects over loopback, outside of a fence and inside of one for each size.
fn connects(rounds: usize) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let tree = Tree::open()?;
    let mut fences = Vec::new();
    for (number, size) in SIZES.into_iter().enumerate() {
        let path = format!("/zerocap.bench.{}.c{number}", std::process::id());
        let group = tree.make(&path)?;
        Loaded::new(&rules(size))?.attach(&tree, &group)?;
        fences.push((size, path));
    }
    let mut values = vec![Vec::new(); SIZES.len() + 1];
    for round in 0..rounds {
        for turn in 0..values.len() {
            let which = (turn + round) % values.len();
            let (size, path) = fences.get(which).map_or((SIZES[0], None), |(size, path)| (*size, Some(path)));
            let mut child = child(target(size))?;
            if let Some(path) = path {
                tree.group(path)?.enter(child.id().cast_signed())?;
            }
            values[which].push(answer(&mut child)?);
        }
    }
    for (_, path) in &fences {
        tree.remove(path)?;
    }
    let [few, many, none] = &values[..] else { return Err("three series".into()) };
    row("connect over loopback, no fence", none.clone(), "µs");
    row("connect over loopback, 100 addresses", few.clone(), "µs");
    row("connect over loopback, 10 000 addresses", many.clone(), "µs");
    row("10 000 addresses to 100, ratio (≤ 1.10)", few.iter().zip(many).map(|(few, many)| many / few).collect(), "");
    Ok(())
}

fn child(to: Ipv4Addr) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.args([CHILD, &SocketAddr::new(to.into(), PORT).to_string()]);
    Ok(child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

/// Lets the child begin, and takes what it says.
fn answer(child: &mut Child) -> Result<f64, Box<dyn Error>> {
    drop(child.stdin.take());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().ok_or("no pipe")?, &mut text)?;
    child.wait()?;
    Ok(text.trim().parse()?)
}

/// The child: waits until it is let go, and prints the 10th percentile of its connects.
fn connect(to: SocketAddr) -> Result<(), Box<dyn Error>> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let mut times = Vec::with_capacity(CONNECTS);
    for _ in 0..CONNECTS {
        let begin = Instant::now();
        let stream = TcpStream::connect(to)?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        drop(stream);
    }
    times.sort_by(f64::total_cmp);
    println!("{}", times[CONNECTS / 10]);
    Ok(())
}
