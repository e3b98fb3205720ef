//! A call under construction: arguments are proposed, and then taken or dropped as a whole.

use std::ops::RangeInclusive;

use anemone::mil::op::{Arg, Args, Default, Edition, Kind, Meaning, Op, Parameter, Slot};
use anemone::mil::{Attribute, Binding, Name, Operand, Opset, OpsetName, Value};
use anemone::source::Span;
use anemone::types::{DType, Datum, Tensor, Type};

use crate::builder::{Builder, Item, Known, argument, call, literal, operand, param};

/// The most products of elements that a call may cost: its meaning is plain loops.
const WORK: u64 = 1 << 23;

/// One value of an argument.
struct Piece {
    ty: Type,
    value: Datum,
    known: Known,
    place: Place,
}

/// Where the value of an argument stands.
enum Place {
    /// It has a name.
    Named(Name),
    /// In the call.
    Literal,
    /// In a `const` of its own.
    Statement,
    /// It becomes an input of the function.
    Input,
}

/// A call under construction.
pub(crate) struct Draft<'s, 'd, 'u, 'b> {
    pub(crate) b: &'s mut Builder<'d, 'u, 'b>,
    pub(crate) op: &'static Op,
    opset: Opset,
    pub(crate) edition: &'static Edition,
    slots: Vec<Vec<Piece>>,
    domains: Vec<(char, DType)>,
}

impl<'s, 'd, 'u, 'b> Draft<'s, 'd, 'u, 'b> {
    /// A call without arguments; `None` when no opset that may be used here has the op.
    pub(crate) fn new(b: &'s mut Builder<'d, 'u, 'b>, op: &'static Op) -> Option<Self> {
        let opset = if !b.limits.packable && !b.alone && b.dice.chance(8) {
            b.dice.one(&Opset::ALL)
        } else {
            b.opset
        };
        let edition = op.edition(opset)?;
        let slots = edition.params.iter().map(|_| Vec::new()).collect();
        Some(Self { b, op, opset, edition, slots, domains: Vec::new() })
    }

    fn param(&self, name: &str) -> Option<(usize, &'static Parameter)> {
        self.edition.params.iter().enumerate().find(|(_, p)| p.name == name)
    }

