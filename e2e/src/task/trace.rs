//! What a scenario saw, in words that do not depend on the run: process ids by order of appearance, times as set or
//! not, the run's own folder as `DIR`.

/// A trace under way.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Vec<String>,
    /// Process ids in the order in which they appeared.
    pids: Vec<String>,
    /// Texts that differ between runs, and what stands for them.
    hidden: Vec<(String, &'static str)>,
}

impl Trace {
    /// A trace of a run whose folder is `dir`.
    pub fn new(dir: &str) -> Self {
        Self { hidden: vec![(dir.to_owned(), "DIR")], ..Self::default() }
    }

    /// From now on `text` reads as `word`.
    pub fn hide(&mut self, text: &str, word: &'static str) {
        self.hidden.push((text.to_owned(), word));
    }

    /// Adds a line.
    pub fn add(&mut self, line: &str) {
        let line = self.clean(line);
        self.lines.push(line);
    }

    /// The lines so far.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// `text` without what differs between runs.
    pub fn clean(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.hidden {
            text = text.replace(from, to);
        }
        let text = numbers(&text, "pid: ", |number| {
            let at = self.pids.iter().position(|known| known == number).unwrap_or_else(|| {
                self.pids.push(number.to_owned());
                self.pids.len() - 1
            });
            format!("P{at}")
        });
        // A time before 1970 is how Go writes the time that never was.
        let text = numbers(&text, "seconds: ", |number| if number.starts_with('-') { "never" } else { "T" }.to_owned());
        numbers(&text, " nanos: ", |_| "#".to_owned()).replace(" nanos: #", "")
    }
}

/// `text` with every number that follows `key` replaced.
fn numbers(text: &str, key: &str, mut replace: impl FnMut(&str) -> String) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(key) {
        let (before, after) = rest.split_at(at + key.len());
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(after.len());
        clean.push_str(before);
        if end > 0 {
            clean.push_str(&replace(&after[..end]));
        }
        rest = &after[end..];
    }
    clean.push_str(rest);
    clean
}

/// Holds the cleaning to its word: run before anything is compared.
pub fn check() -> Result<(), String> {
    let mut trace = Trace::new("/run/x7");
    trace.hide("/opt/engine", "ENGINE");
    let line = r#"task_pid: 17 pid: 9 pid: 17 /run/x7/c /opt/engine exited_at {seconds: 5 nanos: 3} at {seconds: -62}"#;
    let clean = trace.clean(line);
    let wanted = "task_pid: P0 pid: P1 pid: P0 DIR/c ENGINE exited_at {seconds: T} at {seconds: never}";
    if clean == wanted { Ok(()) } else { Err(format!("{clean:?} is not {wanted:?}")) }
}
