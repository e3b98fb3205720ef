//! Tensors as arrays.

use anemone::types::{DType, Tensor};
use anemone::{CompileOptions, Error, Graph, Shape, TensorData};
use half::f16;
use ndarray::{Array, Array2, Array4, Array5, IxDyn, array, s};
use proptest::prelude::*;

use crate::on_each_engine;

/// Rows A4, G8: elements of a tensor are seen where they are, and by their own type.
#[test]
fn a_tensor_is_seen_as_an_array() {
    let t = Tensor::from_slice(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f32)).unwrap();
    let view = t.as_array::<f16>().unwrap();
    assert!(std::ptr::eq(view.as_ptr(), t.as_slice::<f16>().unwrap().as_ptr()));
    assert_eq!((view.shape(), view[[1, 2]]), (&[2, 3][..], f16::from_f32(6.0)));
    assert!(t.as_array::<f32>().is_none() && t.as_array::<u16>().is_none());
    let scalar = Tensor::scalar(DType::Int32, 7.0);
    assert_eq!(scalar.as_array::<i32>().unwrap()[IxDyn(&[])], 7);
    assert_eq!(Tensor::from_array(&scalar.as_array::<i32>().unwrap()).unwrap().shape(), [0usize; 0]);
    let empty = Tensor::from_array(&Array2::<u8>::zeros((0, 3))).unwrap();
    assert_eq!(empty.as_array::<u8>().unwrap().shape(), [0, 3]);
}

/// Rows G2, G3, G4, G5, G8: arrays go in and come out of what an engine runs on.
#[test]
fn arrays_are_run_on() {
    on_each_engine(|client| {
        let numbers = Array4::from_shape_fn((1, 3, 2, 64), |(_, c, h, w)| (c * 100 + h * 70 + w) as f32);
        // Columns that lie apart, in the other direction.
        let input = TensorData::from_array_on(client, &numbers.slice(s![.., .., .., ..;-1])).unwrap();
        let mut g = Graph::new();
        let x = g.placeholder(Shape::spatial(3, 2, 64));
        g.addition(x, x);
        let exe = g.compile_on(client, CompileOptions::default()).unwrap();
        let output = exe.new_output(0).unwrap();
        exe.run(&[&input], &[&output]).unwrap();
        let result = output.to_array().unwrap();
        assert_eq!(result.slice(s![.., .., .., ..;-1]), &numbers * 2.0);
        let held = output.as_f32_slice();
        assert_eq!((held.shape(), held.as_array()), (Shape::spatial(3, 2, 64), result.view()));
        drop(held);
        let mut changed = output.as_f32_slice_mut();
        changed.as_array_mut().slice_mut(s![0, 1, .., ..]).fill(0.5);
        assert_eq!((changed.shape().channels, changed.as_array()[[0, 1, 1, 63]]), (3, 0.5));
        drop(changed);
        assert_eq!(output.to_array().unwrap().slice(s![0, 1, .., ..]).sum(), 64.0);
    });
}

/// Rows G2, G5: arrays of other shapes are refused.
#[test]
fn shapes_of_arrays_are_compared() {
    let data = TensorData::from_array(&array![1.0, 2.0]).unwrap();
    assert_eq!(data.shape(), Shape::spatial(1, 1, 2));
    data.copy_from_array(&array![[3.0, 4.0]]).unwrap();
    for result in [
        data.copy_from_array(&array![[3.0], [4.0]]),
        data.copy_from_array(&array![3.0]),
        data.copy_from_array(&Array5::zeros((1, 1, 1, 1, 2))),
    ] {
        assert!(matches!(result, Err(Error::Invalid(_))));
    }
    assert_eq!(*data.read_f32(), [3.0, 4.0]);
    assert!(matches!(TensorData::from_array(&Array5::zeros((1, 1, 1, 1, 1))), Err(Error::Invalid(_))));
    assert!(matches!(TensorData::from_array(&Array2::zeros((0, 1))), Err(Error::Surface(_))));
}

proptest! {
    /// Rows A4, G2, G8: whatever the shape and the way the array lies, the same numbers come back.
    #[test]
    fn arrays_come_back(dims in prop::collection::vec(1usize..6, 0..5), turned in any::<bool>()) {
        let mut count = 0.0;
        let mut array = Array::from_shape_simple_fn(IxDyn(&dims), || { count += 1.0; count });
        if turned {
            array = array.reversed_axes();
        }
        let tensor = Tensor::from_array(&array).unwrap();
        prop_assert_eq!(tensor.as_array::<f32>().unwrap(), array.view());
        let data = TensorData::from_array(&array).unwrap();
        let back = data.to_array().unwrap();
        prop_assert_eq!(back.into_shape_with_order(array.raw_dim()).unwrap(), array);
    }
}
