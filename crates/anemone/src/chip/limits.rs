//! How much of what each engine takes.

use super::{Chip, Confidence, Evidence, Profile};

/// What a limit counts.
///
/// ```
/// use anemone::chip::{Chip, Profile, Quantity};
/// let extent = |chip: Chip| chip.limit(Quantity::Extent, Profile::Permissive).value;
/// assert_eq!((extent(Chip::M1), extent(Chip::M4)), (16384, 65536));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Elements along height, width or depth.
    Extent,
    /// Channels.
    Channels,
    /// Elements along the first axis.
    Batch,
    /// Dimensions.
    Rank,
    /// Elements along an axis that a transpose moves.
    Transpose,
    /// Terms of each sum of a matrix product.
    Inner,
    /// Dimensions of the factors of a product of several matrices.
    BatchedRank,
    /// Width of the kernel of a convolution.
    KernelWidth,
    /// Width of a kernel that is as high as it is wide.
    KernelSquare,
    /// Height of the kernel of a convolution.
    KernelHeight,
    /// Depth of the kernel of a convolution.
    KernelDepth,
    /// Output channels of a convolution.
    OutputChannels,
    /// Width or height of the kernel of a transposed convolution along an axis with a stride.
    SmallKernel,
    /// Width of a window of `max_pool`.
    MaxPoolWidth,
    /// Height of a window of `max_pool`.
    MaxPoolHeight,
    /// Width or height of a window of `avg_pool`.
    AveragePool,
    /// Channels, height or width along which `reduce_argmax` looks.
    ArgMax,
    /// Boxes that `non_maximum_suppression` takes.
    Boxes,
    /// Channels of `local_response_norm`.
    ResponseChannels,
    /// Magnitude that a slice keeps which starts within the width.
    SliceMagnitude,
    /// Steps that depend on each other in one program.
    Depth,
    /// Bytes of weights in one program.
    WeightBytes,
    /// Tensors in weight files in one program.
    WeightTensors,
    /// Surfaces that one request binds.
    Surfaces,
    /// Requests in flight on one program.
    Queue,
    /// Programs that one process compiles before compilation fails.
    Compilations,
}

/// A limit: the largest value that is taken, and how that is known.
///
/// ```
/// use anemone::chip::{Chip, Confidence, Profile, Quantity};
/// let limit = Chip::M4.limit(Quantity::Inner, Profile::Permissive);
/// assert_eq!((limit.value, limit.evidence.confidence), (32768, Confidence::Measured));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The largest that is taken.
    pub value: u64,
    /// How that is known.
    pub evidence: Evidence,
}

/// A row of the table of limits.
///
/// ```
/// use anemone::chip::LIMITS;
/// assert!(LIMITS.iter().any(|row| row.what == "kernel width of `conv`"));
/// ```
#[derive(Debug)]
pub struct LimitRow {
    /// What it counts.
    pub quantity: Quantity,
    /// The same, in words.
    pub what: &'static str,
    /// The largest that is taken, for each chip.
    pub values: [u64; 6],
    /// The chips that it was seen on: of others it is inferred.
    pub seen: &'static [Chip],
    /// How it is known of those.
    pub evidence: Evidence,
    /// What stricter reports say, where sources contradict each other.
    pub strict: Option<([u64; 6], Evidence)>,
}

impl Chip {
    /// The limit of this chip on a quantity.
    pub fn limit(self, quantity: Quantity, profile: Profile) -> Limit {
        let row = LIMITS.iter().find(|r| r.quantity == quantity).expect("each quantity has a row");
        if let (Profile::Strict, Some((values, evidence))) = (profile, row.strict) {
            return Limit { value: values[self.index()], evidence };
        }
        let evidence = match row.seen.contains(&self) {
            true => row.evidence,
            false => row.evidence.at_most(Confidence::Inferred),
        };
        Limit { value: row.values[self.index()], evidence }
    }
}

use Chip::{M1, M2, M3, M4, M5, M6};

const GUIDE: &str = "the ANE guide";
const FORGE: &str = "ANEForge";
const STUDY: &str = "the M6 study";
const NO_LIMIT: u64 = u64::MAX;

const fn row(
    quantity: Quantity,
    what: &'static str,
    values: [u64; 6],
    seen: &'static [Chip],
    evidence: Evidence,
) -> LimitRow {
    LimitRow { quantity, what, values, seen, evidence, strict: None }
}

impl LimitRow {
    const fn strict(mut self, values: [u64; 6], evidence: Evidence) -> Self {
        self.strict = Some((values, evidence));
        self
    }
}

/// Up to M3 one value, from M4 on another.
const fn wider(to_m3: u64, from_m4: u64) -> [u64; 6] {
    [to_m3, to_m3, to_m3, from_m4, from_m4, from_m4]
}

