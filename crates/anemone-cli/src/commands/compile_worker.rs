//! `anemone compile-worker`, hidden: the process that compiles for another one, so that the other one's budget of
//! compilations is not spent. See [`anemone_apple::worker`].

use anemone_apple::{Framework, worker};

use crate::failure::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    let world = |e: anemone_apple::Error| Failure::world(e.to_string());
    let framework = Framework::open().map_err(world)?;
    worker::serve(&framework, std::io::stdin().lock(), std::io::stdout().lock()).map_err(world)
}
