#!/usr/bin/env python3
"""Makes the Core ML packages below golden/models, with what PyTorch computes as their expected results.

    python golden/models.py              every package
    python golden/models.py NAME...      these packages
    python golden/models.py --check      compares with what is there instead, and fails with what differs

The versions are those of golden/requirements.txt. Each package is a network of golden/networks with random weights. It is
converted by coremltools; the expected results are those of the same network in float64, rounded once to float32. Weights and
inputs of a package that computes in fp16 are numbers of fp16, so that only the computation is rounded. A package that is
larger than LIMIT is made, named, and not kept.
"""

import argparse
import copy
import filecmp
import json
import logging
import os
import shutil
import sys
import tempfile
import uuid
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

# coremltools shows its progress, and on Linux says on import which of Apple's libraries it misses.
os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.ERROR)
warnings.filterwarnings("ignore")

import coremltools as ct  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from coremltools.models import utils  # noqa: E402

LIMIT = 60_000
"""The most bytes of a package with its arrays."""

TARGETS = {"ios15": ct.target.iOS15, "ios16": ct.target.iOS16, "ios17": ct.target.iOS17, "ios18": ct.target.iOS18}


@dataclass
class Model:
    """What is converted, and what it is run on."""

    net: torch.nn.Module
    opset: str
    outputs: list[str]
    """The names of the outputs, in the order in which the network gives them."""
    runs: list[dict[str, torch.Tensor]]
    """The inputs of each run; the first are those that the network is traced with."""
    fp16: bool = True
    """Whether it computes in fp16."""
    script: bool = False
    """Whether control flow is to be kept: the network is scripted, not traced."""
    states: list[str] = field(default_factory=list)
    """The buffers that are states of the package."""
    shapes: dict[str, Any] = field(default_factory=dict)
    """The shapes of inputs that are not those of the first run."""
    inputs: list[Any] = field(default_factory=list)
    """The inputs as coremltools takes them, where tensors of float32 and int32 will not do."""
    io16: bool = False
    """Whether inputs and outputs are fp16."""
    convert: dict[str, Any] = field(default_factory=dict)
    """Further arguments of coremltools' converter."""
    compress: Callable[[Any], Any] | None = None
    """Compresses the weights of the package; the network gets the weights that are left of it."""
    expect: Callable[[dict[str, torch.Tensor]], list[Any]] | None = None
    """Computes the expected results, where the network alone does not."""
    tolerance: float | None = None
    """How far results may be, relative to the largest magnitude, where the default does not do; the note says why."""
    note: str = ""
    """What the package covers."""


MODELS: dict[str, Callable[[], Any]] = {}
"""The makers of all packages, by name."""


def package(make: Callable[[], Any]) -> Callable[[], Any]:
    """Adds a maker of a package of the same name."""
    MODELS[make.__name__] = make
    return make


def halves(net: torch.nn.Module) -> torch.nn.Module:
    """Rounds the weights to numbers of fp16."""
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return net


