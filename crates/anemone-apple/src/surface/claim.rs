//! Surfaces of evaluations that are to begin later, on the CPU: kept from everybody else until then.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;

use super::{ALONE, CLAIMED, READ_ONLY, Surface};
use crate::error::Error;

/// A surface that an evaluation on the CPU is to have when its turn comes. Until this is dropped nobody can lock it, nor
/// the engine have it; further claims are for evaluations before and after, in an order that others keep.
///
/// ```
/// use anemone_apple::Surface;
/// let surface = Surface::host(64)?;
/// let (first, second) = (surface.claim()?, surface.claim()?);
/// assert!(surface.read().is_err());
/// first.write()?[0] = 7;
/// assert_eq!(second.read()?[0], 7);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Claim(Surface);

impl Surface {
    /// Claims the surface.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when a reader, a writer or an evaluation of the engine has it.
    pub fn claim(&self) -> Result<Claim, Error> {
        self.take(|uses| match uses {
            0 => Some(CLAIMED),
            u if ALONE + 1 < u && u <= CLAIMED => Some(u - 1),
            _ => None,
        })?;
        Ok(Claim(self.clone()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Claim {
    /// Locks the surface to read it, among those who have claims.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when one of them writes it, or when the lock fails.
    pub fn read(&self) -> Result<ClaimRead<'_>, Error> {
        self.turn(|turns| turns.checked_add(1).filter(|_| turns >= 0))?;
        self.0.lock(READ_ONLY).inspect_err(|_| self.end_read())?;
        Ok(ClaimRead(self))
    }

    /// Locks the surface to read and write it, among those who have claims.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when one of them reads or writes it, or when the lock fails.
    pub fn write(&self) -> Result<ClaimWrite<'_>, Error> {
        self.turn(|turns| (turns == 0).then_some(-1))?;
        self.0.lock(0).inspect_err(|_| self.end_write())?;
        Ok(ClaimWrite(self))
    }

    fn turn(&self, next: impl FnMut(i32) -> Option<i32>) -> Result<(), Error> {
        let turn = self.0.inner.turns.fetch_update(Ordering::Acquire, Ordering::Relaxed, next);
        turn.map(drop).map_err(|_| {
            Error::Surface(
                "two evaluations use the surface at once: events have to keep them in order".into(),
            )
        })
    }

    fn end_read(&self) {
        self.0.inner.turns.fetch_sub(1, Ordering::Release);
    }

    fn end_write(&self) {
        self.0.inner.turns.store(0, Ordering::Release);
    }
}

/// The bytes of a surface that is claimed and locked to be read.
///
/// ```
/// use anemone_apple::{Claim, ClaimRead, Surface};
/// let claim: Claim = Surface::host(64)?.claim()?;
/// let bytes: ClaimRead<'_> = claim.read()?;
/// assert_eq!(bytes[0], 0);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct ClaimRead<'a>(&'a Claim);

impl Deref for ClaimRead<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let surface = &self.0.0;
        // SAFETY: the surface has `size` bytes at its base address, which stay while the claim has it. Only those who have
        // claims have slices of them, and none of them writes while there are readers.
        unsafe { std::slice::from_raw_parts(surface.address(), surface.size()) }
    }
}

impl Drop for ClaimRead<'_> {
    fn drop(&mut self) {
        self.0.0.unlock(READ_ONLY);
        self.0.end_read();
    }
}

/// The bytes of a surface that is claimed and locked to be written.
///
/// ```
/// use anemone_apple::{Claim, ClaimWrite, Surface};
/// let surface = Surface::host(64)?;
/// let claim: Claim = surface.claim()?;
/// let mut bytes: ClaimWrite<'_> = claim.write()?;
/// bytes[0] = 3;
/// drop(bytes);
/// drop(claim);
/// assert_eq!(surface.read()?[0], 3);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct ClaimWrite<'a>(&'a Claim);

impl Deref for ClaimWrite<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let surface = &self.0.0;
        // SAFETY: as for a reader; the writer is alone.
        unsafe { std::slice::from_raw_parts(surface.address(), surface.size()) }
    }
}

impl DerefMut for ClaimWrite<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let surface = &self.0.0;
        // SAFETY: as for a reader; while there is a writer nobody else has a slice.
        unsafe { std::slice::from_raw_parts_mut(surface.address(), surface.size()) }
    }
}

impl Drop for ClaimWrite<'_> {
    fn drop(&mut self) {
        self.0.0.unlock(0);
        self.0.end_write();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Rows G18, T12: claims keep everybody else away, and have one writer or many readers among themselves.
    #[test]
    fn claims_are_shared_and_their_locks_are_not() {
        let surface = Surface::host(64).unwrap();
        let lock = surface.read().unwrap();
        assert!(surface.claim().is_err());
        drop(lock);
        let (one, two) = (surface.claim().unwrap(), surface.claim().unwrap());
        assert!(surface.read().is_err() && surface.write().is_err());
        for share in [crate::surface::Share::Shared, crate::surface::Share::Alone] {
            assert!(surface.dispatch(share).is_err());
        }
        one.write().unwrap()[3] = 9;
        {
            let (a, b) = (one.read().unwrap(), two.read().unwrap());
            assert_eq!((a[3], b[3]), (9, 9));
            assert!(one.write().is_err() && two.write().is_err());
        }
        {
            let _writer = two.write().unwrap();
            let e = one.read().unwrap_err().to_string();
            assert!(e.contains("events have to keep them in order"), "{e}");
        }
        drop(one);
        assert!(surface.read().is_err());
        drop(two);
        assert_eq!(surface.write().unwrap()[3], 9);
        surface.dispatch(crate::surface::Share::Shared).unwrap();
        assert!(surface.claim().is_err());
        surface.finish();
        assert!(surface.claim().is_ok());
    }
}
