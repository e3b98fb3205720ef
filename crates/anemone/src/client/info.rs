//! What a machine says about its engine.

use anemone_apple::neural;

use crate::chip::Chip;
use crate::error::Error;
use crate::surface::frameworks;

/// What a machine says about its engine. What it does not say is `false`, 0 or empty; `telemetry` tells that from a
/// value.
///
/// ```
/// use anemone::{Chip, Client};
/// let client = Client::software(Chip::M1);
/// let info = client.info();
/// assert_eq!((info.has_ane, info.num_cores, info.architecture.as_str()), (false, 16, "h13g"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Whether there is an engine, of hardware.
    pub has_ane: bool,
    /// How many cores it has.
    pub num_cores: u32,
    /// Its architecture, such as `h16g`.
    pub architecture: String,
    /// The system, such as `macOS`; of the software engine `anemone`.
    pub product: String,
    /// The build of the system, such as `25F84`; of the software engine its version.
    pub build_version: String,
    /// Whether the machine is virtual. In such a one the engine cannot be reached.
    pub is_vm: bool,
    /// How many engines there are.
    pub num_anes: u32,
    /// The family, such as `h16`.
    pub sub_type: String,
    /// The number of the board.
    pub board_type: i64,
    /// Whether the system is a build of Apple's own.
    pub internal_build: bool,
}

/// What this machine says about its engine; that there is none, where there is none.
///
/// ```
/// let info = anemone::probe()?;
/// assert_eq!(info.has_ane, anemone::Client::hardware().is_ok());
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::UnsupportedSelector`] when this macOS has changed, so that it cannot be asked.
pub fn probe() -> Result<DeviceInfo, Error> {
    match frameworks() {
        Ok(framework) => Ok(DeviceInfo::of(&neural::DeviceInfo::read(framework))),
        Err(anemone_apple::Error::NoFramework { .. }) => Ok(DeviceInfo::default()),
        Err(e) => Err(Error::from_apple(crate::error::Doing::Load, e.clone())),
    }
}

impl DeviceInfo {
    pub(super) fn of(info: &neural::DeviceInfo) -> Self {
        let info = info.clone();
        Self {
            has_ane: info.has_engine.unwrap_or_default(),
            num_cores: info.cores.unwrap_or_default(),
            architecture: info.architecture.unwrap_or_default(),
            product: info.product.unwrap_or_default(),
            build_version: info.build.unwrap_or_default(),
            is_vm: info.is_virtual_machine.unwrap_or_default(),
            num_anes: info.engines.unwrap_or_default(),
            sub_type: info.sub_type.unwrap_or_default(),
            board_type: info.board.unwrap_or_default(),
            internal_build: info.is_internal_build.unwrap_or_default(),
        }
    }

    /// What the software engine says about itself when it stands for a chip.
    pub(super) fn software(chip: Chip) -> Self {
        let architecture = chip.architecture();
        Self {
            num_cores: chip.cores() * chip.engines(),
            architecture: architecture.into(),
            product: "anemone".into(),
            build_version: env!("CARGO_PKG_VERSION").into(),
            num_anes: chip.engines(),
            sub_type: architecture.trim_end_matches('g').into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row I1: fields that a system does not know are not guessed.
    #[test]
    fn what_is_not_said_is_nothing() {
        let none = neural::DeviceInfo::default();
        assert_eq!(DeviceInfo::of(&none), DeviceInfo::default());
        let some = neural::DeviceInfo {
            has_engine: Some(true),
            cores: Some(16),
            architecture: Some("h16g".into()),
            ..neural::DeviceInfo::default()
        };
        let info = DeviceInfo::of(&some);
        assert_eq!(
            (info.has_ane, info.num_cores, info.architecture.as_str(), info.num_anes),
            (true, 16, "h16g", 0)
        );
    }

    #[test]
    fn the_software_engine_has_no_hardware() {
        let info = DeviceInfo::software(Chip::M6);
        assert_eq!((info.has_ane, info.num_anes, info.num_cores), (false, 2, 32));
        assert_eq!((info.architecture.as_str(), info.sub_type.as_str()), ("h18g", "h18"));
    }
}
