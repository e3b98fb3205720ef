//! A program on an engine, whichever it is: compiled, then loaded, then bound to surfaces.

use std::path::Path;
use std::sync::Arc;

use anemone_apple::{Framework, neural};

use super::request::Request;
use super::workers::Workers;
use crate::bundle::Weights;
use crate::chip::Numerics;
use crate::device::{self, ane};
use crate::error::{Doing, Error};
use crate::faults::{Fault, Faults, Troubled, rewrite};
use crate::graph::Built;
use crate::mil::{Name, Program};
use crate::surface::{Port, Surface, TensorLayout};
use crate::types::{DType, TensorType, Type};
use crate::verify::{self, Verified};

/// A program that has passed the gate, with what it takes to compile it again.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) program: Program,
    pub(crate) verified: Verified,
    pub(crate) weights: Weights,
}

impl Checked {
    /// Takes a program through the gate.
    pub(crate) fn new(program: Program, weights: Weights) -> Result<Self, Error> {
        let report = verify::verify(&program, &weights);
        match report.verified {
            Some(verified) => Ok(Self { program, verified, weights }),
            None => Err(report.diagnostics.into()),
        }
    }

    /// What the builder has taken through the gate.
    pub(crate) fn of_built(built: Built) -> Self {
        Self { program: built.program, verified: built.verified, weights: built.weights }
    }

    /// The function of this name; the first, if the name is empty.
    pub(crate) fn function(&self, name: &str) -> Result<&verify::Function, Error> {
        let functions = self.verified.functions();
        let found = if name.is_empty() { functions.first() } else { self.verified.function(name) };
        found.ok_or_else(|| {
            let names: Vec<&str> = functions.iter().map(|f| &*f.name).collect();
            Error::Invalid(format!("there is no function `{name}`; there is `{}`", names.join("`, `")))
        })
    }
}

/// What programs are compiled for.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// Apple's engine.
    Hardware(Framework),
    /// Ours.
    Software(Software),
}

/// What our engine computes with.
#[derive(Clone, Debug)]
pub(crate) struct Software {
    /// The threads of evaluations that nobody waits for.
    pub(crate) workers: Arc<Workers>,
    pub(crate) numerics: Numerics,
    /// How it misbehaves, if it is to.
    pub(crate) faults: Option<Faults>,
}

/// How to compile and load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How<'a> {
    pub(crate) function: &'a str,
    pub(crate) settings: ane::Settings,
    /// 0 for as many as the machine has.
    pub(crate) threads: usize,
}

/// A program that is compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    kind: Kind,
    /// The function that is to run.
    function: Name,
    /// Whether it came as a package.
    package: bool,
}

#[derive(Debug)]
enum Kind {
    Hardware(ane::Compiled),
    Software {
        function: Box<verify::Function>,
        options: device::Options,
        workers: Arc<Workers>,
        faults: Option<Faults>,
    },
}

impl Compiled {
    /// Compiles a program.
    pub(crate) fn new(engine: &Engine, checked: &Checked, how: How<'_>) -> Result<Self, Error> {
        let function = checked.function(how.function)?;
        let kind = match engine {
            Engine::Hardware(framework) => {
                let source = ane::Source::of(&checked.program, &checked.verified, &checked.weights)?;
                let compiled = ane::Compiled::of_source(framework, &source, how.settings);
                Kind::Hardware(compiled.map_err(|e| of_ane(Doing::Compile, e))?)
            }
            Engine::Software(Software { workers, numerics, faults }) => {
                let mut options = device::Options { numerics: *numerics, ..device::Options::default() };
                if how.threads > 0 {
                    options.threads = how.threads;
                }
                // What cannot be bound is refused now, and not after a load that takes time.
                features(function)?;
                let misled = faults.as_ref().map(|f| misled(f, checked)).transpose()?.flatten();
                let function = misled.as_ref().map_or(Ok(function), |m| m.function(how.function))?;
                let function = Box::new(function.clone());
                Kind::Software { function, options, workers: workers.clone(), faults: faults.clone() }
            }
        };
        Ok(Self { kind, function: function.name.clone(), package: false })
    }

