"""Finds models where a job should not have written them."""

from pathlib import Path

_NAMES = ("saved_model.pb", "saved_model.pbtxt")
_SUFFIXES = (".keras", ".h5", ".hdf5")


def model_files(folder: Path) -> set[tuple[Path, int]]:
    """Files below `folder` that Keras or TensorFlow writes models to, with the times of their last change."""
    found = (path for path in folder.rglob("*") if path.name in _NAMES or path.suffix in _SUFFIXES)
    return {(path, path.stat().st_mtime_ns) for path in found if path.is_file()}
