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
        for step in &self.steps {
            let list = |places: &mut dyn Iterator<Item = &Bytes>| {
                places.map(|b| b.place.to_string()).collect::<Vec<_>>().join(", ")
            };
            let by = if step.by_meaning { ", by its meaning" } else { "" };
            let after: String = step.after.iter().map(|op| format!(", {}", op.name)).collect();
            writeln!(
                f,
                "{}: {}{after} of {} to {}{by}",
                step.name,
                step.op.name,
                list(&mut step.reads.iter().flatten()),
                list(&mut step.writes.iter())
            )?;
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
