//! What the machine, the client and the cache are.

use std::fmt;
use std::path::PathBuf;

use anemone_apple::neural;
use serde::Serialize;

use super::{line, metric, report, several};
use crate::client::{Client, MetricSink};

/// What the machine says of its engine: [`DeviceInfo`](crate::DeviceInfo), where what is not said is `None`.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let client = Client::software(Chip::M4);
/// let device = telemetry::snapshot(&client).device;
/// assert_eq!((device.num_cores, device.architecture.as_deref()), (Some(16), Some("h16g")));
/// ```
///
/// ```
/// use anemone::telemetry::DeviceSnapshot;
/// assert!(!DeviceSnapshot::default().available(), "nothing is known");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceSnapshot {
    /// Whether there is an engine, of hardware.
    pub has_ane: Option<bool>,
    /// How many cores it has.
    pub num_cores: Option<u32>,
    /// Its architecture, such as `h16g`.
    pub architecture: Option<String>,
    /// The system, such as `macOS`; of the software engine `anemone`.
    pub product: Option<String>,
    /// The build of the system; of the software engine its version.
    pub build_version: Option<String>,
    /// Whether the machine is virtual.
    pub is_vm: Option<bool>,
    /// How many engines there are.
    pub num_anes: Option<u32>,
    /// The family, such as `h16`.
    pub sub_type: Option<String>,
    /// The number of the board.
    pub board_type: Option<i64>,
    /// Whether the system is a build of Apple's own.
    pub internal_build: Option<bool>,
}

/// What the client's side of the engine is: in a virtual machine that of its host.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let client = Client::software(Chip::M4);
/// let info = telemetry::probe_client_info(&client);
/// println!("{info}");
/// ```
///
/// ```
/// use anemone::telemetry::ClientInfo;
/// assert!(!ClientInfo::default().available(), "nothing is known");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientInfo {
    /// How many engines there are.
    pub num_anes: Option<u32>,
    /// How many cores they have.
    pub num_cores: Option<u32>,
    /// The architecture, such as `h16g`.
    pub architecture_str: Option<String>,
    /// The number of the board.
    pub board_type: Option<i64>,
    /// What a guest and its host can both do, a bit each.
    pub capability_mask: Option<u64>,
    /// The version of the form in which guest and host send each other data.
    pub data_interface_version: Option<u64>,
    /// Whether the host takes programs that are compiled already.
    pub precompiled_binary_supported: Option<bool>,
}

/// Where compiled programs are kept.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let client = Client::software(Chip::M4);
/// assert_eq!(telemetry::probe_cache_info(&client).cache_dir, None); // the software engine keeps no files
/// ```
///
/// ```
/// use anemone::telemetry::CacheInfo;
/// assert!(!CacheInfo::default().available(), "nothing is known");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheInfo {
    /// The folder of the system's cache. The daemon alone can read it.
    pub cache_dir: Option<PathBuf>,
}

/// All that is known of machine, client and cache at some time.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let snapshot = telemetry::snapshot(&Client::software(Chip::M1));
/// assert_eq!(snapshot.to_string(), format!("16 cores, h13g, anemone {}", env!("CARGO_PKG_VERSION")));
/// ```
///
/// ```
/// # struct Units(Vec<String>);
/// # impl anemone::MetricSink for Units {
/// #     fn report_metric(&mut self, _: f64, unit: &str) {
/// #         self.0.push(unit.into());
/// #     }
/// # }
/// # let mut units = Units(Vec::new());
///
/// use anemone::telemetry::ClientSnapshot;
/// let nothing = ClientSnapshot::default();
/// nothing.report_metrics(&mut units); // of any benchmark
/// assert!(!nothing.available() && units.0.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientSnapshot {
    /// The machine.
    pub device: DeviceSnapshot,
    /// The client.
    pub client: ClientInfo,
    /// The cache.
    pub cache: CacheInfo,
}

/// Asks what the client's side of the engine is.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let client = Client::software(Chip::M4);
/// assert_eq!(telemetry::probe_client_info(&client).num_cores, Some(16));
/// ```
pub fn probe_client_info(client: &Client) -> ClientInfo {
    if let Some(host) = client.framework().and_then(|f| neural::HostInfo::read(f).ok()) {
        return ClientInfo {
            num_anes: host.engines,
            num_cores: host.cores,
            architecture_str: host.architecture,
            board_type: host.board,
            capability_mask: host.capabilities,
            data_interface_version: host.data_interface.map(u64::from),
            precompiled_binary_supported: host.takes_precompiled,
        };
    }
    let device = device(client);
    ClientInfo {
        num_anes: device.num_anes,
        num_cores: device.num_cores,
        architecture_str: device.architecture,
        board_type: device.board_type,
        ..ClientInfo::default()
    }
}

/// Asks where compiled programs are kept. The software engine keeps none.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let client = Client::software(Chip::M4);
/// assert_eq!(telemetry::probe_cache_info(&client), telemetry::CacheInfo::default());
/// ```
pub fn probe_cache_info(client: &Client) -> CacheInfo {
    let folder = client.framework().and_then(|f| neural::Cache::new(f).ok()).and_then(|c| c.folder());
    CacheInfo { cache_dir: folder.map(PathBuf::from) }
}

