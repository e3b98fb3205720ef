//! Runs as applications make them, through a client, on an engine that misbehaves.

use anemone::device::{Options, Outputs};
use anemone::faults::Faults;
use anemone::types::{Datum, Tensor};
use anemone::verify::Function;
use anemone::{Chip, Client, CompileOptions, Error, Request, TensorLayout};

use crate::engine::Refusal;
use crate::inputs::Input;
use crate::model::Model;

/// What is compiled and loaded, and what is to be run on it.
pub(crate) struct Ready<'a> {
    request: Request,
    inputs: &'a [Input],
}

impl<'a> Ready<'a> {
    /// Compiles and loads a function, and writes its inputs.
    pub(crate) fn new(
        faults: &Faults,
        model: &Model,
        function: &Function,
        options: &Options,
        inputs: &'a [Input],
    ) -> Result<Self, Refusal> {
        let client = Client::software_with_faults(Chip::default(), options.numerics, faults);
        let how = CompileOptions {
            function: function.name.to_string(),
            threads: options.threads,
            ..CompileOptions::default()
        };
        let compiled = client.compile_program(&model.program, &model.weights, &how)?;
        Ok(Self { request: compiled.new_request()?, inputs })
    }

    /// Runs it once.
    pub(crate) fn run(&mut self) -> Result<Outputs, Refusal> {
        for input in self.inputs {
            let at = self.request.inputs().iter().position(|p| p.name == *input.name);
            let Some(at) = at else { continue };
            let layout = self.request.inputs()[at].layout;
            self.request.with_locked_input(at, |bytes| {
                for (start, row) in rows(&layout).zip(input.tensor.bytes().chunks_exact(width(&layout))) {
                    bytes[start..start + row.len()].copy_from_slice(row);
                }
            })?;
        }
        self.request.run()?;
        let mut outputs = Outputs::new();
        for (at, port) in self.request.outputs().iter().enumerate() {
            let layout = &port.layout;
            let read = |bytes: &[u8]| {
                rows(layout)
                    .flat_map(|start| bytes[start..start + width(layout)].to_vec())
                    .collect::<Vec<_>>()
            };
            let bytes = self.request.with_locked_output(at, read)?;
            let tensor = Tensor::from_bytes(port.dtype, &port.shape, &bytes)
                .map_err(|e| Refusal::World(e.to_string()))?;
            outputs.push((port.name.clone(), Datum::Tensor(tensor)));
        }
        Ok(outputs)
    }
}

/// The bytes of a row, without its padding.
fn width(layout: &TensorLayout) -> usize {
    (layout.width * layout.elem_size).max(1)
}

/// Where the rows of a tensor begin.
fn rows(layout: &TensorLayout) -> impl Iterator<Item = usize> + '_ {
    (0..layout.channels)
        .flat_map(move |c| (0..layout.height).map(move |h| c * layout.plane_stride + h * layout.row_stride))
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        match e {
            Error::Program(diagnostics) => Refusal::Form(diagnostics),
            e => Refusal::World(e.to_string()),
        }
    }
}
