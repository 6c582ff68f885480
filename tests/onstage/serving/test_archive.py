"""Models are found in an archive where SageMaker's container finds them, and not where it does not."""

from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.serving.archive import find_models, find_versions


def laid_out(folder: Path, *places: str) -> Path:
    """SavedModels, as far as their names go, at these places."""
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "saved_model.pb").touch()
    return folder


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["model/1"], {"model": "model"}),
        (["1"], {"model": "."}),
        (["export/Servo/1"], {"Servo": "export/Servo"}),
        (["model/00000123"], {"model": "model"}),
        (["model/1", "model/2"], {"model": "model"}),
        (["a/1", "b/1"], {"a": "a", "b": "b"}),
    ],
)
def test_models_are_found_where_the_container_finds_them(
    places: list[str], found: dict[str, str], tmp_path: Path
) -> None:
    folder = laid_out(tmp_path, *places)
    models = find_models(folder)
    assert {name: str(base.relative_to(folder)) for name, base in models.items()} == found
    versions = {number for base in models.values() for number in find_versions(base)}
    assert versions == {int(place.rpartition("/")[2]) for place in places}


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["."], r"no SavedModel bundles found! .* such as model/1/saved_model.pb; the archive holds saved_model.pb"),
        (["model"], "no SavedModel bundles found! .* the archive holds model/saved_model.pb"),
        (["model/v1"], "no SavedModel bundles found! .* the archive holds model/v1/saved_model.pb"),
        ([], "no SavedModel bundles found! .* no saved_model.pb at all"),
        (["a/model/1", "b/model/1"], "Illegal to list model model multiple times .* a/model and b/model"),
    ],
)
def test_an_archive_that_the_container_dies_of_is_refused(places: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        find_models(laid_out(tmp_path, *places))
