//! MIL text: read, print, format.
//!
//! [`parse`] makes a [`Program`](crate::mil::Program) of a text, [`print()`] makes a text of a program, exactly as
//! Apple's compiler does, and [`format()`] lays out a text without changing what is written in it.
//!
//! ```
//! let text = r#"program(1.3) {
//!     func main<ios18>(tensor<fp16, [4]> x) {
//!         tensor<fp16, [4]> y = mul(x=x, y=fp16(0.5))[name=string("half")];
//!     } -> (y);
//! }"#;
//! let program = anemone::text::parse(text)?;
//! assert_eq!(program.functions[0].body.calls[0].op, "mul");
//! assert!(anemone::text::print(&program).contains("mul(x = x, y = fp16(0x1p-1))[name = string(\"half\")];"));
//! # Ok::<(), anemone::source::Diagnostics>(())
//! ```

mod format;
#[cfg(test)]
mod generate;
mod lexer;
mod number;
mod parser;
mod printer;

pub use format::format;
pub use lexer::{Kind as TokenKind, Lexer, Token};
pub use parser::{parse, parse_with};
pub use printer::{print, print_as, write};

use crate::source::{Diagnostic, Diagnostics, codes};

/// The longest text that is read, in bytes: 1 GiB. Weights do not belong into the text.
///
/// ```
/// assert_eq!(anemone::text::MAX_BYTES, 1 << 30);
/// ```
pub const MAX_BYTES: usize = 1 << 30;

/// How deep blocks, types and values may be nested in each other, taken together.
///
/// ```
/// use anemone::text::{MAX_DEPTH, parse};
/// let deep = format!("program(1.3) {{ func f<ios18>() {{ {} }} -> (); }}", "(".repeat(MAX_DEPTH + 1));
/// assert!(parse(&deep).is_err());
/// ```
pub const MAX_DEPTH: usize = 128;

/// The text of a file.
///
/// ```
/// use anemone::text;
/// assert_eq!(text::decode(b"program(1.3) { }".to_vec()).unwrap(), "program(1.3) { }");
/// assert!(text::decode(vec![0xff, 0xfe]).is_err());
/// ```
///
/// # Errors
///
/// `bad-encoding` when the bytes are not UTF-8, `text-too-large` when there are more than [`MAX_BYTES`] of them.
pub fn decode(bytes: Vec<u8>) -> Result<String, Diagnostics> {
    check_size(bytes.len())?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let d = Diagnostic::new(&codes::BAD_ENCODING, format!("the text is not UTF-8 from byte {at} on"));
        let d = match e.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => d.note("it starts as UTF-16 does"),
            _ => d,
        };
        d.in_field(format!("byte {at}")).help("save the file as UTF-8").into()
    })
}

fn check_size(bytes: usize) -> Result<(), Diagnostic> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let message = format!("the text has {bytes} bytes, and at most {MAX_BYTES} are read");
    Err(Diagnostic::new(&codes::TEXT_TOO_LARGE, message).help("move large values into a weight file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        let found = decode(bytes.to_vec()).map_err(|d| d.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn only_utf8_is_read() {
        check("é".as_bytes(), Ok("é"));
        check(b"ab\xffcd", Err("error[bad-encoding]: the text is not UTF-8 from byte 2 on"));
        check(b"\xff\xfep\0", Err("error[bad-encoding]: the text is not UTF-8 from byte 0 on"));
    }
}
