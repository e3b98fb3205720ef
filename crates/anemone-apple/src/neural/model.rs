//! A program of MIL text, from its description to a model that can be run.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::loaded::{self, Loaded, Opened, Source};
use super::options::{self, QualityOfService};
use super::statistics::StatisticsMask;
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;

/// A program: MIL text and the weight files that it names.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{Model, Program};
/// let weights = [("@model_path/../secret", &[0u8][..])];
/// assert!(Model::describe(&framework, &Program { text: "", weights: &weights }).is_err(), "a path that leads out");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The text.
    pub text: &'a str,
    /// Weight files by the path with which the text names them, such as `@model_path/weights/weight.bin`.
    pub weights: &'a [(&'a str, &'a [u8])],
}

/// What paths of weight files begin with.
const MODEL_PATH: &str = "@model_path/";

impl Program<'_> {
    /// The weight files, by their path below the model's folder.
    fn files(&self) -> Result<Vec<(PathBuf, &[u8])>, Error> {
        let mut files: Vec<(PathBuf, &[u8])> = Vec::new();
        for &(name, bytes) in self.weights {
            let below = name.strip_prefix(MODEL_PATH).map(Path::new);
            let plain = |p: &&Path| {
                p.components().all(|c| matches!(c, Component::Normal(_))) && p.components().next().is_some()
            };
            let path = below.filter(plain).ok_or_else(|| {
                Error::Invalid(format!("the weight file {name:?} must be named {MODEL_PATH}… without `..`"))
            })?;
            if files.iter().any(|(p, _)| p == path) {
                return Err(Error::Invalid(format!("the weight file {name:?} is given twice")));
            }
            // The framework itself writes these into the folder.
            if ["model.mil", "net.plist", "data"].iter().any(|own| path == Path::new(own)) {
                return Err(Error::Invalid(format!("the weight file {name:?} has a name that is taken")));
            }
            files.push((path.to_path_buf(), bytes));
        }
        Ok(files)
    }
}

/// A model that is described: the system knows its text and weights, and has compiled nothing.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{Described, FIRST_DISPATCH, Model, StatisticsMask};
/// let model: Model<Described> = Model::describe(&framework, &FIRST_DISPATCH)?;
/// let model = model.with_statistics(StatisticsMask::ALL)?.with_queue_depth(8)?;
/// assert!(!model.is_cached()?);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Described(pub(super) ());

/// A model that is compiled, or found compiled in the system's cache.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{Compiled, FIRST_DISPATCH, Model, QualityOfService};
/// let quality = QualityOfService::Default;
/// let model: Model<Compiled> = Model::describe(&framework, &FIRST_DISPATCH)?.compile(quality)?;
/// assert!(model.is_cached()?);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Compiled(pub(super) ());

/// A model of MIL text in one of its states: [`Described`], then [`Compiled`]; [`Model::load`] makes a
/// [`Loaded`] of it.
///
/// Its files lie in a folder below the temporary directory, which is removed when the model is dropped. Equal programs
/// have one folder; they take turns in it.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{FIRST_DISPATCH, Model, QualityOfService};
/// let quality = QualityOfService::UserInteractive;
/// let described = Model::describe(&framework, &FIRST_DISPATCH)?;
/// println!("{}", described.identity());
/// let compiled = described.compile(quality)?; // or `compile_anew`, whatever the cache has
/// compiled.purge()?; // it stays compiled for who has it
/// let loaded = compiled.load(quality)?;
/// assert_eq!(loaded.quality(), quality);
/// let again = Model::describe(&framework, &FIRST_DISPATCH)?.compile_anew(quality)?;
/// assert_eq!(framework.spent().0, 2);
/// # drop(again);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Model<S> {
    inner: Inner,
    #[expect(dead_code, reason = "the state is a type")]
    state: S,
}

#[derive(Debug)]
struct Inner {
    object: Retained,
    folder: Folder,
    text: Arc<str>,
    files: Arc<[(PathBuf, Box<[u8]>)]>,
    statistics: Option<StatisticsMask>,
}

// SAFETY: `_ANEInMemoryModel` is used from one thread at a time (`&mut` or by value) before it is loaded, and its
// object may be used on another thread than the one that made it: the working programs that this is known from compile
// on worker threads (sources: dev-erik/ANE, Espresso).
unsafe impl Send for Inner {}

impl<S> Model<S> {
    /// What the system knows the program by: hashes of text, weights and options.
    pub fn identity(&self) -> &str {
        &self.inner.folder.identity
    }

    /// Whether the system's cache has the program compiled.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS cannot say.
    pub fn is_cached(&self) -> Result<bool, Error> {
        let framework = self.inner.object.framework();
        framework.require(Feature::Cache)?;
        let _pool = framework.pool();
        // SAFETY: the object is an _ANEInMemoryModel, alive.
        Ok(unsafe { framework.send(COMPILED_MODEL_EXISTS, self.inner.object.id(), ()) }.get())
    }

