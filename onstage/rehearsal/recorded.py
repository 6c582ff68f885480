"""A request from elsewhere, in a folder that need not be a project: what is read of it, and what its URIs are here."""

import codecs
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from onstage import problem
from onstage.checks.source_checks import Image
from onstage.errors import StartError, UserError
from onstage.problem import Problem, dotted
from onstage.rehearsal import archives
from onstage.rehearsal.store import LocalStore
from onstage.report import Finding, Report

# Pipelines of both clouds put these where a value will be: SageMaker's `Join` and `Get`, Vertex AI's placeholders.
_PIPELINE_KEYS = {"Get", "Std:Join", "Std:JsonGet"}
_PIPELINE_TEXT = re.compile(r"\{\{\s*(\$|channel:|pipelinechannel--)|\{\{.*pipelineparam")
# What names of images begin or go on with.
_FRAMEWORKS = {
    "pytorch": "PyTorch", "torch": "PyTorch", "xgboost": "XGBoost", "scikit-learn": "scikit-learn",
    "sklearn": "scikit-learn", "mxnet": "MXNet", "chainer": "Chainer", "autogluon": "AutoGluon", "djl": "DJL",
}  # fmt: skip
# Values in a request: no request has so many, but YAML's anchors can make them from a few lines.
_MOST = 200_000
# Of a check that reads what only the template's projects have.
NO_PROJECT = "the request is not this template's: there is no settings.toml and no model.py to check"


@dataclass(frozen=True)
class Recorded:
    """A request as the API takes it: `kind` is its operation or message, `body` has the API's own names of members.

    `left_out` are members that only answers have, such as those of `describe`; `region` is its own, if it says so.
    """

    kind: str
    body: dict[str, Any]
    left_out: Sequence[str] = ()
    region: str = ""


@dataclass(frozen=True)
class Given:
    """What the command line says about a request: where its URIs are on this machine, and how it is run.

    `sources` are folders or archives of code in the request's order; `channels` data by the request's own names;
    `store` has bucket/key of all other URIs; `image_python` is the Python of an unknown image, as (3, 12).
    """

    store: Path
    sources: Sequence[Path] = ()
    channels: Mapping[str, Path] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    image_python: tuple[int, int] | None = None

    def image(self, uri: str, known: Image | None) -> Image | None:
        """What is known of the image `uri`: by the tables, else its Python only, else nothing."""
        if known is None and self.image_python:
            return Image(f"the image {uri}", self.image_python, None)
        return known

    def find(self, uri: str, named: Path | None, what: str, option: str) -> Path:
        """Where `uri` is here: `named` on the command line by `option`, else in the store.

        Raises StartError with the place that was looked for, and for a URI that cannot be a place here.
        """
        try:
            place = named or LocalStore(self.store).path(uri)
        except UserError as error:
            raise StartError(f"{what}: {error}") from error
        if not place.exists() and not (named is None and LocalStore(self.store).objects(uri)):
            raise StartError(
                f"{what}: there is no {place}" + ("" if named else f", where {uri} would be; name it by {option}")
            )
        return place


