"""Names that hide a library, and calls that wait for somebody, whatever they are called in the code."""

import ast
import sys
from collections.abc import Iterator, Mapping

from onstage.checks.import_checks import distributions
from onstage.checks.source_checks import Image, Source
from onstage.report import Finding

ENDLESS = {
    "input": "waits for a keyboard",
    "builtins.input": "waits for a keyboard",
    "getpass.getpass": "waits for a keyboard",
    "code.interact": "waits for a keyboard",
    "breakpoint": "waits for a terminal",
    "builtins.breakpoint": "waits for a terminal",
    "pdb.set_trace": "waits for a terminal",
    "matplotlib.pyplot.show": "waits for a screen",
    "pylab.show": "waits for a screen",
    "cv2.imshow": "needs a screen",
    "cv2.waitKey": "waits for a keyboard",
}
# Top-level folders that many libraries install by mistake, and that no code imports from them.
_NOBODYS = {"test", "tests", "docs", "examples", "scripts"}


def check_names(code: Source, image: Image, platform: str) -> list[Finding]:
    """Names in `src/` that would be imported in place of a library, and a setup.py, which SageMaker would obey."""
    findings = []
    libraries = (image.packages or frozenset()) | {platform}
    for top in sorted({file.relative_to(code.folder).parts[0] for file in code.files}):
        stem = top.removesuffix(".py")
        if (code.folder / top / "pyvenv.cfg").is_file():
            findings.append(
                Finding(
                    f"{code.name(code.folder / top)}/ is a virtual environment, and would travel with every job",
                    f"move it out of {code.place}",
                )
            )
        elif top == "setup.py" and platform == "sagemaker":
            # Source: sagemaker-training, _entry_point_type.get: a setup.py makes the folder a package.
            findings.append(
                Finding(
                    f"{code.name(code.folder / top)}: SageMaker would install {code.place} and run it with python -m, "
                    "not the entry file",
                    "move it to the project's folder, where Vertex AI's setup.py belongs",
                )
            )
        elif _hides(code, top) and (stem in sys.stdlib_module_names or distributions(stem) & libraries):
            findings.append(
                Finding(
                    f"{code.name(code.folder / top)} would be imported in place of the library {stem}",
                    "give it another name",
                )
            )
    return findings


def check_calls(code: Source) -> list[Finding]:
    """Calls that would wait for somebody until the job's time is over."""
    return [
        Finding(
            f"{written}() {ENDLESS[called]}; a job has none",
            f"take the call out of {code.place}",
            file=code.name(file),
            line=line,
        )
        for file, tree in code.trees.items()
        for written, called, line in calls(tree)
        if called in ENDLESS
    ]


def calls(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Every call: as it is written, by its full name, such as matplotlib.pyplot.show, and its line."""
    known, own = _imported(tree), _own(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            written = _dotted(node.func)
            first, _, rest = written.partition(".")
            if first in known:
                yield written, ".".join(filter(None, [known[first], rest])), node.lineno
            elif first and first not in own:
                yield written, written, node.lineno


def _imported(tree: ast.Module) -> Mapping[str, str]:
    """What each name that an import makes stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
    return names


def _own(tree: ast.Module) -> set[str]:
    """Names that the code gives a meaning of its own, in whatever scope."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    methods = {id(one) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body}
    # A method is reached by its object only.
    return names | {node.name for node in ast.walk(tree) if isinstance(node, defined) and id(node) not in methods}


def _hides(code: Source, top: str) -> bool:
    is_importable = top.endswith(".py") or any(file.suffix == ".py" for file in (code.folder / top).rglob("*"))
    return is_importable and top not in _NOBODYS


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""
