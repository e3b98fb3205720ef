//! Running: one step after the other.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::held::Held;
use super::observe::{Before, Observed};
use super::{Engine, Error, Feature, Options, Outputs, States};
use crate::chip::Numerics;
use crate::mil::Name;
use crate::mil::op::{Arg, Args, Control, Fault, Meaning, Prepared};
use crate::ops::silicon;
use crate::plan::{self, Arena, Plan};
use crate::source::{Diagnostic, codes, suggest};
use crate::types::{Datum, State, Tensor, Type};
use crate::verify::{Function, Input, Step, ValueId};

/// A block that is ready to run.
#[derive(Default)]
pub(super) struct Block {
    pub(super) params: Vec<ValueId>,
    pub(super) steps: Vec<Planned>,
    pub(super) outputs: Vec<ValueId>,
}

/// A step that is ready to run.
pub(super) struct Planned {
    pub(super) step: Step,
    pub(super) blocks: Vec<Block>,
    /// The types of its results, as far as they are known before the program runs.
    pub(super) types: Vec<Type>,
    /// Whether these types are fully known, so that nothing need be inferred again.
    pub(super) fixed: bool,
    /// The values that nothing reads after this step.
    pub(super) free: Vec<ValueId>,
    /// Its kernels, prepared when the step is first run, if its types are fixed.
    pub(super) prepared: OnceLock<Option<Prepared>>,
}

/// A function that an engine is ready to run.
///
/// It can be shared between threads; each run has its own values.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::{DType, Tensor}, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// assert_eq!((model.engine(), model.steps(), model.states().len()), (Engine::Cpu, 1, 0));
/// assert_eq!((model.inputs()[0].name.as_str(), model.outputs()[0].name.as_str()), ("x", "y"));
/// assert!(model.plan().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loaded {
    function: Function,
    engine: Engine,
    options: Options,
    constants: Vec<Option<Datum>>,
    body: Block,
    inputs: Vec<Feature>,
    outputs: Vec<Feature>,
    states: Vec<Feature>,
    /// How the whole function runs, if every shape is known.
    plan: Option<Plan>,
    /// The memory of runs that nobody has at the moment.
    arenas: Mutex<Vec<Arena>>,
}

/// The values of one run.
pub(super) struct Values<'a> {
    function: &'a Function,
    constants: &'a [Option<Datum>],
    computed: Vec<Option<Computed>>,
    /// The bytes that the computed values hold.
    bytes: usize,
    /// Who is shown each step.
    observer: Option<&'a mut (dyn FnMut(&Observed<'_>) + 'a)>,
}

/// A value that was computed, with its type where the program does not know it fully.
#[derive(Clone)]
pub(super) struct Computed {
    pub(super) datum: Datum,
    ty: Option<Type>,
}

impl<'a> Values<'a> {
    fn new(function: &'a Function, constants: &'a [Option<Datum>]) -> Self {
        Self { function, constants, computed: vec![None; function.values.len()], bytes: 0, observer: None }
    }

    fn set(&mut self, id: ValueId, value: Computed) {
        self.bytes += value.datum.size();
        if let Some(old) = self.computed[id.index()].replace(value) {
            self.bytes -= old.datum.size();
        }
    }

    fn free(&mut self, id: ValueId) {
        if let Some(old) = self.computed[id.index()].take() {
            self.bytes -= old.datum.size();
        }
    }

    /// A value as an argument.
    pub(super) fn arg(&self, id: ValueId) -> Arg<'_> {
        let known = &self.function.value(id).ty;
        match (&self.computed[id.index()], &self.constants[id.index()]) {
            (Some(v), _) => Arg { ty: v.ty.as_ref().unwrap_or(known), value: Some(&v.datum) },
            (None, Some(d)) => Arg { ty: known, value: Some(d) },
            (None, None) => unreachable!("a verified program binds every value before it is read"),
        }
    }

    /// A value, to bind to another name or to give back.
    fn read(&self, id: ValueId) -> Computed {
        let arg = self.arg(id);
        let datum = arg.value.expect("a value that is bound is known").clone();
        Computed { datum, ty: (!self.function.value(id).ty.is_known()).then(|| arg.ty.clone()) }
    }
}

