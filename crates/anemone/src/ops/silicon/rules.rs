//! The rules: a row for each op.

use crate::chip::Chip;

/// Which part of a chip's engine computes an op, and so by which arithmetic.
///
/// ```
/// use anemone::ops::silicon::{Unit, rule};
/// assert_eq!(rule("linear").unwrap().unit, Unit::MultiplyAccumulate);
/// assert!(Unit::Table.arithmetic().contains("33 knots"));
/// assert_eq!(Unit::Slice.word(), "slice");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Products are summed on a grid of 2⁻¹⁶.
    MultiplyAccumulate,
    /// Two products of matrices and a softmax between them.
    Attention,
    /// Exact, and rounded once.
    Elementwise,
    /// A table of 33 knots.
    Table,
    /// Exact, of one number.
    Alone,
    /// One of several numbers.
    Choice,
    /// Numbers are moved.
    Move,
    /// Numbers are moved, of older chips through a path of sixteenfold numbers.
    Slice,
    /// The arithmetic is not known.
    Unknown,
}

impl Unit {
    /// Its name, as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Unit::MultiplyAccumulate => "multiply-accumulate",
            Unit::Attention => "attention",
            Unit::Elementwise => "elementwise",
            Unit::Table => "table",
            Unit::Alone => "alone",
            Unit::Choice => "choice",
            Unit::Move => "move",
            Unit::Slice => "slice",
            Unit::Unknown => "unknown",
        }
    }

    /// What it computes, in a sentence.
    pub const fn arithmetic(self) -> &'static str {
        match self {
            Unit::MultiplyAccumulate => {
                "products whose exponents add up to -17 or less are dropped, others rounded half away to a multiple of \
                 2^-16; sums start at the bias, are exact, and infinite for good where they reach 32768; stored half away"
            }
            Unit::Attention => {
                "the product of queries and keys, its scale, mask and softmax, and the product with the values, each stored half away"
            }
            Unit::Elementwise => "exact, and rounded half away once; infinity is read as 65536",
            Unit::Table => {
                "between 33 knots, whose difference, share and sum are rounded half away to 11 bits each"
            }
            Unit::Alone => "exact, and rounded half away once; infinity is read as 65536",
            Unit::Choice => "one of several numbers; infinity is read as 65536",
            Unit::Move => "numbers are moved as they are",
            Unit::Slice => {
                "numbers are moved; where a slice begins within the width, on m1 and m2 those beyond 4094 become infinite"
            }
            Unit::Unknown => "as ieee, in single precision, and stored half away; infinity is read as 65536",
        }
    }
}

/// How well a rule is known to hold on a chip.
///
/// ```
/// use anemone::{Chip, ops::silicon::{Knowledge, rule}};
/// assert_eq!(rule("linear").unwrap().on(Chip::M4), Knowledge::Digest);
/// assert_eq!(rule("softmax").unwrap().on(Chip::M4), Knowledge::Unknown);
/// ```
///
/// ```
/// use anemone::{chip::Chip, ops::silicon::{self, Knowledge, Rule}};
/// let rule: &Rule = silicon::rule("relu").unwrap();
/// let known: Knowledge = rule.on(Chip::M4);
/// println!("relu on an M4: {}", known.name());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// The sum of all errors of whole tensors was printed to 16 digits, and is reproduced: every bit is.
    Digest,
    /// Single results were printed, and are reproduced.
    Measured,
    /// The statistics of a sweep over the inputs were printed, and are reproduced.
    Statistics,
    /// It was read from compiled programs or from the compiler.
    Read,
    /// It follows from other chips, or from other ops.
    Inferred,
    /// Nobody knows; what is computed is near.
    Unknown,
}

impl Knowledge {
    /// Its name, as tables show it.
    pub const fn name(self) -> &'static str {
        match self {
            Knowledge::Digest => "digest",
            Knowledge::Measured => "measured",
            Knowledge::Statistics => "statistics",
            Knowledge::Read => "read",
            Knowledge::Inferred => "inferred",
            Knowledge::Unknown => "unknown",
        }
    }
}