    /// Removes the program from the system's cache.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS cannot.
    pub fn purge(&self) -> Result<(), Error> {
        let framework = self.inner.object.framework();
        framework.require(Feature::Cache)?;
        let _pool = framework.pool();
        // SAFETY: the object is an _ANEInMemoryModel, alive.
        unsafe { framework.send(PURGE_COMPILED_MODEL, self.inner.object.id(), ()) };
        Ok(())
    }
}

impl Model<Described> {
    /// Describes a program.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a weight file has no right name, [`Error::Unexpected`] when the framework makes nothing
    /// of it.
    pub fn describe(framework: &Framework, program: &Program<'_>) -> Result<Self, Error> {
        let files = program.files()?;
        let _pool = framework.pool();
        let text = foundation::data(framework, program.text.as_bytes())?;
        let zero = foundation::number(framework, 0)?;
        let mut entries = Vec::new();
        for &(name, bytes) in program.weights {
            let data = foundation::data(framework, bytes)?;
            entries.push((name, foundation::dictionary(framework, [("offset", &zero), ("data", &data)])?));
        }
        let weights = foundation::dictionary(framework, entries.iter().map(|(n, e)| (*n, e)))?;
        let class = framework.class(IN_MEMORY_MODEL_DESCRIPTOR).id();
        let arguments = (text.id(), weights.id(), crate::abi::Id::NIL);
        // SAFETY: NSData, a dictionary in the form that working programs give, and no options.
        let descriptor = unsafe {
            let made = framework.send(MODEL_WITH_MIL_TEXT, class, arguments);
            foundation::made(
                framework,
                made,
                "+[_ANEInMemoryModelDescriptor modelWithMILText:weights:optionsPlist:]",
            )?
        };
        let class = framework.class(IN_MEMORY_MODEL).id();
        // SAFETY: a live descriptor.
        let object = unsafe {
            let made = framework.send(IN_MEMORY_MODEL_WITH_DESCRIPTOR, class, (descriptor.id(),));
            foundation::made(framework, made, "+[_ANEInMemoryModel inMemoryModelWithDescriptor:]")?
        };
        // SAFETY: the object is alive; both give strings, and the pool is open.
        let (identity, path) = unsafe {
            let read = |message| foundation::read_string(framework, framework.send(message, object.id(), ()));
            (read(HEX_STRING_IDENTIFIER), read(LOCAL_MODEL_PATH))
        };
        let folder = Folder::new(identity, path)?;
        let owned = files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
        let inner = Inner { object, folder, text: program.text.into(), files: owned, statistics: None };
        Ok(Self { inner, state: Described(()) })
    }

    /// Asks for statistics of each evaluation. They cost time; without them none are gathered.
    ///
    /// The mask is set before the compilation, before the load and after it, on both objects of the model, since a load
    /// takes it back (source: tmc/apple). Some systems give no statistics whatever the mask, and one report has a load
    /// refused because of it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS has no statistics.
    pub fn with_statistics(mut self, mask: StatisticsMask) -> Result<Self, Error> {
        self.inner.object.framework().require(Feature::PerformanceStats)?;
        self.inner.statistics = Some(mask);
        Ok(self)
    }

    /// Sets how many evaluations may wait for the engine. A load has been seen to set 127, whatever it was.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] unless it is 1 to 127, [`Error::Unavailable`] when this macOS has no queue to set.
    pub fn with_queue_depth(self, depth: usize) -> Result<Self, Error> {
        let framework = self.inner.object.framework();
        framework.require(Feature::Diagnostics)?;
        let depth = i8::try_from(depth)
            .ok()
            .filter(|&d| d > 0)
            .ok_or_else(|| Error::Invalid(format!("a queue holds 1 to 127 evaluations, not {depth}")))?;
        {
            let _pool = framework.pool();
            // SAFETY: the object is an _ANEInMemoryModel, alive.
            unsafe { framework.send(SET_QUEUE_DEPTH, self.inner.object.id(), (depth,)) };
        }
        Ok(self)
    }

    /// Compiles the program, unless the system's cache has it compiled.
    ///
    /// # Errors
    ///
    /// [`Error::CompileBudgetExhausted`] before the system would stop to compile without a word, [`Error::Refused`]
    /// when it refuses the program, [`Error::Io`] when the files cannot be written.
    ///
    /// After a compilation that failed the next one waits for [`AFTER_FAILURE`](crate::AFTER_FAILURE), so that the
    /// compiler's service is there again.
    pub fn compile(self, quality: QualityOfService) -> Result<Model<Compiled>, Error> {
        if self.is_cached().unwrap_or(false) {
            return Ok(Model { inner: self.inner, state: Compiled(()) });
        }
        self.compile_anew(quality)
    }

    /// Compiles the program, also when the system's cache has it.
    ///
    /// # Errors
    ///
    /// As [`Model::compile`].
    pub fn compile_anew(self, quality: QualityOfService) -> Result<Model<Compiled>, Error> {
        self.inner.compile(quality)?;
        Ok(Model { inner: self.inner, state: Compiled(()) })
    }
}

