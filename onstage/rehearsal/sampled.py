"""Jobs that get a sample of the data: which one, and what their words mean for all of it."""

import re
from collections.abc import Mapping, Sequence

from onstage.checks.table_checks import sample_of, tables
from onstage.errors import UserError
from onstage.report import Report
from onstage.settings import Settings
from onstage.source import find_data
from onstage.tables.sample import Sample, whole

# As `trainer.rows` writes a place; the channel is a folder of the job.
_PLACE = re.compile(r"(/data/([\w-]+)/([^\n]+?), row )(\d+)")


def complete(report: Report, settings: Settings) -> None:
    """Take what the check of the data has not, because it was not selected or did not come so far."""
    page = report.project[0] if report.project else None
    for channel, location in settings.data:
        if page is not None and channel not in report.samples:
            files = find_data(settings.project, location)
            try:
                report.samples[channel] = sample_of(page, files, settings.rehearsal.rows)
            except UserError:
                # A damaged file is for the job to name.
                report.samples[channel] = whole(files, tables(page, files))


def notes(found: Sequence[str], samples: Mapping[str, Sample]) -> list[str]:
    """What a job notices about its data: of a sample only where the check of the data has not looked at all rows."""
    if all(sample.is_all for sample in samples.values()):
        return list(found)
    if all(sample.counted and sample.looked is None for sample in samples.values()):
        return []
    return [f"{note} (of the sample that the job got)" for note in found]


def rows_at_home(text: str, samples: Mapping[str, Sample]) -> str:
    """`text` of a job with the numbers that rows have in the files that the sample is from."""

    def at_home(match: re.Match[str]) -> str:
        before, channel, name, row = match.groups()
        sample = samples.get(channel)
        part = sample.parts.get(name) if sample else None
        there = part.row_at_home(int(row)) if part else None
        return f"{before}{row} of its sample" if part and there is None else f"{before}{there or row}"

    return _PLACE.sub(at_home, text)
