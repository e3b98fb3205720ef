//! Instances of a loaded model with weights of their own: adapters.

use std::path::Path;

use super::loaded::{self, Loaded, Opened, Source};
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;

/// The weights of a function that an instance has of its own.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # let folder = tempfile::tempdir().map_err(|e| anemone_apple::Error::Invalid(e.to_string()))?;
/// # std::fs::write(folder.path().join("model.mil"), anemone_apple::neural::FIRST_DISPATCH.text).unwrap();
/// # let folder = folder.path();
/// # use anemone_apple::neural::{Package, QualityOfService};
/// # let quality = QualityOfService::Default;
/// # let model = Package::describe(&framework, folder, Package::KEY)?.compile(quality)?.load(quality)?;
/// use anemone_apple::neural::experimental::{ProcedureWeights, instance};
/// use std::path::Path;
/// let weights = [("w", Path::new("adapter.bin"))];
/// let of_main = ProcedureWeights { procedure: "main", weights: &weights };
/// // A process without Apple's entitlement is refused.
/// assert!(instance(&model, "adapter", &[of_main]).is_err());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ProcedureWeights<'a> {
    /// The function.
    pub procedure: &'a str,
    /// Files by the symbol of the weight whose place they take.
    pub weights: &'a [(&'a str, &'a Path)],
}

/// Loads another instance of a model from a folder, with weights of its own.
///
/// It needs an entitlement that only Apple's own processes have (`com.apple.aned.private.adapterWeight.allow`), so that
/// every other process is refused. What names the loaded model to the daemon is not known for sure; its cache identifier is
/// given.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::experimental::instance;
/// // It is of a model from a folder.
/// assert!(instance(&model, "adapter", &[]).is_err());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Refused`] without the entitlement, [`Error::Invalid`] when the model is not from a folder or a file has no name in
/// UTF-8, [`Error::Unavailable`] when this macOS has no instances, [`Error::CompileBudgetExhausted`] when too many programs
/// are loaded.
pub fn instance(base: &Loaded, name: &str, procedures: &[ProcedureWeights<'_>]) -> Result<Loaded, Error> {
    let framework = base.framework();
    framework.require(Feature::Instances)?;
    if !base.is_package() {
        return Err(Error::Invalid("an instance is of a model from a folder".into()));
    }
    let _pool = framework.pool();
    let parameters = parameters(framework, name, procedures)?;
    // SAFETY: the model is alive, and gives what it was made of; factories give nil or autoreleased objects, and the pool is
    // open.
    let (object, of) = unsafe {
        let (url, key) =
            (framework.send(MODEL_URL, base.inner(), ()), framework.send(MODEL_KEY, base.inner(), ()));
        let attributes = framework.send(MODEL_ATTRIBUTES, base.inner(), ());
        if url.is_nil() || key.is_nil() {
            return Err(Error::Unexpected { message: "-[_ANEModel modelURL]", gave: "nil".into() });
        }
        let class = framework.class(MODEL).id();
        let made = framework.send(MODEL_AT_URL_WITH_ATTRIBUTES, class, (url, key, attributes));
        let object = foundation::made(framework, made, "+[_ANEModel modelAtURL:key:modelAttributes:]")?;
        let identifier = framework.send(MODEL_CACHE_IDENTIFIER, base.inner(), ());
        (object, Retained::retain(framework, identifier))
    };
    let options = foundation::dictionary(framework, of.iter().map(|of| ("kANEFBaseModelIdentifierKey", of)))?;
    let (client, quality) = (framework.client()?, base.quality());
    loaded::patiently(framework, None, || {
        // SAFETY: live objects of the right classes.
        unsafe {
            framework.try_send(LOAD_NEW_INSTANCE, client, |error| {
                (object.id(), options.id(), parameters.id(), quality.value(), error)
            })
        }
    })?;
    let inner = object.clone();
    let identity = format!("{}#{name}", base.identity());
    Loaded::of(Opened::new(Source::Package { object, options, identity }, quality, None), inner)
}

/// The `_ANEModelInstanceParameters`: a name, and for each function its weights.
fn parameters(
    framework: &Framework,
    name: &str,
    procedures: &[ProcedureWeights<'_>],
) -> Result<Retained, Error> {
    let string = |text: &str| foundation::string(framework, text);
    let mut list = Vec::new();
    for ProcedureWeights { procedure, weights } in procedures {
        let mut files = Vec::new();
        for (symbol, path) in *weights {
            let shown = path.to_str();
            let text =
                shown.ok_or_else(|| Error::Invalid(format!("{} is not a text in UTF-8", path.display())))?;
            let (symbol, path) = (string(symbol)?, string(text)?);
            // SAFETY: live strings; factories give nil or autoreleased objects, and the caller's pool is open.
            files.push(unsafe {
                let url = framework.send(FILE_URL_WITH_PATH, framework.class(NS_URL).id(), (path.id(),));
                let url = foundation::made(framework, url, "+[NSURL fileURLWithPath:]")?;
                let class = framework.class(WEIGHT).id();
                let made = framework.send(WEIGHT_WITH, class, (symbol.id(), url.id()));
                foundation::made(framework, made, "+[_ANEWeight weightWithSymbolAndURL:weightURL:]")?
            });
        }
        let (symbol, files) = (string(procedure)?, foundation::array(framework, &files)?);
        // SAFETY: a live string, and an array of weights; as above.
        list.push(unsafe {
            let class = framework.class(PROCEDURE_DATA).id();
            let made = framework.send(PROCEDURE_DATA_WITH, class, (symbol.id(), files.id()));
            foundation::made(framework, made, "+[_ANEProcedureData procedureDataWithSymbol:weightArray:]")?
        });
    }
    let (name, list) = (string(name)?, foundation::array(framework, &list)?);
    // SAFETY: a live string, and an array of what functions have; as above.
    unsafe {
        let class = framework.class(MODEL_INSTANCE_PARAMETERS).id();
        let made = framework.send(INSTANCE_PARAMETERS_WITH, class, (name.id(), list.id()));
        foundation::made(framework, made, "+[_ANEModelInstanceParameters withProcedureData:procedureArray:]")
    }
}
