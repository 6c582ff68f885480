"""Names that hide a library, and calls that wait for somebody, whatever they are called in the code."""

import ast
import sys
from collections.abc import Iterator

from onstage.checks.import_checks import import_names
from onstage.checks.names import names_of
from onstage.checks.source_checks import Image, Source
from onstage.report import Finding

ENDLESS = {
    "input": "waits for a keyboard",
    "getpass.getpass": "waits for a keyboard",
    "code.interact": "waits for a keyboard",
    "breakpoint": "waits for a terminal",
    "pdb.set_trace": "waits for a terminal",
    "ipdb.set_trace": "waits for a terminal",
    "pudb.set_trace": "waits for a terminal",
    "IPython.embed": "waits for a terminal",
    "matplotlib.pyplot.show": "waits for a screen",
    "pylab.show": "waits for a screen",
    "cv2.imshow": "needs a screen",
    "cv2.waitKey": "waits for a keyboard",
}
# Top-level folders that many libraries install by mistake, and that no code imports from them.
_NOBODYS = {"test", "tests", "docs", "examples", "scripts"}


def check_names(code: Source, image: Image, platform: str, *, is_project: bool = True) -> list[Finding]:
    """Names in `src/` that would be imported in place of a library, and a setup.py, which SageMaker would obey.

    Elsewhere than in a project of the template, that may be meant.
    """
    findings = []
    # Whatever is not known of the image: TensorFlow's it is.
    libraries = import_names({*(image.packages or ()), "tensorflow", "keras", "numpy", platform})
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
                    "move it to the project's folder, where Vertex AI's setup.py belongs"
                    if is_project
                    else "take it out of the source, unless that is meant",
                    warning=not is_project,
                )
            )
        elif _hides(code, top) and (stem in sys.stdlib_module_names or stem in libraries):
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
            f"{ast.unparse(call.func)}() {ENDLESS[called]}; a job has none",
            f"take the call out of {code.place}",
            # A module that others import does not do it.
            warning=call in alone,
            file=code.name(file),
            line=call.lineno,
        )
        for file, tree in code.trees.items()
        for alone in [set(_alone(tree))]
        for call, called in _calls(tree)
        if called in ENDLESS and not _goes_on(call)
    ]


EXITS = "ends the program where it stands"
# How a file of the template's trainer begins, which itself ends a process that waits for a lost host.
_OWNED = "# Owned by the template"


def check_exits(code: Source) -> list[Finding]:
    """Calls that end the program where it stands, with an exit code that says nothing; a forked child needs one."""
    return [
        Finding(
            f"{ast.unparse(call)} {EXITS}: no model is exported, no handler runs, and no "
            "message is written; with 0 the job is Completed all the same",
            "raise an exception for what is wrong; where all is well, let the function return",
            warning=True,
            file=code.name(file),
            line=call.lineno,
        )
        for file, tree in code.trees.items()
        if not file.read_text(encoding="utf-8", errors="replace").startswith(_OWNED)
        for called in [list(_calls(tree))]
        if not any(name == "os.fork" for _, name in called)
        for call, name in called
        if name == "os._exit"
    ]


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call, and the full name of what it calls."""
    names = names_of(tree)
    return ((call, names.of(call.func)) for call in ast.walk(tree) if isinstance(call, ast.Call))


def _alone(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs only where a file is the program: below `if __name__ == "__main__"`."""
    for node in tree.body:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            for statement in node.body:
                yield from ast.walk(statement)


def _goes_on(call: ast.Call) -> bool:
    """show(block=False) does."""
    values = [one.value for one in call.keywords if one.arg == "block"]
    return any(isinstance(one, ast.Constant) and one.value is False for one in values)


def _hides(code: Source, top: str) -> bool:
    is_importable = top.endswith(".py") or any(file.suffix == ".py" for file in (code.folder / top).rglob("*"))
    return is_importable and top not in _NOBODYS
