//! Model files, taken apart without being decoded: what kind of model they hold, and where its parts lie.

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::source::{Diagnostic, codes};

/// What a model is: a field of the message that a model file holds.
///
/// ```
/// use anemone::bundle::ModelKind;
/// let programs: Vec<_> = ModelKind::ALL.iter().filter(|k| k.is_program()).collect();
/// assert_eq!((programs.len(), programs[0].name), (1, "mlProgram"));
/// assert_eq!(ModelKind::of(programs[0].number), Some(programs[0]));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct ModelKind {
    /// The number of the field, which also starts `coremldata.bin`.
    pub number: u32,
    /// The name of the field.
    pub name: &'static str,
    /// What it is, in words.
    pub words: &'static str,
}

impl ModelKind {
    /// Every kind of model, by number.
    pub const ALL: &'static [ModelKind] = KINDS;

    /// The kind of this number.
    pub fn of(number: u32) -> Option<&'static ModelKind> {
        KINDS.iter().find(|k| k.number == number)
    }

    /// Whether the model holds a program.
    pub fn is_program(&self) -> bool {
        self.number == PROGRAM
    }

    /// Whether the model is made of further models.
    ///
    /// ```
    /// use anemone::bundle::ModelKind;
    /// let pipelines: Vec<_> = ModelKind::ALL.iter().filter(|kind| kind.is_pipeline()).map(|kind| kind.name).collect();
    /// assert_eq!(pipelines, ["pipelineClassifier", "pipelineRegressor", "pipeline"]);
    /// ```
    pub fn is_pipeline(&self) -> bool {
        matches!(self.number, PIPELINE | PIPELINE_CLASSIFIER | PIPELINE_REGRESSOR)
    }

    /// Says that the model is not a program, and of which kind it is.
    pub(super) fn refuse(&self) -> Diagnostic {
        Diagnostic::new(&codes::NOT_A_PROGRAM, format!("the model is {}, not a program", self.in_full()))
            .help("convert the original model again, with `convert_to=\"mlprogram\"` and a target of iOS 15 or later")
    }

    /// The words, and the name of the field.
    pub(super) fn in_full(&self) -> String {
        format!("{} (`{}`)", self.words, self.name)
    }
}

pub(super) const PROGRAM: u32 = 502;
pub(super) const PIPELINE: u32 = 202;
const PIPELINE_CLASSIFIER: u32 = 200;
const PIPELINE_REGRESSOR: u32 = 201;

macro_rules! kinds {
    ($($number:literal $name:ident $words:literal;)*) => {
        const KINDS: &[ModelKind] =
            &[$(ModelKind { number: $number, name: stringify!($name), words: $words }),*];
    };
}
kinds! {
    200 pipelineClassifier "a pipeline that ends in a classifier";
    201 pipelineRegressor "a pipeline that ends in a regressor";
    202 pipeline "a pipeline";
    300 glmRegressor "a linear regressor";
    301 supportVectorRegressor "a support vector regressor";
    302 treeEnsembleRegressor "a tree ensemble for regression";
    303 neuralNetworkRegressor "a neural network of the old format, for regression";
    304 bayesianProbitRegressor "a Bayesian probit regressor";
    400 glmClassifier "a linear classifier";
    401 supportVectorClassifier "a support vector classifier";
    402 treeEnsembleClassifier "a tree ensemble for classification";
    403 neuralNetworkClassifier "a neural network of the old format, for classification";
    404 kNearestNeighborsClassifier "a nearest-neighbour classifier";
    500 neuralNetwork "a neural network of the old format";
    501 itemSimilarityRecommender "a recommender";
    502 mlProgram "a program";
    555 customModel "a model that the app computes itself";
    556 linkedModel "a link to another model";
    560 classConfidenceThresholding "a threshold on class confidences";
    600 oneHotEncoder "a one-hot encoder";
    601 imputer "an imputer of missing values";
    602 featureVectorizer "a feature vectorizer";
    603 dictVectorizer "a dictionary vectorizer";
    604 scaler "a scaler";
    606 categoricalMapping "a mapping of categories";
    607 normalizer "a normalizer";
    609 arrayFeatureExtractor "an extractor of array elements";
    610 nonMaximumSuppression "a non-maximum suppression";
    900 identity "an identity";
    2000 textClassifier "a text classifier of Create ML";
    2001 wordTagger "a word tagger of Create ML";
    2002 visionFeaturePrint "a vision feature extractor of the system";
    2003 soundAnalysisPreprocessing "a sound preprocessor of the system";
    2004 gazetteer "a gazetteer of Create ML";
    2005 wordEmbedding "a word embedding of Create ML";
    2006 audioFeaturePrint "an audio feature extractor of the system";
    3000 serializedModel "a serialized model of another framework";
}

/// The parts of a model file. They are slices of it: only what is asked for is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelFile<'a> {
    pub(super) specification_version: i32,
    /// The message that describes the interface.
    pub(super) description: &'a [u8],
    pub(super) updatable: bool,
    /// The field that holds the model itself.
    pub(super) kind: &'static ModelKind,
    pub(super) model: &'a [u8],
}

