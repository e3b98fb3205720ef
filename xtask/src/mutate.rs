//! `cargo xtask mutate`: the programs of a folder, each made wrong in one way, and what is said of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anemone::bundle::{self, Weights};
use anemone::mil::{Argument, Binding, Call, Function, Operand, OpsetName, Program, Use, Value};
use anemone::source::{Diagnostics, Severity, Source, Span};
use anemone::text;
use anemone::types::{DType, Dim, Shape, TensorType, Type};
use anemone::verify;

/// A way to make a program wrong.
enum Kind {
    /// At a call that is no `const`; false if this call cannot be made wrong so.
    Call(fn(&mut Vec<Call>, usize) -> bool),
    /// At a `const`.
    Const(fn(&mut Call) -> bool),
    /// Of a function as a whole.
    Function(fn(&mut Function) -> bool),
    /// In the printed line of a call.
    Line(fn(&str) -> Option<String>),
}

/// Calls of each kind that are tried in a program.
const SITES: usize = 2;

/// Programs with more calls are left out: they say nothing that smaller ones do not.
const LARGEST: usize = 400;

fn value(v: Value) -> Binding {
    Binding::One(Operand::Value(v, Span::default()))
}

fn argument(name: &str, binding: Binding) -> Argument {
    Argument { name: name.into(), binding, span: Span::default() }
}

/// Changes the type that the first result of a call is declared as.
fn declare(call: &mut Call, change: fn(DType, &mut Vec<Dim>) -> Option<DType>) -> bool {
    let Some(Type::Tensor(t)) = call.outputs.first().map(|o| &o.ty) else { return false };
    let mut dims: Vec<Dim> = t.shape.iter().copied().collect();
    let Some(dtype) = change(t.dtype, &mut dims) else { return false };
    let changed = TensorType::new(dtype, dims.into_iter().collect::<Shape>());
    let differs = !Type::Tensor(t.clone()).fits(&Type::Tensor(changed.clone()));
    call.outputs[0].ty = Type::Tensor(changed);
    differs
}

/// The first operand of a call that is a name.
fn operand(call: &mut Call) -> Option<&mut Use> {
    call.arguments.iter_mut().find_map(|a| match &mut a.binding {
        Binding::One(Operand::Name(used)) => Some(used),
        _ => None,
    })
}

/// Changes the literal of a const of one dtype, and what it is declared as.
fn literal(call: &mut Call, from: DType, to: Value) -> bool {
    let scalar = Type::scalar(from);
    let Some(a) = call.attributes.iter_mut().find(|a| &*a.name == "val") else { return false };
    if a.value.ty() != scalar || call.outputs.len() != 1 {
        return false;
    }
    call.outputs[0].ty = to.ty();
    a.value = to;
    true
}

/// Changes where a const has its numbers.
fn blob(call: &mut Call, change: fn(&mut anemone::mil::BlobRef)) -> bool {
    match call.attributes.iter_mut().find(|a| &*a.name == "val").map(|a| &mut a.value) {
        Some(Value::Blob(blob)) => {
            change(blob);
            true
        }
        _ => false,
    }
}

fn shorter(line: &str, what: &str, by: &str) -> Option<String> {
    line.contains(what).then(|| line.replacen(what, by, 1))
}

