//! `zerocap install node` and `uninstall` whatever stands in which file: the administrator may have added `imports` to the
//! configuration, or taken them out, or written into our files, since an earlier run.

mod rig;

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use rig::{Rig, ok, refused};

/// Stands for the folder of the programs.
const HERE: &str = "/of/another/node";
const THEIRS: &str =
    "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.theirs]\n  runtime_type = 'x' # why\n";

/// A form of containerd's configuration.
#[derive(Clone, Copy, Debug)]
struct Layout {
    name: &'static str,
    version: &'static str,
    rest: &'static str,
    /// Whether a folder that it imports takes our handlers.
    merges: bool,
}

const LAYOUTS: [Layout; 5] = [
    Layout { name: "config.toml", version: "version = 3\n", rest: "# ours\n[debug]\n  level = 'info'", merges: true },
    Layout { name: "config.toml", version: "version = 4\r\n", rest: "# ours\r\n", merges: true },
    Layout { name: "config.toml", version: "version = 2\n", rest: "[debug]\n", merges: false },
    Layout {
        name: "config-v3.toml.tmpl",
        version: "version = 3\n",
        rest: "[debug]\nlevel = {{ .Level }}\n",
        merges: false,
    },
    Layout { name: "config.toml.tmpl", version: "", rest: "{{ template \"base\" . }}\n", merges: false },
];

/// What stands in the folder of drop-ins as `zerocap.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DropIn {
    Absent,
    Ours,
    OursAndTheirs,
    Theirs,
}

/// One of all combinations.
#[derive(Clone, Copy, Debug)]
struct Case {
    layout: Layout,
    in_main: bool,
    drop_in: DropIn,
    /// Whether the configuration imports the folder now.
    imports: bool,
    /// Whether there is a note of what earlier runs wrote; without it only containerd's usual folder is looked into.
    noted: bool,
}

impl Case {
    fn all(layout: Layout) -> impl Iterator<Item = Self> {
        use DropIn::{Absent, Ours, OursAndTheirs, Theirs};
        let both = [true, false];
        both.into_iter().flat_map(move |in_main| {
            [Absent, Ours, OursAndTheirs, Theirs].into_iter().flat_map(move |drop_in| {
                // The base of k3s is not ours to change.
                let imports = both.into_iter().filter(move |imports| !imports || !layout.version.is_empty());
                imports.flat_map(move |imports| {
                    both.into_iter().map(move |noted| Self { layout, in_main, drop_in, imports, noted })
                })
            })
        })
    }

    fn folder(self) -> &'static str {
        if self.noted { "drop.d" } else { "conf.d" }
    }

    fn main(self, imports: bool) -> String {
        let imports = if imports { format!("imports = ['{}/*.toml']\n", self.folder()) } else { String::new() };
        format!("{}{imports}{}", self.layout.version, self.layout.rest)
    }
}

/// The block and the drop-in that an installation writes, with programs below [`HERE`].
fn written(layout: Layout) -> &'static (String, String) {
    static WRITTEN: [OnceLock<(String, String)>; LAYOUTS.len()] = [const { OnceLock::new() }; LAYOUTS.len()];
    let index = LAYOUTS.iter().position(|other| other.rest == layout.rest).unwrap();
    WRITTEN[index].get_or_init(|| {
        let main = format!("{}{}", layout.version, layout.rest);
        let rig = Rig::new(layout.name, &main);
        let there = |text: &str| text.replace(&rig.path("prefix").display().to_string(), HERE);
        ok(&rig.install());
        let block = there(rig.text().strip_prefix(&main).unwrap());
        fs::write(&rig.config, "version = 3\nimports = ['conf.d/*.toml']\n").unwrap();
        ok(&rig.install());
        (block, there(&fs::read_to_string(rig.path("etc/conf.d/zerocap.toml")).unwrap_or_default()))
    })
}

/// A node with a case laid out on it.
struct Laid {
    case: Case,
    rig: Rig,
    drop_in: PathBuf,
    /// What others wrote.
    theirs: [Option<String>; 2],
    /// What stands there at the beginning.
    first: [Option<String>; 2],
}

