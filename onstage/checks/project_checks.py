# Owned by the template.
"""The cheap checks that every platform shares, in the order in which a mistake is best understood."""

import types
from collections.abc import Sequence
from typing import Any

from cloud.settings import Settings
from rehearse import import_checks, source_checks, table_checks
from rehearse.model_page import read_model
from rehearse.report import Report
from rehearse.source_checks import Image, Source
from trainer.columns import Table


def check_source(report: Report, platform: str, image: Image | None) -> bool:
    """Check that the image can import what would travel; return whether it can. An unknown image is not asked."""
    code = Source()
    return image is None or (
        report.run(platform, "code", lambda: source_checks.check_syntax(code, image))
        and report.run(platform, "names", lambda: source_checks.check_names(code, image, platform))
        and report.run(platform, "requirements", lambda: import_checks.check_requirements(image))
        and report.run(platform, "imports", lambda: import_checks.check_imports(code, image))
    )


def check_model(
    report: Report, platform: str, settings: Settings, argv: Sequence[str]
) -> tuple[types.ModuleType | None, dict[str, Any]]:
    """`model.py` and the job's hyperparameters, (None, {}) where one of them cannot be used.

    Checks what no platform has a part in, and so once: the files that travel, the hyperparameters and the data.
    """
    if report.project is None:
        report.project = _check_project(report, platform, settings, argv)
    return report.project


def _check_project(
    report: Report, platform: str, settings: Settings, argv: Sequence[str]
) -> tuple[types.ModuleType | None, dict[str, Any]]:
    code = Source()
    report.run(platform, "files", lambda: source_checks.check_travelling(code))
    report.run(platform, "calls", lambda: source_checks.check_calls(code))
    report.run(platform, "paths", lambda: source_checks.check_paths(code))
    found: dict[str, Any] = {}
    if not report.run(platform, "model.py", lambda: found.update(page=read_model())):
        return None, {}
    page = found["page"]
    if not report.run(
        platform,
        "hyperparameters",
        lambda: found.update(values=table_checks.hyperparameters(page, argv, settings.rehearsal.hyperparameters)),
    ):
        return None, {}
    report.run(platform, "data", lambda: table_checks.check_data(page, settings.data))
    return page, found["values"]


def inputs(page: types.ModuleType) -> list[str]:
    """The names of the model's inputs in the order of model.py; none for data that is no table."""
    return [column.key for column in page.DATA.features] if isinstance(page.DATA, Table) else []
