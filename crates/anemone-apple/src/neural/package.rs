//! A compiled model in a folder, from its path to a model that can be run.

use std::path::Path;

use super::loaded::{self, Loaded, Opened, Source};
use super::model::{Compiled, Described};
use super::options::QualityOfService;
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;

/// A model in a folder, such as an `.mlmodelc`, in one of its states: [`Described`], then [`Compiled`];
/// [`Package::load`] makes a [`Loaded`] of it.
///
/// The folder stays as it is. Models from folders can do what those of MIL text cannot: wait for shared events and
/// signal them.
///
/// What a folder has to hold is not settled. One report (M4 Max) has the system refuse folders with `model.mil` and
/// weights, and ask for `model.espresso.net`; another project loads just such folders. What is sent here is a third way
/// that neither has tried: if there is `model.mil`, the option `kANEFModelType` is set to `kANEFModelMIL`, and no option
/// if there is `model.espresso.net`.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # let folder = tempfile::tempdir().map_err(|e| anemone_apple::Error::Invalid(e.to_string()))?;
/// # std::fs::write(folder.path().join("model.mil"), anemone_apple::neural::FIRST_DISPATCH.text).unwrap();
/// # let folder = folder.path();
/// use anemone_apple::neural::{Package, QualityOfService};
/// let quality = QualityOfService::Default;
/// let package = Package::describe(&framework, folder, Package::KEY)?.compile(quality)?;
/// assert!(package.is_cached()? && package.identity().ends_with("#s"));
/// let model = package.load(quality)?;
/// assert!(model.is_package());
/// Package::describe(&framework, folder, Package::KEY)?.purge()?;
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Package<S> {
    inner: Inner,
    #[expect(dead_code, reason = "the state is a type")]
    state: S,
}

#[derive(Debug)]
struct Inner {
    object: Retained,
    options: Retained,
    identity: String,
}

// SAFETY: as a model of MIL text, it is used from one thread at a time before it is loaded, and its object may be used
// on another thread than the one that made it.
unsafe impl Send for Inner {}

impl Package<Described> {
    /// The key that is given when there is no reason for another.
    pub const KEY: &'static str = "s";

    /// Describes the model in a folder. The key is a part of what the system knows it by; any short text will do.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the folder holds no model or the key is empty, [`Error::Unavailable`] when this macOS
    /// has no models in folders, [`Error::Unexpected`] when the framework makes nothing of it.
    pub fn describe(framework: &Framework, folder: &Path, key: &str) -> Result<Self, Error> {
        framework.require(Feature::Package)?;
        let shown = folder.display();
        if key.is_empty() {
            return Err(Error::Invalid(format!("the model in {shown} has an empty key")));
        }
        let path = folder.canonicalize().map_err(|e| Error::Invalid(format!("{shown}: {e}")))?;
        let kind = if path.join("model.espresso.net").is_file() {
            None
        } else if path.join("model.mil").is_file() {
            Some(foundation::string(framework, "kANEFModelMIL")?)
        } else {
            return Err(Error::Invalid(format!(
                "{shown} holds no compiled model: there is neither `model.mil` nor `model.espresso.net`"
            )));
        };
        let options = foundation::dictionary(framework, kind.iter().map(|k| ("kANEFModelType", k)))?;
        let text = path.to_str().ok_or_else(|| Error::Invalid(format!("{shown} is not a text in UTF-8")))?;
        let identity = format!("{text}#{key}");
        let (text, key) = (foundation::string(framework, text)?, foundation::string(framework, key)?);
        let _pool = framework.pool();
        let class = framework.class(NS_URL).id();
        // SAFETY: a live string; a factory gives nil or an autoreleased object, and the pool is open.
        let url = unsafe {
            let made = framework.send(FILE_URL_WITH_PATH, class, (text.id(),));
            foundation::made(framework, made, "+[NSURL fileURLWithPath:]")?
        };
        let class = framework.class(MODEL).id();
        // SAFETY: a live URL and a live string; as above.
        let object = unsafe {
            let made = framework.send(MODEL_AT_URL, class, (url.id(), key.id()));
            foundation::made(framework, made, "+[_ANEModel modelAtURL:key:]")?
        };
        Ok(Self { inner: Inner { object, options, identity }, state: Described(()) })
    }

