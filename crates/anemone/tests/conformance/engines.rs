//! The engines, with one face.

use std::collections::BTreeMap;

use anemone::bundle::Bundle;
use anemone::device::ane::{Compiled, Framework, Loaded, Settings, Source};
use anemone::device::{self, Engine, Options, Outputs, States};
use anemone::mil::Name;
use anemone::types::Tensor;
use anemone::verify::{Function, Verified};

/// Where cases run.
pub(crate) enum On {
    /// On the software ANE.
    Software(Engine),
    /// On the fast engine of the software ANE, and there as a plan.
    Plans,
    /// On the hardware's path.
    Ane(Framework),
}

/// A program that is ready to run.
pub(crate) enum Ready {
    Software(BTreeMap<Name, (device::Loaded, States)>),
    Ane(Loaded),
}

impl On {
    pub(crate) fn load(&self, bundle: &Bundle, verified: &Verified) -> Result<Ready, String> {
        let software = |engine| {
            let load = |f: &Function| {
                let model = device::load(f, engine, &Options { threads: 2, ..Options::default() })?;
                let states = model.new_states()?;
                Ok((f.name.clone(), (model, states)))
            };
            let loaded = verified.functions().iter().map(load).collect::<Result<_, device::Error>>();
            loaded.map_err(|e| format!("does not load: {e}"))
        };
        let framework = match self {
            On::Ane(framework) => framework,
            On::Software(engine) => return software(*engine).map(Ready::Software),
            On::Plans => {
                let loaded: BTreeMap<Name, (device::Loaded, States)> = software(Engine::Cpu)?;
                let planned = loaded.values().all(|(model, _)| model.plan().is_some());
                return planned.then_some(Ready::Software(loaded)).ok_or("has no plan".into());
            }
        };
        let source = Source::of(&bundle.program, verified, &bundle.weights).map_err(|e| e.to_string())?;
        let compiled = Compiled::of_source(framework, &source, Settings::default());
        let loaded = compiled.and_then(Compiled::load).map_err(|e| format!("does not load: {e}"))?;
        Ok(Ready::Ane(loaded))
    }
}

impl Ready {
    pub(crate) fn run(&self, function: &Function, inputs: &[(&str, Tensor)]) -> Result<Outputs, String> {
        match self {
            Ready::Software(loaded) => {
                let (model, states) = &loaded[&function.name];
                model.run(inputs, states).map_err(|e| format!("does not run: {e}"))
            }
            Ready::Ane(model) => model.run(&function.name, inputs).map_err(|e| format!("does not run: {e}")),
        }
    }

    /// What a state of a function holds.
    pub(crate) fn state(&self, function: &Function, name: &str) -> Option<Tensor> {
        let Ready::Software(loaded) = self else { return None };
        loaded[&function.name].1.get(name).map(|s| s.read().clone())
    }
}
