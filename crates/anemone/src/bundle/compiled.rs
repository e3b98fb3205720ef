//! The files of a compiled model beside its program: `coremldata.bin`.

use super::model::{ModelKind, invalid};
use crate::source::Diagnostic;

/// What `coremldata.bin` says.
#[derive(Debug)]
pub(super) struct CoreMlData<'a> {
    pub(super) kind: &'static ModelKind,
    pub(super) specification_version: i32,
    /// The message that describes the interface.
    pub(super) description: &'a [u8],
}

/// Where the name of the format starts, behind its length.
const FORMAT_LENGTH: usize = 28;

impl<'a> CoreMlData<'a> {
    /// Reads the file. Of its layout only what both known writers agree on is relied on.
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
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let n = bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)?;
    usize::try_from(n).ok()
}
