//! The message log: every message as a line.
//!
//! A line holds the message, its arguments and its result. Objects are written by class and by a number in the order
//! of their first appearance, so that logs of two runs can be compared:
//!
//! ```text
//! +[_ANEInMemoryModel inMemoryModelWithDescriptor:] (_ANEInMemoryModelDescriptor#4) = _ANEInMemoryModel#5
//! -[_ANEInMemoryModel loadWithQoS:options:error:] (21, NSDictionary#6, _) = 1
//! ```

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::abi::Id;
use crate::encoding::{Arguments, Encode};
use crate::framework::Framework;
use crate::message::Row;

/// A log of messages. Copies write into the same one.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    /// The number of each object that was seen, by address. An address that is used again gets a new number when
    /// the class differs; within one class a number may stand for several objects one after the other.
    numbers: HashMap<(usize, String), usize>,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// Takes the lines so far, and forgets them.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).lines)
    }

    pub(crate) fn sent<A: Arguments, R: Encode>(
        &self,
        framework: &Framework,
        row: &Row,
        arguments: A,
        result: R,
    ) {
        let class = |id: Id| {
            // SAFETY: arguments and results of a message that was just sent are alive or nil.
            (!id.is_nil()).then(|| unsafe { framework.class_name(id) })
        };
        let mut shown = Vec::new();
        arguments.each(&mut |scalar, object| shown.push((scalar, object.map(|o| (o, class(o))))));
        let given = (result.scalar(), result.object().map(|o| (o, class(o))));
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = format!("{row} (");
        for (i, value) in shown.into_iter().enumerate() {
            line.push_str(if i == 0 { "" } else { ", " });
            log.show(&mut line, value);
        }
        line.push_str(") = ");
        log.show(&mut line, given);
        log.lines.push(line);
    }
}

impl Lines {
    fn show(&mut self, line: &mut String, (scalar, object): (Option<i128>, Option<(Id, Option<String>)>)) {
        // Writing into a string does not fail.
        let _ = match (scalar, object) {
            (Some(n), _) => write!(line, "{n}"),
            (None, Some((_, None))) => write!(line, "nil"),
            (None, Some((id, Some(class)))) => {
                // Concrete classes of Foundation are its own business, and differ between systems.
                let class = public_name(&class).to_string();
                let next = self.numbers.len() + 1;
                let n = *self.numbers.entry((id.0 as usize, class.clone())).or_insert(next);
                write!(line, "{class}#{n}")
            }
            (None, None) => write!(line, "_"),
        };
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
