"""Uploads the data that settings.toml names, and nothing else. Deletes only what is asked for, after a question."""

import sys
from collections.abc import Sequence

import typer

from onstage import progress
from onstage.cloud import Item
from onstage.commands import show
from onstage.errors import StartError, UserError
from onstage.platform import Platform
from onstage.settings import Settings
from onstage.source import find_data


def items(platform: Platform, settings: Settings) -> list[Item]:
    """Every file of [data] with its place in the bucket."""
    return [
        Item(f"{platform.channel(channel)}/{name}", file, file.stat().st_size)
        for channel, location in settings.data
        for name, file in find_data(settings.project, location).items()
    ]


def only_in_bucket(platform: Platform, settings: Settings, wanted: Sequence[Item]) -> list[str]:
    """The objects in the channels' folders that are not here, under an old name perhaps: a job reads them, too."""
    here = {item.uri for item in wanted}
    channels = [platform.channel(name) for name, _ in settings.data]
    return sorted(uri for channel in channels for uri in platform.bucket.names(channel) if uri not in here)


def upload(
    platform: Platform,
    settings: Settings,
    *,
    dry_run: bool,
    create_bucket: bool,
    delete: bool = False,
    yes: bool = False,
) -> None:
    """Send what the bucket does not have yet; with `delete` remove what only it has, after a question unless `yes`.

    Raises UserError for what the cloud refuses; a second run goes on.
    """
    if delete and not (yes or dry_run or sys.stdin.isatty()):
        raise StartError("--delete asks before it removes anything, and there is no terminal to ask at: add --yes")
    wanted = items(platform, settings)
    bucket = platform.bucket
    if create_bucket and not dry_run:
        made = bucket.create()
        show.say(f"{'made' if made else 'there is already'} the bucket {bucket.name}; objects in it cost by the month")
    bucket.require()
    with progress.doing(f"comparing {len(wanted)} files with {bucket.name}"):
        there = bucket.unchanged(wanted)
    missing = [item for item in wanted if item.uri not in there]
    total = sum(item.size for item in missing)
    if there:
        show.say(f"{len(there)} of {len(wanted)} files are there already, unchanged")
    if dry_run:
        for item in missing:
            show.say(f"would send {item.file} ({show.size(item.size)}) to {item.uri}")
    elif missing:
        try:
            with show.Bytes(f"{len(missing)} files to {bucket.name}", total) as sent:
                bucket.upload(missing, sent.add)
        except KeyboardInterrupt:
            show.say(f"stopped; what has arrived stays. To go on: onstage {platform.name} upload")
            raise typer.Exit(130) from None
        except UserError as error:
            raise UserError(f"{error}\nwhat has arrived stays; the same command goes on") from error
    _other(platform, only_in_bucket(platform, settings, wanted), dry_run=dry_run, delete=delete, yes=yes)
    for channel in (platform.channel(name) for name, _ in settings.data):
        show.say(channel)


def _other(platform: Platform, uris: Sequence[str], *, dry_run: bool, delete: bool, yes: bool) -> None:
    if not uris:
        return
    shown = show.listed(uris)
    if dry_run or not delete:
        would = (
            "would remove" if delete else f"jobs read these too; onstage {platform.name} upload --delete removes them"
        )
        show.say(f"only in the bucket, {would}:\n{shown}")
        return
    if yes or typer.confirm(f"only in the bucket:\n{shown}\nremove them?"):
        platform.bucket.delete(uris)
        show.say(f"removed {len(uris)} objects")
    else:
        show.say("nothing was removed")
