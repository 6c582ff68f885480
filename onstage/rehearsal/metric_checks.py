"""Whether what a service reads in a job's log, by regular expressions, is what the trainer reported elsewhere."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from onstage.rehearsal.terms import Terms
from onstage.report import Finding

_AROUND = 60
# What float32 leaves of a number.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Match:
    """A value in a line of the log: the text that stands for it, where it is, and what comes after it."""

    line: str
    text: str
    start: int
    end: int
    after: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)

    @property
    def goes_on(self) -> str:
        """What follows in the line and belongs to the number, such as ,87 after 0; empty where it is whole."""
        comma = "" if "." in self.text else ","
        found = re.match(rf"[{comma}.]?\d[\d.]*|[eE][+-]?\d+", self.after)
        return found[0] if found else ""

    @property
    def shown(self) -> str:
        """The line, as far as it is of interest."""
        start, end = max(0, self.start - _AROUND), self.end + _AROUND
        return f"{'...' * (start > 0)}{self.line[start:end]}{'...' * (end < len(self.line))}"


@dataclass(frozen=True)
class Log:
    """The lines of a job. `cut` are those that were the beginning of one."""

    text: str
    cut: Sequence[str] = ()

    def matches(self, pattern: str, *, first: bool) -> list[Match]:
        """The numbers that a pattern finds: the first one in each line, as SageMaker does, or all."""
        found = []
        for line, following in self._pairs():
            for match in re.finditer(pattern, line):
                group = 1 if match.re.groups else 0
                if _is_number(match[group]):
                    start, end = match.span(group)
                    after = line[end:] + (following if line in self.cut else "")
                    found.append(Match(line, match[group], start, end, after))
                if first:
                    break
        return found

    def parted(self, pattern: str) -> str:
        """In words, a line that was flushed in parts and in which the pattern would have found a value; or nothing."""
        for line, after in self._pairs():
            if line in self.cut and any(_ends_behind(pattern, line, gap, after) for gap in ("", " ")):
                return _parted(line, after)
        return ""

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Each line and the next one."""
        lines = self.text.split("\n")
        yield from itertools.pairwise([*lines, ""])


def check_values(
    patterns: Mapping[str, str], found: Mapping[str, list[Match]], reported: Mapping[str, list[float]], log: Log,
    terms: Terms, otherwise: str,
) -> list[Finding]:  # fmt: skip
    """Every metric's values by its pattern are those that the trainer `reported`; `otherwise` says what follows."""
    findings = []
    for name, matches in found.items():
        for match, value in _pairs(matches, reported.get(name, [])):
            if _is_printed(match, value):
                continue
            findings.append(
                Finding(
                    f"{name} is {match.text} in the log, and the trainer reported {value:.6g}: {patterns[name]} found "
                    f"it in the line {match.shown!r}{_why(match, log)}",
                    f"print whole lines, numbers with a point{terms.example('src/trainer/reporting.py')}",
                    otherwise,
                    warning=not terms.of_project,
                )
            )
            break
        last = matches[-1]
        if not reported.get(name) and last.goes_on:
            findings.append(
                Finding(
                    f"{name} is {last.text} for the service: {patterns[name]} leaves out {last.goes_on!r}, in the line "
                    f"{last.shown!r}",
                    "print numbers with a point, and let the group take all of it: ([0-9.eE+-]+)",
                    otherwise,
                    # Of a list, the first number may be meant.
                    warning="," in last.goes_on,
                )
            )
    return findings


def compared(names: Sequence[str], reported: Mapping[str, Sequence[float]]) -> str:
    """What is to be added to metrics that were found: whether they could be compared."""
    missing = [name for name in names if not reported.get(name)]
    if not missing:
        return ", as the trainer reported"
    return f"; not compared, for no TensorBoard log of the job has {', '.join(missing)}"


def _pairs(matches: Sequence[Match], values: Sequence[float]) -> Iterator[tuple[Match, float]]:
    """The values that are to be equal: all of them, or the last ones where there are others in between."""
    if len(matches) == len(values):
        yield from zip(matches, values, strict=True)
    elif values:
        yield matches[-1], values[-1]


def _is_printed(match: Match, value: float) -> bool:
    """Whether the text is that number, to the digits that were printed."""
    if not (math.isfinite(value) and math.isfinite(match.value)):
        return match.text.lower().lstrip("+") == f"{value}"
    exponent = Decimal(match.text).as_tuple().exponent
    digits = 0.0 if match.goes_on else 0.5 * 10.0 ** int(exponent)
    return abs(match.value - value) <= digits * (1 + _ROUNDING) + _ROUNDING * abs(value)


def _why(match: Match, log: Log) -> str:
    if match.line in log.cut:
        return f"; {_parted(match.line, match.after.removeprefix(match.line[match.end :]))}"
    if match.goes_on:
        return f", of which it leaves out {match.goes_on!r}"
    if "\r" in match.line:
        return r"; \r ends no line in a log: of all that it ends, the first match counts"
    return ""


def _parted(line: str, after: str) -> str:
    return (
        f"a line was flushed in parts, {line[-_AROUND:]!r} and {after[:_AROUND]!r}, and each became a line of the log"
    )


def _ends_behind(pattern: str, line: str, gap: str, after: str) -> bool:
    match = re.search(pattern, line + gap + after)
    return match is not None and match.end() > len(line)


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and (float(text), True)[1]
    except ValueError:
        return False
