"""What SageMaker does with a model archive before TensorFlow Serving sees it."""

import re
from pathlib import Path

from onstage.errors import UserError


def find_models(folder: Path) -> dict[str, Path]:
    """Name to base path of the models in an unpacked archive, the default one first. Raises UserError.

    A base path has version folders, named by a number. Source: aws/sagemaker-tensorflow-serving-container, tfs_utils.py
    and serve.py; which of several models is the default one is left to chance there.
    """
    files = sorted(file for file in folder.rglob("saved_model.pb") if file.is_file())
    models: dict[str, Path] = {}
    for base in dict.fromkeys(
        file.parent.parent for file in files if _is_version(file.parent) and file.parent != folder
    ):
        # The container unpacks into /opt/ml/model: that is the name of a model whose versions lie at the root.
        name = "model" if base == folder else base.name
        if name in models:
            raise UserError(
                f"Illegal to list model {name} multiple times in config list (TensorFlow Serving): "
                f"{models[name].relative_to(folder)} and {base.relative_to(folder)}"
            )
        models[name] = base
    if not models:
        where = ", ".join(str(file.relative_to(folder)) for file in files) or "no saved_model.pb at all"
        raise UserError(
            "ValueError: no SavedModel bundles found! The container wants <name>/<number>/saved_model.pb, such as "
            f"model/1/saved_model.pb; the archive holds {where}. Export to SM_MODEL_DIR/model/1"
        )
    return models


def find_versions(base: Path) -> dict[int, Path]:
    """Number to folder of every version: the container has all of them served, and the highest one by default."""
    return {int(folder.name): folder for folder in sorted(base.iterdir()) if _is_version(folder)}


def _is_version(folder: Path) -> bool:
    return re.fullmatch(r"[0-9]+", folder.name) is not None
