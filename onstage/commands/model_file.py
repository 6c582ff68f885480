"""The lines of src/trainer/model.py that `onstage columns --write` owns: `DATA = Table(...)` between two comments."""

import ast
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Collection
from pathlib import Path

from onstage.errors import StartError

BEGIN = "# Table [{}]: `onstage columns FILE --write` writes it, and keeps what you have changed by hand."
END = "# End of the table."
_BEGIN = re.compile(r"^# Table \[(\w*)\].*$", re.MULTILINE)
_END = re.compile(rf"^{re.escape(END)}.*$", re.MULTILINE)
_NUMBER_LOSSES = ("meansquared", "meanabsolute", "mse", "mae", "huber", "logcosh", "poisson")


class NotOwnedError(Exception):
    """Why the lines are not ours to write."""


def laid_out(text: str) -> str:
    """Python as ruff lays it out."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--line-length", "120", "-"],
        input=text.encode(), capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise StartError(f"ruff does not run: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def fingerprint(text: str) -> str:
    """8 hex digits of what a text says in Python and in its comments, however it is laid out."""
    tokens: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        if token.string in ")]" and tokens and tokens[-1] == ",":
            tokens.pop()
        tokens.append(token.string)
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:8]


def owned(text: str) -> str:
    """The two comments and the table between them, as they stand in model.py."""
    return f"{BEGIN.format(fingerprint(text))}\n{text}{END}\n"


def replaced(model: str, table: str, kinds: Collection[str]) -> str:
    """model.py with another table, and the imports that it needs. Raises NotOwnedError."""
    begins, ends = list(_BEGIN.finditer(model)), list(_END.finditer(model))
    if len(begins) != 1 or len(ends) != 1 or begins[0].start() > ends[0].start():
        raise NotOwnedError(
            f"the two comments around DATA are not there once each ({BEGIN.partition(':')[0].format('...')} and {END})"
        )
    begin, end = begins[0], ends[0]
    before = model[begin.end() + 1 : end.start()]
    try:
        body = ast.parse(before).body
        is_data = len(body) == 1 and [ast.unparse(one) for one in getattr(body[0], "targets", [])] == ["DATA"]
        known = fingerprint(before)
    except (SyntaxError, tokenize.TokenError):
        is_data, known = False, ""
    if not is_data:
        raise NotOwnedError("what stands between the two comments is not one statement DATA = ...")
    if known != begin[1]:
        raise NotOwnedError("the table was changed by hand")
    changed = model[: begin.start()] + owned(table) + model[end.end() + 1 :]
    return _with_imports(changed, kinds)


def write(file: Path, model: str) -> None:
    """Put model.py there as a whole."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(model.encode("utf-8"))
    shutil.copymode(file, part)
    os.replace(part, file)


def predicts_number(model: str) -> bool | None:
    """Whether build_model's loss is one for numbers; None where it has both kinds or none that is known."""
    names = {name.casefold().replace("_", "") for name in names_in(model, "build_model")}
    of_classes = any("crossentropy" in name for name in names)
    of_numbers = any(name.startswith(_NUMBER_LOSSES) for name in names)
    return of_numbers if of_classes != of_numbers else None


def names_in(model: str, function: str) -> set[str]:
    """The texts, names and attributes in a function."""
    nodes = list(ast.walk(_function(model, function)))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return texts | names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def outputs(model: str) -> int | None:
    """The units of the Dense layer with softmax in build_model, where they are a number."""
    for node in ast.walk(_function(model, "build_model")):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Dense") and node.args:
            units = node.args[0]
            softmax = any(isinstance(one.value, ast.Constant) and one.value.value == "softmax" for one in node.keywords)
            if softmax and isinstance(units, ast.Constant) and isinstance(units.value, int):
                return units.value
    return None


def _function(model: str, name: str) -> ast.AST:
    try:
        body = ast.parse(model).body
    except SyntaxError:
        body = []
    return next((one for one in body if isinstance(one, ast.FunctionDef) and one.name == name), ast.Module([], []))


def _with_imports(model: str, kinds: Collection[str]) -> str:
    """With just the names of trainer.columns that are used."""
    tree = ast.parse(model)
    imports = [
        one
        for one in tree.body
        if isinstance(one, ast.ImportFrom) and one.module == "trainer.columns" and not one.level
    ]
    if not imports:
        raise NotOwnedError("there is no line: from trainer.columns import ...")
    first, *others = imports
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    elsewhere = {name.asname or name.name for one in others for name in one.names}
    kept = {name.name for name in first.names if not name.asname and name.name in used}
    aliased = [f"{name.name} as {name.asname}" for name in first.names if name.asname]
    names = sorted({*kept, *(kind for kind in kinds if kind not in elsewhere)}) + aliased
    lines = model.splitlines(keepends=True)
    line = laid_out(f"from trainer.columns import {', '.join(names)}\n")
    return "".join([*lines[: first.lineno - 1], line, *lines[first.end_lineno :]])
