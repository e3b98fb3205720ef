use super::*;
use crate::bundle::Weights;
use crate::{text, verify};

const M4: Numerics = Numerics::Chip(Chip::M4);

fn of(numerics: Numerics, x: Range, body: &str) -> Bounds {
    let text = format!("program(1.3) {{ func main<ios18>(tensor<fp16, [1, 4]> x) {{ {body} }} -> (z); }}");
    let report = verify::verify(&text::parse(&text).unwrap_or_else(|d| panic!("{d}")), &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    bounds(verified.main(), &[("x", x)], numerics).unwrap()
}

/// The bounds of the last step are these, but for rounding.
#[track_caller]
fn check(numerics: Numerics, x: [f64; 2], body: &str, expected: [f64; 2]) {
    let found = of(numerics, Range::new(x[0], x[1]), body).steps.last().unwrap().result;
    let largest = expected[0].abs().max(expected[1].abs()).min(65504.0);
    let near = |a: f64, b: f64| a == b || (a - b).abs() <= 0.02 * largest;
    assert!(near(found.lo, expected[0]) && near(found.hi, expected[1]) && !found.nan, "{body}: {found}");
}

#[test]
fn bounds_are_near_what_ops_can_give() {
    let ty = "tensor<fp16, [1, 4]>";
    let many = [-65504.0, 65504.0];
    let one = |op: &str| format!("{ty} z = {op}(x = x);");
    let with_x = |op: &str, rest: &str| format!("{ty} z = {op}(x = x, {rest});");
    let inf = f64::INFINITY;
    for numerics in [Numerics::Ieee, M4] {
        check(numerics, many, &one("relu"), [0.0, 65504.0]);
        check(numerics, many, &one("tanh"), [-1.0, 1.0]);
        check(numerics, many, &with_x("softmax", "axis = int32(-1)"), [0.0, 1.0]);
        check(numerics, [0.0, 1.0], &with_x("softmax", "axis = int32(-1)"), [0.109, 0.475]);
        check(numerics, [-1.0, 3.0], &with_x("mul", "y = x"), [0.0, 9.0]);
        check(numerics, [-1.0, 3.0], &with_x("mul", "y = fp16(-2)"), [-6.0, 2.0]);
        check(numerics, [-1.0, 3.0], &with_x("pow", "y = fp16(2)"), [0.0, 9.0]);
        check(numerics, [1.0, 3.0], &with_x("sub", "y = fp16(0.5)"), [0.5, 2.5]);
        check(numerics, [-300.0, 3.0], &one("square"), [0.0, inf]);
        check(numerics, many, &with_x("clip", "alpha = fp16(-2), beta = fp16(7)"), [-2.0, 7.0]);
        check(numerics, many, &with_x("layer_norm", "axes = tensor<int32, [1]>([1])"), [-2.0, 2.0]);
        let sums = "tensor<fp16, [1, 2]> z = linear(x = x, weight = tensor<fp16, [2, 4]>([[1, 1, -1, 0], [3, 0, 0, 0]]), \
            bias = tensor<fp16, [2]>([10, 0]));";
        check(numerics, [0.0, 2.0], sums, [0.0, 14.0]);
        let mean = "tensor<fp16, [1]> z = reduce_mean(x = x, axes = tensor<int32, [1]>([1]));";
        check(numerics, [1.0, 2.0], mean, [1.0, 2.0]);
        let both = "tensor<fp16, [1, 4]> a = sigmoid(x = x); tensor<fp16, [2, 4]> z = concat(values = (a, x), axis = int32(0), \
            interleave = bool(false));";
        check(numerics, [-8.0, 0.0], both, [-8.0, 0.5]);
    }
    // The chip reads infinity as a number.
    let twice =
        "tensor<fp16, [1, 4]> a = mul(x = x, y = x); tensor<fp16, [1, 4]> z = mul(x = a, y = fp16(0.0625));";
    check(M4, [300.0, 400.0], twice, [4096.0, 4096.0]);
    check(Numerics::Ieee, [300.0, 400.0], twice, [4088.0, inf]);
    // The table of GELU does not give 0 at 0.
    check(
        M4,
        [0.0, 0.0],
        "tensor<fp16, [1, 4]> z = gelu(x = x, mode = string(\"EXACT\"));",
        [-0.00075388; 2],
    );
}

/// What is found on a chip: kind, op, what is reached, how sure it is.
#[track_caller]
fn found(chip: Chip, x: [f64; 2], body: &str, expected: &[(Kind, &str, f64, Certainty)]) {
    let bounds = of(Numerics::Chip(chip), Range::new(x[0], x[1]), body);
    let found: Vec<_> =
        bounds.findings().into_iter().map(|f| (f.kind, f.op, f.reaches, f.certainty)).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn what_can_go_wrong_is_found() {
    use Certainty::{Possible, Sure};
    let linear = "tensor<fp16, [1, 1]> z = linear(x = x, weight = tensor<fp16, [1, 4]>([[1, 1, -1, -1]]));";
    // On its way a sum is larger than it becomes.
    found(Chip::M1, [20000.0; 2], linear, &[(Kind::SumOverflows, "linear", 40000.0, Possible)]);
    found(Chip::M4, [0.0, 16000.0], linear, &[]);
    found(
        Chip::M4,
        [0.0, 2f64.powi(-18)],
        linear,
        &[(Kind::ProductVanishes, "linear", 2f64.powi(-18), Sure)],
    );
    let mul = "tensor<fp16, [1, 4]> z = mul(x = x, y = x);";
    found(Chip::M6, [300.0; 2], mul, &[(Kind::ResultOverflows, "mul", 90000.0, Sure)]);
    found(Chip::M6, [-0.001, 0.001], mul, &[(Kind::Subnormal, "mul", 17.0 * 2f64.powi(-24), Sure)]);
    let slice = "tensor<fp16, [1, 3]> z = slice_by_index(x = x, begin = tensor<int32, [2]>([0, 1]), \
        end = tensor<int32, [2]>([1, 4]));";
    found(Chip::M2, [0.0, 5000.0], slice, &[(Kind::SliceSaturates, "slice_by_index", 5000.0, Possible)]);
    found(Chip::M3, [0.0, 5000.0], slice, &[]);
    found(Chip::M4, [0.0, 5000.0], slice, &[]);
    let mask = "tensor<fp16, [1, 4]> z = add(x = x, y = tensor<fp16, [1, 4]>([[0, -inf, 0, 0]]));";
    found(Chip::M4, [0.0, 1.0], mask, &[(Kind::ReadAsNumber, "add", f64::INFINITY, Sure)]);
}

#[test]
fn states_hold_what_was_written() {
    let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [2]>> s, tensor<fp16, [2]> x) {
        tensor<fp16, [2]> a = read_state(input = s);
        write_state(input = s, data = x);
        tensor<fp16, [2]> b = read_state(input = s); } -> (a, b); }";
    let report = verify::verify(&text::parse(text).unwrap(), &Weights::none());
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    let given = [("s", Range::new(0.0, 1.0)), ("x", Range::new(5.0, 6.0))];
    let bounds = bounds(verified.main(), &given, Numerics::Ieee).unwrap();
    let outputs: Vec<Range> = verified.main().body.outputs.iter().map(|&o| bounds.of(o)).collect();
    assert_eq!(outputs, [Range::new(0.0, 1.0), Range::new(0.0, 6.0)]);
}

