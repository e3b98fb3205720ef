//! Reads a program, changes an op in it, checks what came of it, and prints it.
//!
//! `cargo run --example edit_program`
#![allow(clippy::print_stdout)]

use anemone::bundle::Weights;
use anemone::mil::{Argument, Binding, Call, Operand, Program, Value};
use anemone::source::{Diagnostics, Source, Span, render};
use anemone::types::{DType, Tensor};
use anemone::{text, verify};

const TEXT: &str = r#"program(1.3) {
    func main<ios18>(tensor<fp16, [1, 4]> x, tensor<fp16, [1, 4]> bias) {
        tensor<fp16, [1, 4]> moved = add(x = x, y = bias);
        tensor<fp16, [1, 4]> y = relu(x = moved)[name = string("activation")];
    } -> (y);
}"#;

pub(crate) fn main() -> Result<(), Diagnostics> {
    // A program is a plain value: functions, with calls, with arguments.
    let mut program = text::parse(TEXT)?;
    // An op is only a name here, and this one is not quite right: nothing minds until the program is verified.
    activation(&mut program).op = "leaky_rellu".into();
    check(&program);

    // The right name; and now a parameter is missing.
    activation(&mut program).op = "leaky_relu".into();
    check(&program);

    // A literal as its argument. It stands in no text, and so has no place in one.
    let slope = Value::from(Tensor::scalar(DType::Fp16, 0.125));
    activation(&mut program).arguments.push(Argument {
        name: "alpha".into(),
        binding: Binding::One(Operand::Value(slope, Span::default())),
        span: Span::default(),
    });
    check(&program);

    println!("{}", text::print(&program));
    Ok(())
}

/// The statement with the activation.
fn activation(program: &mut Program) -> &mut Call {
    program.functions[0].body.calls.last_mut().expect("the text above has two")
}

/// Says what is wrong with a program, in the text that it prints to.
fn check(program: &Program) {
    let source = Source::new("edited.mil", text::print(program));
    let printed = text::parse(&source.text).expect("what is printed can be read");
    for diagnostic in verify::verify(&printed, &Weights::none()).diagnostics.iter() {
        println!("{}\n", render(diagnostic, Some(&source), false));
    }
}