impl Loaded {
    pub(super) fn new(
        function: Function,
        engine: Engine,
        options: Options,
        constants: Vec<Option<Datum>>,
        body: Block,
        plan: Option<Plan>,
    ) -> Self {
        let feature = |v: &crate::verify::Value| Feature { name: v.name.clone(), ty: v.ty.clone() };
        Self {
            inputs: function.inputs().map(feature).collect(),
            outputs: function.outputs().map(feature).collect(),
            states: function.states().map(feature).collect(),
            function,
            engine,
            options,
            constants,
            body,
            plan,
            arenas: Mutex::default(),
        }
    }

    /// How the function runs, if the engine is the fast one and every shape is known, there are no lists or strings, and no
    /// block reads or writes a state.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// How many threads a run may use.
    ///
    /// ```
    /// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
    /// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
    /// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, verify};
    /// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
    /// let model = device::load(verified.main(), Engine::Cpu, &Options { threads: 3, ..Options::default() })?;
    /// assert_eq!(model.threads(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn threads(&self) -> usize {
        self.options.threads
    }

    /// The inputs.
    pub fn inputs(&self) -> &[Feature] {
        &self.inputs
    }

    /// The results. Dimensions that depend on the inputs are not known.
    pub fn outputs(&self) -> &[Feature] {
        &self.outputs
    }

    /// The states: variables that carry on from run to run.
    pub fn states(&self) -> &[Feature] {
        &self.states
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// How many steps are left to run after what is constant was computed.
    pub fn steps(&self) -> usize {
        self.body.steps.len()
    }

    /// The states of the function, all zero.
    ///
    /// # Errors
    ///
    /// `tensor-too-large`, or `input-type` when a state has a dimension that is not known.
    pub fn new_states(&self) -> Result<States, Error> {
        let mut states = States::new();
        let mut held = 0;
        for s in &self.states {
            let Type::State(ty) = &s.ty else { continue };
            let known = ty.as_tensor().and_then(|t| Some((t.dtype, t.shape.known()?)));
            let Some((dtype, shape)) = known else {
                return Err(Diagnostic::new(
                    &codes::INPUT_TYPE,
                    format!("the state `{}` of type `{ty}` has a dimension that is not known", s.name),
                )
                .into());
            };
            self.fits_memory(held, std::slice::from_ref(ty), format_args!("the state `{}`", s.name))?;
            let zeros = Tensor::zeros(dtype, &shape)
                .map_err(|e| Diagnostic::new(&codes::TENSOR_TOO_LARGE, e.to_string()))?;
            held += zeros.bytes().len();
            states.insert(s.name.clone(), State::new(zeros));
        }
        Ok(states)
    }

    /// Runs the function once.
    ///
    /// Every input is given by name, with the dtype and a shape that its type allows. States are read and written;
    /// [`Loaded::new_states`] makes them.
    ///
    /// # Errors
    ///
    /// `input-missing`, `input-unknown`, `input-type`; what an op finds out when it runs, such as an index outside a
    /// tensor; and `run-limit` when the run needs more memory or turns than [`Options`] allow.
    pub fn run(&self, inputs: &[(&str, Tensor)], states: &States) -> Result<Outputs, Error> {
        if let Some(plan) = &self.plan
            && let Some(mut held) = Held::new(plan, states)
        {
            return self.run_plan(plan, inputs, &mut held);
        }
        self.run_with(inputs, states, Values::new(&self.function, &self.constants))
    }

    /// Runs the function once, as [`Loaded::run`] does, and shows the observer each step after it has run: also those
    /// of nested blocks, at each turn, before the step that the blocks belong to.
    ///
    /// The observer does not see a step that is refused, nor the steps that [`load`](super::load) computed once since
    /// their arguments are all constant.
    ///
    /// ```
    /// use anemone::{bundle::Weights, device, text, types::Tensor, verify};
    /// let program = text::parse(
    ///     "program(1.3) { func main<ios18>(tensor<fp32, [3]> x) { tensor<fp32, [3]> y = relu(x = x); } -> (y); }",
    /// )?;
    /// let verified = verify::verify(&program, &Weights::none()).verified.unwrap();
    /// let model = device::load(verified.main(), device::Engine::Cpu, &device::Options::default())?;
    /// let x = Tensor::from_slice(&[3], &[-1.0f32, 0.0, 2.0])?;
    /// let mut seen = Vec::new();
    /// model.run_observed(&[("x", x)], &model.new_states()?, &mut |o| {
    ///     seen.push((o.step.op.name, o.args.tensor("x").unwrap().to_f64s()[0]));
    /// })?;
    /// assert_eq!(seen, [("relu", -1.0)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Loaded::run`].
    pub fn run_observed(
        &self,
        inputs: &[(&str, Tensor)],
        states: &States,
        observer: &mut dyn FnMut(&Observed<'_>),
    ) -> Result<Outputs, Error> {
        let values = Values { observer: Some(observer), ..Values::new(&self.function, &self.constants) };
        self.run_with(inputs, states, values)
    }

    /// Runs the plan of the function on tensors.
    fn run_plan(&self, plan: &Plan, inputs: &[(&str, Tensor)], held: &mut Held) -> Result<Outputs, Error> {
        self.known_inputs(inputs)?;
        let mut given: Vec<&[u8]> = Vec::with_capacity(plan.inputs().len());
        for feature in &self.inputs {
            let found = inputs.iter().find(|(n, _)| feature.name == **n);
            let (_, tensor) = found.ok_or_else(|| missing(&feature.name, "input"))?;
            let ty = Type::from(tensor.ty());
            if !ty.fits(&feature.ty) {
                return Err(wrong_type(&feature.name, &ty, &feature.ty));
            }
            given.push(tensor.bytes());
        }
        let zeros = |io: &plan::Io| Tensor::zeros(io.ty.dtype, &io.ty.shape.known().unwrap_or_default());
        let mut results = plan
            .outputs()
            .iter()
            .map(zeros)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Diagnostic::new(&codes::TENSOR_TOO_LARGE, e.to_string()))?;
        let mut written: Vec<&mut [u8]> =
            results.iter_mut().map(|t| t.bytes_mut().expect("a new tensor is nobody else's")).collect();
        let idle = self.arenas.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut arena = idle.unwrap_or_else(|| plan.arena());
        let mut held = held.take();
        let mut states: Vec<&mut [u8]> = held.bytes_mut().collect();
        let outcome = plan.run(&mut arena, &given, &mut written, &mut states, self.options.threads);
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner).push(arena);
        outcome?;
        Ok(plan.outputs().iter().zip(results).map(|(io, t)| (io.name.clone(), t.into())).collect())
    }

    /// Refuses inputs that the function does not have.
    fn known_inputs(&self, inputs: &[(&str, Tensor)]) -> Result<(), Error> {
        for (name, _) in inputs {
            if !self.inputs.iter().any(|f| f.name == *name) {
                let d = Diagnostic::new(&codes::INPUT_UNKNOWN, format!("the function has no input `{name}`"));
                let names: Vec<&str> = self.inputs.iter().map(|f| &*f.name).collect();
                return Err(match suggest(name, names.iter().copied()) {
                    Some(near) => d.help(format!("did you mean `{near}`?")),
                    None => d.help(format!("its inputs are `{}`", names.join("`, `"))),
                }
                .into());
            }
        }
        Ok(())
    }

    fn run_with(
        &self,
        inputs: &[(&str, Tensor)],
        states: &States,
        mut values: Values<'_>,
    ) -> Result<Outputs, Error> {
        self.known_inputs(inputs)?;
        for &id in &self.function.params {
            let param = self.function.value(id);
            if let Type::State(_) = param.ty {
                let state = states.get(&param.name).ok_or_else(|| missing(&param.name, "state"))?;
                let datum = Datum::State(state.clone());
                let ty = datum.ty();
                if !ty.fits(&param.ty) {
                    return Err(wrong_type(&param.name, &ty, &param.ty));
                }
                values.set(id, Computed { datum, ty: Some(ty) });
                continue;
            }
            let given = inputs.iter().find(|(n, _)| param.name == **n);
            let (_, tensor) = given.ok_or_else(|| missing(&param.name, "input"))?;
            let ty = Type::from(tensor.ty());
            let wanted = match &param.ty {
                Type::Buffer(b) => Type::tensor(b.dtype, b.shape.clone()),
                ty => ty.clone(),
            };
            if !ty.fits(&wanted) {
                return Err(wrong_type(&param.name, &ty, &wanted));
            }
            let ty = if let Type::Buffer(_) = param.ty { param.ty.clone() } else { ty };
            values.set(id, Computed { datum: tensor.clone().into(), ty: Some(ty) });
        }
        let results = self.block(&self.body, &mut values)?;
        Ok(self.outputs.iter().zip(results).map(|(f, v)| (f.name.clone(), v.datum)).collect())
    }

    /// Runs a block whose parameters are bound.
    fn block(&self, block: &Block, values: &mut Values<'_>) -> Result<Vec<Computed>, Error> {
        for planned in &block.steps {
            let step = &planned.step;
            let before = values.observer.is_some().then(|| Before::new(step, values));
            let results = match step.op.meaning {
                Meaning::Control(Control::Cond) => self.cond(planned, values)?,
                Meaning::Control(Control::While) => self.while_loop(planned, values)?,
                _ => self.step(planned, values)?,
            };
            if let (Some(before), Some(observer)) = (before, &mut values.observer) {
                before.show(planned, &results, observer);
            }
            for (&o, value) in step.outputs.iter().zip(results) {
                values.set(o, value);
            }
            for &v in &planned.free {
                values.free(v);
            }
        }
        Ok(block.outputs.iter().map(|&o| values.read(o)).collect())
    }

    fn cond(&self, planned: &Planned, values: &mut Values<'_>) -> Result<Vec<Computed>, Error> {
        let pred = planned.step.inputs.iter().flat_map(Input::values).next();
        let pred = pred.is_some_and(|&p| values.arg(p).value.is_some_and(truth));
        let results = self.block(&planned.blocks[usize::from(!pred)], values)?;
        self.promised(planned.step.outputs.iter().zip(results), &planned.step)
    }

    fn while_loop(&self, planned: &Planned, values: &mut Values<'_>) -> Result<Vec<Computed>, Error> {
        let mut variables: Vec<Computed> =
            planned.step.inputs.iter().flat_map(Input::values).map(|&v| values.read(v)).collect();
        let [condition, body] = planned.blocks.as_slice() else {
            unreachable!("a verified loop has two blocks")
        };
        for _ in 0..self.options.turns {
            let taken =
                self.promised(condition.params.iter().zip(variables.iter().cloned()), &planned.step)?;
            for (&p, v) in condition.params.iter().zip(taken) {
                values.set(p, v);
            }
            if !self.block(condition, values)?.first().is_some_and(|c| truth(&c.datum)) {
                return self.promised(planned.step.outputs.iter().zip(variables), &planned.step);
            }
            let taken = self.promised(body.params.iter().zip(variables), &planned.step)?;
            for (&p, v) in body.params.iter().zip(taken) {
                values.set(p, v);
            }
            variables = self.block(body, values)?;
        }
        Err(plan::endless(self.options.turns, planned.step.span).into())
    }

    /// Compares values with the types of what they are to be bound to, which the program has promised.
    fn promised<'i>(
        &self,
        bindings: impl Iterator<Item = (&'i ValueId, Computed)>,
        step: &Step,
    ) -> Result<Vec<Computed>, Error> {
        bindings
            .map(|(&id, value)| {
                let declared = self.function.value(id);
                // In a buffer lies a tensor, and that is what is held.
                if let Type::Buffer(_) = declared.ty {
                    return Ok(Computed { datum: value.datum, ty: value.ty });
                }
                let ty = value.datum.ty();
                if !ty.fits(&declared.ty) {
                    return Err(broken_promise(&declared.name, &ty, &declared.ty, step));
                }
                Ok(Computed { datum: value.datum, ty: (!declared.ty.is_known()).then_some(ty) })
            })
            .collect()
    }

    /// The function, as far as the constants are computed.
    pub(super) fn function(&self) -> &Function {
        &self.function
    }

    /// The function, once the constants are computed.
    pub(super) fn into_function(self) -> Function {
        self.function
    }

    /// Takes the type of a constant from its value, where the program leaves it open.
    pub(super) fn refine(&mut self, id: ValueId, value: &Datum) {
        let declared = &mut self.function.values[id.index()].ty;
        if !declared.is_known() {
            *declared = value.ty();
        }
    }

    /// Computes a step whose arguments are all constant.
    pub(super) fn once(&self, planned: &Planned, constants: &[Option<Datum>]) -> Result<Vec<Datum>, Error> {
        let values = Values::new(&self.function, constants);
        Ok(self.step(planned, &values)?.into_iter().map(|v| v.datum).collect())
    }

    fn step(&self, planned: &Planned, values: &Values<'_>) -> Result<Vec<Computed>, Error> {
        let step = &planned.step;
        let op = step.op;
        let args = step.args(&planned.types, |v| values.arg(v));
        let fault = |f: Fault| Error::from(diagnostic(f, step));
        let inferred;
        let types = if planned.fixed {
            &planned.types
        } else {
            inferred = (op.infer)(&args).map_err(fault)?;
            for (&o, ty) in step.outputs.iter().zip(&inferred) {
                let declared = self.function.value(o);
                if !ty.fits(&declared.ty) && !matches!(declared.ty, Type::Buffer(_)) {
                    return Err(broken_promise(&declared.name, ty, &declared.ty, step));
                }
            }
            &inferred
        };
        self.fits_memory(values.bytes, types, format_args!("the result of `{}`", op.name))
            .map_err(|e| at(e, step))?;
        let Meaning::Compute(compute) = step.op.meaning else {
            unreachable!("loading refuses ops without a meaning, and blocks are run elsewhere")
        };
        let fast = match (self.engine, self.options.numerics) {
            (Engine::Reference, Numerics::Ieee) => None,
            _ => self.by_kernels(planned, &args, types, values).map_err(fault)?,
        };
        let results = match fast {
            Some(results) => results,
            None => compute(&args, types).map_err(fault)?,
        };
        if planned.fixed {
            return Ok(results.into_iter().map(|datum| Computed { datum, ty: None }).collect());
        }
        // What inference leaves open, such as how many elements are not zero, the program may have promised. A list
        // may grow beyond the length that it is declared with.
        let kept = |(&o, datum): (&ValueId, Datum)| {
            let (declared, ty) = (self.function.value(o), datum.ty());
            match (&declared.ty, &ty) {
                (Type::Tensor(promised), Type::Tensor(found)) if !promised.shape.fits(&found.shape) => {
                    Err(broken_promise(&declared.name, &ty, &declared.ty, step))
                }
                _ => Ok(Computed { datum, ty: Some(ty) }),
            }
        };
        step.outputs.iter().zip(results).map(kept).collect()
    }

    /// Computes a step with its kernels; `None` if it has none for this case. Where the types are fixed the kernels are
    /// prepared once, with the constants.
    fn by_kernels(
        &self,
        planned: &Planned,
        args: &Args<'_>,
        types: &[Type],
        values: &Values<'_>,
    ) -> Result<Option<Vec<Datum>>, Fault> {
        let threads = self.options.threads;
        // Where the types are not fixed, and what needs a value that is not constant, is prepared at every run.
        let prepared = planned.fixed.then(|| {
            planned.prepared.get_or_init(|| {
                let arg = |v: ValueId| Arg {
                    ty: &self.function.value(v).ty,
                    value: values.constants[v.index()].as_ref(),
                };
                self.prepare(&planned.step.args(&planned.types, arg), types).ok().flatten()
            })
        });
        let Some(prepared) = prepared.and_then(Option::as_ref) else {
            return self.prepare(args, types)?.map(|p| p.results(&[], types, threads)).transpose();
        };
        let given: Vec<&[u8]> = planned
            .step
            .inputs
            .iter()
            .flat_map(Input::values)
            .map(|&v| values.arg(v).value.and_then(Datum::as_tensor).map_or(&[][..], Tensor::bytes))
            .collect();
        prepared.results(&given, types, threads).map(Some)
    }

    /// The kernels of this engine for a step.
    fn prepare(&self, args: &Args<'_>, types: &[Type]) -> Result<Option<Prepared>, Fault> {
        match self.engine {
            Engine::Cpu => silicon::prepare(args, types, self.options.numerics),
            Engine::Reference => silicon::prepare_alone(args, types, self.options.numerics),
        }
    }

    /// Refuses results that would take more memory than the run may use.
    fn fits_memory(&self, held: usize, types: &[Type], what: std::fmt::Arguments<'_>) -> Result<(), Error> {
        let mut bytes = held as u128;
        for t in types {
            if let Type::Tensor(t) = t
                && let Some(n) = t.shape.elements()
            {
                bytes += u128::from(n) * t.dtype.bits().max(8) as u128 / 8;
            }
        }
        if bytes <= self.options.memory as u128 {
            return Ok(());
        }
        Err(Diagnostic::new(
            &codes::RUN_LIMIT,
            format!(
                "with {what} the run would hold {}, and may hold {}",
                amount(bytes),
                amount(self.options.memory as u128)
            ),
        )
        .help("if the machine has the memory, raise the limit")
        .into())
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({} on {}, {} steps)", self.function.name, self.engine, self.body.steps.len())
    }
}

