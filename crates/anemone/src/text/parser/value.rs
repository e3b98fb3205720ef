//! Literals.

use std::sync::Arc;

use super::super::number::{self, Fault, Rounded};
use super::{Failed, Kind, Parsed, Parser, Token, is_literal_word};
use crate::mil::{BlobRef, Name, Value, Version};
use crate::source::{Diagnostic, Span, codes};
use crate::types::{DType, Dim, MAX_ELEMENTS, Tensor, TensorType, Type};

/// One element, as the text gives it.
enum Scalar {
    Int(i64),
    Float(f64),
    String(Arc<str>),
}

impl Parser<'_, '_> {
    /// A literal, or a report that its type is missing.
    pub(super) fn typed_literal(&mut self) -> Parsed<(Value, Span)> {
        match self.token.kind {
            Kind::Word => {
                let first = self.bump();
                match self.token.kind {
                    Kind::OpenParen | Kind::Less => self.literal(first),
                    _ if is_literal_word(self.of(first)) => self.untyped(Some(first)),
                    _ => {
                        let message =
                            format!("the name {} is given where a literal must be", self.shown(first.span));
                        self.fail(&codes::UNEXPECTED_TOKEN, message, first.span, "expected a literal")
                    }
                }
            }
            Kind::Number | Kind::String | Kind::OpenBracket | Kind::OpenBrace | Kind::OpenParen => {
                self.untyped(None)
            }
            _ => Err(self.unexpected("a literal")),
        }
    }

    /// `type(value)`, of which the first word has been read.
    pub(super) fn literal(&mut self, first: Token) -> Parsed<(Value, Span)> {
        let ty = self.ty(first)?;
        self.expect(Kind::OpenParen, "`(`")?;
        let value = self.value(&ty)?;
        self.expect(Kind::CloseParen, "`)`")?;
        Ok((value, self.since(first)))
    }

    /// A value of this type, which stands before it or around it.
    fn value(&mut self, ty: &Type) -> Parsed<Value> {
        let at = self.token.span;
        match ty {
            Type::Tensor(ty) if self.at(Kind::Word) && self.of(self.token) == "BLOBFILE" => self.blob(ty),
            Type::Tensor(ty) if ty.rank() == 0 => {
                let scalar = self.scalar(ty.dtype)?;
                Ok(match scalar {
                    Scalar::String(s) => Value::String(s),
                    Scalar::Float(v) => Value::Float(ty.dtype, v),
                    Scalar::Int(v) if v < 0 && ty.dtype == DType::UInt64 => {
                        Tensor::from_i64s(ty.dtype, &[], &[v]).map_or(Value::Int(ty.dtype, 0), Value::Tensor)
                    }
                    Scalar::Int(v) => Value::Int(ty.dtype, v),
                })
            }
            Type::Tensor(ty) => self.tensor(ty),
            Type::List { item, length } => self.deeper(|p| {
                p.spend(ty)?;
                p.open(Kind::OpenBracket, "`[`", ty)?;
                let mut items = Vec::new();
                p.separated(Kind::CloseBracket, "`,` or `]`", |p| {
                    items.push(p.value(item)?);
                    Ok(())
                })?;
                if let Some(length) = length.filter(|&n| n != items.len() as u64) {
                    p.wrong_count("list", items.len(), length, at);
                }
                Ok(Value::List(ty.clone(), items))
            }),
            Type::Tuple(types) => self.deeper(|p| {
                p.spend(ty)?;
                p.open(Kind::OpenParen, "`(`", ty)?;
                let mut items = Vec::new();
                p.separated(Kind::CloseParen, "`,` or `)`", |p| match types.get(items.len()) {
                    Some(ty) => {
                        items.push(p.value(ty)?);
                        Ok(())
                    }
                    None => {
                        let message =
                            format!("the tuple has more than the {} values of its type", types.len());
                        p.fail(&codes::VALUE_SHAPE, message, p.token.span, "one too many")
                    }
                })?;
                if items.len() < types.len() {
                    p.wrong_count("tuple", items.len(), types.len() as u64, at);
                }
                Ok(Value::Tuple(ty.clone(), items))
            }),
            Type::Dict(key, value) => self.deeper(|p| {
                p.spend(ty)?;
                p.open(Kind::OpenBrace, "`{`", ty)?;
                let mut pairs = Vec::new();
                p.separated(Kind::CloseBrace, "`,` or `}`", |p| {
                    p.expect(Kind::OpenBrace, "`{` of a pair")?;
                    let key = p.value(key)?;
                    p.expect(Kind::Comma, "`,`")?;
                    pairs.push((key, p.value(value)?));
                    p.expect(Kind::CloseBrace, "`}`")?;
                    Ok(())
                })?;
                Ok(Value::Dict(ty.clone(), pairs))
            }),
            Type::State(_) | Type::Buffer(_) => {
                let message = format!("a value of type `{ty}` cannot be written");
                self.fail(&codes::VALUE_TYPE, message, at, "expected a name")
            }
        }
    }