/// What an op computes on chips.
///
/// ```
/// use anemone::ops::silicon;
/// let rule = silicon::rule("tanh").unwrap();
/// assert_eq!(rule.unit, silicon::Unit::Table);
/// assert!(rule.note.contains("M6"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// MIL's name of the op.
    pub op: &'static str,
    /// What computes it.
    pub unit: Unit,
    /// How well that is known, of each chip, oldest first.
    pub known: [Knowledge; 6],
    /// What is peculiar to the op, and where it is from.
    pub note: &'static str,
    /// How far, relative to the length of the result, a chip was from the exact result, where the rule is not known.
    pub distance: Option<f64>,
}

impl Rule {
    /// How well it is known on this chip.
    pub fn on(&self, chip: Chip) -> Knowledge {
        self.known[chip as usize]
    }
}

/// The rule of an op; ops without one are no work of an engine's floats: they compute shapes, run blocks, or unpack weights.
///
/// ```
/// assert!(anemone::ops::silicon::rule("while_loop").is_none());
/// ```
pub fn rule(op: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.op == op)
}

/// All rules.
///
/// ```
/// use anemone::ops;
/// assert!(ops::silicon::rules().iter().all(|rule| ops::find(rule.op).is_some()));
/// ```
pub fn rules() -> &'static [Rule] {
    RULES
}

use Knowledge::{Digest as D, Inferred as I, Measured as M, Read as R, Statistics as S, Unknown as U};

const fn row(op: &'static str, unit: Unit, known: [Knowledge; 6], note: &'static str) -> Rule {
    Rule { op, unit, known, note, distance: None }
}

/// An op whose numbers are moved.
const fn moves(op: &'static str) -> Rule {
    row(op, Unit::Move, [I, I, I, I, M, I], "exact in the sweep of ANEForge over MIL's ops, on an M5")
}

/// An op of whose arithmetic nothing is known.
const fn unknown(op: &'static str, note: &'static str) -> Rule {
    row(op, Unit::Unknown, [U; 6], note)
}

/// An op of whose arithmetic only this distance is known.
const fn near(op: &'static str, distance: f64, note: &'static str) -> Rule {
    Rule { distance: Some(distance), ..unknown(op, note) }
}

const NONE: &str = "nothing has been measured";
const SMALL: &str = "distance of a small call on an M5, from the sweep of ANEForge over MIL's ops";
const LONG: &str =
    "largest distance of the digests of ANEForge, over 4096 numbers; M1 and M2 agree, and M5 and M6";
const ALU: &str = "no table, by the M6 study; exact";
const SWEEP: &str = "table of H13 programs (eiln/ane); the statistics of the M6 study come out equal";

