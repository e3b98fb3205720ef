use proptest::prelude::*;

use super::super::{MAX_DEPTH, generate, print};
use super::*;

/// Reads a text and compares what is said of it: for each report its code and the text that it points at.
fn check(text: &str, expected: &[(&str, &str)]) {
    let mut diagnostics = Diagnostics::default();
    let program = parse_with(text, &mut diagnostics);
    assert_eq!(program.is_some(), !diagnostics.has_errors());
    let found: Vec<_> = diagnostics.iter().map(|d| (d.code.name, d.span().unwrap().of(text))).collect();
    assert_eq!(found, expected, "{text}");
}

/// As [`check`], for one or more statements.
fn check_in_function(statements: &str, expected: &[(&str, &str)]) {
    check(&format!("program(1.3) {{ func f<ios18>(int32 x) {{ {statements} }} -> (x); }}"), expected);
}

/// Reads a literal, and compares what is said of it.
fn check_literal(literal: &str, expected: &[(&str, &str)]) {
    check_in_function(&format!("g(x = {literal});"), expected);
}

/// The first report on a text.
fn first(text: &str) -> Diagnostic {
    parse(text).unwrap_err().into_iter().next().unwrap()
}

/// Row B1: with and without what built it.
#[test]
fn the_smallest_programs() {
    check("program(1.0){}", &[]);
    check("program(1)[]{}", &[]);
    check("// c\nprogram /* c */ (1.3) { func f<CoreML8>() {} -> (); } // end", &[]);
    check("", &[("unexpected-token", "")]);
    check("progam(1.0){}", &[("unexpected-token", "progam")]);
    check("program(2.0){}", &[("bad-version", "2.0")]);
    check("program(1.0){} x", &[("trailing-text", "x")]);
    check("program(1.0){", &[("unexpected-token", "")]);
    assert_eq!(first("progam(1.0){}").help.unwrap(), "write `program`");
}

/// Rows B5, B6, B8: arguments, attributes, literals in place, an opset at the op.
#[test]
fn statements_of_every_form() {
    check_in_function("write_state(data = v, input = k)[name = string(\"w\")];", &[]);
    check_in_function("int8 a, tensor<fp16, [1, ?]> b = split<ios17>(x = x, y = (a, int8(3)), z = ());", &[]);
    check_in_function("fp16 c = const()[val = fp16(inf)];", &[]);
    check_in_function("state<tensor<fp16, [1]>> s = f();", &[]);
    check_in_function("int8 inf = f(x = nan_1, y = tensor);", &[]);
    check_in_function("f(w = tensor<fp16, [2]>(BLOBFILE(path = string(\"w\"), offset = uint64(64))));", &[]);
    check_in_function(
        "int32 y = cond(p = p) block () { } -> (a) block (int8 b) [n = int8(1)] { } -> (b);",
        &[],
    );
}

#[test]
fn an_error_in_one_statement_does_not_hide_the_next() {
    check_in_function(
        "int8 a = relu(x); int8 b = f(x = 1, y = [0, 2]); fp17 c = f(); int8 d = f(x = x)) ; int8 e = f(x ! = x);",
        &[
            ("positional-argument", "x"),
            ("untyped-value", "1"),
            ("untyped-value", "[0, 2]"),
            ("unknown-type", "fp17"),
            ("unexpected-token", ")"),
            ("unexpected-character", "!"),
        ],
    );
    check(
        "program(1.3) { func f() { int8 a = f(1); } -> (); funk g<ios18>() {} -> (); func h<ios18>() { a b c; } -> (); }",
        &[
            ("unexpected-token", "("),
            ("positional-argument", "1"),
            ("unexpected-token", "funk"),
            ("unknown-type", "a"),
        ],
    );
}

#[test]
fn a_missing_semicolon_is_only_that() {
    check_in_function("f(x = x)\n g(x = x);", &[("unexpected-token", ")")]);
    check_in_function("f(x = x)", &[("unexpected-token", ")")]);
    check_in_function("f(x = x) g(x = x);", &[("unexpected-token", "g")]);
}

#[test]
fn a_block_that_is_not_closed() {
    check(
        "program(1.3) { func f<ios18>() { g(); func h<ios18>() { } -> (); }",
        &[("unexpected-token", "func")],
    );
    check("program(1.3) { func f<ios18>() { g();", &[("unexpected-token", "")]);
}

