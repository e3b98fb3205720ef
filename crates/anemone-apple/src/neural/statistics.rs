//! What the engine says about an evaluation: how long it took, and counters.

use super::attributes::Procedure;
use super::request::surface_object;
use crate::abi::Id;
use crate::error::Error;
use crate::foundation::{self, Plist};
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;
use crate::surface::Surface;

/// Which statistics are wanted: a mask of four bits.
///
/// A mask of more bits would be taken for 0 without a word, so that there is none.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::StatisticsMask;
/// let mask = StatisticsMask::new(0b0101)?;
/// assert_eq!((mask.bits(), StatisticsMask::ALL.bits()), (5, 15));
/// assert!(StatisticsMask::new(0xff).is_err(), "four bits");
/// assert_eq!(mask.system_driver_bits(&framework)?, mask.driver_bits());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsMask(u32);

impl StatisticsMask {
    /// All four bits.
    pub const ALL: StatisticsMask = StatisticsMask(0xf);

    /// A mask of some of the four bits.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is 0 or larger than 15.
    ///
    /// ```
    /// # use anemone_apple::neural::StatisticsMask;
    /// assert_eq!(StatisticsMask::new(9)?.driver_bits(), 3);
    /// assert!(StatisticsMask::new(0xff).is_err());
    /// # Ok::<(), anemone_apple::Error>(())
    /// ```
    pub fn new(bits: u32) -> Result<Self, Error> {
        if (1..=Self::ALL.0).contains(&bits) {
            return Ok(Self(bits));
        }
        Err(Error::Invalid(format!(
            "a mask of statistics is 1 to 15, not {bits}: the system takes others for 0"
        )))
    }

    /// Its bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The bits that the driver is known to make of it: 0 stays, 3 becomes 1, 1 and 2 become 2 and 3.
    pub fn driver_bits(self) -> u32 {
        (self.0 & 1) | (self.0 >> 2 & 2) | ((self.0 & 6) << 1)
    }

    /// The bits that the driver of this Mac makes of it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS has no statistics.
    pub fn system_driver_bits(self, framework: &Framework) -> Result<u32, Error> {
        framework.require(Feature::PerformanceStats)?;
        let class = framework.class(PERFORMANCE_STATS).id();
        // SAFETY: the class has the message.
        Ok(unsafe { framework.send(DRIVER_MASK_FOR_ANEF_MASK, class, (self.0,)) })
    }
}

/// What the engine says about an evaluation.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Model, QualityOfService, StatisticsMask};
/// # let quality = QualityOfService::Default;
/// # let model = Model::describe(&framework, &FIRST_DISPATCH)?.with_statistics(StatisticsMask::ALL)?;
/// # let model = model.compile(quality)?.load(quality)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::Statistics;
/// Statistics::check(&framework)?; // whether this macOS has any
/// request.run()?;
/// let statistics: Statistics = request.statistics()?.expect("they were asked for");
/// assert!(statistics.nanoseconds.is_some());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How many nanoseconds the engine took; `None` if it does not say.
    pub nanoseconds: Option<u64>,
    /// Its counters; systems that are sold give none.
    pub counters: Vec<Counter>,
    /// The bytes that the counters of the system's object were read from; nothing if it has none.
    pub counter_data: Vec<u8>,
    /// How many entries it wrote, one for each procedure.
    pub entries: usize,
    /// All that it wrote, whatever it means; nothing if it wrote nothing.
    pub raw: Vec<u8>,
    /// What the system itself makes of the counters, in whatever form; systems that are sold give nothing.
    pub reported: Option<Plist>,
}

