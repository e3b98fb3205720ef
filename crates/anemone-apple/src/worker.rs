//! A process that compiles, so that this one does not.
//!
//! A process may compile about 119 programs, and is not told when that is used up. What one process has compiled, others
//! load from the system's cache. So a [`Worker`] is a process of the same program that runs [`serve`] on its standard
//! input and output; it is replaced when it has compiled what it may, when it dies, and when it does not answer. A
//! crash of Apple's compiler takes the worker and not us.
//!
//! The cache is kept for each program that runs (source: the paths of its folders, which hold the name of the process):
//! the worker should be the same binary.
//!
//! ```
//! use anemone_apple::worker::Worker;
//! use std::{process::Command, time::Duration};
//! // A command of this program that calls `serve`.
//! let itself = || {
//!     let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
//!     command.arg("--worker");
//!     command
//! };
//! let worker = Worker::new(itself, Duration::from_secs(60));
//! assert_eq!(worker.started(), 0, "it is started when there is something to compile");
//! ```

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Refusal, Reported};
use crate::framework::Framework;
use crate::neural::{Loaded, Model, Program, QualityOfService};
use crate::pace::{self, Clock, Pace};

/// What a worker says first. It tells a worker from another program, and versions from each other.
const GREETING: &[u8] = b"anemone worker 1\n";

/// The most that is read of one text, weight file, name or message, and how many weight files there may be.
const TEXT: u64 = 256 << 20;
const WEIGHTS: u64 = 16 << 30;
const NAME: u64 = 4 << 10;
const WORDS: u64 = 64 << 10;
const FILES: u32 = 64 << 10;

/// How long a worker that has nothing to do may take to end when its input ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Compiles what comes in, and says what came of it, until the input ends.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// // An input that has ended at once: there is nothing to compile.
/// let mut answers = Vec::new();
/// anemone_apple::worker::serve(&framework, &b""[..], &mut answers)?;
/// assert!(!answers.is_empty(), "a worker says what it is");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Worker`] when what comes in is not what a [`Worker`] sends, or when nobody takes the answers.
pub fn serve(framework: &Framework, input: impl Read, output: impl Write) -> Result<(), Error> {
    let (mut input, mut output) = (BufReader::new(input), BufWriter::new(output));
    let broken = |e: io::Error| Error::Worker(format!("lost its owner: {e}"));
    output.write_all(GREETING).and_then(|()| output.flush()).map_err(broken)?;
    while let Some(order) = Order::read(&mut input).map_err(broken)? {
        let answer = Answer::of(order.compile(framework));
        answer.write(&mut output).and_then(|()| output.flush()).map_err(broken)?;
    }
    Ok(())
}

/// A program that is to be compiled, as it was sent.
struct Order {
    quality: u32,
    text: String,
    weights: Vec<(String, Vec<u8>)>,
}

impl Order {
    /// Reads an order; none at the end of the input.
    fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut first = [0];
        if input.read(&mut first)? == 0 {
            return Ok(None);
        }
        let mut rest = [0; 3];
        input.read_exact(&mut rest)?;
        let quality = u32::from_le_bytes([first[0], rest[0], rest[1], rest[2]]);
        let text = read_text(input, TEXT)?;
        let count = read_u32(input)?;
        if count > FILES {
            return Err(io::Error::other(format!("{count} weight files are too many")));
        }
        let mut weights = Vec::new();
        for _ in 0..count {
            weights.push((read_text(input, NAME)?, read_bytes(input, WEIGHTS)?));
        }
        Ok(Some(Self { quality, text, weights }))
    }

    fn write(output: &mut impl Write, program: &Program<'_>, quality: QualityOfService) -> io::Result<()> {
        output.write_all(&quality.value().to_le_bytes())?;
        write_bytes(output, program.text.as_bytes())?;
        let count = u32::try_from(program.weights.len()).map_err(io::Error::other)?;
        output.write_all(&count.to_le_bytes())?;
        for (name, bytes) in program.weights {
            write_bytes(output, name.as_bytes())?;
            write_bytes(output, bytes)?;
        }
        Ok(())
    }

    /// Compiles it. When the answer is given, its files are gone.
    fn compile(&self, framework: &Framework) -> Result<String, Error> {
        let quality = QualityOfService::from_value(self.quality)
            .ok_or_else(|| Error::Invalid(format!("there is no quality of service {}", self.quality)))?;
        let weights: Vec<(&str, &[u8])> = self.weights.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
        let program = Program { text: &self.text, weights: &weights };
        let compiled = Model::describe(framework, &program)?.compile(quality)?;
        Ok(compiled.identity().to_string())
    }
}

