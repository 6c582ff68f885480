"""Whether a script's own command-line parsing takes the flags of a request, seen without running the script."""

import argparse
import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from onstage.checks import parser_calls
from onstage.checks.parser_calls import literal, name_of
from onstage.checks.source_checks import Source
from onstage.report import Finding

_TYPES = {"int": int, "float": float, "str": str}
# What changes how a line is taken; help and the like do not.
_LITERAL = ("action", "nargs", "const", "choices", "required", "dest")
_ACTIONS = ("store", "store_true", "store_false", "store_const", "append", "count", "extend")
# What changes which flags there can be.
_OF_PARSER = ("add_help", "conflict_handler")


class _RefusedError(Exception):
    """What argparse says of a command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)

    def _print_message(self, message: str, file: object = None) -> None:
        """Standard output is the report's."""


def unknown_because(code: Source, file: Path) -> str | None:
    """Why nothing can be said of the flags that `file` takes; None where its argparse can be read."""
    where, tree = code.name(file), code.trees.get(file, ast.Module([], []))
    if why := parser_calls.unreadable_because(tree):
        return f"{where} {why}"
    for call in parser_calls.named(tree, "add_argument"):
        if _options(call, parser_calls.bound(tree)) is None:
            return f"{where}, line {call.lineno}: the argument is computed"
    return None


def check_flags(code: Source, file: Path, flags: Sequence[str]) -> list[Finding]:
    """Run the argparse of `file`, of which `unknown_because` says nothing, on the flags of the request."""
    tree, where = code.trees[file], code.name(file)
    (made,) = parser_calls.named(tree, "ArgumentParser")
    told = {one.arg: literal(one.value) for one in made.keywords if one.arg in _OF_PARSER}
    options: dict[str, Any] = {name: found[0] for name, found in told.items() if name and found}
    parser = _Parser(prog=where, **options)
    for call in parser_calls.named(tree, "add_argument"):
        words, options = _options(call, parser_calls.bound(tree)) or ((), {})
        try:
            parser.add_argument(*words, **options)
        except (argparse.ArgumentError, TypeError, ValueError) as error:
            what = f"argparse refuses this argument: {error}"
            cloud = f"{type(error).__name__}: {error}"
            return [Finding(what, "correct add_argument in the script", cloud, file=where, line=call.lineno)]
    (parse,) = parser_calls.named(tree, "parse_args", "parse_known_args")
    try:
        (parser.parse_args if name_of(parse) == "parse_args" else parser.parse_known_args)(list(flags))
    except _RefusedError as refused:
        return [
            Finding(
                f"argparse refuses the flags of the request: {refused}",
                "correct the name or the value in the request, or add_argument in the script",
                f"{parser.prog}: error: {refused}, and exit code 2",
                file=where,
                line=parse.lineno,
            )
        ]
    except SystemExit:
        # --help, of which argparse says nothing bad.
        return [Finding("argparse prints its help for the flags of the request, and ends", "leave --help out")]
    return []


def _options(call: ast.Call, bound: frozenset[str]) -> tuple[list[str], dict[str, Any]] | None:
    """The words and the options of an add_argument that matter; None for what only a run would tell.

    `bound` are names that the script gives a meaning of its own, such as an `int` that is not Python's.
    """
    words = [literal(word) for word in call.args]
    if not words or not all(word and isinstance(word[0], str) for word in words):
        return None
    options: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            return None
        if keyword.arg in _LITERAL:
            if found := literal(keyword.value):
                options[keyword.arg] = found[0]
            # Choices that are computed are not looked at; what else is computed decides too much.
            elif keyword.arg != "choices":
                return None
        if keyword.arg == "default" and (found := literal(keyword.value)) and isinstance(found[0], str):
            # Only a text is read as a flag's value is.
            options["default"] = found[0]
        if keyword.arg == "type":
            name = getattr(keyword.value, "id", "")
            options["type"] = str if name in bound else _TYPES.get(name, str)
    if options.get("action", "store") not in _ACTIONS:
        return None
    if "type" in options and options["type"] is str:
        # What a type of the script's own makes of a text is not known, and so not whether it is a choice.
        options.pop("choices", None)
    return [word[0] for word in words if word], options
