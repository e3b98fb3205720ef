//! A plan in words.

use std::fmt;

use super::{Bytes, Kernel, Place, Plan};

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Input(i) => write!(f, "input {i}"),
            Place::Output(i) => write!(f, "output {i}"),
            Place::State(i) => write!(f, "state {i}"),
            Place::Slot(i) => write!(f, "slot {i}"),
            Place::Constant(i) => write!(f, "constant {i}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.len();
        writeln!(f, "{steps} steps, an arena of {} bytes in {} slots", self.arena_bytes(), self.slots.len())?;
        for (what, ios) in [("input", &self.inputs), ("output", &self.outputs), ("state", &self.states)] {
            for (i, io) in ios.iter().enumerate() {
                writeln!(f, "{what} {i}: {} {}, {} bytes", io.name, io.ty, io.bytes)?;
            }
        }
        for (i, bytes) in self.slots.iter().enumerate() {
            writeln!(f, "slot {i}: {bytes} bytes")?;
        }
        for (step, info) in self.steps.iter().zip(self.steps()) {
            let read = |(at, through): (&Option<Bytes>, &Vec<&str>)| {
                let by: String = through.iter().map(|op| format!(" by {op}")).collect();
                at.map(|at| format!("{}{by}", at.place))
            };
            let reads: Vec<String> = step.reads.iter().zip(&step.through).filter_map(read).collect();
            let writes: Vec<String> = step.writes.iter().map(|at| at.place.to_string()).collect();
            let last = if step.channels_last { ", channels last" } else { "" };
            let by = match (step.by_meaning, step.bands) {
                (true, _) => ", by its meaning".to_string(),
                (false, 1) => String::new(),
                (false, n) => format!(", in {n} bands"),
            };
            let after: String = step.after.iter().map(|op| format!(", {}", op.name)).collect();
            writeln!(
                f,
                "{}: {}{after} of {} to {}{by}{last}",
                step.name,
                step.op.name,
                reads.join(", "),
                writes.join(", ")
            )?;
            let sums = match info.multiply_adds {
                0 => String::new(),
                n => format!(", {n} multiply-adds"),
            };
            writeln!(f, "  {} bytes read, {} written{sums}", info.read, info.written)?;
            if let Kernel::Blocks(blocks) = &step.kernel {
                for plan in &blocks.plans {
                    writeln!(f, "  a block of `{}`:", step.name)?;
                    plan.to_string().lines().try_for_each(|line| writeln!(f, "    {line}"))?;
                }
            }
        }
        for (from, to) in &self.copies {
            writeln!(f, "output {to} is a copy of {from}")?;
        }
        Ok(())
    }
}