    /// Whether the edition has the parameter.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.param(name).is_some()
    }

    /// Whether to give the parameter: always if it must be given, else now and then if the edition has it.
    pub(crate) fn wants(&mut self, name: &str) -> bool {
        let Some((_, p)) = self.param(name) else { return false };
        p.default == Default::Required || self.b.dice.chance(50)
    }

    /// Whether the parameter has been given.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.param(name).is_some_and(|(i, _)| !self.slots[i].is_empty())
    }

    /// Whether the parameter takes this dtype beside those that are given.
    fn accepts(&self, p: &Parameter, dtype: DType) -> bool {
        let bound = self.domains.iter().find(|(letter, _)| *letter == p.domain).map(|d| d.1);
        p.dtypes.contains(dtype) && bound.is_none_or(|bound| bound == dtype)
    }

    /// A dtype for this parameter, and from then on for all of its letter.
    pub(crate) fn dtype(&mut self, name: &str) -> DType {
        let Some((_, p)) = self.param(name) else { return DType::Fp32 };
        if let Some((_, dtype)) = self.domains.iter().find(|(letter, _)| *letter == p.domain) {
            return *dtype;
        }
        let mut all: Vec<DType> = p.dtypes.iter().filter(|&d| d != DType::String).collect();
        if all.is_empty() {
            all.push(DType::String);
        }
        let floats: Vec<DType> = [DType::Fp16, DType::Fp32].into_iter().filter(|d| all.contains(d)).collect();
        let dtype = if !floats.is_empty() && self.b.dice.chance(60) {
            self.b.dice.one(&floats)
        } else {
            self.b.dice.one(&all)
        };
        self.bind(p, dtype);
        dtype
    }

    fn bind(&mut self, p: &Parameter, dtype: DType) {
        if p.domain != ' ' && !self.domains.iter().any(|(letter, _)| *letter == p.domain) {
            self.domains.push((p.domain, dtype));
        }
    }

    /// The dtype of the first value that the parameter is bound to.
    pub(crate) fn first_dtype(&self, name: &str) -> Option<DType> {
        self.slots[self.param(name)?.0].first()?.ty.as_tensor().map(|t| t.dtype)
    }

    /// Chooses the dtype for a parameter if it takes this one.
    pub(crate) fn prefer(&mut self, name: &str, dtype: DType) {
        if let Some((_, p)) = self.param(name)
            && self.accepts(p, dtype)
        {
            self.bind(p, dtype);
        }
    }

    /// Binds a value in scope.
    pub(crate) fn item(&mut self, name: &str, item: &Item) -> Option<()> {
        let (at, p) = self.param(name)?;
        if let Some(t) = item.ty.as_tensor() {
            if !self.accepts(p, t.dtype) {
                return None;
            }
            self.bind(p, t.dtype);
        }
        self.slots[at].push(Piece {
            ty: item.ty.clone(),
            value: item.value.clone(),
            known: item.known,
            place: Place::Named(item.name.clone()),
        });
        Some(())
    }

    /// Binds a tensor of this shape: one in scope, or a new one.
    pub(crate) fn shaped(&mut self, name: &str, shape: &[usize]) -> Option<()> {
        self.tensor(name, |found| found == shape, |_| shape.to_vec()).map(|_| ())
    }

    /// Binds a tensor of a rank in this range; its shape is given back.
    pub(crate) fn ranked(&mut self, name: &str, ranks: RangeInclusive<usize>) -> Option<Vec<usize>> {
        let (low, high) = (*ranks.start(), *ranks.end());
        self.tensor(
            name,
            |found| ranks.contains(&found.len()),
            |b| {
                let rank = low + b.dice.below(high - low + 1);
                b.dice.shape(rank, b.limits.elements)
            },
        )
    }

    /// Binds a tensor: one in scope whose shape fits, or a new one of the shape that `or` gives.
    pub(crate) fn tensor(
        &mut self,
        name: &str,
        fits: impl Fn(&[usize]) -> bool,
        or: impl FnOnce(&mut Builder<'d, 'u, 'b>) -> Vec<usize>,
    ) -> Option<Vec<usize>> {
        let Some((_, p)) = self.param(name) else { return Some(Vec::new()) };
        if !self.edition.in_attributes && self.b.dice.chance(65) {
            let found: Vec<usize> = (0..self.b.items.len())
                .filter(|&i| {
                    let item = &self.b.items[i];
                    (!p.constant || item.known != Known::Running)
                        && item.tensor().is_some_and(|t| self.accepts(p, t.dtype()) && fits(t.shape()))
                })
                .collect();
            if !found.is_empty() {
                // What was computed last is the most likely to be used.
                let back = self.b.dice.below(found.len()).min(self.b.dice.below(found.len()));
                let item = self.b.items[found[found.len() - 1 - back]].clone();
                self.item(name, &item)?;
                return item.tensor().map(|t| t.shape().to_vec());
            }
        }
        let shape = or(self.b);
        let dtype = self.dtype(name);
        let tensor = self.b.dice.tensor(dtype, &shape)?;
        self.given(name, tensor)?;
        Some(shape)
    }

    /// Binds a tensor that is new: a constant, or an input where the parameter allows it.
    pub(crate) fn given(&mut self, name: &str, tensor: Tensor) -> Option<()> {
        let Some((at, p)) = self.param(name) else { return Some(()) };
        if !self.accepts(p, tensor.dtype()) {
            return None;
        }
        self.bind(p, tensor.dtype());
        let piece = self.place(p.constant, tensor);
        self.slots[at].push(piece);
        Some(())
    }

    /// Binds a new constant to a parameter, whether it must be one or not.
    pub(crate) fn constant(&mut self, name: &str, value: Datum) -> Option<()> {
        let (at, p) = self.param(name)?;
        if let Some(t) = value.as_tensor() {
            if !self.accepts(p, t.dtype()) {
                return None;
            }
            self.bind(p, t.dtype());
        }
        let place = if self.b.dice.chance(40) { Place::Literal } else { Place::Statement };
        self.slots[at].push(Piece { ty: value.ty(), value, known: Known::Constant, place });
        Some(())
    }

    fn place(&mut self, constant: bool, tensor: Tensor) -> Piece {
        let often = if self.b.alone { 85 } else { 55 };
        if !constant && self.b.takes_input(&tensor) && self.b.dice.chance(often) {
            let ty = self.b.declared_input(&tensor);
            return Piece { ty, value: tensor.into(), known: Known::Running, place: Place::Input };
        }
        let place = if self.b.dice.chance(40) { Place::Literal } else { Place::Statement };
        Piece { ty: tensor.ty().into(), value: tensor.into(), known: Known::Constant, place }
    }

    /// Binds a vector of whole numbers.
    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) -> Option<()> {
        if !self.has(name) {
            return Some(());
        }
        let dtype = self.int_dtype(name);
        self.given(name, Tensor::from_i64s(dtype, &[values.len()], values).ok()?)
    }

    /// Binds a whole number.
    pub(crate) fn int(&mut self, name: &str, value: i64) -> Option<()> {
        if !self.has(name) {
            return Some(());
        }
        let dtype = self.int_dtype(name);
        self.given(name, Tensor::from_i64s(dtype, &[], &[value]).ok()?)
    }

    fn int_dtype(&mut self, name: &str) -> DType {
        // Half of the numbers that say where and how many are as in older opsets.
        if self.b.dice.chance(50) {
            self.prefer(name, DType::Int32);
        }
        match self.param(name) {
            Some((_, p)) if p.domain == ' ' && p.dtypes.contains(DType::Int32) => DType::Int32,
            _ => self.dtype(name),
        }
    }

    /// Binds a number of the dtype that the parameter has.
    pub(crate) fn float(&mut self, name: &str, value: f64) -> Option<()> {
        if !self.has(name) {
            return Some(());
        }
        let dtype = self.dtype(name);
        self.given(name, Tensor::scalar(dtype, value))
    }

    /// Binds a bool.
    pub(crate) fn flag(&mut self, name: &str, value: bool) -> Option<()> {
        self.given(name, Tensor::scalar(DType::Bool, f64::from(u8::from(value))))
    }

    /// Binds one of these words.
    pub(crate) fn word(&mut self, name: &str, words: &[&str]) -> Option<()> {
        let word = self.b.dice.one(words);
        self.given(name, Tensor::string(word))
    }

    /// Every value that an op reads, as inference sees it before the program runs or while it runs.
    fn args<'a>(&self, running: &'a [Vec<Type>], pieces: &'a [Vec<Piece>], declared: &'a [Type]) -> Args<'a> {
        let runs = !running.is_empty();
        let slots = (0..pieces.len())
            .map(|i| {
                let args: Vec<Arg<'a>> = pieces[i]
                    .iter()
                    .enumerate()
                    .map(|(j, p)| Arg {
                        ty: if runs { &running[i][j] } else { &p.ty },
                        value: (runs || p.known == Known::Constant).then_some(&p.value),
                    })
                    .collect();
                match (self.edition.params[i].kind, args.as_slice()) {
                    (_, []) => Slot::Absent,
                    (Kind::Tuple, _) => Slot::Many(args),
                    (_, [one, ..]) => Slot::One(*one),
                }
            })
            .collect();
        Args {
            op: self.op,
            opset: self.opset,
            edition: self.edition,
            slots,
            declared,
            after: &[],
            unmade: &[],
        }
    }

    /// Takes the call if its arguments are accepted and its meaning gives results; says whether it was taken.
    pub(crate) fn finish(mut self) -> bool {
        let required =
            |(p, given): (&Parameter, &Vec<Piece>)| p.default != Default::Required || !given.is_empty();
        if !self.edition.params.iter().zip(&self.slots).all(required) {
            return false;
        }
        let pieces = std::mem::take(&mut self.slots);
        let Some((types, results)) = self.results(&pieces) else { return false };
        let known = if self.op.name.starts_with("constexpr_") { Known::Constexpr } else { Known::Running };
        self.emit(pieces, types, results, known);
        true
    }

    /// The declared types and the values of the results, if the call is right.
    fn results(&mut self, pieces: &[Vec<Piece>]) -> Option<(Vec<Type>, Vec<Datum>)> {
        let Meaning::Compute(compute) = self.op.meaning else { return None };
        let running: Vec<Vec<Type>> = pieces
            .iter()
            .map(|given| {
                given
                    .iter()
                    .map(|p| if let Type::Buffer(_) = p.ty { p.ty.clone() } else { p.value.ty() })
                    .collect()
            })
            .collect();
        let args = self.args(&running, pieces, &[]);
        let types = (self.op.infer)(&args).ok()?;
        let size = |t: &Type| t.as_tensor().and_then(|t| t.shape.elements()).unwrap_or(1);
        let read = running.iter().flatten().map(size).max().unwrap_or(1);
        let most = self.b.limits.elements.saturating_mul(4);
        if types.iter().any(|t| size(t) > most || size(t).saturating_mul(read) > WORK) {
            return None;
        }
        let results = compute(&args, &types).ok()?;
        let given: Vec<Type> = results.iter().map(Datum::ty).collect();
        let declared = match (self.op.infer)(&self.args(&[], pieces, &[])) {
            // Dimensions that are known only when the program runs may be declared all the same.
            Ok(types) if self.b.dice.chance(25) => {
                types.iter().zip(&given).map(|(t, g)| if t.fits(g) { t.or(g) } else { t.clone() }).collect()
            }
            Ok(types) => types,
            // The op goes by what is declared.
            Err(_) => (self.op.infer)(&self.args(&[], pieces, &given)).ok()?,
        };
        (declared.len() == results.len()).then_some((declared, results))
    }

    /// Writes the call, with the inputs and constants that it needs.
    fn emit(mut self, pieces: Vec<Vec<Piece>>, types: Vec<Type>, results: Vec<Datum>, known: Known) {
        let mut arguments = Vec::new();
        let mut attributes = Vec::new();
        for (p, given) in self.edition.params.iter().zip(pieces) {
            if given.is_empty() {
                continue;
            }
            if self.edition.in_attributes {
                attributes
                    .extend(given.iter().filter_map(|g| Some(Attribute::new(p.name, literal(&g.value)?))));
                continue;
            }
            let mut operands: Vec<Operand> = given.into_iter().filter_map(|g| self.operand(g)).collect();
            let binding = if p.kind == Kind::Tuple && (operands.len() > 1 || self.b.dice.chance(50)) {
                Binding::Many(operands)
            } else if operands.is_empty() {
                continue;
            } else {
                Binding::One(operands.swap_remove(0))
            };
            arguments.push(argument(p.name, binding));
        }
        let outputs: Vec<_> = types.iter().map(|ty| param(self.b.name(), ty.clone())).collect();
        let mut written = call(self.op.name, outputs.clone());
        (written.arguments, written.attributes) = (arguments, attributes);
        if self.opset != self.b.opset {
            written.opset = Some(OpsetName::Known(self.opset));
        }
        if let Some(first) = outputs.first()
            && self.b.dice.chance(30)
        {
            written.attributes.push(Attribute::new("name", Value::string(first.name.as_str())));
        }
        self.b.push(written);
        for (o, value) in outputs.into_iter().zip(results) {
            self.b.items.push(Item { name: o.name, ty: o.ty, value, known });
        }
    }

    /// The operand of a value; constants and inputs are written first.
    fn operand(&mut self, piece: Piece) -> Option<Operand> {
        let at = match (piece.place, piece.value) {
            (Place::Named(name), _) => return Some(operand(&name)),
            (Place::Literal, value) => return Some(Operand::Value(literal(&value)?, Span::default())),
            (Place::Input, Datum::Tensor(tensor)) => self.b.input(piece.ty, tensor),
            (Place::Statement | Place::Input, value) => self.b.constant(value)?,
        };
        Some(operand(&self.b.items[at].name))
    }
}
