//! Elementwise ops: by others, or in another dtype.

use super::{floats, number};
use crate::passes::draft::Draft;
use crate::passes::site::Site;
use crate::place;
use crate::types::{DType, Tensor};
use crate::verify::Content;

/// Where the target has no casts, nothing is gained.
pub(super) fn fp16(site: &Site<'_>) -> Option<Draft> {
    use crate::types::DType::{Fp16, Fp32};
    let op = site.step.op.name;
    let stays =
        op == "cast" || op.starts_with("constexpr_") || op.contains("state") || !site.step.blocks.is_empty();
    let is_fp32 = |v: &crate::verify::Value| v.ty.as_tensor().is_some_and(|t| t.dtype == Fp32);
    let params = site.call.arguments.iter().map(|a| a.name.as_str());
    let reads =
        params.clone().any(|p| site.values(p).any(|v| is_fp32(v) && matches!(v.content, Content::Computed)));
    let casts = place::row("cast").form_on(site.target).is_on_engine();
    if stays || !reads || !casts || site.step.outputs.len() != 1 {
        return None;
    }
    let (to, dims) = site.result()?;
    let mut draft = Draft::default();
    let mut arguments = Vec::new();
    for param in params {
        let many = site.call.argument(param)?.binding.operands().len();
        let is_many = matches!(site.call.argument(param)?.binding, crate::mil::Binding::Many(_));
        let mut names = Vec::new();
        for (i, value) in site.values(param).enumerate().take(many) {
            let given = if is_many { format!("arg_{param}_{i}") } else { format!("arg_{param}") };
            names.push(match &value.content {
                _ if !is_fp32(value) => given,
                Content::Constant(datum) => {
                    let t = datum.as_tensor()?;
                    draft.constant(Tensor::from_f64s(Fp16, t.shape(), &t.to_f64s()).ok()?)
                }
                _ => {
                    let t = value.ty.as_tensor()?;
                    let dims: Option<Vec<u64>> = t.shape.iter().map(|d| d.known()).collect();
                    draft.step(Fp16, &dims?, &format!("cast(x = {given}, dtype = string(\"fp16\"))"))
                }
            });
        }
        let bound = if is_many { format!("({})", names.join(", ")) } else { names.pop()? };
        arguments.push(format!("{param} = {bound}"));
    }
    let call = format!("{op}({})", arguments.join(", "));
    if to != Fp32 {
        return Some(draft.result(to, &dims, &call));
    }
    let y = draft.step(Fp16, &dims, &call);
    Some(draft.result(Fp32, &dims, &format!("cast(x = {y}, dtype = string(\"fp32\"))")))
}

pub(super) fn rsqrt(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let epsilon = number(dtype, site.float_or("epsilon", 1e-12)?);
    let mut draft = Draft::default();
    let sum = draft.step(dtype, &dims, &format!("add(x = arg_x, y = {epsilon})"));
    Some(draft.result(dtype, &dims, &format!("pow(x = {sum}, y = {})", number(dtype, -0.5))))
}

pub(super) fn gelu(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let n = |value| number(dtype, value);
    let mut draft = Draft::default();
    let mut step = |call: String| draft.step(dtype, &dims, &call);
    let gate = match site.word_or("mode", "EXACT")? {
        "EXACT" => {
            let scaled = step(format!("mul(x = arg_x, y = {})", n(std::f64::consts::FRAC_1_SQRT_2)));
            step(format!("erf(x = {scaled})"))
        }
        "TANH_APPROXIMATION" => {
            let square = step("mul(x = arg_x, y = arg_x)".to_string());
            let term = step(format!("mul(x = {square}, y = {})", n(0.044715)));
            let sum = step(format!("add(x = {term}, y = {})", n(1.0)));
            let cubic = step(format!("mul(x = arg_x, y = {sum})"));
            let scaled = step(format!("mul(x = {cubic}, y = {})", n((2.0 / std::f64::consts::PI).sqrt())));
            step(format!("tanh(x = {scaled})"))
        }
        "SIGMOID_APPROXIMATION" => {
            let scaled = step(format!("mul(x = arg_x, y = {})", n(1.702)));
            let gate = step(format!("sigmoid(x = {scaled})"));
            return Some(draft.result(dtype, &dims, &format!("mul(x = arg_x, y = {gate})")));
        }
        _ => return None,
    };
    let sum = step(format!("add(x = {gate}, y = {})", n(1.0)));
    let half = step(format!("mul(x = arg_x, y = {})", n(0.5)));
    Some(draft.result(dtype, &dims, &format!("mul(x = {half}, y = {sum})")))
}

