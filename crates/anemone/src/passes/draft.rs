//! The calls that stand for another, written as MIL text.
//!
//! In it `arg_x` is what the parameter `x` of the call was bound to, `arg_values_2` the third of several, `const_0` a constant
//! that is too large for text, and `y0` the first result.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use crate::mil::{Binding, Call, Name, Operand, Use, Value};
use crate::text;
use crate::types::{DType, Tensor};

/// Lines of MIL text, with constants.
#[derive(Default)]
pub(super) struct Draft {
    lines: String,
    temporaries: usize,
    constants: Vec<Tensor>,
}

/// A tensor type as text.
pub(super) fn ty(dtype: DType, dims: &[u64]) -> String {
    if dims.is_empty() {
        return dtype.name().to_string();
    }
    format!("tensor<{}, {dims:?}>", dtype.name())
}

/// A shape or a place, as text.
pub(super) fn shape(numbers: &[u64]) -> String {
    format!("tensor<int32, [{}]>({numbers:?})", numbers.len())
}

pub(super) fn reshape(x: &str, dims: &[u64]) -> String {
    format!("reshape(x = {x}, shape = {})", shape(dims))
}

pub(super) fn transpose(x: &str, perm: &[usize]) -> String {
    format!("transpose(x = {x}, perm = tensor<int32, [{}]>({perm:?}))", perm.len())
}

/// Tensors behind each other along an axis.
pub(super) fn concat(parts: &[String], axis: usize) -> String {
    format!("concat(values = ({}), axis = int32({axis}), interleave = bool(false))", parts.join(", "))
}

/// A list of int32, as text.
pub(super) fn ints(numbers: &[i64]) -> String {
    format!("tensor<int32, [{}]>({numbers:?})", numbers.len())
}

impl Draft {
    /// A step between, of this type; gives its name.
    pub(super) fn step(&mut self, dtype: DType, dims: &[u64], call: &str) -> String {
        let name = format!("t{}", self.temporaries);
        self.temporaries += 1;
        self.line(&format!("{} {name} = {call};", ty(dtype, dims)));
        name
    }

    /// Several results of one step, of this type each.
    pub(super) fn steps(&mut self, count: usize, dtype: DType, dims: &[u64], call: &str) -> Vec<String> {
        let names: Vec<String> =
            (self.temporaries..self.temporaries + count).map(|i| format!("t{i}")).collect();
        self.temporaries += count;
        let outputs: Vec<String> = names.iter().map(|n| format!("{} {n}", ty(dtype, dims))).collect();
        self.line(&format!("{} = {call};", outputs.join(", ")));
        names
    }

    /// The result, of this type.
    pub(super) fn result(mut self, dtype: DType, dims: &[u64], call: &str) -> Self {
        self.output(0, dtype, dims, call);
        self
    }

    /// One of several results, of this type.
    pub(super) fn output(&mut self, i: usize, dtype: DType, dims: &[u64], call: &str) {
        self.line(&format!("{} y{i} = {call};", ty(dtype, dims)));
    }

    /// A constant, by its name.
    pub(super) fn constant(&mut self, tensor: Tensor) -> String {
        self.constants.push(tensor);
        format!("const_{}", self.constants.len() - 1)
    }

    /// The part of `x` from `begin` on, `size` long along one axis; `x` itself where that is all of it.
    pub(super) fn slice(
        &mut self,
        x: &str,
        dtype: DType,
        dims: &[u64],
        axis: usize,
        begin: u64,
        size: u64,
    ) -> String {
        if size == dims[axis] {
            return x.to_string();
        }
        let (mut begins, mut part) = (vec![0; dims.len()], dims.to_vec());
        (begins[axis], part[axis]) = (begin, size);
        self.block(x, dtype, &begins, &part)
    }

