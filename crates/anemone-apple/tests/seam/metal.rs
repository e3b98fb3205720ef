//! Events that Metal and the engine share.

use std::time::Duration;

use anemone_apple::fake::{Faults, Machine};
use anemone_apple::neural::SharedEvent;
use anemone_apple::{Error, MetalDevice, Surface};

use crate::engine::machine;
use crate::scene::Scene;

/// Rows J2, J11, J14: one event, as Metal has it and as the engine has it, whoever has made it.
#[test]
fn an_event_is_one_for_both() {
    let scene = Scene::new();
    let device = MetalDevice::open(&scene.framework).unwrap();
    assert!(!device.as_ptr().is_null());
    let of_metal = device.new_event().unwrap();
    let event = SharedEvent::from_port(&scene.framework, of_metal.port().unwrap()).unwrap();
    of_metal.signal(3).unwrap();
    assert_eq!(event.value(), 3);
    drop((of_metal, event));

    let event = SharedEvent::new(&scene.framework).unwrap();
    let of_metal = device.open_event(&event).unwrap();
    event.signal(5).unwrap();
    assert_eq!(of_metal.value().unwrap(), 5);
    of_metal.signal(6).unwrap();
    assert!(event.wait(6, Duration::ZERO));
    assert!(!of_metal.as_ptr().is_null());
    drop((device, of_metal, event));
    scene.end();
}

/// Rows G27, J14: the GPU has the bytes of a surface where they are, and keeps them.
#[test]
fn a_buffer_is_the_memory_of_a_surface() {
    let scene = Scene::new();
    let device = MetalDevice::open(&scene.framework).unwrap();
    // More than a page.
    let surface = Surface::new(&scene.framework, 20_000).unwrap();
    let buffer = device.buffer(&surface).unwrap();
    assert!(!buffer.as_ptr().is_null() && *buffer.surface() == surface);
    surface.write().unwrap()[19_999] = 7;
    let bytes = buffer.contents().unwrap().cast::<u8>();
    // SAFETY: nobody has the surface locked, which the buffer keeps.
    let last = unsafe {
        bytes.write(5);
        bytes.add(19_999).read()
    };
    assert_eq!((last, surface.read().unwrap()[0]), (7, 5));
    drop(surface);
    // SAFETY: as above.
    assert_eq!(unsafe { bytes.read() }, 5);

    let whole = buffer.surface().clone();
    let held = whole.write().unwrap();
    assert!(matches!(device.buffer(&whole), Err(Error::Surface(_))), "it is in use");
    drop(held);
    for none in [whole.from_byte(64).unwrap(), Surface::host(64).unwrap()] {
        assert!(matches!(device.buffer(&none), Err(Error::Surface(_))), "{none:?}");
    }
    drop((device, buffer, whole));
    scene.end();
}

/// Row J11: a machine without a GPU that Metal knows.
#[test]
fn there_may_be_no_device() {
    let scene = Scene::on(Machine { has_gpu: false, ..machine() }, Faults::default());
    assert!(MetalDevice::open(&scene.framework).is_none());
    scene.end();
}

/// Rows J11, T2: a message that an object's class has not, or has otherwise, is not sent.
#[test]
fn messages_of_protocols_are_compared_when_they_are_sent() {
    let tables = machine().tables;
    let without = tables.clone().without("-[AGXFakeDevice newSharedEventWithMachPort:]");
    let scene = Scene::on(Machine { tables: without, ..machine() }, Faults::default());
    let device = MetalDevice::open(&scene.framework).unwrap();
    let event = SharedEvent::new(&scene.framework).unwrap();
    let e = device.open_event(&event).unwrap_err();
    assert!(matches!(&e, Error::Drift { message, found: None, .. } if message.contains("MachPort")), "{e}");
    device.new_event().unwrap();
    drop((device, event));
    scene.end();

    let changed = tables.with("-[AGXFakeSharedEvent eventPort]", c"Q@:");
    let scene = Scene::on(Machine { tables: changed, ..machine() }, Faults::default());
    let event = MetalDevice::open(&scene.framework).unwrap().new_event().unwrap();
    let e = event.port().unwrap_err();
    assert!(matches!(&e, Error::Drift { found: Some(found), .. } if found == "Q@:"), "{e}");
    drop(event);
    scene.end();
}
