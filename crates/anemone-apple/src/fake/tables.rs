//! Method tables: what a macOS has of classes and methods, and what carries each method out here.
//!
//! They are made once for a process, and shared by its machines: there are hundreds of methods.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, OnceLock};

use super::{ane, event, foundation, metal};
use crate::abi::Imp;
use crate::encoding::{Arguments, Encode};
use crate::message::Message;
use crate::messages::MESSAGES;
use crate::metal::ProtocolMessage;
use crate::recording::Recording;

/// The method tables of one macOS: what a file of `fixtures/runtime` holds. Copies share each class until it is changed.
///
/// ```
/// use anemone_apple::Feature;
/// use anemone_apple::fake::{Fake, Machine, Tables};
/// let tables = Tables::newest().without("-[_ANERequest setCompletionHandler:]");
/// let fake = Fake::new(Machine { tables, ..Machine::default() });
/// assert!(fake.open()?.require(Feature::Completion).is_err());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tables {
    /// Which macOS, and its build.
    pub system: String,
    /// Where the tables come from.
    pub source: String,
    classes: BTreeMap<String, Arc<Table>>,
}

/// The methods of one class.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: CString,
    /// The class above it.
    pub(super) superclass: Option<String>,
    /// What the class receives, and what its objects receive.
    to_class: Methods,
    to_object: Methods,
}

/// Methods by the bytes of their selector.
type Methods = BTreeMap<Vec<u8>, FakeMethod>;

/// A method: where it is carried out, and what the macOS says about its types.
#[derive(Clone, Debug)]
pub(super) struct FakeMethod {
    pub(super) imp: Option<Imp>,
    pub(super) encoding: CString,
}

impl FakeMethod {
    /// A method with the prototype of a message to a protocol.
    pub(super) fn of<A: Arguments, R: Encode>(
        message: &ProtocolMessage<A, R>,
        function: A::Function<R>,
    ) -> (&'static CStr, Self) {
        let encoding = c_string(message.encoding()).expect("an encoding has no zero byte");
        (message.selector, Self { imp: Some(A::erase(function)), encoding })
    }
}

/// A file of `fixtures/runtime`.
#[derive(serde::Deserialize)]
struct File {
    system: String,
    source: String,
    classes: BTreeMap<String, FileClass>,
}

/// Encodings by selector.
#[derive(serde::Deserialize)]
struct FileClass {
    #[serde(default)]
    superclass: Option<String>,
    #[serde(rename = "+", default)]
    to_class: BTreeMap<String, String>,
    #[serde(rename = "-", default)]
    to_object: BTreeMap<String, String>,
}

