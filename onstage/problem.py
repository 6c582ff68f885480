"""What is wrong in a request body, and where."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple["str | int | Key", ...]


class Key(str):
    """A key of a map, in contrast to the name of a structure's member."""


@dataclass(frozen=True)
class Problem:
    """`path` is the member, as in InputDataConfig[0].ChannelName; `cloud` is what the cloud would say, if known."""

    path: str
    message: str
    fix: str = ""
    cloud: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def spelling(name: str, known: Iterable[str]) -> str:
    """The one of `known` that `name` is in another spelling, such as hyper_parameters; else `name` itself."""
    plain = name.replace("_", "").lower()
    found = [one for one in known if one.lower() == plain]
    return name if name in found or not found else found[0]


def dotted(path: Path) -> str:
    """A path as one writes it: InputDataConfig[0].ChannelName, HyperParameters["epochs"]."""
    text = ""
    for part in path:
        if isinstance(part, Key):
            text += f'["{part}"]'
        else:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the request"


def texts(value: Any, maps: Collection[str] = (), path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text in a body with its path; `maps` are the members whose own members are keys."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        inside_map = bool(path) and path[-1] in maps
        for name, item in value.items():
            yield from texts(item, maps, (*path, Key(name) if inside_map else name))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from texts(item, maps, (*path, number))


def twice(names: Iterable[Any], path: Path, what: str) -> Iterator[Problem]:
    """A problem for each name that is there more than once."""
    for name, count in Counter(names).items():
        if count > 1 and name is not None:
            yield Problem(dotted(path), f"the {what} {name!r} is there {count} times", "rename or remove one")
