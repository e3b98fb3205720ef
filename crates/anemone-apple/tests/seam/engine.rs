//! A small engine for the fake, with a language of its own: a line for each function,
//! `name inputs a:CxHxW … outputs y:CxHxW …`, of fp32 elements. Each output is the sum of all inputs, element by
//! element, plus the first byte of the weight file `@model_path/weights/bias.bin` if there is one, times the number of
//! the function, counted from 1. Lines that begin with `#` are comments.
//!
//! It also knows the one program of MIL that the crate itself brings, [`FIRST_DISPATCH`].

use std::sync::Arc;

use anemone_apple::fake::{Engine, Instance, Machine, OneProgram, Procedure, Program, Tensor};
use anemone_apple::neural::FIRST_DISPATCH;

pub(crate) struct Adder;

struct Sums {
    procedures: Vec<Procedure>,
    bias: f32,
}

fn tensor(text: &str) -> Result<Tensor, String> {
    let (name, extents) = text.split_once(':').ok_or("a tensor is name:CxHxW")?;
    let extents: Vec<usize> = extents
        .split('x')
        .map(|n| n.parse().map_err(|_| format!("{n} is no number")))
        .collect::<Result<_, _>>()?;
    let [c, h, w] = extents[..] else { return Err("a tensor has three extents".into()) };
    Ok(Tensor { name: name.into(), element: "Float32", element_bytes: 4, extents: [1, c, h, w] })
}

impl Engine for Adder {
    fn compile(
        &self,
        text: &str,
        weights: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn Program>, String> {
        if text == FIRST_DISPATCH.text {
            return OneProgram.compile(text, weights);
        }
        let procedures = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (name, rest) = line.split_once(" inputs ").ok_or("a function has inputs")?;
                let (inputs, outputs) = rest.split_once(" outputs ").ok_or("a function has outputs")?;
                let list = |l: &str| l.split_whitespace().map(tensor).collect::<Result<Vec<_>, _>>();
                Ok(Procedure { name: name.into(), inputs: list(inputs)?, outputs: list(outputs)? })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let bias = weights("@model_path/weights/bias.bin").map_or(0.0, |b| f32::from(b[0]));
        Ok(Arc::new(Sums { procedures, bias }))
    }
}

impl Program for Sums {
    fn procedures(&self) -> Vec<Procedure> {
        self.procedures.clone()
    }

    fn load(&self) -> Result<Box<dyn Instance>, String> {
        Ok(Box::new(Self { procedures: self.procedures.clone(), bias: self.bias }))
    }
}

impl Instance for Sums {
    fn run(&mut self, procedure: usize, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        let values = |bytes: &[u8]| -> Vec<f32> {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
        };
        let inputs: Vec<Vec<f32>> = inputs.iter().map(|b| values(b)).collect();
        let one = |t: &Tensor| {
            let n: usize = t.extents.iter().product();
            let at = |i: usize| inputs.iter().filter_map(|v| v.get(i)).sum::<f32>();
            (0..n).flat_map(|i| ((at(i) + self.bias) * (procedure + 1) as f32).to_le_bytes()).collect()
        };
        Ok(self.procedures[procedure].outputs.iter().map(one).collect())
    }
}

/// A machine with the engine.
pub(crate) fn machine() -> Machine {
    Machine { engine: Some(Arc::new(Adder)), ..Machine::default() }
}
