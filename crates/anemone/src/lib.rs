//! anemone: read, check, run and write programs for the Apple Neural Engine.
//!
//! Three doors lead to one [`mil::Program`]: MIL text ([`text`]), Core ML files ([`bundle`]) and the builder
//! ([`graph`]). One gate, [`verify`], turns it into a [`verify::Verified`] program, and only that is run by an
//! engine ([`device`]).
//!
//! ```
//! use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::Tensor, verify};
//! let program = text::parse(
//!     "program(1.3) { func main<ios18>(tensor<fp32, [2]> x) { tensor<fp32, [2]> y = square(x = x); } -> (y); }",
//! )?;
//! let report = verify::verify(&program, &Weights::none());
//! let verified = report.verified.ok_or(report.diagnostics)?;
//! let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
//! let outputs = model.run(&[("x", Tensor::from_slice(&[2], &[3.0f32, -4.0])?)], &model.new_states()?)?;
//! assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), [9.0, 16.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod source;
pub mod types;

pub mod chip;
mod error;
pub mod mil;
pub mod surface;

pub mod blob;
pub mod bundle;
pub mod fp16;
pub mod text;

pub mod ops;

pub mod passes;
pub mod place;
pub mod range;
pub mod verify;

mod int8;
mod work;

pub mod graph;
pub mod plan;

pub mod device;
pub mod faults;

#[cfg(feature = "ndarray")]
mod arrays;
pub mod client;
pub mod driver;
pub mod dynamic_matmul;
mod executable;
pub mod linear;
pub mod telemetry;

pub use chip::Chip;
pub use client::{
    Client, CompileOptions, CompileStats, DeviceInfo, Evaluation, MetalBuffer, MetalDevice, MetalEvent,
    MetricSink, Model, ModelType, Pipeline, PooledRequest, Request, RequestPool, SharedEvent,
    SharedEventEvalOptions, StateHandle, StateSnapshot, WeightFile, probe,
};
pub use device::ane::{QualityOfService, QualityOfService as NSQualityOfService};
pub use error::{AneError, Error};
pub use executable::{Executable, LockedSlice, LockedSliceMut, TensorData};
pub use graph::{
    Convolution2dDescriptor, ConvolutionTranspose2dDescriptor, Graph, PadFillMode, PadMode, Shape, Tensor,
};
pub use surface::{Port, Surface, TensorLayout, row_stride_for};

/// Documents of the repository whose programs are compiled, and run, as those of the documentation are.
#[cfg(doctest)]
mod documents {
    macro_rules! documents {
        ($($name:ident = $path:literal;)*) => {$(
            #[doc = include_str!($path)]
            struct $name;
        )*}
    }

    documents! {
        Readme = "../../../README.md";
        ComingFromAne = "../../../docs/coming-from-ane.md";
        ComingFromGo = "../../../docs/coming-from-go.md";
        ComingFromInternals = "../../../docs/coming-from-internals.md";
        ComingFromRane = "../../../docs/coming-from-rane.md";
    }
}
