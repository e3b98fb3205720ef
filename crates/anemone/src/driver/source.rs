//! The text of a kernel, with the shapes of what it takes and gives.

use crate::client::engine::Checked;
use crate::device::ane;
use crate::error::Error;
use crate::mil::{self, generate};
use crate::source::{Diagnostic, Diagnostics, Span, codes};
use crate::surface::TensorLayout;
use crate::types::DType;
use crate::verify;

/// The MIL text of a kernel that takes one tensor `[1, channels, 1, spatial]` of fp16 numbers and gives one.
///
/// ```
/// use anemone::driver::Source;
/// let source = Source::matmul(64, 128, 32);
/// assert_eq!((source.input_shape(), source.output_shape()), ((64, 160), (128, 32)));
/// assert_eq!(source.input_size(), 64 * 160 * 2);
/// assert!(source.as_str().starts_with("program(1.0)"));
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    text: String,
    /// Why there is no text.
    refused: Option<Diagnostics>,
    input: Extent,
    output: Extent,
}

/// Channels, and how many numbers each has.
type Extent = (usize, usize);

impl Source {
    /// A kernel of any text, which takes `[1, in_ch, 1, in_sp]` and gives `[1, out_ch, 1, out_sp]`.
    ///
    /// The shapes of the text are what counts: numbers that contradict them are refused when the source is compiled. Of
    /// a tensor with a height, `spatial` is the elements of a channel.
    pub fn from_text(
        mil: impl Into<String>,
        in_ch: usize,
        in_sp: usize,
        out_ch: usize,
        out_sp: usize,
    ) -> Self {
        Self { text: mil.into(), refused: None, input: (in_ch, in_sp), output: (out_ch, out_sp) }
    }

    /// A product with a matrix that is given when the kernel runs: the input `[1, ic, 1, seq + oc]` holds the activations
    /// and behind them the matrix, the output is `[1, oc, 1, seq]`. The text is in the form that the system's compiler takes.
    ///
    /// With `x[c][s]` at channel `c` and place `s`, and the matrix `w[c][o]` at channel `c` and place `seq + o`, the
    /// output at channel `o` and place `s` is the sum of `x[c][s] * w[c][o]` over all channels.
    ///
    /// Numbers of which there is no such program give a source without text; compiling it says what is wrong with them, at
    /// the line that called.
    #[track_caller]
    pub fn matmul(ic: usize, oc: usize, seq: usize) -> Self {
        let caller = std::panic::Location::caller();
        let made = if ic == 0 || oc == 0 || seq == 0 {
            let message = format!("a product of {seq} rows of {ic} numbers and {oc} columns has no elements");
            Err(Diagnostic::new(&codes::SHAPE_MISMATCH, message).at_rust(caller, "this product").into())
        } else {
            generate::dynamic_matmul(ic, oc, seq)
        };
        let made = made.and_then(|built| ane::Source::of(&built.program, &built.verified, &built.weights));
        let (text, refused) = match made {
            Ok(source) => (source.text().into(), None),
            Err(wrong) => (String::new(), Some(wrong)),
        };
        Self { text, refused, input: (ic, seq.saturating_add(oc)), output: (oc, seq) }
    }

    /// The channels of the input, and the numbers of each.
    pub fn input_shape(&self) -> (usize, usize) {
        self.input
    }

    /// The channels of the output, and the numbers of each.
    pub fn output_shape(&self) -> (usize, usize) {
        self.output
    }

    /// The bytes of the input's numbers: `channels * spatial * 2`. A surface needs as many where the rows are multiples
    /// of 64 bytes, and more where they are not: see [`TensorLayout`].
    pub fn input_size(&self) -> usize {
        bytes(self.input)
    }

    /// The bytes of the output's numbers: `channels * spatial * 2`.
    pub fn output_size(&self) -> usize {
        bytes(self.output)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The program of the text.
    pub(super) fn parse(&self) -> Result<mil::Program, Diagnostics> {
        match &self.refused {
            Some(wrong) => Err(wrong.clone()),
            None => crate::text::parse(&self.text),
        }
    }

    /// Compares the shapes with those of the text.
    pub(super) fn fits(&self, checked: &Checked) -> Result<(), Error> {
        let function = checked.function("")?;
        let written = checked.program.function(&function.name).expect("a verified function was written");
        let mut wrong = Diagnostics::default();
        for state in function.states() {
            let message = format!("a kernel has no states, and `{}` is one", state.name);
            let d = Diagnostic::new(&codes::INTERFACE_MISMATCH, message);
            wrong.push(d.at(of_param(written, &state.name), "a state").help("run it by `anemone::Client`"));
        }
        let inputs: Vec<_> = function.inputs().map(|v| (v, of_param(written, &v.name))).collect();
        compare("input", self.input, &inputs, written.span, &mut wrong)?;
        let outputs: Vec<_> = function.outputs().zip(written.body.outputs.iter().map(|u| u.span)).collect();
        compare("output", self.output, &outputs, written.span, &mut wrong)?;
        if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
    }
}

fn bytes((channels, spatial): Extent) -> usize {
    channels.saturating_mul(spatial).saturating_mul(2)
}

/// Where the type of a parameter stands.
fn of_param(function: &mil::Function, name: &str) -> Span {
    function.params.iter().find(|p| p.name == name).map_or(function.span, |p| p.ty_span)
}

/// Compares one side of a kernel with what is in the text.
fn compare(
    what: &str,
    stated: Extent,
    found: &[(&verify::Value, Span)],
    function: Span,
    wrong: &mut Diagnostics,
) -> Result<(), Error> {
    let mismatch = |message: String| Diagnostic::new(&codes::INTERFACE_MISMATCH, message);
    let [(value, span)] = found else {
        let d = mismatch(format!("a kernel has one {what}, and this program has {}", found.len()));
        wrong.push(d.at(function, format!("{} {what}s", found.len())).help("run it by `anemone::Client`"));
        return Ok(());
    };
    let Some(ty) = value.ty.as_tensor() else {
        wrong.push(
            mismatch(format!("the {what} of a kernel is a tensor, and `{}` is `{}`", value.name, value.ty))
                .at(*span, "no tensor"),
        );
        return Ok(());
    };
    let layout = TensorLayout::of(&value.name, ty)?;
    let extent = (layout.channels, layout.channel_elements());
    if extent != stated || ty.dtype != DType::Fp16 {
        let ((channels, spatial), (c, s)) = (stated, extent);
        let message = format!(
            "the source states {channels} channels of {spatial} fp16 numbers for the {what}, and `{}` is `{ty}`",
            value.name
        );
        let d = mismatch(message).at(*span, format!("{c} channels of {s} {} numbers", ty.dtype));
        wrong.push(d.help("state what the text says, or change the text"));
    }
    Ok(())
}
