//! The rules that the fake holds its callers to: each is broken once, through the bare functions, and noticed.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use anemone_apple::encoding::{Arguments, Encode};
use anemone_apple::fake::{Fake, Report};
use anemone_apple::{Abi, Bool, Id, SurfaceRef};

use crate::engine::machine;

/// The bare functions of a fake, with which everything can be done wrong.
struct Bare {
    abi: Abi,
}

/// One input and one output of six rows of 20 bytes in 64.
const TEXT: &str = "main inputs x:2x3x5 outputs y:2x3x5";
const NEEDED: i64 = 6 * 64;

impl Bare {
    fn class(&self, name: &CStr) -> Id {
        // SAFETY: a C string.
        let class = unsafe { (self.abi.objc_get_class)(name.as_ptr()) };
        assert!(!class.id().is_nil(), "no class {name:?}");
        class.id()
    }

    /// Sends a message. The tests give the types that the fake's methods have; what they give besides is wrong on
    /// purpose, and the fake is made to bear it.
    fn send<A: Arguments, R: Encode>(&self, to: Id, selector: &CStr, arguments: A) -> R {
        // SAFETY: a C string.
        let selector = unsafe { (self.abi.sel_register_name)(selector.as_ptr()) };
        // SAFETY: the fake looks at what the receiver is before it believes it.
        let imp = unsafe { (self.abi.lookup)(to, selector) };
        // SAFETY: the types are those of the method.
        unsafe { arguments.call(imp, to, selector) }
    }

    fn retain(&self, object: Id) {
        // SAFETY: the fake remembers the dead.
        unsafe { (self.abi.objc_retain)(object) };
    }

    fn release(&self, object: Id) {
        // SAFETY: as above.
        unsafe { (self.abi.objc_release)(object) };
    }

    fn string(&self, text: &CStr) -> Id {
        let class = self.class(c"NSString");
        self.send::<_, Id>(class, c"stringWithUTF8String:", (text.as_ptr().cast::<c_char>(),))
    }

    fn data(&self, bytes: &[u8]) -> Id {
        let arguments = (bytes.as_ptr().cast::<c_void>(), bytes.len() as u64);
        self.send::<_, Id>(self.class(c"NSData"), c"dataWithBytes:length:", arguments)
    }

    fn number(&self, n: i64) -> Id {
        self.send::<_, Id>(self.class(c"NSNumber"), c"numberWithUnsignedLongLong:", (n as u64,))
    }

    fn array(&self, items: &[Id]) -> Id {
        let arguments = (items.as_ptr(), items.len() as u64);
        self.send::<_, Id>(self.class(c"NSArray"), c"arrayWithObjects:count:", arguments)
    }

    fn dictionary(&self, entries: &[(&CStr, Id)]) -> Id {
        let keys: Vec<Id> = entries.iter().map(|(k, _)| self.string(k)).collect();
        let values: Vec<Id> = entries.iter().map(|(_, v)| *v).collect();
        let arguments = (values.as_ptr(), keys.as_ptr(), keys.len() as u64);
        self.send::<_, Id>(self.class(c"NSDictionary"), c"dictionaryWithObjects:forKeys:count:", arguments)
    }

    fn surface(&self, bytes: i64) -> SurfaceRef {
        let properties = self.dictionary(&[
            (c"IOSurfaceWidth", self.number(bytes)),
            (c"IOSurfaceHeight", self.number(1)),
            (c"IOSurfaceAllocSize", self.number(bytes)),
        ]);
        // SAFETY: a dictionary of numbers.
        unsafe { (self.abi.io_surface_create)(properties) }
    }

    fn lock(&self, surface: SurfaceRef, options: u32) -> i32 {
        // SAFETY: the surface is alive.
        unsafe { (self.abi.io_surface_lock)(surface, options, null_mut()) }
    }

    fn unlock(&self, surface: SurfaceRef, options: u32) -> i32 {
        // SAFETY: the surface is alive.
        unsafe { (self.abi.io_surface_unlock)(surface, options, null_mut()) }
    }

    fn base(&self, surface: SurfaceRef) -> *mut u8 {
        // SAFETY: the surface is alive.
        unsafe { (self.abi.io_surface_get_base_address)(surface) }.cast()
    }

    fn close(&self, surface: SurfaceRef) {
        // SAFETY: the surface is alive, and a count is ours.
        unsafe { (self.abi.cf_release)(surface.0) }
    }

