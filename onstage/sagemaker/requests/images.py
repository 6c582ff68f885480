"""SageMaker's TensorFlow images: which there are, in which regions, and until when they are patched.

The table is images.json. Its URIs are those of the SageMaker SDK's `image_uris.retrieve`.
"""

import functools
import json
import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onstage.errors import UserError

_FOLDER = Path(__file__).parent
# 2.21-cpu-py312, and the longer spellings of the same image: 2.21.0-gpu-py312-cu129-amzn2023-sagemaker-v1.
_TAG = re.compile(r"(?P<version>\d+\.\d+)(\.\d+)?-(?P<accelerator>cpu|gpu)(-.+)?")
_URI = re.compile(
    r"(?P<registry>[^/]+(/deep-learning-containers)?)/tensorflow-(?P<role>training|inference):(?P<tag>.+)"
)
# Families with processors that the TensorFlow images above are not built for.
_OTHER_PROCESSORS = {
    r"inf.*": "AWS Inferentia",
    r"trn.*": "AWS Trainium",
    r"dl\d.*": "Intel Gaudi",
    r"[a-z]+\d+g[a-z]*|a1|.*-gb\d+": "an Arm processor",
}


@dataclass(frozen=True)
class Image:
    """One of AWS's TensorFlow images. `packages` lists what it holds, where that is known."""

    role: str
    tensorflow: str
    python: str
    accelerator: str
    end_of_patch: date
    packages: Path | None


def image_uri(region: str, role: str, accelerator: str, version: str | None = None) -> str:
    """The newest image, or that of a TensorFlow version such as "2.19", for a region.

    `role` is "training" or "inference", `accelerator` "cpu" or "gpu". Raises UserError for a region or a version that
    has none.
    """
    accounts = _table()["accounts"]
    if region not in accounts:
        raise UserError(f"SageMaker has no TensorFlow images in the region {region!r}; {_near(region, list(accounts))}")
    row = _row(role, version)
    elsewhere = regions(role, version)
    if region not in elsewhere:
        raise UserError(
            f"the TensorFlow {row['tensorflow']} {role} image is not in the region {region}; {_near(region, elsewhere)}"
        )
    registry = f"{accounts[region]}.dkr.ecr.{region}.{_partition(region)['suffix']}"
    return f"{registry}/tensorflow-{role}:{row[accelerator]}"


def accelerator_of(instance_type: str) -> str:
    """The image that an instance type such as ml.g5.xlarge needs: "cpu" or "gpu".

    Raises UserError for those that neither image runs on: Graviton and other Arm processors, Inferentia, Trainium.
    """
    family = instance_type.removeprefix("ml.").partition(".")[0]
    for pattern, name in _OTHER_PROCESSORS.items():
        if re.fullmatch(pattern, family):
            raise UserError(
                f"{instance_type} has {name}, on which AWS's TensorFlow images do not run; "
                "choose ml.m5 or ml.c5 (CPU), ml.g5 or ml.p4d (GPU)"
            )
    return "gpu" if family.startswith(("g", "p")) else "cpu"


def known_image(uri: str) -> Image | None:
    """What is known of an image, by any of its tags; None for an image that is not one of AWS's TensorFlow images."""
    found = _URI.fullmatch(uri)
    tag = _TAG.fullmatch(found["tag"]) if found else None
    if not found or not tag or not _is_registry_of_aws(found["registry"]):
        return None
    for row in _table()["images"]:
        if (row["role"], row["tensorflow"]) == (found["role"], tag["version"]):
            packages = _FOLDER / row["packages"] if "packages" in row else None
            until = date.fromisoformat(row["end_of_patch"])
            return Image(row["role"], row["tensorflow"], row["python"], tag["accelerator"], until, packages)
    return None


def serving_version(uri: str) -> str:
    """The TensorFlow version, such as 2.20, that serves in an image, by its name, in any registry; empty: not known."""
    found = re.search(r"/tensorflow-inference:(?P<version>\d+\.\d+)[.-]", uri)
    return found["version"] if found else ""


def newest_serving() -> str:
    """The newest TensorFlow version that serves."""
    return _row("inference", None)["tensorflow"]


def patch_problem(uri: str, today: date) -> str | None:
    """What to say about an image that is no longer patched; None for one that is, and for an unknown image."""
    image = known_image(uri)
    if image is None or today <= image.end_of_patch:
        return None
    newest = _row(image.role, None)
    said = (
        f"the TensorFlow {image.tensorflow} {image.role} image has had no security patches since {image.end_of_patch}"
    )
    if newest["tensorflow"] == image.tensorflow:
        return f"{said}; this template knows no newer one: update the template (cruft update)"
    setting = f"{image.role}_image"
    return f"{said}; remove {setting} from [sagemaker] in settings.toml: {newest['tensorflow']} is the newest"


def regions(role: str, version: str | None = None) -> list[str]:
    """The regions that have the newest image, or that of a TensorFlow version. Raises UserError for an unknown one."""
    table, row = _table(), _row(role, version)
    return [name for name in table["accounts"] if "everywhere" in row or name not in table["only_with_everywhere"]]


def partition(region: str) -> str:
    """The partition, the second part of an ARN, that a region belongs to: aws, aws-cn, aws-us-gov..."""
    return _partition(region)["partition"]


def region_names(text: str) -> list[str]:
    """The regions that a text such as a bucket's name mentions, in the table's order."""
    return [name for name in _table()["accounts"] if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", text)]


@functools.cache
def _table() -> dict[str, Any]:
    return json.loads((_FOLDER / "images.json").read_text(encoding="utf-8"))


def _partition(region: str) -> dict[str, str]:
    return next(row for row in _table()["partitions"] if region.startswith(row["prefix"]))


def _row(role: str, version: str | None) -> dict[str, Any]:
    rows = [row for row in _table()["images"] if row["role"] == role]
    chosen = [row for row in rows if version in (None, row["tensorflow"])]
    if not chosen:
        versions = ", ".join(row["tensorflow"] for row in rows)
        raise UserError(f"there is no {role} image of TensorFlow {version}; there are {versions}")
    return chosen[0]


def _near(region: str, others: list[str]) -> str:
    similar = get_close_matches(region, others, n=3)
    neighbours = [name for name in others if name.partition("-")[0] == region.partition("-")[0]]
    return f"choose another, such as {', '.join(list(dict.fromkeys([*similar, *neighbours]))[:4] or others[-2:])}"


def _is_registry_of_aws(registry: str) -> bool:
    return registry == "public.ecr.aws/deep-learning-containers" or registry.partition(".")[0] in set(
        _table()["accounts"].values()
    )
