//! A function under construction: the values that a call can see, and the calls so far.

use anemone::mil::Opset;
use anemone::mil::{
    Argument, Attribute, Binding, Block, Call, Function, Name, Operand, OpsetName, Param, Use, Value,
};
use anemone::source::Span;
use anemone::types::{DType, Datum, Dim, State, Tensor, TensorType, Type};

use crate::Limits;
use crate::dice::Dice;

/// The most inputs of a function; what else is wanted becomes a constant.
const INPUTS: usize = 6;

/// A value that a call can see.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) name: Name,
    /// Its type, as verification knows it.
    pub(crate) ty: Type,
    /// What it is when the program runs on its inputs; in a loop, in the first turn.
    pub(crate) value: Datum,
    pub(crate) known: Known,
}

/// When the value of an item is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// To inference.
    Constant,
    /// When the program is loaded.
    Constexpr,
    /// When it runs.
    Running,
}

impl Item {
    /// The tensor when the program runs.
    pub(crate) fn tensor(&self) -> Option<&Tensor> {
        if let Type::Tensor(_) = self.ty { self.value.as_tensor() } else { None }
    }
}

/// A function under construction.
pub(crate) struct Builder<'d, 'u, 'b> {
    pub(crate) dice: &'d mut Dice<'u, 'b>,
    pub(crate) opset: Opset,
    pub(crate) limits: &'d Limits,
    /// The values in scope.
    pub(crate) items: Vec<Item>,
    /// The calls of the open blocks, the innermost last.
    pub(crate) open: Vec<Vec<Call>>,
    /// Whether one call stands alone: its tensors are inputs wherever they may be.
    pub(crate) alone: bool,
    params: Vec<Param>,
    inputs: Vec<(Name, Tensor)>,
    names: usize,
}

impl<'d, 'u, 'b> Builder<'d, 'u, 'b> {
    pub(crate) fn new(dice: &'d mut Dice<'u, 'b>, opset: Opset, limits: &'d Limits) -> Self {
        Self {
            dice,
            opset,
            limits,
            items: Vec::new(),
            open: vec![Vec::new()],
            alone: false,
            params: Vec::new(),
            inputs: Vec::new(),
            names: 0,
        }
    }

    /// A name that nothing has yet.
    pub(crate) fn name(&mut self) -> Name {
        self.names += 1;
        format!("v{}", self.names).into()
    }

    /// Adds a statement to the innermost open block.
    pub(crate) fn push(&mut self, call: Call) {
        self.open.last_mut().expect("the block of the function is open").push(call);
    }

    /// Whether the function may take one more input of this dtype.
    pub(crate) fn takes_input(&self, tensor: &Tensor) -> bool {
        let often = self.alone || self.params.len() < INPUTS;
        often && tensor.as_strings().is_none() && self.may_pass(&tensor.ty().into())
    }

    /// Whether a value of this type may be an input or result of the function.
    pub(crate) fn may_pass(&self, ty: &Type) -> bool {
        let arrays = [DType::Fp16, DType::Fp32, DType::Fp64, DType::Int8, DType::Int32];
        !self.limits.packable || ty.as_tensor().is_some_and(|t| arrays.contains(&t.dtype))
    }

    /// Declares an input with this value; some of its dimensions may be open.
    pub(crate) fn input(&mut self, ty: Type, value: Tensor) -> usize {
        let name = self.name();
        self.params.push(param(name.clone(), ty.clone()));
        self.inputs.push((name.clone(), value.clone()));
        self.items.push(Item { name, ty, value: value.into(), known: Known::Running });
        self.items.len() - 1
    }

    /// Declares a state, which begins as zero.
    pub(crate) fn state(&mut self, ty: TensorType) -> Option<usize> {
        let name = self.name();
        let zeros = Tensor::zeros(ty.dtype, &ty.shape.known()?).ok()?;
        let ty = Type::State(Box::new(ty.into()));
        self.params.push(param(name.clone(), ty.clone()));
        let value = Datum::State(State::new(zeros));
        self.items.push(Item { name, ty, value, known: Known::Running });
        Some(self.items.len() - 1)
    }

    /// A constant in a statement of its own.
    pub(crate) fn constant(&mut self, value: Datum) -> Option<usize> {
        let name = self.name();
        let literal = literal(&value)?;
        let ty = literal.ty();
        let mut call = call("const", vec![param(name.clone(), ty.clone())]);
        call.attributes.push(Attribute::new("name", Value::string(name.as_str())));
        call.attributes.push(Attribute::new("val", literal));
        self.push(call);
        self.items.push(Item { name, ty, value, known: Known::Constant });
        Some(self.items.len() - 1)
    }

    /// The type of an input, of which some dimensions are left open now and then.
    pub(crate) fn declared_input(&mut self, tensor: &Tensor) -> Type {
        let mut ty = tensor.ty();
        if self.dice.chance(12) {
            for dim in ty.shape.iter_mut() {
                if self.dice.chance(50) {
                    *dim = Dim::Unknown;
                }
            }
        }
        ty.into()
    }

    /// Closes the function: any of its values may be results, and the last is one.
    pub(crate) fn finish(mut self, name: Name) -> (Function, Vec<(Name, Tensor)>) {
        let calls = self.open.pop().unwrap_or_default();
        let bound = calls.iter().filter(|c| c.op != "const").flat_map(|c| &c.outputs);
        let computed: Vec<&Name> = bound.filter(|o| self.may_pass(&o.ty)).map(|o| &o.name).collect();
        let mut outputs = Vec::new();
        for (i, &name) in computed.iter().enumerate() {
            if self.alone || i + 1 == computed.len() || self.dice.chance(30) {
                outputs.push(used(name.clone()));
            }
        }
        let body = Block { calls, outputs, ..Block::default() };
        let function = Function {
            name,
            opset: OpsetName::Known(self.opset),
            params: self.params,
            attributes: Vec::new(),
            body,
            span: Span::default(),
            opset_span: Span::default(),
        };
        (function, self.inputs)
    }
}

/// The literal of a value, if it has one.
pub(crate) fn literal(value: &Datum) -> Option<Value> {
    match value {
        Datum::Tensor(t) => Some(t.clone().into()),
        Datum::List { items, .. } => {
            let items = items.iter().map(|t| t.clone().map(Value::from)).collect::<Option<_>>()?;
            Some(Value::List(value.ty(), items))
        }
        _ => None,
    }
}

pub(crate) fn param(name: Name, ty: Type) -> Param {
    Param { name, ty, span: Span::default(), ty_span: Span::default() }
}

pub(crate) fn used(name: Name) -> Use {
    Use { name, span: Span::default() }
}

pub(crate) fn argument(name: &str, binding: Binding) -> Argument {
    Argument { name: name.into(), binding, span: Span::default() }
}

pub(crate) fn operand(name: &Name) -> Operand {
    Operand::Name(used(name.clone()))
}

/// A call with results, and nothing else yet.
pub(crate) fn call(op: &str, outputs: Vec<Param>) -> Call {
    Call {
        op: op.into(),
        opset: None,
        outputs,
        arguments: Vec::new(),
        attributes: Vec::new(),
        blocks: Vec::new(),
        span: Span::default(),
        op_span: Span::default(),
    }
}