/// What came of an order.
enum Answer {
    /// The identity of what is in the cache now.
    Compiled(String),
    Refused(Refusal),
    Exhausted {
        spent: usize,
        loaded: usize,
        limit: usize,
    },
    /// Something else, in words.
    Failed(String),
}

impl Answer {
    fn of(result: Result<String, Error>) -> Self {
        match result {
            Ok(identity) => Answer::Compiled(identity),
            Err(Error::Refused(refusal)) => Answer::Refused(refusal),
            Err(Error::CompileBudgetExhausted { spent, loaded, limit }) => {
                Answer::Exhausted { spent, loaded, limit }
            }
            Err(other) => Answer::Failed(other.to_string()),
        }
    }

    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut words = |kind: u8, words: &[&str]| {
            output.write_all(&[kind])?;
            words.iter().try_for_each(|w| write_bytes(output, cut(w).as_bytes()))
        };
        match self {
            Answer::Compiled(identity) => words(0, &[identity]),
            Answer::Refused(Refusal { message, error: None }) => words(1, &[message]),
            Answer::Refused(Refusal { message, error: Some(e) }) => {
                words(2, &[message, &e.domain, &e.description])?;
                output.write_all(&e.code.to_le_bytes())
            }
            Answer::Exhausted { spent, loaded, limit } => {
                output.write_all(&[3])?;
                [spent, loaded, limit].iter().try_for_each(|&&n| output.write_all(&(n as u64).to_le_bytes()))
            }
            Answer::Failed(why) => words(4, &[why]),
        }
    }

    fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        Ok(match kind[0] {
            0 => Answer::Compiled(read_text(input, WORDS)?),
            1 => Answer::Refused(Refusal { message: read_text(input, WORDS)?, error: None }),
            2 => {
                let message = read_text(input, WORDS)?;
                let (domain, description) = (read_text(input, WORDS)?, read_text(input, WORDS)?);
                let code = read_u64(input)? as i64;
                Answer::Refused(Refusal { message, error: Some(Reported { domain, code, description }) })
            }
            3 => {
                let mut number = || read_u64(input).map(|n| n as usize);
                Answer::Exhausted { spent: number()?, loaded: number()?, limit: number()? }
            }
            4 => Answer::Failed(read_text(input, WORDS)?),
            other => return Err(io::Error::other(format!("there is no answer of kind {other}"))),
        })
    }
}

/// As much of a text as is read at the other end.
fn cut(words: &str) -> &str {
    &words[..words.floor_char_boundary(WORDS as usize)]
}

fn write_bytes(output: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    output.write_all(&(bytes.len() as u64).to_le_bytes())?;
    output.write_all(bytes)
}

