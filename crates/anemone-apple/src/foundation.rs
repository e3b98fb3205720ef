//! The few objects of Foundation that messages carry, made and read.

use std::collections::BTreeMap;
use std::ffi::{CString, c_void};

use crate::abi::{Bool, Id};
use crate::error::{Error, Reported};
use crate::framework::{Framework, Retained, text};
use crate::message::ClassRef;
use crate::messages::*;

/// A value as a property list holds it.
///
/// ```
/// use anemone_apple::Plist;
/// let entry = |name: &str, value: Plist| (name.to_string(), value);
/// let names = Plist::Array(vec![Plist::String("x".into()), Plist::String("b".into())]);
/// let list = Plist::Dictionary([entry("Width", Plist::Number(64)), entry("Names", names)].into());
/// assert_eq!(list.get("Width").and_then(Plist::as_number), Some(64));
/// assert_eq!(list.get("Names").unwrap().items()[1].as_str(), Some("b"));
/// assert!(list.get("Height").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plist {
    /// A string.
    String(String),
    /// A whole number, or a bool.
    Number(i64),
    /// Values in order.
    Array(Vec<Plist>),
    /// Values by name.
    Dictionary(BTreeMap<String, Plist>),
    /// Something else; the name of its class.
    Other(String),
}

impl Plist {
    /// The value of this name in a dictionary.
    pub fn get(&self, name: &str) -> Option<&Plist> {
        match self {
            Plist::Dictionary(d) => d.get(name),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Plist::String(s) => Some(s),
            _ => None,
        }
    }

    /// The number.
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Plist::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The values of an array; none of anything else.
    pub fn items(&self) -> &[Plist] {
        match self {
            Plist::Array(items) => items,
            _ => &[],
        }
    }
}

/// An object that a factory made, retained; nil is an error.
///
/// # Safety
///
/// The object is nil or alive.
pub(crate) unsafe fn made(
    framework: &Framework,
    object: Id,
    message: &'static str,
) -> Result<Retained, Error> {
    // SAFETY: the caller's promise.
    unsafe { Retained::retain(framework, object) }
        .ok_or_else(|| Error::Unexpected { message, gave: "nil".into() })
}

/// An `NSString`.
pub(crate) fn string(framework: &Framework, value: &str) -> Result<Retained, Error> {
    let value = CString::new(value).map_err(|_| Error::Invalid(format!("{value:?} contains a zero byte")))?;
    let _pool = framework.pool();
    let class = framework.class(NS_STRING).id();
    // SAFETY: a C string that outlives the call, which copies it.
    let object = unsafe { framework.send(STRING_WITH_UTF8, class, (value.as_ptr(),)) };
    // SAFETY: a factory gives nil or an autoreleased object, and the pool is open.
    unsafe { made(framework, object, "+[NSString stringWithUTF8String:]") }
}

/// An `NSData` with a copy of the bytes.
pub(crate) fn data(framework: &Framework, bytes: &[u8]) -> Result<Retained, Error> {
    let _pool = framework.pool();
    let class = framework.class(NS_DATA).id();
    let arguments = (bytes.as_ptr().cast::<c_void>(), bytes.len() as u64);
    // SAFETY: the bytes outlive the call, which copies them.
    let object = unsafe { framework.send(DATA_WITH_BYTES, class, arguments) };
    // SAFETY: as in `string`.
    unsafe { made(framework, object, "+[NSData dataWithBytes:length:]") }
}

/// An `NSNumber` of a whole number.
pub(crate) fn number(framework: &Framework, value: u64) -> Result<Retained, Error> {
    let _pool = framework.pool();
    // SAFETY: the class is NSNumber.
    let object = unsafe { framework.send(NUMBER_WITH_U64, framework.class(NS_NUMBER).id(), (value,)) };
    // SAFETY: as in `string`.
    unsafe { made(framework, object, "+[NSNumber numberWithUnsignedLongLong:]") }
}

/// An `NSNumber` of a bool.
pub(crate) fn boolean(framework: &Framework, value: bool) -> Result<Retained, Error> {
    let _pool = framework.pool();
    // SAFETY: the class is NSNumber.
    let object =
        unsafe { framework.send(NUMBER_WITH_BOOL, framework.class(NS_NUMBER).id(), (Bool::from(value),)) };
    // SAFETY: as in `string`.
    unsafe { made(framework, object, "+[NSNumber numberWithBool:]") }
}

/// An `NSArray`, which retains the objects.
pub(crate) fn array<'a>(
    framework: &Framework,
    objects: impl IntoIterator<Item = &'a Retained>,
) -> Result<Retained, Error> {
    let ids: Vec<Id> = objects.into_iter().map(Retained::id).collect();
    let _pool = framework.pool();
    let arguments = (ids.as_ptr(), ids.len() as u64);
    // SAFETY: as many live objects as stated, which the caller holds during the call.
    let object = unsafe { framework.send(ARRAY_WITH_OBJECTS, framework.class(NS_ARRAY).id(), arguments) };
    // SAFETY: as in `string`.
    unsafe { made(framework, object, "+[NSArray arrayWithObjects:count:]") }
}

