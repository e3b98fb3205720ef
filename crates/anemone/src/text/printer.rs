//! Program to text, byte for byte as Apple's compiler prints it.

use std::fmt::{self, Write};

use half::{bf16, f16};

use super::number::{write_decimal, write_hex};
use crate::mil::{
    Argument, Attribute, Binding, Block, Call, Function, Operand, OpsetName, Param, Program, Use, Value,
    Version,
};
use crate::types::{BufferType, DType, Shape, Tensor, Type};

/// Prints a program in the dialect of its own version.
///
/// ```
/// use anemone::text;
/// let program = text::parse("program(1.3){func main<ios18>(fp16 x){fp16 y=relu(x=x);}->(y);}")?;
/// let printed = text::print(&program);
/// assert!(printed.contains("fp16 y = relu(x = x);"));
/// assert_eq!(text::parse(&printed)?.functions.len(), 1);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn print(program: &Program) -> String {
    print_as(program, program.version)
}

/// Prints a program in the dialect of a version.
///
/// ```
/// use anemone::{mil::Version, text};
/// let program = text::parse("program(1.3) { func main<ios18>() { bool y = const()[val = bool(true)]; } -> (y); }")?;
/// assert!(text::print_as(&program, Version::V1_0).contains("tensor<bool, []>(true)"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn print_as(program: &Program, version: Version) -> String {
    let mut out = String::new();
    write(&mut out, program, version).expect("a string takes every text");
    out
}

/// Writes a program in the dialect of a version.
///
/// ```
/// use anemone::{mil::Version, text};
/// let program = text::parse("program(1.3) { func main<ios18>(fp16 x) { } -> (x); }")?;
/// let mut out = String::from("// written here\n");
/// text::write(&mut out, &program, Version::V1_3).expect("a `String` takes everything");
/// assert!(text::parse(&out).is_ok());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// # Errors
///
/// Those of `out`.
pub fn write(out: &mut impl Write, program: &Program, version: Version) -> fmt::Result {
    Printer { out, version }.program(program)
}

struct Printer<'w, W> {
    out: &'w mut W,
    version: Version,
}