impl<'a> ModelFile<'a> {
    /// Takes a model file apart.
    ///
    /// # Errors
    ///
    /// `lfs-pointer` and `protobuf-invalid`.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Diagnostic> {
        if crate::blob::is_lfs_pointer(bytes) {
            return Err(Diagnostic::new(
                &codes::LFS_POINTER,
                "the model file is a Git LFS pointer, not the data",
            )
            .help("run `git lfs pull` where the model was cloned")
            .fatal());
        }
        let mut version = 0;
        let mut description: &[u8] = &[];
        let mut updatable = false;
        let mut model = None;
        for field in Fields(bytes) {
            match field? {
                (1, Payload::Number(n)) => version = n as i32,
                (2, Payload::Bytes(b)) => description = b,
                (10, Payload::Number(n)) => updatable = n != 0,
                (n, Payload::Bytes(b)) => model = ModelKind::of(n).map(|k| (k, b)).or(model),
                _ => {}
            }
        }
        let (kind, model) = model.ok_or_else(|| invalid("the model file holds no model of a known kind"))?;
        Ok(Self { specification_version: version, description, updatable, kind, model })
    }

    /// The model files inside a pipeline, and their names, of which there may be fewer.
    ///
    /// # Errors
    ///
    /// `protobuf-invalid`.
    pub(super) fn stages(&self) -> Result<(Vec<&'a [u8]>, Vec<String>), Diagnostic> {
        let mut pipeline = self.model;
        if self.kind.number != PIPELINE {
            pipeline = &[];
            for field in Fields(self.model) {
                if let (1, Payload::Bytes(b)) = field? {
                    pipeline = b;
                }
            }
        }
        let (mut models, mut names) = (Vec::new(), Vec::new());
        for field in Fields(pipeline) {
            match field? {
                (1, Payload::Bytes(b)) => models.push(b),
                (2, Payload::Bytes(b)) => names.push(String::from_utf8_lossy(b).into_owned()),
                _ => {}
            }
        }
        Ok((models, names))
    }
}

impl ModelFile<'_> {
    /// The bytes of a model file of these parts.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.description.len() + self.model.len() + 32);
        encode_key(1, WireType::Varint, &mut out);
        encode_varint(self.specification_version as u64, &mut out);
        put_bytes(2, self.description, &mut out);
        if self.updatable {
            encode_key(10, WireType::Varint, &mut out);
            encode_varint(1, &mut out);
        }
        put_bytes(self.kind.number, self.model, &mut out);
        out
    }

    /// The bytes of a pipeline of these model files.
    pub(super) fn encode_stages(models: &[Vec<u8>], names: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        models.iter().for_each(|m| put_bytes(1, m, &mut out));
        names.iter().for_each(|n| put_bytes(2, n.as_bytes(), &mut out));
        out
    }
}

fn put_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// The payload of a field.
pub(super) enum Payload<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A number of fixed width: no field of interest is one.
    Fixed,
}

/// The fields of a message, in order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Payload<'a>), Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Payload<'a>), Diagnostic> {
        let broken = |e: prost::DecodeError| invalid(e.to_string());
        let (number, wire) = decode_key(&mut self.0).map_err(broken)?;
        let fixed = |bytes: &mut &[u8], n| {
            (bytes.len() >= n).then(|| bytes.advance(n)).ok_or_else(|| invalid("it ends inside a field"))
        };
        let payload = match wire {
            WireType::Varint => Payload::Number(decode_varint(&mut self.0).map_err(broken)?),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.0).map_err(broken)?;
                let bytes = self.0;
                let bytes = usize::try_from(length).ok().and_then(|l| bytes.split_at_checked(l));
                let (payload, rest) = bytes.ok_or_else(|| invalid("it ends inside a field"))?;
                self.0 = rest;
                Payload::Bytes(payload)
            }
            WireType::SixtyFourBit => fixed(&mut self.0, 8).map(|()| Payload::Fixed)?,
            WireType::ThirtyTwoBit => fixed(&mut self.0, 4).map(|()| Payload::Fixed)?,
            WireType::StartGroup | WireType::EndGroup => return Err(invalid("it holds a group")),
        };
        Ok((number, payload))
    }
}

/// Says that a model file cannot be read.
pub(super) fn invalid(why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(&codes::PROTOBUF_INVALID, format!("the model file cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_field() {
        // specificationVersion = 4, description = {}, neuralNetwork = { 3 bytes that are never decoded }
        let bytes = [8, 4, 18, 0, 0xa2, 0x1f, 3, 0xff, 0xff, 0xff];
        let file = ModelFile::new(&bytes).unwrap();
        assert_eq!((file.kind.name, file.specification_version), ("neuralNetwork", 4));
        assert_eq!(file.model, [0xff; 3]);
        let d = file.kind.refuse();
        assert_eq!(
            d.message,
            "the model is a neural network of the old format (`neuralNetwork`), not a program"
        );
        for length in 0..bytes.len() {
            assert!(ModelFile::new(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bytes in [
            &[0xff; 32][..],
            &[0x0b, 1],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x09],
        ] {
            assert_eq!(ModelFile::new(bytes).unwrap_err().code, &codes::PROTOBUF_INVALID);
        }
    }
}
