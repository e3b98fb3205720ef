//! What most tests of the seam begin with: a machine, its framework with a log, and a model that adds one to nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anemone_apple::fake::{Fake, Faults, Machine};
use anemone_apple::messages::CLASSES;
use anemone_apple::neural::{Loaded, Model, Package, Program, QualityOfService, Request, StatisticsMask};
use anemone_apple::{Error, Framework, Log, Sent, Surface};

use crate::engine::machine;

/// How long a test waits for what has to come. An interpreter takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 60 });

pub(crate) struct Scene {
    pub(crate) fake: Fake,
    pub(crate) framework: Framework,
    pub(crate) log: Log,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::on(machine(), Faults::default())
    }

    pub(crate) fn on(machine: Machine, faults: Faults) -> Self {
        Self::logged(machine, faults, Log::of(|row| !CLASSES[row.class].name.to_bytes().starts_with(b"NS")))
    }

    /// The same with a log, which otherwise has no messages to Foundation.
    pub(crate) fn logged(machine: Machine, faults: Faults, log: Log) -> Self {
        let fake = Fake::with(machine, faults);
        let framework = fake.open_logged(&log).unwrap();
        Self { fake, framework, log }
    }

    /// The engine's messages since the last call, without those that make surface objects: whole lines of the log.
    pub(crate) fn lines(&self) -> Vec<String> {
        let wanted = |class: &str| {
            class != "_ANEIOSurfaceObject" && (class.starts_with("_ANE") || class == "IOSurfaceSharedEvent")
        };
        let sent = self.log.take();
        sent.iter().filter(|s| wanted(s.row().class_name())).map(Sent::to_string).collect()
    }

    /// The same, as class and selector.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.lines().iter().map(|l| format!("{}]", l.split(']').next().unwrap_or_default())).collect()
    }

    /// A loaded model of MIL text, which is its own by its name.
    pub(crate) fn text(&self, name: &str, functions: &str) -> Loaded {
        let text = format!("# {name}\n{functions}");
        let program = Program { text: &text, weights: &[] };
        Loaded::new(&self.framework, &program, QualityOfService::Default).unwrap()
    }

    /// The same, which gathers statistics.
    pub(crate) fn text_with(
        &self,
        name: &str,
        functions: &str,
        mask: StatisticsMask,
    ) -> Result<Loaded, Error> {
        let text = format!("# {name}\n{functions}");
        let program = Program { text: &text, weights: &[] };
        let quality = QualityOfService::Default;
        Model::describe(&self.framework, &program)?.with_statistics(mask)?.compile(quality)?.load(quality)
    }

    /// A loaded model from a folder.
    pub(crate) fn package(&self, folder: &Folder) -> Result<Loaded, Error> {
        let quality = QualityOfService::Default;
        Package::describe(&self.framework, &folder.0, Package::KEY)?.compile(quality)?.load(quality)
    }

    /// Ends the test: nothing was wrong, and nothing is left. Threads of the driver may need a moment for their last.
    #[track_caller]
    pub(crate) fn end(self) {
        self.end_with(0);
    }

    /// The same, with so many programs that had events, which nobody can unload.
    #[track_caller]
    pub(crate) fn end_with(self, loaded: usize) {
        drop(self.framework);
        self.fake.settle(PATIENCE);
        let mut report = self.fake.finish();
        assert_eq!(std::mem::take(&mut report.loaded), loaded);
        report.check();
    }
}

/// A folder with a model, which is removed when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// An empty folder.
    pub(crate) fn empty(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anemone-seam-{}-{name}.mlmodelc", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A folder with a text.
    pub(crate) fn new(name: &str, functions: &str) -> Self {
        let folder = Self::empty(name);
        std::fs::write(folder.0.join("model.mil"), functions).unwrap();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One function of four numbers: `y` is `x`.
pub(crate) const COPY: &str = "main inputs x:1x1x4 outputs y:1x1x4";

/// A request of [`COPY`] with its surfaces.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) x: Surface,
    pub(crate) y: Surface,
}

impl Job {
    pub(crate) fn new(model: &Loaded) -> Self {
        Self::of(model, "main")
    }

    /// The same of one of several functions.
    pub(crate) fn of(model: &Loaded, function: &str) -> Self {
        let p = model.procedure(function).unwrap();
        let (x, y) = (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.outputs[0]).unwrap());
        let request =
            model.request(function, &[(&p.inputs[0].name, &x)], &[(&p.outputs[0].name, &y)]).unwrap();
        Self { request, x, y }
    }

    pub(crate) fn put(&self, value: f32) {
        put(&self.x, value);
    }

    pub(crate) fn get(&self) -> f32 {
        get(&self.y)
    }
}

/// Writes the first number of a surface.
pub(crate) fn put(surface: &Surface, value: f32) {
    surface.write().unwrap()[..4].copy_from_slice(&value.to_le_bytes());
}

/// Reads the first number of a surface.
pub(crate) fn get(surface: &Surface) -> f32 {
    f32::from_le_bytes(surface.read().unwrap()[..4].try_into().unwrap())
}
