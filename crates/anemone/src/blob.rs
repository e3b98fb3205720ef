//! Weight files: MIL Blob Storage, version 2.
//!
//! A weight file is a header of 64 bytes and then, for each tensor, a record of 64 bytes and the tensor's elements.
//! Everything is little-endian, and records and elements start at multiples of 64. A program names a tensor by the
//! offset of its *record*. `docs/formats.md` draws the layout and says what each statement is known from.
//!
//! ```
//! use anemone::blob::{Reader, Writer};
//! use anemone::types::Tensor;
//!
//! let weights = Tensor::from_slice(&[3], &[1.0f32, 2.0, 3.0]).unwrap();
//! let mut writer = Writer::new(std::io::Cursor::new(Vec::new())).unwrap();
//! let offset = writer.append(&weights).unwrap();
//! let file = writer.finish().unwrap().into_inner();
//!
//! let reader = Reader::new(&file).unwrap();
//! let record = reader.record(offset).unwrap();
//! assert_eq!(&file[record.data], weights.bytes());
//! ```

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::source::{Diagnostic, codes};
use crate::types::{DType, Tensor};

/// The first record of a file; also the length of the header and of a record, and what offsets are multiples of.
///
/// ```
/// use anemone::blob::{ALIGNMENT, Reader, pack_weights};
/// let file = pack_weights(&[0x3c00; 3]);
/// let record = Reader::new(&file)?.record(ALIGNMENT)?; // the first
/// assert_eq!((record.offset, record.elements()), (64, 3));
/// # Ok::<(), anemone::source::Diagnostic>(())
/// ```
pub const ALIGNMENT: u64 = 64;

const VERSION: u32 = 2;
const SENTINEL: u32 = 0xDEAD_BEEF;
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The dtypes of the format; the code of the first is 1.
const DTYPES: [DType; 17] = {
    use DType::*;
    [
        Fp16, Fp32, UInt8, Int8, Bf16, Int16, UInt16, Int4, UInt1, UInt2, UInt4, UInt3, UInt6, Int32, UInt32,
        Fp8E4M3FN, Fp8E5M2,
    ]
};

/// The number that stands for a dtype in a record; there is none for bools, strings and numbers of 64 bits.
///
/// ```
/// use anemone::{blob::code_of, types::DType};
/// assert_eq!((code_of(DType::Fp16), code_of(DType::String)), (Some(1), None));
/// ```
pub fn code_of(dtype: DType) -> Option<u32> {
    DTYPES.iter().position(|&d| d == dtype).map(|i| i as u32 + 1)
}

/// The dtype that a number in a record stands for.
///
/// ```
/// use anemone::{blob::dtype_of, types::DType};
/// assert_eq!((dtype_of(1), dtype_of(999)), (Some(DType::Fp16), None));
/// ```
pub fn dtype_of(code: u32) -> Option<DType> {
    DTYPES.get(usize::try_from(code.checked_sub(1)?).ok()?).copied()
}

/// Whether these are the first bytes of a Git LFS pointer: what a checkout holds in the place of a large file.
///
/// ```
/// use anemone::blob::is_lfs_pointer;
/// assert!(is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"));
/// assert!(!is_lfs_pointer(&anemone::blob::pack_weights(&[0])));
/// ```
pub fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(LFS_POINTER)
}

/// What a record says of its tensor. The shape is the program's affair.
///
/// ```
/// let bytes = anemone::blob::pack_weights(&[0x3c00, 0x4000]);
/// for record in anemone::blob::Reader::new(&bytes)?.records() {
///     assert_eq!(record?.data, 128..132);
/// }
/// # Ok::<(), anemone::source::Diagnostic>(())
/// ```
///
/// ```
/// use anemone::blob::{Reader, Record, pack_weights};
/// let file = pack_weights(&[0x3c00; 5]);
/// let record: Record = Reader::new(&file)?.record(64)?;
/// assert_eq!(record.elements(), 5);
/// # Ok::<(), anemone::source::Diagnostic>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the record stands in the file: what the program calls the offset of the tensor.
    pub offset: u64,
    /// The dtype of the elements.
    pub dtype: DType,
    /// Where the elements stand in the file.
    pub data: Range<usize>,
    /// How many bits at the end of the last byte belong to no element; 0 for elements of a byte or more.
    pub padding_bits: u8,
}