    /// Compiles the compiled model in a folder, which has this program.
    pub(crate) fn of_package(
        framework: &Framework,
        folder: &Path,
        key: &str,
        checked: &Checked,
        how: How<'_>,
    ) -> Result<Self, Error> {
        let function = checked.function(how.function)?;
        let compiled = ane::Compiled::of_package(framework, folder, key, &checked.verified, how.settings);
        let kind = Kind::Hardware(compiled.map_err(|e| of_ane(Doing::Compile, e))?);
        Ok(Self { kind, function: function.name.clone(), package: true })
    }

    /// The same, of a package. That of the hardware knows it.
    pub(crate) fn into_package(self) -> Self {
        Self { package: true, ..self }
    }

    /// Loads it.
    pub(crate) fn load(self) -> Result<Loaded, Error> {
        let (name, package) = (self.function, self.package);
        let inner = match self.kind {
            Kind::Hardware(compiled) => {
                let model = compiled.load().map_err(|e| of_ane(Doing::Load, e))?;
                let (inputs, outputs) = ports_of_hardware(&model, &name)?;
                Inner { running: Running::Hardware { model }, function: name, package, inputs, outputs }
            }
            Kind::Software { function, options, workers, faults } => {
                let troubled = faults.map(|f| troubled(&f, &function)).transpose()?;
                let model = device::load(&function, device::Engine::Cpu, &options)
                    .map_err(|e| Error::Program(e.diagnostic().clone().into()))?;
                let inputs = ports(model.inputs())?;
                let outputs = ports(model.outputs())?;
                Inner {
                    running: Running::Software { model: Box::new(model), workers, troubled },
                    function: name,
                    package,
                    inputs,
                    outputs,
                }
            }
        };
        Ok(Loaded(Arc::new(inner)))
    }
}

/// A function of a program that is loaded. Copies are the same one; the last that is dropped unloads it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    running: Running,
    function: Name,
    package: bool,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

#[derive(Debug)]
pub(crate) enum Running {
    Hardware { model: ane::Loaded },
    Software { model: Box<device::Loaded>, workers: Arc<Workers>, troubled: Option<Troubled> },
}

impl Loaded {
    /// What it takes, in the order of the program.
    pub(crate) fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }

    /// What it gives, in the order of the program.
    pub(crate) fn outputs(&self) -> &[Port] {
        &self.0.outputs
    }

    pub(crate) fn running(&self) -> &Running {
        &self.0.running
    }

    /// The function that runs.
    pub(crate) fn function(&self) -> &Name {
        &self.0.function
    }

    /// Whether it came as a package.
    pub(crate) fn is_package(&self) -> bool {
        self.0.package
    }

    /// Makes a surface for a tensor.
    pub(crate) fn surface(&self, port: &Port) -> Result<Surface, Error> {
        if let Running::Software { troubled: Some(troubled), .. } = self.running() {
            troubled.surface(port.layout.alloc_size())?;
        }
        Surface::laid_out(self.framework(), &port.layout)
    }

    pub(crate) fn framework(&self) -> Option<&Framework> {
        match &self.0.running {
            Running::Hardware { model } => Some(model.model().framework()),
            Running::Software { .. } => None,
        }
    }

    /// Binds new surfaces to inputs and outputs.
    pub(crate) fn request(&self) -> Result<Request, Error> {
        let make = |ports: &[Port]| ports.iter().map(|p| self.surface(p)).collect::<Result<Vec<_>, _>>();
        self.bind(make(self.inputs())?, make(self.outputs())?)
    }

    /// Binds surfaces to inputs and outputs, in the order of the program.
    pub(crate) fn bind(&self, inputs: Vec<Surface>, outputs: Vec<Surface>) -> Result<Request, Error> {
        for (what, ports, surfaces) in
            [("input", self.inputs(), &inputs), ("output", self.outputs(), &outputs)]
        {
            if ports.len() != surfaces.len() {
                let what = format!("the list of {what}s");
                return Err(Error::Length { what, expected: ports.len(), found: surfaces.len() });
            }
            for (port, surface) in ports.iter().zip(surfaces) {
                let (has, needs) = (surface.size(), port.layout.alloc_size());
                if has < needs {
                    return Err(Error::Invalid(format!(
                        "the surface of the {what} `{}` has {has} bytes, and it needs {needs}: each row takes {} bytes",
                        port.name, port.layout.row_stride
                    )));
                }
            }
        }
        for (i, surface) in outputs.iter().enumerate() {
            if outputs[..i].contains(surface) || inputs.contains(surface) {
                return Err(Error::Invalid(format!(
                    "the surface of the output `{}` is bound a second time",
                    self.outputs()[i].name
                )));
            }
        }
        Request::new(self.clone(), inputs, outputs)
    }
}

