//! Evaluations that are held back until a test lets them go on.

use std::sync::{Arc, Condvar, Mutex};

use anemone::device::Engine;
use anemone::{Client, chip::Chip};
use anemone_apple::Log;
use anemone_apple::fake::{self, Fake};

use crate::{mil, software};

/// A client whose evaluations that nobody waits for do not go on while its gate is closed.
pub(crate) struct Held {
    pub(crate) client: Client,
    /// What the stand-in was sent.
    pub(crate) log: Log,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        drop(self.opened.wait_while(self.closed.lock().unwrap(), |closed| *closed).unwrap());
    }
}

impl Held {
    /// Closes the gate.
    pub(crate) fn close(&self) {
        *self.gate.closed.lock().unwrap() = true;
        if self.client.is_hardware() {
            return;
        }
        // Every thread of the software engine waits in a callback.
        let text = "program(1.3) { func main<ios18>(tensor<fp16, [1]> x) { tensor<fp16, [1]> y = relu(x = x); } -> (y); }";
        let model = self.client.compile(mil(text)).unwrap();
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let gate = self.gate.clone();
            model.new_request().unwrap().start_then(move |_| gate.pass());
        }
    }

    /// Lets everything go on.
    pub(crate) fn open(&self) {
        *self.gate.closed.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }
}

/// The compiler of the stand-in, whose programs wait at a gate.
struct Gated(software::Compiler, Arc<Gate>);

struct Program(Arc<dyn fake::Program>, Arc<Gate>);

struct Instance(Box<dyn fake::Instance>, Arc<Gate>);

impl fake::Engine for Gated {
    fn compile(
        &self,
        text: &str,
        weights: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn fake::Program>, String> {
        let program = self.0.compile(text, weights)?;
        Ok(Arc::new(Program(program, self.1.clone())))
    }
}

impl fake::Program for Program {
    fn procedures(&self) -> Vec<fake::Procedure> {
        self.0.procedures()
    }

    fn load(&self) -> Result<Box<dyn fake::Instance>, String> {
        Ok(Box::new(Instance(self.0.load()?, self.1.clone())))
    }
}

impl fake::Instance for Instance {
    fn run(&mut self, procedure: usize, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        self.1.pass();
        self.0.run(procedure, inputs)
    }
}

/// Runs a test on each engine, with a gate. In the end nothing is left but so many programs that had events. Interpreted it is
/// on the software engine only, as in [`crate::each_engine`].
pub(crate) fn held_on_each_engine(loaded: usize, test: impl Fn(&Held)) {
    let gate = Arc::<Gate>::default();
    test(&Held { client: Client::software(Chip::M4), log: Log::new(), gate });
    if cfg!(miri) {
        return;
    }
    let (gate, log) = (Arc::<Gate>::default(), Log::new());
    let engine = Gated(software::Compiler(Engine::Cpu), gate.clone());
    let fake = Fake::new(fake::Machine { engine: Some(Arc::new(engine)), ..fake::Machine::default() });
    let held = Held { client: Client::over(&fake.open_logged(&log).unwrap()), log, gate };
    test(&held);
    drop(held);
    crate::check(fake, loaded);
}