    fn descriptor(&self, text: Id, weights: Id, options: Id) -> Id {
        let class = self.class(c"_ANEInMemoryModelDescriptor");
        self.send::<_, Id>(class, c"modelWithMILText:weights:optionsPlist:", (text, weights, options))
    }

    /// A model of [`TEXT`], with a comment that makes it one of its own.
    fn model(&self, name: &str) -> Id {
        let text = self.data(format!("# misuse: {name}\n{TEXT}").as_bytes());
        let descriptor = self.descriptor(text, self.dictionary(&[]), Id::NIL);
        self.send::<_, Id>(self.class(c"_ANEInMemoryModel"), c"inMemoryModelWithDescriptor:", (descriptor,))
    }

    /// Writes the text of a model where the compiler reads it.
    fn write_text(&self, model: Id, name: &str) {
        let path: Id = self.send(model, c"localModelPath", ());
        let path: *const c_char = self.send(path, c"UTF8String", ());
        // SAFETY: the string lives until the pool ends.
        let path = Path::new(unsafe { CStr::from_ptr(path) }.to_str().unwrap());
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("model.mil"), format!("# misuse: {name}\n{TEXT}")).unwrap();
    }

    fn compile(&self, model: Id, options: Id) -> bool {
        let none = null_mut::<Id>();
        self.send::<_, Bool>(model, c"compileWithQoS:options:error:", (21u32, options, none)).get()
    }

    fn load(&self, model: Id, options: Id) -> bool {
        let none = null_mut::<Id>();
        self.send::<_, Bool>(model, c"loadWithQoS:options:error:", (21u32, options, none)).get()
    }

    /// A model that is loaded.
    fn loaded(&self, name: &str) -> Id {
        let model = self.model(name);
        self.write_text(model, name);
        assert!(self.compile(model, self.dictionary(&[])) && self.load(model, self.dictionary(&[])));
        model
    }

    fn unload(&self, model: Id) -> bool {
        self.send::<_, Bool>(model, c"unloadWithQoS:error:", (21u32, null_mut::<Id>())).get()
    }

    /// A request of one input and one output.
    fn request(&self, input: (SurfaceRef, i64), output: (SurfaceRef, i64)) -> Id {
        let object = |surface: SurfaceRef| {
            let class = self.class(c"_ANEIOSurfaceObject");
            self.array(&[self.send::<_, Id>(class, c"objectWithIOSurface:", (surface,))])
        };
        let index = |n| self.array(&[self.number(n)]);
        let arguments = (
            object(input.0),
            index(input.1),
            object(output.0),
            index(output.1),
            Id::NIL,
            Id::NIL,
            self.number(0),
        );
        self.send::<_, Id>(
            self.class(c"_ANERequest"),
            c"requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:",
            arguments,
        )
    }

    /// Evaluates; what the error says if it fails.
    fn evaluate(&self, model: Id, options: Id, request: Id) -> Result<(), String> {
        let mut error = Id::NIL;
        let place: *mut Id = &mut error;
        let arguments = (21u32, options, request, place);
        let yes: Bool = self.send(model, c"evaluateWithQoS:options:request:error:", arguments);
        if yes.get() {
            return Ok(());
        }
        let text: Id = self.send(error, c"localizedDescription", ());
        let text: *const c_char = self.send(text, c"UTF8String", ());
        // SAFETY: the string lives until the pool ends.
        Err(unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_string())
    }
}

/// Does something within a pool of a fake, and gives what the fake says of it.
fn after<T>(what: impl FnOnce(&Bare) -> T) -> Report {
    let fake = Fake::new(machine());
    fake.raw(|abi| {
        let bare = Bare { abi };
        // SAFETY: pushed and popped here.
        let pool = unsafe { (abi.objc_autorelease_pool_push)() };
        let _ = what(&bare);
        // SAFETY: as above.
        unsafe { (abi.objc_autorelease_pool_pop)(pool) };
    });
    let report = fake.finish();
    report.files.iter().for_each(|f| std::fs::remove_dir_all(f).unwrap());
    report
}

/// Breaks a rule, and compares the words in which that is noticed.
#[track_caller]
fn breaks<T>(words: &str, what: impl FnOnce(&Bare) -> T) {
    let report = after(what);
    assert!(report.wrong.iter().any(|w| w.contains(words)), "not {words:?}, but {:?}", report.wrong);
}

