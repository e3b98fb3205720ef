//! What of the path to the engine works on this machine: every message, the folders, the device, a first dispatch.
//!
//! A checkup reads, and compiles one small program; it changes nothing that stays. It also gives a [`Recording`]: what
//! this system has of the message table, and what was sent.
//!
//! ```
//! let checkup = anemone_apple::doctor::examine();
//! for item in &checkup.items {
//!     println!("{:8} {}: {}", item.state.name(), item.check, item.says);
//! }
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::abi::Abi;
use crate::error::Error;
use crate::framework::{Finding, Framework, survey};
use crate::log::Log;
use crate::message::{Confidence, Feature, Row};
use crate::messages::{CLASSES, MESSAGES};
use crate::neural::{ClientInfo, DeviceInfo, Statistics, first_dispatch};
use crate::recording::Recording;
use crate::system::{LIBRARIES, Probe, probe};

/// What came of one check.
///
/// ```
/// use anemone_apple::doctor::State;
/// assert_eq!([State::Fine, State::Failed].map(State::name), ["ok", "failed"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Fine,
    /// Something works less well, or something that is not needed is not there.
    Warning,
    /// Something that is needed does not work.
    Failed,
    /// It was not checked.
    Skipped,
}

impl State {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            State::Fine => "ok",
            State::Warning => "warning",
            State::Failed => "failed",
            State::Skipped => "skipped",
        }
    }
}

/// One check.
///
/// ```
/// use anemone_apple::doctor::{self, Item};
/// for Item { check, state, says, help } in doctor::examine().items {
///     println!("{:8} {check}: {says} {}", state.name(), help.unwrap_or_default());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What was checked.
    pub check: &'static str,
    /// What came of it.
    pub state: State,
    /// What was found.
    pub says: String,
    /// What to do.
    pub help: Option<String>,
}

/// A message of the table, and what the system has of it.
///
/// ```
/// # use anemone_apple::doctor::{self, Places};
/// # use anemone_apple::fake::{Fake, Machine};
/// # let fake = Fake::new(Machine::computing());
/// # let places = Places { temporary: std::env::temp_dir(), caches: Some(std::env::temp_dir()) };
///
/// use anemone_apple::doctor::Checked;
/// let checkup = fake.raw(|abi| doctor::over(abi, &places, "over the fake"));
/// let message: &Checked = &checkup.messages[0];
/// assert_eq!(message.found().as_deref(), Some(message.expected().as_str()));
/// ```
#[derive(Clone, Debug)]
pub struct Checked {
    /// The row.
    pub row: &'static Row,
    /// What the system has.
    pub finding: Finding,
}

impl Checked {
    /// The encoding with which it would be sent.
    pub fn expected(&self) -> String {
        crate::encoding::plain(&(self.row.encoding)())
    }

    /// The encoding that the system has, if it has the message.
    pub fn found(&self) -> Option<String> {
        match &self.finding {
            Finding::Found => Some(self.expected()),
            Finding::Drifted(found) => Some(found.clone()),
            Finding::NoClass | Finding::NoSelector => None,
        }
    }
}

/// An entitlement, and what needs it.
///
/// ```
/// use anemone_apple::doctor::{ENTITLEMENTS, Entitlement};
/// for Entitlement { key, needed_for } in ENTITLEMENTS {
///     println!("{key}: {needed_for}");
/// }
/// ```
#[derive(Debug)]
pub struct Entitlement {
    /// Its key.
    pub key: &'static str,
    /// What needs it.
    pub needed_for: &'static str,
}

/// Entitlements that the way around Core ML meets. Apple gives them to processes of its own only; compiling, loading and
/// running programs of MIL text needs none (sources: every program that is known to work, which are not signed; the
/// strings of the framework).
pub static ENTITLEMENTS: &[Entitlement] = &[
    Entitlement {
        key: "com.apple.aned.private.allow",
        needed_for: "the restricted connection, real-time tasks",
    },
    Entitlement { key: "com.apple.aned.private.adapterWeight.allow", needed_for: "weights of adapters" },
    Entitlement {
        key: "com.apple.aned.private.processModelShare.allow",
        needed_for: "sharing a model between processes",
    },
    Entitlement { key: "com.apple.ane.iokit-user-access", needed_for: "the driver without the daemon" },
];

/// The folders that are needed.
///
/// ```
/// use anemone_apple::doctor::Places;
/// assert!(Places::default().temporary.is_absolute());
/// ```
#[derive(Clone, Debug)]
pub struct Places {
    /// The temporary directory, where the files of models lie.
    pub temporary: PathBuf,
    /// The user's folder of caches, which a sandboxed process must be able to write; none off a Mac.
    pub caches: Option<PathBuf>,
}