def read(file: Path) -> dict[str, Any]:
    """The content of a JSON or YAML file. Raises StartError for one that cannot be read, or that is no object."""
    try:
        content = _parsed(_text(file.read_bytes()), file.suffix)
        values = list(islice(_values(content, ()), _MOST + 1))
    except RecursionError as error:
        raise StartError(f"no request body in {file}: it is nested too deeply, or in itself") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StartError(f"no request body in {file}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise StartError(f"no request body in {file}: it is no {'YAML' if file.suffix[1:2] == 'y' else 'JSON'} object")
    if len(values) > _MOST:
        raise StartError(f"no request body in {file}: it has more than {_MOST} values")
    for path, value in values:
        if _is_variable(value):
            raise StartError(
                f"{file}: {dotted(path)} is {json.dumps(value)}, which a pipeline replaces when it "
                "runs; write the value"
            )
    return content


@contextmanager
def beginning(problems: Sequence[Problem]) -> Iterator[None]:
    """Make a StartError of what a request lacks to be rehearsed; `problems` are its own, which may be ignored."""
    try:
        yield
    except StartError:
        raise
    except UserError as error:
        raise StartError(str(error)) from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if not problems:
            raise
        raise StartError(f"the request cannot be rehearsed as long as this is wrong: {problems[0]}") from error


def other_framework(image: str) -> str | None:
    """The framework that an image is for by its name, if that is not TensorFlow."""
    name = image.rpartition("/")[2].partition(":")[0].lower()
    if "tensorflow" in name:
        return None
    return next((title for part, title in _FRAMEWORKS.items() if re.search(rf"(^|[-_.]){part}([-_.]|$)", name)), None)


def check_framework(report: Report, platform: str, image: str) -> bool:
    """Whether the job can be run here: TensorFlow's can, and those of images that are known by no name."""
    other = other_framework(image)
    if other is None:
        return True
    what = f"{image} is an image of {other}: what runs here is what TensorFlow's images do"
    report.run(platform, "train", lambda: [Finding(what, "rehearse jobs of TensorFlow's images")])
    return False


def check_image(report: Report, platform: str, image: str, ended: date | None) -> None:
    """Say until when an image was patched that is not any more."""
    if ended is None:
        report.skip(platform, "images", f"{image or 'the image'} is not known here")
        return
    old = f"{image} has had no security patches since {ended}"
    is_old = datetime.now(timezone.utc).date() > ended
    report.run(platform, "images", lambda: [Finding(old, "choose a newer image", warning=True)] if is_old else image)


def merge(store: LocalStore, uri: str, place: Path) -> None:
    """Copy a file or a folder to where `store` has `uri`: what a job overwrites there is not the original."""
    target = store.path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.copytree(place, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(place, target / place.name if target.is_dir() or uri.endswith("/") else target)


def merge_all(store: LocalStore, folder: Path) -> None:
    """Copy all the buckets of another store."""
    shutil.copytree(folder, store.root, dirs_exist_ok=True)


def skip_project(report: Report) -> None:
    """Report the checks of a template's project as skipped."""
    for name in ("model", "hyperparameters", "data"):
        report.skip("project", name, NO_PROJECT)


def shown(place: Path) -> str:
    """A folder or an archive as its author typed it, to name files in it."""
    return place.as_posix() if str(place) != "." else ""


def unpacked(place: Path, folder: Path) -> Path:
    """The folder of a source: itself, or an archive unpacked into `folder`.

    Raises StartError for what is no archive, or an empty one, and for one that must not be unpacked, such as one with
    `..` in a name.
    """
    if place.is_dir():
        return place.absolute()
    try:
        if place.suffix in (".whl", ".zip"):
            archives.unpack_zip(place, folder)
        else:
            archives.unpack(place, folder)
    except UserError as error:
        # What each kind of compression says of it is no help.
        what = str(error).partition(":\n")[0]
        raise StartError(f"{what}; a source is a folder or an archive of one") from error
    if not folder.is_dir() or not any(folder.iterdir()):
        raise StartError(f"{place} is empty: there is no code in it")
    return folder


def _text(content: bytes) -> str:
    # PowerShell's > writes UTF-16.
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf_16 else "utf-8-sig")


def _parsed(text: str, suffix: str) -> Any:
    if not text.strip():
        raise ValueError("it is empty")
    # JSON's own messages say more about JSON.
    if suffix == ".json" or (text.lstrip()[0] in "{[" and suffix not in (".yaml", ".yml")):
        return json.loads(text)
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """Leaves times as texts: JSON has none."""


def _time(_: _Loader, node: yaml.Node) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _time)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _values(value: Any, path: problem.Path) -> Iterator[tuple[problem.Path, Any]]:
    yield path, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _values(item, (*path, str(name)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _values(item, (*path, number))


def _is_variable(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) == 1 and set(value) <= _PIPELINE_KEYS
    return isinstance(value, str) and _PIPELINE_TEXT.search(value) is not None
