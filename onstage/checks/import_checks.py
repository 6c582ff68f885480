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
    declared = code.required
    if declared is None:
        declared = frozenset(canonicalize_name(requirement.name) for requirement, _ in _requirements(code))
    findings = []
    for file, tree in code.trees.items():
        for name, line in _imports(tree):
            if finding := _import_problem(name, code, image, declared):
                finding.file, finding.line = code.name(file), line
                findings.append(finding)
    return findings


def check_requirements(code: Source, image: Image) -> list[Finding]:
    """Lines of `src/requirements.txt` that would replace what the image was built around."""
    return [
        Finding(
            f"{requirement} would replace the image's own {requirement.name}",
            f"delete the line; {image.name} brings {requirement.name}",
            file=code.name(code.requirements),
            line=line,
        )
        for requirement, line in _requirements(code)
        if canonicalize_name(requirement.name) in IMAGE_OWNED
    ]


def _import_problem(name: str, code: Source, image: Image, declared: frozenset[str]) -> Finding | None:
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
    if code.has_module(name):
        place = code.folder / name.replace(".", "/")
        known = place.is_dir() or place.with_suffix(".py").is_file()
        near = f"is there no file {code.name(place)}.py?"
        return None if known else Finding(f"import {name}: {near}", "correct the name, or add the file", missing)
    if (code.root / f"{top}.py").is_file() or (code.root / top / "__init__.py").is_file():
        return Finding(
            f"import {top}: it lies outside {code.place} and does not travel", f"move {top} into {code.place}", missing
        )
    candidates = distributions(name)
    if image.packages is None or candidates & (image.packages | declared):
        return None
    package = min(candidates)
    return Finding(f"import {top}: not in {image.name}", f"add a line to {code.requires}: {package}", missing)


def distributions(name: str) -> set[str]:
    """The distributions that may bring a module, by their canonical names."""
    top = name.partition(".")[0]
    names = {top, DISTRIBUTIONS.get(top, top), DISTRIBUTIONS.get(name, top), *_installed().get(top, [])}
    # `google.cloud.storage` is google-cloud-storage: a namespace is spelt out in the distribution's name.
    parts = name.split(".")
    names |= {"-".join(parts[:count]) for count in range(2, len(parts) + 1)}
    return {canonicalize_name(candidate) for candidate in names}


@cache
def _installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _requirements(code: Source) -> Iterator[tuple[Requirement, int]]:
    if code.required is not None:
        return
    try:
        lines = code.requirements.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{code.name(code.requirements)} cannot be read: {error}; it may be empty, but both clouds read it"
        ) from error
    for number, line in enumerate(lines, start=1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text or text.startswith("-"):
            continue
        try:
            yield Requirement(text), number
        except InvalidRequirement as error:
            raise UserError(f"{code.name(code.requirements)}, line {number}: {error}; write name==version") from error


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
