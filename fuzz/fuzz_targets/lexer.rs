//! Every byte of a text belongs to exactly one token.
#![no_main]

use anemone::text::{Lexer, TokenKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lexer = Lexer::new(text);
    let mut at = 0;
    loop {
        let token = lexer.next();
        assert_eq!(token.span.start as usize, at, "a gap or an overlap");
        at = token.span.end as usize;
        if token.kind == TokenKind::End {
            break;
        }
        assert!(token.span.end > token.span.start, "a token of no bytes");
        assert!(text.is_char_boundary(at), "a token ends inside a character");
    }
    assert_eq!(at, text.len(), "bytes without a token");
});