impl Default for Places {
    /// Those of this process.
    fn default() -> Self {
        let home = std::env::home_dir();
        let caches = home.map(|h| h.join("Library").join("Caches")).filter(|c| c.is_dir());
        Self { temporary: std::env::temp_dir(), caches }
    }
}

/// What was found.
///
/// ```
/// # use anemone_apple::doctor::{self, Places};
/// # use anemone_apple::fake::{Fake, Machine};
/// # let fake = Fake::new(Machine::computing());
/// # let places = Places { temporary: std::env::temp_dir(), caches: Some(std::env::temp_dir()) };
///
/// let checkup: doctor::Checkup = fake.raw(|abi| doctor::over(abi, &places, "over the fake"));
/// assert!(checkup.works(), "{checkup}");
/// assert_eq!(checkup.device.unwrap().architecture.as_deref(), Some("h16g"));
/// println!("{}", checkup.recording.unwrap()); // to send to those who mend it
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkup {
    /// The checks, in the order in which they were made.
    pub items: Vec<Item>,
    /// Every message of the table; none where there is no runtime to ask.
    pub messages: Vec<Checked>,
    /// What the machine says about its engine.
    pub device: Option<DeviceInfo>,
    /// What was sent, and what the system has of the table; none where there is nothing to send to.
    pub recording: Option<Recording>,
}

/// How long the engine may take for the first dispatch.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examines this machine.
///
/// ```
/// let checkup = anemone_apple::doctor::examine();
/// println!("{checkup}");
/// # #[cfg(not(target_vendor = "apple"))]
/// assert!(!checkup.works());
/// ```
pub fn examine() -> Checkup {
    let mut checkup = Checkup::default();
    let probes = probe();
    let missing: Vec<&Probe> = probes.iter().filter(|p| p.error.is_some()).collect();
    let frameworks = match missing.first() {
        None => item("frameworks", State::Fine, format!("all {} can be opened", probes.len())),
        Some(first) => {
            let names: Vec<&str> = missing.iter().map(|p| p.library.name).collect();
            let why = first.error.as_deref().unwrap_or_default();
            let says = format!("{} cannot be opened: {why}", names.join(", "));
            let help = "the engine is in Macs with Apple Silicon; elsewhere programs run on the engines `cpu` and `reference`";
            item("frameworks", State::Failed, says).help(help)
        }
    };
    checkup.items.push(frameworks);
    match Abi::system() {
        Ok(abi) => {
            let at = std::mem::take(&mut checkup.items);
            checkup = over(abi, &Places::default(), "on a Mac");
            checkup.items.splice(..0, at);
        }
        Err(_) => checkup.items.extend(unasked()),
    }
    checkup
}

/// What would be checked where there is a runtime to ask.
fn unasked() -> Vec<Item> {
    let skip = |check, says: String| item(check, State::Skipped, says);
    let names: Vec<&str> = LIBRARIES.iter().map(|l| l.name).collect();
    vec![
        skip("classes", format!("on a Mac, {} classes of {} are looked up", CLASSES.len(), names.join(", "))),
        skip(
            "messages",
            format!("on a Mac, the prototypes of {} messages are compared with the system's", MESSAGES.len()),
        ),
        skip(
            "engine",
            "on a Mac, it is asked for its family, its cores, and whether the machine is virtual".into(),
        ),
        skip("folders", "on a Mac, the temporary directory and the caches are written to".into()),
        skip(
            "dispatch",
            "on a Mac, a small program is compiled, loaded and run, and its results are checked".into(),
        ),
    ]
}

