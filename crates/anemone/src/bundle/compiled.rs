//! The binary files of a compiled model: `coremldata.bin` and its relatives.
//!
//! Their layout is not documented. What is known of it, and from what files, is in `docs/formats.md`.

use sha2::{Digest, Sha256};

use super::model::{Fields, ModelKind, Payload, invalid};
use crate::source::Diagnostic;

/// What `coremldata.bin` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreMlData<'a> {
    pub(super) kind: &'static ModelKind,
    pub(super) specification_version: i32,
    /// The message that describes the interface.
    pub(super) description: &'a [u8],
}

/// Where the length of the name of the format stands; the name follows.
const FORMAT_LENGTH: usize = 28;
/// The field of the description that holds the metadata.
const METADATA: u32 = 100;

impl<'a> CoreMlData<'a> {
    /// Reads the file. Of its layout only what all known writers agree on is relied on.
    ///
    /// # Errors
    ///
    /// `protobuf-invalid`.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Diagnostic> {
        let short = || invalid("`coremldata.bin` is too short");
        let number = Self::kind_number(bytes).ok_or_else(short)?;
        let kind = ModelKind::of(number).ok_or_else(|| {
            invalid(format_args!("`coremldata.bin` starts with {number}, which is no kind of model"))
        })?;
        // The name of the format, the specification version, 28 bytes of zeros, and the description.
        let length = long(bytes, FORMAT_LENGTH).ok_or_else(short)?;
        let version = (FORMAT_LENGTH + 8).checked_add(length).ok_or_else(short)?;
        let start = version.checked_add(4 + 28).ok_or_else(short)?;
        let length = long(bytes, start).ok_or_else(short)?;
        let description = bytes.get(start + 8..).and_then(|rest| rest.get(..length)).ok_or_else(short)?;
        let specification_version = word(bytes, version).ok_or_else(short)? as i32;
        Ok(Self { kind, specification_version, description })
    }

    /// The number of the kind of model, which every such file starts with.
    pub(super) fn kind_number(bytes: &[u8]) -> Option<u32> {
        word(bytes, 0)
    }

    /// The bytes of the file for a model of so many functions.
    pub(super) fn of_program(&self, functions: usize) -> Vec<u8> {
        let mut out = Vec::new();
        put_words(
            &mut out,
            &[self.kind.number, container_version(self.specification_version), 0, 0, 0, 0, 0],
        );
        put_text(&mut out, "generic");
        self.put_description(&mut out);
        for _ in 0..functions.max(1) {
            put_words(&mut out, &[self.kind.number, 0, 0, 0]);
        }
        out
    }

    /// The bytes of the file for a pipeline of models of these kinds and specification versions.
    pub(super) fn of_pipeline(&self, stages: &[(&ModelKind, i32)]) -> Vec<u8> {
        let mut out = Vec::new();
        put_words(&mut out, &[self.kind.number, 1, 0, 0, 0, 1, 0]);
        let mut format = String::from("generic");
        for (i, (kind, version)) in stages.iter().enumerate() {
            let (version, form) =
                if kind.is_program() { (container_version(*version), "generic") } else { (1, "spec") };
            format.push_str(&format!(".model{i}v{version}.0.0{form}"));
        }
        put_text(&mut out, &format);
        self.put_description(&mut out);
        put_words(&mut out, &[stages.len() as u32, 0, self.kind.number, 0]);
        out
    }

    fn put_description(&self, out: &mut Vec<u8>) {
        put_words(out, &[self.specification_version as u32, 0, 0, 0, 0, 0, 0, 0]);
        // The metadata is there, be it empty.
        let has_metadata = Fields(self.description).any(|f| matches!(f, Ok((METADATA, Payload::Bytes(_)))));
        let metadata: &[u8] = if has_metadata { &[] } else { &[0xa2, 0x06, 0] };
        out.extend(((self.description.len() + metadata.len()) as u64).to_le_bytes());
        out.extend(self.description);
        out.extend(metadata);
    }
}

/// The second word of the file: 5 in every file of specification versions 6 and 7 that was seen, and the
/// specification version in those of version 9.
fn container_version(specification_version: i32) -> u32 {
    if specification_version >= 9 { specification_version as u32 } else { 5 }
}

/// The bytes of `modelNames/coremldata.bin`: the names of the stages of a pipeline.
pub(super) fn model_names(names: &[&str]) -> Vec<u8> {
    let mut out = (names.len() as u64).to_le_bytes().to_vec();
    for name in names {
        put_text(&mut out, name);
    }
    out
}