pub(super) fn tan(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut draft = Draft::default();
    let sin = draft.step(dtype, &dims, "sin(x = arg_x)");
    let cos = draft.step(dtype, &dims, "cos(x = arg_x)");
    Some(draft.result(dtype, &dims, &format!("real_div(x = {sin}, y = {cos})")))
}

/// Half of e to the power of `x`, and of `-x`: they do not overflow where their sum does not.
fn half_exponents(draft: &mut Draft, dtype: DType, dims: &[u64]) -> [String; 2] {
    let less = number(dtype, -std::f64::consts::LN_2);
    let minus = draft.step(dtype, dims, &format!("mul(x = arg_x, y = {})", number(dtype, -1.0)));
    ["arg_x".to_string(), minus].map(|x| {
        let shifted = draft.step(dtype, dims, &format!("add(x = {x}, y = {less})"));
        draft.step(dtype, dims, &format!("exp(x = {shifted})"))
    })
}

pub(super) fn cosh(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut draft = Draft::default();
    let [a, b] = half_exponents(&mut draft, dtype, &dims);
    Some(draft.result(dtype, &dims, &format!("add(x = {a}, y = {b})")))
}

/// Near zero the two exponents cancel: there `2 t / (1 - t²)` of `t = tanh(x / 2)` is taken.
pub(super) fn sinh(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut draft = Draft::default();
    let [a, b] = half_exponents(&mut draft, dtype, &dims);
    let far = draft.step(dtype, &dims, &format!("sub(x = {a}, y = {b})"));
    let held = format!("clip(x = arg_x, alpha = {}, beta = {})", number(dtype, -1.0), number(dtype, 1.0));
    let held = draft.step(dtype, &dims, &held);
    let half = draft.step(dtype, &dims, &format!("mul(x = {held}, y = {})", number(dtype, 0.5)));
    let t = draft.step(dtype, &dims, &format!("tanh(x = {half})"));
    let square = draft.step(dtype, &dims, &format!("mul(x = {t}, y = {t})"));
    let rest = draft.step(dtype, &dims, &format!("sub(x = {}, y = {square})", number(dtype, 1.0)));
    let twice = draft.step(dtype, &dims, &format!("mul(x = {t}, y = {})", number(dtype, 2.0)));
    let near = draft.step(dtype, &dims, &format!("real_div(x = {twice}, y = {rest})"));
    let size = draft.step(dtype, &dims, "abs(x = arg_x)");
    let is_near = draft.step(DType::Bool, &dims, &format!("less(x = {size}, y = {})", number(dtype, 1.0)));
    Some(draft.result(dtype, &dims, &format!("select(cond = {is_near}, a = {near}, b = {far})")))
}

pub(super) fn atanh(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut draft = Draft::default();
    let above = draft.step(dtype, &dims, &format!("add(x = arg_x, y = {})", number(dtype, 1.0)));
    let below = draft.step(dtype, &dims, &format!("sub(x = {}, y = arg_x)", number(dtype, 1.0)));
    let quotient = draft.step(dtype, &dims, &format!("real_div(x = {above}, y = {below})"));
    let log = draft.step(dtype, &dims, &format!("log(x = {quotient}, epsilon = {})", number(dtype, 0.0)));
    Some(draft.result(dtype, &dims, &format!("mul(x = {log}, y = {})", number(dtype, 0.5))))
}

/// The arc sine is the arc tangent of `x / √((1 - x) (1 + x))`.
pub(super) fn arc(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut draft = Draft::default();
    let above = draft.step(dtype, &dims, &format!("add(x = arg_x, y = {})", number(dtype, 1.0)));
    let below = draft.step(dtype, &dims, &format!("sub(x = {}, y = arg_x)", number(dtype, 1.0)));
    let product = draft.step(dtype, &dims, &format!("mul(x = {above}, y = {below})"));
    let root = draft.step(dtype, &dims, &format!("sqrt(x = {product})"));
    let quotient = draft.step(dtype, &dims, &format!("real_div(x = arg_x, y = {root})"));
    let atan = format!("atan(x = {quotient})");
    if site.step.op.name == "asin" {
        return Some(draft.result(dtype, &dims, &atan));
    }
    let asin = draft.step(dtype, &dims, &atan);
    let quarter = number(dtype, std::f64::consts::FRAC_PI_2);
    Some(draft.result(dtype, &dims, &format!("sub(x = {quarter}, y = {asin})")))
}

