//! The table of diagnostics: each kind has one row here, one page under `docs/diagnostics`, and at least one file
//! under `corpus/` that triggers it.
//!
//! ```
//! use anemone::source::codes;
//! let code = codes::find("shape-mismatch").unwrap();
//! assert!(!code.summary.is_empty() && codes::ALL.contains(&code));
//! ```

use super::{Phase, Severity};

/// A kind of diagnostic.
///
/// ```
/// let code = anemone::source::codes::find("shape-mismatch").unwrap();
/// assert!(code.page.contains("shape") && !code.summary.is_empty());
/// ```
#[derive(PartialEq, Eq)]
pub struct Code {
    /// Its name, in kebab case: what `anemone explain` takes.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// When it shows on the way to the engine.
    pub phase: Phase,
    /// What it says, in one line.
    pub summary: &'static str,
    /// Its page, in Markdown.
    pub page: &'static str,
}

/// The name; a page has no place in a line.
impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! codes {
    ($($phase:ident { $($constant:ident $severity:ident $name:literal $summary:literal;)* })*) => {
        $($(#[doc = concat!("`", $name, "`: ", $summary, ".")]
        pub static $constant: Code = Code {
            name: $name,
            severity: Severity::$severity,
            phase: Phase::$phase,
            summary: $summary,
            page: include_str!(concat!("../../docs/diagnostics/", $name, ".md")),
        };)*)*

        /// Every kind of diagnostic.
        pub static ALL: &[&Code] = &[$($(&$constant),*),*];
    };
}

