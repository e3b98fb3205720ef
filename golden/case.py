"""Records golden cases: calls of one op, and runs of whole programs, with the results they must give.

A family file under cases/ computes what is right with PyTorch, NumPy, SciPy or coremltools and calls, at import:

    case(op, opset, want, within, note, source=..., **args)   one call of an op
    folded(op, opset, note, **args)                           the same, with coremltools' value inference as the oracle
    program(name, text, note, ops=[...]).run(...)             a program of several ops, run once or more
    generated(name, within, note, dims=..., want=..., ...)    a run of a program that `mil::generate` writes

Arrays carry their dtypes. `None` is an argument that is not given, a list or tuple several arguments of one parameter.
"""

import logging
import re
from dataclasses import dataclass, field

import numpy as np

logging.disable(logging.WARNING)  # coremltools says at import which of its macOS parts are missing.

NAMES = {"float16": "fp16", "float32": "fp32", "float64": "fp64"}
SOURCES = ["coremltools", "torch", "numpy", "scipy"]
OPSETS = ["ios15", "ios16", "ios17", "ios18"]
DIGITS = {"fp16": 10, "fp32": 23, "bf16": 7, "fp64": 52}
WITHIN = re.compile(r"exact|ulp \d+|rel [0-9.e-]+")
F16, F32, I32 = np.float16, np.float32, np.int32


class Sub:
    """An array of a dtype that NumPy lacks, such as `uint4`, `bf16` or `fp8e4m3fn`; see `sub`."""

    RANGES = {"int4": (-8, 7), "uint1": (0, 1), "uint2": (0, 3), "uint3": (0, 7), "uint4": (0, 15), "uint6": (0, 63)}

    def __init__(self, array, dtype):
        array = np.asarray(array)
        if dtype in self.RANGES:
            low, high = self.RANGES[dtype]
            assert array.dtype.kind in "iu" and (array.size == 0 or (low <= array.min() and array.max() <= high)), dtype
        else:
            import torch

            like = {"bf16": torch.bfloat16, "fp8e4m3fn": torch.float8_e4m3fn, "fp8e5m2": torch.float8_e5m2}[dtype]
            back = torch.tensor(array.astype(F32)).to(like).to(torch.float32).numpy()
            assert np.array_equal(back, array.astype(F32), equal_nan=True), f"{dtype} does not hold these numbers"
            array = back
        self.array, self.dtype = array, dtype


def sub(array, dtype):
    """An array of a dtype that NumPy lacks. It must hold the numbers exactly."""
    return Sub(array, dtype)


def i32(*values):
    """A vector of dtype int32."""
    return np.array(values, I32)


# Numbers at which functions break: zeros, ties, the smallest subnormal and the largest number, infinities, not-a-number.
EDGES = {
    F32: np.array([0, -0.0, 1, -1, 0.5, -0.5, 1.5, -2.5, 7, 1e-45, -1e-40, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan], F32),
    F16: np.array([0, -0.0, 1, -1, 0.5, -0.5, 1.5, -2.5, 7, 6e-8, -1e-6, 65504, -65504, np.inf, -np.inf, np.nan], F16),
}


def uniform(rng, shape, dtype=F32, low=-4, high=4):
    """Numbers of a floating-point dtype, evenly spread."""
    return rng.uniform(low, high, shape).astype(dtype)


def whole(rng, shape, low=-9, high=10, dtype=I32):
    """Numbers of a whole-number dtype, from `low` to below `high`."""
    return rng.integers(low, high, shape).astype(dtype)


def truth(rng, shape):
    """Bools."""
    return rng.integers(0, 2, shape).astype(bool)


def rounded(values, dtype):
    """Numbers computed in float64, rounded once to a dtype (or to that of an array)."""
    values = np.asarray(values)
    assert values.dtype in (np.float64, np.int64, bool), f"an oracle computes in float64, not {values.dtype}"
    with np.errstate(over="ignore"):
        return values.astype(dtype if isinstance(dtype, type) else dtype.dtype)


def wide(array):
    """The numbers of an array as float64, for NumPy and SciPy."""
    return np.asarray(array).astype(np.float64)


def t64(array):
    """The numbers of an array as a float64 tensor of PyTorch."""
    import torch

    return torch.tensor(wide(array))


def _number(x):
    if x.dtype.kind == "f":
        text = str(x)
        return text[:-2] if text.endswith(".0") else text
    return str(int(x))


def _one(value):
    """`dtype|shape|values` of one tensor."""
    if isinstance(value, Sub):
        dtype, value = value.dtype, value.array
    elif isinstance(value, str):
        return "string||" + value
    elif isinstance(value, (bool, np.bool_)):
        dtype, value = "bool", np.asarray(value)
    elif isinstance(value, int):
        dtype, value = "int32", np.asarray(value, I32)
    else:
        assert not isinstance(value, float), "a Python float has no dtype that MIL would know; use np.float32"
        value = np.asarray(value)
        dtype = NAMES.get(str(value.dtype), str(value.dtype))
    shape = ",".join(map(str, value.shape))
    if value.dtype.kind == "U":
        assert value.ndim and not any("," in s for s in value.ravel())
        return f"string|{shape}|" + ",".join(value.ravel())
    return f"{dtype}|{shape}|" + ",".join(_number(x) for x in value.ravel())