    /// Each value inside of another keeps a copy of its type. What that takes is bounded by the length of the text.
    fn spend(&mut self, ty: &Type) -> Parsed<()> {
        let cost = if self.depth > 1 { size(ty) } else { 0 };
        match self.type_budget.checked_sub(cost) {
            Some(rest) => {
                self.type_budget = rest;
                Ok(())
            }
            None => {
                let message = "the types of nested values take more room than the text";
                self.fail(&codes::TEXT_TOO_LARGE, message, self.token.span, "no room from here on")
            }
        }
    }

    /// The bracket that opens a value of this type.
    fn open(&mut self, kind: Kind, what: &str, ty: &Type) -> Parsed<()> {
        if self.eat(kind) {
            return Ok(());
        }
        if matches!(self.token.kind, Kind::End | Kind::Semicolon) {
            return Err(self.unexpected(what));
        }
        let message = format!("a value of type `{ty}` starts with {what}");
        self.fail(&codes::VALUE_TYPE, message, self.token.span, format!("expected {what}"))
    }

    #[cold]
    fn wrong_count(&mut self, what: &str, found: usize, expected: u64, start: Span) {
        let message = format!("the {what} has {found} values where its type says {expected}");
        self.report(
            Diagnostic::new(&codes::VALUE_SHAPE, message)
                .at(start.to(self.previous.span), format!("{found} values")),
        );
    }

    /// `BLOBFILE(path = …, offset = …)`
    fn blob(&mut self, ty: &TensorType) -> Parsed<Value> {
        let start = self.bump();
        self.expect(Kind::OpenParen, "`(`")?;
        let mut path: Option<Name> = None;
        let mut offset: Option<u64> = None;
        self.separated(Kind::CloseParen, "`,` or `)`", |p| {
            let key = p.expect(Kind::Word, "`path` or `offset`")?;
            p.expect(Kind::Equal, "`=`")?;
            // A literal here is a scalar: nothing is nested.
            let (value, span) = p.typed_literal()?;
            match (p.of(key), value) {
                ("path", Value::String(s)) => path = Some(p.names.get(&s)),
                ("offset", Value::Int(dtype, n)) if dtype.is_int() && n >= 0 => offset = Some(n as u64),
                ("path", _) => {
                    return p.fail(&codes::VALUE_TYPE, "a path is a string", span, "expected a string");
                }
                ("offset", _) => {
                    let label = "expected a `uint64`";
                    return p.fail(&codes::VALUE_TYPE, "an offset is a whole number", span, label);
                }
                (other, _) => {
                    let message = format!("a weight file has no `{other}`");
                    return p.fail(
                        &codes::UNEXPECTED_TOKEN,
                        message,
                        key.span,
                        "expected `path` or `offset`",
                    );
                }
            }
            Ok(())
        })?;
        match (path, offset) {
            (Some(path), Some(offset)) => Ok(Value::Blob(BlobRef { ty: ty.clone(), path, offset })),
            _ => {
                let message = "a reference to a weight file needs a path and an offset";
                let span = self.since(start);
                self.fail(&codes::UNEXPECTED_TOKEN, message, span, "expected `path = …, offset = …`")
            }
        }
    }

