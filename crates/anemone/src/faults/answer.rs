//! What the system says when a fault strikes: the words of Apple's code, in the types of the border to it.

use anemone_apple::{Error as Apple, Feature, Refusal, Reported};

use super::Fault;

const GENERIC: &str = "com.apple.appleneuralengine";
const COMPILE: &str = "-[_ANEInMemoryModel compileWithQoS:options:error:]";
const LOAD: &str = "-[_ANEInMemoryModel loadWithQoS:options:error:]";
const EVALUATE: &str = "-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]";

fn refused(message: &str, domain: &str, code: i64, description: &str) -> Apple {
    let error = Reported { domain: domain.into(), code, description: description.into() };
    Refusal { message: message.into(), error: Some(error) }.into()
}

/// What is said of a call that a fault ends. `spent` and `loaded` are how many programs were compiled, and are loaded.
pub(super) fn to(fault: Fault, spent: usize, loaded: usize) -> Apple {
    let compile = |code, description| refused(COMPILE, GENERIC, code, description);
    let load = |code, description| refused(LOAD, GENERIC, code, description);
    let evaluate = |code, description| refused(EVALUATE, GENERIC, code, description);
    match fault {
        Fault::VirtualMachine => compile(22, "the host of this virtual machine is too old"),
        Fault::CompileBudget => Apple::CompileBudgetExhausted { spent, loaded, limit: spent },
        Fault::CompileRefused => {
            refused(COMPILE, &format!("{GENERIC}.compiler"), 1, "_ANECompiler : ANECCompile() FAILED: err=()")
        }
        Fault::CompileSilent => Refusal { message: COMPILE.into(), error: None }.into(),
        Fault::CompilerDies => {
            let description = "Couldn’t communicate with a helper application.";
            refused(COMPILE, "NSCocoaErrorDomain", 4097, description)
        }
        Fault::FolderVanishes => compile(16, "the folder of the model is not there"),
        Fault::LoadBusy => load(6, "Program load failure (0x1)"),
        Fault::PlacesLeak => load(6, "Program load failure (0x50004)"),
        Fault::LoadRefused => load(4, "Program creation failure"),
        Fault::ProgramLost => evaluate(23, "program not found (status=0xe)"),
        Fault::EvaluateTimeout | Fault::Hangs | Fault::EventsLost => evaluate(3, "timeout"),
        Fault::SurfaceRefused => Apple::Surface("no surface could be made".into()),
        Fault::ShortcutMissing => shortcut(Feature::Direct),
        // The others end no call; what poisons does so later, and shows as a request that is refused.
        _ => evaluate(8, "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9"),
    }
}

/// A way of evaluation that this macOS does not have.
pub(super) fn shortcut(feature: Feature) -> Apple {
    Apple::Unavailable { feature, because: "a fault took it away".into() }
}
