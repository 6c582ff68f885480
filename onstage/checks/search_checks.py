"""What a tuning service searches of model.py's ranges, and what it cannot express."""

from collections.abc import Collection, Sequence

from onstage import space
from onstage.report import Finding
from onstage.space import Space


def search_findings(notes: Sequence[str]) -> list[Finding]:
    """What the service does another way than model.py says: warnings."""
    return [Finding(f"model.py: {note}", warning=True) for note in notes]


def searched(ranges: Space, hyperparameters: type, fixed: Collection[str]) -> str:
    """What is searched, and what would be but for the flags that say its value, in words."""
    left = [name for name in space.of(hyperparameters).names if name in fixed]
    by_flag = f"; not {', '.join(left)}: {'a flag says its value' if len(left) == 1 else 'flags say their values'}"
    return f"searched: {', '.join(ranges.names)}{by_flag if left else ''}"