#[test]
fn the_bare_functions_used_well_break_no_rule() {
    after(|b| {
        let model = b.loaded("well");
        let (x, y) = (b.surface(NEEDED), b.surface(NEEDED));
        let request = b.request((x, 0), (y, 0));
        b.evaluate(model, b.dictionary(&[]), request).unwrap();
        assert_eq!(b.lock(y, 1), 0);
        // SAFETY: the surface is locked and has bytes.
        assert_eq!(unsafe { *b.base(y) }, 0);
        assert_eq!(b.unlock(y, 1), 0);
        assert!(b.unload(model));
        b.close(x);
        b.close(y);
    })
    .check();
}

/// Row T12: what is released too often is noticed.
#[test]
fn counts_of_objects() {
    breaks("was released too often", |b| {
        let s = b.string(c"text");
        b.release(s);
    });
    breaks("was retained after it was released", |b| {
        let s = b.string(c"text");
        b.retain(s);
        b.release(s);
        b.release(s);
        b.retain(s);
    });
    breaks("a message was sent to a NSString that was released", |b| {
        let s = b.string(c"text");
        b.release(s);
        b.send::<_, *const c_char>(s, c"UTF8String", ());
    });
}

/// Row T12: so is what is never released.
#[test]
#[cfg_attr(miri, ignore = "what is left on purpose is memory that the interpreter misses")]
fn objects_that_are_left() {
    let report = after(|b| b.retain(b.string(c"kept")));
    assert_eq!(report.live.get("NSString"), Some(&1), "an object that is never released is left");
    let fake = Fake::new(machine());
    fake.raw(|abi| Bare { abi }.string(c"no pool"));
    let report = fake.finish();
    assert!(report.wrong[0].contains("on a thread without a pool"), "{:?}", report.wrong);
    assert_eq!(report.live.get("NSString"), Some(&1));
}

/// What a Mac answers with an exception ends the process: the test runs itself anew, and looks at how it ended.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn what_raises_an_exception_ends_the_process() {
    const RAISE: &str = "ANEMONE_TEST_RAISE";
    match std::env::var(RAISE).as_deref() {
        Ok("nil") => drop(after(|b| b.send::<_, *const c_char>(Id::NIL, c"UTF8String", ()))),
        Ok(_) => drop(after(|b| b.send::<_, Id>(b.model("getUUID"), c"getUUID", ()))),
        Err(_) => {
            for (what, words) in [
                ("nil", "a message to nil"),
                ("selector", "unrecognized selector -[_ANEInMemoryModel getUUID]"),
            ] {
                let ended = std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["misuse::what_raises_an_exception_ends_the_process", "--exact", "--nocapture"])
                    .env(RAISE, what)
                    .output()
                    .unwrap();
                assert!(!ended.status.success());
                let said = String::from_utf8_lossy(&ended.stderr);
                assert!(said.contains(words), "{said}");
            }
        }
    }
}

/// Rows G13, G17, G18, G30: no byte without a lock, one release for each count.
#[test]
fn bytes_of_surfaces() {
    breaks("while it was not locked", |b| {
        let s = b.surface(100);
        b.base(s);
        b.close(s);
    });
    breaks("not locked that way", |b| {
        let s = b.surface(100);
        b.lock(s, 1);
        b.unlock(s, 0);
        b.unlock(s, 1);
        b.close(s);
    });
    breaks("released while it was locked", |b| {
        let s = b.surface(100);
        b.lock(s, 0);
        b.close(s);
    });
    breaks("behind the bytes of a surface", |b| {
        let s = b.surface(100);
        b.lock(s, 0);
        // SAFETY: a page is set aside, so that the byte is there; nobody may write it all the same.
        unsafe { *b.base(s).add(100) = 1 };
        b.unlock(s, 0);
        b.close(s);
    });
    let report = after(|b| b.surface(100));
    assert_eq!(report.surfaces, 1, "a surface that is not released is left");
    let report = after(|b| {
        let s = b.surface(100);
        // SAFETY: the surface is alive.
        unsafe { (b.abi.io_surface_create_mach_port)(s) };
        b.close(s);
    });
    assert_eq!((report.ports, report.surfaces), (1, 1), "a port that is not closed keeps its surface");
}

/// Row A12: a surface has a width, a height, and rows that hold its elements.
#[test]
fn properties_of_surfaces() {
    let create = |b: &Bare, entries: &[(&CStr, Id)]| {
        // SAFETY: a dictionary of numbers.
        let surface = unsafe { (b.abi.io_surface_create)(b.dictionary(entries)) };
        assert!(surface.0.is_null());
    };
    breaks("without a width and a height", |b| create(b, &[(c"IOSurfaceWidth", b.number(4))]));
    breaks("a surface's row of 4 elements", |b| {
        create(
            b,
            &[
                (c"IOSurfaceWidth", b.number(4)),
                (c"IOSurfaceHeight", b.number(1)),
                (c"IOSurfaceBytesPerElement", b.number(2)),
                (c"IOSurfaceBytesPerRow", b.number(4)),
            ],
        );
    });
}