codes! {
    Parse {
        // the text
        BAD_ENCODING Error "bad-encoding" "the text is not UTF-8";
        TEXT_TOO_LARGE Error "text-too-large" "the text is larger than anemone reads";
        UNEXPECTED_CHARACTER Error "unexpected-character" "no token starts with this character";
        UNTERMINATED_STRING Error "unterminated-string" "a string has no closing quote";
        UNTERMINATED_COMMENT Error "unterminated-comment" "a comment has no end";
        BAD_ESCAPE Error "bad-escape" "a string holds an escape that MIL does not have";
        BAD_NUMBER Error "bad-number" "a number is not written as MIL writes numbers";
        UNEXPECTED_TOKEN Error "unexpected-token" "the grammar wants something else here";
        TOO_DEEP Error "too-deep" "the program is nested deeper than anemone reads";
        TRAILING_TEXT Error "trailing-text" "something follows the end of the program";
        BAD_VERSION Error "bad-version" "the program version is not one that is known";
        UNKNOWN_TYPE Error "unknown-type" "there is no type of this name";
        BAD_DIMENSION Error "bad-dimension" "a dimension is not a number that a dimension can be";
        POSITIONAL_ARGUMENT Error "positional-argument" "an argument has no name";
        UNTYPED_VALUE Error "untyped-value" "a value is written without its type";
        VALUE_TYPE Error "value-type" "a value is not of the type that is written before it";
        VALUE_SHAPE Error "value-shape" "the brackets of a value do not fit the shape of its type";
        VALUE_RANGE Error "value-range" "a number lies outside its type";
        VALUE_ROUNDED Warning "value-rounded" "a number is rounded to fit its type";
        DUPLICATE_ARGUMENT Error "duplicate-argument" "an argument is given twice";
        DUPLICATE_ATTRIBUTE Error "duplicate-attribute" "an attribute is given twice";
    }
    Type {
        // names
        NO_FUNCTION Error "no-function" "the program has no function";
        DUPLICATE_FUNCTION Error "duplicate-function" "two functions have the same name";
        DUPLICATE_NAME Error "duplicate-name" "a name is defined twice in one function";
        UNDEFINED_NAME Error "undefined-name" "a name is used that nothing defines";
        USE_BEFORE_DEFINITION Error "use-before-definition" "a name is used before the statement that defines it";
        UNUSED_VALUE Warning "unused-value" "a value is computed that nothing uses";
        UNUSED_PARAMETER Warning "unused-parameter" "a parameter of the function is not used";
        NO_OUTPUT Error "no-output" "the function returns nothing";
        DUPLICATE_OUTPUT Error "duplicate-output" "the function returns a value twice";
        // ops
        UNKNOWN_OPSET Error "unknown-opset" "there is no opset of this name";
        OPSET_TOO_OLD Error "opset-too-old" "the op or parameter needs a newer opset than the function states";
        UNKNOWN_OP Error "unknown-op" "the op set has no op of this name";
        UNKNOWN_PARAMETER Error "unknown-parameter" "the op has no parameter of this name";
        MISSING_PARAMETER Error "missing-parameter" "a parameter that the op needs is not given";
        NOT_CONSTANT Error "not-constant" "a parameter must be known when the program is compiled";
        WRONG_KIND Error "wrong-kind" "a tensor, tuple, list or state is given where the op wants another of these";
        WRONG_DTYPE Error "wrong-dtype" "the op does not take this dtype for this parameter";
        DTYPE_MISMATCH Error "dtype-mismatch" "parameters that must have one dtype have two";
        SHAPE_MISMATCH Error "shape-mismatch" "the shapes of the arguments do not fit together";
        WRONG_RANK Error "wrong-rank" "a tensor has more or fewer dimensions than the op takes";
        BAD_VALUE Error "bad-value" "a parameter has a value that the op does not take";
        INDEX_OUT_OF_RANGE Error "index-out-of-range" "an axis or index lies outside the tensor";
        CONST_WITHOUT_VALUE Error "const-without-value" "a const has no value";
        CONST_FILLED Warning "const-filled" "one number stands for a whole tensor";
        RESULT_COUNT Error "result-count" "the statement binds more or fewer results than the op gives";
        DECLARED_TYPE Error "declared-type" "the declared type of a result is not the type that the op gives";
        BLOCK_COUNT Error "block-count" "a control-flow op has more or fewer blocks than it needs";
        BLOCK_TYPE Error "block-type" "the blocks of a control-flow op do not fit its results";
        TENSOR_TOO_LARGE Error "tensor-too-large" "a tensor is larger than any engine holds";
        NO_MEANING Error "no-meaning" "the op is known, and anemone cannot compute it, or not in this form";
        // weights
        BLOB_PATH Error "blob-path" "the path of a weight file leads out of the model";
        BLOB_MISSING Warning "blob-missing" "a weight file is not there";
        BLOB_HEADER Error "blob-header" "a weight file does not start as a weight file does";
        BLOB_RECORD Error "blob-record" "an offset does not point at a record of the weight file";
        BLOB_BOUNDS Error "blob-bounds" "a record of the weight file reaches past its end";
        BLOB_DTYPE Error "blob-dtype" "a record of the weight file holds another dtype than the program says";
        BLOB_SIZE Error "blob-size" "a record of the weight file holds more or fewer bytes than the type needs";
        LFS_POINTER Warning "lfs-pointer" "the file is a Git LFS pointer, not the data";
    }
    Parse {
        // files
        UNKNOWN_FILE Error "unknown-file" "the file is not of a kind that anemone reads";
        MANIFEST_MISSING Error "manifest-missing" "the package has no manifest";
        MANIFEST_INVALID Error "manifest-invalid" "the manifest of the package cannot be read";
        PATH_ESCAPE Error "path-escape" "a path in the package leads out of it";
        MODEL_MISSING Error "model-missing" "the bundle does not hold the model that it names";
        PROTOBUF_INVALID Error "protobuf-invalid" "the model file is not a readable protobuf message";
        NOT_A_PROGRAM Error "not-a-program" "the model is of a kind that is not a program";
        NO_PACKAGE_FORM Error "no-package-form" "the program says something that a package cannot hold";
        INTERFACE_MISMATCH Error "interface-mismatch" "the model's description and its program disagree";
    }
    Run {
        // running
        INPUT_MISSING Error "input-missing" "the program needs an input that is not given";
        INPUT_UNKNOWN Error "input-unknown" "an input is given that the program does not have";
        INPUT_TYPE Error "input-type" "an input has another dtype or shape than the program takes";
    }
    Lower {
        NOT_FOR_ANE Error "not-for-ane" "the path to the engine does not take this part of the program";
    }
    Run {
        RUN_LIMIT Error "run-limit" "the run needs more memory or steps than the limit allows";
    }
    Lower {
        // chips
        CHIP_OP Warning "chip-op" "the engine of the chip has no such op";
        CHIP_DTYPE Warning "chip-dtype" "the engine of the chip does not compute in this dtype";
        CHIP_LIMIT Warning "chip-limit" "a size is larger than the engine of the chip takes";
        CHIP_FORM Warning "chip-form" "the engine of the chip has the op, but not in this form";
    }
    Run {
        RUNTIME_WEIGHTS Warning "runtime-weights" "weights of a convolution are given when it runs, and may be ignored";
        TILE_POISONS Warning "tile-poisons" "after a program with `tile` every evaluation may fail";
        MASK_IGNORED Warning "mask-ignored" "the mask of fused attention may be ignored";
        ATTENTION_SIZE Warning "attention-size" "fused attention gives wrong numbers at this size";
        STATE_WIDTH Warning "state-width" "the width of a state is no multiple of 32";
        SLICE_SATURATES Warning "slice-saturates" "a slice within the width makes infinities of large numbers";
        SUM_OVERFLOWS Warning "sum-overflows" "sums of products can leave the range of the engine";
        PRODUCT_VANISHES Warning "product-vanishes" "products are so small that the engine drops them";
        OUTPUT_ORDER Note "output-order" "inputs or outputs are not in the order in which the engine has them";
        UNPADDED_ROWS Note "unpadded-rows" "rows of an input or output are padded in its surface";
        SURFACE_MISMATCH Warning "surface-mismatch" "inputs or outputs have surfaces of different sizes";
        SMALL_SURFACE Warning "small-surface" "an input or output is smaller than some reports say works";
        INTERFACE_DTYPE Warning "interface-dtype" "an input or output has a dtype that the route does not take";
        JOINED_SLICES Warning "joined-slices" "several slices within the width are joined, which gives wrong elements";
        SCALE_FOLDED Warning "scale-folded" "a product may become part of a wrong scale";
        BATCH_BROADCAST Warning "batch-broadcast" "a tensor is repeated along the batch, which may give wrong numbers";
        INFINITE_CONSTANT Warning "infinite-constant" "a constant holds infinities, which the engine reads as numbers";
        SURFACE_COUNT Warning "surface-count" "the function has more inputs and outputs than one request binds";
        INT32_ISLAND Warning "int32-island" "whole numbers between ops of the engine divide the program";
    }
    Lower {
        DEAD_OUTPUT Warning "dead-output" "nothing reads one of the results of an op";
        SQUARE_WIDTH Warning "square-width" "squares of rows of this length may not compile";
        GRAPH_DEPTH Warning "graph-depth" "more layers depend on each other than is known to work";
    }
    Load {
        WEIGHT_TENSORS Warning "weight-tensors" "the program has more tensors in weight files than some reports say works";
        WEIGHT_BYTES Warning "weight-bytes" "the program has more bytes of weights than is known to work";
    }
    Lower {
        COMPILE_BUDGET Warning "compile-budget" "compiling takes minutes, or more memory than there is";
    }
}

/// The kind of this name.
///
/// ```
/// use anemone::source::codes;
/// assert_eq!(codes::find("unknown-op"), Some(&codes::UNKNOWN_OP));
/// assert!(codes::find("unknown").is_none());
/// ```
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().find(|c| c.name == name).copied()
}