impl Tables {
    /// Reads tables in JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(json: &str) -> Result<Self, String> {
        let File { system, source, classes } = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let class = |(name, class): (String, FileClass)| {
            let table = Table {
                name: c_string(name.as_str())?,
                superclass: class.superclass,
                to_class: methods(class.to_class)?,
                to_object: methods(class.to_object)?,
            };
            Ok((name, Arc::new(table)))
        };
        let classes = classes.into_iter().map(class).collect::<Result<_, String>>()?;
        let mut tables = Self { system, source, classes };
        metal::classes().into_iter().for_each(|t| drop(tables.classes.insert(t.name_text(), Arc::new(t))));
        for (row, imp) in MESSAGES.iter().zip(implementations()) {
            let methods = tables.methods_mut(row.class_name(), row.to_class);
            if let Some(method) = methods.and_then(|m| m.get_mut(row.selector.to_bytes())) {
                method.imp = *imp;
            }
        }
        Ok(tables)
    }

    /// The tables of the system on which a log was recorded: those of the newest macOS, with what the recording says of
    /// each message.
    pub fn recorded(recording: &Recording) -> Self {
        let mut tables = Self::newest();
        tables.system = recording.header("system").unwrap_or_default().to_string();
        tables.source = recording.header("recorded").unwrap_or_default().to_string();
        for (row, imp) in MESSAGES.iter().zip(implementations()) {
            let Some(found) = recording.found(&row.to_string()) else { continue };
            let Some(methods) = tables.methods_mut(row.class_name(), row.to_class) else { continue };
            match found {
                Some(encoding) => {
                    let encoding = c_string(encoding).expect("a line of text has no zero byte");
                    methods.insert(row.selector.to_bytes().to_vec(), FakeMethod { imp: *imp, encoding });
                }
                None => drop(methods.remove(row.selector.to_bytes())),
            }
        }
        tables
    }

    /// The newest macOS that there are tables of.
    pub fn newest() -> Self {
        static NEWEST: OnceLock<Tables> = OnceLock::new();
        let parse = || Self::parse(include_str!("../../../../fixtures/runtime/macos-26.5.json"));
        NEWEST.get_or_init(|| parse().expect("the file is checked by a test")).clone()
    }

    /// The same without a class, such as `_ANEModel`, or without a message, such as `-[_ANEModel state]`.
    ///
    /// # Panics
    ///
    /// When it is not there: who takes it away would not see what its absence does.
    #[track_caller]
    #[must_use]
    pub fn without(mut self, what: &str) -> Self {
        let was_there = match self.find(what) {
            Some((methods, selector)) => methods.remove(selector).is_some(),
            None => self.classes.remove(what).is_some(),
        };
        assert!(was_there, "{} has no {what}", self.system);
        self
    }

    /// The same, where the class of a message has only this one of its kind.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    #[must_use]
    pub fn only(mut self, message: &str) -> Self {
        let found = self.find(message).filter(|(methods, selector)| methods.contains_key(*selector));
        let (methods, selector) = found.unwrap_or_else(|| panic!("there is no {message}"));
        methods.retain(|s, _| s == selector);
        self
    }

    /// The same with another encoding of a message.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    #[must_use]
    pub fn with(mut self, message: &str, encoding: &CStr) -> Self {
        let found = self.find(message).and_then(|(methods, selector)| methods.get_mut(selector));
        let method = found.unwrap_or_else(|| panic!("there is no {message}"));
        method.encoding = encoding.to_owned();
        self
    }

    /// The classes, in the order of their names.
    pub(super) fn classes(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.classes.values()
    }

    /// The methods among which a message is, written as a row of the table is, and its selector.
    fn find<'a>(&mut self, message: &'a str) -> Option<(&mut Methods, &'a [u8])> {
        let (sign, rest) = message.strip_suffix(']')?.split_once('[')?;
        let (class, selector) = rest.split_once(' ')?;
        Some((self.methods_mut(class, sign == "+")?, selector.as_bytes()))
    }

    fn methods_mut(&mut self, class: &str, to_class: bool) -> Option<&mut Methods> {
        let table = Arc::make_mut(self.classes.get_mut(class)?);
        Some(if to_class { &mut table.to_class } else { &mut table.to_object })
    }
}

impl Table {
    /// A class that no file states, since its name is the system's secret: its objects have these methods.
    pub(super) fn secret(name: &str, methods: impl IntoIterator<Item = (&'static CStr, FakeMethod)>) -> Self {
        Self {
            name: c_string(name).expect("a name has no zero byte"),
            superclass: Some("NSObject".into()),
            to_class: Methods::new(),
            to_object: methods.into_iter().map(|(s, m)| (s.to_bytes().to_vec(), m)).collect(),
        }
    }

    fn name_text(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// What the class itself has, or what its objects have.
    pub(super) fn method(&self, to_class: bool, selector: &CStr) -> Option<&FakeMethod> {
        let methods = if to_class { &self.to_class } else { &self.to_object };
        methods.get(selector.to_bytes())
    }
}

fn methods(encodings: BTreeMap<String, String>) -> Result<Methods, String> {
    let method = |(selector, encoding): (String, String)| {
        Ok((selector.into_bytes(), FakeMethod { imp: None, encoding: c_string(encoding)? }))
    };
    encodings.into_iter().map(method).collect()
}

fn c_string(text: impl Into<Vec<u8>>) -> Result<CString, String> {
    CString::new(text).map_err(|e| e.to_string())
}

/// What the fake implements: a function for each row of the message table.
pub(super) struct Implementations(Vec<Option<Imp>>);

impl Implementations {
    /// Adds a function as what carries out a message; its prototype is the one with which the message is sent.
    pub(super) fn add<A: Arguments, R: Encode>(&mut self, message: Message<A, R>, function: A::Function<R>) {
        let old = self.0[message.index()].replace(A::erase(function));
        assert!(old.is_none(), "{} is implemented twice", MESSAGES[message.index()]);
    }
}

fn implementations() -> &'static [Option<Imp>] {
    static ALL: OnceLock<Vec<Option<Imp>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Implementations(vec![None; MESSAGES.len()]);
        foundation::implement(&mut all);
        ane::implement(&mut all);
        event::implement(&mut all);
        all.0
    })
}

/// The rows of the message table that the fake does not implement.
pub(super) fn unimplemented() -> Vec<String> {
    let all = MESSAGES.iter().zip(implementations());
    all.filter(|(_, imp)| imp.is_none()).map(|(row, _)| row.to_string()).collect()
}
