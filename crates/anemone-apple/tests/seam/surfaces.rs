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
