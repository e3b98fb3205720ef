//! The fake's Foundation: strings, data, numbers, containers, errors.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Arc, Mutex};

use super::object::{Object, Payload, World, lock, make, make_autoreleased, object, release, retain, str_of};
use super::runtime::{FakeClass, world_of};
use super::tables::Implementations;
use crate::abi::{Bool, Class, Id, Sel};
use crate::messages::*;

/// An autoreleased string.
pub(super) fn string(world: &Arc<World>, text: &str) -> Id {
    make_autoreleased(world, "NSString", Payload::String(c_string(text)))
}

pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).expect("zero bytes were removed")
}

/// An autoreleased URL of a file.
pub(super) fn url(world: &Arc<World>, path: &str) -> Id {
    make_autoreleased(world, "NSURL", Payload::Url(c_string(path)))
}

/// An autoreleased number.
pub(super) fn number(world: &Arc<World>, value: i64) -> Id {
    make_autoreleased(world, "NSNumber", Payload::Number(value))
}

/// An autoreleased array, which retains the objects.
pub(super) fn array(world: &Arc<World>, items: &[Id]) -> Id {
    // SAFETY: the caller gives live objects.
    items.iter().for_each(|&i| unsafe { retain(i) });
    make_autoreleased(world, "NSArray", Payload::Array(items.to_vec()))
}

/// An autoreleased dictionary, which retains keys and values.
pub(super) fn dictionary(world: &Arc<World>, entries: &[(&str, Id)]) -> Id {
    let entries: Vec<(Id, Id)> = entries
        .iter()
        .map(|&(name, value)| {
            // SAFETY: the caller gives live objects.
            unsafe { retain(value) };
            (make(world, "NSString", Payload::String(c_string(name))), value)
        })
        .collect();
    make_autoreleased(world, "NSDictionary", Payload::Dictionary(Mutex::new(entries)))
}

/// An autoreleased `NSError`.
pub(super) fn error(world: &Arc<World>, domain: &str, code: i64, description: &str) -> Id {
    let text = |t: &str| make(world, "NSString", Payload::String(c_string(t)));
    let payload = Payload::Error { domain: text(domain), code, description: text(description) };
    make_autoreleased(world, "NSError", payload)
}

/// The payload of a live receiver.
unsafe fn payload<'a>(this: Id) -> Option<&'a Payload> {
    // SAFETY: the caller's promise.
    unsafe { object(this) }.map(|o: &Object| &o.payload)
}

unsafe extern "C" fn is_kind_of_class(this: Id, _: Sel, class: Class) -> Bool {
    // SAFETY: the runtime gives a receiver of ours, and classes live as long as their world.
    unsafe {
        let Some(o) = object(this) else { return Bool::NO };
        o.world.classes.is_kind(&*o.class, &*class.0.cast::<FakeClass>()).into()
    }
}

unsafe extern "C" fn string_with_utf8(this: Id, _: Sel, text: *const c_char) -> Id {
    // SAFETY: the receiver is a class; the caller gives a C string.
    let (world, text) = unsafe { (world_of(this), CStr::from_ptr(text)) };
    if text.to_str().is_err() {
        return Id::NIL;
    }
    make_autoreleased(&world, "NSString", Payload::String(text.to_owned()))
}

unsafe extern "C" fn utf8_string(this: Id, _: Sel) -> *const c_char {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::String(s)) => s.as_ptr(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn data_with_bytes(this: Id, _: Sel, bytes: *const c_void, length: u64) -> Id {
    // SAFETY: the receiver is a class; the caller gives so many bytes.
    let (world, bytes) =
        unsafe { (world_of(this), std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize)) };
    make_autoreleased(&world, "NSData", Payload::Data(bytes.into()))
}

unsafe extern "C" fn data_bytes(this: Id, _: Sel) -> *const c_void {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Data(d)) => d.as_ptr().cast(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn data_length(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Data(d)) => d.len() as u64,
        _ => 0,
    }
}

unsafe extern "C" fn number_with_bool(this: Id, _: Sel, value: Bool) -> Id {
    // SAFETY: the receiver is a class.
    number(&unsafe { world_of(this) }, i64::from(value.get()))
}

unsafe extern "C" fn number_with_u64(this: Id, _: Sel, value: u64) -> Id {
    // SAFETY: the receiver is a class.
    number(&unsafe { world_of(this) }, value as i64)
}

unsafe extern "C" fn number_i64(this: Id, _: Sel) -> i64 {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Number(n)) => *n,
        _ => 0,
    }
}

unsafe extern "C" fn array_with_objects(this: Id, _: Sel, objects: *const Id, count: u64) -> Id {
    // SAFETY: the receiver is a class; the caller gives so many objects.
    let (world, objects) = unsafe { (world_of(this), std::slice::from_raw_parts(objects, count as usize)) };
    array(&world, objects)
}

unsafe extern "C" fn array_count(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Array(items)) => items.len() as u64,
        _ => 0,
    }
}

