//! Control flow: ops with blocks, which closures write.

use super::call::empty_call;
use super::{Arg, Graph, Origin, Tensor, Tensors};
use crate::mil::{Block, Call, Param, Use};
use crate::source::Span;
use crate::types::Type;
use crate::with;

impl Graph {
    /// What one of two blocks gives: the first if `pred`, a scalar of bool, is true, else the second.
    ///
    /// Both closures may use all values of the graph, and return as many results of the same types. Blocks are for the
    /// software engines and Core ML: the path to the hardware takes none.
    ///
    /// ```
    /// use anemone::{Graph, types::DType};
    /// let mut g = Graph::new();
    /// let x = g.input("x", DType::Fp16, &[64]);
    /// let negate = g.input("negate", DType::Bool, &[]);
    /// let y = g.cond(negate, |g| vec![g.mul(x, -1)], |g| vec![g.identity(x)])[0];
    /// g.output("y", y);
    /// # g.build()?;
    /// # Ok::<(), anemone::source::Diagnostics>(())
    /// ```
    #[track_caller]
    pub fn cond(
        &mut self,
        pred: impl Into<Arg>,
        if_true: impl FnOnce(&mut Graph) -> Vec<Tensor>,
        if_false: impl FnOnce(&mut Graph) -> Vec<Tensor>,
    ) -> Tensors {
        let at = self.place();
        let mut call = empty_call("cond", at);
        let sound = self.bind_all(&mut call, with! { pred: pred.into() });
        let first = self.block(at, &[], |g, _| if_true(g));
        let second = self.block(at, &[], |g, _| if_false(g));
        let results = match (first, second) {
            (Some((first, types)), Some((second, _))) if sound => {
                call.blocks = vec![first, second];
                self.finish(call, &types)
            }
            _ => None,
        };
        self.tensors(results)
    }

    /// The variables after as many turns of `body` as `condition`, a scalar of bool, is true.
    ///
    /// Both closures take the variables as they are at the beginning of the turn; `body` returns them as they are at its end.
    ///
    /// ```
    /// use anemone::{Graph, types::{DType, Tensor}};
    /// let mut g = Graph::new();
    /// let x = g.input("x", DType::Int32, &[]);
    /// let zero = g.constant_tensor(Tensor::scalar(DType::Int32, 0.0));
    /// let halvings = g.while_loop(
    ///     &[x, zero],
    ///     |g, v| g.greater(v[0], 1),
    ///     |g, v| vec![g.floor_div(v[0], 2), g.add(v[1], 1)],
    /// )[1];
    /// g.output("halvings", halvings);
    /// # g.build()?;
    /// # Ok::<(), anemone::source::Diagnostics>(())
    /// ```
    #[track_caller]
    pub fn while_loop(
        &mut self,
        variables: &[Tensor],
        condition: impl FnOnce(&mut Graph, &[Tensor]) -> Tensor,
        body: impl FnOnce(&mut Graph, &[Tensor]) -> Vec<Tensor>,
    ) -> Tensors {
        let at = self.place();
        let mut call = empty_call("while_loop", at);
        if !self.bind_all(&mut call, with! { loop_vars: variables }) {
            return self.tensors(None);
        }
        let types: Vec<Type> = variables.iter().filter_map(|&v| self.type_of(v).cloned()).collect();
        let first = self.block(at, &types, |g, v| vec![condition(g, v)]);
        let second = self.block(at, &types, body);
        let results = match (first, second) {
            (Some((first, _)), Some((second, _))) => {
                call.blocks = vec![first, second];
                self.finish(call, &types)
            }
            _ => None,
        };
        self.tensors(results)
    }

    fn bind_all(&mut self, call: &mut Call, given: super::Options) -> bool {
        let edition = crate::ops::find(&call.op).and_then(|op| op.edition(self.opset));
        self.bind_arguments(call, edition, given.into_vec())
    }

    /// Writes a block with parameters of these types, and gives it with the types of its results; nothing if one of
    /// them was refused.
    fn block(
        &mut self,
        at: Span,
        types: &[Type],
        write: impl FnOnce(&mut Graph, &[Tensor]) -> Vec<Tensor>,
    ) -> Option<(Block, Vec<Type>)> {
        self.block_count += 1;
        self.blocks.push(self.block_count);
        let outside = std::mem::take(&mut self.calls);
        let mark = self.walk.open();
        let params: Vec<Param> = self.results("variable", types, at);
        let mut variables = Vec::with_capacity(params.len());
        for p in &params {
            self.walk.bind(p, p.ty.clone(), crate::verify::Content::Computed);
            variables.push(self.value(p.name.clone(), p.ty.clone(), at, Origin::Input));
        }
        let given = write(self, &variables);
        let outputs: Option<Vec<(Use, Type)>> = given
            .into_iter()
            .map(|t| {
                let value = self.resolve(t, "a result of the block", at)?;
                Some((self.used(t), self.values[value].ty.clone()))
            })
            .collect();
        self.walk.close(mark);
        let calls = std::mem::replace(&mut self.calls, outside);
        self.blocks.pop();
        let (outputs, types) = outputs?.into_iter().unzip();
        Some((Block { params, calls, outputs, attributes: Vec::new(), span: at }, types))
    }

    /// Checks a call whose blocks are written, and adds it.
    fn finish(&mut self, mut call: Call, types: &[Type]) -> Option<Vec<Tensor>> {
        let at = call.span;
        call.outputs = self.results(&call.op.clone(), types, at);
        let label = format!("in this `{}`", call.op);
        // The walk goes over the blocks anew, with the call around them.
        let checked = self.walk.check(&call);
        if self.report(at, &label) {
            return None;
        }
        let step = self.walk.results(&call, checked.ok()?);
        if self.report(at, &label) || step.is_err() {
            return None;
        }
        Some(self.keep(call))
    }
}
