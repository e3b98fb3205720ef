//! Which tensors of planes lie with their channels last.
//!
//! Of small planes a vector of neighbours along a line is never full, while channels are many. Where layers that can do so follow
//! each other, what is between them lies with the channels of a place side by side: products then read and write whole vectors, and
//! a depthwise convolution picks nothing apart. What is read or written from outside of such a region is turned by who reads or
//! writes it there, so that a region is worth it where its layers gain more than that takes. A product that reads what comes from
//! outside turns it while it widens it.
//!
//! Layers and elementwise ops give the same bits either way. A mean over planes is summed in another order.

use std::collections::{HashMap, HashSet};

use anemone_kernels::layout::copy;
use anemone_kernels::scratch::{Scratch, scratch};
use smallvec::SmallVec;

use super::build::{Builder, size};
use super::fuse::Group;
use crate::mil::op::{After, Arg, Args, Fast, Layer, Prepared, Run};
use crate::ops::is_elementwise;
use crate::types::{DType, Datum, Tensor, TensorType, Type};
use crate::verify::{Input, ValueId};
use crate::work;

/// The most elements of a small plane: larger ones fill vectors, and so do their lines.
const SMALL_PLANE: usize = 512;

/// The most elements of a plane whose channels fill vectors.
const LARGE_PLANE: usize = 1024;

/// The numbers of the longest vectors.
const LANES: usize = 16;

/// In nanoseconds, on a processor with vectors of 16 numbers: what a multiplication with an addition of a product of small planes
/// gains, what one of a depthwise convolution of them and of large ones gains, and what it takes to turn an element: by itself, and
/// while a product widens it.
const PRODUCT: f64 = 0.0009;
const DEPTHWISE: [f64; 2] = [0.015, 0.009];
const TURNED: f64 = 0.6;
const ENTERED: f64 = 0.15;

/// What lies with its channels last.
#[derive(Default)]
pub(super) struct ChannelsLast {
    /// The values that do.
    values: HashSet<ValueId>,
    /// The last results of the groups that are computed so.
    groups: HashSet<ValueId>,
}

/// A tensor of planes: its batch, channels, and the places of a plane.
#[derive(Clone, Copy)]
struct Planes {
    sizes: [usize; 3],
    /// The bytes of an element.
    bytes: usize,
}

/// How an argument or a result is turned: to channels last, or back.
struct Turn {
    planes: Planes,
    last: bool,
}

/// What of a group lies with its channels last, if it is computed so.
struct Ends {
    reads: Vec<ValueId>,
    result: Option<ValueId>,
    gain: f64,
    /// Whether its kernel can find the first of what it reads as it lies elsewhere.
    enters: bool,
}

impl Ends {
    /// Whether it reads this only where its kernel can find it as it lies elsewhere.
    fn enters_by(&self, v: ValueId) -> bool {
        self.enters && !self.reads[1..].contains(&v)
    }

    fn values(&self) -> impl Iterator<Item = ValueId> {
        self.reads.iter().copied().chain(self.result)
    }
}

