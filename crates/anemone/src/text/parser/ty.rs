//! Types and shapes.

use super::{Kind, Parsed, Parser, Token};
use crate::source::{Diagnostic, Span, codes, suggest};
use crate::types::{BufferType, DType, Dim, MAX_RANK, Shape, TensorType, Type};

/// The words that take types or dimensions in `<…>`.
const CONSTRUCTORS: [&str; 6] = ["tensor", "list", "tuple", "dict", "state", "tensor_buffer"];

impl Parser<'_, '_> {
    /// Whether this word is a type that is followed by `<…>`.
    pub(super) fn takes_parameters(word: &str) -> bool {
        CONSTRUCTORS.contains(&word)
    }

    /// A type whose first word has been read.
    pub(super) fn ty(&mut self, first: Token) -> Parsed<Type> {
        match self.of(first) {
            "tensor" => self.tensor_ty().map(Type::Tensor),
            word if Self::takes_parameters(word) => self.deeper(|p| {
                p.expect(Kind::Less, "`<`")?;
                let ty = p.constructed(word)?;
                p.expect(Kind::Greater, "`>`")?;
                Ok(ty)
            }),
            _ => Ok(Type::scalar(self.dtype(first)?)),
        }
    }

    /// What stands in the `<…>` of a type other than a tensor.
    fn constructed(&mut self, word: &str) -> Parsed<Type> {
        Ok(match word {
            "list" => {
                let item = Box::new(self.inner_ty()?);
                self.expect(Kind::Comma, "`,`")?;
                let length = self.dim("the length of the list, or `?`")?.known();
                Type::List { item, length }
            }
            "tuple" => {
                let mut items = vec![self.inner_ty()?];
                while self.eat(Kind::Comma) {
                    items.push(self.inner_ty()?);
                }
                Type::Tuple(items)
            }
            "dict" => {
                let key = Box::new(self.inner_ty()?);
                self.expect(Kind::Comma, "`,`")?;
                Type::Dict(key, Box::new(self.inner_ty()?))
            }
            "state" => Type::State(Box::new(self.inner_ty()?)),
            _ => Type::Buffer(self.buffer_ty()?),
        })
    }

    fn inner_ty(&mut self) -> Parsed<Type> {
        let first = self.expect(Kind::Word, "a type")?;
        self.ty(first)
    }

    /// `<fp16, [1, 2]>`
    fn tensor_ty(&mut self) -> Parsed<TensorType> {
        self.expect(Kind::Less, "`<`")?;
        let dtype = self.expect(Kind::Word, "a dtype")?;
        let dtype = self.dtype(dtype)?;
        self.expect(Kind::Comma, "`,`")?;
        let shape = self.shape()?;
        self.expect(Kind::Greater, "`>`")?;
        Ok(TensorType { dtype, shape })
    }

    /// `fp16, shape=[…], strides=[…], interleave_factors=[…]`
    fn buffer_ty(&mut self) -> Parsed<BufferType> {
        let dtype = self.expect(Kind::Word, "a dtype")?;
        let dtype = self.dtype(dtype)?;
        let mut parts: [Option<Shape>; 3] = [const { None }; 3];
        while self.eat(Kind::Comma) {
            let key = self.expect(Kind::Word, "`shape`, `strides` or `interleave_factors`")?;
            self.expect(Kind::Equal, "`=`")?;
            let names = ["shape", "strides", "interleave_factors"];
            match names.iter().position(|n| *n == self.of(key)) {
                Some(i) => parts[i] = Some(self.shape()?),
                None => {
                    let message = format!("a `tensor_buffer` has no part `{}`", self.of(key));
                    let label = "expected `shape`, `strides` or `interleave_factors`";
                    return self.fail(&codes::UNEXPECTED_TOKEN, message, key.span, label);
                }
            }
        }
        let [Some(shape), Some(strides), Some(factors)] = parts else {
            return Err(self.unexpected("`, shape=[…], strides=[…], interleave_factors=[…]`"));
        };
        let numbers = |shape: &Shape| shape.iter().map(|d| d.known()).collect::<Option<Vec<u64>>>();
        match (numbers(&strides), numbers(&factors)) {
            (Some(strides), Some(interleave_factors)) => {
                Ok(BufferType { dtype, shape, strides, interleave_factors })
            }
            _ => {
                let message = "the strides and factors of a `tensor_buffer` must be numbers";
                self.fail(&codes::BAD_DIMENSION, message, self.previous.span, "not all are numbers")
            }
        }
    }

    /// `[1, ?]`
    fn shape(&mut self) -> Parsed<Shape> {
        let start = self.expect(Kind::OpenBracket, "a shape, such as `[1, 8]`")?;
        let mut dims = smallvec::SmallVec::<[Dim; 8]>::new();
        self.separated(Kind::CloseBracket, "`,` or `]`", |p| {
            let dim = p.dim("a dimension, or `?`")?;
            // A longer shape is read to its end, and not kept.
            if dims.len() <= MAX_RANK {
                dims.push(dim);
            }
            Ok(())
        })?;
        if dims.len() > MAX_RANK {
            let message = format!("the shape has more than {MAX_RANK} dimensions");
            return self.fail(&codes::BAD_DIMENSION, message, self.since(start), "too many");
        }
        Ok(dims.into_iter().collect())
    }

    fn dim(&mut self, what: &str) -> Parsed<Dim> {
        match self.token.kind {
            Kind::Question => {
                self.bump();
                Ok(Dim::Unknown)
            }
            Kind::Number => {
                let token = self.bump();
                let text = self.of(token);
                if text.bytes().all(|b| b.is_ascii_digit())
                    && let Ok(number) = text.parse()
                {
                    return Ok(Dim::Known(number));
                }
                self.bad_dim(token.span)
            }
            Kind::Word => {
                let token = self.bump();
                self.bad_dim(token.span)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    #[cold]
    fn bad_dim<T>(&mut self, at: Span) -> Parsed<T> {
        let message = format!("{} is not a dimension", self.shown(at));
        self.report(
            Diagnostic::new(&codes::BAD_DIMENSION, message)
                .at(at, "expected a whole number or `?`")
                .help("write `?` for a dimension that is known only when the program runs"),
        );
        Err(super::Failed)
    }

    fn dtype(&mut self, token: Token) -> Parsed<DType> {
        let word = self.of(token);
        if let Some(dtype) = DType::from_name(word) {
            return Ok(dtype);
        }
        let meant = other_name(word)
            .or_else(|| suggest(word, DType::ALL.iter().map(|d| d.name()).chain(CONSTRUCTORS)));
        let mut d =
            Diagnostic::new(&codes::UNKNOWN_TYPE, format!("there is no type {}", self.shown(token.span)))
                .at(token.span, "not a type");
        d.help = match meant {
            Some(meant) => Some(format!("write `{meant}`")),
            None if self.at(Kind::OpenParen) => {
                Some("bind the result of an op to a name in a statement of its own".to_string())
            }
            None => None,
        };
        self.report(d);
        Err(super::Failed)
    }
}

/// MIL's name of a dtype that other languages name so.
fn other_name(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "float16" | "half" | "f16" => "fp16",
        "float32" | "float" | "f32" => "fp32",
        "float64" | "double" | "f64" => "fp64",
        "bfloat16" => "bf16",
        "i8" => "int8",
        "i16" => "int16",
        "i32" | "int" => "int32",
        "i64" | "long" => "int64",
        "u8" => "uint8",
        "u16" => "uint16",
        "u32" => "uint32",
        "u64" => "uint64",
        "boolean" => "bool",
        "str" => "string",
        _ => return None,
    })
}