/// Asks for all that is known of machine, client and cache.
///
/// ```
/// use anemone::{Chip, Client, telemetry};
/// let client = Client::software(Chip::M4);
/// let json = serde_json::to_string(&telemetry::snapshot(&client)).unwrap();
/// assert!(json.contains("\"num_cores\":16"), "{json}");
/// ```
pub fn snapshot(client: &Client) -> ClientSnapshot {
    ClientSnapshot {
        device: device(client),
        client: probe_client_info(client),
        cache: probe_cache_info(client),
    }
}

fn device(client: &Client) -> DeviceSnapshot {
    match client.framework() {
        Some(framework) => {
            let told = neural::DeviceInfo::read(framework);
            DeviceSnapshot {
                has_ane: told.has_engine,
                num_cores: told.cores,
                architecture: told.architecture,
                product: told.product,
                build_version: told.build,
                is_vm: told.is_virtual_machine,
                num_anes: told.engines,
                sub_type: told.sub_type,
                board_type: told.board,
                internal_build: told.is_internal_build,
            }
        }
        // The software engine stands for a chip, and not for a Mac around it.
        None => {
            let info = client.info().clone();
            DeviceSnapshot {
                has_ane: Some(info.has_ane),
                num_cores: Some(info.num_cores),
                architecture: Some(info.architecture),
                product: Some(info.product),
                build_version: Some(info.build_version),
                num_anes: Some(info.num_anes),
                sub_type: Some(info.sub_type),
                ..DeviceSnapshot::default()
            }
        }
    }
}

impl DeviceSnapshot {
    /// Whether anything is known.
    pub fn available(&self) -> bool {
        *self != Self::default()
    }
}

impl ClientInfo {
    /// Whether anything is known.
    pub fn available(&self) -> bool {
        *self != Self::default()
    }
}

impl CacheInfo {
    /// Whether the folder is known.
    pub fn available(&self) -> bool {
        self.cache_dir.is_some()
    }
}

impl ClientSnapshot {
    /// Whether anything is known.
    pub fn available(&self) -> bool {
        self.device.available() || self.client.available() || self.cache.available()
    }

    /// Reports what is known: `ane-cores`, `ane-count`, `ane-board-type`, `ane-client-cores`, `ane-capability-mask`,
    /// `ane-data-interface-version`; and 1 for what holds: `ane-is-vm`, `ane-internal-build`,
    /// `ane-precompiled-binary-supported`, `ane-cache-available`.
    pub fn report_metrics(&self, sink: &mut dyn MetricSink) {
        let holds = |b: Option<bool>| b.filter(|b| *b).map(|_| 1.0);
        let (device, client) = (&self.device, &self.client);
        report(sink, device.num_cores, "ane-cores");
        report(sink, device.num_anes, "ane-count");
        report(sink, device.board_type.map(|n| n as f64), "ane-board-type");
        report(sink, holds(device.is_vm), "ane-is-vm");
        report(sink, holds(device.internal_build), "ane-internal-build");
        report(sink, client.num_cores, "ane-client-cores");
        report(sink, client.capability_mask.map(metric), "ane-capability-mask");
        report(sink, client.data_interface_version.map(metric), "ane-data-interface-version");
        report(sink, holds(client.precompiled_binary_supported), "ane-precompiled-binary-supported");
        report(sink, self.cache.available().then_some(1.0), "ane-cache-available");
    }
}

impl fmt::Display for DeviceSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.parts(), "nothing known")
    }
}

impl DeviceSnapshot {
    fn parts(&self) -> [Option<String>; 5] {
        let system = [&self.product, &self.build_version].into_iter().flatten().cloned();
        let system = system.collect::<Vec<_>>().join(" ");
        [
            self.num_cores.map(|n| several(n.into(), "core")),
            self.num_anes.filter(|&n| n != 1).map(|n| several(n.into(), "engine")),
            self.architecture.clone(),
            (!system.is_empty()).then_some(system),
            self.is_vm.filter(|vm| *vm).map(|_| "a virtual machine".into()),
        ]
    }
}

impl fmt::Display for ClientInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.num_cores.map(|n| several(n.into(), "core")),
            self.num_anes.filter(|&n| n != 1).map(|n| several(n.into(), "engine")),
            self.architecture_str.clone(),
            self.capability_mask.map(capabilities),
        ];
        line(f, &parts, "nothing known")
    }
}

impl fmt::Display for CacheInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &[self.part()], "nothing known")
    }
}

impl CacheInfo {
    fn part(&self) -> Option<String> {
        self.cache_dir.as_ref().map(|c| format!("cache {}", c.display()))
    }
}

impl fmt::Display for ClientSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = [self.client.capability_mask.map(capabilities), self.cache.part()];
        let parts: Vec<_> = self.device.parts().into_iter().chain(rest).collect();
        line(f, &parts, "nothing known")
    }
}

fn capabilities(mask: u64) -> String {
    format!("capabilities {mask:#x}")
}
