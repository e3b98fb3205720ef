//! Copies from tensor to tensor, without a look at the elements.

use std::ops::Range;

use super::{Port, Surface};
use crate::error::Error;

/// Copies some channels, and of each row in them some columns, to another place in another tensor.
///
/// # Errors
///
/// [`Error::Invalid`] when the elements or heights differ, when a part lies outside of its tensor, or when both tensors
/// lie in one surface; [`Error::Surface`] when a surface is in use.
pub(crate) fn copy(
    (from, source): (&Port, &Surface),
    channels: Range<usize>,
    columns: Range<usize>,
    (to, target): (&Port, &Surface),
    (channel, column): (usize, usize),
) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::Invalid(why));
    if from.dtype != to.dtype {
        return invalid(format!(
            "`{}` has {} elements, and `{}` has {}",
            from.name, from.dtype, to.name, to.dtype
        ));
    }
    let (a, b) = (&from.layout, &to.layout);
    if a.height != b.height {
        return invalid(format!(
            "`{}` has {} rows in a channel, and `{}` has {}",
            from.name, a.height, to.name, b.height
        ));
    }
    within(from, "channels", &channels, a.channels)?;
    within(from, "columns", &columns, a.width)?;
    let behind = |begin: usize, part: &Range<usize>| begin..begin.saturating_add(part.len());
    let (to_channels, to_columns) = (behind(channel, &channels), behind(column, &columns));
    within(to, "channels", &to_channels, b.channels)?;
    within(to, "columns", &to_columns, b.width)?;
    if source == target {
        return invalid(format!(
            "`{}` and `{}` lie in one surface, which cannot be read and written at once",
            from.name, to.name
        ));
    }
    if columns.is_empty() {
        return Ok(());
    }
    let (read, mut written) = (source.lock()?, target.lock_mut()?);
    let row = columns.len() * a.elem_size;
    for (f, t) in a.rows(channels).zip(b.rows(to_channels)) {
        let (f, t) = (f + columns.start * a.elem_size, t + column * b.elem_size);
        written[t..t + row].copy_from_slice(&read[f..f + row]);
    }
    Ok(())
}

/// Whether a part lies within a tensor.
pub(crate) fn within(port: &Port, what: &str, part: &Range<usize>, all: usize) -> Result<(), Error> {
    if part.start <= part.end && part.end <= all {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "`{}` has {all} {what}, and {} to {} were asked for",
        port.name, part.start, part.end
    )))
}
