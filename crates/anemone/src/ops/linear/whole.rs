//! Products of whole numbers, and of whole numbers with floats: summed one by one, as the meaning sums them.

use crate::ops::fast::{Elements, Numbers, Ready, ready};
use crate::ops::row::*;
use crate::types::f16;

/// A number that products are summed in: f64, or whole numbers that wrap around.
pub(super) trait Number: bytemuck::Pod + Default + Send + Sync {
    /// The numbers of a tensor.
    fn all(x: &Tensor) -> Vec<Self>;
    /// A tensor of such numbers, each rounded once.
    fn tensor(dtype: DType, shape: &[usize], values: Vec<Self>) -> Result<Tensor, Fault>;
    /// Where a kernel finds the numbers of an argument.
    fn numbers(args: &Args<'_>, param: &'static str) -> Result<Numbers<Self>, Fault>;
    /// The numbers of an argument.
    fn read<'b>(numbers: &'b Numbers<Self>, run: &Run<'_, '_>) -> Elements<'b, Self>;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The sum with a product.
    fn plus_product(self, a: Self, b: Self) -> Self;
    /// As the elements of results are: rounded once, or without the bits above.
    fn narrow(self) -> (f16, f32, i32);
}

impl Number for f64 {
    fn all(x: &Tensor) -> Vec<Self> {
        x.to_f64s()
    }

    fn tensor(dtype: DType, shape: &[usize], values: Vec<Self>) -> Result<Tensor, Fault> {
        Ok(Tensor::from_f64s(dtype, shape, &values)?)
    }

    fn numbers(args: &Args<'_>, param: &'static str) -> Result<Numbers<Self>, Fault> {
        Numbers::<f64>::of(args, param)
    }

    fn read<'b>(numbers: &'b Numbers<Self>, run: &Run<'_, '_>) -> Elements<'b, Self> {
        numbers.read(run)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn plus_product(self, a: Self, b: Self) -> Self {
        self + a * b
    }

    fn narrow(self) -> (f16, f32, i32) {
        (f16::from_f64(Fp16.round(self)), self as f32, self as i32)
    }
}

impl Number for i64 {
    fn all(x: &Tensor) -> Vec<Self> {
        x.to_i64s()
    }

    fn tensor(dtype: DType, shape: &[usize], values: Vec<Self>) -> Result<Tensor, Fault> {
        Ok(Tensor::from_i64s(dtype, shape, &values)?)
    }

    fn numbers(args: &Args<'_>, param: &'static str) -> Result<Numbers<Self>, Fault> {
        Numbers::<i64>::of(args, param)
    }

    fn read<'b>(numbers: &'b Numbers<Self>, run: &Run<'_, '_>) -> Elements<'b, Self> {
        numbers.read(run)
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn plus_product(self, a: Self, b: Self) -> Self {
        self.wrapping_add(a.wrapping_mul(b))
    }

    fn narrow(self) -> (f16, f32, i32) {
        (f16::from_f64(Fp16.round(self as f64)), self as f32, self as i32)
    }
}

/// Products of matrices.
pub(super) struct Products {
    /// Where the matrices of each product begin.
    pub(super) items: Vec<(usize, usize)>,
    /// The rows of the left one, the elements of each sum, the columns of the right one.
    pub(super) sizes: [usize; 3],
    /// The distance of rows, and of columns.
    pub(super) x: [usize; 2],
    pub(super) y: [usize; 2],
}

impl Products {
    /// A step that computes them of two arguments, and adds the argument `bias` if there is one.
    pub(super) fn ready(self, args: &Args<'_>, types: &[Type], params: [&'static str; 2]) -> Ready {
        let bias = args.opt_ty("bias").map(|t| t.dtype);
        let dtypes = [args.ty(params[0])?.dtype, args.ty(params[1])?.dtype];
        if dtypes.into_iter().chain(bias).all(|d| d.is_int()) {
            self.sums::<i64>(args, types, params)
        } else {
            self.sums::<f64>(args, types, params)
        }
    }

    fn sums<T: Number>(self, args: &Args<'_>, types: &[Type], [x, y]: [&'static str; 2]) -> Ready {
        let (x, y) = (T::numbers(args, x)?, T::numbers(args, y)?);
        let bias = args.has("bias").then(|| T::numbers(args, "bias")).transpose()?;
        let dtype = types.first().and_then(Type::as_tensor).map(|t| t.dtype);
        let Some(dtype @ (Fp16 | Fp32 | Int32)) = dtype else { return Ok(None) };
        ready(move |run| {
            let bias = bias.as_ref().map(|b| T::read(b, run));
            let (x, y, bias) = (&T::read(&x, run)[..], &T::read(&y, run)[..], bias.as_deref());
            match dtype {
                Fp16 => self.write(run.write(0), x, y, bias, |v| v.narrow().0),
                Fp32 => self.write(run.write(0), x, y, bias, |v| v.narrow().1),
                _ => self.write(run.write(0), x, y, bias, |v| v.narrow().2),
            }
        })
    }

    fn write<T: Number, E>(
        &self,
        to: &mut [E],
        x: &[T],
        y: &[T],
        bias: Option<&[T]>,
        narrow: impl Fn(T) -> E,
    ) {
        let [rows, inner, columns] = self.sizes;
        let mut to = to.iter_mut();
        for &(x_start, y_start) in &self.items {
            for row in 0..rows {
                for (column, to) in to.by_ref().take(columns).enumerate() {
                    let (x_first, y_first) = (x_start + row * self.x[0], y_start + column * self.y[1]);
                    let product = |sum: T, i: usize| {
                        sum.plus_product(x[x_first + i * self.x[1]], y[y_first + i * self.y[0]])
                    };
                    let sum = (0..inner).fold(T::default(), product);
                    *to = narrow(bias.map_or(sum, |bias| sum.plus(bias[column])));
                }
            }
        }
    }
}
