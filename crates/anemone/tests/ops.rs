//! The op table against the registry of coremltools, whose facts are in `facts/opset.tsv`.

use std::collections::BTreeMap;

use anemone::bundle::Weights;
use anemone::mil::op::{Default, Kind, Meaning, Parameter};
use anemone::mil::{OpsetName, op};
use anemone::types::{DType, DTypes};
use anemone::verify::verify;
use anemone::{ops, text};

/// Where the table differs from the registry on purpose, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("make_list", "elem_shape", "the registry cannot mark a tuple as constant; its text does"),
    ("reshape_like", "begins", "the registry cannot mark a tuple as constant; its text does"),
    ("reshape_like", "ends", "the registry cannot mark a tuple as constant; its text does"),
    ("reshape_like", "end_masks", "the registry cannot mark a tuple as constant; its text does"),
    ("einsum", "values", "the registry leaves the dtypes to its inference, which takes floats only"),
];

#[test]
fn every_op_opset_and_parameter_of_the_registry_is_in_the_table() {
    let mut wanted: BTreeMap<(&str, &str), Vec<[&str; 5]>> = BTreeMap::new();
    for line in include_str!("facts/opset.tsv").lines().filter(|l| !l.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [op, opset, rest @ ..] = cells.as_slice() else { panic!("a row of facts/opset.tsv: {line}") };
        let params = wanted.entry((op, opset)).or_default();
        if rest[0] != "-" {
            params.push(rest.try_into().unwrap());
        }
    }
    let mut wrong = Vec::new();
    for ((name, opset), params) in &wanted {
        let Some(op) = ops::find(name) else {
            wrong.push(format!("`{name}` is not in the table"));
            continue;
        };
        let since = OpsetName::from(*opset).known().unwrap();
        let Some(edition) = op.editions.iter().find(|e| e.since == since) else {
            wrong.push(format!("`{name}` has no edition for {opset}"));
            continue;
        };
        for &[param, kind, dtypes, constness, presence] in params {
            if DIFFERENCES.iter().any(|(o, p, _)| (o, p) == (name, &param)) {
                continue;
            }
            let Some(p) = edition.params.iter().find(|p| p.name == param) else {
                wrong.push(format!("`{name}` of {opset} has no `{param}`"));
                continue;
            };
            let dtypes_of = |p: &Parameter| {
                let mut names: Vec<_> = p.dtypes.iter().map(DType::name).collect();
                names.sort_unstable();
                if p.dtypes == DTypes::ANY || names.len() == DType::ALL.len() {
                    "*".into()
                } else {
                    names.join(",")
                }
            };
            let kind_of = match p.kind {
                Kind::Tensor => "tensor",
                Kind::Tuple => "tuple",
                Kind::List => "list",
                Kind::State => "state",
                Kind::Any => "any",
            };
            let found = [
                kind_of.to_string(),
                dtypes_of(p),
                if p.constant { "const" } else { "-" }.to_string(),
                if p.default == Default::Required { "required" } else { "optional" }.to_string(),
            ];
            if found != [kind, dtypes, constness, presence] {
                let wanted = [kind, dtypes, constness, presence].join(" ");
                wrong.push(format!(
                    "`{param}` of `{name}` of {opset}: {} where {wanted} is right",
                    found.join(" ")
                ));
            }
        }
        for p in edition.params {
            if !params.iter().any(|w| w[0] == p.name) {
                wrong.push(format!("`{name}` of {opset} has `{}`, which the registry does not", p.name));
            }
        }
    }
    for op in ops::all() {
        for e in op.editions {
            if !wanted.contains_key(&(op.name, e.since.name()))
                && !ops_beyond_the_registry().contains(&op.name)
            {
                wrong.push(format!("`{}` of {} is not in the registry", op.name, e.since));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ops that programs hold and the registry does not: it lowers states, and the segmenter adds views.
fn ops_beyond_the_registry() -> &'static [&'static str] {
    &["write_state", "coreml_update_state", "tensor_buffer_to_tensor", "tensor_to_tensor_buffer"]
}

#[test]
fn ops_that_coremltools_lowers_are_refused_with_the_reason() {
    for op in ops::LOWERED {
        assert!(ops::find(op.name).is_none(), "`{}` is an op of MIL as well", op.name);
        for named in op.becomes.split('`').skip(1).step_by(2) {
            assert!(ops::find(named).is_some(), "`{}` becomes `{named}`, which is no op", op.name);
        }
        let program = format!(
            "program(1.3) {{ func main<ios18>(tensor<fp32, [4]> x) {{ tensor<fp32, [4]> y = {}(x = x); }} -> (y); }}",
            op.name
        );
        let report = verify(&text::parse(&program).unwrap(), &Weights::none());
        let d = report.diagnostics.iter().next().unwrap();
        assert_eq!(d.code.name, "unknown-op");
        assert!(d.message.contains("is an op inside coremltools"), "{}", d.message);
    }
}

#[test]
fn rows_are_sound() {
    let mut names = Vec::new();
    for op in ops::all() {
        let name = op.name;
        assert!(!names.contains(&name), "`{name}` has two rows");
        names.push(name);
        assert!(
            !op.summary.is_empty() && !op.summary.ends_with('.'),
            "the summary of `{name}`: {}",
            op.summary
        );
        assert!(op.editions.is_sorted_by_key(|e| e.since), "the editions of `{name}` are not in order");
        assert!(!op.editions.is_empty(), "`{name}` has no edition");
        assert!(!op.fast.has_kernels() || op.has_meaning(), "`{name}` has kernels without a meaning");
        let control = matches!(op.meaning, Meaning::Control(op::Control::Cond | op::Control::While));
        assert_eq!(control, ["cond", "while_loop"].contains(&name), "`{name}`");
    }
}
