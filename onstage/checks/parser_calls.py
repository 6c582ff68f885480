"""How a script uses argparse, as far as that can be read: what is not sure to happen as it stands there is not read."""

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any

_MAKES, _ADDS, _PARSES = ("ArgumentParser",), ("add_argument",), ("parse_args", "parse_known_args")
# Options of a parser that do not matter here, or are looked at.
_PLAIN = (
    "prog", "usage", "description", "epilog", "formatter_class", "argument_default", "add_help", "conflict_handler",
)  # fmt: skip
_GROUPS = ("add_argument_group", "add_mutually_exclusive_group")
_METHODS = (*_ADDS, *_PARSES, *_GROUPS, "print_help", "print_usage", "format_help", "format_usage", "error", "exit")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What may happen several times, or not at all, or be caught.
_UNSURE = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Lambda, ast.BoolOp, ast.ListComp,
    ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def unreadable_because(tree: ast.Module) -> str | None:
    """Why the flags of a script cannot be told from its text; the script is the subject of the sentence."""
    made, parses = named(tree, *_MAKES), named(tree, *_PARSES)
    if len(made) != 1 or not _is_argparse(tree, made[0]):
        return "does not parse its flags with one argparse.ArgumentParser"
    if len(parses) != 1 or _is_changed(tree) or not _is_command_line(tree, parses[0]):
        return "does not call parse_args once, for the command line"
    if not all(
        option.arg in _PLAIN and (option.arg not in _PLAIN[-2:] or literal(option.value)) for option in made[0].keywords
    ):
        return "has a parser that does more than can be seen without running it"
    if leaves := next(_leaving(tree), None):
        return f"gives its parser away in line {leaves.lineno}, which can do more than is seen without running it"
    sure = set(_sure(tree))
    for call in (*made, *named(tree, *_ADDS), *parses):
        if call not in sure:
            return f"may not do what stands in line {call.lineno}, or not once"
    return None


def named(tree: ast.Module, *names: str) -> list[ast.Call]:
    """The calls of functions or methods with these names, in their order."""
    calls = [node for node in _nodes(tree) if isinstance(node, ast.Call) and name_of(node) in names]
    return sorted(calls, key=lambda call: (call.end_lineno or 0, call.end_col_offset or 0))


def name_of(call: ast.Call) -> str:
    """The last part of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def literal(node: ast.expr) -> tuple[Any] | None:
    """The value that stands there, as the only item; None for one that is computed."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


@cache
def bound(tree: ast.Module) -> frozenset[str]:
    """Names that are defined, imported or assigned anywhere in the script."""
    found = {node.name for node in _nodes(tree) if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    found |= {node.id for node in _nodes(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    return frozenset(found | _imported(tree))


def _imported(tree: ast.Module) -> set[str]:
    imports = (node for node in _nodes(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    return {one.asname or one.name for node in imports for one in node.names}


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


def _is_argparse(tree: ast.Module, made: ast.Call) -> bool:
    if ast.unparse(made.func) == "argparse.ArgumentParser":
        return True
    return isinstance(made.func, ast.Name) and any(
        isinstance(node, ast.ImportFrom)
        and node.module == "argparse"
        and any(one.name == "ArgumentParser" and one.asname is None for one in node.names)
        for node in _nodes(tree)
    )


def _is_changed(tree: ast.Module) -> bool:
    """Whether the script may change its command line, or catch what argparse raises."""
    for node in _nodes(tree):
        if isinstance(node, (ast.Subscript, ast.Attribute)) and ast.unparse(node).startswith("sys.argv"):
            is_method = isinstance(node, ast.Attribute) and node.attr != "argv"
            if is_method or not isinstance(node.ctx, ast.Load):
                return True
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            if any(one.name == "argv" for one in node.names):
                return True
        elif isinstance(node, ast.ExceptHandler) and (
            node.type is None or any(name in ast.unparse(node.type) for name in ("SystemExit", "BaseException"))
        ):
            return True
    return False


def _is_command_line(tree: ast.Module, parse: ast.Call) -> bool:
    if not isinstance(parse.func, ast.Attribute) or getattr(parse.func.value, "id", "") in _imported(tree):
        return False
    given = [*parse.args[:1], *(option.value for option in parse.keywords if option.arg in ("args", None))]
    if not given or ast.unparse(given[0]) in ("None", "sys.argv[1:]"):
        return True
    around = next((one for one in _nodes(tree) if isinstance(one, _FUNCTIONS) and parse in ast.walk(one)), None)
    if around is None or not isinstance(given[0], ast.Name):
        return False
    parameters = {one.arg for one in (*around.args.args, *around.args.kwonlyargs)}
    told = [[*call.args, *(option.value for option in call.keywords)] for call in named(tree, around.name)]
    used = [node for node in _nodes(tree) if isinstance(node, ast.Name) and node.id == around.name]
    assigned = {node.id for node in ast.walk(around) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return (
        given[0].id in parameters - assigned
        # Nothing else gives it a command line, as absl's app.run does.
        and len(used) == len(told)
        and all(ast.unparse(one) in ("None", "sys.argv[1:]") for words in told for one in words)
    )


def _leaving(tree: ast.Module) -> Iterator[ast.expr]:
    """Where a parser, or a group of it, is used for what is not seen here."""
    receivers = {
        ast.unparse(call.func.value)
        for call in named(tree, *_ADDS, *_GROUPS, *_PARSES)
        if isinstance(call.func, ast.Attribute)
    }
    for node in _nodes(tree):
        if not (isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call)):
            continue
        if name_of(node.value) in (*_MAKES, *_GROUPS):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            receivers |= {ast.unparse(target) for target in targets}
    own = {node.name for node in _nodes(tree) if isinstance(node, _FUNCTIONS)}
    called = {node.func for node in _nodes(tree) if isinstance(node, ast.Call)}
    for node in _nodes(tree):
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in own):
            told = [*node.args, *(option.value for option in node.keywords)]
            yield from (one for one in told if ast.unparse(one) in receivers)
        elif (
            isinstance(node, ast.Attribute)
            and ast.unparse(node.value) in receivers
            and not (node in called and node.attr in _METHODS)
        ):
            yield node


def _sure(tree: ast.Module) -> Iterator[ast.AST]:
    """What happens when the script is started: neither under a condition nor in a function that nobody calls."""
    functions = [node for node in _nodes(tree) if isinstance(node, _FUNCTIONS)]
    pending: list[ast.AST] = [tree]
    seen: set[ast.AST] = set()
    while pending:
        node = pending.pop()
        names = set()
        for inside in _inside(node):
            yield inside
            names |= {getattr(inside, "id", ""), getattr(inside, "attr", "")}
        found = [one for one in functions if one not in seen and (one.name in names or one.name == "__init__")]
        seen.update(found)
        pending += found


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            continue
        if isinstance(child, _UNSURE) and not _is_main(child):
            continue
        yield child
        yield from _inside(child)


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )
