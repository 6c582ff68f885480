"""Times of Google's."""

import re
from datetime import datetime


def moment(text: str | None) -> datetime | None:
    """A time, whose fractions may have nine digits."""
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text or "")
    return datetime.fromisoformat(f"{found[0]}+00:00") if found else None