impl Model<Compiled> {
    /// Loads the program. If the system refuses it for a reason that may pass, it is asked once more after 100 ms.
    ///
    /// # Errors
    ///
    /// [`Error::CompileBudgetExhausted`] when too many programs are loaded, [`Error::Refused`] when the system refuses
    /// it, [`Error::Unexpected`] when the loaded model does not say how its tensors lie.
    pub fn load(self, quality: QualityOfService) -> Result<Loaded, Error> {
        self.inner.load(quality)
    }
}

impl Inner {
    fn compile(&self, quality: QualityOfService) -> Result<(), Error> {
        let framework = self.object.framework();
        framework.budget().compile()?;
        let _turn = self.folder.turn();
        let _pool = framework.pool();
        self.set_mask();
        let options = foundation::dictionary(framework, [])?;
        let object = self.object.id();
        let compile = || {
            // SAFETY: the object is a live _ANEInMemoryModel, the options are a dictionary.
            unsafe { framework.try_send(COMPILE, object, |error| (quality.value(), options.id(), error)) }
        };
        framework.pace().compile(|| framework.pace().patiently(Some(&|| self.write_files()), compile))
    }

    fn load(self, quality: QualityOfService) -> Result<Loaded, Error> {
        let framework = self.object.framework().clone();
        let turn = self.folder.turn();
        let _pool = framework.pool();
        self.set_mask();
        let options = options::of_statistics(&framework, self.statistics)?;
        let object = self.object.id();
        // Between the compilation and now the cache may have been emptied; then the load compiles, from the files.
        loaded::patiently(&framework, Some(&|| self.write_files()), || {
            // SAFETY: the object is a live _ANEInMemoryModel, the options are a dictionary.
            unsafe { framework.try_send(LOAD, object, |error| (quality.value(), options.id(), error)) }
        })?;
        drop(turn);
        // The load has put the mask of a new inner model in the place of ours.
        self.set_mask();
        let object = self.object.clone();
        let source = Source::Text { object: self.object, folder: self.folder };
        let opened = Opened::new(source, quality, self.statistics);
        // SAFETY: the model is loaded, so that it has an inner one.
        let inner = unsafe {
            let model = framework.send(INNER_MODEL, object.id(), ());
            foundation::made(&framework, model, "-[_ANEInMemoryModel model]")?
        };
        Loaded::of(opened, inner)
    }

    /// Sets the mask of the statistics, if there is one, on the model and on the one in it, which there may not be yet.
    fn set_mask(&self) {
        let Some(mask) = self.statistics.map(StatisticsMask::bits) else { return };
        let framework = self.object.framework();
        let _pool = framework.pool();
        // SAFETY: both objects are alive, and the feature was required when the mask was set.
        unsafe {
            framework.send(SET_PERF_STATS_MASK, self.object.id(), (mask,));
            let inner = framework.send(INNER_MODEL, self.object.id(), ());
            if !inner.is_nil() {
                framework.send(MODEL_SET_PERF_STATS_MASK, inner, (mask,));
            }
        }
    }

    /// Writes text and weights where the system's compiler reads them.
    fn write_files(&self) -> Result<(), Error> {
        let folder = &self.folder.path;
        let write = |path: &Path, bytes: &[u8]| {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, bytes))
                .map_err(|e| io(&path, &e))
        };
        write(Path::new("model.mil"), self.text.as_bytes())?;
        self.files.iter().try_for_each(|(path, bytes)| write(path, bytes))
    }
}

fn io(path: &Path, error: &std::io::Error) -> Error {
    Error::Io { path: path.display().to_string(), reason: error.to_string() }
}

/// The folder of a model below the temporary directory. Models of equal programs share it, also across the unloading
/// of one, which removes it: who needs its files writes them anew while it is their turn.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) identity: String,
    path: PathBuf,
    lock: Arc<Mutex<()>>,
}

/// A lock for each folder that some model of this process has, with the number of these models.
static FOLDERS: LazyLock<Mutex<Users>> = LazyLock::new(Mutex::default);

type Users = HashMap<PathBuf, (Arc<Mutex<()>>, usize)>;

fn folders() -> MutexGuard<'static, Users> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Folder {
    fn new(identity: String, path: String) -> Result<Self, Error> {
        let plain = !identity.is_empty() && identity.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_');
        let path = PathBuf::from(path);
        // It is removed with all that is in it: it must be what it is known to be.
        if !plain || !path.is_absolute() || path.file_name().is_none_or(|n| n != identity.as_str()) {
            return Err(Error::Unexpected {
                message: "-[_ANEInMemoryModel localModelPath]",
                gave: format!("{} for the identity {identity:?}", path.display()),
            });
        }
        let mut folders = folders();
        let (lock, users) = folders.entry(path.clone()).or_default();
        *users += 1;
        Ok(Self { identity, path, lock: lock.clone() })
    }

    /// Waits for the turn to use the folder.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let mut folders = folders();
        let Some((_, users)) = folders.get_mut(&self.path) else { return };
        *users -= 1;
        if *users == 0 {
            folders.remove(&self.path);
            // It may be gone already: the unloading removes it.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
