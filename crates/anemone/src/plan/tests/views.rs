//! Values that nobody writes: who reads them goes by strides, and gives the same bits.

use super::{check, function, loaded};
use crate::types::{DType, Tensor};

/// Numbers whose sums are rounded, so that they tell in which order they were added.
fn numbers(shape: &[usize]) -> Tensor {
    let number = |i: usize| ((i * 7919 + 31) % 1013) as f64 / 97.0 - 5.0;
    let numbers: Vec<f64> = (0..shape.iter().product()).map(number).collect();
    Tensor::from_f64s(DType::Fp16, shape, &numbers).unwrap()
}

fn ty(shape: &[usize]) -> String {
    format!("tensor<fp16, {shape:?}>")
}

fn ints(numbers: &[usize]) -> String {
    format!("tensor<int32, [{}]>({numbers:?})", numbers.len())
}

/// The steps of a plan, as it prints them, and whether it gives the bits of the engine that goes step by step.
fn steps(inputs: &[(&str, &[usize])], body: &str, results: &str) -> Vec<String> {
    let params: Vec<String> = inputs.iter().map(|(name, shape)| format!("{} {name}", ty(shape))).collect();
    let text = function(&params.join(", "), body, results);
    let given: Vec<(&str, Tensor)> = inputs.iter().map(|(name, shape)| (*name, numbers(shape))).collect();
    check(&text, &given);
    let shown = loaded(&text).plan().unwrap().to_string();
    shown.lines().filter(|line| line.contains(": ") && line.contains(" to ")).map(String::from).collect()
}

#[test]
fn keys_of_grouped_heads_are_read_where_they_lie() {
    // As it is often written: a new axis, along which the keys are repeated.
    let repeated = |name: &str| {
        format!(
            "tensor<fp16, [1, 2, 1, 40, 16]> {name}1 = expand_dims(x = {name}, axes = tensor<int32, [1]>([2]));
             tensor<fp16, [1, 2, 3, 40, 16]> {name}2 = tile(x = {name}1, reps = {});
             tensor<fp16, [1, 6, 40, 16]> {name}3 = reshape(x = {name}2, shape = {});",
            ints(&[1, 1, 3, 1, 1]),
            ints(&[1, 6, 40, 16])
        )
    };
    for queries in [1, 2, 30] {
        let body = format!(
            "{} {}
             tensor<fp16, [1, 6, {queries}, 40]> s = matmul(x = q, y = k3, transpose_x = bool(false), transpose_y = bool(true));
             tensor<fp16, [1, 6, {queries}, 40]> w = softmax(x = s, axis = int32(3));
             tensor<fp16, [1, 6, {queries}, 16]> z = matmul(x = w, y = v3, transpose_x = bool(false), transpose_y = bool(false));
             tensor<fp16, [1, 6, {queries}, 16]> a = scaled_dot_product_attention(query = q, key = k3, value = v3);",
            repeated("k"),
            repeated("v")
        );
        let inputs: &[(&str, &[usize])] =
            &[("q", &[1, 6, queries, 16]), ("k", &[1, 2, 40, 16]), ("v", &[1, 2, 40, 16])];
        let expected = [
            "s: matmul of input 0, input 1 by tile to slot 0",
            "w: softmax of slot 0 to slot 1",
            "z: matmul of slot 1, input 2 by tile to output 0",
            "a: scaled_dot_product_attention of input 0, input 1 by tile, input 2 by tile to output 1",
        ];
        assert_eq!(steps(inputs, &body, "z, a"), expected, "{queries} queries");
    }
}

/// What coremltools writes for `repeat_interleave`: a transpose before and after.
#[test]
fn interleaved_repeats_are_views_too() {
    let body = format!(
        "tensor<fp16, [2, 1, 9, 8]> k1 = transpose(x = k, perm = {});
         tensor<fp16, [4, 1, 9, 8]> k2 = tile(x = k1, reps = {});
         tensor<fp16, [2, 2, 1, 9, 8]> k3 = reshape(x = k2, shape = {});
         tensor<fp16, [2, 2, 1, 9, 8]> k4 = transpose(x = k3, perm = {});
         tensor<fp16, [4, 1, 9, 8]> k5 = reshape(x = k4, shape = {});
         tensor<fp16, [1, 4, 8, 9]> k6 = transpose(x = k5, perm = {});
         tensor<fp16, [1, 4, 5, 9]> z = matmul(x = q, y = k6, transpose_x = bool(false), transpose_y = bool(false));",
        ints(&[1, 0, 2, 3]),
        ints(&[2, 1, 1, 1]),
        ints(&[2, 2, 1, 9, 8]),
        ints(&[1, 0, 2, 3, 4]),
        ints(&[4, 1, 9, 8]),
        ints(&[1, 0, 3, 2]),
    );
    let found = steps(&[("q", &[1, 4, 5, 8]), ("k", &[1, 2, 9, 8])], &body, "z");
    let expected = "z: matmul of input 0, input 1 by transpose by tile by transpose by transpose to output 0";
    assert_eq!(found, [expected]);
}