/// The angle less the half turns where the function is zero: so its results near zero keep all digits, and a polynomial of
/// the seventh degree is within 1e-6. Half a turn is taken in two parts, of which the first is short in binary.
pub(super) fn wave(site: &Site<'_>) -> Option<Draft> {
    use std::f64::consts::{FRAC_1_PI, PI};
    const HALF_TURN: f64 = 3.140625;
    let (dtype, dims) = floats(site)?;
    let n = |value| number(dtype, value);
    let is_sin = site.step.op.name == "sin";
    let mut draft = Draft::default();
    let mut step = |call: String| draft.step(dtype, &dims, &call);
    let mut zero = step(format!("mul(x = arg_x, y = {})", n(FRAC_1_PI)));
    if !is_sin {
        zero = step(format!("sub(x = {zero}, y = {})", n(0.5)));
    }
    let count = step(format!("round(x = {zero})"));
    let turns = if is_sin { count.clone() } else { step(format!("add(x = {count}, y = {})", n(0.5))) };
    let mut rest = "arg_x".to_string();
    for part in [HALF_TURN, PI - HALF_TURN] {
        let whole = step(format!("mul(x = {turns}, y = {})", n(part)));
        rest = step(format!("sub(x = {rest}, y = {whole})"));
    }
    let square = step(format!("mul(x = {rest}, y = {rest})"));
    let mut sum = n(-1.836_3e-4);
    for c in [8.306_29e-3, -0.166_648_24, 0.999_996_616] {
        let higher = step(format!("mul(x = {square}, y = {sum})"));
        sum = step(format!("add(x = {higher}, y = {})", n(c)));
    }
    let curve = step(format!("mul(x = {rest}, y = {sum})"));
    // The sine rises through zero after an even number of half turns, and the cosine falls.
    let half = step(format!("mul(x = {count}, y = {})", n(0.5)));
    let whole = step(format!("floor(x = {half})"));
    let odd = step(format!("sub(x = {half}, y = {whole})"));
    let (slope, at_zero) = if is_sin { (-4.0, 1.0) } else { (4.0, -1.0) };
    let turned = step(format!("mul(x = {odd}, y = {})", n(slope)));
    let sign = step(format!("add(x = {turned}, y = {})", n(at_zero)));
    Some(draft.result(dtype, &dims, &format!("mul(x = {curve}, y = {sign})")))
}

/// Where the quotient was rounded up to the next whole number, the rest has the other sign, and is put right.
pub(super) fn modulo(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut draft = Draft::default();
    let quotient = draft.step(dtype, &dims, "real_div(x = arg_x, y = arg_y)");
    let whole = draft.step(dtype, &dims, &format!("floor(x = {quotient})"));
    let product = draft.step(dtype, &dims, &format!("mul(x = {whole}, y = arg_y)"));
    let rest = draft.step(dtype, &dims, &format!("sub(x = arg_x, y = {product})"));
    let sign = draft.step(dtype, &dims, &format!("mul(x = {rest}, y = arg_y)"));
    let wrong = draft.step(DType::Bool, &dims, &format!("less(x = {sign}, y = {})", number(dtype, 0.0)));
    let right = draft.step(dtype, &dims, &format!("add(x = {rest}, y = arg_y)"));
    Some(draft.result(dtype, &dims, &format!("select(cond = {wrong}, a = {right}, b = {rest})")))
}

pub(super) fn logical(site: &Site<'_>) -> Option<Draft> {
    let (_, dims) = site.result()?;
    let fp16 = DType::Fp16;
    let mut draft = Draft::default();
    let mut as_number = |param: &str| {
        let own = site.dims(param)?;
        let (one, zero) = (number(fp16, 1.0), number(fp16, 0.0));
        Some(draft.step(fp16, &own, &format!("select(cond = arg_{param}, a = {one}, b = {zero})")))
    };
    let x = as_number("x")?;
    if site.step.op.name == "logical_not" {
        return Some(draft.result(DType::Bool, &dims, &format!("less(x = {x}, y = {})", number(fp16, 0.5))));
    }
    let y = as_number("y")?;
    let (op, least) = match site.step.op.name {
        "logical_and" => ("mul", 0.5),
        "logical_or" => ("add", 0.5),
        _ => return Some(draft.result(DType::Bool, &dims, &format!("not_equal(x = {x}, y = {y})"))),
    };
    let both = draft.step(fp16, &dims, &format!("{op}(x = {x}, y = {y})"));
    Some(draft.result(DType::Bool, &dims, &format!("greater(x = {both}, y = {})", number(fp16, least))))
}
