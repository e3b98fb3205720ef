//! A kernel: compiled, loaded, run, unloaded.

use std::sync::Mutex;

use super::{Source, Surface};
use crate::client::engine::{Checked, Compiled, How};
use crate::client::recent::Recent;
use crate::client::{Client, weights};
use crate::error::Error;

/// A compiled kernel. It is unloaded when it is dropped.
///
/// ```
/// use anemone::driver::{Program, Source, Surface};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 4, 1, 64]> x) {
///     tensor<fp16, [1, 4, 1, 64]> y = add(x = x, y = x); } -> (y); }";
/// let mut program = Program::compile(&Source::from_text(text, 4, 64, 4, 64), &[])?;
/// program.load()?;
/// let [x, y] = [Surface::with_shape(4, 64)?, Surface::with_shape(4, 64)?];
/// x.write(|numbers| numbers.fill(0x3c00)); // 1
/// program.run(&x, &y)?;
/// assert_eq!(y.read(|numbers| numbers[255]), 0x4000); // 2
/// program.unload()?;
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Nothing can be run while the program is loaded or unloaded, since both take it by `&mut`:
///
/// ```compile_fail,E0502
/// use anemone::driver::{Program, Surface};
/// fn run(program: &mut Program, x: &Surface, y: &Surface) {
///     let running = || program.run(x, y);
///     program.unload();
///     running();
/// }
/// ```
#[derive(Debug)]
pub struct Program {
    client: Client,
    checked: Checked,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Compiled, and never loaded. The lock is never taken: it says that threads which share the program do not reach
    /// what only one of them may use.
    Compiled(Box<Mutex<Compiled>>),
    Loaded(Recent),
    Unloaded,
}

impl Program {
    /// Compiles a kernel for the engine of [`Client::open`]. Weight files are given by the paths by which the text names
    /// them, such as `@model_path/weights/weight.bin`.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with all that is wrong with the text, each fault with its place; `interface-mismatch` is among
    /// them when the shapes that the source states are not those of the text. [`Error::Invalid`] when a weight file is
    /// empty or given twice, [`Error::UnsupportedLayout`] when a tensor cannot lie in a surface, [`Error::Compile`] and
    /// [`Error::CompileBudgetExhausted`] when the engine refuses.
    pub fn compile(source: &Source, weights: &[(&str, &[u8])]) -> Result<Self, Error> {
        Self::compile_on(&Client::open()?, source, weights)
    }

    /// Compiles a kernel for a client's engine.
    ///
    /// ```
    /// use anemone::{Client, chip::Chip, driver::{Program, Source}};
    /// let program = Program::compile_on(&Client::software(Chip::M4), &Source::matmul(4, 32, 32), &[])?;
    /// assert!(!program.is_loaded());
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn compile_on(client: &Client, source: &Source, files: &[(&str, &[u8])]) -> Result<Self, Error> {
        let compile = || {
            let checked = Checked::new(source.parse()?, weights(files.iter().copied())?)?;
            source.fits(&checked)?;
            let compiled = client.compile_checked(&checked, How::default())?;
            Ok((checked, compiled))
        };
        let (checked, compiled) = compile().map_err(|e: Error| e.in_text(source.as_str().as_bytes()))?;
        Ok(Self { client: client.clone(), checked, state: State::Compiled(Box::new(Mutex::new(compiled))) })
    }

    /// Loads the program; one that is loaded stays so. A program that was unloaded is compiled once more, which on
    /// hardware finds it in the system's cache.
    ///
    /// # Errors
    ///
    /// [`Error::ModelLoad`] and [`Error::CompileBudgetExhausted`] when the engine refuses; then it is not loaded.
    pub fn load(&mut self) -> Result<(), Error> {
        let compiled = match std::mem::replace(&mut self.state, State::Unloaded) {
            State::Compiled(compiled) => {
                compiled.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
            }
            State::Unloaded => self.client.compile_checked(&self.checked, How::default())?,
            loaded @ State::Loaded(_) => {
                self.state = loaded;
                return Ok(());
            }
        };
        self.state = State::Loaded(Recent::new(compiled.load()?));
        Ok(())
    }

    /// Runs the program, and returns when the output is written. A binding to surfaces is kept for runs on the same
    /// ones; the last four are, and with them their surfaces.
    ///
    /// Several threads may run it at once, on surfaces of their own for the output.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`]; [`Error::Invalid`] when a surface is too small or both are the same one; [`Error::Surface`]
    /// when somebody has a surface locked or another run writes it; [`Error::Eval`] when the engine refuses;
    /// [`Error::Program`] for what an op finds out when it runs.
    pub fn run(&self, input: &Surface, output: &Surface) -> Result<(), Error> {
        let State::Loaded(recent) = &self.state else { return Err(Error::NotLoaded) };
        recent.with([input].into_iter(), [output].into_iter(), |request| request.run())
    }

    /// Unloads the program; one that is not loaded stays so. [`Program::load`] loads it again.
    ///
    /// # Errors
    ///
    /// None at present: what an engine refuses when it unloads is not known to matter.
    pub fn unload(&mut self) -> Result<(), Error> {
        if matches!(self.state, State::Loaded(_)) {
            self.state = State::Unloaded;
        }
        Ok(())
    }

    /// Whether the program is loaded.
    ///
    /// ```
    /// use anemone::driver::{Program, Source};
    /// let mut program = Program::compile(&Source::matmul(4, 32, 32), &[])?;
    /// assert!(!program.is_loaded());
    /// program.load()?;
    /// assert!(program.is_loaded());
    /// # Ok::<(), anemone::Error>(())
    /// ```
    pub fn is_loaded(&self) -> bool {
        matches!(self.state, State::Loaded(_))
    }
}
