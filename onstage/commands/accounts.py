"""`setup`: what is missing in a cloud account, and on request the making of it."""

import typer

from onstage.commands import show
from onstage.platform import Platform


def setup(platform: Platform, *, create: bool, dry_run: bool) -> None:
    """Say what is missing and which permissions to ask for; with `create` make bucket and identity of the jobs."""
    if create:
        plan = platform.plan_setup()
        if dry_run:
            show.requests(plan)
            return
        for step in plan.steps:
            step.send()
            show.say(f"made {step.what}")
        lines = "\n".join(f'{key} = "{value}"' for key, value in platform.setup_result().items())
        show.say(f"it costs {plan.cost}\nput into settings.toml, [{platform.name}]:\n{lines}")
        return
    with show.report() as report:
        policy = platform.check_account(report)
        report.finish()
    show.say(policy)
    if not report.passed:
        raise typer.Exit(1)