/// Reads bytes after their number. Memory is taken as they come, not as they are announced.
fn read_bytes(input: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let length = read_u64(input)?;
    if length > most {
        return Err(io::Error::other(format!("{length} bytes are more than {most}")));
    }
    let mut bytes = Vec::new();
    input.by_ref().take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn read_text(input: &mut impl Read, most: u64) -> io::Result<String> {
    String::from_utf8(read_bytes(input, most)?).map_err(io::Error::other)
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_u64(input: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// A process that compiles.
///
/// ```
/// use anemone_apple::fake::{Fake, Machine};
/// use anemone_apple::neural::{FIRST_DISPATCH, QualityOfService};
/// use anemone_apple::worker::Worker;
/// use std::{process::Command, time::Duration};
/// let fake = Fake::new(Machine::computing());
/// // This very program, which calls `serve` when it is told that it is a worker. Here it is another one.
/// let worker = Worker::new(|| Command::new("true"), Duration::from_secs(60));
/// let mut worker = worker.with_clock(fake.clock());
/// assert!(worker.compile(&FIRST_DISPATCH, QualityOfService::Default).is_err());
/// assert!(worker.load(&fake.open()?, &FIRST_DISPATCH, QualityOfService::Default).is_err());
/// assert!(worker.started() >= 1);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
pub struct Worker {
    command: Box<dyn FnMut() -> Command + Send>,
    patience: Duration,
    process: Option<Process>,
    started: usize,
    /// Failures are remembered here, since a process may be replaced after one.
    pace: Arc<Pace>,
}

struct Process {
    child: Arc<Mutex<Child>>,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// How many orders it was given.
    given: usize,
}

/// Why there is no answer.
enum Silence {
    TimedOut,
    Broken(io::Error),
}

impl Worker {
    /// A worker that is started by this command when it is needed, and may take so long for a program. The command's
    /// standard input and output become the worker's; the rest is left as it is.
    pub fn new(command: impl FnMut() -> Command + Send + 'static, patience: Duration) -> Self {
        let pace = Arc::new(Pace::new(pace::system()));
        Self { command: Box::new(command), patience, process: None, started: 0, pace }
    }

    /// The same in another time.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.pace = Arc::new(Pace::new(clock));
        self
    }

    /// How many processes there have been.
    pub fn started(&self) -> usize {
        self.started
    }

    /// Has a program compiled, and gives its identity: afterwards the system's cache has it.
    ///
    /// A process that has used up what it may compile, or died since its last answer, is replaced, and the program
    /// given to the next one. After a compilation that failed the next one waits for
    /// [`AFTER_FAILURE`](crate::AFTER_FAILURE), whichever process it is of; that is not of the time that it may take.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the system refuses the program, [`Error::TimedOut`] when there is no answer in time,
    /// [`Error::Worker`] when the process cannot be started, dies of the program, or answers something else.
    pub fn compile(&mut self, program: &Program<'_>, quality: QualityOfService) -> Result<String, Error> {
        let pace = self.pace.clone();
        pace.compile(|| self.give(program, quality))
    }

    /// Gives a program to the process, or to the one that replaces it.
    fn give(&mut self, program: &Program<'_>, quality: QualityOfService) -> Result<String, Error> {
        loop {
            let patience = self.patience;
            let process = self.process()?;
            // Only of a process that has done something can it be that it has done too much.
            let used = process.given > 0;
            process.given += 1;
            let child = process.child.clone();
            let answer = within(patience, &child, || {
                Order::write(&mut process.input, program, quality)?;
                process.input.flush()?;
                Answer::read(&mut process.output)
            });
            match answer {
                Ok(Answer::Compiled(identity)) => return Ok(identity),
                Ok(Answer::Refused(refusal)) if refusal.error.is_none() && used => self.stop(),
                Ok(Answer::Refused(refusal)) => return Err(refusal.into()),
                Ok(Answer::Exhausted { .. }) if used => self.stop(),
                Ok(Answer::Exhausted { spent, loaded, limit }) => {
                    return Err(Error::CompileBudgetExhausted { spent, loaded, limit });
                }
                Ok(Answer::Failed(why)) => return Err(Error::Worker(format!("failed: {why}"))),
                Err(Silence::TimedOut) => {
                    self.stop();
                    return Err(Error::TimedOut {
                        what: "the answer of the worker process".into(),
                        within: self.patience,
                    });
                }
                Err(Silence::Broken(_)) if used => self.stop(),
                Err(Silence::Broken(e)) => return Err(self.died(&e)),
            }
        }
    }

    /// Has a program compiled unless the system's cache has it, and loads it into this process.
    ///
    /// If this process does not find in its cache what the worker has compiled, it compiles for itself, within its own
    /// budget.
    ///
    /// # Errors
    ///
    /// As [`Worker::compile`], [`Model::compile`] and [`Model::load`].
    pub fn load(
        &mut self,
        framework: &Framework,
        program: &Program<'_>,
        quality: QualityOfService,
    ) -> Result<Loaded, Error> {
        let model = Model::describe(framework, program)?;
        if !model.is_cached()? {
            let identity = self.compile(program, quality)?;
            if identity != model.identity() {
                return Err(Error::Worker(format!("compiled {identity} and not {}", model.identity())));
            }
        }
        model.compile(quality)?.load(quality)
    }

    /// The process; a new one if there is none.
    fn process(&mut self) -> Result<&mut Process, Error> {
        if self.process.is_none() {
            let mut command = (self.command)();
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().map_err(|e| Error::Worker(format!("cannot be started: {e}")))?;
            let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err(Error::Worker("has no pipes".into()));
            };
            self.started += 1;
            let process = self.process.insert(Process {
                child: Arc::new(Mutex::new(child)),
                input: BufWriter::new(input),
                output: BufReader::new(output),
                given: 0,
            });
            let child = process.child.clone();
            let greeted = within(self.patience, &child, || {
                let mut greeting = [0; GREETING.len()];
                process.output.read_exact(&mut greeting)?;
                if greeting == *GREETING { Ok(()) } else { Err(io::Error::other("it is another program")) }
            });
            match greeted {
                Ok(()) => {}
                Err(Silence::Broken(e)) => return Err(self.died(&e)),
                Err(Silence::TimedOut) => {
                    self.stop();
                    return Err(Error::TimedOut {
                        what: "the start of the worker process".into(),
                        within: self.patience,
                    });
                }
            }
        }
        self.process.as_mut().ok_or_else(|| Error::Worker("is gone".into()))
    }

    /// Ends a process that did not answer, and says how it ended.
    fn died(&mut self, error: &io::Error) -> Error {
        let child = self.process.as_ref().map(|p| p.child.clone());
        self.stop();
        let status = child.and_then(|c| own(&c).try_wait().ok().flatten());
        let how = status.map_or(String::new(), |s| format!(" ({s})"));
        Error::Worker(format!("did not answer: {error}{how}"))
    }

    /// Ends the process, if there is one, and waits for its end.
    fn stop(&mut self) {
        let Some(Process { child, input, output, .. }) = self.process.take() else { return };
        // What was not sent is of no interest any more; the end of its input is the end of the worker.
        drop(input.into_parts());
        drop(output);
        let patience = Instant::now();
        let mut child = own(&child);
        while let Ok(None) = child.try_wait() {
            if patience.elapsed() > FAREWELL {
                // If it cannot be ended, nothing can be done about it.
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("started", &self.started).finish_non_exhaustive()
    }
}

fn own(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Talks to a process; if that takes too long the process is killed, which ends the talk.
fn within<T>(
    patience: Duration,
    child: &Mutex<Child>,
    talk: impl FnOnce() -> io::Result<T>,
) -> Result<T, Silence> {
    std::thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        let watch = scope.spawn(move || {
            let late = waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if late {
                // It may have ended in this moment.
                let _ = own(child).kill();
            }
            late
        });
        let result = talk();
        drop(done);
        match (result, watch.join()) {
            (_, Ok(true)) => Err(Silence::TimedOut),
            (Ok(answer), _) => Ok(answer),
            (Err(e), _) => Err(Silence::Broken(e)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_are_read_as_they_were_written() {
        let weights = [("@model_path/w.bin", &[1u8, 2, 3][..])];
        let mut bytes = Vec::new();
        Order::write(&mut bytes, &Program { text: "text", weights: &weights }, QualityOfService::Utility)
            .unwrap();
        let order = Order::read(&mut &bytes[..]).unwrap().unwrap();
        assert_eq!((order.quality, order.text.as_str()), (17, "text"));
        assert_eq!(order.weights, [("@model_path/w.bin".to_string(), vec![1, 2, 3])]);
        // A part of an order is none, wherever it ends.
        assert!(Order::read(&mut &bytes[..0]).unwrap().is_none());
        for end in 1..bytes.len() {
            assert!(Order::read(&mut &bytes[..end]).is_err(), "{end}");
        }
        let reported = Reported { domain: "d".into(), code: -6, description: "words".into() };
        for error in [None, Some(reported)] {
            let refusal = Refusal { message: "m".into(), error };
            let mut bytes = Vec::new();
            Answer::of(Err(refusal.clone().into())).write(&mut bytes).unwrap();
            let Answer::Refused(read) = Answer::read(&mut &bytes[..]).unwrap() else {
                panic!("another kind")
            };
            assert_eq!(read, refusal);
        }
    }

    #[test]
    fn announced_lengths_are_not_believed() {
        let mut huge = (u64::MAX).to_le_bytes().to_vec();
        assert!(read_bytes(&mut &huge[..], WORDS).is_err());
        huge = WEIGHTS.to_le_bytes().to_vec();
        huge.extend([1, 2, 3]);
        assert!(read_bytes(&mut &huge[..], WEIGHTS).is_err(), "the bytes do not come");
        assert!(Answer::read(&mut &[9u8][..]).is_err());
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let long = "ä".repeat(WORDS as usize);
        assert!(cut(&long).len() <= WORDS as usize && cut(&long).ends_with('ä'));
    }
}
