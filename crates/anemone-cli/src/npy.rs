//! The files in which NumPy keeps one array.
//!
//! The format is a magic number, the length of a header, the header (a Python dict of three keys), and the elements.
//! Files are not trusted: the shape is checked against the file before anything is allocated for it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use anemone::types::{DType, MAX_ELEMENTS, MAX_RANK, Tensor};

use crate::failure::Failure;
use crate::output;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read, in bytes; NumPy's own are about 100 long.
const MAX_HEADER: usize = 1 << 16;

/// Reads the array of a file.
pub(crate) fn read(path: &Path) -> Result<Tensor, Failure> {
    let shown = path.display();
    let file = File::open(path).map_err(|e| Failure::world(format!("`{shown}` cannot be opened: {e}")))?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
    read_from(BufReader::new(file), length)
        .map_err(|why| Failure::world(format!("`{shown}` cannot be read as a .npy file: {why}")))
}

/// Writes an array to a file.
pub(crate) fn write(path: &Path, tensor: &Tensor) -> Result<(), Failure> {
    output::write_file(path, &encode(tensor))
}

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Number(DType),
    /// Strings of so many UTF-32 code units, padded with zeros.
    Utf32(usize),
}

impl Item {
    fn size(self) -> usize {
        match self {
            Item::Number(d) => d.bits() / 8,
            Item::Utf32(units) => 4 * units,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Header {
    item: Item,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

fn read_from(mut reader: impl Read, file_length: Option<u64>) -> Result<Tensor, String> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(|_| "it is shorter than a header".to_string())?;
    if &start[..6] != MAGIC {
        return Err("it does not start as a .npy file does".into());
    }
    let mut length = [0; 4];
    let width = if start[6] == 1 { 2 } else { 4 };
    reader.read_exact(&mut length[..width]).map_err(|_| "it ends inside its header".to_string())?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!("its header has {length} bytes, and at most {MAX_HEADER} are read"));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(|_| "it ends inside its header".to_string())?;
    let text = String::from_utf8(text).map_err(|_| "its header is not text".to_string())?;
    let header = parse_header(&text)?;

    let elements = header.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let elements = elements.filter(|&n| n as u64 <= MAX_ELEMENTS).ok_or("its shape is too large")?;
    let size = elements.checked_mul(header.item.size()).ok_or("its shape is too large")?;
    let before = (start.len() + width + length) as u64;
    if file_length.is_some_and(|l| l.saturating_sub(before) != size as u64) {
        return Err(format!("its shape {:?} needs {size} bytes, and it has another number", header.shape));
    }
    let mut bytes = Vec::new();
    reader.take(size as u64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() != size {
        return Err(format!("its shape {:?} needs {size} bytes, and it has {}", header.shape, bytes.len()));
    }
    decode(&header, bytes).map_err(|e| e.to_string())
}

fn decode(header: &Header, mut bytes: Vec<u8>) -> Result<Tensor, anemone::types::TensorError> {
    let unit = if let Item::Number(d) = header.item { d.bits() / 8 } else { 4 };
    if header.big_endian && unit > 1 {
        bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
    // A file in Fortran order holds the transpose in row-major order.
    let mut stored = header.shape.clone();
    if header.fortran {
        stored.reverse();
    }
    let tensor = match header.item {
        Item::Number(DType::Bool) => {
            bytes.iter_mut().for_each(|b| *b = u8::from(*b != 0));
            Tensor::from_bytes(DType::Bool, &stored, &bytes)?
        }
        Item::Number(dtype) => Tensor::from_bytes(dtype, &stored, &bytes)?,
        Item::Utf32(units) => {
            let text = |item: &[u8]| -> Arc<str> {
                let code = |c: &[u8]| u32::from_le_bytes([c[0], c[1], c[2], c[3]]);
                let text: String = item
                    .chunks_exact(4)
                    .map(|c| char::from_u32(code(c)).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                text.trim_end_matches('\0').into()
            };
            let strings = if units == 0 {
                vec![Arc::from(""); stored.iter().product()]
            } else {
                bytes.chunks_exact(4 * units).map(text).collect()
            };
            Tensor::from_strings(&stored, strings)?
        }
    };
    if !header.fortran || header.shape.len() < 2 {
        return tensor.reshaped(&header.shape);
    }
    let shape = &header.shape;
    // The distance in the file between neighbours along each dimension.
    let strides: Vec<usize> = (0..shape.len()).map(|i| shape[..i].iter().product()).collect();
    let place = |i: usize| {
        anemone::device::compare::position(shape, i).iter().zip(&strides).map(|(p, s)| p * s).sum::<usize>()
    };
    tensor.pick(shape, (0..tensor.len()).map(place))
}

/// Reads a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(text: &str) -> Result<Header, String> {
    fn eat(rest: &mut &str, token: &str) -> bool {
        match rest.trim_start().strip_prefix(token) {
            Some(after) => {
                *rest = after;
                true
            }
            None => false,
        }
    }
    let mut rest = text;
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let broken =
        || format!("its header `{}` is not understood", text.trim().chars().take(80).collect::<String>());
    if !eat(&mut rest, "{") {
        return Err(broken());
    }
    while !eat(&mut rest, "}") {
        if eat(&mut rest, "'descr'") && eat(&mut rest, ":") {
            let quoted = rest.trim_start().strip_prefix('\'').and_then(|r| r.split_once('\''));
            let Some((value, after)) = quoted else {
                return Err("it holds records, and one array of plain elements is wanted".into());
            };
            descr = Some(value);
            rest = after;
        } else if eat(&mut rest, "'fortran_order'") && eat(&mut rest, ":") {
            fortran = Some(if eat(&mut rest, "True") {
                true
            } else if eat(&mut rest, "False") {
                false
            } else {
                return Err(broken());
            });
        } else if eat(&mut rest, "'shape'") && eat(&mut rest, ":") && eat(&mut rest, "(") {
            let (inside, after) = rest.split_once(')').ok_or_else(broken)?;
            let numbers = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
            let dims = numbers.map(str::parse).collect::<Result<Vec<usize>, _>>().map_err(|_| broken())?;
            if dims.len() > MAX_RANK {
                return Err(format!("it has {} dimensions, and at most {MAX_RANK} are read", dims.len()));
            }
            shape = Some(dims);
            rest = after;
        } else {
            return Err(broken());
        }
        // A comma follows every entry but, at times, the last.
        let _ = eat(&mut rest, ",");
    }
    let (descr, fortran, shape) =
        descr.zip(fortran).zip(shape).map(|((d, f), s)| (d, f, s)).ok_or_else(broken)?;
    let unknown = || format!("its elements are `{descr}`, which no dtype of MIL is");
    let (order, code) = match descr.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), code)) => (order, code),
        _ => ("|", descr),
    };
    let big_endian = order == ">" || (order == "=" && cfg!(target_endian = "big"));
    let item = match code.strip_prefix('U') {
        Some(units) => Item::Utf32(units.parse().ok().filter(|&n| n <= MAX_HEADER).ok_or_else(unknown)?),
        None => Item::Number(NUMBERS.iter().find(|(c, _)| *c == code).ok_or_else(unknown)?.1),
    };
    Ok(Header { item, big_endian, fortran, shape })
}

