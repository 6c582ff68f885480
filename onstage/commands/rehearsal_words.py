"""The words of `onstage` that rehearse: a project's jobs, and a request from elsewhere."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from onstage.commands.application import PLATFORMS
from onstage.errors import StartError
from onstage.options import Application

if TYPE_CHECKING:
    from onstage.project import Project
    from onstage.rehearsal.both import Rehearsal
    from onstage.report import Report
    from onstage.report_formats import Output
    from onstage.settings import Settings

Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="ID", help="Only this check, or a platform's, and what it needs."),
]
Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="ID", help="What this check finds does not count.")
]
Format = Annotated[
    Literal["text", "json", "github", "junit"],
    typer.Option("--format", metavar="KIND", help="What to print: text, json, github or junit."),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the report as JSON, too; - prints it."),
]


def add(app: Application) -> None:
    """Give the application these words."""
    app.command(
        context_settings={"ignore_unknown_options": True},
        epilog="Examples:\n\nonstage rehearse\n\nonstage rehearse sagemaker --epochs 1\n\n"
        "onstage rehearse --tune --kill\n\nonstage rehearse --workers 2",
    )(rehearse)
    app.command(
        epilog="Examples:\n\nonstage body recorded/1-CreateTrainingJob.json\n\n"
        "onstage body job.yaml --source code/ --channel train=data/train.csv --set epochs=1"
    )(body)


def rehearse(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PLATFORM|--FLAG",
            help="sagemaker or vertex, otherwise all of the project; then hyperparameters, as flags of train.py: other "
            "flags than these, and after -- any.",
        ),
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    kind: Format = "text",
    json_file: JsonFile = None,
    all_rows: Annotated[
        bool, typer.Option("--all-rows", help="Jobs get all of the data, not the rows that [rehearsal] rows allows.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Also trials of the tuning job, at the ends and the middle of every range.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="Hosts of each job, which are processes here. [default: as many as settings.toml says]",
        ),
    ] = None,
    kill: Annotated[
        bool, typer.Option("--kill", help="Also the job once more, killed in the middle of an epoch and started again.")
    ] = False,
    batch: Annotated[bool, typer.Option("--batch", help="Also the batch job, and what a bad row costs.")] = False,
    serving_version: Annotated[
        str, typer.Option(metavar="2.N", help="Also the endpoint with this TensorFlow, which is installed once.")
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Print the ids of all checks, and end.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON's schema, and end.")] = False,
) -> None:
    """Run the training job and the endpoint here, as a cloud would: no account, no network, no Docker."""
    if listed or schema:
        _describe(schema)
        return
    platform, argv = _split(words or [])
    from onstage import catalogue, installation, room

    room.check()
    project = installation.open_project(*([platform] if platform else ()))
    platforms = [platform] if platform else project.platforms
    for one in platforms:
        installation.require(one, project)
    from onstage.commands import rehearsed
    from onstage.rehearsal import both, unseen
    from onstage.report_formats import Output
    from onstage.serving import versions

    options = {"tune": tune, "workers": None if workers == 1 else bool(workers), "kill": kill, "batch": batch}
    # Nobody knows which version, where only its check is selected.
    options |= {"serving_version": bool(serving_version) or None}
    select, asked = catalogue.requested(select or (), platforms, options)
    several = workers or (2 if any(one.endswith(".workers") for one in asked) else 1)
    output, checks = Output("rehearse", kind, json_file), catalogue.of_rehearsal(platforms, asked)
    with _report(output, select, ignore, checks) as report:
        report.serving_version = serving_version
        other = versions.require(serving_version) if serving_version else None
        rehearsals = [_rehearsal(one) for one in platforms]
        if settings := _settings(report, project, rehearsals):
            if all_rows:
                limits = settings.rehearsal.model_copy(update={"rows": 0})
                settings = settings.model_copy(update={"rehearsal": limits})
            there = {one: settings.hosts(one) for one in platforms}
            here = {one: workers or max(there[one], several) for one in platforms}
            asked |= {f"{one}.workers" for one in platforms if here[one] > 1}
            checks = catalogue.of_rehearsal(platforms, asked)
            report.not_seen += [line for one in platforms for line in unseen.hosts(one, there[one], here[one])]
            both.rehearse(report, rehearsals, settings.with_hosts(here), argv, asked, other)
        report.not_seen += [*unseen.missing(report, checks), *unseen.unselected(report, checks)]
        whole = [one for one in platforms if all(map(report.wants_id, catalogue.of_rehearsal([one])))]
        if whole and report.passed:
            rehearsed.note(project, *whole)
        _finish(report, output, project.root)


def body(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A request or a job's description, JSON or YAML.")],
    source: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="The code here: a folder or an archive. [default: in the store]"),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Data here, by channel, flag or URI. [default: in the store]"),
    ] = None,
    changed: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another value of a hyperparameter.")
    ] = None,
    image_python: Annotated[
        str, typer.Option(metavar="3.N", help="The Python of an image that is not known here.")
    ] = "",
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where s3:// and gs://bucket/key are bucket/key. [default: store/ beside FILE]"
        ),
    ] = None,
    time_limit: Annotated[
        int | None, typer.Option(min=1, help="Seconds that the job may run. [default: settings.toml's, or 300]")
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    kind: Format = "text",
    json_file: JsonFile = None,
) -> None:
    """Rehearse a training or tuning request from elsewhere, with its own code: it needs no project of the template."""
    from onstage import catalogue, installation, room
    from onstage.rehearsal import elsewhere, unseen
    from onstage.report_formats import Output
    from onstage.sections import Rehearsal as Limits

    room.check()
    project = installation.open_project_if_any()
    platform, request = elsewhere.recognise(file, PLATFORMS)
    given = elsewhere.given(file, source or (), channel or (), changed or (), image_python, store)
    installation.require_packages(platform, project)
    output, checks = Output("body", kind, json_file), catalogue.of_body(platform)
    with _report(output, select, ignore, checks) as report:
        limits: Limits | None = Limits()
        if project:
            read = _settings(report, project, [])
            limits = read.rehearsal if read else None
        if limits:
            elsewhere.rehearse(report, platform, request, given, time_limit or limits.time_limit)
        report.not_seen += unseen.unselected(report, checks)
        # Files of a source are named from here.
        _finish(report, output, Path())


def _split(words: list[str]) -> tuple[str, list[str]]:
    """The platform, if any is named, and the hyperparameters' flags."""
    if len(words) > 2 and words[-1] in PLATFORMS and (not words[-2].startswith("-") or "=" in words[-2]):
        # After the flags, and no flag's value.
        words = [words[-1], *words[:-1]]
    if not words or words[0].startswith("-"):
        return "", words
    if words[0] not in PLATFORMS:
        raise StartError(f"rehearse {words[0]}: a platform is {' or '.join(PLATFORMS)}, hyperparameters are flags")
    if words[1:] and words[1] in PLATFORMS:
        raise StartError(f"rehearse {words[0]} {words[1]}: one platform, or none for all that the project runs on")
    return words[0], words[1:]