impl<'a> Builder<'a> {
    /// Finds the regions whose layers gain more than it takes to turn what they share with others.
    pub(super) fn lay_out(&self, groups: &[Group<'a>]) -> ChannelsLast {
        let ends: Vec<Option<Ends>> = groups.iter().map(|group| self.ends(group)).collect();
        let mut layout = ChannelsLast::default();
        if ends.iter().flatten().all(|ends| ends.gain == 0.0) {
            return layout;
        }
        // The groups that read or write each value, and the one that makes it.
        let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        let mut makers: HashMap<ValueId, usize> = HashMap::new();
        // Values that cannot be turned: what the function gives, and what is read or made in blocks or in place.
        let mut fixed: HashSet<ValueId> = self.frame.outputs.iter().map(|&o| self.base(o)).collect();
        for (at, group) in groups.iter().enumerate() {
            let reads: HashSet<ValueId> = group.reads().map(|v| self.base(v)).collect();
            let made = group.last().outputs.iter().copied();
            let in_place = matches!(group.head.op.fast, Fast::State(_) | Fast::Updating(_));
            if in_place || !group.head.blocks.is_empty() {
                group.head.reads(|v| _ = fixed.insert(self.base(v)));
                fixed.extend(reads.iter().copied().chain(made.clone()));
            }
            reads.into_iter().for_each(|v| readers.entry(v).or_default().push(at));
            makers.extend(made.map(|v| (v, at)));
        }
        let readers = |v: ValueId| readers.get(&v).map_or(&[][..], Vec::as_slice);
        let mut seen = vec![false; groups.len()];
        for first in 0..groups.len() {
            if seen[first] || ends[first].is_none() {
                continue;
            }
            let (mut region, mut values) = (Vec::new(), HashSet::new());
            let mut open = vec![first];
            while let Some(at) = open.pop() {
                let Some(ends) = ends[at].as_ref().filter(|_| !std::mem::replace(&mut seen[at], true)) else {
                    continue;
                };
                region.push(at);
                for v in ends.values().filter(|&v| values.insert(v)) {
                    open.extend(readers(v).iter().chain(makers.get(&v)));
                }
            }
            let inside: HashSet<usize> = region.iter().copied().collect();
            let outside = |all: &[usize]| all.iter().filter(|at| !inside.contains(at)).count();
            let turned = |v: &ValueId| !fixed.contains(v) && makers.contains_key(v);
            // What comes from outside, and is read by products alone, is not turned before.
            let entered = |v: &ValueId| {
                let mut readers = region.iter().filter_map(|&at| ends[at].as_ref());
                makers.get(v).is_none_or(|maker| !inside.contains(maker))
                    && readers.all(|ends| !ends.reads.contains(v) || ends.enters_by(*v))
            };
            let elements = |v: &ValueId| self.planes(*v).map_or(0, |p| p.sizes.iter().product()) as f64;
            let cost = |v: &ValueId| {
                if entered(v) {
                    return (readers(*v).len() - outside(readers(*v))) as f64 * elements(v) * ENTERED;
                }
                let times = if turned(v) {
                    outside(readers(*v)) + outside(&[makers[v]])
                } else {
                    // Each that is computed inside turns it for itself.
                    let inner = readers(*v).len() - outside(readers(*v));
                    inner + makers.get(v).map_or(0, |&maker| 1 - outside(&[maker]))
                };
                times as f64 * elements(v) * TURNED
            };
            let gain: f64 = region.iter().filter_map(|&at| Some(ends[at].as_ref()?.gain)).sum();
            if gain > values.iter().map(cost).sum() {
                layout.groups.extend(region.iter().filter_map(|&at| groups[at].last().outputs.first()));
                layout.values.extend(values.into_iter().filter(|v| turned(v) && !entered(v)));
            }
        }
        layout
    }

    /// A tensor of small planes of floats, of more than one place.
    fn planes(&self, v: ValueId) -> Option<Planes> {
        let (ty, _) = size(&self.known.function.value(v).ty)?;
        let &[batch, channels, height, width] = &ty.shape.known()?[..] else { return None };
        let places = height.checked_mul(width)?;
        let is_float = matches!(ty.dtype, DType::Fp16 | DType::Fp32);
        // Where channels fill no vector, a larger plane still does.
        let most = if channels.is_multiple_of(LANES) { LARGE_PLANE } else { SMALL_PLANE };
        let fits = is_float && (2..=most).contains(&places) && batch * channels > 0;
        fits.then_some(Planes { sizes: [batch, channels, places], bytes: ty.dtype.bits() / 8 })
    }

    /// What a group would read and write with channels last; `None` if it cannot be computed so.
    fn ends(&self, group: &Group<'_>) -> Option<Ends> {
        let head = group.head;
        let ([own], &[result]) = (&head.outputs[..], &group.last().outputs[..]) else { return None };
        let ty = |v: ValueId| &self.known.function.value(v).ty;
        let types = self.types(head);
        let args = head.args(&types, |v| self.arg(v));
        let read = |v: ValueId| {
            // Another name may have another shape, and of a view the kernel would be given the whole.
            let own = !self.views.contains_key(&v) && !self.unmade.contains_key(&v);
            (own && ty(self.base(v)) == ty(v)).then(|| self.base(v))
        };
        let mut reads = Vec::new();
        let (mut gain, mut enters) = (0.0, false);
        let x = head.inputs.first()?.values().first().copied()?;
        let is_mean = head.op.name == "reduce_mean" && axes(&args).is_some_and(|axes| axes == [2, 3]);
        if let Fast::Planes(_, last) = head.op.fast {
            self.planes(x)?;
            self.planes(*own)?;
            let layer = (last.layer)(&args, &types)?;
            reads.push(read(x)?);
            let sums = work::of_step(self.known.function, head)? as f64;
            let [batch, _, places] = self.planes(*own)?.sizes;
            gain = sums
                * match (layer, places > SMALL_PLANE) {
                    (Layer::Product, false) => PRODUCT,
                    (Layer::Product, true) => 0.0,
                    (Layer::Depthwise, large) => DEPTHWISE[usize::from(large)],
                };
            // Of constants there is one form.
            enters = layer == Layer::Product && batch == 1 && self.known.constants[x.index()].is_none();
        } else if is_mean {
            self.planes(x)?;
            reads.push(read(x)?);
            return group.tail.is_empty().then_some(Ends { reads, result: None, gain, enters });
        } else if is_elementwise(head.op) {
            self.planes(*own)?;
            for v in head.inputs.iter().flat_map(Input::values).copied() {
                if ty(v).as_tensor()?.shape == ty(*own).as_tensor()?.shape {
                    self.planes(v)?;
                    reads.push(read(v)?);
                } else if !self.has_no_places(v) {
                    return None;
                }
            }
            // Of constants there is one form.
            reads.iter().all(|v| self.known.constants[v.index()].is_none()).then_some(())?;
        } else {
            return None;
        }
        for following in &group.tail {
            let &[made] = &following.step.outputs[..] else { return None };
            (ty(made) == ty(*own)).then_some(())?;
        }
        for v in group.others() {
            (ty(v) == ty(*own)).then_some(())?;
            reads.push(read(v)?);
        }
        Some(Ends { reads, result: Some(result), gain, enters })
    }

    /// Whether an argument has the same elements in the same order either way.
    fn has_no_places(&self, v: ValueId) -> bool {
        let Some((ty, _)) = size(&self.known.function.value(v).ty) else { return false };
        match &ty.shape.known().unwrap_or_default()[..] {
            [_, _, height, width] => height * width == 1,
            dims => dims.iter().product::<usize>() == 1,
        }
    }

    /// The kernel of a group, which finds what it reads where it lies, and writes what it gives where that is to lie; and whether
    /// anything of that lies with its channels last.
    pub(super) fn laid_out(&self, group: &Group<'_>, layout: &ChannelsLast) -> (Option<Prepared>, bool) {
        let results = &group.last().outputs;
        let own = results.iter().any(|result| layout.groups.contains(result));
        let mut values = group.reads().chain(results.iter().copied());
        if !own && !values.any(|v| layout.values.contains(&self.base(v))) {
            return (self.prepared(group), false);
        }
        let entered = own && self.enters(group, layout);
        let last = if own { self.prepared_last(group, entered) } else { None };
        let own = last.is_some();
        let kernel = last.or_else(|| self.prepared(group));
        (kernel.map(|kernel| self.between(group, layout, kernel, [own, own && entered])), true)
    }

    /// Whether the kernel of a group that is computed with channels last finds the first of what it reads as it lies elsewhere.
    fn enters(&self, group: &Group<'_>, layout: &ChannelsLast) -> bool {
        let first = group.reads().next().filter(|&v| !layout.values.contains(&self.base(v)));
        first.is_some() && self.ends(group).is_some_and(|ends| ends.enters)
    }

    /// A kernel between what is turned before and behind it; it takes and gives planes with their channels last, or it does not,
    /// and it may take the first as the others do not lie.
    pub(super) fn between(
        &self,
        group: &Group<'_>,
        layout: &ChannelsLast,
        kernel: Prepared,
        [own, entered]: [bool; 2],
    ) -> Prepared {
        let turn = |v: ValueId, own: bool, back: bool| {
            let whole = self.base(v);
            let (lies_last, planes) = (layout.values.contains(&whole), self.planes(whole)?);
            let constant = self.known.constants[v.index()].is_some();
            (own != lies_last && !constant).then_some(Turn { planes, last: own != back })
        };
        let reads = group.reads().enumerate().map(|(i, v)| turn(v, own && !(entered && i == 0), false));
        let result = group.last().outputs.first().and_then(|&v| turn(v, own, true));
        turning(kernel, reads.collect(), result)
    }

    /// The kernel of a group for tensors whose channels lie last.
    fn prepared_last(&self, group: &Group<'_>, entered: bool) -> Option<Prepared> {
        let (head, types) = (group.head, self.types(group.head));
        if let Fast::Planes(_, last) = head.op.fast {
            let after: Vec<After> = group.tail.iter().map(|f| f.what).collect();
            let args = Args { after: &after, ..head.args(&types, |v| self.arg(v)) };
            let prepare = if entered { last.enter } else { last.prepare };
            return prepare(&args, &types).ok().flatten();
        }
        let turned: HashMap<ValueId, Type> =
            group.reads().map(|v| (v, turned(&self.known.function.value(v).ty))).collect();
        let types: Vec<Type> = types.iter().map(self::turned).collect();
        let places = Datum::from(Tensor::from_slice(&[2], &[1i32, 2]).ok()?);
        let axes = head.edition.params.iter().position(|p| p.name == "axes");
        let axes = axes.and_then(|at| head.inputs.get(at)?.values().first());
        let arg = |v: ValueId| match turned.get(&v) {
            Some(ty) if axes == Some(&v) => Arg { ty, value: Some(&places) },
            Some(ty) => Arg { ty, ..self.arg(v) },
            None => self.arg(v),
        };
        self.prepared_as(group, &types, &arg, &|_| None).0
    }
}

/// The axes of a reduction, in order.
fn axes(args: &Args<'_>) -> Option<Vec<usize>> {
    let rank = args.opt_ty("x")?.rank();
    let mut axes = args.ints("axes")?.into_iter();
    let mut axes = axes.try_fold(Vec::new(), |mut all, axis| {
        all.push(args.normal_axis("axes", axis, rank).ok()?);
        Some(all)
    })?;
    axes.sort_unstable();
    Some(axes)
}

/// The type of a tensor when its channels lie last.
fn turned(ty: &Type) -> Type {
    match ty.as_tensor().and_then(|t| Some((t.dtype, t.shape.known()?))) {
        Some((dtype, dims)) if dims.len() == 4 => {
            Type::from(TensorType::new(dtype, &[dims[0], dims[2], dims[3], dims[1]][..]))
        }
        _ => ty.clone(),
    }
}

/// The same kernel, between what is turned before and behind it.
fn turning(kernel: Prepared, reads: Vec<Option<Turn>>, result: Option<Turn>) -> Prepared {
    if reads.iter().all(Option::is_none) && result.is_none() {
        return kernel;
    }
    let sure = kernel.is_sure();
    let run = move |run: &mut Run<'_, '_>| {
        let (threads, given) = (run.threads, run.given());
        let turned: SmallVec<[Option<Scratch<u32>>; 8]> = reads
            .iter()
            .zip(given)
            .map(|(turn, given)| {
                let turn = turn.as_ref()?;
                let mut to = scratch::<u32>(given.len().div_ceil(4));
                turn.run(threads, &mut bytemuck::cast_slice_mut(&mut to)[..given.len()], given);
                Some(to)
            })
            .collect();
        let reads: SmallVec<[&[u8]; 8]> = turned
            .iter()
            .zip(given)
            .map(|(turned, given)| match turned {
                Some(turned) => &bytemuck::cast_slice(turned)[..given.len()],
                None => given,
            })
            .collect();
        let to: &mut [u8] = run.write(0);
        let Some(turn) = &result else { return kernel.run(&mut Run::new(threads, &reads, &mut [to])) };
        let mut from = scratch::<u32>(to.len().div_ceil(4));
        let from = &mut bytemuck::cast_slice_mut(&mut from)[..to.len()];
        kernel.run(&mut Run::new(threads, &reads, &mut [&mut *from]))?;
        turn.run(threads, to, from);
        Ok(())
    };
    if sure {
        Prepared::sure(move |r| run(r).expect("the kernel is one that cannot refuse"))
    } else {
        Prepared::new(run)
    }
}

impl Turn {
    fn run(&self, threads: usize, to: &mut [u8], from: &[u8]) {
        match self.planes.bytes {
            2 => self.elements::<u16>(threads, bytemuck::cast_slice_mut(to), bytemuck::cast_slice(from)),
            _ => self.elements::<u32>(threads, bytemuck::cast_slice_mut(to), bytemuck::cast_slice(from)),
        }
    }

    fn elements<E: bytemuck::Pod + Send + Sync>(&self, threads: usize, to: &mut [E], from: &[E]) {
        let [batch, channels, places] = self.planes.sizes;
        let [rows, columns] = if self.last { [places, channels] } else { [channels, places] };
        copy(threads, to, &[batch, rows, columns], from, 0, &[rows * columns, 1, rows]);
    }
}