/// Examines what lies behind an [`Abi`]. `where` says what that is; it is written into the recording.
///
/// ```
/// # use anemone_apple::doctor::{self, Places};
/// # use anemone_apple::fake::{Fake, Machine};
/// # let fake = Fake::new(Machine::computing());
/// # let places = Places { temporary: std::env::temp_dir(), caches: Some(std::env::temp_dir()) };
///
/// let checkup = fake.raw(|abi| doctor::over(abi, &places, "over the fake"));
/// assert!(checkup.to_string().starts_with("ok "), "{checkup}");
/// ```
pub fn over(abi: Abi, places: &Places, r#where: &str) -> Checkup {
    let log = Log::new();
    let findings = survey(&abi);
    let mut items = vec![classes(&findings), messages(&findings)];
    items.extend(features(&findings));
    let mut device = None;
    match Framework::over(abi, Some(log.clone())) {
        Err(e) => {
            items.push(item("framework", State::Failed, e.to_string()).help(REPORT));
            items.extend(folders(places));
            items.push(item("dispatch", State::Skipped, "the framework is not what it should be".into()));
        }
        Ok(framework) => {
            let info = DeviceInfo::read(&framework);
            items.extend(engine(&info));
            items.push(daemon(&framework));
            items.push(statistics(&framework));
            items.push(entitlements());
            items.extend(folders(places));
            items.push(dispatch(&framework, &info));
            device = Some(info);
        }
    }
    let said = |text: Option<&String>| text.cloned().unwrap_or_else(|| "unknown".into());
    let known = device.as_ref();
    let system = format!(
        "{} {}",
        said(known.and_then(|d| d.product.as_ref())),
        said(known.and_then(|d| d.build.as_ref()))
    );
    let header = [
        ("recorded", format!("{where} by anemone {}", env!("CARGO_PKG_VERSION"))),
        ("system", system),
        ("engine", said(known.and_then(|d| d.architecture.as_ref()))),
        ("doings", "a checkup".to_string()),
    ];
    let header: Vec<(&str, &str)> = header.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let recording = Some(Recording::new(&header, &findings, &log));
    let messages = findings.into_iter().map(|(row, finding)| Checked { row, finding }).collect();
    Checkup { items, messages, device, recording }
}

impl Checkup {
    /// Whether programs can be compiled, loaded and run here: nothing failed, and the first dispatch was made.
    pub fn works(&self) -> bool {
        let dispatched = self.items.iter().any(|i| i.check == "dispatch" && i.state == State::Fine);
        dispatched && self.items.iter().all(|i| i.state != State::Failed)
    }
}

/// What to do about a system that has changed.
const REPORT: &str = "this macOS is newer than the table, or the table is wrong: `anemone doctor --record FILE` writes what is needed to mend it";

fn item(check: &'static str, state: State, says: String) -> Item {
    Item { check, state, says, help: None }
}