    /// The rows of a tensor of rank 1 or more.
    fn tensor(&mut self, ty: &TensorType) -> Parsed<Value> {
        let start = self.token.span;
        let mut rows = Rows { ty, dims: ty.shape.to_vec(), elements: Elements::new(ty.dtype), bad: false };
        self.row(&mut rows, 0)?;
        if rows.bad {
            return Ok(Value::bool(false));
        }
        // A dimension that no row was there to tell is empty.
        let shape: Vec<usize> = rows.dims.iter().map(|d| d.known().unwrap_or(0) as usize).collect();
        match rows.elements.finish(&shape) {
            Some(tensor) => Ok(Value::Tensor(tensor)),
            None if ty.shape.extent() > MAX_ELEMENTS => {
                let message = format!("a value of type `{ty}` is too large");
                self.fail(
                    &codes::TENSOR_TOO_LARGE,
                    message,
                    start.to(self.previous.span),
                    "more than 2^40 elements",
                )
            }
            None => {
                let message = format!("the brackets do not hold as many values as `{ty}` has");
                let span = start.to(self.previous.span);
                self.fail(&codes::VALUE_SHAPE, message, span, "too few or too many")
            }
        }
    }

    /// One pair of brackets of a tensor. Rank is bounded, and with it the depth of this.
    fn row(&mut self, rows: &mut Rows<'_>, level: usize) -> Parsed<()> {
        let start = self.token;
        if !self.eat(Kind::OpenBracket) {
            if matches!(self.token.kind, Kind::Number | Kind::String | Kind::Word) {
                let (ty, rank) = (rows.ty, rows.dims.len());
                let message = format!("a value of type `{ty}` is written in {rank} nested brackets");
                return self.fail(&codes::VALUE_SHAPE, message, start.span, "expected `[`");
            }
            return Err(self.unexpected("`[`"));
        }
        let mut count = 0;
        let last = level + 1 == rows.dims.len();
        let dtype = rows.ty.dtype;
        self.separated(Kind::CloseBracket, "`,` or `]`", |p| {
            count += 1;
            if !last {
                return p.row(rows, level + 1);
            }
            if p.at(Kind::OpenBracket) {
                let message = format!("a value of type `{}` is nested too deep", rows.ty);
                return p.fail(
                    &codes::VALUE_SHAPE,
                    message,
                    p.token.span,
                    format!("expected a value of {dtype}"),
                );
            }
            let scalar = p.scalar(dtype)?;
            rows.elements.push(scalar);
            Ok(())
        })?;
        match rows.dims[level] {
            Dim::Known(n) if n == count => {}
            // A tensor without elements may be written as `[]`, however many dimensions it has.
            Dim::Known(_) if level == 0 && count == 0 && rows.ty.shape.elements() == Some(0) => {}
            Dim::Known(n) => {
                if !rows.bad {
                    let message =
                        format!("dimension {level} of `{}` has {count} values where it needs {n}", rows.ty);
                    let span = self.since(start);
                    self.report(
                        Diagnostic::new(&codes::VALUE_SHAPE, message).at(span, format!("{count} values")),
                    );
                }
                rows.bad = true;
            }
            Dim::Unknown => rows.dims[level] = Dim::Known(count),
        }
        Ok(())
    }