const KINDS: &[(&str, Kind)] = &[
    (
        "an op that there is not",
        Kind::Call(|c, i| {
            c[i].op = "frobnicate".into();
            true
        }),
    ),
    (
        "an op in capital letters",
        Kind::Call(|c, i| {
            c[i].op = c[i].op.to_uppercase().as_str().into();
            true
        }),
    ),
    (
        "an op one letter longer",
        Kind::Call(|c, i| {
            c[i].op = format!("{}q", c[i].op).as_str().into();
            true
        }),
    ),
    (
        "an opset that there is not",
        Kind::Call(|c, i| {
            c[i].opset = Some(OpsetName::from("ios99"));
            true
        }),
    ),
    (
        "a parameter that there is not",
        Kind::Call(|c, i| {
            c[i].arguments.push(argument("bogus", value(Value::bool(true))));
            true
        }),
    ),
    (
        "a parameter one letter longer",
        Kind::Call(|c, i| {
            c[i].arguments.first_mut().is_some_and(|a| {
                a.name = format!("{}q", a.name).as_str().into();
                true
            })
        }),
    ),
    (
        "an argument twice",
        Kind::Call(|c, i| {
            let Some(a) = c[i].arguments.first().cloned() else { return false };
            c[i].arguments.push(a);
            true
        }),
    ),
    (
        "no arguments",
        Kind::Call(|c, i| {
            let required = !c[i].arguments.is_empty() && c[i].blocks.is_empty();
            c[i].arguments.clear();
            required
        }),
    ),
    (
        "no first operand",
        Kind::Call(|c, i| {
            let Some(at) = c[i]
                .arguments
                .iter()
                .position(|a| matches!(&*a.name, "x" | "values" | "input" | "data" | "query"))
            else {
                return false;
            };
            c[i].arguments.remove(at);
            true
        }),
    ),
    (
        "an operand that nothing defines",
        Kind::Call(|c, i| {
            operand(&mut c[i]).is_some_and(|o| {
                o.name = "nowhere_7".into();
                true
            })
        }),
    ),
    (
        "its own result as operand",
        Kind::Call(|c, i| {
            let Some(name) = c[i].outputs.first().map(|o| o.name.clone()) else { return false };
            operand(&mut c[i]).is_some_and(|o| {
                o.name = name;
                true
            })
        }),
    ),
    (
        "a tuple for one value",
        Kind::Call(|c, i| {
            let Some(a) = c[i].arguments.iter_mut().find(|a| &*a.name == "x") else { return false };
            let Binding::One(one) = a.binding.clone() else { return false };
            a.binding = Binding::Many(vec![one.clone(), one]);
            true
        }),
    ),
    (
        "a string for a tensor",
        Kind::Call(|c, i| {
            let Some(a) = c[i].arguments.iter_mut().find(|a| &*a.name == "x") else { return false };
            a.binding = value(Value::string("text"));
            true
        }),
    ),
    (
        "above what it reads",
        Kind::Call(|c, i| {
            let reads = |c: &Call, name: &str| {
                c.arguments
                    .iter()
                    .flat_map(|a| a.binding.operands())
                    .any(|o| matches!(o, Operand::Name(u) if u.name == *name))
            };
            let given = (0..i).rev().find(|&j| c[j].outputs.iter().any(|o| reads(&c[i], &o.name)));
            let Some(j) = given else { return false };
            let call = c.remove(i);
            c.insert(j, call);
            true
        }),
    ),
    (
        "twice",
        Kind::Call(|c, i| {
            let call = c[i].clone();
            let binds = !call.outputs.is_empty();
            c.insert(i + 1, call);
            binds
        }),
    ),
    (
        "one result more",
        Kind::Call(|c, i| {
            let Some(mut more) = c[i].outputs.first().cloned() else { return false };
            more.name = format!("{}_more", more.name).as_str().into();
            let fixed = c[i].blocks.is_empty() && &*c[i].op != "split" && &*c[i].op != "make_list";
            c[i].outputs.push(more);
            fixed
        }),
    ),
    (
        "a declared extent one more",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, s| {
                if let Some(Dim::Known(n)) = s.last_mut() {
                    *n += 1;
                }
                Some(d)
            })
        }),
    ),
    (
        "a declared first extent three more",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, s| {
                if let Some(Dim::Known(n)) = s.first_mut() {
                    *n += 3;
                }
                Some(d)
            })
        }),
    ),
    (
        "a declared dimension more",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, s| {
                s.push(Dim::Known(1));
                Some(d)
            })
        }),
    ),
    (
        "a declared dimension less",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, s| {
                s.pop()?;
                Some(d)
            })
        }),
    ),
    (
        "declared extents in another order",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, s| {
                s.reverse();
                Some(d)
            })
        }),
    ),
    (
        "another declared dtype",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, _| Some(if d == DType::Fp16 { DType::Fp32 } else { DType::Fp16 }))
        }),
    ),
    ("int64 as declared dtype", Kind::Call(|c, i| declare(&mut c[i], |_, _| Some(DType::Int64)))),
    (
        "more than any engine holds",
        Kind::Call(|c, i| {
            declare(&mut c[i], |d, s| {
                s.push(Dim::Known(1 << 50));
                Some(d)
            })
        }),
    ),
    (
        "a const without a value",
        Kind::Const(|c| {
            let n = c.attributes.len();
            c.attributes.retain(|a| &*a.name != "val");
            n > c.attributes.len()
        }),
    ),
    (
        "a const that is declared as another dtype",
        Kind::Const(|c| {
            let scalar = c.outputs.first().is_some_and(|o| o.ty == Type::scalar(DType::Int32));
            if scalar {
                c.outputs[0].ty = Type::scalar(DType::Fp32);
            }
            scalar
        }),
    ),
    ("a string for a whole number", Kind::Const(|c| literal(c, DType::Int32, Value::string("one")))),
    ("a float for a whole number", Kind::Const(|c| literal(c, DType::Int32, Value::Float(DType::Fp16, 1.0)))),
    ("a whole number for a bool", Kind::Const(|c| literal(c, DType::Bool, Value::Int(DType::Int32, 1)))),
    ("a bool for a string", Kind::Const(|c| literal(c, DType::String, Value::bool(true)))),
    ("a word that no op takes", Kind::Const(|c| literal(c, DType::String, Value::string("none_such")))),
    ("weights at an offset that there is not", Kind::Const(|c| blob(c, |b| b.offset = 1 << 40))),
    (
        "weights of a path that leads out",
        Kind::Const(|c| blob(c, |b| b.path = "@model_path/../../weight.bin".into())),
    ),
    (
        "an opset that is not known",
        Kind::Function(|f| {
            f.opset = OpsetName::from("ios99");
            true
        }),
    ),
    (
        "a result that nothing defines",
        Kind::Function(|f| {
            f.body.outputs.first_mut().is_some_and(|o| {
                o.name = "nowhere_9".into();
                true
            })
        }),
    ),
    (
        "a result twice",
        Kind::Function(|f| {
            let Some(first) = f.body.outputs.first().cloned() else { return false };
            f.body.outputs.push(first);
            true
        }),
    ),
    (
        "no results",
        Kind::Function(|f| {
            f.body.outputs.clear();
            true
        }),
    ),
    (
        "an input twice",
        Kind::Function(|f| {
            let Some(first) = f.params.first().cloned() else { return false };
            f.params.push(first);
            true
        }),
    ),
    ("no `;`", Kind::Line(|l| l.strip_suffix(';').map(str::to_string))),
    ("no `(`", Kind::Line(|l| shorter(l, "(", " "))),
    ("no `=`", Kind::Line(|l| shorter(l, " = ", " "))),
    ("two commas", Kind::Line(|l| shorter(l, ", ", ",, "))),
    (
        "a `;` for a comma",
        Kind::Line(|l| {
            shorter(l.split_once(" = ")?.1, ", ", "; ")
                .map(|r| format!("{} = {r}", l.split_once(" = ").map_or("", |p| p.0)))
        }),
    ),
    ("a sign that MIL has not", Kind::Line(|l| shorter(l, " = ", " = $"))),
    ("a word too many", Kind::Line(|l| shorter(l, " = ", " stray = "))),
    ("a type that there is not", Kind::Line(|l| shorter(l, "tensor<fp16", "tensor<fp17"))),
    ("an extent below 0", Kind::Line(|l| shorter(l, "]> ", ", -4]> "))),
    ("no closing `>`", Kind::Line(|l| shorter(l, "]>", "]"))),
];

