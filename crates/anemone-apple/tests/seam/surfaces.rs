//! Surfaces as other parts of the system find them.

use anemone_apple::{Error, Surface};

use crate::scene::{Scene, get, put};

/// Rows G15, G30: each way gives the same bytes, for as long as somebody has the surface or its port.
#[test]
fn a_surface_is_found_by_its_number_and_by_its_port() {
    let scene = Scene::new();
    let framework = &scene.framework;
    let surface = Surface::new(framework, 100).unwrap();
    put(&surface, 3.0);
    let (id, port) = (surface.id(), surface.port().unwrap());
    // SAFETY: no two guards are alive at a time.
    let found = unsafe { [Surface::lookup(framework, id), Surface::from_port(framework, port.name())] };
    let [by_number, by_port] = found.map(Result::unwrap);
    assert_eq!((by_number.id(), by_port.id()), (id, id));
    put(&by_port, 4.0);
    assert_eq!((get(&surface), get(&by_number)), (4.0, 4.0));
    assert_eq!(by_number.write().unwrap()[..4], 4.0f32.to_le_bytes());
    drop((surface, by_number, by_port));
    // SAFETY: as above.
    let again = unsafe { Surface::from_port(framework, port.name()) }.unwrap();
    assert_eq!(get(&again), 4.0, "the port has it still");
    let name = port.name();
    drop((again, port));
    // SAFETY: nothing is found.
    let gone = unsafe { [Surface::lookup(framework, id), Surface::from_port(framework, name)] };
    assert!(gone.iter().all(|e| matches!(e, Err(Error::Surface(_)))), "{gone:?}");
    scene.end();
}

/// Row G30: memory of the host is mapped by another process, which finds and changes what lies there. The other process is
/// this test once more, with the file of the surface as its standard input.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(miri, ignore = "the interpreter has no processes")]
fn another_process_maps_the_memory_of_a_surface() {
    use std::fs::File;
    use std::os::fd::AsFd;

    const OTHER: &str = "ANEMONE_OTHER_PROCESS";
    if std::env::var_os(OTHER).is_some() {
        let file = File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
        // SAFETY: the first process has no guard while it waits for this one.
        let surface = unsafe { Surface::from_file(file) }.unwrap();
        surface.write().unwrap().iter_mut().for_each(|byte| *byte *= 2);
        return;
    }
    let surface = Surface::host(100).unwrap();
    surface.write().unwrap().iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other
        .args(["--exact", "surfaces::another_process_maps_the_memory_of_a_surface"])
        .env(OTHER, "1")
        .stdin(surface.file().unwrap().try_clone().unwrap());
    let output = other.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let doubled: Vec<u8> = (0..100).map(|i| i * 2).collect();
    assert_eq!(*surface.read().unwrap(), doubled[..]);
}
