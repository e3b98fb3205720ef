//! The two streams that people read, and what may be drawn on them.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// What the arguments ask for. Help and usage errors are printed before arguments are parsed in full.
    fn asked(arguments: &[OsString]) -> Self {
        let mut words = arguments.iter().skip(1).map(|a| a.to_string_lossy());
        while let Some(word) = words.next() {
            let value = match word.as_ref() {
                "--" => break,
                "--color" => words.next(),
                w => w.strip_prefix("--color=").map(|v| v.to_string().into()),
            };
            match value.as_deref() {
                Some("always") => return Colour::Always,
                Some("never") => return Colour::Never,
                _ => {}
            }
        }
        Colour::Auto
    }

    /// The same for clap's own messages.
    pub(crate) fn for_clap(self) -> clap::ColorChoice {
        match self {
            Colour::Auto => clap::ColorChoice::Auto,
            Colour::Always => clap::ColorChoice::Always,
            Colour::Never => clap::ColorChoice::Never,
        }
    }

    fn on(self, stream: &impl anstream::stream::RawStream) -> bool {
        match self {
            Colour::Auto => AutoStream::choice(stream) != ColorChoice::Never,
            Colour::Always => true,
            Colour::Never => false,
        }
    }
}

/// The styles in use.
pub(crate) mod style {
    use super::{AnsiColor, Style};

    /// Headings of tables.
    pub(crate) const HEADING: Style = Style::new().bold();
    /// What is fine.
    pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
    /// What is not.
    pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
    /// What deserves a look.
    pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
}

/// The standard streams. Writing to it writes to the standard output, buffered.
pub(crate) struct Terminal {
    out: BufWriter<Stdout>,
    colour: Colour,
    colour_out: bool,
    colour_err: bool,
    quiet: bool,
}

impl Terminal {
    /// The streams of this process.
    pub(crate) fn of_this_process(arguments: &[OsString]) -> Self {
        let colour = Colour::asked(arguments);
        Self {
            out: BufWriter::new(io::stdout()),
            colour,
            colour_out: colour.on(&io::stdout()),
            colour_err: colour.on(&io::stderr()),
            quiet: false,
        }
    }

    /// Says less from here on: no warnings, summaries or progress.
    pub(crate) fn hush(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Whether only errors and results are wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What the arguments say of colour.
    pub(crate) fn colour(&self) -> Colour {
        self.colour
    }

    /// Whether the standard output takes colour.
    pub(crate) fn colour_out(&self) -> bool {
        self.colour_out
    }

    /// Whether the standard error takes colour.
    pub(crate) fn colour_err(&self) -> bool {
        self.colour_err
    }

    /// The text in this style, if the standard output takes colour.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.colour_out { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Writes a value as JSON, and a line end.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut *self, value)?;
        writeln!(self)?;
        Ok(())
    }

    /// Writes a line to the standard error, whether anybody reads it or not.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Says that something failed.
    pub(crate) fn error(&mut self, message: &str) {
        self.labelled(style::BAD, "error", message);
    }

    /// Says that something is doubtful, unless quiet is asked for.
    pub(crate) fn warn(&mut self, message: &str) {
        if !self.quiet {
            self.labelled(style::DOUBTFUL, "warning", message);
        }
    }

    /// Says something by the way, unless quiet is asked for.
    pub(crate) fn note(&mut self, message: &str) {
        if !self.quiet {
            self.labelled(style::HEADING, "note", message);
        }
    }

    fn labelled(&mut self, style: Style, label: &str, message: &str) {
        let line = if self.colour_err {
            format!("{style}{label}{style:#}: {message}")
        } else {
            format!("{label}: {message}")
        };
        self.say(&line);
    }

    /// Writes out what is buffered.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Shows what is being done, with a bar when the number of steps is known, on a terminal only and only when it
    /// takes more than half a second.
    pub(crate) fn progress(&mut self, doing: &str, steps: Option<u64>) -> Progress {
        let _ = self.out.flush();
        Progress::new(doing, steps, !self.quiet && io::stderr().is_terminal())
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Work that is under way; dropping it removes what is shown.
pub(crate) struct Progress {
    bar: ProgressBar,
    watcher: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Work shorter than this shows nothing.
    const PATIENCE: Duration = Duration::from_millis(500);

    fn new(doing: &str, steps: Option<u64>, shown: bool) -> Self {
        let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::hidden());
        let form = match steps {
            Some(_) => "{msg} [{bar:30}] {pos}/{len} {elapsed}",
            None => "{spinner} {msg} {elapsed}",
        };
        bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(doing.to_string());
        let watcher = shown.then(|| {
            let (done, wait) = mpsc::channel();
            let bar = bar.clone();
            let thread = std::thread::spawn(move || {
                if wait.recv_timeout(Self::PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(Duration::from_millis(120));
                }
            });
            (done, thread)
        });
        Self { bar, watcher }
    }

    /// One step is done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.watcher.take() {
            drop(done);
            // A watcher that panicked has shown its words already.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}
