"""Compares the tables of images, regions and versions with the newest packages: `.venv/bin/python packaging/dates.py`.

The newest SDKs of both vendors are unpacked from the package index into a temporary folder (50 MB), TensorFlow, Keras
and TensorFlow Serving are only asked for their newest version. A line that begins with `differs` is to be looked at;
a `note` needs no change. What no package has is listed at the end, with where to read it. Exit codes: 0 no difference,
1 a difference, 2 the index could not be asked.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLES = {name: ROOT / "onstage" / name / "requests" / "images.json" for name in ("sagemaker", "vertex")}
PINS = ROOT / "tests" / "requirements.txt"
SDKS = ("sagemaker-core", "google-cloud-aiplatform", "sagemaker")
# Asked for their newest version only; their wheels are large.
ASKED = ("tensorflow-cpu", "keras", "tensorflow-serving-api")
# Before an image gets its last patches, a release with the next one has to reach every project.
AHEAD = timedelta(days=60)
# The SDK's list is of the whole service, and some regions only predict; the table's is of gcloud's training regions.
NOT_TRAINING = {"asia-south2", "europe-north2", "global", "us-east7", "us-west8"}
BY_HAND = """\
not compared, because no package has it; read it, and write the day into `read_on`:
  end of patch of SageMaker's images: AWS Deep Learning Containers, support policy
  tags on Docker Hub: tensorflow/tensorflow, tensorflow/serving
  Vertex AI's prebuilt training containers, machine types, accelerators, training regions: its documentation; gcloud"""
Table = Mapping[str, Any]


class NoAnswerError(Exception):
    """The package index gave no answer."""


def tables() -> dict[str, Table]:
    """The tables by platform."""
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in TABLES.items()}


def ends_soon(known: Mapping[str, Table], today: date) -> Iterator[str]:
    """Default images, the first of their role in each table, that get their last patches within 60 days, or have."""
    for platform, table in known.items():
        for role in dict.fromkeys(row["role"] for row in table["images"]):
            row = next(row for row in table["images"] if row["role"] == role)
            if "end_of_patch" in row and today + AHEAD > (last := date.fromisoformat(row["end_of_patch"])):
                yield (
                    f"{platform}: the default {role} image (TensorFlow {row['tensorflow']}) gets its last patches on "
                    f"{last}, {(last - today).days} days from now: put a newer one first in "
                    f"{TABLES[platform].relative_to(ROOT)} (.venv/bin/python packaging/dates.py shows which there "
                    "are), train and serve with it, and release"
                )


def newest_sagemaker(table: Table, sdk: Path) -> Iterator[str]:
    """How SageMaker's table differs from the SDK's image_uri_config/tensorflow.json."""
    config = json.loads((sdk / "sagemaker/core/image_uri_config/tensorflow.json").read_text(encoding="utf-8"))
    for role in ("training", "inference"):
        rows = {row["tensorflow"]: row for row in table["images"] if row["role"] == role}
        versions = {minor(version): content for version, content in config[role]["versions"].items()}
        if newer := [one for one in versions if order(one) > order(max(rows, key=order))]:
            yield f"sagemaker: {role} images of TensorFlow {', '.join(newer)}, which the table has not"
        for version, row in rows.items():
            if version not in versions:
                yield f"sagemaker: no {role} image of TensorFlow {version} any more"
                continue
            pythons = versions[version].get("py_versions") or [f"py{row['python'].replace('.', '')}"]
            if f"py{row['python'].replace('.', '')}" not in pythons:
                yield f"sagemaker: {role} {version} has {', '.join(pythons)}, the table Python {row['python']}"
            everywhere = "everywhere" in row
            known = {
                region: account for region, account in table["accounts"].items()
                if everywhere or region not in table["only_with_everywhere"]
            }  # fmt: skip
            yield from lists(f"sagemaker: {role} {version}: regions", known, versions[version]["registries"])
            for region, account in versions[version]["registries"].items():
                if region in known and known[region] != account:
                    yield f"sagemaker: {role} {version}: {region} is account {account}, the table has {known[region]}"


def newest_vertex(table: Table, sdk: Path) -> Iterator[str]:
    """How Vertex AI's table differs from the SDK's lists of regions and of prebuilt prediction containers."""
    constants = sdk / "google/cloud/aiplatform/constants"
    # Read as text: importing them needs what the SDK needs.
    text = (constants / "base.py").read_text(encoding="utf-8")
    found = re.search(r"SUPPORTED_REGIONS = frozenset\(\s*(\{.*?\})\s*\)", text, re.DOTALL)
    regions = set(re.findall(r'"([a-z0-9-]+)"', found[1])) if found else set()
    if not regions:
        yield "vertex: the SDK's constants/base.py has no SUPPORTED_REGIONS any more: mend packaging/dates.py"
    yield from lists("vertex: regions", table["regions"], regions - NOT_TRAINING)
    uris = re.findall(r"prediction/tf2-cpu\.(\d+)-(\d+)", (constants / "prediction.py").read_text(encoding="utf-8"))
    newest = max((f"{major}.{minor_}" for major, minor_ in uris), key=order, default="none")
    (row,) = [row for row in table["images"] if (row["role"], row["kind"]) == ("serving", "prebuilt")]
    if newest != row["tensorflow"]:
        yield f"vertex: the newest prebuilt prediction container has TensorFlow {newest}, the table {row['tensorflow']}"


