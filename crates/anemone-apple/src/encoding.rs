//! Type encodings: what Objective-C writes about the types of a method.
//!
//! ```
//! use anemone_apple::encoding::{Arguments, Encode, plain};
//! // Without the offsets that compilers write, an encoding is that of the result, `@:`, and those of the arguments.
//! assert_eq!(plain("B20@0:8I16"), format!("{}@:{}", anemone_apple::Bool::ENCODING, <(u32,)>::ENCODINGS[0]));
//! ```

use std::ffi::{c_char, c_void};

use crate::abi::{Bool, Class, Id, Imp, Sel, SurfaceRef};

/// A type that a message can carry: scalars and pointers only, so that no prototype returns a struct.
///
/// ```
/// use anemone_apple::{Bool, Id, encoding::Encode};
/// assert_eq!((u32::ENCODING, Bool::ENCODING, Id::ENCODING), ("I", "B", "@"));
/// assert_eq!((7u32.scalar(), 7u32.object()), (Some(7), None));
/// assert_eq!(Id::NIL.object(), Some(Id::NIL));
/// ```
pub trait Encode: Copy {
    /// Its encoding.
    const ENCODING: &'static str;
    /// Its value for the message log; `None` for what has no meaning outside of the process.
    fn scalar(self) -> Option<i128>;
    /// The object, if it is one.
    fn object(self) -> Option<Id> {
        None
    }
}

macro_rules! encode {
    ($($t:ty = $encoding:literal, |$v:ident| $scalar:expr;)*) => {
        $(impl Encode for $t {
            const ENCODING: &'static str = $encoding;
            fn scalar(self) -> Option<i128> {
                let $v = self;
                $scalar
            }
        })*
    };
}

encode! {
    () = "v", |_v| None;
    Bool = "B", |v| Some(i128::from(v.get()));
    i8 = "c", |v| Some(v.into());
    i32 = "i", |v| Some(v.into());
    u32 = "I", |v| Some(v.into());
    i64 = "q", |v| Some(v.into());
    u64 = "Q", |v| Some(v.into());
    f64 = "d", |v| Some(v as i128);
    Sel = ":", |_v| None;
    SurfaceRef = "^{__IOSurface=}", |_v| None;
    *mut Id = "^@", |_v| None;
    *const Id = "r^@", |_v| None;
    *mut u32 = "^I", |_v| None;
    *mut c_void = "^v", |_v| None;
    *mut *mut c_void = "^^v", |_v| None;
    *const c_void = "r^v", |_v| None;
    *const c_char = "r*", |_v| None;
}

impl Encode for Id {
    const ENCODING: &'static str = "@";
    fn scalar(self) -> Option<i128> {
        None
    }
    fn object(self) -> Option<Id> {
        Some(self)
    }
}

impl Encode for Class {
    const ENCODING: &'static str = "#";
    fn scalar(self) -> Option<i128> {
        None
    }
}

/// A block; it is passed as the address of its literal.
///
/// ```
/// use anemone_apple::encoding::{BlockRef, Encode};
/// assert_eq!(BlockRef::ENCODING, "@?");
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct BlockRef(pub *const c_void);

impl Encode for BlockRef {
    const ENCODING: &'static str = "@?";
    fn scalar(self) -> Option<i128> {
        None
    }
}

/// The arguments of a message: a tuple of at most nine.
///
/// ```
/// use anemone_apple::{Id, Sel, encoding::Arguments};
/// unsafe extern "C" fn add(_: Id, _: Sel, a: i64, b: u32) -> i64 {
///     a + i64::from(b)
/// }
/// assert_eq!(<(i64, u32)>::ENCODINGS, ["q", "I"]);
/// let imp = <(i64, u32)>::erase::<i64>(add);
/// // SAFETY: it has this prototype, and looks at neither receiver nor selector.
/// assert_eq!(unsafe { (40, 2).call::<i64>(imp, Id::NIL, Sel(std::ptr::null())) }, 42);
/// let mut logged = Vec::new();
/// (40i64, 2u32).each(&mut |scalar, _| logged.push(scalar));
/// assert_eq!(logged, [Some(40), Some(2)]);
/// ```
pub trait Arguments: Copy {
    /// The prototype of the function that carries the message out.
    type Function<R: Encode>: Copy;
    /// The encodings of the arguments.
    const ENCODINGS: &'static [&'static str];

    /// The function as one without a prototype.
    fn erase<R: Encode>(function: Self::Function<R>) -> Imp;

    /// Calls the function.
    ///
    /// # Safety
    ///
    /// `imp` has this prototype, and receiver and arguments are what the method asks for.
    unsafe fn call<R: Encode>(self, imp: Imp, receiver: Id, selector: Sel) -> R;

    /// Visits the arguments in order, with their scalar value or their object.
    fn each(self, visit: &mut dyn FnMut(Option<i128>, Option<Id>));
}

macro_rules! arguments {
    ($($name:ident)*) => {
        #[allow(non_snake_case)]
        impl<$($name: Encode),*> Arguments for ($($name,)*) {
            type Function<R: Encode> = unsafe extern "C" fn(Id, Sel $(, $name)*) -> R;
            const ENCODINGS: &'static [&'static str] = &[$($name::ENCODING),*];

            fn erase<R: Encode>(function: Self::Function<R>) -> Imp {
                // SAFETY: both are pointers to functions; the result is cast back before it is called.
                unsafe { std::mem::transmute::<Self::Function<R>, Imp>(function) }
            }

            unsafe fn call<R: Encode>(self, imp: Imp, receiver: Id, selector: Sel) -> R {
                let ($($name,)*) = self;
                // SAFETY: the caller vouches for the prototype.
                let function = unsafe { std::mem::transmute::<Imp, Self::Function<R>>(imp) };
                // SAFETY: the caller vouches for receiver and arguments.
                unsafe { function(receiver, selector $(, $name)*) }
            }

            fn each(self, visit: &mut dyn FnMut(Option<i128>, Option<Id>)) {
                let ($($name,)*) = self;
                let _ = &visit;
                $(visit($name.scalar(), $name.object());)*
            }
        }
    };
}

arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);
arguments!(A B C D E F G);
arguments!(A B C D E F G H);
arguments!(A B C D E F G H I);

/// The encoding of a method: the result, receiver and selector, the arguments.
pub(crate) fn of_method<A: Arguments, R: Encode>() -> String {
    let mut encoding = String::from(R::ENCODING);
    encoding.push_str("@:");
    A::ENCODINGS.iter().for_each(|e| encoding.push_str(e));
    encoding
}

/// An encoding without what compilers may write one way or another: the frame offsets, and the qualifiers of pointers.
///
/// ```
/// # use anemone_apple::encoding::plain;
/// assert_eq!(plain("B36@0:8I16@20^@28"), "B@:I@^@");
/// assert_eq!(plain("@88@0:8r^v16Q24"), plain("@@:^vQ"));
/// assert_eq!(plain("@24@0:8^{__IOSurface=}16"), "@@:^{__IOSurface=}");
/// ```
pub fn plain(encoding: &str) -> String {
    let mut depth = 0;
    let mut quoted = false;
    let mut plain = String::with_capacity(encoding.len());
    for c in encoding.chars() {
        match c {
            '"' => quoted = !quoted,
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        let offset = c.is_ascii_digit() && depth == 0;
        let qualifier = depth == 0 && matches!(c, 'r' | 'n' | 'N' | 'o' | 'O' | 'R' | 'V');
        // The class that follows an object is documentation; runtimes leave it out of methods.
        if !(offset || qualifier || quoted || c == '"') {
            plain.push(c);
        }
    }
    plain
}
