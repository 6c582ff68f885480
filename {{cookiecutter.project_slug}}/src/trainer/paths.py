# Owned by the template.
"""Folders whose names TensorFlow would take for patterns. Standard library only."""

import atexit
import os
import shutil
import tempfile

from trainer.run import UserError, join

_PATTERN = set("[]*?") if os.name == "nt" else set("[]*?\\")


def plain_path(folder: str) -> str:
    """A path of `folder` that TensorFlow can read: what lies below `old [1]/` is a pattern to it, and not found.

    Where the name needs it, that is a link in a temporary folder. Raises UserError where no link can be made.
    """
    if "://" in folder or not _PATTERN & set(os.path.abspath(folder)):
        return folder
    place = tempfile.mkdtemp(prefix="trainer-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    link = join(place, "link")
    try:
        os.symlink(os.path.abspath(folder), link, target_is_directory=True)
    except OSError as error:
        raise UserError(_refusal(folder)) from error
    if _PATTERN & set(link):
        raise UserError(_refusal(link))
    return link


def _refusal(folder: str) -> str:
    return f"TensorFlow takes [, ], * and ? in {folder} for a pattern; use a folder without them"
