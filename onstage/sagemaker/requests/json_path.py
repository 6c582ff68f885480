"""What the filters of a transform job's DataProcessing select, as far as requests here use them.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html, the supported operators:
of these the root, a child, and several children, which make an object.
"""

import re
from typing import Any

from onstage.errors import UserError

_CHILD = re.compile(r"\.(?P<name>\w+)|\[(?P<names>'[^'\\]+'(?:\s*,\s*'[^'\\]+')*)\]")


def select(path: str, value: Any) -> Any:
    """The part of `value` that `path` selects, such as $.features, or $['id','SageMakerOutput'].

    Raises UserError for a path of other operators, and for a child that is not there.
    """
    place = 1
    while place < len(path):
        child = _CHILD.match(path, place)
        if child is None:
            break
        names = [child["name"]] if child["name"] else re.findall(r"'([^']+)'", child["names"])
        missing = [name for name in names if not isinstance(value, dict) or name not in value]
        if missing:
            raise UserError(f"{path} selects {missing[0]!r}, which is not there")
        value = value[names[0]] if len(names) == 1 else {name: value[name] for name in names}
        place = child.end()
    if not path.startswith("$") or place < len(path):
        raise UserError(f"{path!r} cannot be rehearsed: $, .name and ['name','name'] can")
    return value
