//! Programs of one call.

use std::collections::BTreeMap;

use anemone::mil::op::{Kind, Op};
use anemone::mil::{
    Argument, Attribute, Binding, Block, Call, Function, Name, Operand, Opset, Param, Program, Use, Version,
};
use anemone::source::Span;
use anemone::types::{Tensor, Type};

/// Which arguments of a call are inputs of the program. What must be constant never is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Inputs {
    /// All.
    All,
    /// The first; the others are literals, as weights are.
    First,
}

/// A program of one call, and its inputs.
pub(crate) fn program_of(
    op: &Op,
    opset: Opset,
    arguments: &[(&str, Tensor)],
    results: &[Tensor],
    inputs: Inputs,
) -> Result<(Program, Vec<(String, Tensor)>), String> {
    let edition = op.edition(opset).ok_or_else(|| format!("is not in {opset}"))?;
    let param = |name: &str, ty: Type| Param {
        name: name.into(),
        ty,
        span: Span::default(),
        ty_span: Span::default(),
    };
    let mut function = Function {
        name: "main".into(),
        opset: opset.into(),
        params: Vec::new(),
        attributes: Vec::new(),
        body: Block::default(),
        span: Span::default(),
        opset_span: Span::default(),
    };
    let mut call = Call {
        op: op.name.into(),
        opset: None,
        outputs: Vec::new(),
        arguments: Vec::new(),
        attributes: Vec::new(),
        blocks: Vec::new(),
        span: Span::default(),
        op_span: Span::default(),
    };
    let mut given = Vec::new();
    let mut operands: BTreeMap<&str, Vec<Operand>> = BTreeMap::new();
    for (name, tensor) in arguments {
        let p = edition.params.iter().find(|p| p.name == *name).ok_or_else(|| format!("has no `{name}`"))?;
        let operand = if edition.in_attributes {
            call.attributes.push(Attribute::new(*name, tensor.clone().into()));
            continue;
        } else if p.constant || (inputs == Inputs::First && !given.is_empty()) {
            Operand::Value(tensor.clone().into(), Span::default())
        } else {
            let input: Name = format!("in{}", given.len()).into();
            function.params.push(param(&input, tensor.ty().into()));
            given.push((input.to_string(), tensor.clone()));
            Operand::Name(Use { name: input, span: Span::default() })
        };
        operands.entry(name).or_default().push(operand);
    }
    for (name, mut operands) in operands {
        let many = edition.params.iter().any(|p| p.name == name && p.kind == Kind::Tuple);
        let binding = if many { Binding::Many(operands) } else { Binding::One(operands.swap_remove(0)) };
        call.arguments.push(Argument { name: name.into(), binding, span: Span::default() });
    }
    for (i, r) in results.iter().enumerate() {
        let name = format!("out{i}");
        call.outputs.push(param(&name, r.ty().into()));
        function.body.outputs.push(Use { name: name.into(), span: Span::default() });
    }
    function.body.calls.push(call);
    Ok((Program { version: Version::V1_3, attributes: Vec::new(), functions: vec![function] }, given))
}
