"""What names in the code stand for, by its imports and its scopes: `p.show` may be matplotlib.pyplot.show."""

import ast
import builtins
from collections.abc import Iterator, Mapping
from functools import cache

_SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp,
)  # fmt: skip
_DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Names:
    """The full names of what one file uses; those that the code makes itself have none."""

    def __init__(self, tree: ast.Module) -> None:
        self._full: dict[ast.Name, str] = {}
        stars = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and _has_star(node)]
        # A name of nobody's may be one that `from pylab import *` brings.
        self._star = next((f"{name}." for name in reversed(stars) if name), "")
        self._look(tree, [])

    def of(self, node: ast.expr) -> str:
        """Such as matplotlib.pyplot.show, or input for Python's own; "" for what has no name outside of the code."""
        if isinstance(node, ast.Attribute):
            inner = self.of(node.value)
            return f"{inner}.{node.attr}".removeprefix("builtins.") if inner else ""
        return self._full.get(node, "") if isinstance(node, ast.Name) else ""

    def _look(self, scope: ast.AST, outer: list[Mapping[str, str]]) -> None:
        own = _bound(scope)
        inside = [own, *outer]
        for node in _nodes(scope):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._full[node] = self._meaning(node.id, inside)
            elif isinstance(node, _SCOPES):
                # Functions in a class do not see its names.
                self._look(node, outer if isinstance(scope, ast.ClassDef) else inside)

    def _meaning(self, name: str, scopes: list[Mapping[str, str]]) -> str:
        found = next((scope[name] for scope in scopes if name in scope), None)
        if found is not None:
            return found
        return name if hasattr(builtins, name) or not self._star else f"{self._star}{name}"


@cache
def names_of(tree: ast.Module) -> Names:
    """`Names` of a file, made once: several checks ask."""
    return Names(tree)


def _nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """What a scope consists of, with the scopes in it but not with what is in those."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def _bound(scope: ast.AST) -> dict[str, str]:
    """The names that a scope makes: of imports with what they stand for, of all others with nothing."""
    own: dict[str, str] = {}
    imported: dict[str, str] = {}
    elsewhere: set[str] = set()
    for node in _nodes(scope):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                imported[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            # A dot in front: a module of the code's own.
            names = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {name: "" if node.level else full.removeprefix("builtins.") for name, full in names.items()}
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            elsewhere.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own[node.id] = ""
        elif isinstance(node, ast.arg):
            own[node.arg] = ""
        elif isinstance(node, _DEFINED):
            own[node.name] = ""
    imported.pop("*", None)
    # `try: import x`, `except ImportError: x = None`: the import is what is meant.
    return {name: full for name, full in {**own, **imported}.items() if name not in elsewhere}


def _has_star(node: ast.ImportFrom) -> bool:
    return not node.level and any(alias.name == "*" for alias in node.names)
