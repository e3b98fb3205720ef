//! How much a function computes: the multiply-adds of its products.

use std::collections::BTreeMap;

use crate::mil::op::{Kind, Op};
use crate::types::{Dim, Type};
use crate::verify::{Body, Content, Function, Input, Step, Value};

/// The multiply-adds of one run: those of convolutions, matrix products, attention and recurrences, beside which the
/// other ops are little work.
///
/// `None` when they depend on the inputs: when a shape is not known, or a product stands in a nested block.
///
/// ```
/// use anemone::{Graph, Shape, plan};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(4, 1, 64));
/// g.inner_product(x, &[0.5; 32], 4, 8);
/// assert_eq!(plan::multiply_adds(g.build()?.verified.main()), Some(4 * 8 * 64));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn multiply_adds(function: &Function) -> Option<u64> {
    let mut sum = 0u64;
    for step in &function.body.steps {
        sum = sum.saturating_add(of_step(function, step)?);
        if step.blocks.iter().any(|b| has_products(function, b)) {
            return None;
        }
    }
    Some(sum)
}

/// The multiply-adds of one step, `None` when its shapes are not known.
pub(crate) fn of_step(function: &Function, step: &Step) -> Option<u64> {
    Call { function, step }.multiply_adds()
}

/// Whether an op reads no more elements of its first argument than its results have: it takes rows, slices or parts.
pub(super) fn takes(op: &Op) -> bool {
    matches!(
        op.name,
        "gather" | "gather_along_axis" | "gather_nd" | "slice_by_index" | "slice_by_size" | "crop" | "split"
    )
}

fn has_products(function: &Function, body: &Body) -> bool {
    body.steps.iter().any(|step| {
        of_step(function, step) != Some(0) || step.blocks.iter().any(|b| has_products(function, b))
    })
}

/// A step, with its parameters by their names.
pub(crate) struct Call<'a> {
    pub(crate) function: &'a Function,
    pub(crate) step: &'a Step,
}

impl<'a> Call<'a> {
    fn multiply_adds(&self) -> Option<u64> {
        match self.step.op.name {
            // Each element of the result is a sum over the input channels of its group and the kernel.
            "conv" | "conv_quantized" => times(self.result()?, product(self.shape("weight")?.get(1..)?)?),
            // Each element of the input is spread over the output channels of its group and the kernel.
            "conv_transpose" => times(self.elements("x")?, product(self.shape("weight")?.get(1..)?)?),
            "linear" => times(self.result()?, self.shape("weight")?.last()?.known()?),
            "matmul" => {
                let x = self.shape("x")?;
                let back = if self.flag("transpose_x")? { 2 } else { 1 };
                let inner = if x.len() < 2 { x.last()? } else { x.get(x.len() - back)? };
                times(self.result()?, inner.known()?)
            }
            "einsum" => self.einsum(),
            // Each query meets each key once in the scores, and once in the result.
            "scaled_dot_product_attention" => {
                let keys = self.shape("key")?;
                let keys = keys.get(keys.len().checked_sub(2)?)?.known()?;
                Some(times(self.elements("query")?, keys)?.saturating_add(times(self.result()?, keys)?))
            }
            "rnn" | "gru" | "lstm" => {
                let rows = product(self.shape("x")?.get(..2)?)?;
                let mut weights = 0u64;
                for p in self.step.edition.params.iter().filter(|p| p.name.starts_with("weight_")) {
                    if self.value(p.name).is_some() {
                        weights = weights.saturating_add(self.elements(p.name)?);
                    }
                }
                times(rows, weights)
            }
            _ => Some(0),
        }
    }

    /// The product of all extents that the equation names.
    fn einsum(&self) -> Option<u64> {
        let Content::Constant(equation) = &self.value("equation")?.content else { return None };
        let equation = equation.as_tensor()?.as_strings()?.first()?;
        let (inputs, _) = equation.split_once("->")?;
        let at = self.step.edition.params.iter().position(|p| p.kind == Kind::Tuple)?;
        let mut extents = BTreeMap::new();
        for (letters, id) in inputs.split(',').zip(self.step.inputs.get(at)?.values()) {
            let shape = dims(&self.function.value(*id).ty)?;
            let letters: Vec<char> = letters.chars().filter(|c| !c.is_whitespace()).collect();
            if letters.len() != shape.len() {
                return None;
            }
            for (letter, dim) in letters.into_iter().zip(shape) {
                let extent = extents.entry(letter).or_insert(1);
                *extent = dim.known()?.max(*extent);
            }
        }
        extents.into_values().try_fold(1, times)
    }