def rounded(model: Model) -> list[dict[str, torch.Tensor]]:
    """The inputs of the runs as they are stored."""

    def stored(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.half().float() if model.fp16 and tensor.is_floating_point() else tensor

    return [{name: stored(tensor) for name, tensor in run.items()} for run in model.runs]


def convert(model: Model) -> Any:
    """The package, made by coremltools."""
    net = model.net.eval()
    example = model.runs[0]
    number = np.float16 if model.io16 else np.float32
    with torch.no_grad():
        code = torch.jit.script(net) if model.script else torch.jit.trace(net, tuple(example.values()), check_trace=False)
    inputs = model.inputs or [
        ct.TensorType(
            name=name,
            shape=model.shapes.get(name, tensor.shape),
            dtype=number if tensor.is_floating_point() else np.int32,
        )
        for name, tensor in example.items()
    ]
    arguments = dict(model.convert)
    if "classifier_config" not in arguments:
        arguments["outputs"] = [
            ct.TensorType(name=name, dtype=np.float16) if model.io16 else ct.TensorType(name=name) for name in model.outputs
        ]
    if model.states:
        arguments["states"] = [
            ct.StateType(wrapped_type=ct.TensorType(shape=getattr(net, name).shape, dtype=np.float16), name=name)
            for name in model.states
        ]
        for name in model.states:
            getattr(net, name).zero_()
    made = ct.convert(
        code,
        inputs=inputs,
        minimum_deployment_target=TARGETS[model.opset],
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT16 if model.fp16 else ct.precision.FLOAT32,
        skip_model_load=True,
        **arguments,
    )
    return model.compress(made) if model.compress else made


def decompressed(model: Model, made: Any) -> torch.nn.Module:
    """The network with the weights that the compressed package holds, as coremltools decompresses them."""
    import coremltools.optimize.coreml as optimize

    found = optimize.get_weights_metadata(optimize.decompress_weights(made), weight_threshold=1)
    net = copy.deepcopy(model.net)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            stem = name.replace(".", "_")
            matches = [w for w in found if w == stem or w.startswith(stem + "_")]
            if len(matches) == 1:
                values = np.asarray(found[matches[0]].val, dtype=np.float64)
                parameter.copy_(torch.tensor(values).reshape(parameter.shape))
            elif parameter.ndim > 1:
                raise ValueError(f"the weight {name} is not found in the package")
    return net


def results(net: torch.nn.Module, model: Model, runs: list[dict[str, torch.Tensor]]) -> list[tuple[list[Any], dict]]:
    """The outputs of each run, and the states after it, in float64."""
    net = copy.deepcopy(net).double().eval()
    for name in model.states:
        getattr(net, name).zero_()
    found = []
    for run in runs:
        wide = {name: t.double() if t.is_floating_point() else t for name, t in run.items()}
        with torch.no_grad():
            out = model.expect(wide) if model.expect else net(*wide.values())
        out = list(out) if isinstance(out, (tuple, list)) else [out]
        found.append((out, {name: getattr(net, name).clone() for name in model.states}))
    return found


def array(value: Any) -> np.ndarray:
    """A value as it is stored: floats as float32, whole numbers as int32."""
    if torch.is_tensor(value):
        value = value.detach().numpy()
    value = np.asarray(value, order="C")
    if value.dtype.kind == "f":
        return value.astype(np.float32)
    return value.astype(np.int32) if value.dtype.kind in "iub" else value


def settle(folder: Path, name: str) -> None:
    """Writes what differs from one conversion to the next in one way: the date, the names of items, the order of maps."""
    manifest_path = folder / "Manifest.json"
    manifest = json.loads(manifest_path.read_text())
    renamed = {}
    for old, entry in manifest["itemInfoEntries"].items():
        renamed[old] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"anemone/{name}/{entry['path']}")).upper()
    manifest["rootModelIdentifier"] = renamed[manifest["rootModelIdentifier"]]
    entries = {renamed[old]: entry for old, entry in manifest["itemInfoEntries"].items()}
    manifest["itemInfoEntries"] = dict(sorted(entries.items()))
    manifest_path.write_text(json.dumps(manifest, indent=4) + "\n")
    model_path = folder / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = ct.proto.Model_pb2.Model.FromString(model_path.read_bytes())
    for key in [k for k in spec.description.metadata.userDefined if k.endswith("conversion_date")]:
        del spec.description.metadata.userDefined[key]
    model_path.write_bytes(spec.SerializeToString(deterministic=True))


