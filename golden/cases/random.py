"""Random numbers where the parameters leave no choice. All others are of our own generator."""

import numpy as np

from case import F16, F32, I32, case, i32

for shape, dtype, note in [
    ((2, 3), F32, "fp32"),
    ((4,), F16, "fp16"),
    ((), F32, "a scalar"),
    ((0, 2), F32, "nothing"),
    ((1, 2, 1, 2, 1), F16, "rank 5"),
]:
    size, seed = np.array(shape, I32), I32(len(shape) * 7 - 1)
    for prob in [0, 1]:
        case(
            "random_bernoulli",
            "ios15",
            np.full(shape, dtype(prob)),
            "exact",
            f"a probability of {prob}, {note}",
            source="numpy",
            shape=size,
            prob=dtype(prob),
            seed=seed,
        )
    for mean in [-2.5, 1e-7]:
        case(
            "random_normal",
            "ios15",
            np.full(shape, dtype(mean)),
            "exact",
            f"no deviation from {mean}, {note}",
            source="numpy",
            shape=size,
            mean=dtype(mean),
            stddev=dtype(0),
            seed=seed,
        )
    for value in [0.125, -60000]:
        case(
            "random_uniform",
            "ios15",
            np.full(shape, dtype(value)),
            "exact",
            f"from {value} to itself, {note}",
            source="numpy",
            shape=size,
            low=dtype(value),
            high=dtype(value),
            seed=seed,
        )
case("random_bernoulli", "ios15", np.ones(3, F32), "exact", "any seed", source="numpy", shape=i32(3), prob=F32(1))
case(
    "random_normal",
    "ios15",
    np.zeros(3, F32),
    "exact",
    "the mean left out, any seed",
    source="numpy",
    shape=i32(3),
    stddev=F32(0),
)
case(
    "random_uniform",
    "ios15",
    np.zeros(3, F32),
    "exact",
    "the low end left out, any seed",
    source="numpy",
    shape=i32(3),
    high=F32(0),
)

for shape, size, dtype, note in [
    ((4,), 3, F32, "a vector"),
    ((2, 3), 1, F16, "fp16"),
    ((2, 2, 3), 4, F32, "rank 3"),
    ((3, 1), 2, F32, "one category"),
]:
    sure = np.random.default_rng(41).integers(0, shape[-1], shape[:-1])
    hot = sure[..., None] == np.arange(shape[-1])
    want = np.repeat(sure[..., None], size, -1).astype(dtype)
    for mode, x in [("probs", np.where(hot, 0.75, 0)), ("logits", np.where(hot, -3, -np.inf))]:
        case(
            "random_categorical",
            "ios15",
            want,
            "exact",
            f"{mode} that leave one category, {note}",
            source="numpy",
            x=x.astype(dtype),
            mode=mode,
            size=I32(size),
            seed=I32(9),
        )
logits = np.array([[0, 600, -600]], F32)
case(
    "random_categorical",
    "ios15",
    np.array([[1]], F32),
    "exact",
    "logits far apart, all parameters left out",
    source="numpy",
    x=logits,
)
