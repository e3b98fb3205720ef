//! Sequences: states, explicit caches, snapshots and forks.

use anemone::{Chip, Client, Error, Model, StateHandle};
use proptest::prelude::*;

use crate::{mil, on_each_engine};

/// The cache moves along by one row, as a window over the last four, and the new row is written behind the others.
const STEP: &str = "tensor<fp16, [3, 2]> rest = slice_by_index(begin = tensor<int32, [2]>([1, 0]), end = tensor<int32, [2]>([4, 2]), x = old);
    tensor<fp16, [4, 2]> new = concat(axis = int32(0), interleave = bool(false), values = (rest, row));
    tensor<fp16, [2]> y = reduce_sum(axes = tensor<int32, [1]>([0]), keep_dims = bool(false), x = new);";

fn stateful(client: &Client) -> Model {
    let text = format!(
        "program(1.3) {{ func main<ios18>(state<tensor<fp16, [4, 2]>> cache, tensor<fp16, [1, 2]> row) {{
        tensor<fp16, [4, 2]> old = read_state(input = cache); {STEP} write_state(data = new, input = cache); }} -> (y); }}"
    );
    client.compile(mil(&text)).unwrap()
}

fn explicit(client: &Client) -> Model {
    let text = format!(
        "program(1.3) {{ func main<ios18>(tensor<fp16, [4, 2]> old, tensor<fp16, [1, 2]> row) {{ {STEP} }} -> (y, new); }}"
    );
    client.compile(mil(&text)).unwrap()
}

const CACHES: &[(&str, &str)] = &[("old", "new")];

/// Evaluates with a row of two numbers.
fn step(sequence: &mut StateHandle<'_>, row: f32) -> [f32; 2] {
    sequence.write_input_f32("row", &[row, -row]).unwrap();
    sequence.eval().unwrap();
    sequence.advance(1).unwrap();
    let mut y = [0.0; 2];
    sequence.read_output_f32("y", &mut y).unwrap();
    y
}

/// Rows M1, M3: positions are counted, and the end is an error; ⚠ a reset clears.
#[test]
fn positions_are_counted() {
    on_each_engine(|client| {
        let model = explicit(client);
        let mut sequence = StateHandle::with_caches(&model, 8, CACHES).unwrap();
        assert!(std::ptr::eq(sequence.model(), &model));
        assert_eq!((sequence.max_seq(), sequence.position(), sequence.remaining()), (8, 0, 8));
        assert_eq!(step(&mut sequence, 1.0), [1.0, -1.0]);
        assert_eq!(step(&mut sequence, 2.0), [3.0, -3.0]);
        sequence.advance(5).unwrap();
        assert_eq!((sequence.position(), sequence.remaining()), (7, 1));
        // Not even a part of what is too much is taken.
        for positions in [2, usize::MAX] {
            let e = sequence.advance(positions).unwrap_err();
            assert!(matches!(&e, Error::Invalid(why) if why.contains("7 of 8 positions")), "{e}");
        }
        sequence.advance(0).unwrap();
        sequence.advance(1).unwrap();
        assert!(sequence.advance(1).is_err());
        sequence.reset().unwrap();
        assert_eq!((sequence.position(), sequence.remaining()), (0, 8));
        assert_eq!(step(&mut sequence, 4.0), [4.0, -4.0]);
        sequence.close();
    });
}

/// Rows M1, M2, M8: ⚠ a reset clears the states; the sequences of a model do not know of each other.
#[test]
fn sequences_have_their_own_states() {
    let client = Client::software(Chip::M4);
    let mut model = stateful(&client);
    model.write_input_f32("row", &[7.0, 7.0]).unwrap();
    model.eval().unwrap();
    let (mut one, mut two) = (StateHandle::new(&model, 8).unwrap(), StateHandle::new(&model, 8).unwrap());
    assert_eq!(step(&mut one, 1.0), [1.0, -1.0]);
    assert_eq!(step(&mut one, 2.0), [3.0, -3.0]);
    assert_eq!(step(&mut two, 10.0), [10.0, -10.0]);
    assert_eq!(step(&mut one, 4.0), [7.0, -7.0]);
    two.reset().unwrap();
    assert_eq!(step(&mut two, 20.0), [20.0, -20.0]);
    assert_eq!(step(&mut one, 8.0), [15.0, -15.0]);
}

/// Rows M2, M3: an explicit cache gives what a state gives.
#[test]
fn an_explicit_cache_is_a_state() {
    on_each_engine(|client| {
        // The hardware's path takes no states.
        let software = Client::software(Chip::M4);
        let (stateful, explicit) = (stateful(&software), explicit(client));
        let mut states = StateHandle::new(&stateful, 20).unwrap();
        let mut caches = StateHandle::with_caches(&explicit, 20, CACHES).unwrap();
        for i in 0..20 {
            let row = (i * i % 7) as f32;
            assert_eq!(step(&mut states, row), step(&mut caches, row), "step {i}");
        }
    });
}

/// Row M3: nothing is copied: what one evaluation gives the next takes.
#[test]
fn caches_take_turns() {
    on_each_engine(|client| {
        let model = explicit(client);
        let mut sequence = StateHandle::with_caches(&model, 8, CACHES).unwrap();
        step(&mut sequence, 1.0);
        let mut new = [0.0; 8];
        sequence.read_output_f32("new", &mut new).unwrap();
        assert_eq!(new, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, -1.0]);
        // It is the input of the next one, which can be written before.
        sequence.write_input_f32("old", &[1.0; 8]).unwrap();
        assert_eq!(step(&mut sequence, 2.0), [5.0, 1.0]);

        for (caches, words) in [
            (&[("old", "y")][..], "different types"),
            (&[("row", "new")], "different types"),
            (&[("old", "none")], "no output `none`"),
            (&[("none", "new")], "no input `none`"),
            (&[("old", "new"), ("old", "new")], "named twice"),
        ] {
            let e = StateHandle::with_caches(&model, 8, caches).unwrap_err().to_string();
            assert!(e.contains(words), "{e}");
        }
    });
}