    /// What a parameter is bound to; the first, where it takes several.
    pub(crate) fn value(&self, param: &str) -> Option<&'a Value> {
        let at = self.step.edition.params.iter().position(|p| p.name == param)?;
        self.step.inputs.get(at).map(Input::values)?.first().map(|&id| self.function.value(id))
    }

    /// The shape of a tensor that a parameter is bound to.
    pub(crate) fn shape(&self, param: &str) -> Option<&'a [Dim]> {
        dims(&self.value(param)?.ty)
    }

    fn elements(&self, param: &str) -> Option<u64> {
        product(self.shape(param)?)
    }

    /// The elements of the first result.
    fn result(&self) -> Option<u64> {
        product(dims(&self.function.value(*self.step.outputs.first()?).ty)?)
    }

    /// Whole numbers that are known before the run.
    pub(crate) fn ints(&self, param: &str) -> Option<Vec<i64>> {
        let Content::Constant(datum) = &self.value(param)?.content else { return None };
        Some(datum.as_tensor()?.to_i64s())
    }

    /// A constant bool, false when it is not given.
    fn flag(&self, param: &str) -> Option<bool> {
        match self.value(param).map(|v| &v.content) {
            None => Some(false),
            Some(Content::Constant(datum)) => Some(datum.as_tensor()?.to_i64s().first()? != &0),
            Some(_) => None,
        }
    }
}

fn dims(ty: &Type) -> Option<&[Dim]> {
    ty.as_tensor().map(|t| &*t.shape)
}

fn product(dims: &[Dim]) -> Option<u64> {
    dims.iter().try_fold(1, |n, d| times(n, d.known()?))
}

fn times(a: u64, b: u64) -> Option<u64> {
    Some(a.saturating_mul(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Weights;
    use crate::{text, verify};

    fn check(params: &str, body: &str, expected: Option<u64>) {
        let text = format!("program(1.3) {{ func main<ios18>({params}) {{ {body} }} -> (y); }}");
        let program = text::parse(&text).unwrap();
        let report = verify::verify(&program, &Weights::none());
        let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
        assert_eq!(multiply_adds(verified.main()), expected, "{body}");
    }

    #[test]
    fn products_are_counted() {
        check("tensor<fp16, [4]> x", "tensor<fp16, [4]> y = relu(x = x);", Some(0));
        check(
            "tensor<fp16, [2, 3]> a, tensor<fp16, [2, 5]> b",
            "tensor<fp16, [3, 5]> y = matmul(x = a, y = b, transpose_x = bool(true));",
            Some(2 * 3 * 5),
        );
        check(
            "tensor<fp16, [?, 3]> a, tensor<fp16, [3, 5]> b",
            "tensor<fp16, [?, 5]> y = matmul(x = a, y = b);",
            None,
        );
        check(
            "tensor<fp16, [1, 2, 7, 3]> a, tensor<fp16, [1, 3, 7, 5]> b",
            "tensor<fp16, [1, 2, 7, 5]> y = einsum(values = (a, b), equation = string(\"nchw,nwhu->nchu\"));",
            Some(2 * 7 * 3 * 5),
        );
        check(
            "tensor<fp16, [1, 2, 4, 4]> x, tensor<fp16, [6, 1, 3, 3]> w",
            "tensor<fp16, [1, 6, 4, 4]> y = conv(x = x, weight = w, pad_type = string(\"same\"), \
             groups = int32(2), strides = tensor<int32, [2]>([1, 1]), dilations = tensor<int32, [2]>([1, 1]), \
             pad = tensor<int32, [4]>([0, 0, 0, 0]));",
            Some(6 * 4 * 4 * 9),
        );
    }
}