/// Heads that a layer gives side by side, of which parts are queries, keys and values.
#[test]
fn heads_are_taken_apart_by_strides() {
    let head = |name: &str, of: &str| {
        format!(
            "tensor<fp16, [1, 7, 2, 8]> {name}1 = reshape(x = {of}, shape = {});
             tensor<fp16, [1, 2, 7, 8]> {name} = transpose(x = {name}1, perm = {});",
            ints(&[1, 7, 2, 8]),
            ints(&[0, 2, 1, 3])
        )
    };
    let body = format!(
        "tensor<fp16, [1, 7, 16]> a, tensor<fp16, [1, 7, 16]> b, tensor<fp16, [1, 7, 16]> c =
             split(x = x, split_sizes = {}, axis = int32(2));
         {} {} {}
         tensor<fp16, [1, 2, 7, 7]> s = matmul(x = q, y = k, transpose_x = bool(false), transpose_y = bool(true));
         tensor<fp16, [1, 2, 7, 8]> z = matmul(x = s, y = v, transpose_x = bool(false), transpose_y = bool(false));",
        ints(&[16, 16, 16]),
        head("q", "a"),
        head("k", "b"),
        head("v", "c")
    );
    let expected = [
        "s: matmul of input 0 by split by transpose, input 0 by split by transpose to slot 0",
        "z: matmul of slot 0, input 0 by split by transpose to output 0",
    ];
    assert_eq!(steps(&[("x", &[1, 7, 48])], &body, "z"), expected);
}

#[test]
fn what_strides_do_not_lead_to_is_written() {
    let turned = format!("tensor<fp16, [8, 5]> t = transpose(x = x, perm = {});", ints(&[1, 0]));
    let x: (&str, &[usize]) = ("x", &[5, 8]);
    // Others read it, or it is a result; moved on, it is moved at once.
    let relu = format!("{turned} tensor<fp16, [8, 5]> z = relu(x = t);");
    assert_eq!(
        steps(&[x], &relu, "z"),
        ["t: transpose of input 0 to slot 0", "z: relu of slot 0 to output 0"]
    );
    let product = "tensor<fp16, [8, 8]> z = matmul(x = t, y = x, transpose_x = bool(false), transpose_y = bool(false));";
    assert_eq!(
        steps(&[x], &format!("{turned} {product}"), "z"),
        ["z: matmul of input 0 by transpose, input 0 to output 0"]
    );
    assert_eq!(steps(&[x], &format!("{turned} {product}"), "z, t").len(), 2);
    let on = format!(
        "{turned} tensor<fp16, [16, 5]> u = tile(x = t, reps = {}); tensor<fp16, [16, 5]> z = relu(x = u);",
        ints(&[2, 1])
    );
    let expected = ["u: tile of input 0 by transpose to slot 0", "z: relu of slot 0 to output 0"];
    assert_eq!(steps(&[x], &on, "z"), expected);
    // One element of a part.
    let one = format!(
        "tensor<fp16, [1, 1]> p = slice_by_size(x = x, begin = {}, size = {});
         tensor<fp16, [1, 1]> t = transpose(x = p, perm = {}); tensor<fp16, [1, 1]> z = relu(x = t);",
        ints(&[3, 2]),
        ints(&[1, 1]),
        ints(&[1, 0])
    );
    assert_eq!(
        steps(&[x], &one, "z"),
        ["t: transpose of input 0 by slice_by_size to slot 0", "z: relu of slot 0 to output 0"]
    );
    // A single row meets a matrix along its rows or along its columns, which is another order of sums.
    let row: (&str, &[usize]) = ("r", &[1, 8]);
    let product = "tensor<fp16, [1, 5]> z = matmul(x = r, y = t, transpose_x = bool(false), transpose_y = bool(false));";
    assert_eq!(steps(&[x, row], &format!("{turned} {product}"), "z").len(), 2);
}

