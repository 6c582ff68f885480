"""What comes of a command that Python has called: a mapping of what JSON has, and a table in a notebook."""

import html
import json
from collections.abc import Mapping
from typing import Any

from onstage.errors import UserError


class CallError(UserError):
    """A command has failed: its message, without a traceback in a notebook. `exit_code` as of the command."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def _render_traceback_(self) -> list[str]:
        # IPython asks for it: a mistake of the user's has no traceback.
        return [f"error: {self}"]


class Outcome(Mapping[str, Any]):
    """What came of a command: a mapping of what JSON has, shown as a table in a notebook."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = dict(content)

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    def __iter__(self) -> Any:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._content})"

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return dict(self._content)

    def rows(self) -> list[dict[str, Any]]:
        """What is shown, a row each."""
        return [dict(self._content)]

    def to_frame(self) -> Any:
        """`rows` as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td style=text-align:left>{_cell(row.get(name))}</td>' for name in names)}</tr>"
            for row in rows
        )
        return f"{self._title()}<table><tr>{head}</tr>{body}</table>"

    def _title(self) -> str:
        return ""


class Rehearsal(Outcome):
    """The report of a rehearsal (docs/report.md); it is true when it has passed."""

    @property
    def passed(self) -> bool:
        """Whether nothing would have failed in the cloud."""
        return bool(self["passed"])

    @property
    def failures(self) -> list[str]:
        """What would have failed, a text for each check."""
        return [check["detail"] for check in self["checks"] if check["status"] == "failed"]

    def __bool__(self) -> bool:
        return self.passed

    def rows(self) -> list[dict[str, Any]]:
        shown = ("id", "status", "seconds", "detail")
        return [{name: check[name] for name in shown} for check in self["checks"]]

    def _title(self) -> str:
        return f"<b>{'PASSED' if self.passed else 'FAILED'}</b>"


class Trials(Outcome):
    """The trials of a search, the best one first."""

    @property
    def best(self) -> dict[str, Any]:
        """The hyperparameters of the best trial, those that were fixed included: `train(**trials.best)`."""
        return dict(self["best"])

    def rows(self) -> list[dict[str, Any]]:
        return [
            {**{name: one[name] for name in ("name", "state", "value", "seconds")}, **one["hyperparameters"]}
            for one in self["trials"]
        ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return html.escape(text).replace("\n", "<br>")