#[test]
fn helps_show_the_right_form() {
    let help = |statement: &str| {
        first(&format!("program(1.3) {{ func f<ios18>() {{ {statement} }} -> (); }}")).help.unwrap()
    };
    assert_eq!(help("f(axes=[0,2,3]);"), "write `tensor<int32, [3]>([0,2,3])`");
    assert_eq!(help("f(a=[[1, 0.5]]);"), "write `tensor<fp32, [1, 2]>([[1, 0.5]])`");
    assert_eq!(help("f(a=true);"), "write `bool(true)`");
    assert_eq!(help("f()[name = \"n\"];"), "write `string(\"n\")`");
    assert_eq!(help("f(a=[[1], 2]);"), "write the type before the value: `type(value)`");
    assert_eq!(help("f(a);"), "write the name of the parameter before it, such as `x = a`");
    assert_eq!(help("y = f();"), "write the type before the name, such as `tensor<fp16, [1, 8]> y`");
    assert_eq!(help("float16 y = f();"), "write `fp16`");
    assert_eq!(help("tenser<fp16, [1]> y = f();"), "write `tensor`");
    assert_eq!(help("f(x = relu(x = y));"), "bind the result of an op to a name in a statement of its own");
    let d = first("program(1.0) { func f<ios15>() { f(a = 1); } -> (); }");
    assert_eq!(d.help.unwrap(), "write `tensor<int32, []>(1)`");
}

/// Row B23: within a function, and functions in a program.
#[test]
fn names_are_given_once() {
    check_in_function("f(a = x, b = x, a = y);", &[("duplicate-argument", "a")]);
    check_in_function("f()[n = int8(1), n = int8(2)];", &[("duplicate-attribute", "n")]);
    let many: Vec<String> = (0..40).map(|i| format!("a{} = x", i % 39)).collect();
    check_in_function(&format!("f({});", many.join(", ")), &[("duplicate-argument", "a0")]);
}

#[test]
fn a_name_may_be_the_word_of_a_literal() {
    check_in_function("tensor<bool, [1]> y = f(x = false);", &[("untyped-value", "false")]);
    check_in_function(
        "tensor<bool, [1]> false = f(); tensor<bool, [1]> y = f(x = false, y = (a, false));",
        &[],
    );
}

/// Row B10: in both dialects.
#[test]
fn types() {
    check_in_function("tensor<fp16, [1.5]> y = f();", &[("bad-dimension", "1.5")]);
    check_in_function("tensor<fp16, [-1]> y = f();", &[("bad-dimension", "-1")]);
    check_in_function("tensor<fp16, [n]> y = f();", &[("bad-dimension", "n")]);
    check_in_function(
        "tensor<fp16, [99999999999999999999]> y = f();",
        &[("bad-dimension", "99999999999999999999")],
    );
    check_in_function("tensor<fp16, [18446744073709551615]> y = f();", &[]);
    check_in_function("tensor<fp16> y = f();", &[("unexpected-token", ">")]);
    check_in_function("list<int8, ?> y = f();", &[]);
    let long = format!("[{}]", ["1"; 65].join(", "));
    check_in_function(&format!("tensor<fp16, {long}> y = f();"), &[("bad-dimension", &long)]);
    check_in_function("tensor_buffer<fp16, shape=[1]> y = f();", &[("unexpected-token", ">")]);
    check_in_function("tensor_buffer<fp16, shapes=[1]> y = f();", &[("unexpected-token", "shapes")]);
}

#[test]
fn values_fit_their_type() {
    check_literal("int8(300)", &[("value-range", "300")]);
    check_literal("uint4(-1)", &[("value-range", "-1")]);
    check_literal("int32(1.5)", &[("value-type", "1.5")]);
    check_literal("int32(true)", &[("value-type", "true")]);
    check_literal("bool(1)", &[("value-type", "1")]);
    check_literal("string(x)", &[("value-type", "x")]);
    check_literal("fp16(\"1\")", &[("value-type", "\"1\"")]);
    check_literal("fp16(1x)", &[("bad-number", "1x")]);
    check_literal("fp16(0x3c00)", &[]);
    check_literal("fp16(0x13c00)", &[("value-range", "0x13c00")]);
    check_literal("fp16([1])", &[("value-shape", "[")]);
    check_literal("state<int8>(1)", &[("value-type", "1")]);
    check_literal("tensor<int8, [2]>([1000, 2000])", &[("value-range", "1000"), ("value-range", "2000")]);
}

#[test]
fn only_numbers_that_leave_their_type_are_called_rounded() {
    check_literal("fp16(0.1)", &[]);
    check_literal("fp16(1e6)", &[("value-rounded", "1e6")]);
    check_literal("fp16(-1e-30)", &[("value-rounded", "-1e-30")]);
    check_literal("fp16(-inf)", &[]);
}

#[test]
fn values_fit_their_shape() {
    check_literal("tensor<int8, [2, 2]>([[1, 2], [3]])", &[("value-shape", "[3]")]);
    check_literal("tensor<int8, [2]>([1, 2, 3])", &[("value-shape", "[1, 2, 3]")]);
    check_literal("tensor<int8, [2]>([[1, 2]])", &[("value-shape", "[")]);
    check_literal("tensor<int8, [2]>(1)", &[("value-shape", "1")]);
    check_literal("tensor<int8, [?, ?]>([[1, 2], [3]])", &[("value-shape", "[3]")]);
    check_literal("tensor<int8, [?, 3]>([])", &[]);
    check_literal("tensor<int8, [2, 3]>([])", &[("value-shape", "[]")]);
    check_literal("tensor<int8, [1152921504606846976, 0]>([])", &[("tensor-too-large", "[]")]);
    check_literal("list<int8, 2>([1])", &[("value-shape", "[1]")]);
    check_literal("tuple<int8, bool>((1))", &[("value-shape", "(1)")]);
    check_literal("tuple<int8>((1, 2))", &[("value-shape", "2")]);
    check_literal("dict<string, int8>({{\"a\", 1}, {\"b\"}})", &[("unexpected-token", "}")]);
    check_literal("list<int8, ?>(1)", &[("value-type", "1")]);
}

