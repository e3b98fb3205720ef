//! The ways to the daemon, and to the host of a virtual machine.

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::{Cache, ClientInfo, HostInfo};
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Job, Scene};

const PRIVATE: &str = "+[_ANEClient sharedPrivateConnection]";
const ECHO: &str = "-[_ANEClient echo:]";
const SHARED: &str = "+[_ANEClient sharedConnection]";
const ALLOC: &str = "+[_ANEClient alloc]";
const INIT: &str = "-[_ANEClient initWithRestrictedAccessAllowed:]";
const NEW: &str = "+[_ANEClient new]";

/// Rows H17, U1: the private connection, the shared one, one of our own; each when the one before is not there.
#[test]
fn connections_are_tried_in_order_and_once() {
    let none = Faults::default();
    let mute = Faults { mute_private_client: true, ..none.clone() };
    let no_shared = Faults { no_shared_client: true, ..none.clone() };
    let cases = [
        (true, none.clone(), &[PRIVATE, ECHO][..], true),
        (false, none, &[PRIVATE, SHARED], false),
        // A private connection that the daemon does not talk to is none.
        (false, mute, &[PRIVATE, ECHO, SHARED], false),
        (false, no_shared, &[PRIVATE, SHARED, ALLOC, INIT], true),
    ];
    // An interpreter has time for the client that is ours to release.
    let first = if cfg!(miri) { cases.len() - 1 } else { 0 };
    for (entitled, faults, tried, restricted) in cases.into_iter().skip(first) {
        let scene = Scene::on(Machine { entitled, ..machine() }, faults);
        let mut job = Job::new(&scene.text("connections", COPY));
        scene.sent();
        job.request.run_direct().unwrap();
        let sent = scene.sent();
        assert_eq!(sent[..sent.len() - 1], *tried);
        job.request.run_direct().unwrap();
        assert_eq!(scene.sent().len(), 1, "the client is asked for once");
        let info = ClientInfo::read(&scene.framework).unwrap();
        assert_eq!((info.is_restricted, info.answers), (Some(restricted), Some(true)));
        drop(job);
        scene.end();
    }
}

/// Rows H17, T2: without any client there is an error, and not a message to nil.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn without_a_client_there_is_an_error() {
    let faults = Faults { no_shared_client: true, no_own_client: true, ..Faults::default() };
    let scene = Scene::on(machine(), faults);
    let e = ClientInfo::read(&scene.framework).unwrap_err();
    assert!(matches!(&e, Error::Unexpected { gave, .. } if gave == "nil"), "{e}");
    assert_eq!(scene.sent(), [PRIVATE, SHARED, ALLOC, INIT, NEW]);
    // What goes through the model needs none.
    let mut job = Job::new(&scene.text("no client", COPY));
    job.request.run().unwrap();
    assert!(job.request.run_direct().is_err());
    drop(job);
    scene.end();
}

/// Rows H17, T10: where the others are missing the shared connection is taken at once.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_with_the_shared_connection_only_is_enough() {
    let tables = Tables::newest()
        .only("+[_ANEClient sharedConnection]")
        .without("-[_ANEClient allowRestrictedAccess]")
        // Every class has these of the one above it.
        .without("+[NSObject alloc]")
        .without("+[NSObject new]");
    let machine = Machine { tables, ..machine() };
    let scene = Scene::on(machine.clone(), Faults::default());
    assert!(scene.framework.require(Feature::RestrictedAccess).is_err());
    let info = ClientInfo::read(&scene.framework).unwrap();
    assert_eq!((info.is_restricted, info.answers), (None, Some(true)));
    assert_eq!(scene.sent(), [SHARED, "-[_ANEClient isVirtualClient]", ECHO]);
    scene.end();
    let scene = Scene::on(machine, Faults { no_shared_client: true, ..Faults::default() });
    assert!(ClientInfo::read(&scene.framework).is_err());
    scene.end();
}

/// Rows I6, N7, T2, U14: a Mac has no client of a host, which is an error of its own.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn only_a_guest_has_a_client_of_its_host() {
    let scene = Scene::new();
    let e = HostInfo::read(&scene.framework).unwrap_err();
    assert!(matches!(&e, Error::Unavailable { feature: Feature::VirtualClient, .. }), "{e}");
    assert!(e.to_string().contains("this is not a virtual machine"), "{e}");
    assert_eq!(scene.sent(), ["+[_ANEVirtualClient sharedConnection]"]);
    scene.end();
    let tables = Tables::newest().without("_ANEVirtualClient");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let e = HostInfo::read(&scene.framework).unwrap_err();
    assert!(e.to_string().contains("there is no class"), "{e}");
    assert_eq!(scene.sent(), [""; 0]);
    scene.end();
}

/// Rows N7, T10, U14: what the host does not say is unknown, and not zero.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_guest_is_told_what_its_host_has() {
    let virtual_machine = Machine { virtual_machine: true, ..machine() };
    let scene = Scene::on(virtual_machine.clone(), Faults::default());
    let expected = HostInfo {
        has_engine: Some(true),
        engines: Some(1),
        cores: Some(16),
        architecture: Some("h16g".into()),
        board: Some(256),
        build: Some("25F84".into()),
        capabilities: Some(0x1f),
        data_interface: Some(3),
        takes_precompiled: Some(false),
    };
    assert_eq!(HostInfo::read(&scene.framework).unwrap(), expected);
    assert_eq!(scene.sent().len(), 10);
    scene.end();
    let tables = Tables::newest().only("-[_ANEVirtualClient numANEs]");
    let scene = Scene::on(Machine { tables, ..virtual_machine }, Faults::default());
    let expected = HostInfo { engines: Some(1), ..HostInfo::default() };
    assert_eq!(HostInfo::read(&scene.framework).unwrap(), expected);
    scene.end();
}

/// Row N8: the daemon's folder, as the framework's own strings have it.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_cache_has_a_folder_of_the_build() {
    let scene = Scene::new();
    let folder = Cache::new(&scene.framework).unwrap().folder();
    assert_eq!(folder.as_deref(), Some("/Library/Caches/com.apple.aned/25F84"));
    assert_eq!(scene.sent().last().unwrap(), "+[_ANEStrings buildSpecificModelDataVaultDirectory]");
    scene.end();
    let tables = Tables::newest().without("_ANEStrings");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    assert_eq!(Cache::new(&scene.framework).unwrap().folder(), None);
    scene.end();
}