/// Rows D5, H11: text is data, weights are a dictionary of offset 0 and data.
#[test]
fn descriptions_of_models() {
    let entry =
        |b: &Bare, offset: i64| b.dictionary(&[(c"offset", b.number(offset)), (c"data", b.data(b"bytes"))]);
    let text = |b: &Bare| b.data(TEXT.as_bytes());
    breaks("MIL text must be NSData", |b| {
        b.descriptor(b.string(c"program(1.3)"), b.dictionary(&[]), Id::NIL);
    });
    breaks("weights must be a dictionary", |b| b.descriptor(text(b), Id::NIL, Id::NIL));
    breaks("the options must be NSData or nil", |b| {
        b.descriptor(text(b), b.dictionary(&[]), b.dictionary(&[]));
    });
    breaks("must be a dictionary", |b| {
        let weights = b.dictionary(&[(c"@model_path/weights/w.bin", b.data(b"bytes"))]);
        b.descriptor(text(b), weights, Id::NIL);
    });
    breaks("must have `offset` 0 and `data`", |b| {
        let weights = b.dictionary(&[(c"@model_path/weights/w.bin", entry(b, 64))]);
        b.descriptor(text(b), weights, Id::NIL);
    });
    breaks("must begin with @model_path/", |b| {
        b.descriptor(text(b), b.dictionary(&[(c"weights/w.bin", entry(b, 0))]), Id::NIL);
    });
    breaks("a model was asked for without a descriptor", |b| {
        let class = b.class(c"_ANEInMemoryModel");
        b.send::<_, Id>(class, c"inMemoryModelWithDescriptor:", (Id::NIL,));
    });
}

/// Row H3: never nil.
#[test]
fn options_are_dictionaries() {
    let words = "options must be a dictionary";
    breaks(words, |b| b.compile(b.model("nil options of a compilation"), Id::NIL));
    breaks(words, |b| b.load(b.model("nil options of a load"), Id::NIL));
    breaks(words, |b| {
        let model = b.loaded("nil options of an evaluation");
        let (x, y) = (b.surface(NEEDED), b.surface(NEEDED));
        let _ = b.evaluate(model, Id::NIL, b.request((x, 0), (y, 0)));
        b.unload(model);
    });
}

/// Row H2: a model has one state at a time.
#[test]
fn models_are_loaded_once_and_unloaded() {
    breaks("a model was loaded twice", |b| {
        let model = b.loaded("twice");
        b.load(model, b.dictionary(&[]));
        b.unload(model);
    });
    breaks("a model ended while its program was loaded", |b| b.loaded("never unloaded"));
    let report = after(|b| {
        let model = b.model("left");
        b.write_text(model, "left");
        assert!(b.compile(model, b.dictionary(&[])));
    });
    assert_eq!(report.files.len(), 1, "the files of a model that is never unloaded are left");
    let report = after(|b| {
        let model = b.model("not loaded");
        assert!(!b.unload(model));
        let (x, y) = (b.surface(NEEDED), b.surface(NEEDED));
        let e = b.evaluate(model, b.dictionary(&[]), b.request((x, 0), (y, 0))).unwrap_err();
        assert!(e.contains("program not found"), "{e}");
        assert!(b.evaluate(model, b.dictionary(&[]), Id::NIL).is_err());
        b.close(x);
        b.close(y);
    });
    report.check();
    breaks("an _ANEInMemoryModel, which does not answer getUUID", |b| {
        let client: Id = b.send(b.class(c"_ANEClient"), c"sharedConnection", ());
        let arguments = (b.model("client"), b.dictionary(&[]), 21u32, null_mut::<Id>());
        b.send::<_, Bool>(client, c"loadModel:options:qos:error:", arguments);
    });
}