impl Laid {
    fn out(case: Case) -> Self {
        let rig = Rig::new(case.layout.name, "");
        let drop_in = rig.path("etc").join(case.folder()).join("zerocap.toml");
        // What a version of before wrote, here.
        let here = |text: &str| text.replace(HERE, &rig.path("prefix").display().to_string());
        let (block, ours) = (here(&written(case.layout).0), here(&written(LAYOUTS[0]).1));
        let files = serde_json::json!({ (rig.config.display().to_string()): [drop_in] }).to_string();
        fs::copy("/bin/true", rig.path("from/zerocap")).unwrap();
        fs::create_dir(rig.path("prefix")).unwrap();
        fs::create_dir(drop_in.parent().unwrap()).unwrap();
        if case.noted {
            fs::write(rig.path("prefix/files.json"), files).unwrap();
        }
        let bare = case.main(case.imports);
        let main = if case.in_main { format!("{bare}{block}") } else { bare.clone() };
        let theirs = format!("version = 3\n{THEIRS}");
        let (there, theirs) = match case.drop_in {
            DropIn::Absent => (None, None),
            DropIn::Ours => (Some(ours), None),
            // The first line stays with what somebody wrote into our file: it would mean something else without it.
            DropIn::OursAndTheirs => (Some(format!("{ours}{THEIRS}")), Some(theirs)),
            DropIn::Theirs => (Some(theirs.clone()), Some(theirs)),
        };
        let laid = Self { case, rig, drop_in, theirs: [Some(bare), theirs], first: [Some(main), there] };
        laid.put();
        laid
    }

    /// Puts the files as they are at the beginning.
    fn put(&self) {
        for (path, text) in [&self.rig.config, &self.drop_in].into_iter().zip(&self.first) {
            match text {
                Some(text) => fs::write(path, text).unwrap(),
                None => drop(fs::remove_file(path)),
            }
        }
    }

    fn now(&self) -> [Option<String>; 2] {
        [&self.rig.config, &self.drop_in].map(|path| fs::read_to_string(path).ok())
    }

    /// One block, in its place, that containerd takes; and what others wrote.
    #[track_caller]
    fn is_installed(&self) {
        let now = self.now();
        let target = usize::from(self.case.imports && self.case.layout.merges);
        let text = now[target].as_deref().unwrap_or_default();
        let shim = self.shim();
        assert_eq!(text.matches(&shim).count(), 2, "{:?}: {now:?}", self.case);
        assert!(text.starts_with(self.theirs[target].as_deref().unwrap_or("version = 3\n")), "{:?}: {text}", self.case);
        assert_eq!(text.matches("# >>> zerocap").count(), 1, "{:?}: {text}", self.case);
        assert_eq!(now[1 - target], self.theirs[1 - target], "{:?}", self.case);
        if self.rig.config.extension().is_some_and(|end| end == "toml") {
            assert_eq!(self.rig.dump().unwrap().to_string().matches(&shim).count(), 2, "{:?}: {now:?}", self.case);
        }
    }

    /// The shim that is to be installed.
    fn shim(&self) -> String {
        self.rig.versions()[0].join("containerd-shim-zerocap-v2").display().to_string()
    }
}

fn one_block_whatever_stands_where_and_then_none(layout: Layout) {
    for case in Case::all(layout) {
        let laid = Laid::out(case);
        let rig = &laid.rig;
        // What is undone is what was there, in both files.
        let usual = fs::read_to_string(rig.path("restart")).unwrap();
        rig.script("restart", "[ -e \"$0.again\" ] || { touch \"$0.again\"; exit 1; }");
        refused(&rig.install(), 1, "ZC1105");
        assert_eq!(laid.now(), laid.first, "{case:?}: rolled back");
        fs::write(rig.path("restart"), usual).unwrap();

        ok(&rig.install());
        laid.is_installed();
        let (restarts, now) = (rig.restarts(), laid.now());
        assert!(ok(&rig.install()).contains("is right already"), "{case:?}");
        assert_eq!((rig.restarts(), laid.now()), (restarts, now), "{case:?}: twice");
        ok(&rig.uninstall());
        assert_eq!(laid.now(), laid.theirs, "{case:?}: uninstalled");
        assert!(!rig.path("prefix").exists(), "{case:?}");

        // Without an installation between.
        let laid = Laid::out(case);
        ok(&laid.rig.uninstall());
        assert_eq!(laid.now(), laid.theirs, "{case:?}: uninstalled at once");
        assert!(!laid.rig.path("prefix").exists(), "{case:?}");
    }
}

#[test]
fn version_3() {
    one_block_whatever_stands_where_and_then_none(LAYOUTS[0]);
}

#[test]
fn version_4_with_other_line_ends() {
    one_block_whatever_stands_where_and_then_none(LAYOUTS[1]);
}

#[test]
fn version_2() {
    one_block_whatever_stands_where_and_then_none(LAYOUTS[2]);
}

#[test]
fn a_template() {
    one_block_whatever_stands_where_and_then_none(LAYOUTS[3]);
}

#[test]
fn the_base_template() {
    one_block_whatever_stands_where_and_then_none(LAYOUTS[4]);
}
