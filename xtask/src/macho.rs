//! What a Mach-O executable says of itself, as far as [`macos`](crate::macos) asks.

/// `MH_MAGIC_64`, little-endian.
const MAGIC: u32 = 0xfeed_facf;
/// `CPU_TYPE_ARM64`.
const ARM64: u32 = 0x0100_000c;
/// `MH_EXECUTE`.
const EXECUTE: u32 = 2;
/// The commands that name a library: `LC_LOAD_DYLIB`, and its weak, re-exporting, lazy and upward kinds.
const LIBRARIES: [u32; 5] = [0xc, 0x8000_0018, 0x8000_001f, 0x20, 0x8000_0023];
/// `LC_CODE_SIGNATURE`.
const SIGNATURE: u32 = 0x1d;
/// `LC_BUILD_VERSION`.
const BUILD_VERSION: u32 = 0x32;
/// `PLATFORM_MACOS`.
const MACOS: u32 = 1;

/// An executable for Macs with Apple silicon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// The install names of the libraries that the loader opens before `main`.
    pub(crate) libraries: Vec<String>,
    /// The oldest macOS that starts it.
    pub(crate) oldest: String,
    /// Whether it has a code signature, without which such a Mac starts nothing.
    pub(crate) signed: bool,
}

/// Reads the load commands.
pub(crate) fn read(bytes: &[u8]) -> Result<Executable, String> {
    let header = [0, 4, 12, 16].map(|at| word(bytes, at));
    let [Some(MAGIC), Some(ARM64), Some(EXECUTE), Some(commands)] = header else {
        return Err("it is no Mach-O executable for arm64".into());
    };
    let (mut libraries, mut oldest, mut signed) = (Vec::new(), None, false);
    let mut at = 32;
    for _ in 0..commands {
        let command = command(bytes, at).ok_or_else(|| format!("the load command at {at} is cut off"))?;
        match word(command, 0) {
            Some(kind) if LIBRARIES.contains(&kind) => {
                let name = word(command, 8).and_then(|start| command.get(start as usize..));
                let name = name.and_then(|n| n.split(|&b| b == 0).next()).unwrap_or_default();
                libraries.push(String::from_utf8_lossy(name).into_owned());
            }
            Some(SIGNATURE) => signed = true,
            Some(BUILD_VERSION) if word(command, 8) == Some(MACOS) => {
                oldest = word(command, 12).map(|v| format!("{}.{}", v >> 16, v >> 8 & 0xff));
            }
            _ => {}
        }
        at += command.len();
    }
    let oldest = oldest.ok_or("it does not say for which macOS it is")?;
    Ok(Executable { libraries, oldest, signed })
}

/// The load command that starts here.
fn command(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let size = word(rest, 4)? as usize;
    if size < 8 { None } else { rest.get(..size) }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(commands: &[&[u32]]) -> Vec<u8> {
        let size: usize = commands.iter().map(|c| 4 * c.len()).sum();
        let header = [MAGIC, ARM64, 0, EXECUTE, commands.len() as u32, size as u32, 0, 0];
        header.iter().chain(commands.iter().copied().flatten()).flat_map(|w| w.to_le_bytes()).collect()
    }

    #[test]
    fn load_commands_are_read() {
        let name = [u32::from_le_bytes(*b"/a/b"), 0];
        let library = |kind| [kind, 32, 24, 0, 0, 0, name[0], name[1]];
        let (hard, weak) = (library(0xc), library(0x8000_0018));
        let bytes =
            file(&[&hard, &[BUILD_VERSION, 24, MACOS, 11 << 16 | 3 << 8, 0, 0], &weak, &[0x1d, 16, 0, 0]]);
        let libraries = vec!["/a/b".to_owned(); 2];
        assert_eq!(read(&bytes), Ok(Executable { libraries, oldest: "11.3".into(), signed: true }));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let bytes = file(&[&[BUILD_VERSION, 24, MACOS, 11 << 16, 0, 0], &[0x1d, 16, 0, 0]]);
        for n in 0..bytes.len() {
            assert!(read(&bytes[..n]).is_err(), "{n}");
        }
        assert!(read(&file(&[&[0x1d, 0]])).is_err(), "a command without an end");
    }
}
