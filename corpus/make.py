#!/usr/bin/env python3
"""Writes the files of the corpus that are not text: weight files, and packages that are broken in one place each.

Run it in this folder after a change here; the files it writes are committed, so that no test needs Python. It uses
the standard library only, and writes the formats byte by byte: what it makes wrong, no library would agree to write.
"""

import json
import os
import shutil
import struct
from pathlib import Path

HERE = Path(__file__).parent
WRONG = HERE / "wrong"


def put(path, data):
    """Writes a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


# --- weight files ---------------------------------------------------------------------------------------------------

FP16, FP32, INT16, UINT4 = 1, 2, 6, 11


def header(count, version=2):
    return struct.pack("<II", count, version) + bytes(56)


def record(dtype, size, offset, padding=0):
    return struct.pack("<IIQQQ", 0xDEADBEEF, dtype, size, offset, padding) + bytes(32)


def blob(*tensors):
    """A weight file of (dtype, data, unused bits in the last byte)."""
    out = header(len(tensors))
    for dtype, data, padding in tensors:
        out += bytes(-len(out) % 64)
        out += record(dtype, len(data), len(out) + 64, padding) + data
    return out


def fp16(*numbers):
    return struct.pack(f"<{len(numbers)}e", *numbers)


def weight_files():
    four = (FP16, fp16(1, 2, 3, 4), 0)
    for code in ["blob-record", "blob-size"]:
        put(WRONG / code / "weights/weight.bin", blob(four))
    put(WRONG / "blob-record/weights/unknown-dtype.bin", header(1) + record(99, 8, 128) + bytes(8))
    put(WRONG / "blob-size/weights/uint4.bin", blob((UINT4, bytes(5), 4)))
    put(WRONG / "blob-header/weights/version-1.bin", header(1, version=1) + record(FP16, 8, 128) + bytes(8))
    put(WRONG / "blob-header/weights/image.bin", b"\x89PNG\r\n\x1a\n" + bytes(120))
    put(WRONG / "blob-header/weights/short.bin", header(1)[:16])
    put(WRONG / "blob-header/weights/empty.bin", b"")
    put(WRONG / "blob-bounds/weights/cut.bin", header(1) + record(FP16, 128, 128) + bytes(100))
    put(WRONG / "blob-bounds/weights/far.bin", header(1) + record(FP16, 8, 1 << 40) + bytes(8))
    put(WRONG / "blob-bounds/weights/overflow.bin", header(1) + record(FP16, (1 << 64) - 8, 128) + bytes(8))
    put(WRONG / "blob-dtype/weights/fp32.bin", blob((FP32, struct.pack("<4f", 1, 2, 3, 4), 0)))
    put(WRONG / "blob-dtype/weights/int16.bin", blob((INT16, struct.pack("<4h", 1, 2, 3, 4), 0)))
    put(WRONG / "lfs-pointer/weights/weight.bin", LFS_POINTER)
    two = (FP16, fp16(1, 0, -1, 0.5, 0, 2, 0.25, 1), 0), (FP16, fp16(0.5, -0.5), 0)
    put(HERE / "right/weights/weight.bin", blob(*two))


LFS_POINTER = """version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
"""

# --- protobuf -------------------------------------------------------------------------------------------------------


def varint(n):
    out = b""
    n &= (1 << 64) - 1
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A field: a number, or the bytes of a string or message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(key, value):
    return field(1, key) + field(2, value)


def tensor_type(dtype, shape):
    dims = b"".join(field(3, field(1, field(1, d)) if d else field(2, b"")) for d in shape)
    return field(1, field(1, dtype) + field(2, len(shape)) + dims)


def named(name, ty):
    return field(1, name) + field(2, ty)


PB_FP16, ARRAY_FP16 = 10, 65552


def operation(op, inputs, outputs):
    arguments = b"".join(field(2, entry(k, field(1, field(1, v)))) for k, v in inputs.items())
    return field(1, op) + arguments + b"".join(field(3, named(n, t)) for n, t in outputs.items())


def program(shape=(4,), op="relu", opset="CoreML8", block_opset=None):
    """`y = relu(x = x)`"""
    ty = tensor_type(PB_FP16, shape)
    block = field(2, "y") + field(3, operation(op, {"x": "x"}, {"y": ty}))
    function = field(1, named("x", ty)) + field(2, opset) + field(3, entry(block_opset or opset, block))
    return field(1, 1) + field(2, entry("main", function))


def feature(name, dtype=ARRAY_FP16, shape=(4,)):
    array = b"".join(field(1, d) for d in shape) + field(2, dtype)
    return field(1, name) + field(3, field(5, array))


def model(kind=502, body=None, inputs=None, outputs=None, functions=(), version=9):
    """A model file; kind is the number of its field."""
    inputs, outputs = inputs or [feature("x")], outputs or [feature("y")]
    description = b"".join(field(1, f) for f in inputs) + b"".join(field(10, f) for f in outputs)
    if functions:
        signature = b"".join(field(2, f) for f in inputs) + b"".join(field(3, f) for f in outputs)
        description = b"".join(field(20, field(1, name) + signature) for name in functions)
    return field(1, version) + field(2, description) + field(kind, program() if body is None else body)


# --- packages -------------------------------------------------------------------------------------------------------

MODEL_ID, WEIGHTS_ID = "6E6E1A5F-0C8B-4E0E-8C6B-1B6E1C7F4A01", "6E6E1A5F-0C8B-4E0E-8C6B-1B6E1C7F4A02"


def manifest(path="com.apple.CoreML/model.mlmodel", root=MODEL_ID):
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            MODEL_ID: {
                "author": "com.apple.CoreML",
                "description": "CoreML Model Specification",
                "name": "model.mlmodel",
                "path": path,
            },
        },
        "rootModelIdentifier": root,
    }


def package(path, model_file=None, manifest_file=None, files=()):
    """A package; what is None is left out."""
    if manifest_file is not None:
        data = manifest_file if isinstance(manifest_file, (str, bytes)) else json.dumps(manifest_file, indent=2) + "\n"
        put(path / "Manifest.json", data)
    if model_file is not None:
        put(path / "Data/com.apple.CoreML/model.mlmodel", model_file)
    for name, data in dict(files).items():
        put(path / name, data)


def expect(path, *lines):
    """What is expected of a file that cannot say it itself; lines that are there are left as they are."""
    path = path.with_name(path.name + ".expect")
    if not path.exists():
        put(path, "".join(line + "\n" for line in lines))


def packages():
    def wrong(code, name, what, *args, **kwargs):
        path = WRONG / code / f"{name}.mlpackage"
        shutil.rmtree(path, ignore_errors=True)
        package(path, *args, **kwargs)
        expect(path, f"# {what}", f"error[{code}]")
        return path

    note = {"README.txt": "Nothing here is a model.\n"}
    wrong("manifest-missing", "empty", "A folder with the right name and nothing of a package in it.", files=note)
    wrong("manifest-missing", "only-data", "The model is there; nothing says where.", model())

    wrong("manifest-invalid", "not-json", "The manifest is a property list.", model(), '<?xml version="1.0"?>\n<plist/>\n')
    wrong("manifest-invalid", "cut", "The manifest ends in the middle.", model(), json.dumps(manifest())[:100])
    wrong("manifest-invalid", "list", "JSON, but a list.", model(), "[]\n")
    wrong("manifest-invalid", "no-root", "The manifest does not say which item is the model.", model(),
          {k: v for k, v in manifest().items() if k != "rootModelIdentifier"})
    wrong("manifest-invalid", "dangling-root", "The model that the manifest names is not among its items.", model(),
          manifest(root=WEIGHTS_ID))
    wrong("manifest-invalid", "path-is-a-number", "A path that is none.", model(), manifest(path=7))
    wrong("manifest-invalid", "not-utf8", "The manifest is not UTF-8.", model(), b"\xff\xfe{\0}\0")

    wrong("path-escape", "parent", "The way out of the package.", model(), manifest("../../../relu.mil"))
    wrong("path-escape", "absolute", "A path from the root of the file system.", model(), manifest("/etc/passwd"))
    wrong("path-escape", "folder-and-back", "A way out that starts inside.", model(),
          manifest("com.apple.CoreML/../../../model.mlmodel"))
    linked = wrong("path-escape", "link", "The model is a link that leads out of the package.", None, manifest())
    (linked / "Data/com.apple.CoreML").mkdir(parents=True)
    os.symlink("../../../elsewhere.mlmodel", linked / "Data/com.apple.CoreML/model.mlmodel")
    put(WRONG / "path-escape/elsewhere.mlmodel", model())

    wrong("model-missing", "no-file", "The manifest names a file that is not there.", None, manifest())
    wrong("model-missing", "other-name", "The file is there, under another name.", None, manifest(),
          {"Data/com.apple.CoreML/Model.mlmodel": model()})
    wrong("model-missing", "folder", "Where the model should be is a folder.", None, manifest(),
          {"Data/com.apple.CoreML/model.mlmodel/README.txt": "Not a model.\n"})
    compiled = WRONG / "model-missing/no-program.mlmodelc"
    put(compiled / "metadata.json", "[]\n")
    expect(compiled, "# A compiled model without its program.", "error[model-missing]")

    whole = model()
    wrong("protobuf-invalid", "truncated", "The file ends in the middle of the program.", whole[:-20], manifest())
    wrong("protobuf-invalid", "text", "The file is text.", "program(1.3)\n{\n}\n", manifest())
    wrong("protobuf-invalid", "empty", "The file is empty.", b"", manifest())
    wrong("protobuf-invalid", "length", "A length of nearly 2^64.", field(1, 9) + varint(2 << 3 | 2) + varint(-2), manifest())
    wrong("protobuf-invalid", "wire-type", "A function that is a number.", model(body=field(1, 1) + field(2, 7)), manifest())
    deep = tensor_type(PB_FP16, (4,))
    for _ in range(200):
        deep = field(2, field(1, deep))
    block = field(2, "y") + field(3, operation("relu", {"x": "x"}, {"y": deep}))
    function = field(1, named("x", deep)) + field(2, "CoreML8") + field(3, entry("CoreML8", block))
    wrong("too-deep", "model", "Lists of lists, two hundred deep.",
          model(body=field(1, 1) + field(2, entry("main", function))), manifest())
    wrong("protobuf-invalid", "no-block", "The function is of ios18, and its only block is of ios17.",
          model(body=program(block_opset="CoreML7")), manifest())

    layers = field(1, field(1, "relu") + field(2, "x") + field(3, "y"))
    wrong("not-a-program", "neural-network", "A model of the format before Core ML 5.", model(500, layers, version=4), manifest())
    wrong("not-a-program", "pipeline", "A model that is made of models.", model(202, field(1, model(500, layers, version=4))), manifest())
    wrong("not-a-program", "tree-ensemble", "A model that never was a network.", model(402, b"", version=1), manifest())
    put(WRONG / "not-a-program/bare.mlmodel", model(500, layers, version=4))
    expect(WRONG / "not-a-program/bare.mlmodel", "# A model file without a package, as before Core ML 5.", "error[not-a-program]")

    wrong("interface-mismatch", "input", "The description has an input that the program does not have.",
          model(inputs=[feature("image")]), manifest())
    wrong("interface-mismatch", "output", "The description has an output that the program does not give.",
          model(outputs=[feature("logits")]), manifest())
    wrong("interface-mismatch", "function", "The description has a function that the program does not have.",
          model(functions=["main", "decode"]), manifest())

    wrong("lfs-pointer", "model", "The repository was cloned without its large files.", LFS_POINTER, manifest())
    wrong("unknown-op", "package", "A package is verified like a text; the place is in the program as it is printed.",
          model(body=program(op="rellu")), manifest())
    wrong("unknown-opset", "package", "An opset that Core ML may have one day.", model(body=program(opset="CoreML12")), manifest())

    right = HERE / "right/package.mlpackage"
    shutil.rmtree(right, ignore_errors=True)
    package(right, model(), manifest())
    compiled = HERE / "right/compiled.mlmodelc"
    put(compiled / "model.mil", "program(1.3)\n[buildInfo = dict<string, string>({})]\n{\n    func main<ios18>(tensor<fp16, [4]> x) {\n"
        "            tensor<fp16, [4]> y = relu(x = x);\n        } -> (y);\n}")


def texts():
    """Texts whose bytes an editor would repair."""
    line = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }\n"

    def wrong(code, name, data, what, *lines):
        put(WRONG / code / name, data)
        expect(WRONG / code / name, f"# {what}", *(lines or [f"error[{code}]"]))

    wrong("bad-encoding", "latin1.mil", b"// caf\xe9\n" + line.encode(), "A comment in Latin-1.")
    wrong("bad-encoding", "utf16.mil", b"\xff\xfe" + line.encode("utf-16-le"), "UTF-16, as some editors save it.")
    wrong("bad-encoding", "cut.mil", line.encode() + "// ∞".encode()[:-1], "The text ends inside of a character.")
    wrong("bad-encoding", "surrogate.mil", b"// \xed\xa0\x80\n" + line.encode(), "Half of a pair of UTF-16, put into UTF-8.")
    wrong("unexpected-character", "zero-byte.mil", line.replace(" y = ", " y\0 = "), "A zero byte.", "error[unexpected-character] 1:75")
    wrong("unexpected-token", "empty.mil", "", "A file without a byte.", "error[unexpected-token] 1:1")
    wrong("lfs-pointer", "program.mil", LFS_POINTER, "The program itself is a large file that was not fetched.")
    put(HERE / "right/windows.mil", ("\ufeff" + "// A byte order mark, and line ends of Windows.\n" + line).replace("\n", "\r\n"))
    wrong("unknown-file", "notes.txt", "Here may be a model one day.\n", "Not a name that a program has.")
    wrong("unknown-file", "model.onnx", field(1, 8) + field(2, "pytorch") + field(7, b""), "The format of another world.")
    put(WRONG / "unknown-file/folder/README.txt", "Nothing here is a model.\n")
    expect(WRONG / "unknown-file/folder", "# A folder that is neither a package nor a compiled model.", "error[unknown-file]")


if __name__ == "__main__":
    weight_files()
    packages()
    texts()
