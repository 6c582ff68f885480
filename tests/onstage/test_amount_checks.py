"""Large files in `src/` are warned of, because they travel with every job."""

from pathlib import Path

import pytest

from onstage.checks.amount_checks import LARGE, check_amounts
from onstage.checks.source_checks import Source


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([], []),
        ([LARGE - 1], []),
        ([26_000_000], ["src/0.bin has 26 MB and would be uploaded with every job"]),
        ([LARGE, 26_000_000], ["src/0.bin has 10 MB and", "src/1.bin has 26 MB"]),
        ([4_000_000, 5_000_000, 4_000_000], ["src/ has 13 MB in 3 files and would be uploaded with every job"]),
    ],
)  # fmt: skip
def test_what_is_large_alone_or_together_is_a_warning(tmp_path: Path, sizes: list[int], said: list[str]) -> None:
    (tmp_path / "src").mkdir()
    for number, size in enumerate(sizes):
        with (tmp_path / f"src/{number}.bin").open("wb") as file:
            file.truncate(size)
    found = check_amounts(Source(tmp_path / "src", tmp_path))
    assert all(one.warning and one.fix for one in found)
    assert [one.text[: len(text)] for one, text in zip(found, said, strict=True)] == said
    if len(sizes) > 1:
        assert found[-1].text.endswith(("; src/ has 36 MB in all", "; the largest is src/1.bin with 5.0 MB"))