def _pairs(named):
    """Cells `name=dtype|shape|values`, a name for each of its values."""
    cells = []
    for name, value in named.items():
        if value is not None:
            cells += [f"{name}={_one(v)}" for v in (value if isinstance(value, (list, tuple)) else [value])]
    return cells


def _checked(source, within, note):
    assert source in SOURCES, source
    assert WITHIN.fullmatch(within), within
    assert note and len(note) <= 140 and "\t" not in note, note


def _line(cells):
    assert not any(re.search(r"[\t\n\r]", c) for c in cells), cells
    return "\t".join(cells)


@dataclass
class Recorded:
    """What the family files have recorded."""

    family: str = ""
    vectors: dict = field(default_factory=dict)  # op -> lines
    owners: dict = field(default_factory=dict)  # op or program -> family
    programs: dict = field(default_factory=dict)  # name -> Program
    generators: dict = field(default_factory=dict)  # generator -> lines

    def owned(self, name):
        owner = self.owners.setdefault(name, self.family)
        assert owner == self.family, f"`{name}` has cases in {owner} and {self.family}; one family writes a file"


RECORDED = Recorded()


def case(op, opset, want, within, note, /, *, source, **args):
    """Records one call of an op. `want` is an array, or a tuple of the op's results."""
    _checked(source, within, note)
    assert opset in OPSETS, opset
    RECORDED.owned(op)
    wants = want if isinstance(want, (list, tuple)) else [want]
    cells = [opset, source, within, note, *_pairs(args), "->", *map(_one, wants)]
    RECORDED.vectors.setdefault(op, []).append(_line(cells))


def folded(op, opset, note, /, *, within=None, **args):
    """Records one call with the result that coremltools folds it to; it computes in the dtype, step by step."""
    import coremltools as ct
    from coremltools.converters.mil.mil import Builder, Function, types

    target = getattr(ct.target, opset.replace("ios", "iOS"))
    given = {name: value for name, value in args.items() if value is not None}
    with Function({}, opset_version=target), np.errstate(all="ignore"):
        results = getattr(Builder, op)(**given)
        results = results if isinstance(results, (list, tuple)) else [results]
        wants = []
        for y in results:
            value = y.val if y.val is not None else y.op.materialized_val_inference()
            assert value is not None, f"coremltools does not fold `{op}`: {note}"
            dtype = types.nptype_from_builtin(y.dtype)
            wants.append(value if isinstance(value, str) else np.asarray(value).astype(dtype))
    if within is None:
        kinds = [(str(w.dtype) if isinstance(w, np.ndarray) else "") for w in wants]
        within = "rel 3e-3" if "float16" in kinds else "rel 2e-5" if "float32" in kinds else "exact"
    case(op, opset, wants, within, note, source="coremltools", **args)


class Program:
    """A program whose runs are being recorded."""

    def __init__(self, text, note, ops):
        self.text, self.note, self.ops, self.lines = text, note, ops, []

    def run(self, within, note, /, *, source, inputs, want):
        """Records one run: inputs and results by name. States keep what the run before left in them."""
        _checked(source, within, note)
        self.lines.append(_line([source, within, note, *_pairs(inputs), "->", *_pairs(want)]))
        return self


def program(name, text, note, /, *, ops):
    """Begins a program. `ops` are those that it is there for: its runs count as cases of these."""
    RECORDED.owned(name)
    assert name not in RECORDED.programs, name
    RECORDED.programs[name] = Program(text.strip() + "\n", note, ops)
    return RECORDED.programs[name]


def generated(name, within, note, /, *, source, dims, want, **args):
    """Records one run of a program of `mil::generate`: its dimensions, its weights and inputs by name, results by name."""
    _checked(source, within, note)
    RECORDED.owned(name)
    cells = [source, within, note, *_pairs({"dims": np.array(dims, I32), **args}), "->", *_pairs(want)]
    RECORDED.generators.setdefault(name, []).append(_line(cells))


def _tolerance(within, values):
    """How far a result may be from another one: none for text and whole numbers."""
    kind, _, amount = within.partition(" ")
    finite = [abs(v) for v in values if np.isfinite(v)]
    return float(amount) * max(finite, default=0.0) if kind == "rel" else 0.0


def same(old, new):
    """Whether two lines of a file say the same: the same call, and results within what the line allows.

    coremltools computes fp16 and fp32 with the machine's own vector instructions, so that last digits differ.
    """
    if old == new:
        return True
    old, new = old.split("\t"), new.split("\t")
    arrow = new.index("->") + 1 if "->" in new else len(new)
    if len(old) != len(new) or old[:arrow] != new[:arrow]:
        return False
    within = next((c for c in new if WITHIN.fullmatch(c)), "exact")
    for a, b in zip(old[arrow:], new[arrow:]):
        if a == b:
            continue
        (*form, a), (*form_b, b) = a.rsplit("|", 1), b.rsplit("|", 1)
        digits = DIGITS.get(form[0].split("=")[-1].split("|")[0])
        if form != form_b or digits is None:
            return False
        a, b = np.array(a.split(","), float), np.array(b.split(","), float)
        allowed = _tolerance(within, b)
        if within.startswith("ulp"):
            allowed = float(within[4:]) * np.spacing(np.abs(b)) * 2.0 ** (52 - digits)
        finite = np.isfinite(a) & np.isfinite(b)
        if len(a) != len(b) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return False
        with np.errstate(invalid="ignore"):
            if not (np.abs(a - b) <= allowed)[finite].all():
                return False
    return True
