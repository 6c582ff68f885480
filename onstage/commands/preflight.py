"""What is asked of a cloud before a job is sent: is the bucket there, in the job's region, and the data in it."""

from onstage.commands import uploads
from onstage.platform import Platform
from onstage.report import Finding, Report
from onstage.settings import Settings


def check_job(report: Report, platform: Platform, settings: Settings) -> None:
    """Check the bucket and its region, which takes credentials, and the data in it."""
    if report.run(platform.name, "bucket", platform.bucket.require):
        report.run(platform.name, "data in bucket", lambda: _check_data(platform, settings))


def _check_data(platform: Platform, settings: Settings) -> list[Finding]:
    wanted = uploads.items(platform, settings)
    there = platform.bucket.unchanged(wanted)
    missing = [item.uri for item in wanted if item.uri not in there]
    empty = [name for name, _ in settings.data if not platform.bucket.names(platform.channel(name))]
    fix = f"onstage {platform.name} upload"
    if empty:
        return [Finding(f"no data at {platform.channel(name)}", fix) for name in empty]
    others = uploads.only_in_bucket(platform, settings, wanted)
    extra = (
        [
            Finding(
                f"only in the bucket, and read by the job: {', '.join(others[:3])}"
                + (f" and {len(others) - 3} more" if len(others) > 3 else ""),
                f"{fix} --delete",
                warning=True,
            )
        ]
        if others
        else []
    )
    shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return [*([Finding(f"other data than here: {shown}", fix, warning=True)] if missing else []), *extra]