    /// One element. Where it does not fit the dtype this is reported, and reading goes on.
    fn scalar(&mut self, dtype: DType) -> Parsed<Scalar> {
        let token = self.token;
        match token.kind {
            Kind::Number | Kind::Word | Kind::String => self.bump(),
            Kind::OpenBracket | Kind::OpenParen | Kind::OpenBrace => {
                let message = format!("a value of type `{dtype}` is one value, without brackets");
                return self.fail(&codes::VALUE_SHAPE, message, token.span, "expected one value");
            }
            _ => return Err(self.unexpected(&format!("a value of `{dtype}`"))),
        };
        let text = self.of(token);
        Ok(match dtype {
            DType::String if token.kind == Kind::String => Scalar::String(self.string(token)?),
            DType::Bool if text == "true" => Scalar::Int(1),
            DType::Bool if text == "false" => Scalar::Int(0),
            DType::String | DType::Bool => {
                self.wrong_type(token, dtype);
                if dtype == DType::Bool { Scalar::Int(0) } else { Scalar::String("".into()) }
            }
            _ if dtype.is_float() => {
                if token.kind == Kind::Number || matches!(text, "inf" | "nan") {
                    match number::float(text, dtype) {
                        Ok((value, rounded)) => {
                            if rounded != Rounded::Near {
                                self.rounded(token, dtype, rounded);
                            }
                            return Ok(Scalar::Float(value));
                        }
                        Err(fault) => self.bad_number(token, dtype, fault),
                    }
                } else {
                    self.wrong_type(token, dtype);
                }
                Scalar::Float(0.0)
            }
            _ => {
                if token.kind == Kind::Number {
                    match number::int(text, dtype) {
                        Ok(value) => return Ok(Scalar::Int(value)),
                        Err(fault) => self.bad_number(token, dtype, fault),
                    }
                } else {
                    self.wrong_type(token, dtype);
                }
                Scalar::Int(0)
            }
        })
    }

    #[cold]
    fn wrong_type(&mut self, token: Token, dtype: DType) {
        let (what, help) = match dtype {
            DType::String => ("a string", Some("write the string in double quotes")),
            DType::Bool => ("`true` or `false`", Some("write `true` or `false`")),
            _ => ("a number", None),
        };
        let found = if token.kind == Kind::String { "a string".to_string() } else { self.shown(token.span) };
        let message = format!("{found} is not a value of type `{dtype}`");
        let mut d = Diagnostic::new(&codes::VALUE_TYPE, message).at(token.span, format!("expected {what}"));
        d.help = help.map(str::to_string);
        self.report(d);
    }

    #[cold]
    fn bad_number(&mut self, token: Token, dtype: DType, fault: Fault) {
        let shown = self.shown(token.span);
        let label = match fault {
            Fault::Malformed => "not a number",
            Fault::NotWhole => "not a whole number",
            Fault::Range => "out of range",
        };
        let d = match fault {
            Fault::Malformed => Diagnostic::new(&codes::BAD_NUMBER, format!("{shown} is not a number")),
            Fault::NotWhole => {
                let message = format!("{shown} is not a value of type `{dtype}`");
                Diagnostic::new(&codes::VALUE_TYPE, message)
                    .help("write a whole number, or a floating-point type")
            }
            Fault::Range if dtype.is_float() => {
                let message =
                    format!("the bit pattern {shown} has more than the {} bits of `{dtype}`", dtype.bits());
                Diagnostic::new(&codes::VALUE_RANGE, message)
            }
            Fault::Range => {
                let (low, high) = dtype.int_range();
                let message =
                    format!("{shown} does not fit into `{dtype}`, which reaches from {low} to {high}");
                Diagnostic::new(&codes::VALUE_RANGE, message)
            }
        };
        self.report(d.at(token.span, label));
    }

    #[cold]
    fn rounded(&mut self, token: Token, dtype: DType, rounded: Rounded) {
        let (why, becomes) = match rounded {
            Rounded::Overflow if dtype == DType::Fp8E4M3FN => ("too large for a finite number", "`nan`"),
            Rounded::Overflow => ("too large for a finite number", "infinite"),
            _ => ("too small for another number than zero", "zero"),
        };
        let message = format!("{} is {why}, and becomes {becomes} in `{dtype}`", self.shown(token.span));
        let d = Diagnostic::new(&codes::VALUE_ROUNDED, message).at(token.span, format!("becomes {becomes}"));
        self.report(d);
    }