/// What came of the mutants of a kind.
#[derive(Clone, Copy, Default)]
struct Score {
    mutants: usize,
    found: usize,
    exact: usize,
}

/// All errors of a text.
fn errors(text: &str, weights: &Weights) -> Vec<Option<usize>> {
    let mut all = Diagnostics::default();
    if let Some(program) = text::parse_with(text, &mut all) {
        all.append(verify::verify(&program, weights).diagnostics);
    }
    let source = Source::new("", text);
    let line = |span: Span| source.line_column(span.start).line;
    all.iter().filter(|d| d.severity == Severity::Error).map(|d| d.span().map(line)).collect()
}

/// The lines of a text that are not those of another: from the first to the last, counted from 1.
fn changed(right: &[&str], wrong: &[&str]) -> (usize, usize) {
    let same = right.iter().zip(wrong).take_while(|(a, b)| a == b).count();
    let rest = right.len().min(wrong.len()) - same;
    let end = right.iter().rev().zip(wrong.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    (same + 1, (wrong.len() - end).max(same + 1))
}

/// The mutants of a program of one kind, as text.
fn mutants(program: &Program, printed: &str, kind: &Kind, seed: usize) -> Vec<String> {
    let mut texts = Vec::new();
    let body = &program.functions[0].body.calls;
    let is_const = |c: &Call| &*c.op == "const";
    let sites: Vec<usize> =
        (0..body.len()).filter(|&i| is_const(&body[i]) == matches!(kind, Kind::Const(_))).collect();
    let step = (sites.len() / (2 * SITES)).max(1);
    let chosen = (0..sites.len()).map(|i| sites[(seed + i * step) % sites.len()]);
    let with = |change: &dyn Fn(&mut Function) -> bool| {
        let mut changed = program.clone();
        change(&mut changed.functions[0]).then(|| text::print(&changed))
    };
    match kind {
        Kind::Function(change) => texts.extend(with(&|f| change(f))),
        Kind::Call(change) => {
            texts.extend(chosen.filter_map(|i| with(&|f| change(&mut f.body.calls, i))).take(SITES))
        }
        Kind::Const(change) => {
            // A constant that nothing reads is not looked at.
            let reads = |i: &usize| {
                let name = body[*i].outputs.first().map(|o| o.name.to_string()).unwrap_or_default();
                printed.matches(&format!("= {name}")).any(|_| true)
            };
            texts.extend(
                chosen.filter(reads).filter_map(|i| with(&|f| change(&mut f.body.calls[i]))).take(SITES),
            );
        }
        Kind::Line(change) => {
            let lines: Vec<&str> = printed.lines().collect();
            let calls: Vec<usize> =
                (0..lines.len()).filter(|&i| lines[i].ends_with(';') && lines[i].contains(" = ")).collect();
            let at = (0..calls.len())
                .map(|i| calls[(seed + i * (calls.len() / (2 * SITES)).max(1)) % calls.len()]);
            let of = |i: usize| {
                let wrong = change(lines[i])?;
                let mut lines: Vec<&str> = lines.clone();
                lines[i] = &wrong;
                Some(lines.join("\n") + "\n")
            };
            texts.extend(at.filter_map(of).take(SITES));
        }
    }
    texts
}

/// The models below a folder.
fn models(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ends = |e: &str| path.extension().is_some_and(|x| x == e);
        if ends("mlpackage") || ends("mil") {
            found.push(path);
        } else if path.is_dir() {
            models(&path, found)?;
        }
    }
    Ok(())
}

