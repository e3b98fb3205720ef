//! Which steps are done together, some rows at a time.
//!
//! Norms and attention that are written as primitives, and chains of elementwise ops, are steps that each read what the one
//! before has written: tensors that are too large for the cache go to memory and back each time. Where some rows of every
//! one of them depend on the same rows alone, the steps are done one after the other on a band of rows that the cache
//! holds, and then on the next. What is between them is never written as a whole, and takes no room in the arena.
//!
//! Each kernel is the op's own, prepared for a band: every element is computed as it would be, so that no bit changes. Bands
//! do not depend on the number of threads, which take one each.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use anemone_kernels::scratch::scratch;
use anemone_kernels::threads::parallel_chunks;
use smallvec::SmallVec;

use super::Kernel;
use super::build::{Builder, Target, Work, size};
use super::fuse::Group;
use super::views::Viewed;
use crate::mil::op::{Arg, Prepared, Run, View};
use crate::ops::{along, is_elementwise};
use crate::types::{TensorType, Type};
use crate::verify::ValueId;

/// What lies between the steps of one band has at most so many bytes, a part of the second cache of a core; or where that holds too
/// few rows so many, about all of it.
const ROOMS: [usize; 2] = [1 << 18, 1 << 20];

/// What would lie between them as a whole has at least so many bytes: less stays in the cache anyway.
const LEAST: usize = 1 << 20;

/// Steps of several bands are divided into at least so many, so that threads have as much to do.
const BANDS: usize = 8;

/// A product is worth dividing from so many rows on: each band prepares the matrix that its rows meet.
const ROWS: usize = 128;

/// How far apart steps may stand.
const REACH: usize = 64;

/// The bytes of cache lines, on which what is between begins.
const LINE: usize = 64;

/// The rows of a band, and how many bands there are along the axes before.
#[derive(Clone, Debug)]
struct Split {
    /// The first dimensions of all results.
    dims: Vec<usize>,
    /// How many places of the last of them belong to a band; of the others it is one.
    rows: usize,
}

impl Split {
    fn bands(&self) -> usize {
        self.dims.iter().product::<usize>() / self.rows
    }

    /// How many places a band has along one of the axes.
    fn places(&self, axis: usize) -> usize {
        if axis + 1 == self.dims.len() { self.rows } else { 1 }
    }

    /// The place of a band along each axis.
    fn at(&self, mut band: usize) -> SmallVec<[usize; 6]> {
        let mut at = SmallVec::from_elem(0, self.dims.len());
        for axis in (0..self.dims.len()).rev() {
            let bands = self.dims[axis] / self.places(axis);
            at[axis] = band % bands * self.places(axis);
            band /= bands;
        }
        at
    }
}

/// What of a tensor belongs to a band.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    shape: Vec<usize>,
    /// How far apart, in elements, the places are of neighbours along each axis of the split.
    steps: Vec<usize>,
}

impl Part {
    /// The part of a tensor of which each axis of the split divides the axis that is named.
    fn of(split: &Split, dims: &[usize], divided: &[Option<usize>]) -> Self {
        let mut part = Self { shape: dims.to_vec(), steps: vec![0; split.dims.len()] };
        for (axis, at) in divided.iter().enumerate() {
            if let Some(at) = *at {
                part.shape[at] = split.places(axis);
                part.steps[axis] = dims[at + 1..].iter().product();
            }
        }
        part
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its elements lie side by side in a tensor of these dimensions.
    fn is_together(&self, dims: &[usize]) -> bool {
        let first = self.shape.iter().position(|&n| n != 1).unwrap_or(dims.len());
        dims.len() <= first || self.shape[first + 1..] == dims[first + 1..]
    }

    /// Whether the parts of all bands stand one behind the other.
    fn is_in_order(&self, split: &Split) -> bool {
        let mut distance = self.len();
        for axis in (0..split.dims.len()).rev() {
            let bands = split.dims[axis] / split.places(axis);
            if bands > 1 && self.steps[axis] * split.places(axis) != distance {
                return false;
            }
            distance *= bands;
        }
        true
    }
}

/// Where a kernel finds an argument.
#[derive(Clone)]
enum Found {
    /// It has taken it in.
    Nowhere,
    /// In what the step is given, at this place: so many bytes behind a distance for each axis of the split, or all behind it.
    Given { at: usize, steps: Vec<usize>, len: Option<usize> },
    /// In what lies between.
    Between(usize),
}

/// A step of a band.
struct Member {
    kernel: Prepared,
    from: Vec<Found>,
    /// What it writes of what lies between; the last one writes the result.
    to: Option<usize>,
}

/// The steps that bands go through.
struct Band {
    split: Split,
    members: Vec<Member>,
    /// Where what lies between is in memory of its own.
    between: Vec<Range<usize>>,
}

impl Band {
    fn run(&self, run: &mut Run<'_, '_>) {
        let (threads, given) = (run.threads, run.given());
        let result: &mut [u8] = run.write(0);
        let chunk = result.len() / self.split.bands();
        parallel_chunks(threads, result, chunk, 1, |band, result| {
            self.one(&self.split.at(band), given, result)
        });
    }