/// Every limit, by quantity.
pub static LIMITS: &[LimitRow] = &[
    row(
        Quantity::Extent,
        "elements along height, width or depth",
        wider(16384, 65536),
        &[M1, M2, M4, M6],
        Evidence::measured(GUIDE),
    ),
    row(Quantity::Channels, "channels", [65536; 6], &[M1, M2, M4, M6], Evidence::measured(GUIDE)),
    row(Quantity::Batch, "elements along the first axis", [65536; 6], &[M1], Evidence::read(GUIDE)),
    row(Quantity::Rank, "dimensions", [5; 6], &[M1, M4], Evidence::measured(GUIDE)),
    row(
        Quantity::Transpose,
        "elements along an axis that `transpose` moves",
        wider(16384, 65536),
        &[],
        Evidence::read(GUIDE),
    ),
    row(
        Quantity::Inner,
        "terms of each sum of `matmul`",
        wider(16384, 32768),
        &[M1, M4, M6],
        Evidence::measured(STUDY).on("macOS 27"),
    ),
    row(
        Quantity::BatchedRank,
        "dimensions of the factors of `matmul`",
        [4; 6],
        &[M1],
        Evidence::measured(GUIDE),
    ),
    row(
        Quantity::KernelWidth,
        "kernel width of `conv`",
        wider(13, 15),
        &[M1, M4, M5, M6],
        Evidence::measured(FORGE),
    ),
    row(
        Quantity::KernelSquare,
        "width of a square kernel of `conv`",
        wider(13, 16),
        &[M4],
        Evidence::measured(STUDY).on("macOS 27"),
    )
    .strict(wider(13, 15), Evidence::measured("the M6 study, whose compiler needs more than 8 GB for 16x16")),
    row(
        Quantity::KernelHeight,
        "kernel height of `conv`",
        [29, 31, 31, 31, 31, 31],
        &[M4, M6],
        Evidence::measured(STUDY).on("macOS 27"),
    ),
    row(Quantity::KernelDepth, "kernel depth of `conv`", [16; 6], &[M2], Evidence::read(GUIDE)),
    row(
        Quantity::OutputChannels,
        "output channels of `conv`",
        [65536; 6],
        &[M4],
        Evidence::measured("maderix/ANE and the crate `ane`: 32000 and 50257 channels"),
    )
    .strict([16384; 6], Evidence::claimed("Orion: 32000 channels are refused; others tile by 16384")),
    row(
        Quantity::SmallKernel,
        "kernel of `conv_transpose` along an axis with a stride",
        [15, 16, 16, 16, 16, 16],
        &[M1, M2, M4],
        Evidence::read(GUIDE),
    ),
    row(
        Quantity::MaxPoolWidth,
        "window width of `max_pool`",
        [7, 8, 8, 8, 8, 8],
        &[M4, M6],
        Evidence::measured(STUDY).on("macOS 27"),
    ),
    row(
        Quantity::MaxPoolHeight,
        "window height of `max_pool`",
        [29, 31, 31, 31, 31, 31],
        &[],
        Evidence::read(GUIDE),
    ),
    row(
        Quantity::AveragePool,
        "window of `avg_pool`",
        [29, 31, 31, 31, 31, 31],
        &[M1],
        Evidence::measured(GUIDE),
    ),
    row(Quantity::ArgMax, "elements that `reduce_argmax` compares", [2048; 6], &[], Evidence::read(GUIDE)),
    row(Quantity::Boxes, "boxes of `non_maximum_suppression`", [2048; 6], &[M4, M6], Evidence::read(STUDY)),
    row(
        Quantity::ResponseChannels,
        "channels of `local_response_norm`",
        [15, NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT],
        &[M1],
        Evidence::read(GUIDE),
    ),
    row(
        Quantity::SliceMagnitude,
        "magnitude that a slice within the width keeps",
        [4094, 4094, NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT],
        &[M1, M2, M4, M5],
        Evidence::measured(GUIDE),
    ),
    row(
        Quantity::Depth,
        "layers that depend on each other",
        [512, 512, 512, 512, 512, 386],
        &[M4, M6],
        Evidence::measured(STUDY).on("macOS 27"),
    )
    .strict(
        [60, 60, 60, 60, 60, 60],
        Evidence::claimed(
            "the document of the crate `ane`: some 60 ops compile, and three layers crash when they run",
        ),
    ),
    row(
        Quantity::WeightBytes,
        "bytes of weights",
        [2 << 30; 6],
        &[],
        Evidence::claimed("reports of about 2 GB a program"),
    )
    .strict([250 << 20; 6], Evidence::claimed("the ANE book: at most 250 MB a package")),
    row(
        Quantity::WeightTensors,
        "tensors in weight files",
        [NO_LIMIT; 6],
        &[M3, M4, M5],
        Evidence::measured("maderix/ANE: chains of 128 and 256 convolutions"),
    )
    .strict([16; 6], Evidence::claimed("Orion: more than 16 fail")),
    row(Quantity::Surfaces, "surfaces of one request", [128; 6], &[], Evidence::read("tmc/apple")),
    row(Quantity::Queue, "requests in flight on one program", [127; 6], &[], Evidence::measured("tmc/apple")),
    row(
        Quantity::Compilations,
        "compilations of one process",
        [119; 6],
        &[M4],
        Evidence::measured("maderix/ANE, Orion"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows O11, V3: a row for each quantity, and what newer chips take is never less, but for the depth of M6.
    #[test]
    fn limits_grow_with_the_chips() {
        for (i, row) in LIMITS.iter().enumerate() {
            assert!(
                LIMITS[..i].iter().all(|r| r.quantity < row.quantity),
                "{:?} is not in order",
                row.quantity
            );
            let grows = row.values.windows(2).all(|v| v[0] <= v[1]);
            assert!(grows || row.quantity == Quantity::Depth, "{}", row.what);
            for chip in Chip::ALL {
                let [loose, strict] =
                    [Profile::Permissive, Profile::Strict].map(|p| chip.limit(row.quantity, p).value);
                assert!(strict <= loose, "{chip}: {}", row.what);
            }
        }
    }

    /// Row X6: what is seen on one chip is inferred of others.
    #[test]
    fn what_was_not_seen_is_inferred() {
        let sure = |chip: Chip| chip.limit(Quantity::Inner, Profile::Permissive).evidence.confidence;
        assert_eq!((sure(Chip::M4), sure(Chip::M5)), (Confidence::Measured, Confidence::Inferred));
    }
}