    /// The part of `x` of this shape that begins there.
    pub(super) fn block(&mut self, x: &str, dtype: DType, begins: &[u64], dims: &[u64]) -> String {
        let call = format!("slice_by_size(x = {x}, begin = {}, size = {})", shape(begins), shape(dims));
        self.step(dtype, dims, &call)
    }

    pub(super) fn reshape(&mut self, x: &str, dtype: DType, dims: &[u64]) -> String {
        self.step(dtype, dims, &reshape(x, dims))
    }

    /// The axes of `x`, which is of shape `dims`, in another order.
    pub(super) fn transpose(&mut self, x: &str, dtype: DType, dims: &[u64], perm: &[usize]) -> String {
        let turned: Vec<u64> = perm.iter().map(|&p| dims[p]).collect();
        self.step(dtype, &turned, &transpose(x, perm))
    }

    /// Numbers added, one after the other.
    pub(super) fn sum(&mut self, dtype: DType, dims: &[u64], terms: Vec<String>) -> Option<String> {
        terms.into_iter().reduce(|sum, term| self.step(dtype, dims, &format!("add(x = {sum}, y = {term})")))
    }

    fn line(&mut self, line: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.lines, "{line}");
    }

    /// The calls, with the names and arguments of the one that they stand for. `None` if the lines are not MIL, which
    /// happens where a name is not one of MIL's.
    ///
    /// What is between is named after the result, as nothing in `taken` is.
    pub(super) fn calls(self, call: &Call, name: &Name, taken: &HashSet<String>) -> Option<Vec<Call>> {
        let is_free = |stem: &String| (0..self.temporaries).all(|i| !taken.contains(&format!("{stem}_t{i}")));
        let mut stem = name.to_string();
        let mut again = 0;
        while !is_free(&stem) {
            again += 1;
            stem = format!("{name}_{again}");
        }
        let text = format!("program(1.3) {{ func f<ios18>() {{ {} }} -> (y0); }}", self.lines);
        let program = text::parse(&text).ok()?;
        let mut calls = program.functions.into_iter().next()?.body.calls;
        let mut given: HashMap<String, Operand> = HashMap::new();
        for argument in &call.arguments {
            match &argument.binding {
                Binding::One(o) => {
                    given.insert(format!("arg_{}", argument.name), o.clone());
                }
                Binding::Many(all) => {
                    let named = |(i, o): (usize, &Operand)| (format!("arg_{}_{i}", argument.name), o.clone());
                    given.extend(all.iter().enumerate().map(named));
                }
            }
        }
        let constants = self.constants.into_iter().enumerate();
        given.extend(
            constants.map(|(i, t)| (format!("const_{i}"), Operand::Value(Value::from(t), call.op_span))),
        );
        let inner = |temporary: &str| Name::from(format!("{stem}_{temporary}"));
        for c in &mut calls {
            (c.span, c.op_span) = (call.span, call.op_span);
            for output in &mut c.outputs {
                let result = output.name.as_str().strip_prefix('y').and_then(|i| i.parse::<usize>().ok());
                match result.and_then(|i| call.outputs.get(i)) {
                    Some(original) => {
                        *output = original.clone();
                        c.attributes = call.attributes.iter().filter(|a| a.name == "name").cloned().collect();
                    }
                    None => {
                        output.name = inner(output.name.as_str());
                        (output.span, output.ty_span) = (call.op_span, call.op_span);
                    }
                }
            }
            for argument in &mut c.arguments {
                argument.span = call.op_span;
                let operands = match &mut argument.binding {
                    Binding::One(o) => std::slice::from_mut(o),
                    Binding::Many(all) => all,
                };
                for operand in operands {
                    *operand = match operand {
                        Operand::Name(used) => match given.get(used.name.as_str()) {
                            Some(original) => original.clone(),
                            None => {
                                Operand::Name(Use { name: inner(used.name.as_str()), span: call.op_span })
                            }
                        },
                        Operand::Value(value, _) => Operand::Value(value.clone(), call.op_span),
                    };
                }
            }
        }
        Some(calls)
    }
}
