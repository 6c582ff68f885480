"""Variables of a cloud that the code reads without a default, and that the job does not have."""

import ast
from collections.abc import Collection, Iterator
from typing import TypeGuard

from onstage.checks.names import Names, names_of
from onstage.checks.source_checks import Source
from onstage.report import Finding

# What the services and their containers set; other variables may come from anywhere.
_PREFIXES = ("SM_", "SAGEMAKER_", "AIP_", "CLOUD_ML_")
_ENVIRONMENT = "os.environ"
_SETDEFAULT = "os.environ.setdefault"
_GETTERS = ("os.environ.get", "os.getenv", _SETDEFAULT)
_CAUGHT = ("KeyError", "LookupError", "Exception", "BaseException")
# A job has these, too, or they are nothing to a model.
_OF_BOTH = (
    "ONSTAGE_",
    *_PREFIXES,
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_",
    "TMP",
    "TEMP",
    "PYTHON",
    "PWD",
    "TZ",
    "HOSTNAME",
    "TF_",
)


def check_environment(code: Source, variables: Collection[str]) -> list[Finding]:
    """Each `os.environ["NAME"]` of a cloud's variable that is not among `variables`: warnings, for it may not run."""
    return [
        Finding(
            f"os.environ[{name!r}]: the job has no such variable{_near(name, variables)}",
            "read it with os.environ.get, or let the request bring what it stands for",
            f"KeyError: {name!r}",
            warning=True,
            file=code.name(file),
            line=line,
        )
        for file, tree in code.trees.items()
        for name, line in _reads(tree)
        if name not in variables
    ]


def check_shell(code: Source, shell: Collection[str], job: Collection[str] = ()) -> list[Finding]:
    """Variables that the code reads, and that are set in `shell` but not in the job: there it does something else."""
    return [
        Finding(
            f"{name} is set in this shell and not in the job: the code does something else there",
            "make it a hyperparameter, which the job is told",
            warning=True,
            file=code.name(file),
            line=line,
        )
        for file, tree in code.trees.items()
        for name, line in _asked(tree)
        if name in shell and name not in job and not name.startswith(_OF_BOTH)
    ]


def _asked(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names and lines of all variables that are read, with a default or without."""
    names = names_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and names.of(node.func) in _GETTERS and node.args:
            name = node.args[0]
        elif isinstance(node, ast.Subscript) and names.of(node.value) == _ENVIRONMENT:
            name = node.slice
            if not isinstance(node.ctx, ast.Load):
                continue
        else:
            continue
        if _text(name):
            yield _text(name), node.lineno


def _reads(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names and lines of the variables that are read where nobody is prepared that they are missing.

    A file that writes one, gives it a default or asks for it is prepared, as is a read that catches its KeyError.
    """
    names = names_of(tree)
    known, guarded = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            known.add(_text(node.left))
        elif isinstance(node, ast.Call) and names.of(node.func) == _SETDEFAULT and node.args:
            known.add(_text(node.args[0]))
        elif _is_variable(node, names) and not isinstance(node.ctx, ast.Load):
            known.add(_text(node.slice))
        elif _catches(node, names):
            guarded |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if _is_variable(node, names) and isinstance(node.ctx, ast.Load) and id(node) not in guarded:
            name = _text(node.slice)
            if name and name not in known and name.startswith(_PREFIXES):
                yield name, node.lineno


def _is_variable(node: ast.AST, names: Names) -> TypeGuard[ast.Subscript]:
    return isinstance(node, ast.Subscript) and names.of(node.value) == _ENVIRONMENT


def _catches(node: ast.AST, names: Names) -> TypeGuard[ast.Try | ast.With]:
    """Whether what is in `node` may raise KeyError, and nothing ends by it."""
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        return any(
            names.of(call.func) == "contextlib.suppress" and any(names.of(one) in _CAUGHT for one in call.args)
            for call in calls
        )
    if not isinstance(node, ast.Try):
        return False
    kinds = [kind for handler in node.handlers for kind in _kinds(handler)]
    return any(kind is None or names.of(kind) in _CAUGHT for kind in kinds)


def _kinds(handler: ast.ExceptHandler) -> list[ast.expr] | list[None]:
    """The exceptions that a handler names; None for one that catches all."""
    if handler.type is None:
        return [None]
    return handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _near(name: str, variables: Collection[str]) -> str:
    if not name.startswith("SM_CHANNEL_"):
        return ""
    channels = sorted(one for one in variables if one.startswith("SM_CHANNEL_"))
    return f"; of its channels it has {', '.join(channels) or 'none'}"
