//! The kernels that there are, by number.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anemone::{Client, CompileOptions, Error, Model, TensorLayout, WeightFile};

use crate::failure::Failure;

/// Everything that C has asked for.
struct World {
    client: Option<Client>,
    kernels: BTreeMap<usize, Arc<Mutex<Model>>>,
    /// The number of the next kernel: none is used twice.
    next: usize,
}

static WORLD: Mutex<World> = Mutex::new(World { client: None, kernels: BTreeMap::new(), next: 1 });

fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn init() -> Result<(), Failure> {
    let mut world = world();
    if world.client.is_none() {
        world.client = Some(Client::open()?);
    }
    Ok(())
}

pub(crate) fn compile(text: &str, files: &[(&str, &[u8])]) -> Result<usize, Failure> {
    let client = world().client.clone().ok_or_else(Failure::not_initialized)?;
    let file = |(path, blob): &(&str, &[u8])| WeightFile { path: path.to_string(), blob: blob.to_vec() };
    let options = CompileOptions {
        mil_text: text.into(),
        weight_files: files.iter().map(file).collect(),
        ..CompileOptions::default()
    };
    let model = client.compile(options)?;
    let mut world = world();
    let number = world.next;
    world.next += 1;
    world.kernels.insert(number, Arc::new(Mutex::new(model)));
    Ok(number)
}

fn unknown() -> Failure {
    Failure::argument("the kernel is none: it was freed, or never compiled".into())
}

/// Lends a kernel to a function. Others wait for their turn.
pub(crate) fn with<R>(
    number: usize,
    what: impl FnOnce(&mut Model) -> Result<R, Error>,
) -> Result<R, Failure> {
    let kernel = world().kernels.get(&number).cloned().ok_or_else(unknown)?;
    let mut model = kernel.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(what(&mut model)?)
}

pub(crate) fn run(number: usize) -> Result<(), Failure> {
    with(number, Model::eval)
}

pub(crate) fn free(number: usize) -> Result<(), Failure> {
    let kernel = world().kernels.remove(&number).ok_or_else(unknown)?;
    // What another thread does with it ends first.
    drop(kernel.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

pub(crate) fn write(number: usize, input: usize, bytes: &[u8]) -> Result<(), Failure> {
    with(number, |model| {
        let layout = model.input_layout(input)?;
        length("input", input, &layout, bytes.len())?;
        model.with_locked_input(input, |surface| {
            for (at, row) in rows(&layout).zip(bytes.chunks_exact(layout.width * layout.elem_size)) {
                surface[at..at + row.len()].copy_from_slice(row);
            }
        })
    })
}

pub(crate) fn read(number: usize, output: usize, bytes: &mut [MaybeUninit<u8>]) -> Result<(), Failure> {
    with(number, |model| {
        let layout = model.output_layout(output)?;
        length("output", output, &layout, bytes.len())?;
        model.with_locked_output(output, |surface| {
            for (at, row) in rows(&layout).zip(bytes.chunks_exact_mut(layout.width * layout.elem_size)) {
                row.write_copy_of_slice(&surface[at..at + row.len()]);
            }
        })
    })
}

pub(crate) fn read_f32(number: usize, output: usize, values: &mut [MaybeUninit<f32>]) -> Result<(), Failure> {
    let read = with(number, |model| {
        let elements = model.output_layout(output)?.logical_elements();
        if values.len() != elements {
            let what = format!("output {output}, in elements,");
            return Err(Error::Length { what, expected: elements, found: values.len() });
        }
        let mut read = vec![0.0; elements];
        model.read_output_f32(output, &mut read)?;
        Ok(read)
    })?;
    values.write_copy_of_slice(&read);
    Ok(())
}

fn length(what: &str, index: usize, layout: &TensorLayout, found: usize) -> Result<(), Error> {
    let expected = layout.logical_bytes();
    if found == expected {
        return Ok(());
    }
    Err(Error::Length { what: format!("{what} {index}, in bytes,"), expected, found })
}

/// Where the rows of a tensor begin in its surface.
fn rows(layout: &TensorLayout) -> impl Iterator<Item = usize> + use<> {
    let layout = *layout;
    (0..layout.channels).flat_map(move |c| (0..layout.height).map(move |h| layout.offset(c, h, 0)))
}
