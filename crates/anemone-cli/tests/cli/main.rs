//! The command line, as a shell sees it: the built program is run on files that the tests make.

mod bench;
mod bisect;
mod check;
mod convert;
mod docs;
mod general;
mod legalise;
mod models;
mod profile;
mod ranges;
mod run;
mod text;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A program with an addition and a product.
const SMALL: &str = r#"program(1.3)
{
    func main<ios18>(tensor<fp16, [2, 3]> x) {
            tensor<fp16, [3, 2]> w = const()[name = string("w"), val = tensor<fp16, [3, 2]>([[0x1p+0, 0x0p+0], [0x0p+0, 0x1p+0], [0x1p+0, 0x1p+0]])];
            bool no = const()[name = string("no"), val = bool(false)];
            tensor<fp16, [2, 2]> p = matmul(transpose_x = no, transpose_y = no, x = x, y = w)[name = string("p")];
            tensor<fp16, [2, 2]> y = add(x = p, y = p)[name = string("y")];
        } -> (y);
}"#;

/// What a run of the program gave.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// The standard output as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    /// Fails with what was printed unless the exit code is this one.
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Fails unless the standard error holds these words.
    #[track_caller]
    fn complains(self, words: &str) -> Self {
        assert!(self.err.contains(words), "no {words:?} in:\n{}", self.err);
        self
    }
}

/// Runs the program.
fn anemone(arguments: &[&str]) -> Ran {
    anemone_fed(arguments, b"")
}

/// Runs the program with this on its standard input.
fn anemone_fed(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_anemone"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its input closes it, which is its right.
    let _ = child.stdin.take().expect("the input is piped").write_all(input);
    let output = child.wait_with_output().expect("the program ends");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("the output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("the errors are UTF-8"),
    }
}

/// A folder that is removed when the test ends.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    /// The path of a name in the folder.
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("the path is UTF-8").to_string()
    }

    /// Writes a file, and gives its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.path().join(name), content).expect("the file is written");
        self.path(name)
    }

    /// Writes an array of f32, and gives its path.
    fn array(&self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let dims: String = shape.iter().map(|d| format!("{d}, ")).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({dims}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self.file(name, bytes)
    }

    fn root(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }
}

/// The header of an array file, and its elements as bytes.
fn read_array(path: impl AsRef<Path>) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).expect("the array is there");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).expect("the header is text");
    (header.trim_end().to_string(), bytes[10 + length..].to_vec())
}
