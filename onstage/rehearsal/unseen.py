"""What a rehearsal cannot know, in short lines: the part that every platform shares."""

import platform as machine
from collections.abc import Sequence
from importlib import metadata
from typing import Any

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
    here |= {name: _installed(distributions) for name, distributions in _LIBRARIES.items()}
    there = _there(known)
    if not there:
        said = ", ".join(f"{name} {version or 'none'}" for name, version in here.items())
        return f"{platform}: what the image {image} holds; here are {said}"
    others = [name for name in there if not _is_same(there[name], here[name])]
    if not others:
        return f"{platform}: the image's own libraries; {_joined([*there])} have the same versions here"
    differences = "; ".join(f"{name} {there[name]} there, {here[name] or 'none'} here" for name in others)
    return f"{platform}: the image's own libraries: {differences}"


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


def _installed(distributions: Sequence[str]) -> str:
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _is_same(there: str, here: str) -> bool:
    """Whether versions are equal as far as both say: 2.21 is 2.21.0."""
    return here == there or here.startswith(f"{there}.")


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
