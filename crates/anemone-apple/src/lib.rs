//! The border between anemone and Apple's private frameworks.
//!
//! This crate knows no MIL and no graph. It is one of the two crates of the workspace in which `unsafe` is allowed;
//! every block states why it is sound.
//!
//! Today it finds out which of the frameworks this machine has. Not yet run on hardware: off a Mac, which is the only
//! place where it has run, it reports each as absent, with the loader's own words.

use libloading::Library;

/// A framework that the direct path to the engine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Its name.
    pub name: &'static str,
    /// Where the loader finds it. Private frameworks live in the shared cache: the path can be opened although no
    /// file is there.
    pub path: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
}

/// The frameworks, the engine's own first.
pub const FRAMEWORKS: [Framework; 3] = [
    Framework {
        name: "AppleNeuralEngine",
        path: "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine",
        purpose: "compiles, loads and runs programs",
    },
    Framework {
        name: "IOSurface",
        path: "/System/Library/Frameworks/IOSurface.framework/IOSurface",
        purpose: "holds inputs and outputs",
    },
    Framework {
        name: "Foundation",
        path: "/System/Library/Frameworks/Foundation.framework/Foundation",
        purpose: "carries arguments and errors",
    },
];

/// What was found of one framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The framework.
    pub framework: Framework,
    /// Why it could not be opened, in the loader's words; `None` if it could.
    pub error: Option<String>,
}

/// Opens each of [`FRAMEWORKS`] and says what came of it.
///
/// ```
/// let findings = anemone_apple::probe();
/// assert_eq!(findings.len(), anemone_apple::FRAMEWORKS.len());
/// # #[cfg(not(target_vendor = "apple"))]
/// assert!(findings.iter().all(|f| f.error.is_some()));
/// ```
pub fn probe() -> Vec<Finding> {
    FRAMEWORKS.into_iter().map(|framework| Finding { framework, error: open(framework.path).err() }).collect()
}

fn open(path: &str) -> Result<(), String> {
    // SAFETY: loading a library runs its initialisers. The paths are constants that lie in the sealed system volume
    // or the shared cache of macOS, whose frameworks are meant to be loaded by any process; on other systems there is
    // nothing at these paths. Nothing is looked up in the library, and it is closed again at once.
    unsafe { Library::new(path) }.map(drop).map_err(|e| e.to_string())
}
