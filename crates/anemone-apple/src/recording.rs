//! A message log as a file: where it was recorded, what that system has of the message table, and what was sent.
//!
//! ```text
//! # anemone message log 1
//! # system: macOS 25F84
//! = -[_ANEModel modelAttributes] @@:
//! ! +[_ANERequest requestWithInputs:…]
//! -[_ANEInMemoryModel compiledModelExists] () = 0
//! ```
//!
//! Lines with `#` are the header, `=` a message with the prototype that was found, `!` one that was not found; all others
//! are messages in the order in which they were sent. Two recordings are compared by their [protocol](Recording::protocol).

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::framework::Finding;
use crate::log::Log;
use crate::message::{Feature, Row};
use crate::messages::MESSAGES;

/// The first line.
const FIRST: &str = "# anemone message log 1";

/// The most bytes of a file that is read.
const MOST: usize = 16 << 20;

/// A message log with its circumstances.
///
/// ```
/// use anemone_apple::{Log, Recording, neural::DeviceInfo, survey};
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let log = Log::new();
/// DeviceInfo::read(&fake.open_logged(&log)?);
/// let recording = Recording::new(&[("system", "macOS 25F84")], &fake.raw(|abi| survey(&abi)), &log);
/// // It is written as text, and read again.
/// let same = Recording::parse(&recording.to_string())?;
/// assert_eq!(same.header("system"), Some("macOS 25F84"));
/// assert_eq!(same.found("-[_ANERequest validate]"), Some(Some("B@:")));
/// assert_eq!((same.lines(), same.protocol()), (recording.lines(), recording.protocol()));
/// assert!(recording.difference(&same).is_none());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    header: Vec<(String, String)>,
    /// The prototype of each message of the table, as the system has it; none where it does not have the message.
    table: BTreeMap<String, Option<String>>,
    lines: Vec<String>,
}

/// Where two recordings part.
///
/// ```
/// use anemone_apple::{Difference, Recording};
/// let of = |line: &str| Recording::parse(&format!("# anemone message log 1\n{line}"));
/// let here = of("-[_ANEClient beginRealTimeTask] () = 1\n")?;
/// let difference: Difference = here.difference(&of("")?).unwrap();
/// assert_eq!((difference.after, difference.sent), (0, None));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How many messages of the protocol are alike before it.
    pub after: usize,
    /// The message of the recording; none at its end.
    pub recorded: Option<String>,
    /// The message of the other one; none at its end.
    pub sent: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |line: &Option<String>| line.as_ref().map_or("nothing".into(), |l| format!("`{l}`"));
        write!(
            f,
            "after {} messages {} was recorded, and {} is sent",
            self.after,
            say(&self.recorded),
            say(&self.sent)
        )
    }
}