    fn one(&self, places: &[usize], given: &[&[u8]], result: &mut [u8]) {
        let mut room = scratch::<u8>(self.between.last().map_or(0, |slot| slot.end));
        let (mut rest, mut begin) = (&mut room[..], 0);
        let mut between: SmallVec<[&mut [u8]; 16]> = SmallVec::new();
        for slot in &self.between {
            let (own, behind) = std::mem::take(&mut rest)[slot.start - begin..].split_at_mut(slot.len());
            between.push(own);
            (rest, begin) = (behind, slot.end);
        }
        for member in &self.members {
            let mut own = member.to.map(|slot| std::mem::take(&mut between[slot]));
            let find = |from: &Found| match from {
                Found::Nowhere => &[][..],
                Found::Between(slot) => &*between[*slot],
                Found::Given { at, steps, len } => {
                    let start = steps.iter().zip(places).map(|(step, place)| step * place).sum::<usize>();
                    let end = len.map_or(given[*at].len(), |len| start + len);
                    &given[*at][start..end]
                }
            };
            {
                let read: SmallVec<[&[u8]; 16]> = member.from.iter().map(find).collect();
                let mut writes = [own.as_deref_mut().unwrap_or(&mut *result)];
                // Only such kernels are members as cannot refuse.
                let _ = member.kernel.run(&mut Run::new(1, &read, &mut writes));
            }
            if let (Some(slot), Some(own)) = (member.to, own) {
                between[slot] = own;
            }
        }
    }
}

/// Steps that may become one, and the first axes that divide all of them.
struct Candidate {
    members: Vec<usize>,
    /// How many of the first axes.
    axes: Vec<usize>,
}

/// The axis of each argument of a step that an axis of the split divides, for each of them.
type Divided = HashMap<ValueId, Vec<Option<usize>>>;

impl<'a> Builder<'a> {
    /// Puts steps together that bands of rows go through.
    pub(super) fn banded(&self, work: Vec<Work<'a>>) -> Vec<Work<'a>> {
        let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (at, work) in work.iter().enumerate() {
            work.reads.iter().for_each(|&v| readers.entry(self.base(v)).or_default().push(at));
        }
        for &output in &self.frame.outputs {
            readers.entry(self.base(output)).or_default().push(usize::MAX);
        }
        let mut all: Vec<Option<Work<'a>>> = work.into_iter().map(Some).collect();
        for first in 0..all.len() {
            let Some(Candidate { members, axes }) = self.candidate(&all, &readers, first) else { continue };
            let groups: Vec<&Group<'_>> =
                members.iter().filter_map(|&m| Some(&all[m].as_ref()?.group)).collect();
            let Some(together) = self.band(&groups, &axes) else { continue };
            let groups: Vec<Group<'_>> = members.iter().filter_map(|&m| Some(all[m].take()?.group)).collect();
            if let Some(&last) = members.last() {
                all[last] = Work::band(groups, together);
            }
        }
        all.into_iter().flatten().collect()
    }

    /// The longest run of steps from one on of which only the last result is needed elsewhere.
    fn candidate(
        &self,
        all: &[Option<Work<'a>>],
        readers: &HashMap<ValueId, Vec<usize>>,
        first: usize,
    ) -> Option<Candidate> {
        let head = all[first].as_ref()?;
        let (head_result, dims) = self.row_result(head)?;
        let divides = |group: &Group<'_>, axes: usize| self.divided(group, &dims[..axes]).is_some();
        let mut axes: Vec<usize> = (1..=dims.len()).filter(|&n| divides(&head.group, n)).collect();
        let mut made: Vec<(usize, ValueId)> = vec![(first, head_result)];
        let mut longest = None;
        for (at, next) in all.iter().enumerate().skip(first + 1).take(REACH) {
            let Some(next) = next else { continue };
            let is_made = |v: &ValueId| made.iter().any(|(_, m)| *m == self.base(*v));
            if !next.reads.iter().any(is_made) {
                continue;
            }
            let Some((result, _)) = self.row_result(next) else { break };
            // Of a view the kernel would be given the whole.
            if next.reads.iter().any(|v| is_made(v) && self.views.contains_key(v)) {
                break;
            }
            axes.retain(|&n| divides(&next.group, n));
            if axes.is_empty() {
                break;
            }
            made.push((at, result));
            let members: HashSet<usize> = made.iter().map(|&(at, _)| at).collect();
            let stays = |(_, v): &(usize, ValueId)| {
                readers.get(v).is_none_or(|by| by.iter().all(|reader| members.contains(reader)))
            };
            if made[..made.len() - 1].iter().all(stays) {
                longest =
                    Some(Candidate { members: made.iter().map(|&(at, _)| at).collect(), axes: axes.clone() });
            }
        }
        longest
    }

    /// The result of a step that may be one of a band, and its dimensions.
    fn row_result(&self, work: &Work<'_>) -> Option<(ValueId, Vec<usize>)> {
        let group = &work.group;
        let op = group.head.op;
        let constant = |param: &str| {
            let at = group.head.edition.params.iter().position(|p| p.name == param);
            let value = at.and_then(|at| group.head.inputs.get(at)?.values().first());
            value.is_none_or(|v| self.known.constants[v.index()].is_some())
        };
        let is_by_rows = match op.name {
            "softmax" | "layer_norm" => true,
            "matmul" => !constant("y"),
            name => is_elementwise(op) || name.starts_with("reduce_"),
        };
        let kernel = matches!(&work.kernel, Kernel::Prepared(kernel) if kernel.is_sure());
        let ([Target::Value(result)], true) = (&work.writes[..], is_by_rows && kernel) else { return None };
        if work.by_meaning
            || work.channels_last
            || work.updates
            || !work.others.is_empty()
            || work.reads.iter().any(|v| self.unmade.contains_key(v))
        {
            return None;
        }
        let dims = self.dims(*result)?;
        let of_head = self.dims(*group.head.outputs.first()?)?;
        (dims == of_head).then_some((*result, dims))
    }

    fn dims(&self, v: ValueId) -> Option<Vec<usize>> {
        let (ty, _) = size(&self.known.function.value(v).ty)?;
        (ty.dtype.bits() % 8 == 0).then(|| ty.shape.known())?
    }

    /// How the first axes of a result divide what a group reads, if these are their dimensions.
    fn divided(&self, group: &Group<'_>, first: &[usize]) -> Option<Divided> {
        let result = self.dims(*group.last().outputs.first()?)?;
        if result.get(..first.len()) != Some(first) {
            return None;
        }
        let types = self.types(group.head);
        let args = group.head.args(&types, |v| self.arg(v));
        let whole = vec![None; first.len()];
        let mut by_param = vec![whole; group.head.inputs.len()];
        for axis in 0..first.len() {
            for (param, at) in along(&args, result.len(), axis)? {
                let param = group.head.edition.params.iter().position(|p| p.name == param)?;
                by_param.get_mut(param)?[axis] = Some(at);
            }
        }
        let others = group.others().map(|v| (v, (0..first.len()).map(Some).collect()));
        let params = group.head.inputs.iter().zip(&by_param);
        let values = params.flat_map(|(input, by)| input.values().iter().map(move |&v| (v, by.clone())));
        let mut divided = Divided::new();
        for (v, by) in values.chain(others) {
            // What is read twice is read in one way.
            if divided.insert(v, by.clone()).is_some_and(|before| before != by) {
                return None;
            }
        }
        Some(divided)
    }

    /// The kernel of steps that are done together, how many bands it goes through, what it is given, and which constants
    /// are among that.
    fn band(&self, groups: &[&Group<'a>], axes: &[usize]) -> Option<Together> {
        let result = |group: &Group<'_>| group.last().outputs.first().copied();
        let (&last, before) = groups.split_last()?;
        let between = before.iter().map(|g| result(g)).collect::<Option<Vec<_>>>()?;
        let bytes = |v: &ValueId| size(&self.known.function.value(*v).ty).map_or(0, |(_, bytes)| bytes);
        if between.iter().map(bytes).sum::<usize>() < LEAST {
            return None;
        }
        let dims = self.dims(result(last)?)?;
        let mut ways = ROOMS.iter().flat_map(|&room| axes.iter().map(move |&axes| (room, axes)));
        ways.find_map(|(room, axes)| {
            let divided =
                groups.iter().map(|g| self.divided(g, &dims[..axes])).collect::<Option<Vec<_>>>()?;
            let all = dims[axes - 1];
            let rows = (1..=all).rev().filter(|&rows| all.is_multiple_of(rows));
            let splits = rows.map(|rows| Split { dims: dims[..axes].to_vec(), rows });
            splits
                .filter(|split| split.bands() >= BANDS)
                .find_map(|split| self.together(groups, &between, &divided, split, room))
        })
    }

    /// The same for one way to divide them.
    fn together(
        &self,
        groups: &[&Group<'a>],
        between: &[ValueId],
        divided: &[Divided],
        split: Split,
        room: usize,
    ) -> Option<Together> {
        let rooms = self.rooms(groups, between, &split).filter(|rooms| rooms.len() <= room)?;
        let (mut reads, mut given) = (Vec::new(), Vec::new());
        let mut members = Vec::new();
        for (i, (group, divided)) in groups.iter().zip(divided).enumerate() {
            if !is_worth_it(group, divided, &split) {
                return None;
            }
            let mut places = HashMap::new();
            let mut parts = HashMap::new();
            for v in group.reads() {
                let by = divided.get(&v)?;
                let constant = self.known.constants[v.index()].is_some();
                let between = between.iter().position(|&b| b == self.base(v));
                let at = reads.iter().position(|&r| r == v).unwrap_or(reads.len());
                if between.is_none() && at == reads.len() {
                    reads.push(v);
                }
                if by.iter().all(Option::is_none) && between.is_none() {
                    let whole = Found::Given { at, steps: vec![0; by.len()], len: None };
                    places.insert(v, if constant { Found::Nowhere } else { whole });
                    continue;
                }
                let dims = self.dims(v)?;
                let part = Part::of(&split, &dims, by);
                let (ty, bytes) = self.part_type(v, &part)?;
                let by_bytes =
                    |steps: &[usize]| steps.iter().map(|n| n * (bytes / part.len().max(1))).collect();
                let (place, view) = match (between, self.views.get(&v)) {
                    (Some(i), _) if part.is_in_order(&split) && bytes == rooms.slots[rooms.of[i]].len() => {
                        (Found::Between(rooms.of[i]), None)
                    }
                    (None, None) if part.is_together(&dims) => {
                        (Found::Given { at, steps: by_bytes(&part.steps), len: Some(bytes) }, None)
                    }
                    (None, Some(Viewed { view, .. })) if view.dims == dims => {
                        let step = |at: &Option<usize>| {
                            at.map_or(Some(0), |at| usize::try_from(view.steps[at]).ok())
                        };
                        let steps = by.iter().map(step).collect::<Option<Vec<_>>>()?;
                        let shown =
                            View { shape: part.shape.clone(), dims: part.shape.clone(), ..view.clone() };
                        (Found::Given { at, steps: by_bytes(&steps), len: None }, Some(shown))
                    }
                    _ => return None,
                };
                if constant {
                    given.push(v);
                }
                places.insert(v, place);
                parts.insert(v, (ty, view));
            }
            let result = *group.last().outputs.first()?;
            let (result, _) = self.part_type(result, &self.own_part(result, &split)?)?;
            let result = [result];
            let arg = |v: ValueId| match parts.get(&v) {
                // What is divided is given when it runs, constants too.
                Some((ty, _)) => Arg { ty, value: None },
                None => self.arg(v),
            };
            let view = |v: ValueId| match parts.get(&v) {
                Some((_, view)) => view.as_ref(),
                None => self.views.get(&v).map(|viewed| &viewed.view),
            };
            let kernel = self.prepared_as(group, &result, &arg, &view).0.filter(Prepared::is_sure)?;
            let from = group.reads().map(|v| places.get(&v).cloned()).collect::<Option<_>>()?;
            members.push(Member { kernel, from, to: rooms.of.get(i).copied() });
        }
        let bands = split.bands();
        let band = Band { split, members, between: rooms.slots };
        Some(Together { kernel: Prepared::sure(move |run| band.run(run)), bands, reads, given })
    }

    /// Where what lies between is.
    fn rooms(&self, groups: &[&Group<'a>], between: &[ValueId], split: &Split) -> Option<Rooms> {
        let last = |v: ValueId| groups.iter().rposition(|g| g.reads().any(|r| self.base(r) == v));
        let (mut rooms, mut free, mut all) = (Rooms::default(), Vec::new(), 0);
        for (i, &v) in between.iter().enumerate() {
            let (_, bytes) = self.part_type(v, &self.own_part(v, split)?)?;
            let slots = &mut rooms.slots;
            let fitting = free.iter().position(|&slot: &usize| slots[slot].len() == bytes);
            let slot = fitting.map_or(slots.len(), |at| free.swap_remove(at));
            if slot == slots.len() {
                slots.push(all..all + bytes);
                all += bytes.next_multiple_of(LINE);
            }
            rooms.of.push(slot);
            free.extend((0..=i).filter(|&j| last(between[j]) == Some(i)).map(|j| rooms.of[j]));
        }
        Some(rooms)
    }

    /// What belongs to a band of a result.
    fn own_part(&self, v: ValueId, split: &Split) -> Option<Part> {
        let own: Vec<Option<usize>> = (0..split.dims.len()).map(Some).collect();
        Some(Part::of(split, &self.dims(v)?, &own))
    }

    /// The type of a part of a value, and its bytes.
    fn part_type(&self, v: ValueId, part: &Part) -> Option<(Type, usize)> {
        let (ty, _) = size(&self.known.function.value(v).ty)?;
        let ty = Type::from(TensorType::new(ty.dtype, &part.shape[..]));
        let (_, bytes) = size(&ty)?;
        Some((ty, bytes))
    }
}

/// Where what lies between the steps of a band is.
#[derive(Default)]
struct Rooms {
    slots: Vec<Range<usize>>,
    /// The slot of each value.
    of: Vec<usize>,
}

impl Rooms {
    fn len(&self) -> usize {
        self.slots.last().map_or(0, |slot| slot.end)
    }
}

/// Whether the rows of a product are not divided so finely that preparing the matrix that they meet takes longer.
fn is_worth_it(group: &Group<'_>, divided: &Divided, split: &Split) -> bool {
    let last = split.dims.len() - 1;
    let matrix = group.head.inputs.get(1).and_then(|y| y.values().first());
    group.head.op.name != "matmul"
        || split.rows == split.dims[last]
        || split.rows >= ROWS
        || matrix.and_then(|y| divided.get(y)).is_some_and(|by| by[last].is_some())
}

/// Steps that are done together.
pub(super) struct Together {
    pub(super) kernel: Prepared,
    /// How many bands it goes through.
    pub(super) bands: usize,
    /// What it reads, and the constants of that which it is given as if they were not.
    pub(super) reads: Vec<ValueId>,
    pub(super) given: Vec<ValueId>,
}
