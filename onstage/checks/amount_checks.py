"""How much travels with every job."""

from onstage.checks.source_checks import Source
from onstage.report import Finding

# In bytes: of one file, and of all together. The template's own src/ has a hundredth of it.
LARGE = 10_000_000
_FIX = "move what is data to data/, which is uploaded once"


def check_amounts(code: Source) -> list[Finding]:
    """Warnings of each large file, or of many that are large together."""
    sizes = {file: file.stat().st_size for file in code.files}
    total = sum(sizes.values())
    large = [file for file in sizes if sizes[file] >= LARGE]
    found = [f"{code.name(file)} has {_shown(sizes[file])} and would be uploaded with every job" for file in large]
    if len(large) > 1:
        found[-1] += f"; {code.place} has {_shown(total)} in all"
    elif not large and total >= LARGE:
        largest = max(sizes, key=lambda file: sizes[file])
        most = f"the largest is {code.name(largest)} with {_shown(sizes[largest])}"
        all_of_it = f"{code.place} has {_shown(total)} in {len(sizes)} files"
        found = [f"{all_of_it} and would be uploaded with every job; {most}"]
    return [Finding(text, _FIX, warning=True) for text in found]


def _shown(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < LARGE else f"{size / 1e6:.0f} MB"