/// Rows G18, H9: a wrong index, a small surface, a lock, a missing symbol.
#[test]
fn requests_name_their_symbols_and_hold_large_enough_surfaces_that_nobody_has_locked() {
    let refused = |name: &str, status: &str, request: &dyn Fn(&Bare, SurfaceRef, SurfaceRef) -> Id| {
        after(|b| {
            let model = b.loaded(name);
            let (x, y) = (b.surface(NEEDED), b.surface(NEEDED));
            let e = b.evaluate(model, b.dictionary(&[]), request(b, x, y)).unwrap_err();
            assert!(e.contains(status), "{name}: {e}");
            b.unload(model);
            b.close(x);
            b.close(y);
        })
        .check();
    };
    refused("input index", "status=0x2 ", &|b, x, y| b.request((x, 1), (y, 0)));
    refused("output index", "status=0x2 ", &|b, x, y| b.request((x, 0), (y, 7)));
    refused("small surface", "status=0x1d", &|b, x, _| {
        let small = b.surface(NEEDED - 1);
        let request = b.request((x, 0), (small, 0));
        // The request keeps its surfaces.
        b.close(small);
        request
    });
    breaks("a surface was locked while it was evaluated", |b| {
        let model = b.loaded("locked");
        let (x, y) = (b.surface(NEEDED), b.surface(NEEDED));
        b.lock(x, 1);
        let e = b.evaluate(model, b.dictionary(&[]), b.request((x, 0), (y, 0))).unwrap_err();
        assert!(e.contains("status=0x1d"), "{e}");
        b.unload(model);
    });
    breaks("a surface object was asked for without a surface", |b| {
        let class = b.class(c"_ANEIOSurfaceObject");
        b.send::<_, Id>(class, c"objectWithIOSurface:", (SurfaceRef(null_mut()),));
    });
    breaks("an array of 1 was asked for its object 1", |b| {
        let array = b.array(&[b.number(1)]);
        b.send::<_, Id>(array, c"objectAtIndex:", (1u64,));
    });
}

/// Rows L2, K5: maps and tasks.
#[test]
fn what_is_begun_is_ended_once() {
    let mapped = |b: &Bare, name: &str, maps: usize, unmaps: usize| {
        let model = b.loaded(name);
        let (x, y) = (b.surface(NEEDED), b.surface(NEEDED));
        let request = b.request((x, 0), (y, 0));
        for _ in 0..maps {
            let arguments = (request, Bool::YES, null_mut::<Id>());
            b.send::<_, Bool>(model, c"mapIOSurfacesWithRequest:cacheInference:error:", arguments);
        }
        (0..unmaps).for_each(|_| b.send::<_, ()>(model, c"unmapIOSurfacesWithRequest:", (request,)));
        b.unload(model);
    };
    breaks("mapped twice", |b| mapped(b, "mapped twice", 2, 1));
    breaks("unmapped that was not mapped", |b| mapped(b, "unmapped twice", 1, 2));
    breaks("a request ended while its surfaces were mapped", |b| mapped(b, "never unmapped", 1, 0));
    breaks("a real-time task was ended that was not begun", |b| {
        let client: Id = b.send(b.class(c"_ANEClient"), c"sharedConnection", ());
        b.send::<_, Bool>(client, c"endRealTimeTask", ());
    });
}

/// Row J13: kinds and classes.
#[test]
fn events_and_statistics_are_made_of_what_they_are_made_of() {
    breaks("an event that is signalled", |b| {
        let class = b.class(c"_ANESharedSignalEvent");
        let arguments = (1u64, 0u32, 9i64, Id::NIL);
        b.send::<_, Id>(class, c"signalEventWithValue:symbolIndex:eventType:sharedEvent:", arguments);
    });
    breaks("an event that is waited for", |b| {
        let class = b.class(c"_ANESharedWaitEvent");
        b.send::<_, Id>(class, c"waitEventWithValue:sharedEvent:eventType:", (1u64, Id::NIL, 0u64));
    });
    breaks("shared events are two arrays", |b| {
        let class = b.class(c"_ANESharedEvents");
        let arguments = (b.array(&[b.number(1)]), b.array(&[]));
        b.send::<_, Id>(class, c"sharedEventsWithSignalEvents:waitEvents:", arguments);
    });
    breaks("statistics are written to an _ANEIOSurfaceObject", |b| {
        let class = b.class(c"_ANEPerformanceStatsIOSurface");
        b.send::<_, Id>(class, c"objectWithIOSurface:statType:", (b.number(1), 0i64));
    });
    // A port that leads nowhere opens nothing.
    after(|b| {
        // SAFETY: any name may be asked for.
        assert!(unsafe { (b.abi.io_surface_lookup_from_mach_port)(1) }.0.is_null());
        // SAFETY: as above.
        assert!(unsafe { (b.abi.io_surface_lookup)(u32::MAX) }.0.is_null());
        // SAFETY: null is no surface.
        unsafe { (b.abi.cf_release)(null()) };
    })
    .check();
}