/// An `NSDictionary`, which copies the keys and retains the values.
pub(crate) fn dictionary<'a>(
    framework: &Framework,
    entries: impl IntoIterator<Item = (&'a str, &'a Retained)>,
) -> Result<Retained, Error> {
    let mut keys = Vec::new();
    let mut values = Vec::new();
    for (key, value) in entries {
        keys.push(string(framework, key)?);
        values.push(value.id());
    }
    let names: Vec<Id> = keys.iter().map(Retained::id).collect();
    let _pool = framework.pool();
    let arguments = (values.as_ptr(), names.as_ptr(), names.len() as u64);
    // SAFETY: as many live keys and values as stated; `keys` and the caller hold them during the call.
    let object =
        unsafe { framework.send(DICTIONARY_WITH_OBJECTS, framework.class(NS_DICTIONARY).id(), arguments) };
    // SAFETY: as in `string`.
    unsafe { made(framework, object, "+[NSDictionary dictionaryWithObjects:forKeys:count:]") }
}

/// The text of an `NSString`; empty for nil.
///
/// # Safety
///
/// The object is nil or a live `NSString`, and a pool is open.
pub(crate) unsafe fn read_string(framework: &Framework, object: Id) -> String {
    if object.is_nil() {
        return String::new();
    }
    // SAFETY: the bytes live as long as the innermost pool, which the caller keeps open.
    unsafe { text(framework.send(UTF8_STRING, object, ())) }
}

/// The bytes of an `NSData`; empty for nil.
///
/// # Safety
///
/// The object is nil or a live `NSData`.
pub(crate) unsafe fn read_data(framework: &Framework, object: Id) -> Vec<u8> {
    if object.is_nil() {
        return Vec::new();
    }
    // SAFETY: the object is a live NSData.
    let (bytes, length) =
        unsafe { (framework.send(DATA_BYTES, object, ()), framework.send(DATA_LENGTH, object, ())) };
    if bytes.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: NSData vouches for `length` bytes at `bytes` as long as it lives.
    unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize) }.to_vec()
}

/// How deep a property list may be nested.
const DEPTH: usize = 32;

/// Reads a property list.
///
/// # Safety
///
/// The object is nil or alive, and a pool is open.
pub(crate) unsafe fn read_plist(framework: &Framework, object: Id) -> Plist {
    // SAFETY: the caller's promise.
    unsafe { plist(framework, object, DEPTH) }
}

unsafe fn plist(framework: &Framework, object: Id, depth: usize) -> Plist {
    if object.is_nil() || depth == 0 {
        return Plist::Other("nil".into());
    }
    let is = |class: ClassRef| {
        // SAFETY: every object answers `isKindOfClass:`.
        unsafe { framework.send(IS_KIND_OF_CLASS, object, (framework.class(class),)) }.get()
    };
    // SAFETY: each branch sends what objects of the class that was just asked for respond to, and gives what the
    // containers hold, which lives as long as they do.
    unsafe {
        if is(NS_STRING) {
            Plist::String(read_string(framework, object))
        } else if is(NS_NUMBER) {
            Plist::Number(framework.send(NUMBER_I64, object, ()))
        } else if is(NS_ARRAY) {
            let count = framework.send(ARRAY_COUNT, object, ());
            let item = |i| plist(framework, framework.send(ARRAY_OBJECT_AT, object, (i,)), depth - 1);
            Plist::Array((0..count).map(item).collect())
        } else if is(NS_DICTIONARY) {
            let keys = framework.send(DICTIONARY_ALL_KEYS, object, ());
            let count = framework.send(ARRAY_COUNT, keys, ());
            let mut entries = BTreeMap::new();
            for i in 0..count {
                let key = framework.send(ARRAY_OBJECT_AT, keys, (i,));
                let value = framework.send(DICTIONARY_OBJECT_FOR_KEY, object, (key,));
                if let Plist::String(name) = plist(framework, key, 1) {
                    entries.insert(name, plist(framework, value, depth - 1));
                }
            }
            Plist::Dictionary(entries)
        } else {
            Plist::Other(framework.class_name(object))
        }
    }
}

/// What an `NSError` says.
///
/// # Safety
///
/// The object is a live `NSError`, and a pool is open.
pub(crate) unsafe fn reported(framework: &Framework, error: Id) -> Reported {
    // SAFETY: the caller's promise.
    unsafe {
        Reported {
            domain: read_string(framework, framework.send(ERROR_DOMAIN, error, ())),
            code: framework.send(ERROR_CODE, error, ()),
            description: read_string(framework, framework.send(ERROR_DESCRIPTION, error, ())),
        }
    }
}