#[test]
fn changes_are_powers_of_two() {
    let linear = "tensor<fp16, [1, 1]> z = linear(x = x, weight = tensor<fp16, [1, 4]>([[1, 1, 1, 1]]));";
    let bounds = of(M4, Range::new(0.0, 50000.0), linear);
    assert!(bounds.findings()[0].change().contains("2^-3"), "200000 / 8 is 25000");
}

/// Norms and softmax as they are written where no op stands for them.
const ROOT_MEAN: &str = "tensor<fp16, [1, 4]> s = @; tensor<fp16, [1, 1]> m = reduce_mean(x = s, axes = tensor<int32, [1]>([-1]), keep_dims = bool(true)); \
    tensor<fp16, [1, 1]> e = add(x = m, y = fp16(0x1p-10));";

#[test]
fn what_is_divided_by_its_own_size_is_bounded() {
    let ty = "tensor<fp16, [1, 4]>";
    for numerics in [Numerics::Ieee, Numerics::Chip(Chip::M1), M4, Numerics::Chip(Chip::M6)] {
        let near = |x: f64, body: String, expected: [f64; 2]| {
            let found = of(numerics, Range::new(-x, x), &body).steps.last().unwrap().result;
            let close = |a: f64, b: f64| (a - b).abs() <= 0.1 * b.abs().max(0.1);
            assert!(
                close(found.lo, expected[0]) && close(found.hi, expected[1]) && !found.nan,
                "{numerics}: {body}: {found}"
            );
        };
        for square in ["square(x = x)", "mul(x = x, y = x)", "pow(x = x, y = fp16(2))"] {
            let mean = ROOT_MEAN.replace('@', square);
            // Four numbers, of which each is at most twice the root of the mean of their squares.
            let by = |last: &str| format!("{mean} {last}");
            let root = "tensor<fp16, [1, 1]> r = rsqrt(x = e, epsilon = fp16(0));";
            near(200.0, by(&format!("{root} {ty} z = mul(x = x, y = r);")), [-2.0, 2.0]);
            near(200.0, by(&format!("{root} {ty} z = mul(x = r, y = x);")), [-2.0, 2.0]);
            let divided = format!("tensor<fp16, [1, 1]> r = sqrt(x = e); {ty} z = real_div(x = x, y = r);");
            near(200.0, by(&divided), [-2.0, 2.0]);
        }
        let centred = format!(
            "tensor<fp16, [1, 1]> c = reduce_mean(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(true)); {ty} d = sub(x = x, y = c); {} \
             tensor<fp16, [1, 1]> r = sqrt(x = e); {ty} z = real_div(x = d, y = r);",
            ROOT_MEAN.replace('@', "mul(x = d, y = d)")
        );
        near(60.0, centred, [-2.0, 2.0]);
        let axes = "axes = tensor<int32, [1]>([1]), keep_dims = bool(true)";
        let softmax = format!(
            "tensor<fp16, [1, 1]> m = reduce_max(x = x, {axes}); {ty} d = sub(x = x, y = m); {ty} e = exp(x = d); \
             tensor<fp16, [1, 1]> s = reduce_sum(x = e, {axes}); {ty} z = real_div(x = e, y = s);"
        );
        near(1000.0, softmax, [0.0, 1.0]);
    }
    // Nothing is known of one that is divided by the size of others.
    let other = format!("{} {ty} o = add(x = x, y = fp16(1)); {ty} r = rsqrt(x = e, epsilon = fp16(0)); {ty} z = mul(x = o, y = r);", ROOT_MEAN.replace('@', "square(x = x)")).replace(&format!("{ty} r"), "tensor<fp16, [1, 1]> r");
    assert!(of(Numerics::Ieee, Range::new(-200.0, 200.0), &other).steps.last().unwrap().result.hi > 1000.0);
}