/// Numbers that look random, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// An op that moves elements, and the shape of its result.
fn moved(chance: &mut Chance, from: &str, to: &str, shape: &[usize]) -> (String, Vec<usize>) {
    let (rank, mut new) = (shape.len(), shape.to_vec());
    let axis = chance.below(rank);
    let call = match chance.below(6) {
        0 | 1 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            (1..rank).for_each(|i| perm.swap(i, chance.below(i + 1)));
            new = perm.iter().map(|&d| shape[d]).collect();
            format!("transpose(x = {from}, perm = {})", ints(&perm))
        }
        2 => {
            let mut reps = vec![1; rank];
            reps[axis] = 1 + chance.below(2);
            new[axis] *= reps[axis];
            format!("tile(x = {from}, reps = {})", ints(&reps))
        }
        3 => {
            new[axis] = 1 + chance.below(shape[axis]);
            let mut begin = vec![0; rank];
            begin[axis] = chance.below(shape[axis] - new[axis] + 1);
            format!("slice_by_size(x = {from}, begin = {}, size = {})", ints(&begin), ints(&new))
        }
        4 => {
            // Two dimensions become one, and another one two.
            let at = chance.below(rank - 1);
            let joined = new.remove(at) * new[at];
            new[at] = joined;
            let d = chance.below(rank - 1);
            let by = if new[d].is_multiple_of(2) { 2 } else { 1 };
            new[d] /= by;
            new.insert(d + chance.below(2), by);
            format!("reshape(x = {from}, shape = {})", ints(&new))
        }
        _ => {
            let zeros = vec![0; rank];
            let mut strides = vec![1; rank];
            strides[axis] = 2;
            let end = new.clone();
            new[axis] = shape[axis].div_ceil(2);
            format!(
                "slice_by_index(x = {from}, begin = {}, end = {}, stride = {})",
                ints(&zeros),
                ints(&end),
                ints(&strides)
            )
        }
    };
    (format!("{} {to} = {call};\n", ty(&new)), new)
}

#[test]
fn products_of_any_views_have_the_bits_of_those_that_are_written() {
    let mut chance = Chance(7);
    let (mut left_out, mut written) = (0, 0);
    for _ in 0..400 {
        let mut shape: Vec<usize> = (0..4).map(|_| 1 + chance.below(6)).collect();
        shape[2] = [1, 4, 13, 26][chance.below(4)];
        let input: (&str, &[usize]) = ("x", &shape.clone());
        let (mut body, mut last) = (String::new(), "x".to_string());
        for i in 0..1 + chance.below(4) {
            let to = format!("v{i}");
            let (call, new) = moved(&mut chance, &last, &to, &shape);
            (body, last, shape) = (body + &call, to, new);
        }
        let [a, b, m, k] = shape[..] else { unreachable!("no op changes the rank") };
        let other: (&str, &[usize]) = match chance.below(3) {
            // The view on both sides; at the left, and at the right.
            0 => {
                body += &format!(
                    "{} z = matmul(x = {last}, y = {last}, transpose_x = bool(false), transpose_y = bool(true));",
                    ty(&[a, b, m, m])
                );
                ("o", &[1])
            }
            1 => {
                let turned = chance.below(2) == 0;
                let other = if turned { [b, 3, k] } else { [b, k, 3] };
                body += &format!(
                    "{} z = matmul(x = {last}, y = o, transpose_x = bool(false), transpose_y = bool({turned}));",
                    ty(&[a, b, m, 3])
                );
                ("o", &other.clone())
            }
            _ => {
                let (n, turned) = (1 + chance.below(3), chance.below(2) == 0);
                let (inner, columns) = if turned { (k, m) } else { (m, k) };
                body += &format!(
                    "{} z = matmul(x = o, y = {last}, transpose_x = bool(false), transpose_y = bool({turned}));",
                    ty(&[a, b, n, columns])
                );
                ("o", &[b, n, inner].clone())
            }
        };
        match steps(&[input, other], &body, "z").len() {
            1 => left_out += 1,
            _ => written += 1,
        }
    }
    assert!(left_out > 150 && written > 20, "{left_out} and {written}");
}
