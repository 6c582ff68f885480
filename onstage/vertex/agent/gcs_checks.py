"""Finds code that treats Cloud Storage as a disk: Python's own file functions on gs://, and writes that /gcs cannot do.

https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
"""

import ast
import re
from collections.abc import Callable, Iterator

from onstage.checks.source_checks import Source
from onstage.report import Finding

# Fields of trainer.run.Run and variables of the service that hold gs:// URIs in a job.
_LOCATIONS = {"train_data", "eval_data", "export_dir", "checkpoint_dir", "log_dir"}
_PATHS = {"Path", "PurePath", "PosixPath", "PurePosixPath"}
_FILE_FUNCTIONS = {
    "open", "io.open", "os.listdir", "os.makedirs", "os.mkdir", "os.path.exists", "os.path.isdir", "os.path.isfile",
    "os.remove", "os.rename", "os.replace", "os.stat", "os.walk", "glob.glob", "glob.iglob", "shutil.copy",
    "shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree",
}  # fmt: skip
# Not in place, and not at once: an object is written as a whole, and a rename is a copy and a deletion.
_RENAMES = {"os.rename", "os.replace", "os.link", "os.symlink", "os.truncate", "tf.io.gfile.rename"}
_RENAMING_METHODS = {"rename", "replace", "symlink_to", "hardlink_to"}
_IN_PLACE = {"sqlite3.connect", "h5py.File", "mmap.mmap", "np.memmap", "numpy.memmap", "shelve.open", "dbm.open"}


def check_gcs(code: Source) -> list[Finding]:
    """Places in Cloud Storage that go to pathlib, open() or os, and writes below /gcs that change what is there."""
    findings = []
    for file, tree in code.trees.items():
        uris, mounted = _names(tree, _is_uri), _names(tree, _is_mounted)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            found = _uri_finding(node, uris) or _mount_finding(node, mounted)
            if found:
                found.file, found.line = code.name(file), node.lineno
                findings.append(found)
    return findings


def _uri_finding(call: ast.Call, names: set[str]) -> Finding | None:
    name = ast.unparse(call.func)
    if not call.args or not _holds(call.args[0], names, _is_uri):
        return None
    if name.rpartition(".")[2] in _PATHS:
        return Finding(
            f"{name}() makes gs:/ of gs://, a folder of the container that nobody keeps",
            "keep it a text: trainer.run.join puts paths together, tf.io.gfile opens, lists and copies",
            "FileNotFoundError: [Errno 2] No such file or directory: 'gs:/...'",
        )
    if name in _FILE_FUNCTIONS:
        return Finding(
            f"{name}() does not know gs://",
            f"use tf.io.gfile, such as tf.io.gfile.{_gfile(name)}",
            "FileNotFoundError: [Errno 2] No such file or directory: 'gs://...'",
        )
    return None


def _mount_finding(call: ast.Call, names: set[str]) -> Finding | None:
    name = ast.unparse(call.func)
    first = call.args[0] if call.args else None
    if name.rpartition(".")[2] == "open" and name not in _IN_PLACE:
        # open(path, mode), or path.open(mode).
        method = isinstance(call.func, ast.Attribute) and name not in ("io.open", "os.open")
        place = call.func.value if method and isinstance(call.func, ast.Attribute) else first
        modes = [*call.args[0 if method else 1 :][:1], *(one.value for one in call.keywords if one.arg == "mode")]
        mode = next((one.value for one in modes if isinstance(one, ast.Constant)), "r")
        how = f"{name}() with mode {mode!r} changes a file in place" if set(str(mode)) & {"a", "+"} else ""
    elif name in _RENAMES or name in _IN_PLACE:
        # Either end of a renaming.
        place, how = next((one for one in call.args if _holds(one, names, _is_mounted)), None), f"{name}() changes it"
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _RENAMING_METHODS and len(call.args) == 1:
        place, how = call.func.value, f"{call.func.attr}() renames"
    else:
        return None
    if not how or place is None or not _holds(place, names, _is_mounted):
        return None
    return Finding(
        f"{how}, and /gcs cannot: its files are objects, each written as a whole",
        "write to a local file, and copy it when it is done: tf.io.gfile.copy(local, 'gs://...')",
    )


def _names(tree: ast.Module, is_place: Callable[[ast.expr], bool]) -> set[str]:
    """Names that are given a place; in the order of the file, so one name may follow from another."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value and _holds(node.value, names, is_place):
            names |= {one.id for one in _targets(node) if isinstance(one, ast.Name)}
    return names


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _holds(node: ast.expr, names: set[str], is_place: Callable[[ast.expr], bool]) -> bool:
    """Whether an expression is put together from a place, in whatever way leaves it one."""
    return any(is_place(one) or (isinstance(one, ast.Name) and one.id in names) for one in _parts(node))


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    yield node
    if isinstance(node, ast.JoinedStr):
        for value in node.values[:1]:
            yield from _parts(value.value if isinstance(value, ast.FormattedValue) else value)
    elif isinstance(node, ast.BinOp):
        yield from _parts(node.left)
    # join(place, ...), Path(place), place.rstrip("/"). What a function of tf.io.gfile answers is no place, and
    # uri.replace("gs://", "/gcs/") is another.
    elif isinstance(node, ast.Call) and not re.match(r"tf\.|.*\.replace$", ast.unparse(node.func)):
        for value in node.args[:1]:
            yield from _parts(value)
        if isinstance(node.func, ast.Attribute):
            yield from _parts(node.func.value)


def _is_uri(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.startswith("gs://")
    if isinstance(node, ast.Subscript):
        # os.environ["AIP_MODEL_DIR"]
        return _is_variable(node.slice)
    if isinstance(node, ast.Call):
        # os.environ.get("AIP_MODEL_DIR"), os.getenv("AIP_MODEL_DIR")
        return any(_is_variable(one) for one in node.args[:1])
    return isinstance(node, ast.Attribute) and node.attr in _LOCATIONS


def _is_variable(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("AIP_")


def _is_mounted(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "replace":
        return any(map(_is_mounted, node.args[1:]))
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and f"{node.value}/".startswith("/gcs/")


def _gfile(name: str) -> str:
    return {
        "open": "GFile", "os.makedirs": "makedirs", "os.mkdir": "makedirs", "os.listdir": "listdir", "os.walk": "walk",
        "os.path.exists": "exists", "os.path.isdir": "isdir", "os.path.isfile": "exists", "os.stat": "stat",
        "os.remove": "remove", "os.rename": "rename", "os.replace": "rename", "shutil.rmtree": "rmtree",
        "glob.glob": "glob", "glob.iglob": "glob",
    }.get(name, "copy" if name.startswith("shutil") else "GFile")  # fmt: skip
