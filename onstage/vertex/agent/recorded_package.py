"""The packages that a request from elsewhere installs: found or built here, and checked as our own is."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from onstage import source
from onstage.checks import environment_checks, flag_checks, project_checks
from onstage.checks.source_checks import Image, Source
from onstage.errors import StartError, UserError
from onstage.rehearsal import recorded
from onstage.rehearsal.recorded import Given
from onstage.rehearsal.store import LocalStore
from onstage.report import Finding, Report
from onstage.vertex.agent import package_checks
from onstage.vertex.agent.gcs_checks import check_gcs
from onstage.vertex.agent.job import PLATFORM
from onstage.vertex.agent.package import build
from onstage.vertex.agent.replicas import lay_out

# A package in the command of a container: a place in Cloud Storage that pip is given.
_INSTALLED = re.compile(r"(?:gs://|/gcs/)[^\s\"']+\.(?:tar\.gz|zip|whl)")
_MODULE = re.compile(r"(?:^|\s)-m\s+([A-Za-z_][\w.]*)")


class Packages:
    """Every package of a worker pool's task, put where `store` has its URI; a folder is built there first.

    Raises StartError for a task that installs none, and for a package that is not here.
    """

    def __init__(self, task: Mapping[str, Any], image: str, given: Given, store: LocalStore, folder: Path) -> None:
        words = [*(task.get("command") or ()), *(task.get("args") or ())]
        uris = task.get("packageUris") or [
            re.sub("^/gcs/", "gs://", found) for word in words for found in _INSTALLED.findall(word)
        ]
        if not uris:
            raise StartError(
                f"the request installs no package (no packageUris, no pip install from Cloud Storage): the code in "
                f"{image} cannot be rehearsed"
            )
        if len(given.sources) > len(uris):
            raise StartError(f"--source is given {len(given.sources)} times, the request installs {', '.join(uris)}")
        self.module = task.get("pythonModule") or next(
            (found for word in words for found in _MODULE.findall(word) if found != "pip"), ""
        )
        self.files: list[Path] = []
        self.build_problem = ""
        named: Sequence[Path | None] = [*given.sources, *[None] * (len(uris) - len(given.sources))]
        for uri, source_path in zip(uris, named, strict=True):
            place = given.find(uri, source_path, f"the package {uri.rpartition('/')[2]}", "--source PATH")
            target = store.path(uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir():
                self._build(place, target, folder / f"built-{len(self.files)}")
            elif place != target:
                target.write_bytes(place.read_bytes())
            self.files.append(target)
        first = named[0] or store.path(uris[0])
        self.source = self._source(first, folder)

    def _build(self, place: Path, target: Path, folder: Path) -> None:
        if not any((place / name).is_file() for name in ("setup.py", "pyproject.toml")):
            raise StartError(f"{place} has neither setup.py nor pyproject.toml: name the folder of one, or its archive")
        folder.mkdir()
        try:
            target.write_bytes(build(folder, place, source.files(place)).read_bytes())
        except UserError as error:
            # It is a check's to say.
            self.build_problem = str(error)

    def _source(self, place: Path, folder: Path) -> Source:
        """The package's code, in the folder or the archive that its author knows it by."""
        root = recorded.unpacked(place, folder / "unpacked")
        top = self.module.partition(".")[0] or "trainer"
        found = sorted(
            (path for path in root.rglob(top) if path.is_dir() and any(path.glob("*.py"))),
            key=lambda path: len(path.parts),
        )
        parent = found[0].parent if found else root
        label = "/".join(filter(None, [recorded.shown(place), *parent.relative_to(root).parts]))
        return Source(parent, Path.cwd(), label, top, top if found else "", frozenset())


def check(
    report: Report, packages: Packages, image: Image | None, task: Mapping[str, Any], variables: Collection[str]
) -> None:
    """The static checks of the first package, and of the module that the task runs."""
    code, place = packages.source, packages.files[0]
    folder = place.parent / f"{place.name}-check"

    def check_package() -> list[Finding] | str:
        if packages.build_problem:
            return [Finding(packages.build_problem, "correct it: python setup.py sdist")]
        folder.mkdir()
        return package_checks.check_sdist(code, image, folder, place)

    report.run(PLATFORM, "modules", lambda: package_checks.check_modules(code))
    if report.run(PLATFORM, "package", check_package):
        code.required = package_checks.required(folder)
    project_checks.check_elsewhere(report, PLATFORM, code, image, variables)
    report.run(PLATFORM, "package-imports", lambda: package_checks.check_imports_inside(code))
    report.run(PLATFORM, "gcs", lambda: check_gcs(code))
    report.run(PLATFORM, "environment", lambda: environment_checks.check_environment(code, variables))
    file = code.folder.joinpath(*packages.module.split(".")).with_suffix(".py")
    if not packages.module:
        for name in ("entry", "flags"):
            report.skip(PLATFORM, name, "the request's command starts no module of Python by its name")
    elif report.run(PLATFORM, "entry", lambda: _check_entry(code, file, packages.module)):
        if why := flag_checks.unknown_because(code, file) or _not_only_flags(task):
            report.skip(PLATFORM, "flags", why)
        else:
            report.run(PLATFORM, "flags", lambda: flag_checks.check_flags(code, file, task.get("args") or ()))


def variables(spec: Mapping[str, Any], folder: Path, metric: str) -> set[str]:
    """The names of the variables that the first replica of a job has."""
    replicas = lay_out(spec, folder / "store", folder / "described", "1" if metric else None)
    return set(replicas[0].variables)


def _check_entry(code: Source, file: Path, module: str) -> list[Finding] | str:
    package = file.with_suffix("") / "__main__.py"
    if file.is_file() or package.is_file():
        return code.name(file if file.is_file() else package)
    return [
        Finding(
            f"the job runs python -m {module}, and there is no {code.name(file)}",
            "correct the module's name in the request, or add the file",
            f"No module named {module}",
        )
    ]


def _not_only_flags(task: Mapping[str, Any]) -> str | None:
    return None if "pythonModule" in task else "the flags stand in the command of a container, which a shell reads"