unsafe extern "C" fn array_object_at(this: Id, _: Sel, index: u64) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let Some(o) = (unsafe { object(this) }) else { return Id::NIL };
    let Payload::Array(items) = &o.payload else { return Id::NIL };
    items.get(index as usize).copied().unwrap_or_else(|| {
        o.world.wrong(format!("an array of {} was asked for its object {index}", items.len()));
        Id::NIL
    })
}

unsafe extern "C" fn dictionary_with_objects(
    this: Id,
    _: Sel,
    values: *const Id,
    keys: *const Id,
    count: u64,
) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    let mut entries: Vec<(Id, Id)> = Vec::new();
    for i in 0..count as usize {
        // SAFETY: the caller gives so many live keys and values.
        let (key, value) = unsafe { (*keys.add(i), *values.add(i)) };
        // SAFETY: as above.
        unsafe {
            if entries.iter().any(|&(k, _)| str_of(k) == str_of(key)) {
                continue;
            }
            retain(key);
            retain(value);
        }
        entries.push((key, value));
    }
    make_autoreleased(&world, "NSDictionary", Payload::Dictionary(Mutex::new(entries)))
}

unsafe extern "C" fn dictionary_object_for_key(this: Id, _: Sel, key: Id) -> Id {
    // SAFETY: the runtime gives a receiver of ours, and the caller a live key.
    unsafe {
        match payload(this) {
            Some(Payload::Dictionary(entries)) => {
                let wanted = str_of(key);
                let entries = lock(entries);
                entries.iter().find(|&&(k, _)| str_of(k) == wanted).map_or(Id::NIL, |&(_, v)| v)
            }
            _ => Id::NIL,
        }
    }
}

unsafe extern "C" fn dictionary_all_keys(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let Some(o) = (unsafe { object(this) }) else { return Id::NIL };
    let Payload::Dictionary(entries) = &o.payload else { return Id::NIL };
    let keys: Vec<Id> = lock(entries).iter().map(|&(k, _)| k).collect();
    array(&o.world, &keys)
}

unsafe extern "C" fn mutable_dictionary(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    make_autoreleased(&world, "NSMutableDictionary", Payload::Dictionary(Mutex::default()))
}

/// Sets an entry of a mutable dictionary.
pub(super) unsafe fn set(dictionary: Id, name: &str, value: Id) {
    // SAFETY: the caller gives live objects.
    unsafe {
        let Some(o) = object(dictionary) else { return };
        let Payload::Dictionary(entries) = &o.payload else { return };
        retain(value);
        let mut entries = lock(entries);
        if let Some(old) = entries.iter_mut().find(|e| str_of(e.0) == Some(name)) {
            release(std::mem::replace(&mut old.1, value));
        } else {
            entries.push((make(&o.world, "NSString", Payload::String(c_string(name))), value));
        }
    }
}

unsafe extern "C" fn index_set_contains(this: Id, _: Sel, index: u64) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::IndexSet(set)) => set.contains(&index).into(),
        _ => Bool::NO,
    }
}

unsafe extern "C" fn file_url_with_path(this: Id, _: Sel, path: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live string.
    unsafe {
        let world = world_of(this);
        let Some(path) = str_of(path) else { return Id::NIL };
        url(&world, path)
    }
}

unsafe extern "C" fn error_domain(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Error { domain, .. }) => *domain,
        _ => Id::NIL,
    }
}

unsafe extern "C" fn error_code(this: Id, _: Sel) -> i64 {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Error { code, .. }) => *code,
        _ => 0,
    }
}

unsafe extern "C" fn error_description(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    match unsafe { payload(this) } {
        Some(Payload::Error { description, .. }) => *description,
        _ => Id::NIL,
    }
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(IS_KIND_OF_CLASS, is_kind_of_class);
    all.add(STRING_WITH_UTF8, string_with_utf8);
    all.add(UTF8_STRING, utf8_string);
    all.add(DATA_WITH_BYTES, data_with_bytes);
    all.add(DATA_BYTES, data_bytes);
    all.add(DATA_LENGTH, data_length);
    all.add(NUMBER_WITH_BOOL, number_with_bool);
    all.add(NUMBER_WITH_U64, number_with_u64);
    all.add(NUMBER_I64, number_i64);
    all.add(ARRAY_WITH_OBJECTS, array_with_objects);
    all.add(ARRAY_COUNT, array_count);
    all.add(ARRAY_OBJECT_AT, array_object_at);
    all.add(DICTIONARY_WITH_OBJECTS, dictionary_with_objects);
    all.add(DICTIONARY_OBJECT_FOR_KEY, dictionary_object_for_key);
    all.add(DICTIONARY_ALL_KEYS, dictionary_all_keys);
    all.add(MUTABLE_DICTIONARY, mutable_dictionary);
    all.add(INDEX_SET_CONTAINS, index_set_contains);
    all.add(FILE_URL_WITH_PATH, file_url_with_path);
    all.add(ERROR_DOMAIN, error_domain);
    all.add(ERROR_CODE, error_code);
    all.add(ERROR_DESCRIPTION, error_description);
}
