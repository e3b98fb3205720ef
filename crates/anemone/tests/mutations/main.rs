//! Programs that are right but for one thing: each is found, by one error at the place that was changed.
//!
//! A rule is a statement that is right, and what makes it wrong; it is tried in five programs, which differ in shapes and in
//! what is around the statement. The statement stands behind `relu`s that end in `a`, and gives `r`; `x` is the tensor `{T}`
//! that the program takes, and `{C}`, `{H}`, `{W}` are its extents.

mod chips;
mod engines;
mod forms;
mod gate;
mod repairs;

use anemone::bundle::Weights;
use anemone::place::{self, Target};
use anemone::source::{Diagnostic, Diagnostics, Severity, Source};
use anemone::text;
use anemone::verify;

/// One way to make a program wrong.
struct Rule {
    /// What must be said.
    code: &'static str,
    /// What the program takes beside `x`.
    params: &'static str,
    /// The statement that is right.
    right: &'static str,
    /// The part of the program that is changed; the whole statement if it is empty.
    from: &'static str,
    /// What it is changed to.
    to: &'static str,
    /// The chip that refuses it; the gate does if there is none.
    on: Option<Target>,
}

/// Changes a part of a statement.
const fn part(code: &'static str, right: &'static str, from: &'static str, to: &'static str) -> Rule {
    Rule { code, params: "", right, from, to, on: None }
}

/// Changes a whole statement.
const fn whole(code: &'static str, right: &'static str, to: &'static str) -> Rule {
    part(code, right, "", to)
}

impl Rule {
    const fn with(mut self, params: &'static str) -> Self {
        self.params = params;
        self
    }

    const fn on(mut self, target: Target) -> Self {
        self.on = Some(target);
        self
    }
}

/// The extents of the programs.
const SHAPES: [[usize; 3]; 5] = [[4, 8, 32], [8, 4, 64], [16, 16, 32], [6, 2, 96], [32, 8, 32]];

/// Words of a rule with the extents of a program.
fn fill(words: &str, i: usize) -> String {
    let [c, h, w] = SHAPES[i];
    let words = words.replace("{T}", "tensor<fp16, [1, {C}, {H}, {W}]>");
    [("{C}", c), ("{H}", h), ("{W}", w), ("{C2}", 2 * c), ("{H2}", 2 * h), ("{W2}", 2 * w)]
        .iter()
        .fold(words, |words, (name, n)| words.replace(name, &n.to_string()))
}

/// A program with a statement, and `i` ops before it.
fn program(rule: &Rule, i: usize, statement: &str) -> String {
    let mut before = String::new();
    for n in 0..=i {
        let from = if n == 0 { "x".to_string() } else { format!("v{}", n - 1) };
        let to = if n == i { "a".to_string() } else { format!("v{n}") };
        before += &format!("        {{T}} {to} = relu(x = {from});\n");
    }
    let text = format!(
        "program(1.3)\n{{\n    func main<ios18>({{T}} x{}) {{\n{before}        {statement}\n    }} -> (a, r);\n}}\n",
        rule.params
    );
    fill(&text, i)
}

/// The program of a rule that is wrong.
fn wrong(rule: &Rule, i: usize) -> String {
    if rule.from.is_empty() {
        return program(rule, i, rule.to);
    }
    let right = program(rule, i, rule.right);
    let (from, to) = (fill(rule.from, i), fill(rule.to, i));
    assert!(right.contains(&from), "`{from}` is not in\n{right}");
    right.replacen(&from, &to, 1)
}

/// All that is said of a program.
fn said(text: &str, on: Option<Target>) -> Diagnostics {
    let mut all = Diagnostics::default();
    let Some(program) = text::parse_with(text, &mut all).filter(|_| !all.has_errors()) else { return all };
    let report = verify::verify(&program, &Weights::none());
    all.append(report.diagnostics);
    if let (Some(target), Some(verified)) = (on, report.verified) {
        all.append(place::place(verified.main(), target).diagnostics);
    }
    all
}

/// The line of the primary label.
fn line(d: &Diagnostic, text: &str) -> Option<usize> {
    d.span().map(|s| Source::new("", text).line_column(s.start).line)
}

/// What came of all programs of some rules.
#[derive(Default)]
struct Score {
    programs: usize,
    found: usize,
    exact: usize,
    wrong: Vec<String>,
}

impl Score {
    /// Tries a rule in every program.
    fn try_rule(&mut self, rule: &Rule) {
        for i in 0..SHAPES.len() {
            let (right, wrong) = (program(rule, i, rule.right), wrong(rule, i));
            let fine = said(&right, rule.on);
            self.programs += 1;
            if fine.has_errors() || fine.iter().any(|d| d.code.name == rule.code) {
                self.wrong
                    .push(format!("{}: it is not right before it is changed:\n{right}{fine}\n", rule.code));
                continue;
            }
            let differs = right.lines().zip(wrong.lines()).position(|(a, b)| a != b);
            let place = differs.map_or(0, |n| n + 1);
            let all = said(&wrong, rule.on);
            // An error, or what was there for the first time where the program is still taken.
            let new: Vec<_> =
                all.iter().filter(|d| d.severity == Severity::Error || d.code.name == rule.code).collect();
            let found = new.iter().any(|d| d.code.name == rule.code);
            let exact = new.len() == 1 && found && line(new[0], &wrong) == Some(place);
            self.found += usize::from(found);
            self.exact += usize::from(exact);
            if !exact {
                self.wrong.push(format!("{} wanted at line {place} of\n{wrong}{all}\n", rule.code));
            }
        }
    }

    // The numbers are what the test is for; `--nocapture` shows them.
    #[allow(clippy::print_stdout)]
    #[track_caller]
    fn holds(&self, what: &str, rules: usize) {
        println!(
            "{what}: {rules} rules, {} programs, {} found, {} by one diagnostic at the place",
            self.programs, self.found, self.exact
        );
        assert_eq!(self.found, self.programs, "not found:\n{}", self.wrong.join("\n"));
        assert!(
            self.exact * 100 >= self.programs * 95,
            "{} of {}:\n{}",
            self.exact,
            self.programs,
            self.wrong.join("\n")
        );
    }
}

/// Rows B13, B14, B15, B16: what the gate refuses.
#[test]
fn each_mutation_is_found_by_the_gate() {
    let mut score = Score::default();
    gate::RULES.iter().for_each(|r| score.try_rule(r));
    assert!(gate::RULES.len() >= 50);
    score.holds("gate", gate::RULES.len());
}

/// Rows B13, B14, B15, B16: what no op takes in this form, or beside its other arguments.
#[test]
fn each_form_that_no_op_takes_is_found() {
    let mut score = Score::default();
    forms::RULES.iter().for_each(|r| score.try_rule(r));
    assert!(forms::RULES.len() >= 100);
    score.holds("forms", forms::RULES.len());
}

/// Rows O11, X1, X6: what a chip refuses, and what it takes and gets wrong.
#[test]
fn each_mutation_is_found_for_a_chip() {
    let mut score = Score::default();
    chips::RULES.iter().for_each(|r| score.try_rule(r));
    assert!(chips::RULES.len() >= 30);
    score.holds("chips", chips::RULES.len());
}

/// Rows O11, X1, X6: each limit and form of an engine, by the route on which it shows.
#[test]
fn each_limit_of_an_engine_is_found() {
    let mut score = Score::default();
    engines::RULES.iter().for_each(|r| score.try_rule(r));
    assert!(engines::RULES.len() >= 30);
    score.holds("engines", engines::RULES.len());
}