def size(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Case:
    """What is written beside a package: the runs, in the form of case.json."""

    def __init__(self, folder: Path, name: str, opset: str, note: str, tolerance: float | None):
        self.folder = folder
        self.case: dict[str, Any] = {"name": name, "opset": opset, "notes": note, "tolerance": tolerance, "steps": []}
        (folder / "io").mkdir()

    def files(self, kind: str, values: dict[str, Any]) -> list[dict[str, str]]:
        at = len(self.case["steps"])
        rows = []
        for name, value in values.items():
            stored = array(value)
            shown = f"io/{at}_{kind}_{name}.npy"
            np.save(self.folder / shown, stored)
            rows.append({"name": name, "file": shown})
        return rows

    def step(self, function: str, inputs: dict, outputs: dict, states: dict) -> None:
        step = {
            "function": function,
            "inputs": self.files("in", inputs),
            "outputs": self.files("out", outputs),
        }
        if states:
            step["states_after"] = self.files("state", states)
        self.case["steps"].append(step)

    def write(self) -> None:
        (self.folder / "case.json").write_text(json.dumps(self.case, indent=1) + "\n")


def record(model: Model, case: Case, made: Any, function: str = "main") -> None:
    """Adds the runs of a model to its case."""
    runs = rounded(model)
    net = decompressed(model, made) if model.compress else model.net
    for run, (outputs, states) in zip(runs, results(net, model, runs)):
        case.step(function, run, dict(zip(model.outputs, outputs)), states)


def make(name: str, folder: Path) -> None:
    """Makes one package and its case."""
    torch.manual_seed(zlib.crc32(name.encode()))
    np.random.seed(zlib.crc32(name.encode()) & 0xFFFF)
    made = MODELS[name]()
    functions: dict[str, Model] = made if isinstance(made, dict) else {"main": made}
    for model in functions.values():
        if model.fp16:
            halves(model.net)
    first = next(iter(functions.values()))
    case = Case(folder, name, first.opset, first.note, first.tolerance)
    path = folder / "model.mlpackage"
    if len(functions) == 1:
        converted = convert(first)
        converted.save(str(path))
        record(first, case, converted)
    else:
        descriptor = ct.utils.MultiFunctionDescriptor()
        with tempfile.TemporaryDirectory() as parts:
            for function, model in functions.items():
                part = f"{parts}/{function}.mlpackage"
                converted = convert(model)
                converted.save(part)
                descriptor.add_function(part, "main", function)
                record(model, case, converted, function)
            descriptor.default_function_name = next(iter(functions))
            utils.save_multifunction(descriptor, str(path))
    settle(path, name)
    case.write()


def differences(made: Path, kept: Path) -> list[str]:
    """The files that are in one folder only, or differ."""
    found = {path.relative_to(folder) for folder in (made, kept) for path in folder.rglob("*") if path.is_file()}
    same = filecmp.cmpfiles(made, kept, sorted(found), shallow=False)[0]
    return sorted(str(path) for path in found - set(same))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--check", action="store_true", help="compare with what is there, and write nothing")
    arguments.add_argument("--output", type=Path, default=Path(__file__).resolve().parent / "models", metavar="DIR")
    options = arguments.parse_args()
    from networks import audio, packaging, structures, text, vision  # noqa: F401

    unknown = [name for name in options.names if name not in MODELS]
    if unknown:
        arguments.error(f"there is no package {unknown[0]}; there are {', '.join(MODELS)}")
    good = True
    for name in options.names or MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            made, kept = Path(scratch), options.output / name
            try:
                make(name, made)
            except Exception as error:  # one package that coremltools refuses must not keep the others from being made
                good = False
                print(f"{name}: {type(error).__name__}: {error}")
                continue
            if options.check:
                differ = differences(made, kept)
                good &= not differ
                print(f"{name}: {'differs in ' + ', '.join(differ) if differ else 'the same'}", flush=True)
                continue
            shutil.rmtree(kept, ignore_errors=True)
            if size(made) > LIMIT:
                print(f"{name}: {size(made)} bytes, too large to keep", flush=True)
            else:
                shutil.copytree(made, kept)
                print(f"{name}: {size(made)} bytes", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    # The networks import this file under its own name, and must meet the same registry.
    sys.modules["models"] = sys.modules["__main__"]
    sys.exit(main())
