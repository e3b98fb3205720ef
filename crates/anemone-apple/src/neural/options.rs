//! How a call is to be made: quality of service, and the keys of option dictionaries.

use super::statistics::StatisticsMask;
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};

/// The quality of service of a call. All have been seen to run alike; the system may schedule them differently.
///
/// ```
/// use anemone_apple::neural::QualityOfService;
/// assert_eq!(QualityOfService::UserInteractive.value(), 33);
/// assert_eq!(QualityOfService::ALL.map(QualityOfService::value), [9, 17, 21, 25, 33]);
/// assert_eq!(QualityOfService::from_value(21), Some(QualityOfService::Default));
/// assert_eq!(QualityOfService::from_value(7), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QualityOfService {
    /// 9.
    Background,
    /// 17.
    Utility,
    /// 21, which everybody uses.
    #[default]
    Default,
    /// 25.
    UserInitiated,
    /// 33, said to have the least latency.
    UserInteractive,
}

impl QualityOfService {
    /// Every one.
    pub const ALL: [QualityOfService; 5] = [
        QualityOfService::Background,
        QualityOfService::Utility,
        QualityOfService::Default,
        QualityOfService::UserInitiated,
        QualityOfService::UserInteractive,
    ];

    /// The number that messages carry.
    pub const fn value(self) -> u32 {
        match self {
            QualityOfService::Background => 9,
            QualityOfService::Utility => 17,
            QualityOfService::Default => 21,
            QualityOfService::UserInitiated => 25,
            QualityOfService::UserInteractive => 33,
        }
    }

    /// The one with this number; 0 is the default.
    pub fn from_value(value: u32) -> Option<Self> {
        if value == 0 {
            return Some(Self::Default);
        }
        Self::ALL.into_iter().find(|q| q.value() == value)
    }
}

/// How an evaluation is to be made.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::{EvaluateOptions, Request};
/// let options = EvaluateOptions { disable_io_fences_use_shared_events: true, ..EvaluateOptions::default() };
/// let request: &mut Request = &mut request;
/// request.run_with(options)?;
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluateOptions {
    /// Use shared events in place of the fences of the driver: wanted when the GPU waits for the engine.
    pub disable_io_fences_use_shared_events: bool,
    /// Let the firmware of one device signal that of another: wanted when the engine waits for the GPU.
    pub enable_fw_to_fw_signal: bool,
}

impl EvaluateOptions {
    /// The dictionary of the options that are set.
    pub(super) fn dictionary(
        self,
        framework: &Framework,
        statistics: Option<StatisticsMask>,
    ) -> Result<Retained, Error> {
        let yes = foundation::boolean(framework, true)?;
        let mask = foundation::number(framework, statistics.map_or(0, |m| m.bits().into()))?;
        let entries = [
            ("kANEFDisableIOFencesUseSharedEventsKey", self.disable_io_fences_use_shared_events, &yes),
            ("kANEFEnableFWToFWSignal", self.enable_fw_to_fw_signal, &yes),
            (STATISTICS, statistics.is_some(), &mask),
        ];
        let set = entries.into_iter().filter(|&(_, on, _)| on).map(|(key, _, value)| (key, value));
        foundation::dictionary(framework, set)
    }
}

/// The key of the mask of statistics.
const STATISTICS: &str = "kANEFPerformanceStatsMask";

/// The options of a load: the mask of the statistics, if there is one.
pub(super) fn of_statistics(
    framework: &Framework,
    statistics: Option<StatisticsMask>,
) -> Result<Retained, Error> {
    EvaluateOptions::default().dictionary(framework, statistics)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row H27: there and back, and 0 for the default.
    #[test]
    fn numbers_of_qualities_are_known() {
        for q in QualityOfService::ALL {
            assert_eq!(QualityOfService::from_value(q.value()), Some(q));
        }
        assert_eq!(QualityOfService::from_value(0), Some(QualityOfService::Default));
        assert_eq!(QualityOfService::from_value(22), None);
    }
}
