//! The list of faults: what each one strikes, what shows of it, what helps, and who has seen it.

use std::fmt;
use std::str::FromStr;

use crate::chip::Evidence;

/// What an application asks the engine for. Calls are counted as the engine sees them: what the library tries again by
/// itself counts twice.
///
/// ```
/// use anemone::faults::{Call, Fault};
/// assert_eq!(Fault::LoadBusy.mode().call, Call::Load);
/// assert_eq!(Call::Load.to_string(), "load");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// A program is compiled.
    Compile,
    /// A compiled program is loaded.
    Load,
    /// A loaded program is let go.
    Unload,
    /// A program is run.
    Evaluate,
    /// A surface is made, by a client or for what it has compiled.
    Surface,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 5] = [Call::Compile, Call::Load, Call::Unload, Call::Evaluate, Call::Surface];
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["compile", "load", "unload", "evaluate", "surface"][*self as usize])
    }
}

/// What is known of a fault.
///
/// ```
/// use anemone::faults::{Fault, Mode};
/// let Mode { name, shows, .. } = Fault::EvaluateRefused.mode();
/// assert_eq!(*name, "evaluate-refused");
/// assert!(shows.contains("0x1d"));
/// ```
#[derive(Debug)]
pub struct Mode {
    /// The fault.
    pub fault: Fault,
    /// Its name, such as `load-busy`.
    pub name: &'static str,
    /// What it strikes.
    pub call: Call,
    /// Whether the call ends there: it fails, or does not come back. What does not is silent.
    pub ends: bool,
    /// What the application sees.
    pub shows: &'static str,
    /// What an application can do.
    pub helps: &'static str,
    /// Who has seen it, and how sure that is.
    pub evidence: Evidence,
}

