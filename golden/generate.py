"""Computes the golden vectors: `python3 generate.py [--check] [family ...]`.

It writes vectors/, programs/ and generators/ anew from the family files under cases/, or, with --check, says where the committed files
differ from what the scripts give, and exits with 1. `cargo xtask golden` runs it in a fresh environment.
"""

import argparse
import importlib
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
warnings.filterwarnings("ignore")

from case import RECORDED, same  # noqa: E402

FAMILIES = sorted(p.stem for p in (HERE / "cases").glob("*.py"))


def files():
    """The files that the recorded cases make, by their paths below this folder."""
    made = {}
    for op, lines in RECORDED.vectors.items():
        head = f"# `{op}`: opset, source, within, note, arguments -> results. Written by cases/{RECORDED.owners[op]}.py."
        made[f"vectors/{op}.tsv"] = "\n".join([head, *lines]) + "\n"
    for name, program in RECORDED.programs.items():
        assert program.lines, f"the program `{name}` is never run"
        head = f"# {program.note}: source, within, note, inputs -> results. Written by cases/{RECORDED.owners[name]}.py."
        made[f"programs/{name}.mil"] = program.text
        made[f"programs/{name}.tsv"] = "\n".join([head, "ops\t" + "\t".join(program.ops), *program.lines]) + "\n"
    for name, lines in RECORDED.generators.items():
        head = f"# `{name}`: source, within, note, dims, weights, inputs -> results. Written by cases/{RECORDED.owners[name]}.py."
        made[f"generators/{name}.tsv"] = "\n".join([head, *lines]) + "\n"
    return made


def written(families):
    """The committed files that these families wrote."""
    found = {}
    for path in sorted([p for folder in ("vectors", "programs", "generators") for p in HERE.glob(f"{folder}/*.tsv")]):
        head = path.read_text().split("\n", 1)[0]
        if any(head.endswith(f"Written by cases/{f}.py.") for f in families) or families == FAMILIES:
            found[str(path.relative_to(HERE))] = path
            text = path.with_suffix(".mil")
            if path.parent.name == "programs" and text.exists():
                found[str(text.relative_to(HERE))] = text
    return found


def differences(path, old, new):
    """What differs between the committed text of a file and the text that the scripts give."""
    if old is None:
        return [f"{path}: is not there"]
    if new is None:
        return [f"{path}: no script writes it"]
    old, new = old.splitlines(), new.splitlines()
    found = [f"{path}: {len(old)} lines are there, {len(new)} are written"] if len(old) != len(new) else []
    for number, (a, b) in enumerate(zip(old, new), 1):
        if not same(a, b):
            found.append(f"{path}:{number}: there is\n  {a[:300]}\nwritten is\n  {b[:300]}")
    return found


def main():
    parser = argparse.ArgumentParser(description="Computes the golden vectors.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("families", nargs="*", metavar="family", help=f"only these: {', '.join(FAMILIES)}")
    args = parser.parse_args()
    families = args.families or FAMILIES
    for family in families:
        if family not in FAMILIES:
            parser.error(f"there is no cases/{family}.py")
        RECORDED.family = family
        importlib.import_module(f"cases.{family}")
    made, there = files(), written(families)
    count = f"{sum(map(len, RECORDED.vectors.values()))} cases of {len(RECORDED.vectors)} ops"
    count += f", {sum(len(p.lines) for p in RECORDED.programs.values())} runs of {len(RECORDED.programs)} programs"
    count += f", {sum(map(len, RECORDED.generators.values()))} runs of {len(RECORDED.generators)} generators"
    if args.check:
        found = []
        for path in sorted({*made, *there}):
            old = (HERE / path).read_text() if (HERE / path).exists() else None
            found += differences(path, old, made.get(path))
        print("\n".join([*found, f"{len(found)} differences in {count}"]))
        return 1 if found else 0
    for path, file in there.items():
        if path not in made:
            file.unlink()
    for path, text in made.items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(text)
    print(count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
