//! Real-time tasks, and hints about what a session needs.

use super::loaded::Loaded;
use crate::error::Error;
use crate::foundation::{self, Plist};
use crate::framework::Framework;
use crate::message::Feature;
use crate::messages::*;

/// A time in which the process works in real time. It ends when the guard is dropped, also by a panic.
///
/// ```
/// use anemone_apple::{Error, fake::{Fake, Machine}, neural::RealTimeTask};
/// let fake = Fake::new(Machine { entitled: true, ..Machine::default() });
/// let framework = fake.open()?;
/// let task = RealTimeTask::begin(&framework)?;
/// // … evaluations …
/// drop(task);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the task ends when it is dropped"]
pub struct RealTimeTask {
    framework: Framework,
}

impl RealTimeTask {
    /// Begins a task. The system lets processes do so that have an entitlement of Apple's own.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS has no real-time tasks, or does not let this process begin one.
    pub fn begin(framework: &Framework) -> Result<Self, Error> {
        framework.require(Feature::RealTime)?;
        let client = framework.client()?;
        let _pool = framework.pool();
        // SAFETY: the client is alive.
        if !unsafe { framework.send(BEGIN_REAL_TIME_TASK, client, ()) }.get() {
            return Err(Error::Unavailable {
                feature: Feature::RealTime,
                because: "the system lets only entitled processes begin a real-time task; evaluations at real-time \
                          priority work without one"
                    .into(),
            });
        }
        Ok(Self { framework: framework.clone() })
    }
}

impl Drop for RealTimeTask {
    fn drop(&mut self) {
        let Ok(client) = self.framework.client() else { return };
        let _pool = self.framework.pool();
        // SAFETY: the client is alive, and the task was begun. A failure to end it cannot be acted on.
        unsafe { self.framework.send(END_REAL_TIME_TASK, client, ()) };
    }
}

/// A hint about what a session with a model needs.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::SessionHint;
/// match model.session_hint(SessionHint::Start { energy_efficient: true }) {
///     Ok(report) => println!("{report:?}"),
///     Err(e) => println!("it takes none: {e}"),
/// }
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionHint {
    /// A session begins.
    Start {
        /// Whether saving energy matters more than time.
        energy_efficient: bool,
    },
    /// The session ends.
    Stop,
    /// The session ends at once.
    Abort,
    /// How is the session?
    Info,
}

impl SessionHint {
    /// The text that stands for the hint: the values of `kANEFHintSessionStart` and its like.
    fn text(self) -> &'static str {
        match self {
            SessionHint::Start { .. } => "2",
            SessionHint::Stop => "3",
            SessionHint::Abort => "4",
            SessionHint::Info => "5",
        }
    }
}

/// What the system answers to a hint, as far as it does.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::{SessionHint, SessionReport};
/// if let Ok(SessionReport { resident_pages, total_pages, .. }) = model.session_hint(SessionHint::Info) {
///     println!("{resident_pages:?} of {total_pages:?} pages are resident");
/// }
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// The pages of memory that the model takes.
    pub total_pages: Option<i64>,
    /// Those of them that are in memory.
    pub resident_pages: Option<i64>,
    /// The status of the session.
    pub status: Option<i64>,
}

impl Loaded {
    /// Gives the system a hint.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS takes no hints, [`Error::Refused`] when it does not take this one.
    pub fn session_hint(&self, hint: SessionHint) -> Result<SessionReport, Error> {
        let framework = self.framework();
        framework.require(Feature::SessionHints)?;
        let client = framework.client()?;
        let text = foundation::string(framework, hint.text())?;
        let yes = foundation::boolean(framework, true)?;
        let saving = matches!(hint, SessionHint::Start { energy_efficient: true });
        let options = foundation::dictionary(
            framework,
            saving.then_some(("kANEFHintEnergyEfficientWorkloadKey", &yes)),
        )?;
        let _pool = framework.pool();
        // SAFETY: live objects of the right classes; the report is a mutable dictionary, which is the pool's.
        let report = unsafe {
            let class = framework.class(NS_MUTABLE_DICTIONARY).id();
            let report = framework.send(MUTABLE_DICTIONARY, class, ());
            let report = foundation::made(framework, report, "+[NSMutableDictionary dictionary]")?;
            framework.try_send(SESSION_HINT, client, |error| {
                (self.inner(), text.id(), options.id(), report.id(), error)
            })?;
            foundation::read_plist(framework, report.id())
        };
        let number = |key| report.get(key).and_then(Plist::as_number);
        Ok(SessionReport {
            total_pages: number("kANEFHintReportTotalPagesKey"),
            resident_pages: number("kANEFHintReportResidentPagesKey"),
            status: number("kANEFHintReportSessionStatusKey"),
        })
    }
}
