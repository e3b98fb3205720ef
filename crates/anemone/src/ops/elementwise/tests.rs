//! Cases of the elementwise ops. Values that are not obvious are NumPy's, for the expression in the comment.

use crate::mil::Opset::*;
use crate::ops::check::*;
use crate::types::DType::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// An op of `x` on an fp32 vector.
#[track_caller]
fn of_x(op: &str, x: &[f64], y: &[f64]) {
    check(op, Ios15, &[("x", f(x))], &f(y));
}

/// An op of `x` on an int32 vector.
#[track_caller]
fn of_ints(op: &str, x: &[i64], y: &[i64]) {
    check(op, Ios15, &[("x", i(x))], &i(y));
}

/// An op of `x` and `y` on fp32 vectors.
#[track_caller]
fn of_xy(op: &str, x: &[f64], y: &[f64], z: &[f64]) {
    check(op, Ios15, &[("x", f(x)), ("y", f(y))], &f(z));
}

/// An op of `x` and `y` on int32 vectors.
#[track_caller]
fn of_int_xy(op: &str, x: &[i64], y: &[i64], z: &[i64]) {
    check(op, Ios15, &[("x", i(x)), ("y", i(y))], &i(z));
}

/// A comparison of fp32 vectors, and of the same numbers as int32 where they are whole.
#[track_caller]
fn truth(op: &str, x: &[f64], y: &[f64], z: &[bool]) {
    check(op, Ios15, &[("x", f(x)), ("y", f(y))], &b(z));
    if x.iter().chain(y).all(|v| v.fract() == 0.0) {
        check(op, Ios15, &[("x", t(Int32, &[x.len()], x)), ("y", t(Int32, &[y.len()], y))], &b(z));
    }
}

#[test]
fn unary_floats() {
    of_x("abs", &[-1.5, 0.0, 2.0, -INF, NAN], &[1.5, 0.0, 2.0, INF, NAN]);
    of_x("acos", &[-1.0, 0.5, 1.0, 2.0], &[3.141592653589793, 1.0471975511965979, 0.0, NAN]);
    of_x("asin", &[-1.0, 0.5, 1.0, 2.0], &[-1.5707963267948966, 0.5235987755982989, 1.5707963267948966, NAN]);
    of_x("atan", &[-INF, 0.0, 1.0], &[-1.5707963267948966, 0.0, 0.7853981633974483]);
    of_x("atanh", &[-1.0, 0.5, 2.0], &[-INF, 0.5493061443340549, NAN]);
    of_x("ceil", &[-1.5, -0.5, 0.2, 2.0], &[-1.0, 0.0, 1.0, 2.0]);
    of_x("cos", &[0.0, 1.0, INF], &[1.0, 0.5403023058681398, NAN]);
    of_x("cosh", &[0.0, 1.0, -INF, 100.0], &[1.0, 1.5430806348152437, INF, INF]);
    of_x(
        "erf",
        &[0.0, 0.5, -2.0, 4.0, NAN],
        &[0.0, 0.5204998778130465, -0.9953222650189527, 0.9999999845827421, NAN],
    );
    of_x("exp", &[0.0, 1.0, -INF, 89.0], &[1.0, 2.718281828459045, 0.0, INF]);
    of_x("exp2", &[0.0, 0.5, -2.0, 128.0], &[1.0, 1.4142135623730951, 0.25, INF]);
    of_x("floor", &[-1.5, -0.5, 0.2, 2.0], &[-2.0, -1.0, 0.0, 2.0]);
    of_x("sin", &[0.0, 1.0, -INF], &[0.0, 0.8414709848078965, NAN]);
    of_x("sign", &[-3.0, 0.0, -0.0, 0.5, NAN], &[-1.0, 0.0, 0.0, 1.0, NAN]);
    of_x("sinh", &[0.0, 1.0, -INF], &[0.0, 1.1752011936438014, -INF]);
    of_x("sqrt", &[0.0, 2.0, -1.0, INF], &[0.0, 1.4142135623730951, NAN, INF]);
    of_x("square", &[-3.0, 0.5, INF, 1e20], &[9.0, 0.25, INF, INF]);
    of_x("tan", &[0.0, 1.0, INF], &[0.0, 1.557407724654902, NAN]);
    of_x("tanh", &[0.0, 1.0, -INF, NAN], &[0.0, 0.7615941559557649, -1.0, NAN]);
}