def newest_versions(known: Mapping[str, Table], pins: str, found: Mapping[str, str]) -> Iterator[str]:
    """How the versions of TensorFlow, and of the SDK that a project can ask for, differ from the newest ones."""
    containers = {row["role"]: row for row in known["vertex"]["images"] if row["kind"] == "container"}
    for package, role in (("tensorflow-cpu", "training"), ("tensorflow-serving-api", "serving")):
        if minor(found[package]) != containers[role]["tensorflow"]:
            yield f"{package} {found[package]}: the {role} container of Vertex AI is {containers[role]['tensorflow']}"
    (pinned,) = re.findall(r"(?m)^tensorflow-cpu==([\d.]+)", pins)
    if pinned != found["tensorflow-cpu"]:
        yield f"tensorflow-cpu {found['tensorflow-cpu']}: projects install {pinned}"
    (sdk,) = re.findall(r"(?m)^Requires-Dist: sagemaker==([\d.]+)\.\*", _metadata())
    if minor(found["sagemaker"]) != sdk:
        yield f"sagemaker {found['sagemaker']}: the extra `sdk` installs {sdk}"


def notes(known: Mapping[str, Table], pins: str, found: Mapping[str, str], today: date) -> Iterator[str]:
    """What is worth knowing, and needs no change."""
    for package in ("sagemaker-core", "google-cloud-aiplatform"):
        yield f"{package} {found[package]} is the newest"
    (keras,) = re.findall(r'(?m)^keras==([\d.]+); python_version >= "3.11"', pins)
    if keras != found["keras"]:
        yield f"keras {found['keras']} is the newest; projects install {keras}, which SageMaker's training image has"
    for platform, table in known.items():
        yield f"{platform}: the table was read on {table['read_on']}"
        for row in table["images"]:
            gone = row.get("end_of_availability")
            if gone and today <= date.fromisoformat(gone) < today + AHEAD:
                yield f"{platform}: the {row['role']} image of TensorFlow {row['tensorflow']} is gone after {gone}"


def lists(what: str, known: Sequence[str] | Mapping[str, Any], newest: set[str] | Mapping[str, Any]) -> Iterator[str]:
    """What only one of two lists has."""
    if more := sorted(set(newest) - set(known)):
        yield f"{what}: the SDK has {', '.join(more)} too"
    if less := sorted(set(known) - set(newest)):
        yield f"{what}: the SDK has no {', '.join(less)}"


def minor(version: str) -> str:
    """2.21 of 2.21.0."""
    return ".".join(version.split(".")[:2])


def order(version: str) -> tuple[int, ...]:
    """What versions are compared by."""
    return tuple(map(int, version.split(".")))


def _metadata() -> str:
    return (ROOT / "packaging" / "METADATA").read_text(encoding="utf-8")


def uv(*words: str | Path, given: str = "") -> str:
    """What uv prints. Raises NoAnswerError with its last line where it fails."""
    command = [sys.executable, "-m", "uv", "pip", *map(str, words)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise NoAnswerError(said[-1] if said else "uv failed")
    return done.stdout


def ask_the_index(folder: Path) -> dict[str, str]:
    """Unpack the newest SDKs into `folder`; the newest version of every package. Raises NoAnswerError."""
    uv("install", "--quiet", "--no-deps", "--upgrade", "--target", folder, *SDKS)
    wanted = ["--quiet", "--no-deps", "--no-header", "--no-annotate", "--python-version", "3.12", "-"]
    lines = uv("compile", *wanted, given="\n".join(ASKED)).splitlines()
    found = dict(line.split("==") for line in lines if "==" in line)
    for name in SDKS:
        (info,) = folder.glob(f"{name.replace('-', '_')}-*.dist-info")
        found[name] = info.name.removesuffix(".dist-info").rpartition("-")[2]
    return found


def main() -> int:
    """The exit code."""
    known, pins, today = tables(), PINS.read_text(encoding="utf-8"), date.today()
    with tempfile.TemporaryDirectory() as name:
        sdk = Path(name)
        try:
            found = ask_the_index(sdk)
        except NoAnswerError as error:
            print(f"the package index could not be asked: {error}", file=sys.stderr)
            return 2
        differences = [
            *ends_soon(known, today),
            *newest_sagemaker(known["sagemaker"], sdk),
            *newest_vertex(known["vertex"], sdk),
            *newest_versions(known, pins, found),
        ]
    for one in differences:
        print(f"differs: {one}")
    for one in notes(known, pins, found, today):
        print(f"note: {one}")
    print(BY_HAND)
    print(f"{len(differences)} differences" if differences else "no difference")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
