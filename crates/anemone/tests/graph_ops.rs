//! The methods of `Graph` for the ops of MIL are those of the op table.
//!
//! `BLESS=1 cargo test -p anemone --test graph_ops` writes `src/graph/ops.rs` anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anemone::mil::op::{Default, Edition, Kind, Op, Parameter, Results};
use anemone::ops;
use anemone::types::DTypes;

/// Ops whose methods are written by hand: a constant is made of Rust values, and blocks are written by closures.
const BY_HAND: &[&str] = &["const", "cond", "while_loop"];

/// Names that the crate `ane` has for other forms.
const TAKEN: &[&str] = &[
    "avg_pool",
    "concat",
    "instance_norm",
    "linear",
    "max_pool",
    "pad",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_sum",
];

const HEAD: &str = "\
//! The ops of MIL, one method each.
//!
//! Written by `BLESS=1 cargo test -p anemone --test graph_ops` from the op table.

use super::{Arg, Graph, Options, Tensor, Tensors};

/// Writes a method for an op: required parameters, then whether there are options, and what it gives.
macro_rules! ops {
    ($($(#[$doc:meta])* $method:ident = $op:literal ($($required:ident),*) $($options:ident)? -> $results:ty;)*) => {
        impl Graph {$(
            $(#[$doc])*
            #[track_caller]
            #[allow(clippy::too_many_arguments)] // The op has as many.
            pub fn $method(&mut self, $($required: impl Into<Arg>,)* $($options: impl Into<Options>)?) -> $results {
                let at = self.place();
                #[allow(unused_mut)] // Not every op has options.
                let mut given = vec![$((stringify!($required).into(), $required.into())),*];
                $(given.extend($options.into().into_vec());)?
                self.call(at, $op, given).into()
            }
        )*}
    };
}

";

fn method(op: &Op) -> String {
    match op.name {
        name if TAKEN.contains(&name) => format!("mil_{name}"),
        // A word of Rust's.
        "mod" => "r#mod".to_string(),
        name => name.to_string(),
    }
}

fn line(p: &Parameter) -> String {
    let what = match p.kind {
        Kind::Tensor if p.dtypes == DTypes::ANY => "any dtype".to_string(),
        Kind::Tensor => p.dtypes.to_string(),
        Kind::Tuple => "several".to_string(),
        Kind::List => "a list".to_string(),
        Kind::State => "a state".to_string(),
        Kind::Any => "anything".to_string(),
    };
    let constant = if p.constant { "; constant" } else { "" };
    let default = match p.default {
        Default::Required | Default::Absent => String::new(),
        Default::Int(i) => format!("; {i} if not given"),
        Default::Float(f) => format!("; {f:?} if not given"),
        Default::Bool(b) => format!("; {b} if not given"),
        Default::Str(s) => format!("; `\"{s}\"` if not given"),
        Default::Ints(i) => format!("; `{i:?}` if not given"),
    };
    format!("`{}`: {what}{constant}{default}", p.name)
}

fn capital(text: &str) -> String {
    // A summary that starts with a name of the op's is a formula.
    let first = text.chars().next().filter(|_| text.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase));
    first.map_or_else(|| text.to_string(), |c| c.to_uppercase().collect::<String>() + &text[c.len_utf8()..])
}

fn written(op: &Op, edition: &Edition) -> String {
    let mut out = String::new();
    let (required, optional): (Vec<_>, Vec<_>) =
        edition.params.iter().partition(|p| p.default == Default::Required);
    writeln!(out, "    /// {}.", capital(op.summary)).unwrap();
    writeln!(out, "    ///").unwrap();
    let since = match op.since() == edition.since {
        true => format!("As of {}.", op.since()),
        false => format!("As of {}, with these parameters as of {}.", op.since(), edition.since),
    };
    writeln!(out, "    /// {since}").unwrap();
    let mut list = |title: &str, params: &[&Parameter]| {
        if !params.is_empty() {
            writeln!(out, "    ///\n    /// {title}\n    ///").unwrap();
            for p in params {
                writeln!(out, "    /// - {}", line(p)).unwrap();
            }
        }
    };
    list("Arguments:", &required);
    list("Options:", &optional);
    let now: BTreeSet<_> = edition.params.iter().map(|p| p.name).collect();
    let before: BTreeSet<_> = op.editions.iter().flat_map(|e| e.params).map(|p| p.name).collect();
    let gone: Vec<_> = before.difference(&now).map(|p| format!("`{p}`")).collect();
    if !gone.is_empty() {
        writeln!(out, "    ///\n    /// Older opsets have {}, which [`Graph::op`] takes.", gone.join(", "))
            .unwrap();
    }
    let names: Vec<_> = required.iter().map(|p| p.name).collect();
    let options = if optional.is_empty() { "" } else { " options" };
    let results = match op.results {
        Results::Exactly(0) => "()".to_string(),
        Results::Exactly(1) => "Tensor".to_string(),
        Results::Exactly(n) => format!("[Tensor; {n}]"),
        Results::Inferred => "Tensors".to_string(),
    };
    writeln!(out, "    {} = \"{}\" ({}){options} -> {results};", method(op), op.name, names.join(", "))
        .unwrap();
    out
}

#[test]
fn the_methods_are_those_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/graph/ops.rs");
    let mut all: Vec<&Op> = ops::all().filter(|op| !BY_HAND.contains(&op.name)).collect();
    all.sort_by_key(|op| op.name);
    let methods = all.iter().map(|op| written(op, op.editions.last().expect("an op has an edition")));
    let wanted = format!("{HEAD}ops! {{\n{}}}\n", methods.collect::<Vec<_>>().join("\n"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap() == wanted,
        "src/graph/ops.rs is not as the op table; BLESS=1 cargo test -p anemone --test graph_ops writes it anew"
    );
}
