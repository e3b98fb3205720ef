//! The message log: every message as a line.
//!
//! A line holds the message, its arguments and its result. Objects are written by class and by a number in the order
//! of their first appearance, so that logs of two runs can be compared:
//!
//! ```text
//! +[_ANEInMemoryModel inMemoryModelWithDescriptor:] (_ANEInMemoryModelDescriptor#4) = _ANEInMemoryModel#5
//! -[_ANEInMemoryModel loadWithQoS:options:error:] (21, NSDictionary#6, _) = 1
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::abi::Id;
use crate::encoding::{Arguments, Encode};
use crate::framework::Framework;
use crate::message::Row;

/// A log of messages. Copies write into the same one.
///
/// ```
/// use anemone_apple::{Log, Sent};
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let log = Log::new();
/// let framework = fake.open_logged(&log)?; // Framework::over(Abi::system()?, Some(log.clone())) on a Mac
/// anemone_apple::neural::DeviceInfo::read(&framework);
/// let sent: Vec<Sent> = log.take();
/// assert!(sent.iter().any(|message| message.row().class_name() == "_ANEDeviceInfo"));
/// assert!(log.lines().is_empty(), "they were taken");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Log {
    select: fn(&Row) -> bool,
    entries: Arc<Mutex<Entries>>,
}

impl Default for Log {
    fn default() -> Self {
        Self::of(|_| true)
    }
}

#[derive(Debug, Default)]
struct Entries {
    sent: Vec<Sent>,
    /// The number of each object that was seen, by address. An address that is used again gets a new number when
    /// the class differs; within one class a number may stand for several objects one after the other.
    numbers: BTreeMap<(usize, String), usize>,
}

/// A message that was sent; written, it is a line.
///
/// ```
/// use anemone_apple::{Log, Sent};
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let log = Log::of(|row| row.class_name() == "_ANEDeviceInfo");
/// let framework = fake.open_logged(&log)?;
/// anemone_apple::neural::DeviceInfo::read(&framework);
/// let first: Sent = log.take().remove(0);
/// assert!(first.to_string().starts_with("+[_ANEDeviceInfo "), "{first}");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sent {
    row: &'static Row,
    arguments: Vec<Value>,
    result: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Number(i128),
    Nil,
    Object {
        class: String,
        number: usize,
    },
    /// What means nothing outside of the process.
    Other,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log, into which only these messages are written. There are many messages to Foundation.
    ///
    /// ```
    /// use anemone_apple::{Log, Row};
    /// let log = Log::of(|row: &Row| row.class_name().starts_with("_ANE"));
    /// assert!(log.lines().is_empty());
    /// ```
    pub fn of(select: fn(&Row) -> bool) -> Self {
        Self { select, entries: Arc::default() }
    }

    /// The messages so far, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.lock().sent.iter().map(Sent::to_string).collect()
    }

    /// Takes the messages so far, and forgets them.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.lock().sent)
    }

    pub(crate) fn sent<A: Arguments, R: Encode>(
        &self,
        framework: &Framework,
        row: &'static Row,
        arguments: A,
        result: R,
    ) {
        if !(self.select)(row) {
            return;
        }
        let class = |id: Id| {
            // SAFETY: arguments and results of a message that was just sent are alive or nil.
            (!id.is_nil()).then(|| unsafe { framework.class_name(id) })
        };
        let mut given = Vec::new();
        arguments.each(&mut |scalar, object| given.push((scalar, object.map(|o| (o, class(o))))));
        let result = (result.scalar(), result.object().map(|o| (o, class(o))));
        let mut log = self.lock();
        let arguments = given.into_iter().map(|v| log.value(v)).collect();
        let result = log.value(result);
        log.sent.push(Sent { row, arguments, result });
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn value(&mut self, (scalar, object): (Option<i128>, Option<(Id, Option<String>)>)) -> Value {
        match (scalar, object) {
            (Some(n), _) => Value::Number(n),
            (None, Some((_, None))) => Value::Nil,
            (None, Some((id, Some(class)))) => {
                // Concrete classes of Foundation are its own business, and differ between systems.
                let class = public_name(&class).to_string();
                let next = self.numbers.len() + 1;
                let number = *self.numbers.entry((id.0.addr(), class.clone())).or_insert(next);
                Value::Object { class, number }
            }
            (None, None) => Value::Other,
        }
    }
}

impl Sent {
    /// Its row of the message table.
    pub fn row(&self) -> &'static Row {
        self.row
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.row)?;
        for (i, value) in self.arguments.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            value.fmt(f)?;
        }
        write!(f, ") = {}", self.result)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(n) => write!(f, "{n}"),
            Value::Nil => f.write_str("nil"),
            Value::Object { class, number } => write!(f, "{class}#{number}"),
            Value::Other => f.write_str("_"),
        }
    }
}

/// The name under which a class cluster of Foundation is known.
fn public_name(class: &str) -> &str {
    const CLUSTERS: &[(&str, &str)] = &[
        ("String", "NSString"),
        ("Dictionary", "NSDictionary"),
        ("Array", "NSArray"),
        ("Data", "NSData"),
        ("Number", "NSNumber"),
        ("Boolean", "NSNumber"),
    ];
    if !class.starts_with("__NS") && !class.starts_with("NSTagged") && !class.starts_with("NSConstant") {
        return class;
    }
    CLUSTERS.iter().find(|(part, _)| class.contains(part)).map_or(class, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_clusters_have_their_public_name() {
        for (class, name) in [
            ("__NSCFString", "NSString"),
            ("NSTaggedPointerString", "NSString"),
            ("__NSDictionary0", "NSDictionary"),
            ("__NSSingleObjectArrayI", "NSArray"),
            ("__NSCFBoolean", "NSNumber"),
            ("_ANEModel", "_ANEModel"),
        ] {
            assert_eq!(public_name(class), name);
        }
    }
}
