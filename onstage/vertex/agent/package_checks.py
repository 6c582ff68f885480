"""What is wrong with the source distribution: in the source tree everything works, in a clean place it does not."""

import ast
import email.parser
import importlib.metadata
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from onstage import progress, stopping
from onstage.checks import requirement_lines
from onstage.checks.import_checks import IMAGE_OWNED
from onstage.checks.source_checks import Image, Source
from onstage.errors import UserError
from onstage.rehearsal import overlay, pip_words, processes
from onstage.report import Finding


def check_modules(code: Source) -> list[Finding]:
    """Folders and files of the package that an installed package would not have, or that nobody could import."""
    folders = sorted({folder for file in _modules(code) for folder in file.parents if _in_package(code, folder)})
    findings = []
    for folder in folders:
        shown = code.name(folder)
        if not (folder / "__init__.py").exists():
            inside = ".".join(folder.relative_to(code.folder).parts)
            findings.append(
                Finding(
                    f"{shown}/ has no __init__.py: the source distribution leaves the folder out, and pip says nothing",
                    f"add an empty {shown}/__init__.py",
                    f"ModuleNotFoundError: No module named '{inside}'",
                )
            )
    for path in [*folders, *_modules(code)]:
        if not path.stem.isidentifier():
            better = path.name.replace("-", "_").replace(" ", "_")
            findings.append(
                Finding(
                    f"{code.name(path)}: {path.stem!r} is no name that Python can import",
                    f"rename it to {better}",
                    f"SyntaxError, or No module named {path.stem}",
                )
            )
    return findings


def check_imports_inside(code: Source) -> list[Finding]:
    """Imports that the source tree satisfies and the installed package does not: from beside or above the package."""
    findings = []
    for file in _modules(code):
        for node in ast.walk(code.trees.get(file, ast.Module([], []))):
            if isinstance(node, ast.ImportFrom) and node.level:
                found = _relative_finding(code, file, node)
            elif isinstance(node, ast.Import):
                found = next(filter(None, (_outside_finding(code, alias.name) for alias in node.names)), None)
            elif isinstance(node, ast.ImportFrom):
                found = _outside_finding(code, node.module or "")
            else:
                continue
            if found:
                found.file, found.line = code.name(file), node.lineno
                findings.append(found)
    return findings


def check_sdist(code: Source, image: Image | None, folder: Path, sdist: Path) -> list[Finding] | str:
    """Install the source distribution of `code` from an empty folder into a clean environment, both in `folder`.

    As the executor does at first: without what it requires. Raises UserError when it cannot be installed.
    """
    for name in ("empty", "home", "tmp"):
        (folder / name).mkdir()
    metadata = _metadata(sdist)
    findings = list(_image_findings(metadata, image)) if image else []
    if findings:
        return findings
    installed = _install(code, sdist, folder)
    count = sum(file.is_file() for file in installed.rglob("*"))
    found = [*_requirement_findings(code, installed.parent, metadata["Name"]), *_left_out(code, installed)]
    return found or f"{sdist.name}, {sdist.stat().st_size / 1000:.0f} kB, {count} files"


def required(folder: Path) -> frozenset[str]:
    """What the packages that `check_sdist` has installed in `folder` require, by the names of distributions."""
    installed = importlib.metadata.distributions(
        path=[str(one) for one in (folder / "environment").glob("**/site-packages")]
    )
    return frozenset(
        canonicalize_name(Requirement(text).name)
        for one in installed
        for text in one.requires or ()
        if one.name != "pip"
    )


def _modules(code: Source) -> list[Path]:
    return [file for file in code.files if file.suffix == ".py" and _in_package(code, file)]


def _in_package(code: Source, path: Path) -> bool:
    return path.is_relative_to(code.folder / code.package)


def _relative_finding(code: Source, file: Path, node: ast.ImportFrom) -> Finding | None:
    written = f"from {'.' * node.level}{node.module or ''} import"
    package = file.relative_to(code.folder).parent.parts
    if node.level > len(package):
        return Finding(
            f"{written}: above the package there is nothing to import from",
            f"move what it names into {code.name(code.folder / code.package)}, and import it from there",
            "ImportError: attempted relative import beyond top-level package",
        )
    place = code.folder.joinpath(*package[: len(package) - node.level + 1], *(node.module or "").split("."))
    if node.module and not place.is_dir() and not place.with_suffix(".py").is_file():
        missing = ".".join(place.relative_to(code.folder).parts)
        return Finding(
            f"{written}: there is no {code.name(place)}.py",
            "correct the name, or add the file",
            f"ModuleNotFoundError: No module named '{missing}'",
        )
    return None


