//! What there is to run: models, inputs and results, read from files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anemone::types::{DType, Tensor, Type};
use anemone::verify::Function;
use serde::Deserialize;

use crate::near::Within;
use crate::vectors::{files, lines, named};

/// A model, and runs of it.
pub(crate) struct Case {
    /// Its path below the folder of the repository.
    pub(crate) name: String,
    pub(crate) model: PathBuf,
    pub(crate) runs: Vec<Run>,
}

/// Inputs, and what is expected then.
pub(crate) struct Run {
    pub(crate) note: String,
    /// The first one, if none is named.
    pub(crate) function: Option<String>,
    inputs: Vec<(String, Tensor)>,
    pub(crate) outputs: Vec<(String, Tensor)>,
    pub(crate) states: Vec<(String, Tensor)>,
    /// How near the results are to be; by the dtypes of the function, if nothing is stated.
    pub(crate) within: Option<Within>,
}

impl Run {
    /// The inputs, in the dtypes of a function: arrays of PyTorch are rounded to them.
    pub(crate) fn inputs_of(&self, function: &Function) -> Result<Vec<(&str, Tensor)>, String> {
        let of = |(name, tensor): &(String, Tensor)| {
            let declared = function.inputs().find(|v| *v.name == **name).map(|v| &v.ty);
            match declared {
                Some(Type::Tensor(t)) if t.dtype != tensor.dtype() && t.dtype != DType::String => {
                    Tensor::from_f64s(t.dtype, tensor.shape(), &tensor.to_f64s())
                }
                _ => Ok(tensor.clone()),
            }
        };
        let one = |input| of(input).map(|t| (input.0.as_str(), t)).map_err(|e| format!("`{}` {e}", input.0));
        self.inputs.iter().map(one).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(root()).expect("it is below the root").display().to_string()
}

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut found = of_folder(&root().join("examples/models"));
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("golden/models")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    found.extend(folders.iter().flat_map(|f| of_folder(f)));
    found.extend(files("programs", "mil").iter().map(|p| of_text(p)));
    found
}

/// A file `case.json`. What the command line reads besides is not used here.
#[derive(Deserialize)]
struct Recorded {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    function: Option<String>,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    #[serde(default)]
    states_after: Vec<Array>,
}

#[derive(Deserialize)]
struct Array {
    name: String,
    file: PathBuf,
}

/// Every model of a folder, with the runs that are recorded there.
fn of_folder(folder: &Path) -> Vec<Case> {
    let path = folder.join("case.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let read = || -> Vec<Run> {
        let recorded: Recorded =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let arrays = |list: Vec<Array>| -> Vec<(String, Tensor)> {
            list.into_iter().map(|a| (a.name, npy(&folder.join(a.file)))).collect()
        };
        let steps = recorded.steps.into_iter().enumerate();
        let run = |(i, s): (usize, Step)| Run {
            note: format!("step {}", i + 1),
            function: s.function,
            inputs: arrays(s.inputs),
            outputs: arrays(s.outputs),
            states: arrays(s.states_after),
            within: None,
        };
        steps.map(run).collect()
    };
    let mut models: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    models
        .retain(|p| p.extension().is_some_and(|e| ["mil", "mlpackage", "mlmodelc"].iter().any(|m| e == *m)));
    models.sort();
    models.into_iter().map(|model| Case { name: name_of(&model), model, runs: read() }).collect()
}

/// A text, with the runs that stand beside it. The first line there says which ops it is for.
fn of_text(path: &Path) -> Case {
    let run = |(number, cells): &(usize, Vec<String>)| {
        let [_source, within, note, rest @ ..] = cells.as_slice() else {
            panic!("{}: line {number} has too few cells", path.display());
        };
        let arrow = rest.iter().position(|c| c == "->").unwrap_or(rest.len());
        let owned = |cells: &[String]| named(cells).into_iter().map(|(n, t)| (n.to_string(), t)).collect();
        Run {
            note: format!("line {number} ({note})"),
            function: None,
            inputs: owned(&rest[..arrow]),
            outputs: owned(rest.get(arrow + 1..).unwrap_or_default()),
            states: Vec::new(),
            within: Some(Within::parse(within)),
        }
    };
    let runs = lines(&path.with_extension("tsv"))[1..].iter().map(run).collect();
    Case { name: name_of(path), model: path.to_path_buf(), runs }
}

/// Reads an array as the scripts of `golden/` write it: in the order of C, of a few dtypes.
fn npy(path: &Path) -> Tensor {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..header_end]).unwrap();
    let behind = |key: &str| header.split_once(key).unwrap_or_else(|| panic!("{header}")).1;
    let descr = behind("'descr': '").split('\'').next().unwrap();
    let extents = behind("'shape': (").split(')').next().unwrap();
    let extents = extents.split(',').map(str::trim).filter(|e| !e.is_empty());
    let shape: Vec<usize> = extents.map(|e| e.parse().unwrap()).collect();
    let elements = &bytes[header_end..];
    let dtype = match descr {
        "<f2" => DType::Fp16,
        "<f4" => DType::Fp32,
        "<i4" => DType::Int32,
        text => {
            let units: usize = text.strip_prefix("<U").unwrap_or_else(|| panic!("{text}")).parse().unwrap();
            let unit = |c: &[u8]| char::from_u32(u32::from_le_bytes([c[0], c[1], c[2], c[3]])).unwrap();
            let string = |item: &[u8]| -> Arc<str> {
                item.chunks_exact(4).map(unit).collect::<String>().trim_end_matches('\0').into()
            };
            let strings = elements.chunks_exact(4 * units).map(string).collect();
            return Tensor::from_strings(&shape, strings).unwrap();
        }
    };
    Tensor::from_bytes(dtype, &shape, elements).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// An entry of a list: a program that an engine does not take.
pub(crate) struct Skipped {
    pub(crate) program: String,
    /// What the engine says of it, in part.
    pub(crate) says: String,
}

/// The list of an engine. Each line is a program, a part of what the engine says, and why that is so.
pub(crate) fn skipped(engine: &str) -> Vec<Skipped> {
    let path = root().join(format!("golden/skipped/{engine}.tsv"));
    let entry = |(number, cells): (usize, Vec<String>)| match &cells[..] {
        [program, says, why] if !says.is_empty() && why.len() > 10 => {
            Skipped { program: program.clone(), says: says.clone() }
        }
        _ => panic!("{}:{number}: a program, what the engine says, and why are wanted", path.display()),
    };
    lines(&path).into_iter().map(entry).collect()
}
