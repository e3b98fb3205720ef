//! The client: every test runs on the software engine, and on the hardware's path over a stand-in for Apple's side.

mod caches;
mod concurrency;
mod events;
mod gate;
mod metrics;
mod pipelines;
#[path = "../ane/software.rs"]
mod software;
mod states;
mod timing;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anemone::device::{Engine, ane::Source};
use anemone::{
    Client, CompileOptions, Error, Model, ModelType, WeightFile, blob, bundle, chip::Chip, verify,
};
use anemone_apple::fake::Fake;
use half::f16;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 60 });

/// Runs a test on each engine.
fn on_each_engine(test: impl Fn(&Client)) {
    each_engine(0, test);
}

/// Runs a test on each engine, after which so many programs that had events stay loaded on the hardware, since unloading
/// them is known to crash. Interpreted it is on the software engine only: what is below the other is interpreted by the tests
/// of the seam.
fn each_engine(loaded: usize, test: impl Fn(&Client)) {
    test(&Client::software(Chip::M4));
    if cfg!(miri) {
        return;
    }
    let fake = Fake::new(software::machine(Engine::Cpu));
    test(&Client::over(&fake.open().unwrap()));
    check(fake, loaded);
}

/// Nothing was wrong, and nothing is left but so many loaded programs. What a thread of the system gives up last may need
/// a moment.
fn check(fake: Fake, loaded: usize) {
    let begin = Instant::now();
    let mut wrong = Vec::new();
    loop {
        let mut report = fake.report();
        wrong.append(&mut report.wrong);
        if (report.live.is_empty() && report.surfaces == 0) || begin.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut report = fake.finish();
    report.wrong.append(&mut wrong);
    assert_eq!(std::mem::take(&mut report.loaded), loaded);
    report.check();
}

fn mil(text: &str) -> CompileOptions {
    CompileOptions { mil_text: text.into(), ..CompileOptions::default() }
}

/// The inputs are declared in another order than that of their names, which is the engine's.
const SUB: &str =
    "program(1.3) { func main<ios18>(tensor<fp16, [1, 3, 2, 5]> b, tensor<fp16, [1, 3, 2, 5]> a) {
    tensor<fp16, [1, 3, 2, 5]> z = sub(x = b, y = a);
    tensor<fp16, [1, 3, 2, 5]> m = mul(x = z, y = fp16(2)); } -> (z, m); }";

fn sub(client: &Client) -> Model {
    client.compile(mil(SUB)).unwrap()
}

/// Makes a compiled model of a program, in a folder.
fn package(text: &str, folder: &Path) -> PathBuf {
    // In the form that the system's compiler takes, since it reads the folder itself.
    let (program, weights) = (anemone::text::parse(text).unwrap(), bundle::Weights::none());
    let verified = verify::verify(&program, &weights).verified.unwrap();
    let source = Source::of(&program, &verified, &weights).unwrap();
    let (mil, path) = (folder.join("model.mil"), folder.join("model.mlmodelc"));
    std::fs::write(&mil, source.text()).unwrap();
    bundle::write_mlmodelc(&bundle::open(&mil).unwrap(), &path).unwrap();
    path
}

