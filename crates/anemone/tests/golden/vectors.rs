//! Lines of the files below `golden/`.

use std::fs;
use std::path::{Path, PathBuf};

use anemone::types::{DType, Tensor};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

/// The files of a folder that end so, in order.
pub(crate) fn files(name: &str, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder(name))
        .into_iter()
        .flatten()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == end))
        .collect();
    found.sort();
    found
}

/// The lines of a file that are no comments, with their numbers and cut into cells.
pub(crate) fn lines(path: &Path) -> Vec<(usize, Vec<String>)> {
    let text = fs::read_to_string(path).unwrap();
    let cells = |line: &str| line.split('\t').map(str::to_string).collect();
    let lines = text.lines().enumerate().map(|(i, l)| (i + 1, l)).filter(|(_, l)| !l.starts_with('#'));
    lines.map(|(number, line)| (number, cells(line))).collect()
}

/// A tensor written as `dtype|shape|values`.
pub(crate) fn tensor(text: &str) -> Tensor {
    let [dtype, shape, values] = text.splitn(3, '|').collect::<Vec<_>>()[..] else { panic!("{text}") };
    fn items(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').filter(|item| !item.is_empty())
    }
    let extents: Vec<usize> = items(shape).map(|n| n.parse().unwrap()).collect();
    let dtype = DType::from_name(dtype).unwrap_or_else(|| panic!("no dtype `{dtype}`"));
    if dtype == DType::String {
        if shape.is_empty() {
            return Tensor::string(values);
        }
        return Tensor::from_strings(&extents, values.split(',').map(Into::into).collect()).unwrap();
    }
    if dtype.is_float() {
        let values: Vec<f64> = items(values).map(|n| n.parse().unwrap()).collect();
        return Tensor::from_f64s(dtype, &extents, &values).unwrap();
    }
    let values: Vec<i64> =
        items(values).map(|n| n.parse().unwrap_or_else(|_| n.parse::<u64>().unwrap() as i64)).collect();
    Tensor::from_i64s(dtype, &extents, &values).unwrap()
}

/// Cells of the form `name=dtype|shape|values`.
pub(crate) fn named(cells: &[String]) -> Vec<(&str, Tensor)> {
    cells.iter().map(|c| c.split_once('=').unwrap()).map(|(name, t)| (name, tensor(t))).collect()
}