static RULES: &[Rule] = &[
    row(
        "conv",
        Unit::MultiplyAccumulate,
        [D, D, I, D, D, D],
        "on m5 and m6 3x3 kernels of one group without stride and dilation take Winograd's F(2, 3) along the width; which \
         kernels do is inferred. One weight over one channel is a scale without that sum (M1, inferred). Digests of \
         ANEForge, points of the M6 study",
    ),
    row("conv_transpose", Unit::MultiplyAccumulate, [I; 6], "as `conv`, over what reaches each result"),
    row(
        "conv_quantized",
        Unit::MultiplyAccumulate,
        [I; 6],
        "weights become fp16 first, as those that are only stored as bytes do",
    ),
    row(
        "linear",
        Unit::MultiplyAccumulate,
        [D, D, I, D, D, D],
        "digests of ANEForge, points of the M6 study on M4 and M6",
    ),
    row(
        "matmul",
        Unit::MultiplyAccumulate,
        [I; 6],
        "as `linear`; a row times a column is a reduction there: on M1 and M2 as `reduce_sum`, elsewhere not known",
    ),
    row("einsum", Unit::MultiplyAccumulate, [I; 6], "as `linear`"),
    row(
        "scaled_dot_product_attention",
        Unit::Attention,
        [I; 6],
        "what is stored in between is inferred; the fused form of Apple's was found wrong from 512 queries on",
    ),
    row("add", Unit::Elementwise, [M, I, I, I, I, M], "points of the M6 study, and of the guide on an M1"),
    row("sub", Unit::Elementwise, [M, I, I, I, I, M], "points of the M6 study, and of the guide on an M1"),
    row("mul", Unit::Elementwise, [M, I, I, I, I, M], "points of the M6 study, and of the guide on an M1"),
    row(
        "maximum",
        Unit::Elementwise,
        [M, I, I, I, I, M],
        "points of the M6 study, and of the guide on an M1",
    ),
    row("minimum", Unit::Elementwise, [I, I, I, I, I, M], "points of the M6 study"),
    row(
        "real_div",
        Unit::Elementwise,
        [R, I, I, I, I, R],
        "the table of `inverse` for y, stored, and a product (M6 study, eiln/ane)",
    ),
    row("abs", Unit::Alone, [I, I, I, I, I, R], ALU),
    row("relu", Unit::Alone, [D, D, I, I, D, D], "digests of ANEForge; no table, by the M6 study"),
    row("sign", Unit::Alone, [I, I, I, I, I, R], ALU),
    row("square", Unit::Alone, [M, I, I, I, I, R], ALU),
    row("relu6", Unit::Alone, [R, I, I, I, I, I], "two lines with clamps (eiln/ane)"),
    row("leaky_relu", Unit::Alone, [R, I, I, I, I, I], "two lines (eiln/ane)"),
    row("clip", Unit::Alone, [I; 6], "two lines with clamps, as `relu6`"),
    row("clamped_relu", Unit::Alone, [I; 6], "two lines with clamps, as `relu6`"),
    row("threshold", Unit::Alone, [I; 6], "two lines with clamps, as `relu6`"),
    row("thresholded_relu", Unit::Alone, [I; 6], "two lines, as `relu6`"),
    row(
        "ceil",
        Unit::Alone,
        [R, I, I, I, M, I],
        "tables of whole numbers (eiln/ane); exact on an M5 (ANEForge)",
    ),
    row(
        "floor",
        Unit::Alone,
        [R, I, I, I, M, I],
        "tables of whole numbers (eiln/ane); exact on an M5 (ANEForge)",
    ),
    row(
        "round",
        Unit::Alone,
        [R, I, I, I, M, I],
        "tables of whole numbers (eiln/ane); exact on an M5 (ANEForge)",
    ),
    row("tanh", Unit::Table, [R, I, I, I, I, S], SWEEP),
    row(
        "gelu",
        Unit::Table,
        [D, D, I, I, D, D],
        "one table for the exact form and that with tanh (M6 study); digests of ANEForge. The form with a sigmoid is as ieee",
    ),
    row(
        "sigmoid",
        Unit::Table,
        [R, I, I, I, I, S],
        "table of an H13 program (tinygrad), whose clamps the guide measured on an M1; of the M6 study's statistics one \
         local minimum is missing",
    ),
    row(
        "exp",
        Unit::Table,
        [R, I, I, I, I, S],
        "fp16(1.4423828125 x), and 2 to the power of it; all but the number of minima equal to the M6 study",
    ),
    row("exp2", Unit::Table, [R, I, I, I, I, I], "the table of `exp`"),
    row(
        "log",
        Unit::Table,
        [M, I, I, I, I, S],
        "the logarithm to the base 2, stored, times 0.693359375; log(0) is -45440 on an M1 (guide)",
    ),
    row("sqrt", Unit::Table, [M, I, I, I, I, S], SWEEP),
    row("rsqrt", Unit::Table, [M, I, I, I, I, S], SWEEP),
    row(
        "inverse",
        Unit::Table,
        [M, I, I, I, I, S],
        "epsilon is rounded to a multiple of 2^-16, and the sum stored (fitted to the M6 study)",
    ),
    row("atan", Unit::Table, [R, I, I, I, I, I], "two tables (eiln/ane), which nothing was held against"),
    row(
        "erf",
        Unit::Table,
        [U, U, U, U, U, I],
        "knots by the M6 study's steps; beyond 2 a fitted line, right in 19 of 20 minima",
    ),
    row(
        "silu",
        Unit::Table,
        [U, U, U, U, U, I],
        "the knots are fitted: largest error and two knots of the M6 study meet, single bits do not",
    ),
    row(
        "sin",
        Unit::Table,
        [U, U, U, U, U, I],
        "a quarter of a wave (M6 study); how the argument gets there is not known",
    ),
    row("cos", Unit::Table, [U, U, U, U, U, I], "as `sin`"),
    row(
        "slice_by_index",
        Unit::Slice,
        [M, M, I, M, M, M],
        "numeric cliffs of ANEForge on M1, M1 Max, M2 Pro, M2 Max, M4, M5 Pro and M6; from M3 on exact by the ANE guide",
    ),
    row("slice_by_size", Unit::Slice, [I; 6], "as `slice_by_index`"),
    near(
        "reduce_sum",
        9e-4,
        "largest distance of the digests of ANEForge, over 4096 numbers; M1 and M2 agree, and M5 and M6. On M1 and M2 tiles of \
         four are added with 12 bits, which 18 points of the guide on an M1 fit, as another rule may",
    ),
    near("softmax", 1.1e-3, LONG),
    near("layer_norm", 7e-4, LONG),
    near("reduce_mean", 8e-4, SMALL),
    near("reduce_l2_norm", 5.1e-4, SMALL),
    near("reduce_log_sum", 9.1e-4, SMALL),
    near("batch_norm", 3.7e-4, SMALL),
    near("avg_pool", 2.1e-4, SMALL),
    near("l2_pool", 4.1e-4, SMALL),
    row(
        "reduce_max",
        Unit::Choice,
        [I, I, I, I, M, I],
        "exact in the sweep of ANEForge over MIL's ops, on an M5",
    ),
    row(
        "reduce_min",
        Unit::Choice,
        [I, I, I, I, M, I],
        "exact in the sweep of ANEForge over MIL's ops, on an M5",
    ),
    row("max_pool", Unit::Choice, [I; 6], "as `reduce_max`"),
    unknown("reduce_l1_norm", NONE),
    unknown("reduce_log_sum_exp", NONE),
    unknown("reduce_prod", NONE),
    unknown("reduce_sum_square", NONE),
    unknown("instance_norm", NONE),
    unknown("l2_norm", NONE),
    unknown("local_response_norm", NONE),
    unknown("acos", NONE),
    unknown("asin", NONE),
    unknown("atanh", NONE),
    unknown("cosh", NONE),
    unknown("sinh", NONE),
    unknown("tan", NONE),
    unknown("elu", NONE),
    unknown("linear_activation", NONE),
    unknown("prelu", NONE),
    unknown("scaled_tanh", NONE),
    unknown("sigmoid_hard", NONE),
    unknown("softplus", "softplus(inf) is 0 on an M1 (guide), which this does not give"),
    unknown("softplus_parametric", NONE),
    unknown("softsign", "softsign(inf) is 0 on an M1 (guide), which this does not give"),
    unknown("pow", NONE),
    unknown("floor_div", NONE),
    unknown("mod", NONE),
    unknown("cumsum", NONE),
    unknown("rnn", NONE),
    unknown("gru", NONE),
    unknown("lstm", NONE),
    unknown("affine", NONE),
    unknown("crop_resize", NONE),
    unknown("resample", NONE),
    unknown("resize", NONE),
    unknown("resize_bilinear", NONE),
    unknown("upsample_bilinear", NONE),
    moves("batch_to_space"),
    moves("concat"),
    moves("crop"),
    moves("depth_to_space"),
    moves("expand_dims"),
    moves("flatten2d"),
    moves("gather"),
    moves("gather_along_axis"),
    moves("gather_nd"),
    moves("identity"),
    moves("pad"),
    moves("pixel_shuffle"),
    moves("pixel_unshuffle"),
    moves("reshape"),
    moves("reshape_like"),
    moves("resize_nearest_neighbor"),
    moves("reverse"),
    moves("reverse_sequence"),
    moves("select"),
    moves("sliding_windows"),
    moves("slice_update"),
    moves("space_to_batch"),
    moves("space_to_depth"),
    moves("split"),
    moves("squeeze"),
    moves("stack"),
    moves("tile"),
    moves("transpose"),
    moves("upsample_nearest_neighbor"),
];
