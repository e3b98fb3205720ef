//! Programs as an engine takes them that ignores a part of them in silence.

use std::collections::{BTreeMap, BTreeSet};

use crate::mil::{Binding, Block, Call, Function, Name, Operand, Program, Value};
use crate::types::{Tensor, Type};

/// The program without the masks of its attention, if it has some.
pub(crate) fn without_masks(program: &Program) -> Option<Program> {
    let mut changed = program.clone();
    let mut any = false;
    for function in &mut changed.functions {
        each_call_mut(&mut function.body, &mut |call| {
            if call.op == "scaled_dot_product_attention" && call.argument("attn_mask").is_some() {
                call.arguments.retain(|a| a.name != "attn_mask");
                any = true;
            }
        });
    }
    any.then_some(changed)
}

/// The program with zeros for the weights of convolutions that it is given when it runs, if it has some.
pub(crate) fn without_run_time_weights(program: &Program) -> Option<Program> {
    let mut changed = program.clone();
    let mut any = false;
    for function in &mut changed.functions {
        let given = given_at_run_time(function);
        each_call_mut(&mut function.body, &mut |call| {
            if !matches!(call.op.as_str(), "conv" | "conv_transpose") {
                return;
            }
            let Some(weight) = call.arguments.iter_mut().find(|a| a.name == "weight") else { return };
            if let Binding::One(Operand::Name(used)) = &weight.binding
                && let Some(zeros) = given.get(&used.name).and_then(zeros)
            {
                weight.binding = Binding::One(Operand::Value(zeros, used.span));
                any = true;
            }
        });
    }
    any.then_some(changed)
}

fn each_call_mut(block: &mut Block, each: &mut dyn FnMut(&mut Call)) {
    for call in &mut block.calls {
        each(call);
        call.blocks.iter_mut().for_each(|b| each_call_mut(b, each));
    }
}

/// The types of what a function is given or computes from that.
fn given_at_run_time(function: &Function) -> BTreeMap<Name, Type> {
    fn collect(block: &Block, types: &mut BTreeMap<Name, Type>, constant: &mut BTreeSet<Name>) {
        types.extend(block.params.iter().map(|p| (p.name.clone(), p.ty.clone())));
        for call in &block.calls {
            types.extend(call.outputs.iter().map(|p| (p.name.clone(), p.ty.clone())));
            let names = |b: &Binding| {
                let name = |o: &Operand| match o {
                    Operand::Name(used) => Some(used.name.clone()),
                    Operand::Value(..) => None,
                };
                b.operands().iter().filter_map(name).collect::<Vec<_>>()
            };
            // What is computed of constants alone is a constant too.
            if call.arguments.iter().flat_map(|a| names(&a.binding)).all(|n| constant.contains(&n))
                && call.blocks.is_empty()
            {
                constant.extend(call.outputs.iter().map(|p| p.name.clone()));
            }
            call.blocks.iter().for_each(|b| collect(b, types, constant));
        }
    }
    let mut types: BTreeMap<Name, Type> =
        function.params.iter().map(|p| (p.name.clone(), p.ty.clone())).collect();
    let mut constant = BTreeSet::new();
    collect(&function.body, &mut types, &mut constant);
    types.retain(|name, _| !constant.contains(name));
    types
}

fn zeros(ty: &Type) -> Option<Value> {
    let ty = ty.as_tensor()?;
    Some(Value::from(Tensor::zeros(ty.dtype, &ty.shape.known()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_at_run_time_is_ignored() {
        let parse = |text: &str| crate::text::parse(text).unwrap();
        let conv = parse(
            "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 4]> x, tensor<fp16, [1, 1, 1, 1]> w) {
                tensor<fp16, [1, 1, 1, 4]> a = conv(x = x, weight = w, strides = tensor<int32, [2]>([1, 1]),
                    pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]),
                    dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));
                tensor<fp16, [1, 1, 1, 1]> c = const()[val = tensor<fp16, [1, 1, 1, 1]>([[[[2]]]])];
                tensor<fp16, [1, 1, 1, 1]> d = add(x = c, y = c);
                tensor<fp16, [1, 1, 1, 4]> y = conv(x = a, weight = d, strides = tensor<int32, [2]>([1, 1]),
                    pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]),
                    dilations = tensor<int32, [2]>([1, 1]), groups = int32(1)); } -> (y); }",
        );
        let changed = without_run_time_weights(&conv).unwrap();
        let weight = |p: &Program, i: usize| {
            p.functions[0].body.calls[i].argument("weight").unwrap().binding.operands()[0].clone()
        };
        assert!(matches!(weight(&changed, 0), Operand::Value(..)));
        assert_eq!(weight(&changed, 3), weight(&conv, 3));
        assert!(without_run_time_weights(&changed).is_none() && without_masks(&conv).is_none());
    }
}
