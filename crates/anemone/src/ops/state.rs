//! States: variables that outlive a run.

use super::moves::{MOVED17, exact, one};
use super::row::*;
use crate::mil::op::Access;
use crate::types::State;

const READ_STATE: &[Edition] = &[edition(Ios18, &[Parameter::new("input", Kind::State, DTypes::ANY)])];

const WRITE_STATE: &[Edition] =
    &[edition(Ios18, &[Parameter::new("input", Kind::State, DTypes::ANY), tensor("data", FLOATS)])];

const UPDATE_STATE: &[Edition] =
    &[edition(Ios18, &[Parameter::new("state", Kind::State, DTypes::ANY), tensor("value", MOVED17)])];

/// The type of the variable.
fn held<'a>(args: &Args<'a>, param: &'static str) -> Result<&'a Type, Fault> {
    match args.arg(param).map(|a| a.ty) {
        Some(Type::State(inner)) => Ok(inner),
        Some(_) => Err(Fault::of(
            param,
            &codes::WRONG_KIND,
            format!("`{param}` of `{}` must be a state", args.op.name),
        )),
        None => {
            Err(Fault::of(param, &codes::MISSING_PARAMETER, format!("`{}` needs `{param}`", args.op.name)))
        }
    }
}

fn variable<'a>(args: &Args<'a>, param: &'static str) -> Result<&'a State, Fault> {
    match args.arg(param).and_then(|a| a.value) {
        Some(Datum::State(state)) => Ok(state),
        _ => Err(Fault::of(
            param,
            &codes::WRONG_KIND,
            format!("`{param}` of `{}` is not bound to a state", args.op.name),
        )),
    }
}

/// The type of the variable, which the value must have.
fn agreed<'a>(args: &Args<'a>, state: &'static str, value: &'static str) -> Result<&'a Type, Fault> {
    let (inner, new) = (held(args, state)?, Type::Tensor(args.ty(value)?.clone()));
    if inner.fits(&new) {
        return Ok(inner);
    }
    let same_dtype = inner.as_tensor().map(|t| t.dtype) == new.as_tensor().map(|t| t.dtype);
    Err(Fault::of(
        value,
        if same_dtype { &codes::SHAPE_MISMATCH } else { &codes::DTYPE_MISMATCH },
        format!("`{value}` of `{}` is {new}, and the state holds {inner}", args.op.name),
    )
    .against(state))
}

fn infer_read(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    Ok(vec![held(args, "input")?.clone()])
}

fn compute_read(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    one(variable(args, "input")?.read())
}

fn infer_write(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    agreed(args, "input", "data").map(|_| Vec::new())
}

fn compute_write(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    variable(args, "input")?.write(args.tensor("data")?.clone());
    Ok(Vec::new())
}

fn infer_update(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let inner = agreed(args, "state", "value")?;
    Ok(vec![inner.or(&args.ty("value")?.clone().into())])
}

fn compute_update(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let value = args.tensor("value")?;
    variable(args, "state")?.write(value.clone());
    one(value.clone())
}

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::State(Access::Read),
        ..exact(
            "read_state",
            "the value of a state",
            READ_STATE,
            Results::Exactly(1),
            infer_read,
            compute_read,
        )
    },
    Op {
        fast: Fast::State(Access::Write),
        ..exact(
            "write_state",
            "sets a state, and has no result",
            WRITE_STATE,
            Results::Exactly(0),
            infer_write,
            compute_write,
        )
    },
    Op {
        fast: Fast::State(Access::Update),
        ..exact(
            "coreml_update_state",
            "sets a state, and results in its new value",
            UPDATE_STATE,
            Results::Exactly(1),
            infer_update,
            compute_update,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_state_keeps_what_was_written() {
        let state = State::new(Tensor::zeros(Fp16, &[2]).unwrap());
        let of = |d: Datum| [("input", Datum::State(state.clone())), ("data", d)];
        check("read_state", Ios18, &of(int(0))[..1], &[f16s(&[2], &[0.0, 0.0])]);
        check("write_state", Ios18, &of(f16s(&[2], &[1.0, 2.0])), &[]);
        check("read_state", Ios18, &of(int(0))[..1], &[f16s(&[2], &[1.0, 2.0])]);
        refuse("write_state", Ios18, &of(f16s(&[1], &[1.0])), "shape-mismatch");
        refuse("write_state", Ios18, &of(iota(&[2])), "dtype-mismatch");
        refuse("read_state", Ios18, &[("input", iota(&[2]))], "wrong-kind");
        let update = [("state", Datum::State(state.clone())), ("value", f16s(&[2], &[3.0, 4.0]))];
        check("coreml_update_state", Ios18, &update, &[f16s(&[2], &[3.0, 4.0])]);
        assert_eq!(state.read().to_f64s(), [3.0, 4.0]);
    }
}
