//! A program of one input and one output, of fp16 rows, that is run on surfaces of its own.

use std::sync::Arc;

use super::engine::{Checked, Loaded};
use super::{Client, CompileOptions, Request};
use crate::device::ane::StatisticsMask;
use crate::error::Error;
use crate::graph::Built;
use crate::surface::{ReadGuard, TensorLayout, WriteGuard};
use crate::types::DType;

/// A program that takes `[1, channels, 1, places]` and gives one such tensor, both of fp16.
#[derive(Clone, Debug)]
pub(crate) struct RowProgram {
    client: Client,
    checked: Arc<Checked>,
    options: CompileOptions,
    loaded: Loaded,
}

/// A [`RowProgram`] with surfaces.
#[derive(Debug)]
pub(crate) struct Kernel {
    program: RowProgram,
    request: Request,
    /// The same program with statistics on the same surfaces, once they were asked for.
    measured: Option<Request>,
}

impl RowProgram {
    /// Compiles and loads a program.
    pub(crate) fn new(client: &Client, built: Built, qos: u32) -> Result<Self, Error> {
        let options = CompileOptions { qos, ..CompileOptions::default() };
        let checked = Checked::of_built(built);
        let loaded = client.compile_checked(&checked, options.how()?)?.load()?;
        for port in loaded.inputs().iter().chain(loaded.outputs()) {
            let places = port.shape.last().copied().unwrap_or(1);
            let rows = (port.layout.channels, port.layout.height, port.layout.width);
            if port.dtype != DType::Fp16 || rows != (port.shape.iter().product::<usize>() / places, 1, places)
            {
                return Err(Error::UnsupportedLayout {
                    name: port.name.to_string(),
                    reason: format!("is laid out as {:?}, and one row a channel was expected", port.layout),
                });
            }
        }
        Ok(Self { client: client.clone(), checked: Arc::new(checked), options, loaded })
    }

    /// Gives it surfaces.
    pub(crate) fn kernel(&self) -> Result<Kernel, Error> {
        Ok(Kernel { request: self.loaded.request()?, program: self.clone(), measured: None })
    }

    /// Loads the program once more, with statistics.
    fn measured(&self) -> Result<Loaded, Error> {
        let options = CompileOptions { perf_stats_mask: StatisticsMask::ALL.bits(), ..self.options.clone() };
        self.client.compile_checked(&self.checked, options.how()?)?.load()
    }
}

impl Kernel {
    /// How the input lies.
    pub(crate) fn input_layout(&self) -> &TensorLayout {
        &self.request.inputs()[0].layout
    }

    /// How the output lies.
    pub(crate) fn output_layout(&self) -> &TensorLayout {
        &self.request.outputs()[0].layout
    }

    /// Locks the input to write it.
    pub(crate) fn input(&self) -> Result<WriteGuard, Error> {
        self.request.input_surfaces()[0].lock_mut()
    }

    /// Locks the output to read it.
    pub(crate) fn output(&self) -> Result<ReadGuard, Error> {
        self.request.output_surfaces()[0].lock()
    }

    /// Runs the program, and says how many nanoseconds the engine took, if it does say so.
    ///
    /// The hardware does only for a program that was loaded with statistics, which `measure` asks for.
    pub(crate) fn run(&mut self, measure: bool) -> Result<Option<u64>, Error> {
        if !measure || !self.program.client.is_hardware() {
            return self.request.run_timed();
        }
        let measured = match &mut self.measured {
            Some(measured) => measured,
            none => {
                let surfaces = (self.request.input_surfaces(), self.request.output_surfaces());
                none.insert(self.program.measured()?.bind(surfaces.0.to_vec(), surfaces.1.to_vec())?)
            }
        };
        measured.run_timed()
    }
}