/// Row M4: a cache that is written by a mask: what is not chosen stays.
#[test]
fn a_mask_chooses_what_is_written() {
    on_each_engine(|client| {
        let text = "program(1.3) { func main<ios18>(tensor<fp16, [4, 2]> old, tensor<fp16, [4, 1]> chosen, tensor<fp16, [1, 2]> row) {
            tensor<fp16, [4, 1]> rest = sub(x = fp16(1), y = chosen);
            tensor<fp16, [4, 2]> kept = mul(x = old, y = rest);
            tensor<fp16, [4, 2]> written = mul(x = row, y = chosen);
            tensor<fp16, [4, 2]> new = add(x = kept, y = written); } -> (new); }";
        let model = client.compile(mil(text)).unwrap();
        let mut sequence = StateHandle::with_caches(&model, 4, CACHES).unwrap();
        let mut expected = [0.0; 8];
        for (i, place) in [2, 0, 3, 0].into_iter().enumerate() {
            let mut chosen = [0.0; 4];
            chosen[place] = 1.0;
            let row = [i as f32 + 1.0, -(i as f32)];
            sequence.write_input_f32("chosen", &chosen).unwrap();
            sequence.write_input_f32("row", &row).unwrap();
            sequence.eval().unwrap();
            expected[2 * place..][..2].copy_from_slice(&row);
            let mut new = [0.0; 8];
            sequence.read_output_f32("new", &mut new).unwrap();
            assert_eq!(new, expected);
        }
    });
}

/// Row M8: a snapshot is of its model, and fits a sequence that is long enough.
#[test]
fn snapshots_return() {
    on_each_engine(|client| {
        let model = explicit(client);
        let mut sequence = StateHandle::with_caches(&model, 8, CACHES).unwrap();
        step(&mut sequence, 1.0);
        let snapshot = sequence.snapshot().unwrap();
        assert_eq!(snapshot.position(), 1);
        assert_eq!(step(&mut sequence, 2.0), [3.0, -3.0]);
        sequence.restore(&snapshot).unwrap();
        assert_eq!(sequence.position(), 1);
        assert_eq!(step(&mut sequence, 4.0), [5.0, -5.0]);
        let later = sequence.snapshot().unwrap();
        let mut short = StateHandle::with_caches(&model, 1, CACHES).unwrap();
        assert!(matches!(short.restore(&later), Err(Error::Invalid(why)) if why.contains("2 positions")));
        short.restore(&snapshot).unwrap();
        assert_eq!(short.remaining(), 0);
        let mut bare = StateHandle::new(&model, 8).unwrap();
        assert!(matches!(bare.restore(&snapshot), Err(Error::Invalid(why)) if why.contains("another model")));
    });
}

/// What is done with sequences.
#[derive(Clone, Debug)]
enum Act {
    Step(usize, f32),
    Fork(usize),
    Reset(usize),
    Keep(usize),
    Return(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<usize>(), -8i8..8).prop_map(|(s, v)| Act::Step(s, v.into())),
        1 => any::<usize>().prop_map(Act::Fork),
        1 => any::<usize>().prop_map(Act::Reset),
        1 => any::<usize>().prop_map(Act::Keep),
        1 => any::<usize>().prop_map(Act::Return),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Rows M5, M8: sequences that fork, go back and begin anew are what their own rows say, whatever the others do.
    #[test]
    fn a_sequence_is_its_own_past(acts in prop::collection::vec(act(), 1..40)) {
        let client = Client::software(Chip::M4);
        for (model, caches) in [(stateful(&client), &[][..]), (explicit(&client), CACHES)] {
            // Beside each sequence its rows, and what was kept of it.
            let first = StateHandle::with_caches(&model, 100, caches).unwrap();
            let mut all = vec![(first, Vec::<f32>::new(), None)];
            for act in &acts {
                let count = all.len();
                match *act {
                    Act::Step(s, row) => {
                        let (sequence, rows, _) = &mut all[s % count];
                        rows.push(row);
                        let window: f32 = rows.iter().rev().take(4).sum();
                        prop_assert_eq!(step(sequence, row), [window, -window]);
                    }
                    Act::Fork(s) if count < 6 => {
                        let (sequence, rows, _) = &all[s % count];
                        let fork = (sequence.fork().unwrap(), rows.clone(), None);
                        all.push(fork);
                    }
                    Act::Fork(_) => {}
                    Act::Reset(s) => {
                        let (sequence, rows, _) = &mut all[s % count];
                        sequence.reset().unwrap();
                        rows.clear();
                    }
                    Act::Keep(s) => {
                        let (sequence, rows, kept) = &mut all[s % count];
                        *kept = Some((sequence.snapshot().unwrap(), rows.clone()));
                    }
                    Act::Return(s) => {
                        if let (sequence, rows, Some((snapshot, then))) = &mut all[s % count] {
                            sequence.restore(snapshot).unwrap();
                            rows.clone_from(then);
                        }
                    }
                }
                for (sequence, rows, _) in &all {
                    prop_assert_eq!(sequence.position(), rows.len());
                }
            }
        }
    }
}
