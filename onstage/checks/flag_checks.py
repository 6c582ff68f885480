"""Whether a script's own command-line parsing takes the flags of a request, seen without running the script."""

import argparse
import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from onstage.checks.source_checks import Source
from onstage.report import Finding

_TYPES = {"int": int, "float": float, "str": str}
# What changes how a line is taken; help and the like do not.
_LITERAL = ("action", "nargs", "const", "choices", "required", "dest")
_ACTIONS = ("store", "store_true", "store_false", "store_const", "append", "count", "extend")


class _RefusedError(Exception):
    """What argparse says of a command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)


def unknown_because(code: Source, file: Path) -> str | None:
    """Why nothing can be said of the flags that `file` takes; None where its argparse can be read."""
    calls = [node for node in ast.walk(code.trees.get(file, ast.Module([], []))) if isinstance(node, ast.Call)]
    names = [_name(call) for call in calls]
    where = code.name(file)
    if names.count("ArgumentParser") != 1:
        return f"{where} does not parse its flags with one argparse.ArgumentParser"
    if "add_subparsers" in names or any(
        keyword.arg in ("parents", "fromfile_prefix_chars", "prefix_chars", "allow_abbrev")
        for call in calls
        if _name(call) == "ArgumentParser"
        for keyword in call.keywords
    ):
        return f"the parser of {where} does more than can be seen without running it"
    for call in calls:
        if _name(call) == "add_argument" and _options(call) is None:
            return f"{where}, line {call.lineno}: the argument is computed"
    parses = [call for call in calls if _name(call) in ("parse_args", "parse_known_args")]
    if len(parses) != 1 or any(isinstance(word, ast.List) for word in parses[0].args):
        return f"{where} does not call parse_args once, for the command line"
    return None


def check_flags(code: Source, file: Path, flags: Sequence[str]) -> list[Finding]:
    """Run the argparse of `file`, of which `unknown_because` says nothing, on the flags of the request."""
    calls = [node for node in ast.walk(code.trees[file]) if isinstance(node, ast.Call)]
    parser = _Parser(prog=code.name(file))
    for call in sorted((one for one in calls if _name(one) == "add_argument"), key=lambda one: one.lineno):
        words, options = _options(call) or ((), {})
        parser.add_argument(*words, **options)
    parse = next(call for call in calls if _name(call) in ("parse_args", "parse_known_args"))
    try:
        (parser.parse_args if _name(parse) == "parse_args" else parser.parse_known_args)(list(flags))
    except _RefusedError as refused:
        return [
            Finding(
                f"argparse refuses the flags of the request: {refused}",
                "correct the name or the value in the request, or add_argument in the script",
                f"{parser.prog}: error: {refused}, and exit code 2",
                file=code.name(file),
                line=parse.lineno,
            )
        ]
    except SystemExit:
        # --help, of which argparse says nothing bad.
        return [Finding("argparse prints its help for the flags of the request, and ends", "leave --help out")]
    return []


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _options(call: ast.Call) -> tuple[list[str], dict[str, Any]] | None:
    """The words and the options of an add_argument that matter; None for what only a run would tell."""
    try:
        words = [ast.literal_eval(word) for word in call.args]
    except ValueError:
        return None
    options: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            return None
        if keyword.arg in _LITERAL:
            try:
                options[keyword.arg] = ast.literal_eval(keyword.value)
            except ValueError:
                # Choices that are computed are not looked at; what else is computed decides too much.
                if keyword.arg != "choices":
                    return None
        if keyword.arg == "type" and isinstance(keyword.value, ast.Name):
            options["type"] = _TYPES.get(keyword.value.id, str)
    if any(keyword.arg == "type" for keyword in call.keywords) and options.get("type", str) is str:
        # What a type of the script's own makes of a text is not known, and so not whether it is a choice.
        options.pop("choices", None)
    if not words or not all(isinstance(word, str) for word in words) or options.get("action", "store") not in _ACTIONS:
        return None
    return words, options
