//! The programs of a product: one of full width, or several of some columns each.

use super::Options;
use crate::client::Client;
use crate::client::kernel::{Kernel, RowProgram};
use crate::error::Error;
use crate::mil::generate;

/// The widths that are tried, from the widest on, when the engine refuses the full one.
const WIDTHS: [usize; 5] = [512, 256, 128, 64, 32];

/// Some columns of the weights, with their program and its surfaces.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) first: usize,
    pub(super) width: usize,
    pub(super) kernel: Kernel,
}

impl Tile {
    /// Some numbers of a channel of the input, as bits.
    pub(super) fn row_mut<'a>(
        &self,
        surface: &'a mut [u8],
        channel: usize,
        place: usize,
        count: usize,
    ) -> &'a mut [u16] {
        let at = self.kernel.input_layout().offset(channel, 0, place);
        bytemuck::cast_slice_mut(&mut surface[at..at + 2 * count])
    }

    /// The numbers of a channel of the output, as bits.
    pub(super) fn output_row<'a>(&self, surface: &'a [u8], channel: usize, count: usize) -> &'a [u16] {
        let at = self.kernel.output_layout().offset(channel, 0, 0);
        bytemuck::cast_slice(&surface[at..at + 2 * count])
    }
}

/// Compiles a product of `[batch, inputs]` and `[inputs, outputs]`.
pub(super) fn compile(client: &Client, shape: [usize; 3], options: Options) -> Result<Vec<Tile>, Error> {
    let outputs = shape[2];
    if options.tile_out > 0 {
        return tiled(client, shape, options.tile_out, options.qos);
    }
    tiled(client, shape, outputs, options.qos).or_else(|full| {
        if !may_be_narrower(&full) {
            return Err(full);
        }
        for width in WIDTHS.into_iter().filter(|&w| w < outputs) {
            match tiled(client, shape, width, options.qos) {
                Err(e) if may_be_narrower(&e) => {}
                done => return done,
            }
        }
        Err(full)
    })
}

/// Whether a narrower program may be taken where this one was refused.
fn may_be_narrower(error: &Error) -> bool {
    matches!(
        error,
        Error::Compile(_) | Error::ModelLoad(_) | Error::UnsupportedLayout { .. } | Error::Surface(_)
    )
}

/// Compiles a program for tiles of this width, and one for the rest.
fn tiled(
    client: &Client,
    [batch, inputs, outputs]: [usize; 3],
    width: usize,
    qos: u32,
) -> Result<Vec<Tile>, Error> {
    let mut tiles: Vec<Tile> = Vec::new();
    let mut program: Option<(usize, RowProgram)> = None;
    let mut first = 0;
    while first < outputs {
        let width = width.min(outputs - first);
        let loaded = match program.take() {
            Some((of, program)) if of == width => program,
            _ => RowProgram::new(client, generate::dynamic_matmul(inputs, width, batch)?, qos)?,
        };
        tiles.push(Tile { first, width, kernel: loaded.kernel()? });
        program = Some((width, loaded));
        first += width;
    }
    Ok(tiles)
}