impl Record {
    /// The number of elements; a rest that is no whole element does not count.
    pub fn elements(&self) -> u64 {
        let bits =
            self.data.len() as u128 * 8 - u128::from(self.padding_bits).min(self.data.len() as u128 * 8);
        (bits / self.dtype.bits() as u128) as u64
    }
}

/// Reads a weight file from its bytes, which may be those of a mapped file.
///
/// ```
/// use anemone::{blob::Reader, types::DType};
/// let bytes = anemone::blob::pack_weights(&[0x3c00, 0x4000]);
/// let reader = Reader::new(&bytes)?;
/// let record = reader.record(64)?;
/// assert_eq!((reader.count(), record.dtype, record.elements()), (1, DType::Fp16, 2));
/// assert_eq!(bytes[record.data.clone()], [0x00, 0x3c, 0x00, 0x40]);
/// # Ok::<(), anemone::source::Diagnostic>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl<'a> Reader<'a> {
    /// A reader of these bytes, whose header it checks.
    ///
    /// # Errors
    ///
    /// `lfs-pointer` and `blob-header`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Diagnostic> {
        if is_lfs_pointer(bytes) {
            return Err(Diagnostic::new(
                &codes::LFS_POINTER,
                "the weight file is a Git LFS pointer, not the data",
            )
            .help("run `git lfs pull` where the model was cloned"));
        }
        let header = |message: String| Err(Diagnostic::new(&codes::BLOB_HEADER, message));
        let (Some(count), Some(version)) = (u32_at(bytes, 0), u32_at(bytes, 4)) else {
            return header(format!(
                "the weight file has {} bytes, and its header alone takes 64",
                bytes.len()
            ));
        };
        match version {
            VERSION if bytes.len() < ALIGNMENT as usize => {
                header(format!("the weight file has {} bytes, and its header alone takes 64", bytes.len()))
            }
            VERSION => Ok(Self { bytes, count }),
            1 => header("the weight file has version 1, an older and different format".into()),
            _ => header(format!(
                "the weight file does not start with a version, but with {version:#x} at byte 4"
            )),
        }
    }

    /// How many tensors the header counts. Nothing holds the number to the truth; only [`Reader::records`] reads it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The record at this offset.
    ///
    /// # Errors
    ///
    /// `blob-record`, `blob-dtype` and `blob-bounds`.
    pub fn record(&self, offset: u64) -> Result<Record, Diagnostic> {
        let wrong = |message: String| Diagnostic::new(&codes::BLOB_RECORD, message);
        let Some(fields) = usize::try_from(offset)
            .ok()
            .and_then(|start| self.bytes.get(start..start.checked_add(ALIGNMENT as usize)?))
        else {
            let length = self.bytes.len();
            let message =
                format!("offset {offset} leaves no room for a record in a weight file of {length} bytes");
            return Err(self.meant(offset, wrong(message)));
        };
        let word = |at| u32_at(fields, at).unwrap_or_default();
        let long = |at| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(0) != SENTINEL {
            return Err(self.meant(offset, wrong(format!("there is no record at offset {offset}"))));
        }
        let Some(dtype) = dtype_of(word(4)) else {
            return Err(wrong(format!(
                "the record at {offset} has the dtype {}, which stands for none",
                word(4)
            )));
        };
        let (size, start) = (long(8), long(16));
        let data = start
            .checked_add(size)
            .filter(|&end| end <= self.bytes.len() as u64)
            // Both fit a `usize`, since the file's length does.
            .map(|end| start as usize..end as usize)
            .ok_or_else(|| {
                Diagnostic::new(
                    &codes::BLOB_BOUNDS,
                    format!(
                        "the record at {offset} holds {size} bytes at {start}, and the weight file has {}",
                        self.bytes.len()
                    ),
                )
                .help("fetch the file again: it may have been cut short")
            })?;
        // Writers before 2024 left whatever was in memory in the fields behind the offset, so that the padding says
        // nothing about elements that fill their bytes.
        let padding = if dtype.is_sub_byte() { long(24) } else { 0 };
        if padding >= 8 || padding > size.saturating_mul(8) {
            return Err(wrong(format!(
                "the record at {offset} claims {padding} unused bits in its last byte"
            )));
        }
        Ok(Record { offset, dtype, data, padding_bits: padding as u8 })
    }

    /// The records, one after the other, as far as the header counts them. The first that cannot be read is the
    /// last that is given.
    pub fn records(&self) -> impl Iterator<Item = Result<Record, Diagnostic>> + use<'a> {
        let (reader, mut offset, mut left) = (*self, ALIGNMENT, self.count);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = reader.record(offset);
            match &record {
                // A record whose elements lie before it would be met again and again.
                Ok(r) => offset = align(r.data.end as u64).max(offset + ALIGNMENT),
                Err(_) => left = 0,
            }
            Some(record)
        })
    }

    /// Adds to a complaint about an offset where the record that was meant may be.
    fn meant(&self, offset: u64, d: Diagnostic) -> Diagnostic {
        // Not by `record`, which would ask here again for the offset before.
        let before = offset.checked_sub(ALIGNMENT).filter(|&b| {
            let fields = usize::try_from(b).ok().and_then(|b| self.bytes.get(b..)).unwrap_or_default();
            u32_at(fields, 0) == Some(SENTINEL) && u32_at(fields, 16).map(u64::from) == Some(offset)
        });
        match before {
            Some(b) => {
                d.help(format!("write {b}: a program gives the offset of the record, not of the data"))
            }
            None if !offset.is_multiple_of(ALIGNMENT) => d.note("records stand at multiples of 64"),
            None => d,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

/// The next multiple of 64.
fn align(offset: u64) -> u64 {
    offset.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX)
}

/// Writes a weight file, tensor by tensor. The same tensors give the same bytes.
///
/// ```
/// use anemone::blob::{Reader, Writer};
/// use anemone::types::{DType, Tensor};
/// use std::io::Cursor;
/// let mut writer = Writer::new(Cursor::new(Vec::new()))?;
/// let first = writer.append(&Tensor::from_f64s(DType::Fp16, &[2], &[1.0, 2.0]).unwrap())?;
/// let second = writer.append(&Tensor::from_i64s(DType::Int8, &[3], &[1, 2, 3]).unwrap())?;
/// let bytes = writer.finish()?.into_inner();
/// let reader = Reader::new(&bytes).unwrap();
/// assert_eq!(reader.record(first).unwrap().elements(), 2);
/// assert_eq!(reader.record(second).unwrap().dtype, DType::Int8);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    count: u32,
    end: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// A writer that writes here, from the start.
    ///
    /// # Errors
    ///
    /// What `out` gives.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&[0; ALIGNMENT as usize])?;
        Ok(Self { out, count: 0, end: ALIGNMENT })
    }

    /// Writes a tensor and gives the offset of its record.
    ///
    /// # Errors
    ///
    /// What `out` gives; [`io::ErrorKind::InvalidInput`] for a dtype that the format does not have.
    pub fn append(&mut self, tensor: &Tensor) -> io::Result<u64> {
        self.append_elements(tensor.dtype(), tensor.len(), tensor.bytes())
    }

    /// Writes so many elements, packed as [`Tensor`] packs them, and gives the offset of their record.
    ///
    /// ```
    /// use anemone::{blob::Writer, types::DType};
    /// let mut writer = Writer::new(std::io::Cursor::new(Vec::new()))?;
    /// let offset = writer.append_elements(DType::UInt4, 3, &[0x21, 0x03])?; // 1, 2, 3, the first in the lowest bits
    /// assert_eq!(offset, anemone::blob::ALIGNMENT);
    /// assert_eq!(writer.finish()?.into_inner().len(), 64 + 64 + 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Writer::append`]; also [`io::ErrorKind::InvalidInput`] when the elements take another number of bytes.
    pub fn append_elements(&mut self, dtype: DType, elements: usize, bytes: &[u8]) -> io::Result<u64> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        let code = code_of(dtype).ok_or_else(|| invalid(format!("a weight file cannot hold `{dtype}`")))?;
        let bits = elements.checked_mul(dtype.bits()).filter(|b| b.div_ceil(8) == bytes.len());
        let bits = bits.ok_or_else(|| {
            invalid(format!("{} bytes are not {elements} elements of dtype `{dtype}`", bytes.len()))
        })?;
        let record = align(self.end);
        let data = record + ALIGNMENT;
        let mut fields = [0; ALIGNMENT as usize];
        fields[..4].copy_from_slice(&SENTINEL.to_le_bytes());
        fields[4..8].copy_from_slice(&code.to_le_bytes());
        fields[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        fields[16..24].copy_from_slice(&data.to_le_bytes());
        fields[24..32].copy_from_slice(&((bytes.len() * 8 - bits) as u64).to_le_bytes());
        self.out.write_all(&[0; ALIGNMENT as usize][..(record - self.end) as usize])?;
        self.out.write_all(&fields)?;
        self.out.write_all(bytes)?;
        self.end = data + bytes.len() as u64;
        self.count = self.count.checked_add(1).ok_or_else(|| invalid("too many tensors".into()))?;
        Ok(record)
    }

    /// Writes the header and gives back what was written to.
    ///
    /// # Errors
    ///
    /// What `out` gives.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&self.count.to_le_bytes())?;
        self.out.write_all(&VERSION.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A weight file of one fp16 tensor, given as bits; its record stands at offset 64.
///
/// ```
/// let file = anemone::blob::pack_weights(&[0x3c00; 4]);
/// assert_eq!((file.len(), &file[128..]), (136, [0, 0x3c].repeat(4).as_slice()));
/// ```
pub fn pack_weights(weights: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let write = || {
        let mut writer = Writer::new(Cursor::new(Vec::with_capacity(128 + bytes.len())))?;
        writer.append_elements(DType::Fp16, weights.len(), &bytes)?;
        writer.finish()
    };
    write().map(Cursor::into_inner).expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tensors: &[Tensor]) -> (Vec<u8>, Vec<u64>) {
        let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
        let offsets = tensors.iter().map(|t| writer.append(t).unwrap()).collect();
        (writer.finish().unwrap().into_inner(), offsets)
    }

    /// Rows D2, D4: every dtype, int8 among them.
    #[test]
    fn every_dtype_comes_back_with_its_padding() {
        for dtype in DTYPES {
            for n in 1..20 {
                let t = Tensor::from_i64s(dtype, &[n], &vec![1; n]).unwrap();
                let (bytes, offsets) = file(&[t.clone(), t.clone()]);
                let reader = Reader::new(&bytes).unwrap();
                assert_eq!(reader.count(), 2);
                for &offset in &offsets {
                    let r = reader.record(offset).unwrap();
                    assert_eq!((r.dtype, r.elements()), (dtype, n as u64));
                    assert_eq!(&bytes[r.data.clone()], t.bytes());
                    assert!(offset % 64 == 0 && r.data.start as u64 == offset + 64);
                }
                let walked: Vec<u64> = reader.records().map(|r| r.unwrap().offset).collect();
                assert_eq!(walked, offsets);
            }
        }
    }

    /// Row D1: byte for byte.
    #[test]
    fn one_fp16_tensor_has_the_bytes_that_the_engine_is_known_to_take() {
        let bytes = pack_weights(&[0x3c00, 0xc000]);
        let mut expected = vec![0; 132];
        expected[0] = 1;
        expected[4] = 2;
        expected[64..72].copy_from_slice(&[0xef, 0xbe, 0xad, 0xde, 1, 0, 0, 0]);
        expected[72] = 4;
        expected[80] = 128;
        expected[128..].copy_from_slice(&[0x00, 0x3c, 0x00, 0xc0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn garbage_behind_the_offset_matters_only_to_elements_below_a_byte() {
        let (mut bytes, _) = file(&[Tensor::from_i64s(DType::UInt8, &[3], &[1, 2, 3]).unwrap()]);
        bytes[88..128].fill(0xa5);
        assert_eq!(Reader::new(&bytes).unwrap().record(64).unwrap().elements(), 3);
        let (mut bytes, _) = file(&[Tensor::from_i64s(DType::UInt3, &[3], &[1, 2, 3]).unwrap()]);
        bytes[88..128].fill(0xa5);
        assert_eq!(Reader::new(&bytes).unwrap().record(64).unwrap_err().code, &codes::BLOB_RECORD);
    }

    #[test]
    fn no_length_of_a_file_and_no_byte_of_it_makes_the_reader_panic() {
        let t = Tensor::from_i64s(DType::Int4, &[5], &[1, -2, 3, 4, 5]).unwrap();
        let (bytes, _) = file(&[t.clone(), t]);
        for length in 0..=bytes.len() {
            let Ok(reader) = Reader::new(&bytes[..length]) else { continue };
            for offset in 0..=length as u64 {
                let _ = reader.record(offset);
            }
            let _ = reader.records().count();
        }
        for i in 0..bytes.len() {
            for b in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[i] = b;
                if let Ok(reader) = Reader::new(&bytes) {
                    assert!(reader.records().flatten().all(|r| r.data.end <= bytes.len()));
                }
            }
        }
    }

    #[test]
    fn hostile_records_are_refused() {
        let (good, _) = file(&[Tensor::from_slice(&[2], &[1u8, 2]).unwrap()]);
        let refused = |at: usize, with: &[u8], code: &crate::source::Code| {
            let mut bytes = good.clone();
            bytes[at..at + with.len()].copy_from_slice(with);
            let found = Reader::new(&bytes).and_then(|r| r.record(64)).unwrap_err();
            assert_eq!(found.code, code, "{found}");
        };
        refused(4, &[1], &codes::BLOB_HEADER);
        refused(4, &[3], &codes::BLOB_HEADER);
        refused(64, &[0], &codes::BLOB_RECORD);
        refused(68, &[18], &codes::BLOB_RECORD);
        refused(68, &[0], &codes::BLOB_RECORD);
        refused(72, &[0xff; 8], &codes::BLOB_BOUNDS);
        refused(80, &[0xff; 8], &codes::BLOB_BOUNDS);
        refused(72, &[3], &codes::BLOB_BOUNDS);
        let reader = Reader::new(&good).unwrap();
        for offset in [0, 1, 63, 65, 127, 129, u64::MAX, u64::MAX - 63, 1 << 63] {
            assert_eq!(reader.record(offset).unwrap_err().code, &codes::BLOB_RECORD, "{offset}");
        }
        let meant = reader.record(128).unwrap_err();
        assert_eq!(meant.code, &codes::BLOB_RECORD);
    }

    /// Row B9: the offset is that of the record.
    #[test]
    fn an_offset_of_the_data_is_answered_with_that_of_the_record() {
        let (bytes, _) = file(&[Tensor::from_slice(&[100], &[0u8; 100]).unwrap()]);
        let d = Reader::new(&bytes).unwrap().record(128).unwrap_err();
        assert!(d.help.unwrap().starts_with("write 64"));
    }

    #[test]
    fn a_long_file_without_records_is_not_searched_for_one() {
        let mut bytes = vec![0; 1 << 24];
        bytes[4] = 2;
        let d = Reader::new(&bytes).unwrap().record((1 << 24) - 64).unwrap_err();
        assert_eq!(d.code, &codes::BLOB_RECORD);
    }

    #[test]
    fn records_that_point_back_do_not_loop() {
        let (mut bytes, _) = file(&[Tensor::from_slice(&[2], &[1u8, 2]).unwrap()]);
        bytes[..4].fill(0xff);
        bytes[80..88].fill(0);
        assert!(Reader::new(&bytes).unwrap().records().count() <= 3);
    }

    #[test]
    fn a_git_lfs_pointer_is_named_as_one() {
        let d = Reader::new(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 493\n")
            .unwrap_err();
        assert_eq!(d.code, &codes::LFS_POINTER);
    }

    #[test]
    fn what_the_format_cannot_hold_is_not_written() {
        let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
        assert!(writer.append(&Tensor::from_bools(&[1], &[true]).unwrap()).is_err());
        assert!(writer.append_elements(DType::Fp16, 3, &[0; 4]).is_err());
        assert!(writer.append_elements(DType::Fp16, usize::MAX, &[0; 4]).is_err());
    }
}