macro_rules! modes {
    ($($(#[$doc:meta])* $fault:ident $name:literal $call:ident $end:ident, $shows:literal, $helps:literal, $sure:ident $source:literal;)*) => {
        /// A way in which the engine misbehaves. What the application sees of it, and who has seen it on hardware, is in
        /// its [`Mode`].
        ///
        /// ```
        /// use anemone::faults::Fault;
        /// for fault in Fault::ALL {
        ///     assert_eq!(fault.mode().name.parse(), Ok(fault));
        /// }
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        /// Every fault, those of a call that end it before those that are silent.
        pub static MODES: &[Mode] = &[$(Mode {
            fault: Fault::$fault,
            name: $name,
            call: Call::$call,
            ends: modes!(@ $end),
            shows: $shows,
            helps: $helps,
            evidence: Evidence::$sure($source),
        },)*];

        impl Fault {
            /// Every fault, in the order of [`MODES`].
            pub const ALL: [Fault; [$($name),*].len()] = [$(Fault::$fault),*];
        }
    };
    (@ ends) => { true };
    (@ silent) => { false };
}

modes! {
    /// There is no engine for processes in a virtual machine.
    VirtualMachine "virtual-machine" Compile ends,
        "`Error::VirtualClientUnavailable`, code 22",
        "take the software engine", read "decompilation of `_ANEClient`";
    /// The process has compiled as many programs as the system lets it.
    CompileBudget "compile-budget" Compile ends,
        "`Error::CompileBudgetExhausted`; a real process has it from the 111th compilation on",
        "compile in a worker process, reuse what is compiled, or restart the process",
        measured "maderix/ANE and Orion: about 119 compilations a process, then silence";
    /// The compiler refuses the program, and does not say why.
    CompileRefused "compile-refused" Compile ends,
        "`Error::Compile`, domain `com.apple.appleneuralengine.compiler`, code 1; the library waits 15 s before the next compilation",
        "check the program for the chip; do not try again", measured "maderix/ANE, Orion, Espresso and others";
    /// The compiler answers `NO`, and gives no error.
    CompileSilent "compile-silent" Compile ends,
        "`Error::Compile` without a domain and code",
        "restart the process: its budget may be spent", measured "maderix/ANE and Orion";
    /// The compiler's process ends.
    CompilerDies "compiler-dies" Compile ends,
        "`Error::Compile`, domain `NSCocoaErrorDomain`, code 4097; the library waits 15 s before the next compilation",
        "try again once: the service is there again after some seconds",
        measured "the M6 study (SIGBUS at 387 layers) and the ANE guide";
    /// Another process removes the folder of the model before the compiler reads it.
    FolderVanishes "folder-vanishes" Compile ends,
        "nothing the first time, since the library writes the folder again; twice in a row `Error::Compile`, code 16",
        "let one process at a time compile a program", measured "tmc/apple, of models with equal programs";
    /// The compiler does not come back.
    CompilerStalls "compiler-stalls" Compile silent,
        "the call waits until `Faults::release`; then it goes on",
        "compile on another thread, or in a worker process that can be ended",
        measured "the M6 study: 179 s for 512 layers, 212 s for a convolution of 16x16";
    /// The mask of attention is left out.
    MaskIgnored "mask-ignored" Compile silent,
        "other numbers: those of attention without its mask",
        "write attention as `matmul`, `add`, `softmax` and `matmul`", claimed "maderix/ANE and Orion; ANEForge saw masks applied";
    /// Weights of convolutions that are given at run time are not looked at.
    WeightsIgnored "weights-ignored" Compile silent,
        "other numbers: here those of weights that are zero; which ones the hardware takes is not known",
        "make the weights constant, or write the op as `matmul`", claimed "skyfallsin's field guide; the ANE guide saw them used";
    /// The engine has no place for the program at this moment.
    LoadBusy "load-busy" Load ends,
        "nothing the first time, since the library tries again after 100 ms; twice in a row `Error::ModelLoad`, code 6",
        "unload something, and try again", measured "tmc/apple: a place is free a little after the unload";
    /// The program cannot be created.
    LoadRefused "load-refused" Load ends,
        "`Error::ModelLoad`, code 4", "load again; if it persists, compile anew", read "decompilation of `_ANEErrors`";
    /// What is let go keeps its place.
    PlacesLeak "places-leak" Unload silent,
        "`Error::ModelLoad`, code 6, once 127 places are taken or lost",
        "keep programs loaded and use them again; restart the process",
        inferred "ANEForge's limit of 128 programs, and maderix/ANE's of 119 compilations";
    /// The driver refuses the request.
    EvaluateRefused "evaluate-refused" Evaluate ends,
        "`Error::Eval`, code 8, status 0x1d", "evaluate once more; if it persists, load the program anew",
        measured "Orion, maderix/ANE and the crate `ane`";
    /// Too many requests wait, and the engine does not come to this one.
    EvaluateTimeout "evaluate-timeout" Evaluate ends,
        "`Error::Eval`, code 3; the hardware says so after 30 s, and here it does at once",
        "evaluate once more, with fewer requests under way", read "decompilation of `_ANEClient`";
    /// The daemon has lost all programs that are loaded.
    ProgramLost "program-lost" Evaluate ends,
        "`Error::Eval`, code 23, until the program is compiled and loaded anew",
        "compile and load anew", inferred "the statuses of the driver: 14 is a program that was unloaded";
    /// This macOS lacks what the other ways of evaluation need.
    ShortcutMissing "shortcut-missing" Evaluate ends,
        "`Error::UnsupportedSelector` from `run_direct`, `run_real_time` and `run_program`",
        "run by `run`", inferred "the method tables of systems since iOS 14, which differ";
    /// The evaluation does not end.
    Hangs "hangs" Evaluate ends,
        "the call waits, `run_within` gives `Error::TimedOut`, and the request is busy, until `Faults::release`; then `Error::Eval`, code 3",
        "run by `run_within`; go on with another request or process", claimed "Espresso, of evaluations with completion handlers";
    /// An evaluation with events fails, so that those who wait for them wait for ever.
    EventsLost "events-lost" Evaluate ends,
        "the events never come and `finish` gives `Error::TimedOut`, until `Faults::release`",
        "wait for events with a time-out", claimed "Espresso; libane saw the process end there";
    /// After a program with `tile` has run, nothing runs any more.
    TilePoisons "tile-poisons" Evaluate silent,
        "`Error::Eval`, code 8, status 0x1d, from every later evaluation of the process",
        "`concat` the tensor with itself; restart the process", claimed "skyfallsin's field guide, on an M3 Max";
    /// The evaluation takes 50 ms longer.
    Slow "slow" Evaluate silent,
        "an evaluation takes 50 ms longer: the first after 5.7 s of rest, or any after many",
        "keep the engine awake by a small evaluation", measured "the M6 study; rustane, after 100,000 evaluations";
    /// The results are zero.
    ZeroOutputs "zero-outputs" Evaluate silent,
        "outputs that are all zero", "compare a known input with its known output now and then",
        claimed "one log of chained programs, of which the second gave zeros";
    /// The results are those of the run before.
    StaleOutputs "stale-outputs" Evaluate silent,
        "outputs as they were before the run", "write something else to the outputs before a run, and look for it",
        claimed "rane's guide to surfaces, where a lock is held";
    /// Inputs of fp32 are read as zero.
    Fp32Zeros "fp32-zeros" Evaluate silent,
        "other numbers: those of inputs of fp32 that are zero",
        "give the program inputs of fp16", measured "dev-erik/ANE; others saw fp32 work";
    /// The engine does not say how long it took.
    NoStatistics "no-statistics" Evaluate silent,
        "`Error::UnsupportedSelector` from `run_cached_with_stats`, after the run",
        "measure by the wall clock", measured "tmc/apple and dev-erik/ANE";
    /// The process can have no more surfaces.
    SurfaceRefused "surface-refused" Surface ends,
        "`Error::Surface`", "use surfaces again, and let go of them",
        measured "switchcraft, after some 1,000 runs that each left one; there are 16,384 for a process";
}

impl Fault {
    /// What is known of it.
    pub fn mode(self) -> &'static Mode {
        &MODES[self as usize]
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mode().name)
    }
}

impl FromStr for Fault {
    type Err = String;

    /// The fault of this name.
    fn from_str(name: &str) -> Result<Self, String> {
        MODES.iter().find(|m| m.name == name).map(|m| m.fault).ok_or_else(|| {
            let names: Vec<&str> = MODES.iter().map(|m| m.name).collect();
            format!("there is no fault `{name}`; there is `{}`", names.join("`, `"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_says_all() {
        assert_eq!(MODES.len(), Fault::ALL.len());
        for (i, mode) in MODES.iter().enumerate() {
            assert_eq!((mode.fault as usize, Fault::ALL[i]), (i, mode.fault));
            for text in [mode.name, mode.shows, mode.helps, mode.evidence.source] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
            }
        }
        // Those of a call stand together, and what ends it stands first.
        assert!(MODES.is_sorted_by_key(|m| (m.call, !m.ends)));
        assert!("load-busi".parse::<Fault>().unwrap_err().contains("`load-busy`"));
    }
}
