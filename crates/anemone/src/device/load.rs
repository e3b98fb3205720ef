//! Loading: what is done once.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::run::{Block, Loaded, Planned};
use super::{Engine, Error, Options};
use crate::chip::Numerics;
use crate::int8;
use crate::mil::op::{Fast, Meaning};
use crate::plan::{Known, Plan};
use crate::source::{Diagnostic, codes};
use crate::types::Datum;
use crate::verify::{Body, Content, Function, Input, Step, ValueId};

/// Prepares a function for an engine.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::{DType, Tensor}, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// let x = Tensor::from_f64s(DType::Fp16, &[4], &[-1.0, 0.0, 1.0, 2.0])?;
/// let outputs = model.run(&[("x", x)], &model.new_states()?)?;
/// assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), [0.0, 0.0, 1.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `no-meaning` when anemone cannot compute an op of the function yet, `blob-missing` when a weight file is not
/// there, and whatever an op whose arguments are all constant refuses.
pub fn load(function: &Function, engine: Engine, options: &Options) -> Result<Loaded, Error> {
    let on_bytes = int8::on_bytes(function, options.numerics);
    let function = on_bytes.as_ref().unwrap_or(function);
    for value in &function.values {
        if let Content::Missing(blob) = &value.content {
            return Err(Diagnostic::new(
                &codes::BLOB_MISSING,
                format!("`{}` lies in `{}`, which is not there", value.name, blob.path),
            )
            .help("put the weight file where the program expects it")
            .fatal()
            .into());
        }
    }
    let mut constants: Vec<Option<Datum>> = function
        .values
        .iter()
        .map(|v| match &v.content {
            Content::Constant(d) => Some(d.clone()),
            _ => None,
        })
        .collect();
    let mut body = plan(&function.body, function)?;
    let once = Options { numerics: Numerics::Ieee, ..options.clone() };
    let mut scratch = Loaded::new(function.clone(), engine, once, Vec::new(), Block::default(), None);
    // The kernels of chips read weights as they are multiplied.
    let parts = engine == Engine::Cpu && options.numerics == Numerics::Ieee;
    let mut unmade = if parts { unmade(function, &body, &constants) } else { Vec::new() };
    let planned = loop {
        fold(&mut body, &mut scratch, &mut constants, &unmade, true)?;
        let planned =
            (engine == Engine::Cpu).then(|| whole(scratch.function(), &body, &constants, options)).flatten();
        // Step by step, what is read is made whole, and once.
        if planned.is_some() || std::mem::take(&mut unmade).is_empty() {
            break planned;
        }
    };
    release_unused(&body, &mut constants);
    lifetimes(&mut body, &constants);
    Ok(Loaded::new(scratch.into_function(), engine, options.clone(), constants, body, planned))
}

/// The constants that need not be made, since the kernels of all who read them make parts of them.
fn unmade(function: &Function, body: &Block, constants: &[Option<Datum>]) -> Vec<ValueId> {
    let steps: Vec<&Step> = body.steps.iter().map(|planned| &planned.step).collect();
    let mut readers: HashMap<ValueId, Vec<&Step>> = HashMap::new();
    for step in &steps {
        step.reads(|v| readers.entry(v).or_default().push(step));
    }
    let makes_one = |step: &&&Step| matches!(step.op.fast, Fast::InParts(..)) && step.outputs.len() == 1;
    let known = Known { function, constants, numerics: Numerics::Ieee, turns: 0 };
    let left = steps.iter().filter(makes_one).filter(|maker| {
        let result = maker.outputs[0];
        let readers = readers.get(&result).map_or(&[][..], Vec::as_slice);
        !body.outputs.contains(&result)
            && !readers.is_empty()
            && readers.iter().all(|reader| Plan::takes_parts(&known, reader, maker))
    });
    left.map(|maker| maker.outputs[0]).collect()
}

/// The plan of a function all of whose shapes are known, unless it would take more memory than a run may.
fn whole(function: &Function, body: &Block, constants: &[Option<Datum>], options: &Options) -> Option<Plan> {
    let known = Known { function, constants, numerics: options.numerics, turns: options.turns };
    let plan = Plan::of(&known, body.steps.iter().map(|p| &p.step).collect())?;
    let outputs: usize = plan.outputs().iter().map(|io| io.bytes).sum();
    (plan.arena_bytes().saturating_add(outputs) <= options.memory).then_some(plan)
}

