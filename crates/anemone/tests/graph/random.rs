//! Calls that nobody would write: each is taken or refused, and what is taken is a program.

use anemone::graph::{Arg, Options};
use anemone::mil::Opset;
use anemone::types::{self, DType};
use anemone::{Graph, Shape, Tensor, ops, text};

/// Numbers from 0 up to a bound, the same in every run: the generator of Numerical Recipes.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// An argument, more often of a kind that makes sense.
    fn argument(&mut self, handles: &[Tensor]) -> Arg {
        let int = |d: &mut Dice| d.of(&[0i64, 1, 2, 3, -1, -4, 4, 64, 1 << 20, 1 << 40, i64::MAX, i64::MIN]);
        let float = |d: &mut Dice| d.of(&[0.0, 0.5, -1.0, 1e-5, 1e9, -0.0, f64::NAN, f64::INFINITY, 1e300]);
        let n = self.below(5);
        match self.below(12) {
            0..=3 => self.of(handles).into(),
            4 => int(self).into(),
            5 => (0..n).map(|_| int(self)).collect::<Vec<_>>().into(),
            6 => (0..n).map(|_| self.of(&[0i64, 1, 2, -1])).collect::<Vec<_>>().into(),
            7 => float(self).into(),
            8 => (0..n).map(|_| float(self)).collect::<Vec<_>>().into(),
            9 => self.of(&[true, false]).into(),
            10 => self.of(&["same", "valid", "fp16", "custom", "", "int32", "EXACT", "constant"]).into(),
            _ => (0..n).map(|_| self.of(handles)).collect::<Vec<_>>().into(),
        }
    }
}

/// Row T5: no call panics; what the builder takes is verified, printed and read again as it was.
#[test]
fn every_call_is_taken_or_refused() {
    let mut dice = Dice(7);
    let mut taken = 0;
    for op in ops::all() {
        for _ in 0..40 {
            let mut g = Graph::with_opset(dice.of(&Opset::ALL));
            let edition = op.edition(g.opset()).unwrap_or(&op.editions[0]);
            let mut handles = vec![
                g.placeholder(Shape::spatial(4, 2, 4)),
                g.placeholder(Shape::channels(4)),
                g.constant_with_scalar(1.0, Shape::spatial(4, 2, 4)),
                g.input("vector", DType::Fp16, &[4]),
                g.input("matrix", DType::Fp16, &[4, 4]),
                g.input("scalar", DType::Fp16, &[]),
                g.input("single", DType::Fp32, &[2, 4]),
                g.input("ints", DType::Int32, &[2]),
                g.input("bools", DType::Bool, &[4]),
                g.input("deep", DType::Fp16, &[1, 2, 2, 2, 2]),
                g.input("empty", DType::Fp16, &[0, 4]),
                g.constant_tensor(types::Tensor::from_slice(&[2], &[0i32, 1]).unwrap()),
            ];
            if g.opset() >= Opset::Ios18 {
                handles.push(g.state("state", &[4]));
            }
            let mut options = Options::new();
            for p in edition.params {
                let required = p.default == anemone::mil::op::Default::Required;
                if dice.below(8) < if required { 7 } else { 3 } {
                    options = options.and(p.name, dice.argument(&handles));
                }
            }
            let results = g.op(op.name, options);
            let (used, beyond) = (results[0], results[9]);
            if g.diagnostics().has_errors() {
                assert!(g.build().is_err());
                g.relu(used);
                g.relu(beyond);
                continue;
            }
            taken += 1;
            match g.build() {
                Ok(built) => {
                    let written = built.text();
                    let read = text::parse(&written).unwrap_or_else(|e| panic!("{e}\n{written}"));
                    assert_eq!(text::print(&read), written);
                }
                Err(wrong) => {
                    assert!(wrong.iter().all(|d| d.code.name == "no-output"), "{}: {wrong}", op.name)
                }
            }
        }
    }
    assert!(taken > 500, "{taken} calls were taken");
}
