//! No text makes the parser, the formatter or the renderer of diagnostics panic; a refused text has a reason.
#![no_main]

use anemone::source::{Diagnostics, Source, render};
use anemone::text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut diagnostics = Diagnostics::default();
    let program = text::parse_with(input, &mut diagnostics);
    assert_eq!(program.is_none(), diagnostics.has_errors(), "a program and errors exclude each other");
    let source = Source::new("input", input);
    for d in diagnostics.iter().take(20) {
        let drawn = render(d, Some(&source), false);
        assert!(drawn.contains(d.code.name));
        if let Some(span) = d.span() {
            assert!(span.end as usize <= input.len() && span.start <= span.end);
        }
    }
    if let Ok(formatted) = text::format(input) {
        assert_eq!(text::format(&formatted).as_deref().ok(), Some(&*formatted), "formatting twice");
    }
});
