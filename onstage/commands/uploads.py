"""Uploads the data that settings.toml names, and nothing else. Deletes nothing."""

import typer

from onstage.commands import show
from onstage.errors import UserError
from onstage.platform import Item, Platform
from onstage.settings import Settings
from onstage.source import find_data


def items(platform: Platform, settings: Settings) -> list[Item]:
    """Every file of [data] with its place in the bucket."""
    return [
        Item(f"{platform.channel(channel)}/{name}", file, file.stat().st_size)
        for channel, location in settings.data
        for name, file in find_data(settings.project, location).items()
    ]


def upload(platform: Platform, settings: Settings, *, dry_run: bool, create_bucket: bool) -> None:
    """Send what the bucket does not have yet. Raises UserError for what the cloud refuses; a second run goes on."""
    wanted = items(platform, settings)
    bucket = platform.bucket
    if create_bucket and not dry_run:
        made = bucket.create()
        show.say(f"{'made' if made else 'there is already'} the bucket {bucket.name}; objects in it cost by the month")
    bucket.require()
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
            with show.Bytes(f"{len(missing)} files to {bucket.name}", total) as progress:
                bucket.upload(missing, progress.add)
        except KeyboardInterrupt:
            show.say(f"stopped; what has arrived stays. To go on: onstage {platform.name} upload")
            raise typer.Exit(130) from None
        except UserError as error:
            raise UserError(f"{error}\nwhat has arrived stays; the same command goes on") from error
    for channel in (platform.channel(name) for name, _ in settings.data):
        show.say(channel)
