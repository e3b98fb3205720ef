//! An application that goes on when the engine fails, and the test of it: the software engine fails on request.
//!
//! `cargo run -p anemone --example retry`

#![allow(clippy::print_stdout)]

use anemone::chip::{Chip, Numerics};
use anemone::faults::{Fault, Faults, When};
use anemone::{Client, CompileOptions, Error, Model};

const TEXT: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 32]> x) {
    tensor<fp16, [1, 1, 1, 32]> y = mul(x = x, y = fp16(2)); } -> (y); }";

/// The application: it doubles numbers, whatever the engine does.
struct Doubler {
    client: Client,
    model: Option<Model>,
}

impl Doubler {
    fn new(client: Client) -> Self {
        Self { client, model: None }
    }

    /// Doubles numbers; tries three times.
    fn double(&mut self, x: f32) -> Result<f32, Error> {
        let mut last = None;
        for _ in 0..3 {
            match self.attempt(x) {
                Ok(y) => return Ok(y),
                // The program is wrong: it stays so.
                Err(e @ (Error::Program(_) | Error::Invalid(_))) => return Err(e),
                // The process may compile no more: another one has to go on.
                Err(e @ Error::CompileBudgetExhausted(_)) => return Err(e),
                Err(e) => {
                    // The daemon may have lost the program; it is compiled and loaded anew.
                    self.model = None;
                    last = Some(e);
                }
            }
        }
        Err(last.unwrap_or(Error::NotLoaded))
    }

    fn attempt(&mut self, x: f32) -> Result<f32, Error> {
        let model = match &mut self.model {
            Some(model) => model,
            none => {
                let options = CompileOptions { mil_text: TEXT.into(), ..CompileOptions::default() };
                none.insert(self.client.compile(options)?)
            }
        };
        // The first number is ours: what comes of it shows whether the engine has run at all.
        let mut numbers = [x; 32];
        numbers[0] = 21.0;
        model.write_input_f32(0, &numbers)?;
        model.eval()?;
        model.read_output_f32(0, &mut numbers)?;
        if numbers[0] == 42.0 {
            Ok(numbers[1])
        } else {
            Err(Error::Invalid("the engine gave nothing".into()))
        }
    }
}

/// What comes of a number on an engine with these faults.
fn doubled(faults: &Faults) -> Result<f32, Error> {
    Doubler::new(Client::software_with_faults(Chip::M4, Numerics::Ieee, faults)).double(4.0)
}

/// Runs it.
pub(crate) fn main() -> Result<(), Error> {
    // A client of the hardware is taken where there is some; the test below takes one that fails.
    assert_eq!(Doubler::new(Client::open()?).double(4.0)?, 8.0);

    // What may pass does: the application does not notice.
    for fault in [Fault::CompilerDies, Fault::LoadRefused, Fault::EvaluateRefused, Fault::ProgramLost] {
        let faults = Faults::none().with(fault, When::First(2));
        assert_eq!(doubled(&faults)?, 8.0);
        assert_eq!(faults.strikes().len(), 2);
        println!("went on after {fault}");
    }

    // What does not pass is told, and not tried for ever.
    let spent = Faults::none().with(Fault::CompileBudget, When::Always);
    assert!(matches!(doubled(&spent), Err(Error::CompileBudgetExhausted(_))));
    let refused = Faults::none().with(Fault::EvaluateRefused, When::Always);
    assert!(matches!(doubled(&refused), Err(Error::Eval(_))));
    assert_eq!(refused.strikes().len(), 3);

    // Results that are silently zero are noticed by the number whose result is known.
    assert!(doubled(&Faults::none().with(Fault::ZeroOutputs, When::Always)).is_err());

    // Whatever the mix: a right number or an error, never a wrong number.
    for seed in 0..100 {
        let faults = Faults::seeded(seed);
        match doubled(&faults) {
            Ok(y) => assert_eq!(y, 8.0, "{faults}"),
            Err(e) => println!("{faults}: {e}"),
        }
    }
    Ok(())
}
