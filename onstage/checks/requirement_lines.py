"""The lines of a requirements.txt as pip reads them: each is understood, or named with its number."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from onstage.checks.source_checks import Source
from onstage.errors import UserError

# Source: pip.pypa.io/en/stable/reference/requirements-file-format/#supported-options; those with a value.
_WITH_VALUE = (
    "-i", "--index-url", "--extra-index-url", "-c", "--constraint", "-r", "--requirement", "-e", "--editable", "-f",
    "--find-links", "--no-binary", "--only-binary", "--trusted-host", "--use-feature",
)  # fmt: skip
_ALONE = ("--no-index", "--prefer-binary", "--require-hashes", "--pre")
_ARCHIVE = re.compile(r"\.(whl|zip|tar\.gz|tar\.bz2|tgz)$")
# Behind a requirement.
_OPTIONS = re.compile(r"\s--(hash|config-settings?|global-option)\b.*")


@dataclass(frozen=True)
class Line:
    """A line that installs something: `text` is all of it; `requirement` is there unless it is a place.

    `name` is the distribution's, None where only an installation tells; `modules` are those of a folder that travels.
    """

    file: Path
    number: int
    text: str
    requirement: Requirement | None = None
    name: str | None = None
    modules: frozenset[str] = frozenset()

    def applies(self, python: str) -> bool:
        """Whether its marker is true in an image with this version of Python."""
        marker: Marker | None = self.requirement.marker if self.requirement else None
        image = {
            "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "os_name": "posix",
            "platform_system": "Linux", "platform_machine": "x86_64", "implementation_name": "cpython",
            "platform_python_implementation": "CPython", "extra": "",
        }  # fmt: skip
        return marker is None or marker.evaluate(image)


def read(code: Source) -> list[Line]:
    """All lines that install something, also those of files that others name.

    Raises UserError for a line that pip does not take, or that names a file that does not travel.
    """
    return [] if code.required is not None else list(_lines(code, code.requirements, ()))


def others(code: Source) -> list[tuple[int, str]]:
    """The lines of requirements.txt, with their numbers, that are no requirements: options and places."""
    plain = {line.number for line in read(code) if line.file == code.requirements and line.requirement}
    lines = _logical(code.requirements.read_text(encoding="utf-8-sig"))
    return [(number, text) for number, text in lines if number not in plain or _OPTIONS.search(text)]


def files(code: Source) -> list[Path]:
    """requirements.txt and all the files that it names, by `-r` and `-c`, as far as they are there."""
    found, waiting = list[Path](), [code.requirements]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.append(file)
        for _, text in _logical(file.read_text(encoding="utf-8-sig", errors="replace")):
            if (option := _option(text)) and option[0] in ("-r", "--requirement", "-c", "--constraint"):
                waiting.append(file.parent / option[1])
    return found


def _lines(code: Source, file: Path, above: tuple[Path, ...]) -> Iterator[Line]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{code.name(file)} cannot be read: {error}"
            + ("" if above else "; it may be empty, but both clouds read it")
        ) from error
    for number, line in _logical(text):
        place = f"{code.name(file)}, line {number}"
        option = _option(line)
        if option is None:
            yield _installed(code, file, number, line, line)
            continue
        name, value = option
        if name not in (*_WITH_VALUE, *_ALONE):
            raise UserError(f"{place}: pip knows no option {name} in such a file; delete it")
        if name in _WITH_VALUE and not value:
            raise UserError(f"{place}: {name} needs a value")
        if name in ("-r", "--requirement", "-c", "--constraint") and "://" not in value:
            other = _travelling(code, file.parent / value, value, place)
            if name.startswith(("-r", "--r")) and other not in (*above, file):
                yield from _lines(code, other, (*above, file))
        elif name in ("-e", "--editable"):
            yield _installed(code, file, number, line, value)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, joined where one ends in a backslash, each with the number of its first."""
    begun, number = "", 0
    for count, line in enumerate(text.splitlines(), start=1):
        number = number if begun else count
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            begun += line[:-1]
            continue
        whole = re.sub(r"(^|\s)#.*", "", begun + line).strip()
        begun = ""
        if whole:
            yield number, whole
    if begun.strip():
        yield number, begun.strip()


def _option(text: str) -> tuple[str, str] | None:
    """The option that a line is, and its value: of `-r FILE`, `-rFILE`, `--requirement FILE`, `--requirement=FILE`."""
    if not text.startswith("-"):
        return None
    if not text.startswith("--") and text[2:3].strip(" ="):
        return text[:2], text[2:].strip()
    name, _, value = text.replace("=", " ", 1).partition(" ") if text.startswith("--") else text.partition(" ")
    return name, value.strip()


def _installed(code: Source, file: Path, number: int, line: str, what: str) -> Line:
    what = _OPTIONS.sub("", what).strip()
    place = f"{code.name(file)}, line {number}"
    plain = re.sub(r"\s*;.*", "", what)
    path = re.sub(r"\[[\w\s,.-]*\]$", "", plain)
    if "://" in path.partition("@")[0] or path.startswith("file:"):
        return Line(file, number, line, name=_name_of(path))
    has_name = re.match(r"[\w.-]+\s*(\[[^]]*\])?\s*@", path)
    if not has_name and (path.startswith(".") or "/" in path or _ARCHIVE.search(path)):
        # pip looks for it from the folder that it is started in, which is that of requirements.txt.
        found = _travelling(code, code.requirements.parent / path, path, place)
        return Line(file, number, line, name=_name_of(found.name), modules=_modules(found))
    try:
        requirement = Requirement(what)
    except InvalidRequirement as error:
        raise UserError(f"{place}: {str(error).splitlines()[0]}: {what}; write name==version") from error
    return Line(file, number, line, requirement, canonicalize_name(requirement.name))


def _travelling(code: Source, path: Path, shown: str, place: str) -> Path:
    found = path.resolve()
    if not found.is_relative_to(code.folder.resolve()):
        raise UserError(f"{place}: {shown} lies outside {code.place} and does not travel; move it into {code.place}")
    if not found.exists():
        raise UserError(f"{place}: there is no {code.name(code.folder / found.relative_to(code.folder.resolve()))}")
    return found


def _name_of(place: str) -> str | None:
    """The distribution's name of an archive or a repository, where its own name says it."""
    if egg := re.search(r"#.*\begg=([\w.-]+)", place):
        return canonicalize_name(egg[1])
    name = place.partition("#")[0].rstrip("/").rpartition("/")[2]
    try:
        if name.endswith(".whl"):
            return parse_wheel_filename(name)[0]
        return parse_sdist_filename(name)[0] if _ARCHIVE.search(name) else None
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def _modules(folder: Path) -> frozenset[str]:
    """What a folder that is installed brings along, in either layout."""
    places = [one for base in (folder, folder / "src") if base.is_dir() for one in base.iterdir()]
    return frozenset(one.stem for one in places if one.suffix == ".py" or (one.is_dir() and any(one.glob("*.py"))))