#[test]
fn round_goes_to_the_even_of_two() {
    of_x("round", &[0.5, 1.5, 2.5, -0.5, -1.5, 2.4, INF], &[0.0, 2.0, 2.0, 0.0, -2.0, 2.0, INF]);
}

#[test]
fn unary_ints() {
    // np.abs(np.int32(-2**31)) == -2**31
    of_ints("abs", &[-5, 0, 7, -(1 << 31)], &[5, 0, 7, -(1 << 31)]);
    of_ints("sign", &[-5, 0, 7], &[-1, 0, 1]);
    // np.square(np.array([65536, 2**31 - 1], np.int32)) == [0, 1]
    of_ints("square", &[-5, 65536, (1 << 31) - 1], &[25, 0, 1]);
    // np.exp2([0, 10, -1]).astype(np.int32)
    of_ints("exp2", &[0, 10, -1, 64], &[1, 1024, 0, 0]);
}

#[test]
fn fp16_is_rounded_once() {
    check("exp", Ios15, &[("x", h(&[1.0, 11.0, 12.0]))], &h(&[2.718281828459045, 59874.14, INF]));
    check("square", Ios15, &[("x", h(&[255.875]))], &h(&[65472.0]));
}

#[test]
fn empty_scalar_and_single() {
    check("exp", Ios15, &[("x", t(Fp32, &[2, 0, 3], &[]))], &t(Fp32, &[2, 0, 3], &[]));
    check("exp", Ios15, &[("x", f1(0.0))], &f1(1.0));
    check("add", Ios15, &[("x", t(Fp32, &[0, 1], &[])), ("y", f(&[1.0, 2.0]))], &t(Fp32, &[0, 2], &[]));
    check("add", Ios15, &[("x", f1(2.0)), ("y", f1(3.0))], &f1(5.0));
    check("add", Ios15, &[("x", f(&[2.0])), ("y", f1(3.0))], &f(&[5.0]));
}

#[test]
fn arithmetic_on_floats() {
    of_xy("add", &[1.0, INF, INF, NAN], &[2.0, 1.0, -INF, 0.0], &[3.0, INF, NAN, NAN]);
    of_xy("sub", &[1.0, INF], &[2.0, INF], &[-1.0, NAN]);
    of_xy("mul", &[3.0, 0.0, 1e30], &[-2.0, INF, 1e30], &[-6.0, NAN, INF]);
    of_xy("real_div", &[7.0, 1.0, -1.0, 0.0], &[2.0, 0.0, 0.0, 0.0], &[3.5, INF, -INF, NAN]);
    of_xy(
        "pow",
        &[2.0, -8.0, 0.0, 0.0, NAN],
        &[0.5, 1.0 / 3.0, 0.0, -1.0, 0.0],
        &[1.4142135, NAN, 1.0, INF, 1.0],
    );
    of_xy("maximum", &[1.0, NAN, 2.0, -INF], &[2.0, 1.0, NAN, 3.0], &[2.0, NAN, NAN, 3.0]);
    of_xy("minimum", &[1.0, NAN, 2.0, -INF], &[2.0, 1.0, NAN, 3.0], &[1.0, NAN, NAN, -INF]);
    // np.mod, np.floor_divide
    of_xy("mod", &[7.0, -7.0, 7.0, 5.5, 1.0], &[3.0, 3.0, -3.0, 2.0, 0.0], &[1.0, 2.0, -2.0, 1.5, NAN]);
    of_xy(
        "floor_div",
        &[7.0, -7.0, 7.0, 5.5, 1.0],
        &[2.0, 2.0, -2.0, 2.0, 0.0],
        &[3.0, -4.0, -4.0, 2.0, INF],
    );
}

