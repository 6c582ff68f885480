"""Variables of a cloud that the code reads without a default, and that the job does not have."""

import ast
from collections.abc import Collection, Iterator

from onstage.checks.names import names_of
from onstage.checks.source_checks import Source
from onstage.report import Finding

# What the services and their containers set; other variables may come from anywhere.
_PREFIXES = ("SM_", "SAGEMAKER_", "AIP_", "CLOUD_ML_")
_ENVIRONMENT = "os.environ"
_GETTERS = ("os.environ.get", "os.getenv")
# A job has these, too, or they are nothing to a model.
_OF_BOTH = (*_PREFIXES, "PATH", "HOME", "USER", "LANG", "LC_", "TMP", "TEMP", "PYTHON", "PWD", "TZ", "HOSTNAME", "TF_")


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
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value, node.lineno


def _reads(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names and lines of the variables that are read, and neither written nor asked for in the same file."""
    known = {
        node.left.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant) and isinstance(node.ops[0], ast.In)
    }
    found, names = [], names_of(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Subscript) and names.of(node.value) == _ENVIRONMENT):
            continue
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            if isinstance(node.ctx, ast.Load):
                found.append((node.slice.value, node.lineno))
            else:
                known.add(node.slice.value)
    yield from ((name, line) for name, line in found if name not in known and name.startswith(_PREFIXES))


def _near(name: str, variables: Collection[str]) -> str:
    if not name.startswith("SM_CHANNEL_"):
        return ""
    channels = sorted(one for one in variables if one.startswith("SM_CHANNEL_"))
    return f"; of its channels it has {', '.join(channels) or 'none'}"