fn counting(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

/// Rows A16, G22, H18, H19, H21: inputs and outputs are in the order of the program, whatever that of the engine.
#[test]
fn tensors_are_in_the_order_of_the_program() {
    on_each_engine(|client| {
        assert_eq!(client.compile_count(), 0);
        let (mut model, stats) = client.compile_with_stats(mil(SUB)).unwrap();
        assert_eq!(client.compile_count(), 1);
        assert!(stats.available() && stats.total_ns >= stats.compile_ns.max(stats.load_ns), "{stats}");
        assert_eq!(model.compile_model_type(), ModelType::Mil);
        let names: Vec<&str> = model.inputs().iter().chain(model.outputs()).map(|p| &*p.name).collect();
        assert_eq!(names, ["b", "a", "z", "m"]);
        model.write_input_f32(0, &counting(30)).unwrap();
        model.write_input_f32("a", &[1.0; 30]).unwrap();
        // Twice: the second time on the same surfaces.
        for _ in 0..2 {
            model.eval().unwrap();
            let (mut z, mut m) = ([0.0; 30], [0.0; 30]);
            model.read_output_f32("z", &mut z).unwrap();
            model.read_output_f32(1, &mut m).unwrap();
            for i in 0..30 {
                assert_eq!((z[i], m[i]), (i as f32 - 1.0, 2.0 * i as f32 - 2.0));
            }
        }
    });
}

/// Rows A11, G26, H23: sizes come from the compiled program.
#[test]
fn sizes_come_from_the_program() {
    on_each_engine(|client| {
        let model = sub(client);
        assert_eq!((model.num_inputs(), model.num_outputs()), (2, 2));
        let layout = model.input_layout(0).unwrap();
        assert_eq!((layout.channels, layout.height, layout.width, layout.elem_size), (3, 2, 5, 2));
        assert_eq!((layout.row_stride, layout.plane_stride, layout.alloc_size()), (64, 128, 384));
        assert_eq!(model.output_layout("m").unwrap(), layout);
        assert_eq!((model.input_alloc_size(1).unwrap(), model.output_alloc_size(0).unwrap()), (384, 384));
        assert_eq!((model.input_channels(0).unwrap(), model.output_channels(0).unwrap()), (3, 3));
        assert_eq!(model.spatial(0).unwrap(), 10);
        assert_eq!(model.raw_perf_stats_mask(), 0);
        assert!(matches!(model.input_layout(2), Err(Error::Invalid(_))));
        let e = model.output_layout("y").unwrap_err().to_string();
        assert!(e.contains("`y`") && e.contains("`z`, `m`"), "{e}");
    });
}

/// Rows A13, G21, G25: raw bytes are exactly those of the surface; what lies between rows is not touched.
#[test]
fn padding_is_neither_read_nor_written() {
    on_each_engine(|client| {
        let mut model = sub(client);
        model.write_input("b", &[0xff; 384]).unwrap();
        model.write_input_f32("b", &[0.5; 30]).unwrap();
        model.write_input_f32("a", &[0.25; 30]).unwrap();
        let surface = model.input_surface("b").unwrap().clone();
        let bytes = surface.lock().unwrap();
        for (i, byte) in bytes.iter().enumerate() {
            let padding = i % 64 >= 10;
            assert_eq!(*byte == 0xff, padding, "byte {i}");
        }
        drop(bytes);
        model.output_surface("z").unwrap().write(|numbers| numbers.fill(0xeeee));
        model.eval().unwrap();
        let mut raw = [0; 384];
        model.read_output("z", &mut raw).unwrap();
        for (i, pair) in raw.chunks_exact(2).enumerate() {
            let number = u16::from_le_bytes([pair[0], pair[1]]);
            let padding = i % 32 >= 5;
            // The engine may write between the rows; the software engine does not.
            assert!(padding || f16::from_bits(number) == f16::from_f32(0.25), "number {i}");
            assert!(!padding || client.is_hardware() || number == 0xeeee, "number {i}");
        }
        for size in [0, 383, 385] {
            assert!(matches!(
                model.write_input("b", &vec![0; size]),
                Err(Error::Length { expected: 384, .. })
            ));
            assert!(matches!(model.read_output("z", &mut vec![0; size]), Err(Error::Length { .. })));
        }
    });
}

/// Rows A13, G22, G23: ⚠ a wrong number of elements is an error, and not cut off; the height counts.
#[test]
fn a_wrong_number_of_elements_is_an_error() {
    on_each_engine(|client| {
        let mut model = sub(client);
        for n in [0, 15, 29, 31] {
            for result in [
                model.write_input_f32(0, &counting(n)),
                model.write_input_fp16(0, &counting(n)),
                model.read_output_f32(0, &mut vec![0.0; n]),
                model.read_output_fp16(0, &mut vec![0.0; n]),
                model.write_input_elements(0, &vec![f16::ONE; n]),
                model.read_output_elements(0, &mut vec![f16::ONE; n]),
            ] {
                assert!(matches!(result, Err(Error::Length { expected: 30, found, .. }) if found == n));
            }
        }
        assert!(matches!(model.write_input_elements(0, &[1.0f32; 30]), Err(Error::Invalid(_))));
    });
}

/// Rows G23, G24: numbers are rounded once to fp16; whole channels are written and read from any channel on.
#[test]
fn channels_are_written_by_themselves() {
    on_each_engine(|client| {
        let mut model = sub(client);
        model.write_input_fp16("a", &[0.0; 30]).unwrap();
        model.write_input_fp16("b", &[1.0; 30]).unwrap();
        model.write_input_fp16_channels("b", 1, &counting(20)).unwrap();
        // Halfway between two numbers of fp16: the even one.
        model.write_input_fp16_channels("b", 2, &[2049.0; 10]).unwrap();
        model.eval().unwrap();
        let mut all = [0.0; 30];
        model.read_output_fp16("z", &mut all).unwrap();
        assert_eq!(all[..10], [1.0; 10]);
        assert_eq!(all[10..20], counting(10));
        assert_eq!(all[20..], [2048.0; 10]);
        let mut one = [0.0; 10];
        model.read_output_fp16_channels("z", 1, &mut one).unwrap();
        assert_eq!(one[..], counting(10));
        model.write_input_fp16_channels("b", 3, &[]).unwrap();
        for (channel, n) in [(0, 31), (0, 5), (1, 30), (3, 10), (usize::MAX, 10)] {
            let result = model.write_input_fp16_channels("b", channel, &vec![0.0; n]);
            match channel {
                0..3 => assert!(matches!(result, Err(Error::Length { .. })), "{channel} {n}"),
                _ => assert!(matches!(result, Err(Error::Invalid(_))), "{channel} {n}"),
            }
        }
    });
}

/// Row X3: the elements of a surface are those of the compiled program.
#[test]
fn fp32_stays_fp32() {
    on_each_engine(|client| {
        let text = "program(1.3) { func main<ios18>(tensor<fp32, [1, 2, 1, 20]> x) {
            tensor<fp32, [1, 2, 1, 20]> y = mul(x = x, y = fp32(3)); } -> (y); }";
        let mut model = client.compile(mil(text)).unwrap();
        assert_eq!(model.input_layout(0).unwrap().row_stride, 128);
        model.write_input_f32(0, &[0.1; 40]).unwrap();
        model.eval().unwrap();
        let mut y = [0.0; 40];
        model.read_output_f32(0, &mut y).unwrap();
        assert_eq!(y, [0.1 * 3.0; 40]);
        assert!(matches!(model.write_input_fp16(0, &[0.1; 40]), Err(Error::Invalid(_))));
    });
}

