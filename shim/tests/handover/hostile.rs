//! A process of the same container and the same user that looks for hand-overs to read or to forge.

use std::time::Duration;

use serde_json::json;

use crate::rig::{Container, Engine, bare, block_on, expect, write};

pub const TESTS: &[(&str, crate::Body)] =
    &[("a_scanner_finds_nothing_in_a_hand_over", a_scanner_finds_nothing_in_a_hand_over)];

/// Opens what gives a hand-over away, of every process but itself; tells each hit and, in the end, that it looked.
const SCANNER: &str = r#"
tries=0
while [ ! -e /tmp/stop ]; do
  for process in /proc/[0-9]*; do
    [ "$process" = /proc/1 ] && continue
    for file in fd/3 fd/4 fd/5 mem maps environ syscall auxv; do
      tries=$((tries + 1))
      case $file in
        # A zombie's can be opened, and are empty.
        maps | environ | syscall | auxv) line=; { read -r line <"$process/$file"; } 2>/dev/null; [ -n "$line" ] ;;
        *) { true <"$process/$file"; } 2>/dev/null ;;
      esac && echo "hit $file"
    done
  done
done
echo "tries $tries"
exec sleep 1000
"#;

fn a_scanner_finds_nothing_in_a_hand_over(engine: &Engine) {
    let hits = scan(engine, true);
    assert_eq!(hits, Vec::<String>::new());
    // The control: the same scanner finds a process that is not a launcher.
    let hits = scan(engine, false);
    assert!(hits.iter().any(|hit| hit == "hit mem"), "{hits:?}");
}

/// What the scanner found, while processes were executed with a hand-over or without one.
fn scan(engine: &Engine, handed_over: bool) -> Vec<String> {
    block_on(async {
        let container = Container::new(engine, &["sh", "/scanner"]);
        write(&container.rootfs().join("scanner"), SCANNER, 0o755).unwrap();
        let init = container.start(&bare()).await;
        let output = init.output.clone();
        init.run(&expect()).await.unwrap();
        for _ in 0..10 {
            if handed_over {
                let mut exec = container.exec(&bare(), &["true"]).await;
                exec.parked().await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
                exec.child.kill();
                exec.child.death().await;
            } else {
                let mut process = container.process();
                process["args"] = json!(["sleep", "1000"]);
                let (child, _) = container.exec_raw(&process, None).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                child.kill();
                child.death().await;
            }
        }
        write(&container.rootfs().join("tmp/stop"), "", 0o644).unwrap();
        let said = loop {
            let said = std::fs::read_to_string(&output).unwrap();
            if said.contains("tries") {
                break said;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let tries = said.lines().find_map(|line| line.strip_prefix("tries ")?.parse::<u32>().ok()).unwrap();
        assert!(tries > 1000, "the scanner only looked {tries} times");
        said.lines().filter(|line| line.starts_with("hit")).map(str::to_owned).collect()
    })
}
