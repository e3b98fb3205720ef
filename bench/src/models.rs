//! The models, written with `Graph` from weights in the files of Hugging Face.

mod convolutional;
mod transformer;

use std::collections::BTreeMap;
use std::path::Path;

use anemone::graph::Built;
use anemone::types::{self, DType};
use anemone::{Graph, Tensor, fp16};
use half::f16;
use safetensors::{Dtype, SafeTensors};

use crate::Failure;

/// The weights of a model, and its description.
#[derive(Debug)]
pub(crate) struct Folder {
    weights: BTreeMap<String, types::Tensor>,
    config: serde_json::Value,
}

/// Inputs of a model, and the result that is expected of them.
#[derive(Debug)]
pub(crate) struct Case(BTreeMap<String, types::Tensor>);

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let path = folder.join(name);
    Ok(std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?)
}

impl Folder {
    /// Reads `model-f16.safetensors` and `config.json`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let weights = tensors(&read(path, "model-f16.safetensors")?)?;
        Ok(Self { weights, config: serde_json::from_slice(&read(path, "config.json")?)? })
    }

    /// Writes the model as a program of fp16.
    pub(crate) fn build(&self) -> Result<Built, Failure> {
        let mut g = Graph::new();
        let config = &self.config;
        if config["workload"] == "W1" {
            transformer::encoder(&mut g, self)?;
        } else if config["model_type"].is_string() {
            transformer::decoder(&mut g, self)?;
        } else if let Some(name) = config["arch"].as_str() {
            convolutional::network(&mut g, self, name)?;
        } else {
            transformer::perceptron(&mut g, self)?;
        }
        Ok(g.build()?)
    }

    /// A number of the description.
    fn number(&self, name: &str) -> Result<f64, Failure> {
        Ok(self.config[name].as_f64().ok_or_else(|| format!("config.json has no number `{name}`"))?)
    }

    fn count(&self, name: &str) -> Result<usize, Failure> {
        Ok(self.number(name)? as usize)
    }

    fn weight(&self, name: &str) -> Result<&types::Tensor, Failure> {
        Ok(self.weights.get(name).ok_or_else(|| format!("there is no weight `{name}`"))?)
    }

    /// A weight as a constant of a graph.
    fn constant(&self, g: &mut Graph, name: &str) -> Result<Tensor, Failure> {
        Ok(g.constant_tensor(self.weight(name)?.clone()))
    }
}

impl Case {
    /// Reads `io.safetensors`.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        Ok(Self(tensors(&read(folder, "io.safetensors")?)?))
    }

    /// What the program's inputs are in the case, in its order.
    pub(crate) fn inputs(&self, ios: &[anemone::plan::Io]) -> Result<Vec<types::Tensor>, Failure> {
        ios.iter()
            .map(|io| {
                let shape = io.ty.shape.known().ok_or("an input has an open shape")?;
                let tensor = match &*io.name {
                    "position" => {
                        types::Tensor::from_i64s(DType::Int32, &shape, &[transformer::PAST as i64])?
                    }
                    name => {
                        let name = name
                            .strip_prefix("past_")
                            .map_or(name.to_string(), |rest| format!("past.{}", rest.replacen('_', ".", 1)));
                        let found = self.0.get(&name).ok_or_else(|| format!("the case has no `{name}`"))?;
                        if io.ty.dtype == DType::Int32 {
                            types::Tensor::from_i64s(DType::Int32, &shape, &found.to_i64s())?
                        } else {
                            halves(found)?.reshaped(&shape)?
                        }
                    }
                };
                Ok(tensor)
            })
            .collect()
    }

    /// How far an output is from what is expected: the root of the mean square of the difference, relative to that of
    /// what is expected.
    pub(crate) fn distance(&self, output: &[f32]) -> Result<f64, Failure> {
        let expected = self.0.get("y").or_else(|| self.0.get("logits")).ok_or("the case has no result")?;
        let expected = expected.as_slice::<f32>().ok_or("the result of the case is not of fp32")?;
        if expected.len() != output.len() {
            return Err(format!("{} numbers came out, and not {}", output.len(), expected.len()).into());
        }
        let squares = |f: &dyn Fn(usize) -> f64| (0..output.len()).map(|i| f(i) * f(i)).sum::<f64>();
        let distance = squares(&|i| f64::from(output[i]) - f64::from(expected[i]));
        Ok((distance / squares(&|i| f64::from(expected[i]))).sqrt())
    }
}

/// The tensors of a file; whole numbers as int64, the rest as it is.
fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, types::Tensor>, Failure> {
    let file = SafeTensors::deserialize(bytes)?;
    file.iter()
        .map(|(name, view)| {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::Fp32,
                Dtype::F16 => DType::Fp16,
                Dtype::I64 => DType::Int64,
                other => return Err(format!("`{name}` is of {other:?}").into()),
            };
            Ok((name.to_string(), types::Tensor::from_bytes(dtype, view.shape(), view.data())?))
        })
        .collect()
}

/// A tensor of fp32 in fp16.
fn halves(tensor: &types::Tensor) -> Result<types::Tensor, Failure> {
    let numbers = tensor.as_slice::<f32>().ok_or("an input of the case is not of fp32")?;
    let mut halves = vec![0u16; numbers.len()];
    fp16::cast_f32_f16(&mut halves, numbers);
    let halves: Vec<f16> = halves.into_iter().map(f16::from_bits).collect();
    Ok(types::Tensor::from_slice(tensor.shape(), &halves)?)
}