    /// What a string token says.
    fn string(&mut self, token: Token) -> Parsed<Arc<str>> {
        let text = self.of(token);
        let inside = text.strip_prefix('"').unwrap_or(text);
        let inside = inside.strip_suffix('"').unwrap_or(inside);
        if !inside.contains('\\') {
            return Ok(inside.into());
        }
        let mut out = String::with_capacity(inside.len());
        let mut rest = inside;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let mut chars = rest[at + 1..].chars();
            let escape = chars.next();
            out.push(match escape {
                Some('"') => '"',
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                _ => {
                    let start = token.span.start as usize + 1 + (inside.len() - rest.len()) + at;
                    let end = start + 1 + escape.map_or(0, char::len_utf8);
                    let span = Span::new(start, end);
                    let message = format!("MIL has no escape {}", self.shown(span));
                    let d = Diagnostic::new(&codes::BAD_ESCAPE, message).at(span, "not an escape");
                    self.report(d.help(
                        "write `\\\\` for a backslash; the escapes are `\\\"`, `\\\\`, `\\n`, `\\r`, `\\t`",
                    ));
                    ' '
                }
            });
            rest = chars.as_str();
        }
        out.push_str(rest);
        Ok(out.into())
    }

    /// Reads over a value that has no type, and reports it with the type that it probably should have. What comes
    /// back stands for the value; reading goes on unless the end of the value cannot be found.
    #[cold]
    pub(super) fn untyped(&mut self, first: Option<Token>) -> Parsed<(Value, Span)> {
        let start = first.unwrap_or(self.token);
        let mut token = match first {
            Some(first) => first,
            None => self.bump(),
        };
        let mut seen = Untyped::default();
        while seen.add(token.kind, self.of(token)) && Untyped::goes_on(self.token.kind) {
            token = self.bump();
        }
        let span = self.since(start);
        let shown = self.shown(span);
        let ty = seen.ty().map(|(dtype, dims)| match (dims.is_empty(), self.version) {
            (true, Version::V1_3) => format!("{dtype}"),
            (true, Version::V1_0) => format!("tensor<{dtype}, []>"),
            (false, _) => format!("tensor<{dtype}, {dims:?}>"),
        });
        let d = Diagnostic::new(&codes::UNTYPED_VALUE, format!("the value {shown} has no type"))
            .at(span, "expected its type before it");
        self.report(match ty {
            Some(ty) => d.help(format!("write `{ty}({})`", shown.trim_matches('`'))),
            None => d.help("write the type before the value: `type(value)`"),
        });
        if seen.open.is_empty() { Ok((Value::bool(false), span)) } else { Err(Failed) }
    }
}

/// What is seen of a value without a type.
#[derive(Default)]
struct Untyped {
    /// For each bracket that is open, how many values it holds so far.
    open: Vec<usize>,
    /// How many values the first bracket of each level that was closed holds.
    dims: Vec<Option<usize>>,
    /// In how many brackets the elements are.
    rank: Option<usize>,
    dtype: Option<DType>,
    irregular: bool,
}

impl Untyped {
    fn goes_on(kind: Kind) -> bool {
        use Kind::*;
        matches!(kind, OpenBracket | CloseBracket | Comma | Number | String | Word)
    }

    /// Takes in a token; says whether the value goes on behind it.
    fn add(&mut self, kind: Kind, text: &str) -> bool {
        match kind {
            Kind::OpenBracket => self.open.push(0),
            Kind::CloseBracket => {
                let count = self.open.pop().unwrap_or(0);
                let level = self.open.len();
                if self.dims.len() <= level {
                    self.dims.resize(level + 1, None);
                }
                self.irregular |= *self.dims[level].get_or_insert(count) != count;
            }
            Kind::Number | Kind::String | Kind::Word => {
                let dtype = guess(kind, text);
                // One fraction makes a row of numbers a row of floats.
                if self.dtype.is_none() || dtype == DType::Fp32 {
                    self.dtype = Some(dtype);
                }
                self.irregular |= *self.rank.get_or_insert(self.open.len()) != self.open.len();
            }
            Kind::Comma => {}
            _ => self.irregular = true,
        }
        if !matches!(kind, Kind::Comma | Kind::OpenBracket)
            && let Some(count) = self.open.last_mut()
        {
            *count += 1;
        }
        !self.open.is_empty()
    }

