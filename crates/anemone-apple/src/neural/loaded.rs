//! What is loaded: a model that can be run, whether of MIL text or from a folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::attributes::Attributes;
use super::model::{Folder, Model, Program};
use super::options::{EvaluateOptions, QualityOfService};
use super::statistics::StatisticsMask;
use crate::abi::Id;
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::messages::*;

/// A program that is loaded, and can be run. Copies are the same one; the last one that is dropped unloads it.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService, SessionHint};
/// let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// assert_eq!(model.attributes().procedures[0].name, "main");
/// assert!(!model.is_package() && model.statistics().is_none() && !model.identity().is_empty());
/// assert_eq!((model.quality(), model.framework().spent()), (QualityOfService::Default, (1, 1)));
/// // What the system knows a model by, and what a session needs, as far as it takes such hints.
/// println!("{:?} {:?}", model.uuid(), model.session_hint(SessionHint::Info));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Loaded(Arc<LoadedModel>);

#[derive(Debug)]
struct LoadedModel {
    // Unloads when it is dropped, before the rest is given up.
    opened: Opened,
    /// The `_ANEModel`, which the client wants.
    inner: Retained,
    /// The options of an evaluation that asks for nothing, made once.
    options: Retained,
    attributes: Attributes,
}

// SAFETY: evaluation is known to be called from any thread, of one model also from several at once (sources: D:InMem,
// which shows that it goes to the driver on the caller's thread without a lock, and dev-erik's and Espresso's
// programs); the other messages that are sent to a loaded model only read.
unsafe impl Send for LoadedModel {}
// SAFETY: as above.
unsafe impl Sync for LoadedModel {}

/// A place among the loaded programs of the process, which is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Opened {
    source: Source,
    quality: QualityOfService,
    statistics: Option<StatisticsMask>,
    /// Whether an evaluation had shared events. The unloading of such a model has been seen to crash, and programs
    /// that work leave it out (source: tmc/apple): the place in the process is lost.
    had_events: AtomicBool,
}

/// What a loaded model came from, and is unloaded by.
#[derive(Debug)]
pub(super) enum Source {
    /// MIL text: the `_ANEInMemoryModel`, and the folder of its files.
    Text { object: Retained, folder: Folder },
    /// A folder: the `_ANEModel`, the options with which it was loaded, and what it is known by.
    Package { object: Retained, options: Retained, identity: String },
}

impl Source {
    fn object(&self) -> &Retained {
        match self {
            Source::Text { object, .. } | Source::Package { object, .. } => object,
        }
    }
}

impl Opened {
    /// What was just loaded; its place was counted.
    pub(super) fn new(source: Source, quality: QualityOfService, statistics: Option<StatisticsMask>) -> Self {
        Self { source, quality, statistics, had_events: AtomicBool::new(false) }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.had_events.load(Ordering::Relaxed) {
            return;
        }
        let framework = self.source.object().framework();
        let object = self.source.object().id();
        let quality = self.quality.value();
        let pool = framework.pool();
        // SAFETY: live, loaded objects of the right classes, on which nothing runs: requests hold the model. What the
        // unloading may refuse cannot be acted on.
        let _ = unsafe {
            match &self.source {
                Source::Text { folder, .. } => {
                    let _turn = folder.turn();
                    framework.try_send(UNLOAD, object, |error| (quality, error))
                }
                Source::Package { options, .. } => framework.client().and_then(|client| {
                    framework.try_send(CLIENT_UNLOAD, client, |error| (object, options.id(), quality, error))
                }),
            }
        };
        drop(pool);
        framework.budget().unload();
    }
}

/// Loads, patiently. A success takes a place of the process.
pub(super) fn patiently(
    framework: &Framework,
    files: Option<&dyn Fn() -> Result<(), Error>>,
    load: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    framework.budget().load()?;
    framework.pace().patiently(files, load).inspect_err(|_| framework.budget().unload())
}

impl Loaded {
    /// Describes, compiles and loads a program; what the system's cache has compiled is not compiled again.
    ///
    /// # Errors
    ///
    /// As [`Model::describe`], [`Model::compile`] and [`Model::load`].
    pub fn new(
        framework: &Framework,
        program: &Program<'_>,
        quality: QualityOfService,
    ) -> Result<Self, Error> {
        Model::describe(framework, program)?.compile(quality)?.load(quality)
    }

    /// Takes in what a loaded model says about itself.
    pub(super) fn of(opened: Opened, inner: Retained) -> Result<Self, Error> {
        let framework = &inner.framework().clone();
        let _pool = framework.pool();
        // SAFETY: the model is alive, and gives a dictionary.
        let plist =
            unsafe { foundation::read_plist(framework, framework.send(MODEL_ATTRIBUTES, inner.id(), ())) };
        let attributes = Attributes::read(&plist)?;
        let options = EvaluateOptions::default().dictionary(framework, opened.statistics)?;
        Ok(Self(Arc::new(LoadedModel { opened, inner, options, attributes })))
    }

    /// What the model says about itself.
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    /// What the system knows the program by: hashes of a program of text, folder and key of one from a folder.
    pub fn identity(&self) -> &str {
        match &self.0.opened.source {
            Source::Text { folder, .. } => &folder.identity,
            Source::Package { identity, .. } => identity,
        }
    }

    /// The quality of service with which it was loaded, and is run.
    pub fn quality(&self) -> QualityOfService {
        self.0.opened.quality
    }

    /// The statistics that were asked for.
    pub fn statistics(&self) -> Option<StatisticsMask> {
        self.0.opened.statistics
    }

    /// Whether it came from a folder, by [`Package`](super::Package).
    pub fn is_package(&self) -> bool {
        matches!(self.0.opened.source, Source::Package { .. })
    }

    /// Notes that an evaluation has shared events: the model stays loaded for ever.
    pub(super) fn note_events(&self) {
        self.0.opened.had_events.store(true, Ordering::Relaxed);
    }

    /// The framework.
    pub fn framework(&self) -> &Framework {
        self.0.inner.framework()
    }

    /// The `_ANEInMemoryModel` of a program of text.
    pub(super) fn text(&self) -> Option<Id> {
        match &self.0.opened.source {
            Source::Text { object, .. } => Some(object.id()),
            Source::Package { .. } => None,
        }
    }

    /// The `_ANEModel`.
    pub(super) fn inner(&self) -> Id {
        self.0.inner.id()
    }

    /// The options of an evaluation that asks for nothing.
    pub(super) fn options(&self) -> Id {
        self.0.options.id()
    }
}
