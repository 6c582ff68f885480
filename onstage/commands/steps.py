"""Steps of a command that changes what is around a project: each is said, and done unless it is there already."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

# What a step is called before it is done, where it only would be.
_WOULD = {"made": "would be made", "changed": "would be changed", "removed": "would be removed"}


@dataclass(frozen=True)
class Step:
    """One thing, what becomes of it, and why or what for; `do` is None where nothing is to be done."""

    title: str
    state: str
    text: str
    do: Callable[[], None] | None = None


def take(steps: Iterable[Step], *, dry_run: bool) -> list[Step]:
    """Do each step, or with `dry_run` none, and print it. The steps."""
    taken = []
    for step in steps:
        if step.do and not dry_run:
            step.do()
        state = _WOULD.get(step.state, step.state) if dry_run else step.state
        print(f"{step.title}: {state}: {step.text}", flush=True)
        taken.append(step)
    return taken
