//! What runs often allocates nothing: counted by an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use anemone::{Client, CompileOptions, chip::Chip};

/// Counts the allocations of this thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system's; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|c| c.set(c.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often something allocates.
fn allocations(mut f: impl FnMut()) -> u64 {
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

/// Rows H14, N4: a run on surfaces that are bound allocates nothing, whether they have padding or not.
#[test]
fn a_bound_request_runs_without_allocating() {
    for width in [5, 64] {
        let text = format!(
            "program(1.3) {{ func main<ios18>(tensor<fp16, [1, 8, 1, {width}]> x, tensor<fp16, [1, 8, 1, {width}]> b) {{
            tensor<fp16, [1, 8, 1, {width}]> y = mul(x = x, y = x);
            tensor<fp16, [1, 8, 1, {width}]> s = add(x = y, y = b);
            tensor<fp16, [1, 8, 1, {width}]> z = sigmoid(x = s); }} -> (z); }}"
        );
        let options = CompileOptions { mil_text: text.into(), threads: 1, ..CompileOptions::default() };
        let mut model = Client::software(Chip::M4).compile(options).unwrap();
        let values = vec![0.5; 8 * width];
        let mut results = vec![0.0; 8 * width];
        model.eval().unwrap();
        let counted = allocations(|| {
            model.write_input_f32(0, &values).unwrap();
            model.write_input_f32("b", &values).unwrap();
            model.eval().unwrap();
            model.read_output_f32(0, &mut results).unwrap();
        });
        assert_eq!(counted, 0, "at a width of {width}");
        assert!((results[0] - 0.679).abs() < 1e-3, "{}", results[0]);
    }
}