    /// Compiles the model, unless the system's cache has it compiled.
    ///
    /// # Errors
    ///
    /// [`Error::CompileBudgetExhausted`] before the system would stop to compile without a word, [`Error::Refused`]
    /// when it refuses the model.
    pub fn compile(self, quality: QualityOfService) -> Result<Package<Compiled>, Error> {
        if !self.is_cached().unwrap_or(false) {
            let Inner { object, options, .. } = &self.inner;
            let framework = object.framework();
            framework.budget().compile()?;
            let _pool = framework.pool();
            let client = framework.client()?;
            // SAFETY: live objects of the right classes.
            framework.pace().compile(|| unsafe {
                framework.try_send(CLIENT_COMPILE, client, |error| {
                    (object.id(), options.id(), quality.value(), error)
                })
            })?;
        }
        Ok(Package { inner: self.inner, state: Compiled(()) })
    }
}

impl<S> Package<S> {
    /// What the system knows the model by: folder and key.
    pub fn identity(&self) -> &str {
        &self.inner.identity
    }

    /// Whether the system's cache has the model compiled.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS cannot say.
    pub fn is_cached(&self) -> Result<bool, Error> {
        let framework = self.inner.object.framework();
        framework.require(Feature::Cache)?;
        let client = framework.client()?;
        let _pool = framework.pool();
        // SAFETY: a live client, and a live _ANEModel.
        Ok(unsafe { framework.send(COMPILED_MODEL_EXISTS_FOR, client, (self.inner.object.id(),)) }.get())
    }

    /// Removes the model from the system's cache.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS cannot.
    pub fn purge(&self) -> Result<(), Error> {
        let framework = self.inner.object.framework();
        framework.require(Feature::Cache)?;
        let client = framework.client()?;
        let _pool = framework.pool();
        // SAFETY: a live client, and a live _ANEModel.
        unsafe { framework.send(PURGE_COMPILED_MODEL_OF, client, (self.inner.object.id(),)) };
        Ok(())
    }
}

impl Package<Compiled> {
    /// Loads the model. If the system refuses it for a reason that may pass, it is asked once more after 100 ms.
    ///
    /// # Errors
    ///
    /// [`Error::CompileBudgetExhausted`] when too many programs are loaded, [`Error::Refused`] when the system refuses
    /// it, [`Error::Unexpected`] when the loaded model does not say how its tensors lie, or says it in two ways.
    pub fn load(self, quality: QualityOfService) -> Result<Loaded, Error> {
        let Inner { object, options, identity } = self.inner;
        let framework = object.framework().clone();
        let client = framework.client()?;
        let _pool = framework.pool();
        loaded::patiently(&framework, None, || {
            // SAFETY: live objects of the right classes.
            unsafe {
                framework.try_send(CLIENT_LOAD, client, |error| {
                    (object.id(), options.id(), quality.value(), error)
                })
            }
        })?;
        let inner = object.clone();
        let opened = Opened::new(Source::Package { object, options, identity }, quality, None);
        let loaded = Loaded::of(opened, inner)?;
        loaded.check_symbols()?;
        Ok(loaded)
    }
}

impl Loaded {
    /// Compares the symbol indices of the attributes with those that the model gives when it is asked for them.
    fn check_symbols(&self) -> Result<(), Error> {
        let framework = self.framework();
        let _pool = framework.pool();
        for procedure in &self.attributes().procedures {
            let index = u32::try_from(procedure.index).unwrap_or(u32::MAX);
            // SAFETY: the model is alive, and gives an index set or nil.
            let (inputs, outputs) = unsafe {
                (
                    framework.send(INPUT_SYMBOL_INDICES, self.inner(), (index,)),
                    framework.send(OUTPUT_SYMBOL_INDICES, self.inner(), (index,)),
                )
            };
            for (set, symbol) in procedure
                .inputs
                .iter()
                .map(|s| (inputs, s))
                .chain(procedure.outputs.iter().map(|s| (outputs, s)))
            {
                // SAFETY: an index set, which the pool keeps alive.
                let has = !set.is_nil()
                    && unsafe { framework.send(INDEX_SET_CONTAINS, set, (symbol.index,)) }.get();
                if !has {
                    return Err(Error::Unexpected {
                        message: "-[_ANEModel inputSymbolIndicesForProcedureIndex:]",
                        gave: format!(
                            "no index {} for `{}` of `{}`, which the attributes have",
                            symbol.index, symbol.name, procedure.name
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}
