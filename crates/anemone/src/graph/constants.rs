//! Constants.

use super::call::empty_call;
use super::{Graph, Origin, Shape, Tensor};
use crate::fp16;
use crate::mil::{Attribute, Call, Param, Value};
use crate::source::{Diagnostic, Span, codes};
use crate::types::{self, DType, TensorError, Type};

/// How many elements a constant has before its numbers lie in a weight file; coremltools draws the line there.
pub(super) const INLINE: usize = 10;

impl Graph {
    /// A constant of fp16. Each number is rounded once, to the nearest, and of two equally near to the even one.
    #[track_caller]
    pub fn constant(&mut self, data: &[f32], shape: Shape) -> Tensor {
        let at = self.place();
        match self.halves(data, shape, at) {
            Some(tensor) => self.constant_at(Ok(tensor), at),
            None => self.refused(),
        }
    }

    /// A constant of fp16 filled with one number.
    #[track_caller]
    pub fn constant_with_scalar(&mut self, scalar: f32, shape: Shape) -> Tensor {
        let at = self.place();
        let number = types::Tensor::scalar(DType::Fp16, scalar.into());
        if scalar.is_finite() && number.to_f64s()[0].is_infinite() {
            self.doubt(scalar, at);
        }
        let elements = shape.total_elements();
        // The walk fills a constant of a block more than once: when it is written, and with each op around it.
        let dense = elements < INLINE || self.fillable < elements as u64 || self.blocks.len() > 1;
        if !dense {
            self.fillable -= elements as u64;
            return self.constant_of_type(Type::tensor(DType::Fp16, &shape.dims()[..]), number.into(), at);
        }
        self.constant_at(number.pick(&shape.dims(), std::iter::repeat_n(0, elements)), at)
    }

    /// A constant of fp16 from its bytes: two for each element, the lower first.
    #[track_caller]
    pub fn constant_with_f16_bytes(&mut self, data: &[u8], shape: Shape) -> Tensor {
        let at = self.place();
        if !self.fits(data.len(), shape, 2, "bytes", at) {
            return self.refused();
        }
        self.constant_at(types::Tensor::from_bytes(DType::Fp16, &shape.dims(), data), at)
    }

    /// A constant of any dtype and shape.
    ///
    /// ```
    /// use anemone::{Graph, types::Tensor};
    /// let mut g = Graph::new();
    /// let ids = g.constant_tensor(Tensor::from_slice(&[3], &[7i32, 8, 9])?);
    /// assert_eq!(g.type_of(ids).unwrap().to_string(), "tensor<int32, [3]>");
    /// # Ok::<(), anemone::types::TensorError>(())
    /// ```
    #[track_caller]
    pub fn constant_tensor(&mut self, value: types::Tensor) -> Tensor {
        let at = self.place();
        self.constant_at(Ok(value), at)
    }

    /// The numbers as fp16, if there are as many as the shape has elements; else why not is reported.
    pub(super) fn halves(&mut self, data: &[f32], shape: Shape, at: Span) -> Option<types::Tensor> {
        if !self.fits(data.len(), shape, 1, "numbers", at) {
            return None;
        }
        let mut halves = vec![0u16; data.len()];
        fp16::cast_f32_f16(&mut halves, data);
        let infinite = |(v, h): &(&f32, &u16)| v.is_finite() && **h & 0x7fff == 0x7c00;
        if let Some((wrong, _)) = data.iter().zip(&halves).find(infinite) {
            self.doubt(*wrong, at);
        }
        self.made(types::Tensor::from_bytes(DType::Fp16, &shape.dims(), bytemuck::cast_slice(&halves)), at)
    }

    /// Warns of a number of a constant that fp16 does not hold.
    fn doubt(&mut self, number: f32, at: Span) {
        let message = format!("the constant has {number}, which is infinite in fp16");
        let d = Diagnostic::new(&codes::VALUE_ROUNDED, message).help("give numbers of at most 65504");
        self.refuse(d, at, "this constant");
    }

    /// A tensor that could be made; else why not is reported.
    fn made(&mut self, tensor: Result<types::Tensor, TensorError>, at: Span) -> Option<types::Tensor> {
        let refused = tensor.as_ref().err().map(ToString::to_string);
        if let Some(message) = refused {
            self.refuse(Diagnostic::new(&codes::TENSOR_TOO_LARGE, message), at, "this constant");
        }
        tensor.ok()
    }

    /// Whether as much is given as the shape needs; else that is reported.
    pub(super) fn fits(&mut self, given: usize, shape: Shape, each: usize, what: &str, at: Span) -> bool {
        let needed = shape.total_elements().saturating_mul(each);
        if given != needed {
            let message = format!("the constant has {given} {what}, and the shape {shape} needs {needed}");
            self.refuse(Diagnostic::new(&codes::SHAPE_MISMATCH, message), at, "this constant");
        }
        given == needed
    }

    pub(super) fn constant_at(&mut self, value: Result<types::Tensor, TensorError>, at: Span) -> Tensor {
        match self.made(value, at) {
            Some(value) => self.constant_of_type(value.ty().into(), value.into(), at),
            None => self.refused(),
        }
    }

    fn constant_of_type(&mut self, ty: Type, value: Value, at: Span) -> Tensor {
        let output = Param { name: self.fresh("const"), ty, span: at, ty_span: at };
        let call = Call {
            outputs: vec![output.clone()],
            attributes: vec![Attribute::new("val", value.clone())],
            ..empty_call("const", at)
        };
        self.walk.call(&call);
        if self.report(at, "this constant") {
            return self.refused();
        }
        self.calls.push(call);
        self.value(output.name, output.ty, at, Origin::Constant(value))
    }
}