impl<W: Write> Printer<'_, W> {
    fn program(&mut self, program: &Program) -> fmt::Result {
        writeln!(self.out, "program({})", self.version.as_str())?;
        if !program.attributes.is_empty() {
            self.attributes(&program.attributes)?;
            self.out.write_char('\n')?;
        }
        self.out.write_str("{\n")?;
        for function in sorted(&program.functions, |f| &f.name) {
            self.function(function)?;
        }
        self.out.write_char('}')
    }

    fn function(&mut self, function: &Function) -> fmt::Result {
        self.indent(4)?;
        write!(self.out, "func {}", function.name)?;
        self.opset(&function.opset)?;
        self.out.write_char('(')?;
        self.commas(sorted(&function.params, |p| &p.name), Self::param)?;
        self.out.write_str(") ")?;
        if !function.attributes.is_empty() {
            self.attributes(&function.attributes)?;
            self.out.write_char(' ')?;
        }
        if !function.body.attributes.is_empty() {
            self.out.write_str("block ")?;
            self.attributes(&function.body.attributes)?;
            self.out.write_char(' ')?;
        }
        self.body(&function.body, 8)?;
        self.out.write_str(";\n")
    }

    /// The statements stand four deeper than the brace that closes the block, which stands at `indent`.
    fn body(&mut self, block: &Block, indent: usize) -> fmt::Result {
        self.out.write_str("{\n")?;
        for call in &block.calls {
            self.call(call, indent + 4)?;
        }
        self.indent(indent)?;
        self.out.write_str("} -> (")?;
        self.commas(&block.outputs, Self::used)?;
        self.out.write_char(')')
    }

    fn call(&mut self, call: &Call, indent: usize) -> fmt::Result {
        self.indent(indent)?;
        if !call.outputs.is_empty() {
            self.commas(&call.outputs, Self::param)?;
            self.out.write_str(" = ")?;
        }
        self.out.write_str(&call.op)?;
        if let Some(opset) = &call.opset {
            self.opset(opset)?;
        }
        self.out.write_char('(')?;
        self.commas(sorted(&call.arguments, |a| &a.name), Self::argument)?;
        self.out.write_char(')')?;
        if !call.attributes.is_empty() {
            self.attributes(&call.attributes)?;
        }
        for block in &call.blocks {
            self.out.write_str(" block (")?;
            self.commas(&block.params, Self::param)?;
            self.out.write_str(") ")?;
            if !block.attributes.is_empty() {
                self.attributes(&block.attributes)?;
                self.out.write_char(' ')?;
            }
            self.body(block, indent + 4)?;
        }
        self.out.write_str(";\n")
    }

    fn argument(&mut self, argument: &Argument) -> fmt::Result {
        write!(self.out, "{} = ", argument.name)?;
        match &argument.binding {
            Binding::One(operand) => self.operand(operand),
            Binding::Many(operands) => {
                self.out.write_char('(')?;
                self.commas(operands, Self::operand)?;
                self.out.write_char(')')
            }
        }
    }

    fn operand(&mut self, operand: &Operand) -> fmt::Result {
        match operand {
            Operand::Name(used) => self.used(used),
            Operand::Value(value, _) => self.literal(value),
        }
    }

    fn used(&mut self, used: &Use) -> fmt::Result {
        self.out.write_str(&used.name)
    }

    fn param(&mut self, param: &Param) -> fmt::Result {
        self.ty(&param.ty)?;
        write!(self.out, " {}", param.name)
    }

    fn opset(&mut self, opset: &OpsetName) -> fmt::Result {
        write!(self.out, "<{}>", opset.as_str())
    }

    fn attributes(&mut self, attributes: &[Attribute]) -> fmt::Result {
        self.out.write_char('[')?;
        self.commas(sorted(attributes, |a| &a.name), |p, attribute| {
            write!(p.out, "{} = ", attribute.name)?;
            match &attribute.value {
                // The one dict that is printed in the order of its keys and not as it is.
                Value::Dict(ty, pairs) if attribute.name == "buildInfo" => {
                    p.ty(ty)?;
                    p.out.write_char('(')?;
                    p.dict(sorted(pairs, |(key, _)| key.as_str().unwrap_or("")))?;
                    p.out.write_char(')')
                }
                value => p.literal(value),
            }
        })?;
        self.out.write_char(']')
    }

    fn literal(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::Int(dtype, _) | Value::Float(dtype, _) => self.scalar_ty(*dtype)?,
            Value::String(_) => self.scalar_ty(DType::String)?,
            Value::Blob(blob) => self.tensor_ty(blob.ty.dtype, &blob.ty.shape)?,
            Value::Tensor(tensor) => self.tensor_ty(tensor.dtype(), &Shape::from(tensor.shape()))?,
            Value::List(ty, _) | Value::Tuple(ty, _) | Value::Dict(ty, _) => self.ty(ty)?,
        }
        self.out.write_char('(')?;
        self.value(value)?;
        self.out.write_char(')')
    }

    /// A value without its type.
    fn value(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::Int(DType::Bool, v) => write!(self.out, "{}", *v != 0),
            Value::Int(_, v) => write!(self.out, "{v}"),
            Value::Float(_, v) => write_hex(self.out, *v),
            Value::String(s) => self.string(s),
            Value::Tensor(tensor) => self.tensor(tensor),
            Value::Blob(blob) => {
                self.out.write_str("BLOBFILE(path = ")?;
                self.scalar_ty(DType::String)?;
                self.out.write_char('(')?;
                self.string(&blob.path)?;
                self.out.write_str("), offset = ")?;
                self.scalar_ty(DType::UInt64)?;
                write!(self.out, "({}))", blob.offset)
            }
            Value::List(_, items) => {
                self.out.write_char('[')?;
                self.commas(items, Self::value)?;
                self.out.write_char(']')
            }
            Value::Tuple(_, items) => {
                self.out.write_char('(')?;
                self.commas(items, Self::value)?;
                self.out.write_char(')')
            }
            Value::Dict(_, pairs) => self.dict(pairs),
        }
    }

    fn dict<'a>(&mut self, pairs: impl IntoIterator<Item = &'a (Value, Value)>) -> fmt::Result {
        self.out.write_char('{')?;
        self.commas(pairs, |p, (key, value)| {
            p.out.write_char('{')?;
            p.in_dict(key)?;
            p.out.write_str(", ")?;
            p.in_dict(value)?;
            p.out.write_char('}')
        })?;
        self.out.write_char('}')
    }

    fn in_dict(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::Float(DType::Fp64, v) => write_decimal(self.out, *v),
            _ => self.value(value),
        }
    }

    fn tensor(&mut self, tensor: &Tensor) -> fmt::Result {
        if let Some(strings) = tensor.as_strings() {
            return self.rows(tensor.shape(), strings, &mut |p, s| p.string(s));
        }
        macro_rules! rows {
            ($t:ty, $write:expr) => {
                self.rows(tensor.shape(), tensor.as_slice::<$t>().unwrap_or(&[]), &mut $write)
            };
            ($t:ty) => {
                rows!($t, |p: &mut Self, v: &$t| write!(p.out, "{v}"))
            };
        }
        match tensor.dtype() {
            DType::Int8 => rows!(i8),
            DType::Int16 => rows!(i16),
            DType::Int32 => rows!(i32),
            DType::Int64 => rows!(i64),
            DType::UInt8 => rows!(u8),
            DType::UInt16 => rows!(u16),
            DType::UInt32 => rows!(u32),
            DType::UInt64 => rows!(u64),
            DType::Fp16 => rows!(f16, |p: &mut Self, v: &f16| write_hex(p.out, v.to_f64())),
            DType::Bf16 => rows!(bf16, |p: &mut Self, v: &bf16| write_hex(p.out, v.to_f64())),
            DType::Fp32 => rows!(f32, |p: &mut Self, v: &f32| write_hex(p.out, f64::from(*v))),
            DType::Fp64 => rows!(f64, |p: &mut Self, v: &f64| write_hex(p.out, *v)),
            DType::Bool => {
                self.rows(tensor.shape(), tensor.bytes(), &mut |p, v| write!(p.out, "{}", *v != 0))
            }
            dtype if dtype.is_float() => {
                self.rows(tensor.shape(), &tensor.to_f64s(), &mut |p, v| write_hex(p.out, *v))
            }
            _ => self.rows(tensor.shape(), &tensor.to_i64s(), &mut |p, v| write!(p.out, "{v}")),
        }
    }

    /// Elements in nested brackets; `[]` for a tensor without elements, whatever its rank.
    fn rows<T>(
        &mut self,
        shape: &[usize],
        elements: &[T],
        write: &mut impl FnMut(&mut Self, &T) -> fmt::Result,
    ) -> fmt::Result {
        let Some((&count, inner)) = shape.split_first() else {
            return elements.first().map_or(Ok(()), |element| write(self, element));
        };
        self.out.write_char('[')?;
        if let Some(size) = elements.len().checked_div(count).filter(|&size| size > 0) {
            for (i, row) in elements.chunks_exact(size).enumerate() {
                self.out.write_str(if i > 0 { ", " } else { "" })?;
                self.rows(inner, row, write)?;
            }
        }
        self.out.write_char(']')
    }

    fn string(&mut self, s: &str) -> fmt::Result {
        self.out.write_char('"')?;
        let mut rest = s;
        while let Some(at) = rest.find(['"', '\\', '\n', '\r', '\t']) {
            self.out.write_str(&rest[..at])?;
            self.out.write_str(match rest.as_bytes()[at] {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                _ => "\\t",
            })?;
            rest = &rest[at + 1..];
        }
        self.out.write_str(rest)?;
        self.out.write_char('"')
    }

    fn ty(&mut self, ty: &Type) -> fmt::Result {
        match ty {
            Type::Tensor(t) => self.tensor_ty(t.dtype, &t.shape),
            Type::List { item, length } => {
                self.out.write_str("list<")?;
                self.ty(item)?;
                match length {
                    Some(n) => write!(self.out, ", {n}>"),
                    None => self.out.write_str(", ?>"),
                }
            }
            Type::Tuple(items) => {
                self.out.write_str("tuple<")?;
                self.commas(items, Self::ty)?;
                self.out.write_char('>')
            }
            Type::Dict(key, value) => {
                self.out.write_str("dict<")?;
                self.commas([&**key, &**value], Self::ty)?;
                self.out.write_char('>')
            }
            Type::State(inner) => {
                self.out.write_str("state<")?;
                self.ty(inner)?;
                self.out.write_char('>')
            }
            Type::Buffer(BufferType { .. }) => write!(self.out, "{ty}"),
        }
    }

    fn tensor_ty(&mut self, dtype: DType, shape: &Shape) -> fmt::Result {
        if shape.rank() == 0 {
            return self.scalar_ty(dtype);
        }
        write!(self.out, "tensor<{dtype}, {shape}>")
    }

    fn scalar_ty(&mut self, dtype: DType) -> fmt::Result {
        match self.version {
            Version::V1_0 => write!(self.out, "tensor<{dtype}, []>"),
            Version::V1_3 => self.out.write_str(dtype.name()),
        }
    }

    fn commas<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> fmt::Result,
    ) -> fmt::Result {
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.write_str(", ")?;
            }
            write(self, item)?;
        }
        Ok(())
    }

    fn indent(&mut self, columns: usize) -> fmt::Result {
        write!(self.out, "{:columns$}", "")
    }
}