    fn ty(&self) -> Option<(DType, Vec<usize>)> {
        if self.irregular || !self.open.is_empty() {
            return None;
        }
        Some((self.dtype?, self.dims.iter().copied().collect::<Option<_>>()?))
    }
}

/// The dtype that an element without a type probably should have.
fn guess(kind: Kind, text: &str) -> DType {
    match kind {
        Kind::String => DType::String,
        Kind::Word if matches!(text, "true" | "false") => DType::Bool,
        _ if number::int(text, DType::Int64).is_ok() => DType::Int32,
        _ => DType::Fp32,
    }
}

/// How many types a type is made of.
fn size(ty: &Type) -> usize {
    match ty {
        Type::Tensor(_) | Type::Buffer(_) => 1,
        Type::List { item, .. } | Type::State(item) => 1 + size(item),
        Type::Tuple(items) => 1 + items.iter().map(size).sum::<usize>(),
        Type::Dict(key, value) => 1 + size(key) + size(value),
    }
}

/// A tensor that is being read.
struct Rows<'a> {
    ty: &'a TensorType,
    /// The dimensions: unknown ones become known with the first row that shows them.
    dims: Vec<Dim>,
    elements: Elements,
    /// Whether a fault of its shape has been reported.
    bad: bool,
}

/// The elements of a tensor that is being read, in the form that they have in memory.
struct Elements {
    dtype: DType,
    bytes: Vec<u8>,
    /// The bits of elements smaller than a byte that do not fill a byte yet, and how many they are.
    pending: (u16, u32),
    /// Elements that are converted all at once in the end.
    floats: Vec<f64>,
    strings: Vec<Arc<str>>,
}

impl Elements {
    fn new(dtype: DType) -> Self {
        Self { dtype, bytes: Vec::new(), pending: (0, 0), floats: Vec::new(), strings: Vec::new() }
    }

    #[inline]
    fn push(&mut self, scalar: Scalar) {
        match scalar {
            Scalar::Int(v) => match self.dtype.bits() {
                8 => self.bytes.push(v as u8),
                16 => self.bytes.extend_from_slice(&(v as u16).to_ne_bytes()),
                32 => self.bytes.extend_from_slice(&(v as u32).to_ne_bytes()),
                64 => self.bytes.extend_from_slice(&v.to_ne_bytes()),
                bits => {
                    let (word, filled) = &mut self.pending;
                    *word |= (v as u16 & ((1 << bits) - 1)) << *filled;
                    *filled += bits as u32;
                    if *filled >= 8 {
                        self.bytes.push(*word as u8);
                        *word >>= 8;
                        *filled -= 8;
                    }
                }
            },
            Scalar::Float(v) => match self.dtype {
                DType::Fp16 => self.bytes.extend_from_slice(&half::f16::from_f64(v).to_ne_bytes()),
                DType::Bf16 => self.bytes.extend_from_slice(&half::bf16::from_f64(v).to_ne_bytes()),
                DType::Fp32 => self.bytes.extend_from_slice(&(v as f32).to_ne_bytes()),
                DType::Fp64 => self.bytes.extend_from_slice(&v.to_ne_bytes()),
                _ => self.floats.push(v),
            },
            Scalar::String(s) => self.strings.push(s),
        }
    }

    /// The tensor, if its shape has as many elements.
    fn finish(mut self, shape: &[usize]) -> Option<Tensor> {
        match self.dtype {
            DType::String => Tensor::from_strings(shape, self.strings),
            DType::Fp8E4M3FN | DType::Fp8E5M2 => Tensor::from_f64s(self.dtype, shape, &self.floats),
            _ => {
                if self.pending.1 > 0 {
                    self.bytes.push(self.pending.0 as u8);
                }
                Tensor::from_bytes(self.dtype, shape, &self.bytes)
            }
        }
        .ok()
    }
}