const WEIGHTS: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 4]> x) {
    tensor<fp16, [1, 1, 1, 4]> a = const()[name = string(\"a\"),
        val = tensor<fp16, [1, 1, 1, 4]>(BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))];
    tensor<fp16, [1, 1, 1, 4]> b = const()[name = string(\"b\"),
        val = tensor<fp16, [1, 1, 1, 4]>(BLOBFILE(path = string(\"@model_path/weights/b.bin\"), offset = uint64(64)))];
    tensor<fp16, [1, 1, 1, 4]> s = mul(x = x, y = a);
    tensor<fp16, [1, 1, 1, 4]> y = add(x = s, y = b); } -> (y); }";

fn four(value: f32) -> Vec<u8> {
    blob::pack_weights(&[f16::from_f32(value).to_bits(); 4])
}

/// Rows D6, D7, D10: weight files are merged, and baked in when the program is compiled.
#[test]
fn weight_files_are_merged() {
    on_each_engine(|client| {
        let b = WeightFile { path: "@model_path/weights/b.bin".into(), blob: four(0.5) };
        let mut options =
            CompileOptions { weight_blob: four(3.0), weight_files: vec![b.clone()], ..mil(WEIGHTS) };
        let mut model = client.compile(&options).unwrap();
        // What the caller does with its copy afterwards does not matter.
        options.weight_blob.fill(0);
        model.write_input_f32(0, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        model.eval().unwrap();
        let mut y = [0.0; 4];
        model.read_output_f32(0, &mut y).unwrap();
        assert_eq!(y, [3.5, 6.5, 9.5, 12.5]);

        let refused = |options: CompileOptions, word: &str| {
            let e = client.compile(options).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        };
        let base =
            || CompileOptions { weight_blob: four(3.0), weight_files: vec![b.clone()], ..mil(WEIGHTS) };
        refused(CompileOptions { weight_files: vec![b.clone(), b.clone()], ..base() }, "given twice");
        refused(CompileOptions { weight_path: b.path.clone(), ..base() }, "given twice");
        let empty = WeightFile { path: "@model_path/weights/c.bin".into(), blob: vec![] };
        refused(CompileOptions { weight_files: vec![b.clone(), empty], ..base() }, "is empty");
        refused(CompileOptions { weight_path: "@model_path/../x".into(), ..base() }, "blob-path");
        refused(CompileOptions { weight_files: vec![], ..base() }, "b.bin");
    });
}

/// Rows H21, N2: options that make no sense are refused before anything is compiled.
#[test]
fn options_are_checked() {
    on_each_engine(|client| {
        let refused = |options: CompileOptions, word: &str| {
            let e = client.compile(options).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        };
        refused(CompileOptions::default(), "mil_text");
        refused(CompileOptions { mil_text: vec![b'p', 0xff], ..Default::default() }, "from byte 1 on");
        refused(CompileOptions { package_path: "model.mlmodelc".into(), ..mil(SUB) }, "ModelType::Package");
        refused(CompileOptions { qos: 20, ..mil(SUB) }, "9, 17, 21, 25, 33");
        refused(CompileOptions { perf_stats_mask: 0xff, ..mil(SUB) }, "1 to 15");
        refused(CompileOptions { function: "other".into(), ..mil(SUB) }, "`main`");
        refused(mil("program(1.3) { func main<ios18>() { } -> (y); }"), "y");
        assert_eq!(client.compile_count(), 0);
        for qos in [9, 17, 21, 25, 33, 0] {
            client.compile(CompileOptions { qos, ..mil(SUB) }).unwrap();
        }
        assert_eq!(client.compile_count(), 6);
    });
}

/// Row H22: a package gives what its program gives as text.
#[test]
fn a_package_gives_what_its_text_gives() {
    on_each_engine(|client| {
        let folder = tempfile::tempdir().unwrap();
        let path = package(SUB, folder.path());
        let package = CompileOptions {
            model_type: ModelType::Package,
            package_path: path,
            ..CompileOptions::default()
        };
        let mut models = [client.compile(&package).unwrap(), sub(client)];
        assert_eq!(models[0].compile_model_type(), ModelType::Package);
        let results = models.each_mut().map(|model| {
            model.write_input_f32("a", &counting(30)).unwrap();
            model.write_input_f32("b", &[7.0; 30]).unwrap();
            model.eval().unwrap();
            let mut m = vec![0.0; 30];
            model.read_output_f32("m", &mut m).unwrap();
            m
        });
        assert_eq!(results[0], results[1]);
        let missing = CompileOptions { package_path: folder.path().join("none.mlmodelc"), ..package };
        assert!(matches!(client.compile(missing), Err(Error::Open { .. })));
    });
}

/// Rows G20, P12: a request has surfaces of its own, or those that it is given; what does not fit is refused.
#[test]
fn requests_have_surfaces_of_their_own() {
    on_each_engine(|client| {
        let mut model = sub(client);
        let mut other = model.new_request().unwrap();
        model.write_input_f32("b", &[1.0; 30]).unwrap();
        other.write_input_f32("b", &[5.0; 30]).unwrap();
        model.eval().unwrap();
        other.run().unwrap();
        let (mut x, mut y) = ([0.0; 30], [0.0; 30]);
        model.read_output_f32("z", &mut x).unwrap();
        other.read_output_f32("z", &mut y).unwrap();
        assert_eq!((x, y), ([1.0; 30], [5.0; 30]));

        // The output of one is the input of another.
        let z = model.output_surface("z").unwrap().clone();
        let a = model.input_surface("a").unwrap().clone();
        let [o, p] = [0, 1].map(|i| other.output_surfaces()[i].clone());
        let mut next = model.bind(&[&z, &a], &[&o, &p]).unwrap();
        next.run().unwrap();
        next.read_output_f32("m", &mut x).unwrap();
        assert_eq!(x, [2.0; 30]);

        assert!(matches!(model.bind(&[&z], &[&o, &p]), Err(Error::Length { expected: 2, found: 1, .. })));
        for outputs in [[&o, &o], [&o, &z]] {
            let e = model.bind(&[&z, &a], &outputs).unwrap_err().to_string();
            assert!(e.contains("a second time"), "{e}");
        }
        let held = z.lock_mut().unwrap();
        assert!(matches!(next.run(), Err(Error::Surface(_))));
        drop(held);
        next.run().unwrap();
    });
}

/// Rows D10, G12: a surface without padding is too small for rows that need some.
#[test]
fn a_surface_without_padding_is_refused() {
    let client = Client::software(Chip::M4);
    let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 8, 1, 20]> x) {
        tensor<fp16, [1, 8, 1, 20]> y = relu(x = x); } -> (y); }";
    let model = client.compile(mil(text)).unwrap();
    let [x, y] = [0, 1].map(|_| anemone::Surface::with_shape(8, 20).unwrap());
    let e = model.bind(&[&x], &[&y]).unwrap_err().to_string();
    assert!(e.contains("has 320 bytes, and it needs 512: each row takes 64 bytes"), "{e}");
}

/// Rows H17, H20, P13: elsewhere there is no hardware, and the same calls work.
#[test]
fn elsewhere_the_software_engine_takes_its_place() {
    let hardware = Client::hardware();
    let client = Client::open().unwrap();
    assert_eq!(client.is_hardware(), hardware.is_ok());
    match hardware {
        Ok(hardware) => assert!(hardware.info().has_ane),
        Err(e) => assert!(matches!(e, Error::NoAne), "{e}"),
    }
    sub(&client).eval().unwrap();
    let fake = Fake::new(software::machine(Engine::Cpu));
    let client = Client::over(&fake.open().unwrap());
    assert!(client.is_hardware() && client.info().has_ane && !client.info().architecture.is_empty());
    drop(client);
    fake.finish().check();
}
