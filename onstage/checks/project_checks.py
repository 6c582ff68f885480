"""The cheap checks that every platform shares, in the order in which a mistake is best understood."""

import os
from collections.abc import Collection, Sequence
from typing import Any

from onstage.checks import (
    environment_checks,
    import_checks,
    name_checks,
    objective_checks,
    resolution_checks,
    secret_checks,
    source_checks,
    table_checks,
)
from onstage.checks.amount_checks import check_amounts
from onstage.checks.model_page import ModelPage, read_model
from onstage.checks.source_checks import Image, Source
from onstage.report import Report
from onstage.settings import Settings

PROJECT = "project"


def check_source(report: Report, platform: str, code: Source, image: Image | None, hint: str = "") -> bool:
    """Check that the image can import what would travel; return whether it can.

    What is not known of the image is skipped; `hint` says what can be done about it.
    """
    if image is None:
        for name in ("code", "names", "requirements", "imports"):
            report.skip(platform, name, f"the image is not known here{hint}")
        return True
    is_readable = report.run(platform, "code", lambda: source_checks.check_syntax(code, image)) and report.run(
        platform, "names", lambda: name_checks.check_names(code, image, platform, is_project=not hint)
    )
    if image.packages is None:
        for name in ("requirements", "imports"):
            report.skip(platform, name, f"what {image.name} has installed is not known here")
        return is_readable
    return (
        is_readable
        and report.run(platform, "requirements", lambda: import_checks.check_requirements(code, image, platform))
        and report.run(platform, "imports", lambda: import_checks.check_imports(code, image))
    )


def check_elsewhere(
    report: Report, platform: str, code: Source, image: Image | None, variables: Collection[str]
) -> None:
    """Check code that is no project of the template's; `variables` are the names of those that its job has."""
    check_source(report, platform, code, image, ": --image-python 3.12, such as, says which Python it has")
    _check_files(report, code, variables)
    check_resolution(report, platform, code, image)
    _check_secrets(report, code)


def check_model(report: Report, settings: Settings, argv: Sequence[str]) -> tuple[ModelPage | None, dict[str, Any]]:
    """`model.py` and the job's hyperparameters, (None, {}) where one of them cannot be used.

    Checks what no platform has a part in, and so once: the files that travel, the hyperparameters and the data.
    """
    if report.project is None:
        report.project = _check_project(report, settings, argv)
    return report.project


def check_resolution(report: Report, platform: str, code: Source, image: Image | None) -> None:
    """Ask an index what the requirements come to, which is only worth its seconds where nothing else is wrong."""
    if not report.passed:
        return
    if image is None or image.packages is None:
        report.skip(platform, "resolution", "what the image has installed is not known here")
    elif code.required:
        report.skip(platform, "resolution", "what a package requires is not resolved here")
    else:
        report.run(platform, "resolution", lambda: resolution_checks.check_resolution(code, image))


def _check_secrets(report: Report, code: Source) -> None:
    # It takes as long as all others together, and can only warn.
    if report.passed:
        report.run(PROJECT, "secrets", lambda: secret_checks.check_secrets(code))


def _check_files(report: Report, code: Source, variables: Collection[str] = ()) -> None:
    report.run(PROJECT, "files", lambda: [*source_checks.check_travelling(code), *check_amounts(code)])
    report.run(PROJECT, "calls", lambda: [*name_checks.check_calls(code), *name_checks.check_exits(code)])
    report.run(PROJECT, "paths", lambda: source_checks.check_paths(code))
    report.run(PROJECT, "environment", lambda: environment_checks.check_shell(code, os.environ, variables))


def _check_project(report: Report, settings: Settings, argv: Sequence[str]) -> tuple[ModelPage | None, dict[str, Any]]:
    _check_files(report, Source.of(settings.project))
    found: dict[str, Any] = {}
    if not report.run(PROJECT, "model", lambda: found.update(page=read_model(settings.project))):
        return None, {}
    page = found["page"]
    report.run(
        PROJECT,
        "objective",
        lambda: objective_checks.check_objective(Source.of(settings.project), page.objective),
    )
    if not report.run(
        PROJECT,
        "hyperparameters",
        lambda: found.update(values=table_checks.hyperparameters(page, argv, settings.rehearsal.hyperparameters)),
    ):
        return None, {}
    most = settings.rehearsal.rows
    report.run(PROJECT, "data", lambda: table_checks.check_data(page, settings.data, most, report.samples))
    _check_secrets(report, Source.of(settings.project))
    return page, found["values"]