impl Statistics {
    /// Whether this macOS reads back from its own object of statistics what went into it: what a comparison of
    /// prototypes cannot see.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS has no statistics, [`Error::Unexpected`] when it does not.
    pub fn check(framework: &Framework) -> Result<(), Error> {
        const NANOSECONDS: u64 = 123_456_789;
        framework.require(Feature::PerformanceStats)?;
        let class = framework.class(PERFORMANCE_STATS).id();
        let _pool = framework.pool();
        // SAFETY: a factory gives nil or an autoreleased object, and the pool is open.
        let found = unsafe {
            let made = framework.send(STATS_WITH_NANOSECONDS, class, (NANOSECONDS,));
            let object =
                foundation::made(framework, made, "+[_ANEPerformanceStats statsWithHardwareExecutionNS:]")?;
            framework.send(HW_EXECUTION_TIME, object.id(), ())
        };
        if found != NANOSECONDS {
            return Err(Error::Unexpected {
                message: "-[_ANEPerformanceStats hwExecutionTime]",
                gave: format!("{found} of statistics that were made of {NANOSECONDS}"),
            });
        }
        Ok(())
    }
}

/// A counter of the engine.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Model, QualityOfService, StatisticsMask};
/// # let quality = QualityOfService::Default;
/// # let model = Model::describe(&framework, &FIRST_DISPATCH)?.with_statistics(StatisticsMask::ALL)?;
/// # let model = model.compile(quality)?.load(quality)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::Counter;
/// request.run()?;
/// for Counter { index, name, value } in request.statistics()?.into_iter().flat_map(|s| s.counters) {
///     println!("{index} {}: {value}", name.unwrap_or_default());
/// }
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its place.
    pub index: usize,
    /// Its name, if it is known.
    pub name: Option<String>,
    /// Its value.
    pub value: u64,
}

/// The surface to which statistics are written, in the array that a request takes.
pub(super) struct Gathered {
    pub(super) surface: Surface,
    pub(super) array: Retained,
}

/// Where the time, and where the counters begin in what is written; how many counters there are.
const TIME_AT: usize = 8;
const COUNTERS_AT: usize = 0x18;
const COUNTERS: usize = 27;
/// The bytes with which raw statistics follow; asked for when the model does not say.
const LEAST_BYTES: usize = 0x228;
/// The most bytes that are believed to be needed.
const MOST_BYTES: usize = 1 << 20;
/// The kind of the statistics that a mask of four bits selects. (A fifth bit selects the kind 2.)
const KIND: i64 = 0;
/// The name of a counter that has none, as Apple spells it.
const NAMELESS: &str = "kANE_UKNOWN";

impl Gathered {
    /// Makes the surface, of the size that the function asks for.
    pub(super) fn new(framework: &Framework, function: &Procedure) -> Result<Self, Error> {
        let bytes = function.statistics_bytes.unwrap_or(LEAST_BYTES).clamp(LEAST_BYTES, MOST_BYTES);
        let surface = Surface::new(framework, bytes.next_multiple_of(64))?;
        let object = surface_object(framework, &surface)?;
        let class = framework.class(PERFORMANCE_STATS_IO_SURFACE).id();
        let _pool = framework.pool();
        // SAFETY: a live surface object; the feature was required when the mask was set.
        let statistics = unsafe {
            let made = framework.send(STATS_WITH_IO_SURFACE, class, (object.id(), KIND));
            foundation::made(
                framework,
                made,
                "+[_ANEPerformanceStatsIOSurface objectWithIOSurface:statType:]",
            )?
        };
        Ok(Self { surface, array: foundation::array(framework, [&statistics])? })
    }
}

/// Reads what the last evaluation of a request has left.
pub(super) fn read(
    framework: &Framework,
    request: Id,
    surface: &Surface,
) -> Result<Option<Statistics>, Error> {
    let _pool = framework.pool();
    let mut statistics = Statistics::default();
    // SAFETY: a live request, and what it gives: an array, and an _ANEPerformanceStats, or nil.
    unsafe {
        let array = framework.send(REQUEST_PERF_STATS_ARRAY, request, ());
        let entries = if array.is_nil() { 0 } else { framework.send(ARRAY_COUNT, array, ()) };
        if entries > 0 {
            statistics = parse(&surface.read()?);
            statistics.entries = if statistics.raw.is_empty() { 0 } else { entries as usize };
        }
        let object = framework.send(REQUEST_PERF_STATS, request, ());
        if !object.is_nil() {
            let nanoseconds = framework.send(HW_EXECUTION_TIME, object, ());
            statistics.nanoseconds = (nanoseconds > 0).then_some(nanoseconds).or(statistics.nanoseconds);
            let data = foundation::read_data(framework, framework.send(PERF_COUNTER_DATA, object, ()));
            if !data.is_empty() {
                statistics.counters = counters(&data);
                statistics.counter_data = data;
            }
            let reported = framework.send(PERFORMANCE_COUNTERS, object, ());
            statistics.reported = (!reported.is_nil()).then(|| foundation::read_plist(framework, reported));
            for counter in &mut statistics.counters {
                let index = i32::try_from(counter.index).unwrap_or(i32::MAX);
                let name = framework.send(STRING_FOR_PERF_COUNTER, object, (index,));
                let name = foundation::read_string(framework, name);
                counter.name = (!name.is_empty() && name != NAMELESS).then_some(name);
            }
        }
    }
    Ok((statistics != Statistics::default()).then_some(statistics))
}

