"""Makes onstage/serving/operations.json anew: `.venv/bin/python packaging/operations.py`, which takes half a minute.

What each minor version of TensorFlow added to the one before: operations, attributes with their defaults, and values of
attributes. From the oldest version that an image serves to the newest that trains, by the wheels of tensorflow-cpu,
1.6 GB in all: each library lists its own operations (TF_GetAllOpList), without Python. What else changed is printed.
"""

import ctypes
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "onstage" / "serving" / "operations.json"
IMAGES = sorted((ROOT / "onstage").glob("*/requests/images.json"))
SOURCE = (
    "TF_GetAllOpList of tensorflow-cpu's wheels, by packaging/operations.py; without operations that begin with _, "
    "which no graph may hold"
)
# All these versions have wheels for it. The platform is a newer one's, and takes wheels for older ones, too.
PYTHON, PLATFORM = "3.11", "x86_64-manylinux_2_28"
# Numbers of types from here on are those of references to them.
REFERENCES = 100
Attributes = dict[str, Any]


class Buffer(ctypes.Structure):
    """The C API's TF_Buffer."""

    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p)]


def versions() -> list[str]:
    """Every minor version from the oldest that the images have to the newest."""
    rows = [row for file in IMAGES for row in json.loads(file.read_text(encoding="utf-8"))["images"]]
    minors = [int(row["tensorflow"].removeprefix("2.")) for row in rows]
    return [f"2.{minor}" for minor in range(min(minors), max(minors) + 1)]


def install(version: str, folder: Path) -> Path:
    """Unpack the newest wheel of a minor version; returns the folder of its libraries."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    wheel = ["--python-version", PYTHON, "--python-platform", PLATFORM, f"tensorflow-cpu=={version}.*"]
    subprocess.run([*uv, *wheel], check=True)
    return folder / "tensorflow"


def list_operations(folder: Path) -> bytes:
    """An OpList as bytes; a process can do this once, because two versions' symbols exclude each other."""
    library = ctypes.CDLL(str(next(folder.glob("libtensorflow_cc.so.*"))))
    library.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
    found = library.TF_GetAllOpList().contents
    return ctypes.string_at(found.data, found.length)


def operations(folder: Path) -> dict[str, Any]:
    """The public operations of a version as OpDefs."""
    from tensorflow.core.framework.op_def_pb2 import OpList

    command = [sys.executable, Path(__file__), "--list", folder]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return {op.name: op for op in OpList.FromString(done.stdout).op if not op.name.startswith("_")}


def value(attribute: Any) -> list[Any]:
    """An AttrValue as its kind, by the name of its field, and its value."""
    kind = attribute.WhichOneof("value")
    plain = getattr(attribute, kind) if kind in ("b", "i", "s", "type") else str(attribute)
    return [kind, plain.decode() if isinstance(plain, bytes) else plain]


def allowed(attribute: Any) -> list[Any]:
    """The kind of an attribute's allowed values, and these; None for any."""
    values = attribute.allowed_values.list
    kind = "type" if values.type else "s"
    return [kind, [one.decode() if kind == "s" else one for one in getattr(values, kind)] or None]


def added(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What a version has and the one before has not."""
    attributes: dict[str, Attributes] = {}
    values: dict[str, Attributes] = {}
    for name in sorted(before.keys() & after.keys()):
        old = {attribute.name: attribute for attribute in before[name].attr}
        for attribute in sorted(after[name].attr, key=lambda one: one.name):
            if attribute.name not in old:
                attributes.setdefault(name, {})[attribute.name] = value(attribute.default_value)
                continue
            (kind, now), (_, then) = allowed(attribute), allowed(old[attribute.name])
            if then and (more := sorted(set(now or ()) - set(then))):
                values.setdefault(name, {})[attribute.name] = [kind, more]
    return {"operations": sorted(after.keys() - before.keys()), "attributes": attributes, "values": values}


def others(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What changed in a version that the table does not tell: look at it."""
    for name in sorted(before.keys() - after.keys()):
        yield f"{name} is gone"
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        for place in ("input_arg", "output_arg"):
            ours, theirs = ([one.SerializeToString() for one in getattr(op, place)] for op in (old, new))
            if ours != theirs:
                yield f"{name} has another {place}"
        now = {attribute.name: attribute for attribute in new.attr}
        for attribute in old.attr:
            if attribute.name not in now:
                yield f"{name} has no {attribute.name} any more"
            elif attribute.default_value != now[attribute.name].default_value:
                yield f"{name} has another default of {attribute.name}"


def table(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The file's content for these versions' operations, oldest first."""
    from tensorflow.core.framework.types_pb2 import DataType

    steps = {name: added(*pair) for name, pair in zip(names[1:], itertools.pairwise(found), strict=True)}
    types = {str(number): name.removeprefix("DT_").lower() for name, number in DataType.items() if number < REFERENCES}
    return {"source": SOURCE, "oldest": names[0], "newest": names[-1], "types": types, "added": steps}


def written(content: Mapping[str, Any]) -> str:
    """The table as JSON, a line for each version's operations, attributes and values."""
    *first, (_, steps) = content.items()
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in first]
    parts = {
        name: ",\n  ".join(f'"{key}": {json.dumps(one)}' for key, one in step.items()) for name, step in steps.items()
    }
    lines.append('"added": {\n' + ",\n".join(f'  "{name}": {{{part}}}' for name, part in parts.items()) + "}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def main() -> None:
    """Write the table."""
    names, found = versions(), []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            found.append(operations(install(name, Path(folder, name))))
            print(f"TensorFlow {name}: {len(found[-1])} operations", flush=True)
            for line in others(*found[-2:]) if len(found) > 1 else ():
                print(f"  not in the table: {line}")
    TABLE.write_text(written(table(names, found)), encoding="utf-8")
    print(f"{TABLE.relative_to(ROOT)}: {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--list"]:
        sys.stdout.buffer.write(list_operations(Path(sys.argv[2])))
    else:
        main()
