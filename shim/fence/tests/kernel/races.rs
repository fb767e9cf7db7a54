//! One socket, two threads. `ZEROCAP_ROUNDS` makes it long, `ZEROCAP_SEED` repeats one run.

use crate::room::{Room, rules};

const RACE: &str = r#"
import random
random.seed(SEED)
GOOD, BAD = ("10.77.0.2", 443), ("10.77.0.2", 6666)
def attempt(s, how):
    try:
        if how == 0: s.connect(GOOD)
        elif how == 1: s.connect(BAD)
        elif how == 2: s.send(b"race")
        elif how == 3: s.sendto(b"race", FLAG, BAD)
        else: s.sendto(b"race", FLAG, GOOD)
    except OSError: pass
for _ in range(ROUNDS):
    s = socket.socket(socket.AF_INET, KIND); s.setblocking(False)
    plans = [[random.randrange(5) for _ in range(6)] for _ in range(2)]
    threads = [threading.Thread(target=lambda p=p: [attempt(s, how) for how in p]) for p in plans]
    for x in threads: x.start()
    for x in threads: x.join()
    s.close()
print("done", "ok")
"#;

#[test]
fn no_packet_goes_where_a_racing_thread_wanted_it() {
    let Some(room) = Room::new(&rules(&["tcp 10.77.0.2 443", "udp 10.77.0.2 443"])) else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let rounds = number("ZEROCAP_ROUNDS").unwrap_or(150);
    let seed = number("ZEROCAP_SEED").unwrap_or_else(std::process::id);
    println!("{rounds} rounds each, seed {seed}");
    let _server = room.outside_serves(
        "s = socket.socket(); s.bind(('10.77.0.2', 443)); s.listen(64); print('ready', flush=True)\nwhile True: s.accept()[0].close()",
    );
    for (kind, flag) in [("socket.SOCK_STREAM", "FASTOPEN"), ("socket.SOCK_DGRAM", "0")] {
        let script = format!("SEED, ROUNDS, KIND, FLAG = {seed}, {rounds}, {kind}, {flag}\n{RACE}");
        // The control: outside of the fence the same threads send it there.
        room.neighbour(&script);
        assert!(room.saw_port(6666), "{kind}: nobody tried");
        let results = room.run(&script);
        assert_eq!(results.get("done").map(String::as_str), Some("ok"));
        assert!(!room.saw_port(6666), "{kind}: seed {seed}");
    }
}