def _outside_finding(code: Source, module: str) -> Finding | None:
    top = module.partition(".")[0]
    beside = code.folder / top
    if top == code.package or not (beside.is_dir() or beside.with_suffix(".py").is_file()):
        return None
    found, package = (
        code.name(beside if beside.is_dir() else beside.with_suffix(".py")),
        code.name(code.folder / code.package),
    )
    return Finding(
        f"import {top}: {found} is beside the package, and the source distribution holds {package} only",
        f"move it to {package}, and write from {code.package} import {top}",
        f"ModuleNotFoundError: No module named '{top}'",
    )


def _metadata(sdist: Path) -> Message:
    if sdist.suffix == ".whl":
        with zipfile.ZipFile(sdist) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return email.parser.BytesParser().parsebytes(wheel.read(name))
    with tarfile.open(sdist) as tar:
        name = next(name for name in tar.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        content = tar.extractfile(name)
        assert content, "PKG-INFO is a file"
        return email.parser.BytesParser().parsebytes(content.read())


def _requirement_findings(code: Source, site_packages: Path, name: str) -> Iterator[Finding]:
    # Of the installed package: a source distribution's own metadata has it only since setuptools 68.
    (installed,) = importlib.metadata.distributions(path=[str(site_packages)], name=name)
    required = [Requirement(text) for text in installed.requires or ()]
    for requirement in required:
        if canonicalize_name(requirement.name) in IMAGE_OWNED:
            yield Finding(
                f"setup.py: install_requires has {requirement}, which would replace the image's own {requirement.name}",
                "delete it: the image brings it",
            )
    named = {canonicalize_name(requirement.name) for requirement in required}
    for missing in sorted(_declared(code) - named):
        yield Finding(
            f"setup.py: install_requires lacks {missing}, which {code.name(code.requirements)} has",
            f"let setup.py read {code.name(code.requirements)}",
            f"ModuleNotFoundError: No module named '{missing}'",
        )


def _image_findings(metadata: Message, image: Image) -> Iterator[Finding]:
    wanted = SpecifierSet(metadata.get("Requires-Python") or "")
    if not wanted.contains(f"{image.version}.99"):
        yield Finding(
            f"setup.py: python_requires is {wanted}, and {image.name} runs Python {image.version}",
            f'write python_requires=">={image.version}"',
            f"ERROR: Package {metadata['Name']!r} requires a different Python: {image.version} not in '{wanted}'",
        )
    if canonicalize_name(metadata["Name"]) in (image.packages or ()):
        yield Finding(
            f"setup.py: name is {metadata['Name']}, as that of a library in {image.name}, which pip would replace",
            "give it another name",
        )


def _declared(code: Source) -> set[str]:
    lines = requirement_lines.read(replace(code, required=None)) if code.requirements.is_file() else []
    return {line.name for line in lines if line.name}


def _install(code: Source, sdist: Path, folder: Path) -> Path:
    """The installed package's folder."""
    python = overlay.create(folder / "environment", sys.executable)
    flags = ["--quiet", "--upgrade", "--force-reinstall", "--no-deps"]
    with progress.doing("installing the package"):
        done = stopping.call(
            [python, "-m", "pip", "install", *flags, str(sdist)],
            cwd=folder / "empty",
            env={**processes.environment(folder, python), **overlay.for_sdists()},
        )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        why = pip_words.reason(done.stdout + done.stderr) or (said[-1] if said else "it says nothing")
        raise UserError(f"pip does not install {sdist.name}: {why}")
    found = list((folder / "environment").glob(f"**/site-packages/{code.package}"))
    if not found:
        raise UserError(
            f"{sdist.name} installs, and holds no package {code.package}: packages in setup.py finds none. "
            f"Is there a {code.name(code.folder / code.package)}/__init__.py?"
        )
    return found[0]


def _left_out(code: Source, installed: Path) -> list[Finding]:
    """Files of src/trainer that the installed package does not have; a failure where the code names them."""
    texts = {
        node.value
        for tree in code.trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    findings = []
    for file in (file for file in code.files if _in_package(code, file)):
        name = file.relative_to(code.folder / code.package)
        if (installed / name).exists():
            continue
        is_used = file.suffix == ".py" or any(text.endswith(file.name) for text in texts)
        what = "" if is_used else "; no code names it"
        findings.append(
            Finding(
                f"{code.name(file)} is not in the source distribution{what}",
                "see packages in setup.py"
                if file.suffix == ".py"
                else f"add a line to MANIFEST.in: include {code.name(file)}",
                f"FileNotFoundError: [Errno 2] No such file or directory: '.../{code.package}/{name.as_posix()}'"
                if is_used
                else "",
                warning=not is_used,
            )
        )
    return findings