impl Recording {
    /// What a log holds, with what was found of the message table.
    pub fn new(header: &[(&str, &str)], findings: &[(&'static Row, Finding)], log: &Log) -> Self {
        let found = |row: &Row, finding: &Finding| match finding {
            Finding::Found => Some(crate::encoding::plain(&(row.encoding)())),
            Finding::Drifted(encoding) => Some(encoding.clone()),
            Finding::NoClass | Finding::NoSelector => None,
        };
        let one_line = |text: &str| text.replace(['\n', '\r'], " ");
        Self {
            header: header.iter().map(|(k, v)| (one_line(k), one_line(v))).collect(),
            table: findings.iter().map(|(row, f)| (row.to_string(), found(row, f))).collect(),
            lines: log.lines(),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is no message log.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MOST {
            return Err(Error::Invalid(format!("a message log of {} bytes is too long", text.len())));
        }
        let mut lines = text.lines();
        if lines.next() != Some(FIRST) {
            return Err(Error::Invalid(format!("a message log begins with `{FIRST}`")));
        }
        let mut recording = Self::default();
        for (at, line) in lines.enumerate() {
            let wrong =
                || Error::Invalid(format!("line {} of the message log is not one of its kinds", at + 2));
            if let Some(header) = line.strip_prefix("# ") {
                let (key, value) = header.split_once(": ").ok_or_else(wrong)?;
                recording.header.push((key.to_string(), value.to_string()));
            } else if let Some(found) = line.strip_prefix("= ") {
                let (message, encoding) = found.rsplit_once("] ").ok_or_else(wrong)?;
                recording.table.insert(format!("{message}]"), Some(encoding.to_string()));
            } else if let Some(message) = line.strip_prefix("! ") {
                recording.table.insert(message.to_string(), None);
            } else if line.starts_with(['+', '-']) && line.contains("] (") && line.contains(") = ") {
                recording.lines.push(line.to_string());
            } else {
                return Err(wrong());
            }
        }
        Ok(recording)
    }

    /// The value of a line of the header.
    pub fn header(&self, key: &str) -> Option<&str> {
        self.header.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// What the system has of a message: its prototype, or that it lacks it; `None` when the recording does not say.
    pub fn found(&self, message: &str) -> Option<Option<&str>> {
        self.table.get(message).map(Option::as_deref)
    }

    /// The messages in the order in which they were sent.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What has to be the same wherever the same is done: the messages to Apple's private classes, without the numbers
    /// of objects, and without answers that say something of the machine and not of the call.
    pub fn protocol(&self) -> Vec<String> {
        self.lines.iter().filter_map(|line| protocol(line)).collect()
    }

    /// Where this recording and another one of the same doings part; `None` where they do not.
    pub fn difference(&self, other: &Recording) -> Option<Difference> {
        let (recorded, sent) = (self.protocol(), other.protocol());
        let after = recorded.iter().zip(&sent).take_while(|(a, b)| a == b).count();
        let (recorded, sent) = (recorded.get(after).cloned(), sent.get(after).cloned());
        (recorded != sent).then_some(Difference { after, recorded, sent })
    }
}

/// A line as a part of the protocol, if it is one.
fn protocol(line: &str) -> Option<String> {
    let message = &line[..line.find("] (")? + 1];
    let class = message.get(2..)?.split(' ').next()?;
    if !class.starts_with("_ANE") && !class.starts_with("IOSurface") {
        return None;
    }
    let row = MESSAGES.iter().find(|row| row.to_string() == message);
    let told = row.is_some_and(|row| {
        // Numbers and handles are the machine's own; objects, bools and nothing are the answer to the call.
        let answers = ["B", "@", "v"].iter().any(|kind| (row.encoding)().starts_with(kind));
        answers && ![Feature::DeviceInfo, Feature::Cache].contains(&row.feature)
    });
    let mut rest = line[message.len()..].chars().peekable();
    let mut plain = message.to_string();
    while let Some(c) = rest.next() {
        if c == '#' {
            while rest.next_if(char::is_ascii_digit).is_some() {}
        } else {
            plain.push(c);
        }
    }
    if !told && let Some(at) = plain.rfind(" = ") {
        plain.truncate(at);
    }
    Some(plain)
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}")?;
        self.header.iter().try_for_each(|(key, value)| writeln!(f, "# {key}: {value}"))?;
        for (message, found) in &self.table {
            match found {
                Some(encoding) => writeln!(f, "= {message} {encoding}")?,
                None => writeln!(f, "! {message}")?,
            }
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# anemone message log 1
# system: macOS 25F84
= -[_ANEModel modelAttributes] @@:
! -[_ANEModel state]
+[NSNumber numberWithBool:] (1) = NSNumber#1
-[_ANEInMemoryModel compileWithQoS:options:error:] (21, NSDictionary#4, _) = 1
-[_ANEInMemoryModel programHandle] () = 8123
";

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let recording = Recording::parse(TEXT).unwrap();
        assert_eq!(recording.to_string(), TEXT);
        assert_eq!(recording.header("system"), Some("macOS 25F84"));
        assert_eq!(recording.found("-[_ANEModel modelAttributes]"), Some(Some("@@:")));
        assert_eq!(recording.found("-[_ANEModel state]"), Some(None));
        assert_eq!(recording.found("-[_ANEModel key]"), None);
        for text in ["", "# anemone message log 2\n", &format!("{TEXT}nonsense\n"), &format!("{TEXT}= x\n")] {
            assert!(Recording::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let recorded = Recording::parse(TEXT).unwrap();
        let expected = [
            "-[_ANEInMemoryModel compileWithQoS:options:error:] (21, NSDictionary, _) = 1",
            "-[_ANEInMemoryModel programHandle] ()",
        ];
        assert_eq!(recorded.protocol(), expected);
        let alike = TEXT.replace("#4", "#17").replace("8123", "3");
        assert_eq!(recorded.difference(&Recording::parse(&alike).unwrap()), None);
        let other = TEXT.replace("(21,", "(33,");
        let difference = recorded.difference(&Recording::parse(&other).unwrap()).unwrap();
        assert_eq!(difference.after, 0);
        assert!(difference.to_string().contains("(33, NSDictionary, _) = 1` is sent"), "{difference}");
        let shorter = TEXT.lines().take(6).map(|l| format!("{l}\n")).collect::<String>();
        let difference = recorded.difference(&Recording::parse(&shorter).unwrap()).unwrap();
        assert_eq!((difference.after, difference.sent), (1, None));
    }
}