/// The names of the stages of a pipeline, as far as the file can be read.
pub(super) fn read_model_names(bytes: &[u8]) -> Vec<String> {
    let mut at = 8;
    std::iter::from_fn(|| {
        let length = long(bytes, at)?;
        let start = at + 8;
        at = start.checked_add(length)?;
        Some(String::from_utf8_lossy(bytes.get(start..at)?).into_owned())
    })
    .collect()
}

/// The hash by which `analytics/coremldata.bin` names a model file.
pub(super) fn model_hash(model_file: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(model_file))
}

/// The bytes of `analytics/coremldata.bin` of a model, given the hash of its model file; the models inside of a
/// pipeline have none.
pub(super) fn analytics_of_program(hash: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let details = [("containsCustomLayer", "0"), ("modelDimension", "0")];
    put_section(&mut out, "NeuralNetworkModelDetails", &details);
    if let Some(hash) = hash {
        put_section(&mut out, "SpecificationDetails", &[("modelHash", hash), ("modelName", "model")]);
    }
    out
}

/// The bytes of `analytics/coremldata.bin` of a pipeline, given the hash of its model file.
pub(super) fn analytics_of_pipeline(stages: usize, hash: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_section(&mut out, "PipelineModelDetails", &[("modelDimension", &stages.to_string())]);
    put_section(&mut out, "SpecificationDetails", &[("modelHash", hash), ("modelName", "model")]);
    out
}

fn put_section(out: &mut Vec<u8>, name: &str, entries: &[(&str, &str)]) {
    put_text(out, name);
    out.extend((entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        put_text(out, key);
        put_text(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let n = bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)?;
    usize::try_from(n).ok()
}

#[cfg(test)]
mod tests {
    use super::super::model::PROGRAM;
    use super::*;

    fn data(specification_version: i32, description: &[u8]) -> CoreMlData<'_> {
        CoreMlData { kind: ModelKind::of(PROGRAM).unwrap(), specification_version, description }
    }

    #[test]
    fn a_file_says_what_was_written() {
        let description = [0x0a, 1, b'x', 0xa2, 0x06, 0];
        let bytes = data(7, &description).of_program(1);
        let mut expected = vec![0xf6, 1, 0, 0, 5];
        expected.resize(28, 0);
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend(b"generic\x07");
        expected.resize(0x4b, 0);
        expected.extend([6, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend(description);
        expected.extend([0xf6, 1]);
        expected.resize(expected.len() + 14, 0);
        assert_eq!(bytes, expected);
        let read = CoreMlData::new(&bytes).unwrap();
        assert_eq!((read.specification_version, read.description), (7, &description[..]));
        for length in 0..bytes.len() - 16 {
            assert!(CoreMlData::new(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn metadata_is_added_where_there_is_none() {
        let bytes = data(9, &[0x0a, 1, b'x']).of_program(2);
        assert_eq!(CoreMlData::new(&bytes).unwrap().description, [0x0a, 1, b'x', 0xa2, 0x06, 0]);
        assert_eq!(bytes[4], 9);
        assert_eq!(bytes.len(), 0x53 + 6 + 2 * 16);
    }

    #[test]
    fn a_pipeline_names_the_form_of_each_stage() {
        let nms = ModelKind::ALL.iter().find(|k| k.name == "nonMaximumSuppression").unwrap();
        let bytes = data(5, &[]).of_pipeline(&[(ModelKind::of(PROGRAM).unwrap(), 6), (nms, 5)]);
        assert_eq!(&bytes[36..80], b"generic.model0v5.0.0generic.model1v1.0.0spec");
        assert_eq!(bytes[bytes.len() - 16], 2);
    }

    #[test]
    fn names_are_read_as_far_as_they_go() {
        let bytes = model_names(&["a", "", "é"]);
        assert_eq!(read_model_names(&bytes), ["a", "", "é"]);
        for length in 0..bytes.len() {
            assert!(read_model_names(&bytes[..length]).len() < 3);
        }
        assert!(read_model_names(&[0xff; 40]).is_empty());
    }

    #[test]
    fn lengths_past_the_end_are_refused() {
        let mut bytes = data(7, &[]).of_program(1);
        bytes[28..36].fill(0xff);
        assert!(CoreMlData::new(&bytes).is_err());
        bytes[28..36].copy_from_slice(&(u64::MAX - 35).to_le_bytes());
        assert!(CoreMlData::new(&bytes).is_err());
    }
}
