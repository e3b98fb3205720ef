//! Rules of the compiler's validators: a program is made that breaks one, and must be refused.

use anemone::Chip;
use anemone::place::{self, Form, Route, Target};

use super::condition::Condition;
use super::programs;

/// A clause of a rule in the table's words, and how to break it.
struct Clause {
    words: &'static [&'static str],
    broken: fn() -> Broken,
}

/// What breaks a clause.
enum Broken {
    /// A program, refused on these chips.
    Program(Box<Condition>, &'static [Chip]),
    /// An op that comes with a later chip than M1.
    Later(&'static str),
}

const ALL: &[Chip] = &Chip::ALL;
const M1: &[Chip] = &[Chip::M1];

fn of(op: &str, x: &[usize]) -> Condition {
    Condition { op: op.to_string(), x: Some(x.to_vec()), ..Condition::default() }
}

fn refused(c: Condition, chips: &'static [Chip]) -> Broken {
    Broken::Program(Box::new(c), chips)
}

const CLAUSES: &[Clause] = &[
    Clause {
        words: &["divisible by groups"],
        broken: || {
            let weight = Some(vec![6, 2, 3, 3]);
            refused(Condition { weight, groups: Some(3), ..of("conv", &[1, 8, 8, 8]) }, ALL)
        },
    },
    Clause {
        words: &["kernel W, H, D each within"],
        broken: || {
            refused(Condition { kernel: Some(vec![1, 64]), same: true, ..of("conv", &[1, 64, 32, 32]) }, ALL)
        },
    },
    Clause {
        words: &["input rank under 5", "input rank below 5"],
        broken: || refused(of("linear", &[1, 2, 2, 8, 8]), ALL),
    },
    Clause {
        words: &["reduction at most 2048", "channel-reduce C at most 2048"],
        broken: || refused(Condition { axes: Some(vec![1]), ..of("reduce_argmax", &[1, 2049, 4, 4]) }, ALL),
    },
    Clause {
        words: &["extent at most 16384 on A13"],
        broken: || refused(of("transpose", &[1, 1, 2, 65537]), ALL),
    },
    Clause {
        words: &["each dimension appears once"],
        broken: || refused(Condition { perm: Some(vec![0, 1, 1, 3]), ..of("transpose", &[1, 4, 8, 8]) }, ALL),
    },
    Clause {
        words: &["factors in 1, 2, 3, 4, 8"],
        broken: || refused(Condition { factor: Some(5), ..of("pixel_shuffle", &[1, 25, 8, 8]) }, ALL),
    },
    Clause {
        words: &["channel divisible by the factor product"],
        broken: || refused(Condition { factor: Some(2), ..of("pixel_shuffle", &[1, 3, 8, 8]) }, ALL),
    },
    Clause {
        words: &["fully factor into 2, 3, 4, 8"],
        broken: || refused(Condition { factor: Some(5), ..of("space_to_batch", &[1, 4, 10, 10]) }, ALL),
    },
    Clause { words: &["depth 1 on both operands"], broken: || refused(of("matmul", &[1, 2, 2, 8, 8]), ALL) },
    Clause {
        words: &["16 or above fails code generation on the M1"],
        broken: || refused(of("local_response_norm", &[1, 16, 8, 8]), M1),
    },
    Clause {
        words: &["software envelope: data batch 1", "requires data batch one"],
        broken: || refused(Condition { axes: Some(vec![1]), ..of("gather", &[2, 16, 8, 8]) }, M1),
    },
    Clause { words: &["never engine-native"], broken: || Broken::Later("non_maximum_suppression") },
    Clause {
        words: &["code generation rejects on the M1", "`Sort` there"],
        broken: || Broken::Later("argsort"),
    },
    Clause { words: &["the M1 rejects at code generation"], broken: || Broken::Later("topk") },
    Clause { words: &["(1 only from the A15)"], broken: || Broken::Later("random_uniform") },
    Clause { words: &["same coordinate, method, and padding"], broken: || Broken::Later("crop_resize") },
    Clause { words: &["matrix fp16; texture byte"], broken: || Broken::Later("affine") },
    Clause { words: &["warp channel 1 or 2"], broken: || Broken::Later("resample") },
    Clause { words: &["sampling axes H and W; texture byte"], broken: || Broken::Later("resize") },
];

/// Whether programs that break the clauses of a rule are refused; none when no program breaks any.
pub(super) fn validate(rule: &str) -> Option<Result<(), String>> {
    let clauses = CLAUSES.iter().filter(|c| c.words.iter().any(|w| rule.contains(w)));
    let results = clauses.map(|clause| match (clause.broken)() {
        Broken::Program(c, chips) => chips.iter().try_for_each(|&chip| {
            let Ok(built) = programs::program(&c) else { return Ok(()) };
            let target = Target { route: Route::E5rt, ..Target::new(chip) };
            let placed = place::place(built.verified.main(), target);
            let taken = placed.ops.iter().rev().find(|o| o.op == c.op).is_some_and(|o| o.on_engine());
            if taken { Err(format!("we take {} on {chip}", clause.words[0])) } else { Ok(()) }
        }),
        Broken::Later(op) => match place::row(op).form(Chip::M1) {
            Form::Native => Err(format!("we take `{op}` on m1")),
            _ => Ok(()),
        },
    });
    results.reduce(Result::and)
}
