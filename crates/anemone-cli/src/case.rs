//! Recorded runs: `case.json`.
//!
//! A case has steps, each with a function, the files of its inputs, the files of what is expected, and those of the
//! states after it. States carry on from step to step. Paths are relative to the case.

use std::path::{Path, PathBuf};

use anemone::device::compare::Tolerance;
use anemone::types::DType;
use anemone::verify::{Content, Function, Step};
use serde::Deserialize;

use crate::failure::Failure;
use crate::inputs::NamedFile;

/// A recorded run. Fields that say nothing about running are not read.
#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(default)]
    tolerance: Option<Stated>,
    steps: Vec<CaseStep>,
}

/// A tolerance, in one of the forms that cases state it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stated {
    /// `1e-3`: relative to the largest magnitude.
    Relative(f64),
    /// `{"rtol": 1e-3, "atol": 1e-5}`.
    Both {
        #[serde(default)]
        rtol: f64,
        #[serde(default)]
        atol: f64,
    },
    /// `fp16`, `fp32`, or so many steps of the quantization: `loose (1 quantum)`.
    Word(String),
}

#[derive(Deserialize)]
struct CaseStep {
    #[serde(default)]
    function: Option<String>,
    inputs: Vec<CaseFile>,
    outputs: Vec<CaseFile>,
    #[serde(default)]
    states_after: Vec<CaseFile>,
}

#[derive(Deserialize)]
struct CaseFile {
    name: String,
    file: PathBuf,
}

/// One run, and what is expected of it.
pub(crate) struct Planned {
    pub(crate) function: Option<String>,
    pub(crate) inputs: Vec<NamedFile>,
    pub(crate) outputs: Vec<NamedFile>,
    pub(crate) states: Vec<NamedFile>,
}

impl Case {
    /// Reads a case and its steps.
    pub(crate) fn read(path: &Path) -> Result<(Self, Vec<Planned>), Failure> {
        let shown = path.display();
        let bytes =
            std::fs::read(path).map_err(|e| Failure::world(format!("`{shown}` cannot be read: {e}")))?;
        let mut case: Case = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::world(format!("`{shown}` is not a recorded case: {e}")))?;
        if case.steps.is_empty() {
            return Err(Failure::world(format!("the case `{shown}` has no steps")));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = |list: Vec<CaseFile>| {
            list.into_iter().map(|f| NamedFile { name: f.name, file: folder.join(f.file) }).collect()
        };
        let steps = std::mem::take(&mut case.steps).into_iter().map(|s| Planned {
            function: s.function,
            inputs: files(s.inputs),
            outputs: files(s.outputs),
            states: files(s.states_after),
        });
        let steps = steps.collect();
        Ok((case, steps))
    }

    /// How far the results of a function may be from what is expected.
    pub(crate) fn tolerance(&self, function: &Function) -> Result<Tolerance, Failure> {
        match &self.tolerance {
            None => Ok(Tolerance::of(function)),
            Some(Stated::Relative(relative)) => Ok(Tolerance { relative: *relative, absolute: 0.0 }),
            Some(Stated::Both { rtol, atol }) => Ok(Tolerance { relative: *rtol, absolute: *atol }),
            Some(Stated::Word(word)) => match (word.as_str(), quanta(word)) {
                ("fp16", _) => Ok(Tolerance::FP16),
                ("fp32", _) => Ok(Tolerance::FP32),
                (_, Some(n)) => {
                    // Where rounding lands on the other side of a tie, a result is a whole step away.
                    let absolute = n * quantum(function).unwrap_or(0.0);
                    Ok(Tolerance { absolute, ..Tolerance::of(function) })
                }
                _ => Err(Failure::world(format!(
                    "the case states the tolerance `{word}`; a number, `fp16`, `fp32` or `N quantum` is understood"
                ))),
            },
        }
    }
}

/// The number before the word `quantum` or `quanta`.
fn quanta(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '.').collect();
    let at = words.iter().position(|w| matches!(*w, "quantum" | "quanta"))?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

/// The step of the quantization that a function's results went through last: the largest scale of the `dequantize`
/// that gives a result.
fn quantum(function: &Function) -> Option<f64> {
    let gives_result = |s: &&Step| s.outputs.iter().any(|o| function.body.outputs.contains(o));
    let scale = |s: &Step| {
        let at = s.edition.params.iter().position(|p| p.name == "scale")?;
        let value = function.value(*s.inputs.get(at)?.values().first()?);
        let Content::Constant(datum) = &value.content else { return None };
        datum.as_tensor().filter(|t| t.dtype() != DType::String)?.to_f64s().into_iter().reduce(f64::max)
    };
    let last = function.body.steps.iter().filter(gives_result).filter(|s| s.op.name == "dequantize");
    last.filter_map(scale).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_read_in_every_form() {
        let of = |text: &str| serde_json::from_str::<Option<Stated>>(text).unwrap();
        assert!(of("null").is_none());
        assert!(matches!(of("0.5"), Some(Stated::Relative(r)) if r == 0.5));
        assert!(
            matches!(of(r#"{"atol": 1.0}"#), Some(Stated::Both { rtol, atol }) if (rtol, atol) == (0.0, 1.0))
        );
        assert_eq!(quanta("loose (1 quantum)"), Some(1.0));
        assert_eq!(quanta("2.5 quanta"), Some(2.5));
        assert_eq!(quanta("quantum"), None);
    }
}