/// The items in the order of their names.
fn sorted<'a, T>(items: &'a [T], name: impl Fn(&'a T) -> &'a str) -> Vec<&'a T> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort_by_key(|item| name(item));
    items
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{format, generate, parse};
    use super::*;

    /// Reads a statement and compares how it is printed in the two dialects.
    fn check(statement: &str, v1_0: &str, v1_3: &str) {
        let text = format!("program(1.3){{func f<ios18>(){{{statement}}}->();}}");
        let program = parse(&text).unwrap_or_else(|e| panic!("{statement}: {e}"));
        for (version, expected) in [(Version::V1_0, v1_0), (Version::V1_3, v1_3)] {
            let printed = print_as(&program, version);
            let (_, body) = printed.split_once("() {\n").unwrap();
            let (body, _) = body.split_once("\n        } -> ();\n}").unwrap();
            assert_eq!(body.trim_start(), expected, "{statement} in {version:?}");
            assert_eq!(print(&parse(&printed).unwrap()), printed);
        }
    }

    /// As [`check`], for a statement that is the same in both dialects.
    fn check_both(statement: &str, expected: &str) {
        check(statement, expected, expected);
    }

    /// Row B2: each in its own form.
    #[test]
    fn scalars_differ_between_the_dialects() {
        check(
            r#"fp16 y=const()[val=fp16(0.5),name=string("y")];"#,
            r#"tensor<fp16, []> y = const()[name = tensor<string, []>("y"), val = tensor<fp16, []>(0x1p-1)];"#,
            r#"fp16 y = const()[name = string("y"), val = fp16(0x1p-1)];"#,
        );
        check(
            r#"f(w=tensor<int8,[4]>(BLOBFILE(offset=uint64(64),path=string("@model_path/w.bin"))));"#,
            "f(w = tensor<int8, [4]>(BLOBFILE(path = tensor<string, []>(\"@model_path/w.bin\"), offset = tensor<uint64, []>(64))));",
            "f(w = tensor<int8, [4]>(BLOBFILE(path = string(\"@model_path/w.bin\"), offset = uint64(64))));",
        );
        check(
            "f(d=dict<string,list<bool,?>>({{\"a\",[true]}}));",
            "f(d = dict<tensor<string, []>, list<tensor<bool, []>, ?>>({{\"a\", [true]}}));",
            "f(d = dict<string, list<bool, ?>>({{\"a\", [true]}}));",
        );
    }

    #[test]
    fn arguments_are_sorted_and_results_are_not() {
        check_both(
            "tensor<int8,[?]> b,tensor<int8,[1]> a=f<ios17>(z=(q,p),a=(x))[];",
            "tensor<int8, [?]> b, tensor<int8, [1]> a = f<ios17>(a = (x), z = (q, p));",
        );
    }

    #[test]
    fn tensors_are_rows_in_rows() {
        check_both("f(a=tensor<int4,[2,3]>([[1,-8,7],[0,0,-1]]));", {
            "f(a = tensor<int4, [2, 3]>([[1, -8, 7], [0, 0, -1]]));"
        });
        check_both("f(a=tensor<uint1,[9]>([1,0,1,1,0,0,1,0,1]));", {
            "f(a = tensor<uint1, [9]>([1, 0, 1, 1, 0, 0, 1, 0, 1]));"
        });
        check_both(
            "f(a=tensor<fp8e5m2,[2]>([0x3c,-0.5]));",
            "f(a = tensor<fp8e5m2, [2]>([0x1p+0, -0x1p-1]));",
        );
        check_both("f(a=tensor<fp32,[3]>([inf,-inf,nan]));", "f(a = tensor<fp32, [3]>([inf, -inf, nan]));");
        check_both("f(a=tensor<bool,[?,1]>([[true],[false]]));", {
            "f(a = tensor<bool, [2, 1]>([[true], [false]]));"
        });
        check_both("f(a=tensor<uint64,[1]>([18446744073709551615]));", {
            "f(a = tensor<uint64, [1]>([18446744073709551615]));"
        });
        check_both("f(a=tensor<int32,[2,0]>([[],[]]));", "f(a = tensor<int32, [2, 0]>([]));");
        check_both("f(a=tensor<fp16,[5,0]>([]));", "f(a = tensor<fp16, [5, 0]>([]));");
        check(
            "f(a=uint64(18446744073709551615));",
            "f(a = tensor<uint64, []>(18446744073709551615));",
            "f(a = uint64(18446744073709551615));",
        );
    }

    #[test]
    fn strings_are_escaped() {
        check_both(r#"f(a=tensor<string,[2]>(["a\"b","\\\n\té"]));"#, {
            r#"f(a = tensor<string, [2]>(["a\"b", "\\\n\té"]));"#
        });
    }

    #[test]
    fn fp64_in_a_dict_is_decimal() {
        check(
            r#"f()[d=dict<string,fp64>({{"a",0},{"b",6.3110803182750176e-06}}),e=fp64(0.125)];"#,
            r#"f()[d = dict<tensor<string, []>, tensor<fp64, []>>({{"a", 0}, {"b", 6.3110803182750176e-06}}), e = tensor<fp64, []>(0x1p-3)];"#,
            r#"f()[d = dict<string, fp64>({{"a", 0}, {"b", 6.3110803182750176e-06}}), e = fp64(0x1p-3)];"#,
        );
    }

    #[test]
    fn blocks_are_indented() {
        let statement = "tensor<int8, [1]> y = while_loop(v = x)[n = tensor<int8, [1]>([1])] \
            block (tensor<int8, [1]> a) { g(x = a); } -> (a) block () [m = tensor<int8, [0]>([])] { } -> ();";
        let expected = "tensor<int8, [1]> y = while_loop(v = x)[n = tensor<int8, [1]>([1])] block (tensor<int8, [1]> a) {
                    g(x = a);
                } -> (a) block () [m = tensor<int8, [0]>([])] {
                } -> ();";
        check_both(statement, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Rows B2, B7: whatever the program.
        #[test]
        fn what_is_printed_is_read_again(program in generate::program()) {
            let printed = print(&program);
            let again = parse(&printed).map_err(|e| TestCaseError::fail(format!("{e}\n{printed}")))?;
            prop_assert_eq!(generate::without_spans(again.clone()), program);
            prop_assert_eq!(print(&again), printed.clone());
            prop_assert_eq!(format(&printed).unwrap(), printed);
        }
    }
}
