"""Vertex AI's TensorFlow images, regions and machines: which there are, until when, and what goes together.

The table is images.json.
"""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onstage.errors import UserError

_FOLDER = Path(__file__).parent
# The processors of these machines are Arm, for which none of the images is built.
_ARM = re.compile(r"(t2a|c4a|n4a|a4x)-.*")


@dataclass(frozen=True)
class Image:
    """A TensorFlow image: what it runs, and `packages`, the list of what it holds, where that is known.

    `role` is "training" or "serving", `kind` "container" or "prebuilt"; an image of Docker Hub has no dates.
    """

    role: str
    kind: str
    tensorflow: str
    accelerator: str
    python: str | None
    end_of_patch: date | None
    end_of_availability: date | None
    packages: Path | None


def image_uri(region: str, role: str, kind: str, accelerator: str, repository: str = "") -> str:
    """The newest image of a role and a kind; `accelerator` is "cpu" or "gpu".

    `repository` is an Artifact Registry repository that has Docker Hub's images, such as
    us-central1-docker.pkg.dev/PROJECT/docker-hub; a serving container needs it. Raises UserError for an unknown region.
    """
    if region not in regions():
        raise UserError(unknown_region(region))
    row = next(row for row in _table()["images"] if (row["role"], row["kind"]) == (role, kind))
    host = _table()["hosts"][region.partition("-")[0]]
    return row[accelerator].format(host=host, repository=repository)


def known_image(uri: str) -> Image | None:
    """What is known of an image, wherever it is stored and by any of its tags; None for other images."""
    for row in _table()["images"]:
        for accelerator in ("gpu", "cpu"):
            if re.fullmatch(_pattern(row[accelerator], accelerator), uri):
                return Image(
                    row["role"],
                    row["kind"],
                    row["tensorflow"],
                    accelerator,
                    row.get("python"),
                    _date(row.get("end_of_patch")),
                    _date(row.get("end_of_availability")),
                    _FOLDER / row["packages"] if "packages" in row else None,
                )
    return None


def serving_version(uri: str) -> str:
    """The TensorFlow version, such as 2.20, that serves in an image, by its name, in any registry; empty: not known."""
    found = re.search(r"tensorflow/serving:(\d+)\.(\d+)|/tf2-[cg]pu\.(\d+)-(\d+)", uri)
    return ".".join(filter(None, found.groups())) if found else ""


def newest_serving() -> str:
    """The newest TensorFlow version that serves."""
    return next(row["tensorflow"] for row in _table()["images"] if row["role"] == "serving")


def availability_problem(uri: str, today: date) -> str | None:
    """What to say about an image that can no longer be pulled, so that a job with it fails; None for others."""
    image = known_image(uri)
    if image is None or image.end_of_availability is None or today <= image.end_of_availability:
        return None
    return (
        f"{_described(image)} has not been available since {image.end_of_availability}; {_instead(image)} "
        "in [vertex] of settings.toml"
    )


def patch_problem(uri: str, today: date) -> str | None:
    """What to say about an image that is no longer patched, but still there; None for others."""
    image = known_image(uri)
    if image is None or image.end_of_patch is None or today <= image.end_of_patch or availability_problem(uri, today):
        return None
    return (
        f"{_described(image)} has had no security patches since {image.end_of_patch}, and will be gone after "
        f"{image.end_of_availability}; {_instead(image)} in [vertex] of settings.toml"
    )


def regions() -> list[str]:
    """The regions in which Vertex AI trains."""
    return _table()["regions"]


def unknown_region(region: str) -> str:
    """What to say about a region that is none."""
    similar = get_close_matches(region, regions(), n=3)
    neighbours = [name for name in regions() if name.partition("-")[0] == region.partition("-")[0]]
    choice = ", ".join(list(dict.fromkeys([*similar, *neighbours]))[:4] or regions()[-2:])
    return f"Vertex AI does not train in the region {region!r}; choose another, such as {choice}"


def region_names(text: str) -> list[str]:
    """The regions that a text such as a bucket's name mentions, in the table's order."""
    return [name for name in regions() if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", text)]


def machine_problem(machine_type: str, accelerator_type: str = "", count: int = 0) -> tuple[str, str] | None:
    """What to say about a machine type that does not exist, or not with these accelerators, and what to write instead.

    Machine types of families that the table does not have pass: new ones appear more often than the template.
    """
    if _ARM.fullmatch(machine_type):
        return f"{machine_type} has an Arm processor, on which the TensorFlow images do not run", "choose n1-standard-4"
    table: Mapping[str, Mapping[str, list[int]]] = _table()["accelerators"]
    known = _machines()
    family = machine_type.partition("-")[0]
    if machine_type not in known and family in {name.partition("-")[0] for name in known}:
        near = get_close_matches(machine_type, known, n=3)
        return f"there is no machine type {machine_type!r}", f"choose {' or '.join(near)}" if near else ""
    if not accelerator_type:
        own = next((name for name, machines in table.items() if machine_type in machines), None)
        if own is None:
            return None
        least = table[own][machine_type][0]
        return f"{machine_type} comes with {own}, which must be named", f"give it {least} of {own}"
    if accelerator_type not in table:
        return None
    machines = table[accelerator_type]
    counts = machines.get(machine_type) or machines.get(family)
    if counts is None:
        names = [f"{name}-standard-8" if name == "n1" else name for name in machines]
        return f"{machine_type} cannot have {accelerator_type}", f"choose {' or '.join(names[:3])}"
    if count not in counts:
        allowed = " or ".join(map(str, counts))
        return f"{machine_type} has {allowed} of {accelerator_type}, not {count}", f"write {allowed}"
    return None


@functools.cache
def _machines() -> list[str]:
    table = _table()
    plain = [f"{name}-{size}" for name, sizes in table["machines"].items() for size in sizes]
    fixed = [name for machines in table["accelerators"].values() for name in machines if "-" in name]
    return [*plain, *fixed]


@functools.cache
def _table() -> dict[str, Any]:
    return json.loads((_FOLDER / "images.json").read_text(encoding="utf-8"))


def _pattern(uri: str, accelerator: str) -> str:
    """Matches the image of a row in any registry, by its version or a longer spelling of it."""
    name, _, tag = uri.partition(":")
    if name.startswith("{host}"):
        return re.escape(uri).replace(r"\{host\}", "(us|europe|asia)").replace(":latest", "(:.+)?")
    short = name.removeprefix("docker.io/").removeprefix("{repository}/")
    # tensorflow/tensorflow:2.21.0-jupyter holds more than the plain image, which does no harm.
    version = re.escape(tag.removesuffix("-gpu"))
    return rf"(.+/)?{short}:{version}" + (r"-gpu.*" if accelerator == "gpu" else r"(?!.*gpu).*")


def _described(image: Image) -> str:
    return f"the prebuilt TensorFlow {image.tensorflow} {image.role} image"


def _instead(image: Image) -> str:
    """The setting without this image."""
    return f'write {"package" if image.role == "training" else "serving"} = "container"'


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