impl Item {
    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn classes(findings: &[(&'static Row, Finding)]) -> Item {
    let missing: Vec<_> = CLASSES
        .iter()
        .enumerate()
        .filter(|(at, _)| findings.iter().any(|(row, f)| row.class == *at && *f == Finding::NoClass))
        .map(|(_, class)| class.name.to_string_lossy())
        .collect();
    if missing.is_empty() {
        return item("classes", State::Fine, format!("all {} are there", CLASSES.len()));
    }
    let says = format!("{} of {} are not there: {}", missing.len(), CLASSES.len(), missing.join(", "));
    item("classes", State::Warning, says)
}

fn messages(findings: &[(&'static Row, Finding)]) -> Item {
    let wrong: Vec<String> = findings
        .iter()
        .filter_map(|(row, finding)| match finding {
            Finding::Found => None,
            Finding::Drifted(found) => {
                Some(format!("{row} is `{found}` and not `{}`", crate::encoding::plain(&(row.encoding)())))
            }
            Finding::NoClass | Finding::NoSelector => Some(format!("{row} is missing")),
        })
        .collect();
    if wrong.is_empty() {
        return item("messages", State::Fine, format!("all {} have the expected prototype", findings.len()));
    }
    let core = findings.iter().any(|(row, f)| row.feature == Feature::Core && *f != Finding::Found);
    let state = if core { State::Failed } else { State::Warning };
    let says = format!("{} of {}: {}", wrong.len(), findings.len(), wrong.join("; "));
    item("messages", state, says).help(REPORT)
}

/// The features that are off, if any are.
fn features(findings: &[(&'static Row, Finding)]) -> Option<Item> {
    let off: Vec<&str> = Feature::ALL
        .iter()
        .filter(|&&feature| findings.iter().any(|(row, f)| row.feature == feature && *f != Finding::Found))
        .map(|feature| feature.name())
        .collect();
    (!off.is_empty())
        .then(|| item("features", State::Warning, format!("off for want of messages: {}", off.join(", "))))
}

fn engine(info: &DeviceInfo) -> Vec<Item> {
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    let number = |n: Option<u32>| n.map_or("unknown".into(), |n| n.to_string());
    let says = format!(
        "{} ({} engines, {} cores), {} {}",
        said(&info.architecture),
        number(info.engines),
        number(info.cores),
        said(&info.product),
        said(&info.build)
    );
    let engine = match info.has_engine {
        Some(false) => item("engine", State::Failed, "the machine says that it has none".into())
            .help("the engine is in Macs with Apple Silicon"),
        Some(true) => item("engine", State::Fine, says),
        None => {
            item("engine", State::Warning, format!("this macOS does not say whether there is one: {says}"))
        }
    };
    let mut items = vec![engine];
    if info.is_virtual_machine == Some(true) {
        let says = "this is a virtual machine, in which the engine cannot be reached".to_string();
        items.push(item("machine", State::Failed, says).help("run on the host"));
    }
    items
}

fn daemon(framework: &Framework) -> Item {
    match ClientInfo::read(framework) {
        Err(e) => item("daemon", State::Warning, e.to_string()),
        Ok(ClientInfo { answers: Some(false), .. }) => {
            item("daemon", State::Warning, "it does not answer, or not in the way that was asked".into())
        }
        Ok(ClientInfo { answers: Some(true), is_restricted, .. }) => {
            let how = if is_restricted == Some(true) { " on the restricted connection" } else { "" };
            item("daemon", State::Fine, format!("it answers{how}"))
        }
        Ok(ClientInfo { answers: None, .. }) => {
            item("daemon", State::Skipped, "this macOS has no message to ask it".into())
        }
    }
}

/// What is read of statistics must be what went into them.
fn statistics(framework: &Framework) -> Item {
    match Statistics::check(framework) {
        Ok(()) => item("statistics", State::Fine, "they are read as they were made".into()),
        Err(e) => item("statistics", State::Warning, e.to_string()),
    }
}

fn entitlements() -> Item {
    let apples: Vec<String> = ENTITLEMENTS.iter().map(|e| format!("{} ({})", e.needed_for, e.key)).collect();
    let says = format!("none is needed to compile, load and run; Apple's own are for {}", apples.join(", "));
    item("entitlements", State::Fine, says)
}

fn folders(places: &Places) -> Vec<Item> {
    let check = |check, folder: &Path, help: &str| match writable(folder) {
        Ok(()) => item(check, State::Fine, format!("{} can be written", folder.display())),
        Err(e) => {
            item(check, State::Failed, format!("{} cannot be written: {e}", folder.display())).help(help)
        }
    };
    let temporary = check(
        "temporary",
        &places.temporary,
        "the files of models lie there: set TMPDIR to a folder that can be written",
    );
    let caches = places.caches.as_deref().map(|c| {
        let mut caches = check("caches", c, "a sandboxed process needs to write there");
        if caches.state == State::Failed {
            // Reports of this are of sandboxed processes only.
            caches.state = State::Warning;
        }
        caches
    });
    std::iter::once(temporary).chain(caches).collect()
}

/// Makes a folder in a folder, and removes it again.
fn writable(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!("anemone-doctor-{}", std::process::id()));
    std::fs::create_dir(&probe)?;
    std::fs::write(probe.join("file"), "anemone")?;
    std::fs::remove_dir_all(&probe)
}

fn dispatch(framework: &Framework, info: &DeviceInfo) -> Item {
    // In a virtual machine a compilation has been seen to hang.
    if info.is_virtual_machine == Some(true) || info.has_engine == Some(false) {
        return item("dispatch", State::Skipped, "there is no engine to run a program on".into());
    }
    match first_dispatch(framework, PATIENCE) {
        Ok(d) => {
            let says = format!(
                "a small program was compiled in {:.1?}, loaded in {:.1?} and run in {:.1?}, with the right results",
                d.compile, d.load, d.run
            );
            item("dispatch", State::Fine, says)
        }
        Err(e) => {
            let help = match &e {
                Error::Unexpected { .. } => {
                    "the results of other programs cannot be trusted either; restart the Mac"
                }
                _ => "`anemone doctor --record FILE` writes what was sent, for a bug report",
            };
            item("dispatch", State::Failed, e.to_string()).help(help)
        }
    }
}

impl fmt::Display for Checkup {
    /// A line for each check, with what to do below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Item { check, state, says, help } in &self.items {
            writeln!(f, "{:8} {check:13} {says}", state.name())?;
            if let Some(help) = help {
                writeln!(f, "{:22} help: {help}", "")?;
            }
        }
        Ok(())
    }
}

/// How sure the prototype of a message is, in a word.
///
/// ```
/// use anemone_apple::{doctor::confidence, messages::MESSAGES};
/// let row = &MESSAGES[0];
/// println!("{}: {}", row.class_name(), confidence(row.confidence));
/// ```
pub const fn confidence(of: Confidence) -> &'static str {
    match of {
        Confidence::Documented => "documented",
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}
