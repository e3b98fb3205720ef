//! The methods of `Graph` for the ops of MIL are those of the op table.
//!
//! `BLESS=1 cargo test -p anemone --test graph_ops` writes `src/graph/ops.rs` anew, and the calls of all methods in
//! `tests/graph/methods.rs`, with which the recorded cases of the ops go through the builder.

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

const CALLS: &str = "\
//! A call of each method for an op of MIL.
//!
//! Written by `BLESS=1 cargo test -p anemone --test graph_ops` from the op table.

use anemone::graph::{Arg, Options};
use anemone::{Graph, Tensor};

/// Calls the method for an op, with the required arguments that `a` gives by name; `None` for an op without one.
pub(crate) fn call(g: &mut Graph, op: &str, a: impl Fn(&str) -> Arg, options: Options) -> Option<Vec<Tensor>> {
    Some(match op {
";

/// The arm that calls the method for an op.
fn called(op: &Op, edition: &Edition) -> String {
    let (required, optional): (Vec<_>, Vec<_>) =
        edition.params.iter().partition(|p| p.default == Default::Required);
    let mut given: Vec<_> = required.iter().map(|p| format!("a(\"{}\")", p.name)).collect();
    given.extend((!optional.is_empty()).then(|| "options".to_string()));
    let call = format!("g.{}({})", method(op), given.join(", "));
    let results = match op.results {
        Results::Exactly(0) => format!("{{\n            {call};\n            Vec::new()\n        }}"),
        Results::Exactly(1) => format!("vec![{call}],"),
        Results::Exactly(_) => format!("{call}.to_vec(),"),
        Results::Inferred => format!("{call}.into_iter().collect(),"),
    };
    format!("        \"{}\" => {results}\n", op.name)
}

#[track_caller]
fn check(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("BLESS").is_some() {
        return fs::write(&path, wanted).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == wanted,
        "{} is not as the op table; BLESS=1 cargo test -p anemone --test graph_ops writes it anew",
        path.display()
    );
}

#[test]
fn the_methods_are_those_of_the_table() {
    let mut all: Vec<&Op> = ops::all().filter(|op| !BY_HAND.contains(&op.name)).collect();
    all.sort_by_key(|op| op.name);
    let all: Vec<_> =
        all.into_iter().map(|op| (op, op.editions.last().expect("an op has an edition"))).collect();
    let methods: Vec<_> = all.iter().map(|(op, edition)| written(op, edition)).collect();
    check("src/graph/ops.rs", &format!("{HEAD}ops! {{\n{}}}\n", methods.join("\n")));
    let calls: String = all.iter().map(|(op, edition)| called(op, edition)).collect();
    check("tests/graph/methods.rs", &format!("{CALLS}{calls}        _ => return None,\n    }})\n}}\n"));
}
