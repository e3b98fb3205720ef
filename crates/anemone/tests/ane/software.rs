//! The compiler of the fake: this library, as strict as Apple's is known to be.

use std::sync::{Arc, Mutex};

use anemone::bundle::Weights;
use anemone::device::{self, Engine, Options};
use anemone::mil::{Block, Operand, Program, Value};
use anemone::types::{DType, Tensor, Type};
use anemone::verify::{self, Verified};
use anemone_apple::fake;

/// Compiles MIL text for an engine of this library.
pub(crate) struct Compiler(pub(crate) Engine);

/// What Apple's compiler is known to refuse although the program is right.
fn form(program: &Program) -> Result<(), String> {
    let info = program.attributes.iter().find(|a| a.name == "buildInfo").map(|a| &a.value);
    if !matches!(info, Some(Value::Dict(_, pairs)) if !pairs.is_empty()) {
        return Err("there is no buildInfo".into());
    }
    program.functions.iter().try_for_each(|f| block(&f.body))
}

fn block(b: &Block) -> Result<(), String> {
    for call in &b.calls {
        if call.attribute("name").is_none() {
            return Err(format!("a `{}` has no name", call.op));
        }
        if !call.blocks.is_empty() {
            return Err(format!("`{}` has blocks", call.op));
        }
        let literal = |o: &Operand| matches!(o, Operand::Value(..));
        if call.arguments.iter().flat_map(|a| a.binding.operands()).any(literal) {
            return Err(format!("a `{}` is given a literal", call.op));
        }
    }
    Ok(())
}

fn tensor(name: &str, ty: &Type) -> Result<fake::Tensor, String> {
    let Type::Tensor(t) = ty else { return Err(format!("`{name}` is `{ty}`")) };
    let shape = t.shape.known().ok_or(format!("`{name}` has no fixed shape"))?;
    let (element, element_bytes) = match t.dtype {
        DType::Fp16 => ("Float16", 2),
        DType::Fp32 => ("Float32", 4),
        DType::Int32 => ("Int32", 4),
        DType::Int8 => ("Int8", 1),
        DType::UInt8 => ("UInt8", 1),
        dtype => return Err(format!("`{name}` is {dtype}")),
    };
    let mut extents = [1; 4];
    let first = extents.len().checked_sub(shape.len()).ok_or(format!("`{name}` has too many dimensions"))?;
    extents[first..].copy_from_slice(&shape);
    Ok(fake::Tensor { name: name.into(), element, element_bytes, extents })
}

struct Compiled {
    verified: Verified,
    procedures: Vec<fake::Procedure>,
    engine: Engine,
}

impl fake::Engine for Compiler {
    fn compile(
        &self,
        text: &str,
        weights: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn fake::Program>, String> {
        let program = anemone::text::parse(text).map_err(|e| e.to_string())?;
        form(&program)?;
        let files = Weights::none();
        for blob in anemone::bundle::blobs(&program) {
            let bytes = weights(&blob.path).ok_or(format!("{} is not there", blob.path))?;
            files.insert(&blob.path, bytes).map_err(|e| e.to_string())?;
        }
        let report = verify::verify(&program, &files);
        let verified = report.verified.ok_or_else(|| report.diagnostics.to_string())?;
        let procedure = |f: &verify::Function| {
            let list = |values: Vec<&verify::Value>| {
                values.into_iter().map(|v| tensor(&v.name, &v.ty)).collect::<Result<Vec<_>, _>>()
            };
            Ok(fake::Procedure {
                name: f.name.to_string(),
                inputs: list(f.params.iter().map(|&p| f.value(p)).collect())?,
                outputs: list(f.outputs().collect())?,
            })
        };
        let procedures = verified.functions().iter().map(procedure).collect::<Result<_, String>>()?;
        Ok(Arc::new(Compiled { verified, procedures, engine: self.0 }))
    }
}

impl fake::Program for Compiled {
    fn procedures(&self) -> Vec<fake::Procedure> {
        self.procedures.clone()
    }

    fn load(&self) -> Result<Box<dyn fake::Instance>, String> {
        let load = |f| device::load(f, self.engine, &Options { threads: 1, ..Options::default() });
        let models = self.verified.functions().iter().map(load).collect::<Result<Vec<_>, _>>();
        Ok(Box::new(Running { models: Mutex::new(models.map_err(|e| e.to_string())?) }))
    }
}

struct Running {
    models: Mutex<Vec<device::Loaded>>,
}

impl fake::Instance for Running {
    fn run(&mut self, procedure: usize, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        let models = self.models.get_mut().map_err(|e| e.to_string())?;
        let model = &models[procedure];
        let mut given = Vec::new();
        for (feature, bytes) in model.inputs().iter().zip(inputs) {
            let Type::Tensor(t) = &feature.ty else { return Err("an input is no tensor".into()) };
            let shape = t.shape.known().ok_or("an input has no fixed shape")?;
            given.push((
                &*feature.name,
                Tensor::from_bytes(t.dtype, &shape, bytes).map_err(|e| e.to_string())?,
            ));
        }
        let states = model.new_states().map_err(|e| e.to_string())?;
        let outputs = model.run(&given, &states).map_err(|e| e.to_string())?;
        let bytes = |(_, d): &(_, anemone::types::Datum)| {
            d.as_tensor().map(|t| t.bytes().to_vec()).ok_or("an output is no tensor".to_string())
        };
        outputs.iter().map(bytes).collect()
    }
}

/// A machine whose compiler is this library.
pub(crate) fn machine(engine: Engine) -> fake::Machine {
    fake::Machine { engine: Some(Arc::new(Compiler(engine))), ..fake::Machine::default() }
}
