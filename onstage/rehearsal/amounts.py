"""How much a job says: a rehearsal's few epochs, and what all of model.py's come to."""

from onstage.report import Finding, Report

# In bytes, of the log of a whole training; the template's own has a hundredth of it.
MUCH = 100_000_000


def of_log(log: str, report: Report) -> list[Finding]:
    """A warning about a job whose log is large, or would be in full."""
    page, values = report.project or (None, {})
    size, here, whole = len(log.encode()), values.get("epochs"), 1
    if page is not None and isinstance(here, int) and here > 0:
        whole = getattr(page.hyperparameters(), "epochs", here)
    return _finding(size, here or 1, whole)


def _finding(size: int, here: int, whole: int) -> list[Finding]:
    total = size * max(1.0, whole / here)
    if total < MUCH:
        return []
    epochs = f" in {here} epoch{'s' * (here != 1)}: {total / 1e6:.0f} MB in {whole}" if whole > here else ""
    return [
        Finding(
            f"the job wrote {size / 1e6:.0f} MB of log{epochs}",
            "print once an epoch, not once a step",
            "it is paid for by the gigabyte, and nobody finds a line in it",
            warning=True,
        )
    ]