/// A number of bytes, for people.
fn amount(bytes: u128) -> String {
    let mut amount = bytes as f64;
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{amount:.1} {}", units[unit]) }
}

fn truth(d: &Datum) -> bool {
    d.as_tensor().is_some_and(|t| t.to_i64s().first().is_some_and(|&v| v != 0))
}

fn missing(name: &Name, what: &str) -> Error {
    Diagnostic::new(&codes::INPUT_MISSING, format!("the {what} `{name}` is not given")).into()
}

fn wrong_type(name: &Name, found: &Type, wanted: &Type) -> Error {
    Diagnostic::new(&codes::INPUT_TYPE, format!("`{name}` is `{found}`, and the function takes `{wanted}`"))
        .help("`?` stands for any number; the other dimensions and the dtype must be equal")
        .into()
}

fn broken_promise(name: &Name, found: &Type, declared: &Type, step: &Step) -> Error {
    Diagnostic::new(
        &codes::DECLARED_TYPE,
        format!("`{name}` is declared as `{declared}`, and became `{found}`"),
    )
    .at(step.span, format!("in this `{}`", step.op.name))
    .help("write `?` for dimensions that depend on the inputs")
    .into()
}

fn diagnostic(fault: Fault, step: &Step) -> Diagnostic {
    let mut d =
        Diagnostic::new(fault.code, fault.message).at(step.span, format!("in this `{}`", step.op.name));
    d.help = fault.help;
    d
}

fn at(error: Error, step: &Step) -> Error {
    error.diagnostic().clone().at(step.span, "in this statement").into()
}
