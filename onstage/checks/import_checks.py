"""Which modules the code in `src/` imports, and whether they will be there: in the image, declared, or beside it."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from onstage.checks.source_checks import Image, Source
from onstage.errors import UserError
from onstage.project import Project
from onstage.report import Finding

# Import names whose distribution is called otherwise, for packages that are not installed here.
DISTRIBUTIONS = {
    "PIL": "pillow", "attr": "attrs", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "google.protobuf": "protobuf", "jwt": "pyjwt", "skimage": "scikit-image", "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}  # fmt: skip
# Left the standard library; source: the "Removed" sections of What's New in Python 3.12 and 3.13.
REMOVED = {
    (3, 12): {"asynchat", "asyncore", "distutils", "imp", "smtpd"},
    (3, 13): {
        "aifc",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "imghdr",
        "mailcap",
        "nntplib",
        "pipes",
        "telnetlib",
    },
}
IMAGE_OWNED = {"tensorflow", "tensorflow-cpu", "tensorflow-gpu", "keras", "numpy", "protobuf"}


def check_imports(code: Source, image: Image) -> list[Finding]:
    """Modules that neither the image, nor `src/requirements.txt`, nor `src/` brings along."""
    declared: set[str] = {canonicalize_name(requirement.name) for requirement in _requirements(code)}
    findings = []
    for file, tree in code.trees.items():
        for name, line in _imports(tree):
            if finding := _import_problem(name, code.project, image, declared):
                finding.detail = f"{code.name(file)}, line {line}: {finding.detail}"
                findings.append(finding)
    return findings


def check_requirements(code: Source, image: Image) -> list[Finding]:
    """Lines of `src/requirements.txt` that would replace what the image was built around."""
    return [
        Finding(
            f"src/requirements.txt: {requirement} would replace the image's own {requirement.name}",
            f"delete the line; {image.name} brings {requirement.name}",
        )
        for requirement in _requirements(code)
        if canonicalize_name(requirement.name) in IMAGE_OWNED
    ]


def _import_problem(name: str, project: Project, image: Image, declared: set[str]) -> Finding | None:
    top = name.partition(".")[0]
    removed = {module for version, modules in REMOVED.items() if version <= image.python for module in modules}
    if top in removed:
        return Finding(
            f"import {top}: Python {image.version} has no such module any more",
            "use what replaced it: see Python's What's New",
            f"ModuleNotFoundError: No module named '{top}'",
        )
    if top in sys.stdlib_module_names:
        return None
    missing = f"ModuleNotFoundError: No module named '{name}'"
    if project.has_module(name):
        place = project.source / name.replace(".", "/")
        known = place.is_dir() or place.with_suffix(".py").is_file()
        near = f"is there no file src/{name.replace('.', '/')}.py?"
        return None if known else Finding(f"import {name}: {near}", "correct the name, or add the file", missing)
    if (project.root / f"{top}.py").is_file() or (project.root / top / "__init__.py").is_file():
        return Finding(f"import {top}: it lies outside src/ and does not travel", f"move {top} into src/", missing)
    candidates = _distributions(name)
    if candidates & (image.packages | declared):
        return None
    package = min(candidates)
    return Finding(f"import {top}: not in {image.name}", f"add a line to src/requirements.txt: {package}", missing)


def _distributions(name: str) -> set[str]:
    top = name.partition(".")[0]
    names = {top, DISTRIBUTIONS.get(top, top), DISTRIBUTIONS.get(name, top), *_installed().get(top, [])}
    # `google.cloud.storage` is google-cloud-storage: a namespace is spelt out in the distribution's name.
    parts = name.split(".")
    names |= {"-".join(parts[:count]) for count in range(2, len(parts) + 1)}
    return {canonicalize_name(candidate) for candidate in names}


@cache
def _installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _requirements(code: Source) -> Iterator[Requirement]:
    try:
        lines = (code.folder / "requirements.txt").read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"src/requirements.txt cannot be read: {error}; it may be empty, but both clouds read it"
        ) from error
    for number, line in enumerate(lines, start=1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text or text.startswith("-"):
            continue
        try:
            yield Requirement(text)
        except InvalidRequirement as error:
            raise UserError(f"src/requirements.txt, line {number}: {error}; write name==version") from error


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    optional = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and any("ImportError" in ast.dump(handler) for handler in node.handlers)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in optional:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", node.lineno