def _describe(schema: bool) -> None:
    """The report's schema, or every check's id with its sentence."""
    if schema:
        import json

        from onstage import report_formats

        print(json.dumps(report_formats.schema(), indent=2), flush=True)
        return
    from onstage.catalogue import CHECKS

    for one, sentence in CHECKS.items():
        print(f"{one:26}{sentence}", flush=True)


def _report(
    output: "Output", select: Sequence[str] | None, ignore: Sequence[str] | None, checks: Sequence[str]
) -> "Report":
    """The report of a command that does these checks when all are selected."""
    from onstage import catalogue
    from onstage.report import Report

    catalogue.check_selected(select or (), checks)
    catalogue.check_ignored(ignore or ())
    ignored = dict.fromkeys(ignore or (), "--ignore")
    chosen = catalogue.selected(select or (), of_project=output.command == "rehearse")
    return Report(output.console, select=chosen, ignore=ignored)


def _rehearsal(platform: str) -> "Rehearsal":
    rehearsal: Any = importlib.import_module(f"onstage.{platform}.agent.rehearsal")
    return rehearsal


def _settings(report: "Report", project: "Project", rehearsals: "Sequence[Rehearsal]") -> "Settings | None":
    """settings.toml with the sections of these platforms; None when this check failed."""
    from onstage.settings import load

    found: list[Settings] = []

    def read() -> None:
        found.append(load(project))
        report.ignore = {**found[0].rehearsal.ignore, **report.ignore}
        for rehearsal in rehearsals:
            rehearsal.filled(found[0])

    return found[0] if report.run("project", "settings", read) else None


def _finish(report: "Report", output: "Output", root: Path) -> None:
    output.finish(report, root)
    if not report.passed:
        raise typer.Exit(1)