#[test]
fn arithmetic_on_ints() {
    of_int_xy("add", &[1, (1 << 31) - 1], &[2, 1], &[3, -(1 << 31)]);
    of_int_xy("sub", &[1, -(1 << 31)], &[2, 1], &[-1, (1 << 31) - 1]);
    of_int_xy("mul", &[3, 65536], &[-2, 65536], &[-6, 0]);
    // np.trunc(x / y).astype(np.int32)
    of_int_xy("real_div", &[7, -7, 1], &[2, 2, 0], &[3, -3, 0]);
    of_int_xy("floor_div", &[7, -7, 1, -(1 << 31)], &[2, 2, 0, -1], &[3, -4, 0, -(1 << 31)]);
    of_int_xy("mod", &[7, -7, 7, 1], &[3, 3, -3, 0], &[1, 2, -2, 0]);
    of_int_xy("pow", &[3, -2, 2, 10], &[4, 3, 32, 0], &[81, -8, 0, 1]);
    of_int_xy("maximum", &[1, -5], &[2, -6], &[2, -5]);
    of_int_xy("minimum", &[1, -5], &[2, -6], &[1, -6]);
}

#[test]
fn broadcasting() {
    let x = t(Fp32, &[2, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = t(Fp32, &[2, 1], &[10.0, 20.0]);
    let z = [11.0, 12.0, 13.0, 21.0, 22.0, 23.0, 14.0, 15.0, 16.0, 24.0, 25.0, 26.0];
    check("add", Ios15, &[("x", x.clone()), ("y", y.clone())], &t(Fp32, &[2, 2, 3], &z));
    check("add", Ios15, &[("x", y), ("y", x)], &t(Fp32, &[2, 2, 3], &z));
    refuse("add", Ios15, &[("x", f(&[1.0, 2.0])), ("y", f(&[1.0, 2.0, 3.0]))], "shape-mismatch", Some("y"));
}

#[test]
fn comparisons() {
    let (x, y) = (&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]);
    truth("equal", x, y, &[false, true, false]);
    truth("not_equal", x, y, &[true, false, true]);
    truth("less", x, y, &[true, false, false]);
    truth("less_equal", x, y, &[true, true, false]);
    truth("greater", x, y, &[false, false, true]);
    truth("greater_equal", x, y, &[false, true, true]);
    for (op, is) in [("equal", false), ("not_equal", true), ("less", false), ("greater_equal", false)] {
        truth(op, &[NAN], &[NAN], &[is]);
    }
}

#[test]
fn logic() {
    let (x, y) = (b(&[true, true, false, false]), b(&[true, false, true, false]));
    let of = |op, z: &[bool]| check(op, Ios15, &[("x", x.clone()), ("y", y.clone())], &b(z));
    of("logical_and", &[true, false, false, false]);
    of("logical_or", &[true, true, true, false]);
    of("logical_xor", &[false, true, true, false]);
    check("logical_not", Ios15, &[("x", b(&[true, false]))], &b(&[false, true]));
}

#[test]
fn epsilon_is_added_first_and_its_default_is_in_the_dtype_of_x() {
    let eps = |v| ("epsilon", f1(v));
    check("log", Ios15, &[("x", f(&[1.0, 0.0])), eps(1.0)], &f(&[0.6931471805599453, 0.0]));
    // np.log(np.float32(1e-45)), and in fp16 1e-45 is 0.
    check("log", Ios15, &[("x", f(&[0.0, -1.0]))], &f(&[-103.27892990343184, NAN]));
    check("log", Ios15, &[("x", h(&[0.0]))], &h(&[-INF]));
    check("log", Ios17, &[("x", h(&[0.0])), eps(1.0)], &h(&[0.0]));
    check("inverse", Ios15, &[("x", f(&[1.0, -1.0])), eps(1.0)], &f(&[0.5, INF]));
    check("inverse", Ios15, &[("x", f(&[0.0]))], &f(&[10000.0]));
    // np.float16(1) / np.float16(1e-4)
    check("inverse", Ios15, &[("x", h(&[0.0]))], &h(&[10000.0]));
    check("rsqrt", Ios15, &[("x", f(&[3.0, -2.0])), eps(1.0)], &f(&[0.5, NAN]));
    check("rsqrt", Ios15, &[("x", f(&[0.0]))], &f(&[1e6]));
    check("rsqrt", Ios15, &[("x", h(&[0.0]))], &h(&[INF]));
    refuse("rsqrt", Ios15, &[("x", f(&[0.0])), ("epsilon", f(&[1.0, 2.0]))], "wrong-rank", Some("epsilon"));
    refuse("log", Ios15, &[("x", f(&[0.0])), ("epsilon", f(&[]))], "wrong-rank", Some("epsilon"));
}

#[test]
fn clip_and_threshold() {
    let clip = |alpha, beta| [("x", f(&[-2.0, 0.5, 9.0, NAN])), ("alpha", f1(alpha)), ("beta", f1(beta))];
    check("clip", Ios15, &clip(0.0, 6.0), &f(&[0.0, 0.5, 6.0, NAN]));
    check("clip", Ios17, &clip(-INF, 6.0), &f(&[-2.0, 0.5, 6.0, NAN]));
    // np.minimum(np.maximum(x, 6), 0)
    check("clip", Ios15, &clip(6.0, 0.0), &f(&[0.0, 0.0, 0.0, NAN]));
    refuse("clip", Ios17, &clip(6.0, 0.0), "bad-value", Some("alpha"));
    refuse("clip", Ios17, &clip(1.0, 1.0), "bad-value", Some("alpha"));
    check("threshold", Ios15, &[("x", f(&[-2.0, 3.0, NAN])), ("alpha", f1(1.0))], &f(&[1.0, 3.0, NAN]));
    check("threshold", Ios15, &[("x", i(&[-2, 3])), ("alpha", i1(1))], &i(&[1, 3]));
}

#[test]
fn casts() {
    let cast = |opset, x, dtype, y| check("cast", opset, &[("x", x), ("dtype", s(dtype))], &y);
    cast(Ios15, f(&[1.9, -1.9, 3e9, -3e9, NAN]), "int32", i(&[1, -1, (1 << 31) - 1, -(1 << 31), 0]));
    cast(Ios15, f(&[0.0, 0.5, -2.0]), "bool", b(&[false, true, true]));
    cast(Ios15, b(&[false, true]), "fp16", h(&[0.0, 1.0]));
    cast(Ios15, i(&[2049, 70000, -3]), "fp16", h(&[2048.0, INF, -3.0]));
    cast(Ios15, i(&[16777217]), "fp32", f(&[16777216.0]));
    cast(Ios15, f(&[2049.0, 65520.0]), "fp16", h(&[2048.0, INF]));
    cast(Ios17, i(&[-1, 300]), "uint8", t(UInt8, &[2], &[255.0, 44.0]));
    cast(Ios17, f(&[-1.0, 300.0, 7.9]), "uint8", t(UInt8, &[3], &[0.0, 255.0, 7.0]));
    cast(Ios17, t(Int16, &[2], &[-5.0, 200.0]), "int8", t(Int8, &[2], &[-5.0, -56.0]));
    cast(Ios17, t(UInt16, &[1], &[65535.0]), "int32", i(&[65535]));
    cast(Ios15, i1(5), "fp32", f1(5.0));
    refuse("cast", Ios15, &[("x", i(&[1])), ("dtype", s("int16"))], "bad-value", Some("dtype"));
    refuse("cast", Ios17, &[("x", i(&[1])), ("dtype", s("fp64"))], "bad-value", Some("dtype"));
    refuse("cast", Ios17, &[("x", i(&[1])), ("dtype", s("float"))], "bad-value", Some("dtype"));
}

#[test]
fn select_broadcasts_all_three() {
    let cond = t(Bool, &[2, 1], &[1.0, 0.0]);
    let (a, c) = (f(&[1.0, 2.0]), f1(9.0));
    check(
        "select",
        Ios15,
        &[("cond", cond.clone()), ("a", a), ("b", c)],
        &t(Fp32, &[2, 2], &[1.0, 2.0, 9.0, 9.0]),
    );
    check("select", Ios15, &[("cond", b1(false)), ("a", i(&[1])), ("b", i(&[2]))], &i(&[2]));
    check(
        "select",
        Ios15,
        &[("cond", cond.clone()), ("a", b(&[true])), ("b", b(&[false]))],
        &t(Bool, &[2, 1], &[1.0, 0.0]),
    );
    check("select", Ios15, &[("cond", t(Bool, &[0], &[])), ("a", h(&[1.0])), ("b", h(&[2.0]))], &h(&[]));
    refuse("select", Ios15, &[("cond", cond), ("a", i(&[1])), ("b", f(&[1.0]))], "dtype-mismatch", Some("b"));
}