#[test]
fn strings() {
    check_literal(r#"string("a\"\\\n\t\r")"#, &[]);
    check_literal(r#"string("é\q")"#, &[("bad-escape", r"\q")]);
    check("program(1.3)[a = string(\"x)]{\n}", &[("unterminated-string", "\"x)]{")]);
    check("program(1.3){ /* func }", &[("unterminated-comment", "/*")]);
}

/// Row B24: down to the word.
#[test]
fn spans_name_what_they_say() {
    let text = "program(1.3)[info = string(\"i\")]{ func f <ios18>(int32 x) { \
                tensor<fp16, [1]> y = op(a = x, b = (z, fp16(1)))[n = bool(true)]; } -> (x, y); }";
    let program = parse(text).unwrap();
    let function = &program.functions[0];
    let call = &function.body.calls[0];
    let values = call.arguments[1].binding.operands();
    let spans = [
        (program.attributes[0].span, "info"),
        (program.attributes[0].value_span, "string(\"i\")"),
        (function.span, "func f"),
        (function.opset_span, "ios18"),
        (function.params[0].span, "x"),
        (function.params[0].ty_span, "int32"),
        (function.body.span, "(x, y)"),
        (function.body.outputs[1].span, "y"),
        (call.span, "tensor<fp16, [1]> y = op(a = x, b = (z, fp16(1)))[n = bool(true)];"),
        (call.op_span, "op"),
        (call.outputs[0].span, "y"),
        (call.outputs[0].ty_span, "tensor<fp16, [1]>"),
        (call.arguments[0].span, "a"),
        (call.arguments[0].binding.operands()[0].span(), "x"),
        (values[0].span(), "z"),
        (values[1].span(), "fp16(1)"),
        (call.attributes[0].span, "n"),
        (call.attributes[0].value_span, "bool(true)"),
    ];
    for (span, expected) in spans {
        assert_eq!(span.of(text), expected);
    }
}

#[test]
fn nesting_is_bounded() {
    let types = |n: usize| format!("{}int8{} y = f();", "state<".repeat(n), ">".repeat(n));
    check_in_function(&types(MAX_DEPTH), &[]);
    check_in_function(&types(MAX_DEPTH + 1), &[("too-deep", "<")]);
    let blocks = |n: usize| format!("{}{}", "f() block () { ".repeat(n), "} -> (); ".repeat(n));
    check_in_function(&blocks(MAX_DEPTH), &[]);
    let text = format!("program(1.3) {{ func f<ios18>() {{ {} }} -> (); }}", blocks(100_000));
    assert_eq!(first(&text).code.name, "too-deep");
    let value = format!("f(x = list<int8, ?>({}));", "[".repeat(1_000_000));
    check_in_function(&value, &[("value-shape", "[")]);
}

#[test]
fn nested_values_cannot_multiply_their_types() {
    let ty = format!("tuple<{}>", ["int8"; 1000].join(", "));
    let values = ["[]"; 10_000].join(", ");
    let text = format!("program(1.3)[a = list<list<{ty}, ?>, ?>([{values}])]{{}}");
    assert_eq!(first(&text).code.name, "text-too-large");
}

#[test]
fn hundreds_of_errors_are_counted() {
    let statements = "f(1); ".repeat(1000);
    let text = format!("program(1.3) {{ func f<ios18>() {{ {statements} }} -> (); }}");
    let errors = parse(&text).unwrap_err();
    assert_eq!((errors.errors(), errors.iter().len()), (1000, Diagnostics::LIMIT));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Cuts, doubles and replaces pieces of a program: reading it ends, and every report points into the text.
    #[test]
    fn a_damaged_program_does_no_harm(
        program in generate::program(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..20usize, "[()<>{}\\[\\];,=\"/*a0.é-]{0,2}"), 1..4),
    ) {
        let mut text: Vec<char> = print(&program).chars().collect();
        for (at, length, with) in damage {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        let mut diagnostics = Diagnostics::default();
        let program = parse_with(&text, &mut diagnostics);
        prop_assert_eq!(program.is_some(), !diagnostics.has_errors());
        for d in diagnostics.iter() {
            prop_assert!(text.get(d.span().unwrap().range()).is_some());
        }
        if let Some(program) = program {
            let printed = print(&program);
            prop_assert_eq!(print(&parse(&printed).unwrap()), printed);
        }
    }

    #[test]
    fn any_text_does_no_harm(text in "\\PC{0,80}") {
        let _ = parse(&text);
        let _ = parse(&format!("program(1.3) {{ func f<ios18>() {{ {text}"));
    }
}
