"""What should not be in an export: found without TensorFlow."""

from collections.abc import Iterable
from pathlib import Path

from onstage.serving.model_server.saved_model_file import file_ops, python_only_ops

__all__ = ["file_ops", "machine_paths", "python_only_ops"]


def machine_paths(folder: Path, places: Iterable[Path]) -> list[str]:
    """Where an export names one of `places` on this machine, as `file names place`: nothing else can read it there.

    The values of variables are not searched: they hold numbers, and many of them.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and ".data-" not in file.name]
    return [
        f"{file.relative_to(folder)} names {place}"
        for file in files
        for content in [file.read_bytes()]
        for place in places
        if str(place).encode() in content
    ]
