"""Finds code that treats Cloud Storage as a disk: Python's own file functions on gs://, and writes that /gcs cannot do.

https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from onstage.checks.names import Names, names_of
from onstage.checks.source_checks import Source
from onstage.report import Finding

# Fields of trainer.run.Run and variables of the service that hold gs:// URIs in a job.
_LOCATIONS = {"train_data", "eval_data", "export_dir", "checkpoint_dir", "log_dir"}
_PATHS = {f"pathlib.{name}" for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")}
_FILE_FUNCTIONS = {
    "open", "io.open", "os.listdir", "os.makedirs", "os.mkdir", "os.path.exists", "os.path.isdir", "os.path.isfile",
    "os.remove", "os.rename", "os.replace", "os.stat", "os.walk", "glob.glob", "glob.iglob", "shutil.copy",
    "shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree", "numpy.load", "numpy.loadtxt",
    "numpy.genfromtxt", "numpy.fromfile", "PIL.Image.open", "gzip.open", "zipfile.ZipFile", "tarfile.open",
}  # fmt: skip
# These take an open file as well.
_TAKES_FILES = {
    "numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "PIL.Image.open", "gzip.open", "zipfile.ZipFile",
}  # fmt: skip
# Not in place, and not at once: an object is written as a whole, and a rename is a copy and a deletion.
_RENAMES = {"os.rename", "os.replace", "os.link", "os.symlink", "os.truncate", "tensorflow.io.gfile.rename"}
_RENAMING_METHODS = {"rename", "replace", "symlink_to", "hardlink_to"}
_IN_PLACE = {"sqlite3.connect", "h5py.File", "mmap.mmap", "numpy.memmap", "shelve.open", "dbm.open"}


def check_gcs(code: Source) -> list[Finding]:
    """Places in Cloud Storage that go to pathlib, open() or os, and writes below /gcs that change what is there."""
    findings = []
    for file, tree in code.trees.items():
        names = names_of(tree)
        uris, mounted = _Places(tree, names, _is_uri), _Places(tree, names, _is_mounted)
        findings += _reader_findings(code, file, tree, names)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = names.of(node.func)
            found = _uri_finding(node, name, uris) or _mount_finding(node, name, mounted)
            if found:
                found.file, found.line = code.name(file), node.lineno
                findings.append(found)
    return findings


def _reader_findings(code: Source, file: Path, tree: ast.Module, names: Names) -> list[Finding]:
    """The same for `train` and `evaluation` of a Reader's `prepare`, which are gs:// places in a job.

    One that asks what they begin with, or has tf.io.gfile, may well know.
    """
    findings = []
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for methods in ({one.name: one for one in each.body if isinstance(one, ast.FunctionDef)} for each in classes):
        prepare = methods.get("prepare")
        if "batches" not in methods or prepare is None or re.search(r"gfile|://", ast.unparse(prepare)):
            continue
        places = _Places(prepare, names, _is_uri, {one.arg for one in prepare.args.args[1:3]})
        for call in (node for node in ast.walk(prepare) if isinstance(node, ast.Call)):
            if found := _uri_finding(call, names.of(call.func), places):
                found.detail += f"; `{ast.unparse(call.args[0])}` of {prepare.name} is such a place in a job"
                found.file, found.line = code.name(file), call.lineno
                findings.append(found)
    return findings


def _uri_finding(call: ast.Call, name: str, uris: "_Places") -> Finding | None:
    written = ast.unparse(call.func)
    if not call.args or not uris.hold(call.args[0]):
        return None
    if name in _PATHS:
        return Finding(
            f"{written}() makes gs:/ of gs://, a folder of the container that nobody keeps",
            "keep it a text: trainer.run.join puts paths together, tf.io.gfile opens, lists and copies",
            "FileNotFoundError: [Errno 2] No such file or directory: 'gs:/...'",
        )
    if name in _FILE_FUNCTIONS:
        return Finding(
            f"{written}() does not know gs://",
            f"use tf.io.gfile, such as tf.io.gfile.{_gfile(name)}"
            + (f": {written}(tf.io.gfile.GFile(place, 'rb'))" if name in _TAKES_FILES else ""),
            "FileNotFoundError: [Errno 2] No such file or directory: 'gs://...'",
        )
    return None


def _mount_finding(call: ast.Call, name: str, mounted: "_Places") -> Finding | None:
    written = ast.unparse(call.func)
    first = call.args[0] if call.args else None
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr == "open" and not name
    if is_method or name.rpartition(".")[2] == "open" and name not in _IN_PLACE:
        # open(path, mode), or path.open(mode).
        method = is_method or name == "pathlib.Path.open"
        place = call.func.value if method and isinstance(call.func, ast.Attribute) else first
        modes = [*call.args[0 if method else 1 :][:1], *(one.value for one in call.keywords if one.arg == "mode")]
        mode = next((one.value for one in modes if isinstance(one, ast.Constant)), "r")
        how = f"{written}() with mode {mode!r} changes a file in place" if set(str(mode)) & {"a", "+"} else ""
    elif name in _RENAMES or name in _IN_PLACE:
        # Either end of a renaming.
        place, how = next(filter(mounted.hold, call.args), None), f"{written}() changes it"
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _RENAMING_METHODS and len(call.args) == 1:
        place, how = call.func.value, f"{call.func.attr}() renames"
    else:
        return None
    if not how or place is None or not mounted.hold(place):
        return None
    return Finding(
        f"{how}, and /gcs cannot: its files are objects, each written as a whole",
        "write to a local file, and copy it when it is done: tf.io.gfile.copy(local, 'gs://...')",
    )


class _Places:
    """Expressions of a file that are put together from a place, and the names that are given one."""

    def __init__(
        self, tree: ast.AST, names: Names, is_place: Callable[[ast.expr], bool], given: Iterable[str] = ()
    ) -> None:
        self._names, self._is_place = names, is_place
        self._given = set(given)
        # In the order of the file, so one name may follow from another.
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value and self.hold(node.value):
                self._given |= {one.id for one in _targets(node) if isinstance(one, ast.Name)}

    def hold(self, node: ast.expr) -> bool:
        """Whether an expression is put together from a place, in whatever way leaves it one."""
        return any(
            self._is_place(one) or (isinstance(one, ast.Name) and one.id in self._given) for one in self._parts(node)
        )

    def _parts(self, node: ast.expr) -> Iterator[ast.expr]:
        yield node
        if isinstance(node, ast.JoinedStr):
            for value in node.values[:1]:
                yield from self._parts(value.value if isinstance(value, ast.FormattedValue) else value)
        elif isinstance(node, ast.BinOp):
            yield from self._parts(node.left)
        elif isinstance(node, ast.Call) and not self._is_another(node.func):
            for value in node.args[:1]:
                yield from self._parts(value)
            if isinstance(node.func, ast.Attribute):
                yield from self._parts(node.func.value)

    def _is_another(self, function: ast.expr) -> bool:
        """Not so join(place, ...), Path(place), place.rstrip("/").

        What a function of tf.io.gfile answers is no place, and uri.replace("gs://", "/gcs/") is another.
        """
        if self._names.of(function).startswith("tensorflow."):
            return True
        return isinstance(function, ast.Attribute) and function.attr == "replace"


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


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
