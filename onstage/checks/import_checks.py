"""Which modules the code in `src/` imports, and whether they will be there: in the image, declared, or beside it."""

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec

from packaging.utils import canonicalize_name

from onstage.checks import requirement_lines
from onstage.checks.source_checks import Image, Source
from onstage.report import Finding

# Import names whose distribution is called otherwise, of the images' packages and of others that are often required.
DISTRIBUTIONS = {
    "IPython": "ipython", "PIL": "pillow", "absl": "absl-py", "antlr4": "antlr4-python3-runtime", "attr": "attrs",
    "bs4": "beautifulsoup4", "clang": "libclang", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "dotenv": "python-dotenv", "fontTools": "fonttools", "functional": "pyfunctional", "git": "gitpython",
    "google.protobuf": "protobuf", "graphql": "graphql-core", "grpc": "grpcio", "jwt": "pyjwt", "nacl": "pynacl",
    "pasta": "google-pasta", "pythonjsonlogger": "python-json-logger", "rapidjson": "python-rapidjson",
    "rpds": "rpds-py", "skimage": "scikit-image", "sklearn": "scikit-learn", "tensorflow": "tensorflow-cpu",
    "tree": "dm-tree", "websocket": "websocket-client", "yaml": "pyyaml", "zmq": "pyzmq",
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
# In the template's setup.py, also of older versions.
_INSTALLS_LINES = "install_requires=[line.strip() for line in lines if line.strip() and not line.startswith("


def check_imports(code: Source, image: Image) -> list[Finding]:
    """Modules that neither the image, nor `src/requirements.txt`, nor `src/` brings along."""
    lines = requirement_lines.read(code)
    declared = code.required or frozenset(name for line in lines for name in (line.name, *line.modules) if name)
    # What a repository or a page installs only pip knows.
    is_known = all(line.name or line.modules for line in lines)
    findings = []
    for file, tree in code.trees.items():
        for name, line in _imports(tree):
            if finding := _import_problem(name, code, image, declared):
                finding.file, finding.line = code.name(file), line
                finding.warning = finding.warning or not is_known
                findings.append(finding)
    return findings


def check_requirements(code: Source, image: Image, platform: str = "") -> list[Finding]:
    """Lines of `src/requirements.txt` that would replace what the image was built around, or that break setup.py."""
    lines = requirement_lines.read(code)
    findings = [
        Finding(
            f"{line.requirement or line.text} would replace the image's own {line.name}",
            f"delete the line; {image.name} brings {line.name}",
            file=code.name(line.file),
            line=line.number,
        )
        for line in lines
        if line.name in IMAGE_OWNED
    ]
    if platform == "vertex" and _is_read_by_setup(code):
        findings += [
            Finding(
                f"{text}: setup.py makes install_requires of every line, which takes names and NAME @ URL only",
                "write it so, or let setup.py leave the line out",
                "setup.py builds no source distribution",
                file=code.name(code.requirements),
                line=number,
            )
            for number, text in requirement_lines.others(code)
        ]
    return findings


def _is_read_by_setup(code: Source) -> bool:
    """Whether setup.py is as the template made it: every line that is no comment is a requirement."""
    setup = code.root / "setup.py"
    return code.required is None and setup.is_file() and _INSTALLS_LINES in setup.read_text("utf-8", errors="replace")


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
    if image.packages is None or candidates & declared:
        return None
    if candidates & image.packages:
        return _lacking(top, candidates, image)
    package = min(candidates)
    return Finding(f"import {top}: not in {image.name}", f"add a line to {code.requires}: {package}", missing)


def _lacking(top: str, candidates: Collection[str], image: Image) -> Finding | None:
    """A warning of a module that the image has and this machine lacks: the job here would fail for want of it."""
    if top in _installed() or find_spec(top):
        return None
    package = min(set(candidates) & (image.packages or set()))
    pin = next((pin for pin in image.pins if pin.partition("==")[0] == package), package)
    return Finding(
        f"import {top}: {image.name} has it, and this machine lacks it, so that the job cannot be rehearsed",
        f"pip install {pin}, here only: {package} needs no line where the image brings it",
        warning=True,
    )


def distributions(name: str) -> set[str]:
    """The distributions that may bring a module, by their canonical names."""
    top = name.partition(".")[0]
    names = {top, DISTRIBUTIONS.get(top, top), DISTRIBUTIONS.get(name, top), *_installed().get(top, [])}
    # `google.cloud.storage` is google-cloud-storage: a namespace is spelt out in the distribution's name.
    parts = name.split(".")
    names |= {"-".join(parts[:count]) for count in range(2, len(parts) + 1)}
    return {canonicalize_name(candidate) for candidate in names}


def import_names(packages: Collection[str]) -> set[str]:
    """What these distributions are imported by, at the top: as installed here, else as they are known or called."""
    known: dict[str, set[str]] = {}
    for name, package in DISTRIBUTIONS.items():
        known.setdefault(package, set()).add(name.partition(".")[0])
    for name, owners in _installed().items():
        for package in map(canonicalize_name, owners):
            if package in packages:
                known.setdefault(package, set()).add(name)
    return {name for package in packages for name in known.get(package, {package.replace("-", "_")})}


@cache
def _installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


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