/// Computes the steps whose arguments are all constant, but for those that make what is left `unmade`; they are steps no
/// more, and the types of their results are those of the values.
///
/// In a nested block, which may never run, a step that is refused stays a step.
fn fold(
    block: &mut Block,
    scratch: &mut Loaded,
    constants: &mut [Option<Datum>],
    unmade: &[ValueId],
    outermost: bool,
) -> Result<(), Error> {
    let mut steps = Vec::with_capacity(block.steps.len());
    for mut planned in std::mem::take(&mut block.steps) {
        for b in &mut planned.blocks {
            fold(b, scratch, constants, unmade, false)?;
        }
        let step = &planned.step;
        let known = step.inputs.iter().flat_map(Input::values).all(|v| constants[v.index()].is_some());
        // A step without results has an effect.
        let reads = step.inputs.iter().any(|i| !i.values().is_empty());
        let folds = known
            && reads
            && !step.outputs.is_empty()
            && step.blocks.is_empty()
            && !step.outputs.iter().any(|o| unmade.contains(o));
        if !folds {
            steps.push(planned);
            continue;
        }
        match scratch.once(&planned, constants) {
            Ok(results) => {
                for (&o, r) in planned.step.outputs.iter().zip(results) {
                    scratch.refine(o, &r);
                    constants[o.index()] = Some(r);
                }
            }
            Err(e) if outermost => return Err(e),
            Err(_) => steps.push(planned),
        }
    }
    block.steps = steps;
    Ok(())
}

/// Forgets the constants that only folded steps read: compressed weights need not be kept beside the dense ones.
fn release_unused(body: &Block, constants: &mut [Option<Datum>]) {
    fn read(block: &Block, used: &mut [bool]) {
        for planned in &block.steps {
            planned.step.inputs.iter().flat_map(Input::values).for_each(|v| used[v.index()] = true);
            planned.blocks.iter().for_each(|b| read(b, used));
        }
        block.outputs.iter().for_each(|o| used[o.index()] = true);
    }
    let mut used = vec![false; constants.len()];
    read(body, &mut used);
    for (constant, used) in constants.iter_mut().zip(used) {
        if !used {
            *constant = None;
        }
    }
}

/// Makes a block ready to run; refuses ops that have no meaning yet.
fn plan(body: &Body, function: &Function) -> Result<Block, Error> {
    let mut steps = Vec::with_capacity(body.steps.len());
    for step in &body.steps {
        if let Meaning::Missing = step.op.meaning {
            return Err(Diagnostic::new(
                &codes::NO_MEANING,
                format!("anemone cannot compute `{}` yet", step.op.name),
            )
            .at(step.span, "this op can be checked and printed, not run")
            .help("`anemone ops` says for each op what it has")
            .into());
        }
        let blocks = step.blocks.iter().map(|b| plan(b, function)).collect::<Result<_, _>>()?;
        let types: Vec<_> = step.outputs.iter().map(|&o| function.value(o).ty.clone()).collect();
        let fixed = step.certain;
        let (free, prepared) = (Vec::new(), OnceLock::new());
        steps.push(Planned { step: step.clone(), blocks, types, fixed, free, prepared });
    }
    Ok(Block { params: body.params.clone(), steps, outputs: body.outputs.clone() })
}

/// Notes at each step which values no later step reads, so that their memory is given back.
fn lifetimes(block: &mut Block, constants: &[Option<Datum>]) {
    fn bound(step: &Step) -> impl Iterator<Item = ValueId> + '_ {
        step.outputs.iter().copied()
    }
    let mut own: Vec<bool> = vec![false; constants.len()];
    for p in &block.params {
        own[p.index()] = true;
    }
    for planned in &block.steps {
        for o in bound(&planned.step) {
            own[o.index()] = true;
        }
    }
    let mut seen = vec![false; constants.len()];
    for o in &block.outputs {
        seen[o.index()] = true;
    }
    for planned in block.steps.iter_mut().rev() {
        let mut free = Vec::new();
        planned.step.reads(|v| {
            if own[v.index()] && !std::mem::replace(&mut seen[v.index()], true) {
                free.push(v);
            }
        });
        for o in bound(&planned.step) {
            if !std::mem::replace(&mut seen[o.index()], true) {
                free.push(o);
            }
        }
        planned.free = free;
        for b in &mut planned.blocks {
            lifetimes(b, constants);
        }
    }
}
