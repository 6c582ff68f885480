"""What a rehearsal cannot know, in short lines: the part that every platform shares."""

import platform as machine
from collections.abc import Collection, Sequence
from typing import Any

from onstage import installation
from onstage.checks import table_checks
from onstage.rehearsal.operation_checks import Server
from onstage.report import Report
from onstage.serving import operations, versions
from onstage.settings import Settings

# The distributions that may bring a library, by its name.
_LIBRARIES = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",), "numpy": ("numpy",)}


def account(platform: str, things: Sequence[str]) -> str:
    """What only a cloud account can say; `things` are what the request says is there."""
    return f"{platform}: quotas and permissions, and whether {_joined(things)} exist"


def machines(platform: str, kind: str, gpu: str, count: int) -> list[str]:
    """What a job gets there and not here: `count` machines of a kind; `gpu` is one in words (empty: none)."""
    if not kind:
        return []
    own = f"{gpu}, memory and disk; the job has this machine's processor" if gpu else "its memory and disk"
    lines = [f"{platform}: {kind}: {own}"]
    if count > 1:
        lines.append(f"{platform}: the network between {count} machines, which are processes of this one here")
    return lines


def libraries(platform: str, image: str, known: Any) -> str:
    """What is installed in an image: it does not run here. `known` is what the platform's table has of it."""
    here = {"Python": ".".join(machine.python_version_tuple()[:2])}
    here |= {name: installation.version_of(*distributions) for name, distributions in _LIBRARIES.items()}
    there = _there(known)
    if not there:
        said = ", ".join(f"{name} {version or 'none'}" for name, version in here.items())
        return f"{platform}: what the image {image} holds; here are {said}"
    others = [name for name in there if not _is_same(there[name], here[name])]
    if not others:
        return f"{platform}: the image's own libraries; {_joined([*there])} have the same versions here"
    differences = "; ".join(f"{name} {there[name]} there, {here[name] or 'none'} here" for name in others)
    return f"{platform}: the image's own libraries: {differences}"


def kernels(platform: str, server: Server | None, asked: str) -> list[str]:
    """What the server's version of TensorFlow computes with; no line for the version that is here, or is `asked`."""
    here = versions.here() or "none"
    if server is None:
        return [
            f"{platform}: the TensorFlow that will serve the model, which the request does not name; here is {here}"
        ]
    if not server.tensorflow:
        return [f"{platform}: the TensorFlow of {server.image}, which will serve the model; here is {here}"]
    there = operations.version(server.tensorflow)
    if _is_same(server.tensorflow, here) or there == operations.version(asked):
        return []
    said = f"TensorFlow {server.tensorflow} there, {here} here"
    tried = f"; --serving-version {'.'.join(map(str, there))} tries it" if there >= operations.known()[0] else ""
    return [f"{platform}: whether the server computes with every type that the model has: {said}{tried}"]


def _there(known: Any) -> dict[str, str]:
    """The versions in an image, as far as they are known."""
    if known is None:
        return {}
    lines = known.packages.read_text(encoding="utf-8").splitlines() if known.packages else []
    versions = {line.partition("==")[0]: line.partition("==")[2] for line in lines if not line.startswith("#")}
    listed = {
        name: next((versions[one] for one in distributions if one in versions), "")
        for name, distributions in _LIBRARIES.items()
    }
    listed["tensorflow"] = listed["tensorflow"] or known.tensorflow
    return {name: version for name, version in {"Python": known.python, **listed}.items() if version}


def _is_same(there: str, here: str) -> bool:
    """Whether versions are equal as far as both say: 2.21 is 2.21.0."""
    return here == there or here.startswith(f"{there}.")


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def settings_of(report: Report, settings: Settings, argv: Sequence[str], *, is_trained: bool) -> list[str]:
    """What a training of the project would do and this one did not, or what none did."""
    page = report.project[0] if report.project else None
    lines = [
        f"{channel}: all rows but the {sample.looked:,} that were looked at, which a training reads"
        for channel, sample in report.samples.items()
        if sample.looked is not None
    ]
    if not is_trained or page is None:
        return lines
    whole = table_checks.hyperparameters(page, argv, {})
    here = table_checks.hyperparameters(page, argv, settings.rehearsal.hyperparameters)
    less = [f"{name}={value} instead of {whole[name]}" for name, value in here.items() if value != whole[name]]
    less += [f"{channel} {sample.in_words}" for channel, sample in report.samples.items() if not sample.is_all]
    return lines + ([f"a training in full: here it had {', '.join(less)}"] if less else [])


def hosts(platform: str, there: int, here: int) -> list[str]:
    """What a rehearsal says that has another number of hosts than the job of settings.toml."""
    if there == here:
        return []
    count = f"{there} hosts" if there > 1 else "one host"
    return [f"{platform}: the job on {count}, as settings.toml says; here it had {here}"]


def missing(report: Report, checks: Collection[str]) -> list[str]:
    """What was not done of these checks, by their ids, because something failed before."""
    done = {check.id for check in report.checks}
    found = [one for one in checks if report.wants_id(one) and one not in done]
    return [f"what comes after the failed check: {_counted(found)}"] if found and not report.passed else []


def unselected(report: Report, checks: Collection[str]) -> list[str]:
    """What was not done of these checks because it was not selected."""
    count = sum(not report.wants_id(one) for one in checks)
    return [f"what --select left out: {count} checks"] if count else []


def _counted(ids: Sequence[str]) -> str:
    return f"{ids[0]} and {len(ids) - 1} more checks" if len(ids) > 1 else ids[0]