/// Makes mutants of every model below a folder; false when fewer than 95 % have one error, at their place, or one has none.
pub(crate) fn run(folder: &Path, shown: usize) -> Result<bool, String> {
    let mut paths = Vec::new();
    models(folder, &mut paths).map_err(|e| format!("{}: {e}", folder.display()))?;
    paths.sort();
    let mut scores = vec![Score::default(); KINDS.len()];
    let mut misses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut programs = 0;
    for (seed, path) in paths.iter().enumerate() {
        let Ok(model) = bundle::open(path) else { continue };
        let printed = text::print(&model.program);
        let size = model.program.functions.first().map_or(0, |f| f.body.calls.len());
        if size == 0 || size > LARGEST || !errors(&printed, &model.weights).is_empty() {
            continue;
        }
        programs += 1;
        let right: Vec<&str> = printed.lines().collect();
        for ((name, kind), score) in KINDS.iter().zip(&mut scores) {
            for wrong in mutants(&model.program, &printed, kind, seed) {
                let lines: Vec<&str> = wrong.lines().collect();
                // A missing `;` shows on the next line too.
                let (first, last) = changed(&right, &lines);
                let errors = errors(&wrong, &model.weights);
                let exact = matches!(errors[..], [Some(line)] if (first..=last + 1).contains(&line));
                score.mutants += 1;
                score.found += usize::from(!errors.is_empty());
                score.exact += usize::from(exact);
                if !exact {
                    let line = lines.get(first - 1).copied().unwrap_or_default().trim();
                    let line: String = line.chars().take(120).collect();
                    misses
                        .entry(name)
                        .or_default()
                        .push(format!("{}:{first}: {line}: {errors:?}", path.display()));
                }
            }
        }
    }
    println!("{:<44} {:>8} {:>8} {:>8}", "made wrong by", "mutants", "found", "exact");
    let mut all = Score::default();
    for ((name, _), s) in KINDS.iter().zip(&scores) {
        println!("{name:<44} {:>8} {:>8} {:>8}", s.mutants, s.found, s.exact);
        for miss in misses.get(name).into_iter().flatten().take(shown) {
            println!("    {miss}");
        }
        (all.mutants, all.found, all.exact) =
            (all.mutants + s.mutants, all.found + s.found, all.exact + s.exact);
    }
    let percent = |n: usize| 100.0 * n as f64 / all.mutants.max(1) as f64;
    println!(
        "\n{} kinds in {programs} programs: {} mutants, {} found ({:.2} %), {} by one error at the place ({:.2} %)",
        KINDS.len(),
        all.mutants,
        all.found,
        percent(all.found),
        all.exact,
        percent(all.exact)
    );
    Ok(all.found == all.mutants && all.exact * 100 >= all.mutants * 95)
}