/// Compiles on a machine with faults: what it takes the program for, if that is another one.
fn misled(faults: &Faults, checked: &Checked) -> Result<Option<Checked>, Error> {
    let without = |fault| match fault {
        Fault::MaskIgnored => rewrite::without_masks(&checked.program),
        Fault::WeightsIgnored => rewrite::without_run_time_weights(&checked.program),
        _ => None,
    };
    let rewrites = [Fault::MaskIgnored, Fault::WeightsIgnored];
    let silent = faults.machine().compile(|fault| !rewrites.contains(&fault) || without(fault).is_some())?;
    let mut misled: Option<Checked> = None;
    for fault in silent {
        let program = misled.as_ref().map_or(&checked.program, |m| &m.program);
        let program = match fault {
            Fault::MaskIgnored => rewrite::without_masks(program),
            Fault::WeightsIgnored => rewrite::without_run_time_weights(program),
            _ => None,
        };
        if let Some(program) = program {
            misled = Some(Checked::new(program, checked.weights.clone())?);
        }
    }
    Ok(misled)
}

/// Loads on a machine with faults.
fn troubled(faults: &Faults, function: &verify::Function) -> Result<Troubled, Error> {
    fn tiles(body: &verify::Body) -> bool {
        body.steps.iter().any(|s| s.op.name == "tile" || s.blocks.iter().any(tiles))
    }
    let takes_fp32 = function.inputs().any(|v| v.ty.as_tensor().is_some_and(|t| t.dtype == DType::Fp32));
    Troubled::new(faults, tiles(&function.body), takes_fp32)
}

fn features(function: &verify::Function) -> Result<(), Error> {
    let feature = |v: &verify::Value| match v.ty.as_tensor() {
        Some(ty) => TensorLayout::of(&v.name, ty).map(drop),
        None => Err(not_a_tensor(&v.name, &v.ty)),
    };
    // A result whose shape is found out only by loading is left to the load.
    let known = |v: &&verify::Value| v.ty.is_known();
    function.inputs().chain(function.outputs().filter(known)).try_for_each(feature)
}

fn not_a_tensor(name: &str, ty: &Type) -> Error {
    Error::UnsupportedLayout {
        name: name.into(),
        reason: format!("is `{ty}`, and only tensors lie in surfaces"),
    }
}

fn port(name: &Name, ty: &TensorType, layout: TensorLayout) -> Port {
    Port { name: name.clone(), dtype: ty.dtype, shape: ty.shape.known().unwrap_or_default(), layout }
}

fn ports(features: &[device::Feature]) -> Result<Vec<Port>, Error> {
    let one = |f: &device::Feature| {
        let ty = f.ty.as_tensor().ok_or_else(|| not_a_tensor(&f.name, &f.ty))?;
        Ok(port(&f.name, ty, TensorLayout::of(&f.name, ty)?))
    };
    features.iter().map(one).collect()
}

/// Ports as the system lays them out, in the order of the program.
fn ports_of_hardware(model: &ane::Loaded, function: &Name) -> Result<(Vec<Port>, Vec<Port>), Error> {
    let procedure = model.model().procedure(function).map_err(|e| Error::from_apple(Doing::Load, e))?;
    let list = |features: Option<&[device::Feature]>, symbols: &[neural::Symbol]| {
        let one = |f: &device::Feature| {
            let ty = f.ty.as_tensor().ok_or_else(|| not_a_tensor(&f.name, &f.ty))?;
            let symbol =
                symbols.iter().find(|s| f.name == *s.name).ok_or_else(|| Error::UnsupportedLayout {
                    name: f.name.to_string(),
                    reason: "is not among the symbols of the compiled program".into(),
                })?;
            Ok(port(&f.name, ty, TensorLayout::of_symbol(symbol)?))
        };
        features.unwrap_or_default().iter().map(one).collect::<Result<Vec<_>, Error>>()
    };
    Ok((list(model.inputs(function), &procedure.inputs)?, list(model.outputs(function), &procedure.outputs)?))
}

fn of_ane(doing: Doing, error: ane::Error) -> Error {
    match error {
        ane::Error::Program(d) => Error::Program((*d).into()),
        ane::Error::Apple(e) => Error::from_apple(doing, e),
    }
}