/// Reads of what the last evaluation of a request has left only how long it took.
pub(super) fn nanoseconds(
    framework: &Framework,
    request: Id,
    surface: &Surface,
) -> Result<Option<u64>, Error> {
    let _pool = framework.pool();
    // SAFETY: a live request, and what it gives: an array, and an _ANEPerformanceStats, or nil.
    unsafe {
        let object = framework.send(REQUEST_PERF_STATS, request, ());
        if !object.is_nil() {
            let nanoseconds = framework.send(HW_EXECUTION_TIME, object, ());
            if nanoseconds > 0 {
                return Ok(Some(nanoseconds));
            }
        }
        let array = framework.send(REQUEST_PERF_STATS_ARRAY, request, ());
        if array.is_nil() || framework.send(ARRAY_COUNT, array, ()) == 0 {
            return Ok(None);
        }
    }
    Ok(time(&surface.read()?))
}

/// The time in what was written.
fn time(bytes: &[u8]) -> Option<u64> {
    bytes.get(TIME_AT..TIME_AT + 8).map(number).filter(|&t| t > 0)
}

/// Reads what was written: the time is the second number, 27 counters begin at the fourth.
///
/// The sources contradict themselves on how many bytes the counters take; as many are read as there are.
fn parse(bytes: &[u8]) -> Statistics {
    if bytes.iter().all(|&b| b == 0) {
        return Statistics::default();
    }
    let block = bytes.get(COUNTERS_AT..).unwrap_or_default();
    let block = &block[..block.len().min(COUNTERS * 8)];
    let counters = if block.iter().all(|&b| b == 0) { Vec::new() } else { counters(block) };
    Statistics { nanoseconds: time(bytes), counters, raw: bytes.to_vec(), ..Statistics::default() }
}

fn counters(bytes: &[u8]) -> Vec<Counter> {
    let values = bytes.chunks_exact(8).take(256).map(number);
    values.enumerate().map(|(index, value)| Counter { index, name: None, value }).collect()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_far_as_it_goes() {
        let mut bytes = vec![0; 0x228];
        assert_eq!(parse(&bytes), Statistics::default());
        bytes[8..16].copy_from_slice(&77_u64.to_le_bytes());
        let time = parse(&bytes);
        assert_eq!((time.nanoseconds, time.counters.len(), time.raw.len()), (Some(77), 0, 0x228));
        bytes[0x18 + 8 * 26] = 5;
        let all = parse(&bytes);
        assert_eq!((all.counters.len(), all.counters[26].value), (27, 5));
        for size in 1..0x100 {
            bytes[0] = 1;
            let short = parse(&bytes[..size]);
            assert_eq!(short.nanoseconds.is_some(), size >= 16);
            assert!(short.counters.len() <= size / 8);
        }
    }

    #[test]
    fn masks_have_four_bits_and_the_driver_its_own() {
        for bits in [0, 16, 0xff, u32::MAX] {
            assert!(StatisticsMask::new(bits).is_err());
        }
        let driver: Vec<u32> =
            [1, 2, 4, 8, 15].map(|b| StatisticsMask::new(b).unwrap().driver_bits()).to_vec();
        assert_eq!(driver, [1, 4, 8, 2, 15]);
    }
}