/// NumPy's codes of the dtypes that both sides have.
const NUMBERS: &[(&str, DType)] = &[
    ("b1", DType::Bool),
    ("f2", DType::Fp16),
    ("f4", DType::Fp32),
    ("f8", DType::Fp64),
    ("i1", DType::Int8),
    ("i2", DType::Int16),
    ("i4", DType::Int32),
    ("i8", DType::Int64),
    ("u1", DType::UInt8),
    ("u2", DType::UInt16),
    ("u4", DType::UInt32),
    ("u8", DType::UInt64),
];

/// The bytes of the file of a tensor. Dtypes that NumPy does not have are widened to one that holds their values.
fn encode(tensor: &Tensor) -> Vec<u8> {
    let wider = match tensor.dtype() {
        DType::Bf16 | DType::Fp8E4M3FN | DType::Fp8E5M2 => Some(DType::Fp32),
        DType::Int4 => Some(DType::Int8),
        d if d.is_sub_byte() => Some(DType::UInt8),
        _ => None,
    };
    let widened = wider.and_then(|d| Tensor::from_f64s(d, tensor.shape(), &tensor.to_f64s()).ok());
    let tensor = widened.as_ref().unwrap_or(tensor);
    let mut body = Vec::new();
    let descr = match tensor.as_strings() {
        Some(strings) => {
            let units = strings.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1);
            for s in strings {
                let padded = s.chars().map(u32::from).chain(std::iter::repeat(0)).take(units);
                body.extend(padded.flat_map(u32::to_le_bytes));
            }
            format!("<U{units}")
        }
        None => {
            body.extend_from_slice(tensor.bytes());
            let code = NUMBERS.iter().find(|(_, d)| *d == tensor.dtype()).map_or("u1", |(c, _)| c);
            format!("{}{code}", if tensor.dtype().bits() == 8 { "|" } else { "<" })
        }
    };
    let mut shape = String::new();
    for d in tensor.shape() {
        let _ = write!(shape, "{d}, ");
    }
    let shape = if tensor.rank() > 1 { shape.trim_end_matches(", ") } else { shape.trim_end() };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The elements start at a multiple of 64 bytes; the header ends with a line end.
    let length = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    let _ = write!(header, "{:>1$}", '\n', length - header.len());
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // A tensor has at most 64 dimensions of at most 13 digits, so that the length fits 16 bits.
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read_bytes(bytes: &[u8]) -> Result<Tensor, String> {
        read_from(bytes, Some(bytes.len() as u64))
    }

    #[test]
    fn every_dtype_survives_the_round_trip() {
        for dtype in DType::ALL {
            for shape in [&[][..], &[3], &[2, 3], &[2, 0, 3]] {
                let n: usize = shape.iter().product();
                let tensor = if dtype == DType::String {
                    let words = ["", "cat", "été 🐈"].into_iter().cycle().take(n).map(Arc::from).collect();
                    Tensor::from_strings(shape, words).unwrap()
                } else {
                    let values: Vec<f64> = (0..n).map(|i| (i % 2) as f64).collect();
                    Tensor::from_f64s(dtype, shape, &values).unwrap()
                };
                let bytes = encode(&tensor);
                let back = read_bytes(&bytes).unwrap();
                assert_eq!(back.shape(), shape);
                assert_eq!(
                    (back.to_f64s(), back.as_strings()),
                    (tensor.to_f64s(), tensor.as_strings()),
                    "{dtype}"
                );
                let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
                assert_eq!(start % 64, 0);
            }
        }
    }

    #[test]
    fn fortran_order_and_big_endian_numbers_are_turned() {
        let data: Vec<u8> = [1u16, 4, 2, 5, 3, 6].into_iter().flat_map(u16::to_be_bytes).collect();
        let bytes = file("{'descr': '>u2', 'fortran_order': True, 'shape': (2, 3), }\n", &data);
        let t = read_bytes(&bytes).unwrap();
        assert_eq!((t.shape(), t.to_i64s()), (&[2, 3][..], vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn broken_files_are_refused_with_a_sentence() {
        let ok = file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", &[0; 4]);
        assert!(read_bytes(&ok).is_ok());
        for length in 0..ok.len() {
            assert!(read_bytes(&ok[..length]).is_err());
        }
        for (header, says) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "needs 8 bytes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "too large"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "not understood"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "no dtype of MIL"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "no dtype of MIL"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "holds records"),
            ("{'descr': '<f4', 'shape': (1,)}", "not understood"),
            ("((((((((((((((((((((((", "not understood"),
            ("{'descr': '<é', 'fortran_order': False, 'shape': (1,)}", "no dtype of MIL"),
            ("{'descr': 'é', 'fortran_order': False, 'shape': (1,)}", "no dtype of MIL"),
            ("", "not understood"),
        ] {
            let e = read_bytes(&file(header, &[0; 4])).unwrap_err();
            assert!(e.contains(says), "{header}: {e}");
        }
    }
}
