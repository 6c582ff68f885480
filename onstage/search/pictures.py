"""A search as pictures: history, parallel coordinates, importance and all trials, in one HTML file without network."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from onstage.search import draws, journal, live
from onstage.search.driver import Plan

# Fewer say nothing about importance.
_FEWEST = 4
_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
tr.best { font-weight: bold; } tr.failed { opacity: .6; }
.wide { overflow-x: auto; } th, td { white-space: nowrap; }
td.reason { text-align: left; } pre { overflow-x: auto; padding: .7rem; border: 1px solid #8886; }
"""


def write(file: Path, study: optuna.Study, plan: Plan, commands: Sequence[str]) -> None:
    """Write the report of a search; `commands` use its best trial."""
    shown = _shown(study, plan)
    parts = [
        f"<h1>{html.escape(file.parent.name)}: {html.escape(plan.goal)} {html.escape(plan.metric)}</h1>",
        f"<pre>{html.escape(chr(10).join(commands))}</pre>",
        _picture("History", lambda: optuna.visualization.plot_optimization_history(shown, target_name=plan.metric)),
        *_coordinates(shown, plan),
        _importance(shown, plan),
        "<h2>All trials</h2>",
        _rows(study.get_trials(), plan),
    ]
    from plotly.offline import get_plotlyjs

    head = f"<meta charset='utf-8'><title>{html.escape(file.parent.name)}</title><style>{_STYLE}</style>"
    script = f"<script>{get_plotlyjs()}</script>"
    begun = file.with_suffix(".begun")
    page = f"<!doctype html><html lang='en'><head>{head}{script}</head><body>{''.join(parts)}</body></html>"
    begun.write_text(page, encoding="utf-8")
    begun.replace(file)


def _shown(study: optuna.Study, plan: Plan) -> optuna.Study:
    """The trials with the values that model.py knows: what was drawn may be a distance, or a place in a list."""
    shown = optuna.create_study(direction=journal.DIRECTIONS[plan.goal])
    for one in study.get_trials():
        if one.state == TrialState.COMPLETE:
            values, distributions = draws.view(plan.space, one.user_attrs[journal.VALUES])
            shown.add_trial(optuna.create_trial(params=values, distributions=distributions, value=one.value))
        else:
            # Of no interest here, but counted: trials keep their numbers.
            shown.add_trial(optuna.create_trial(state=TrialState.FAIL))
    return shown


def _coordinates(shown: optuna.Study, plan: Plan) -> list[str]:
    always = [one.name for one in plan.space if one.parent is None]
    left_out = [one.name for one in plan.space if one.parent is not None]
    note = f"<p>Without {html.escape(', '.join(left_out))}, which not every trial has.</p>" if left_out else ""

    def plot() -> Any:
        return optuna.visualization.plot_parallel_coordinate(shown, params=always, target_name=plan.metric)

    return [_picture("Parallel coordinates", plot), note]


def _importance(shown: optuna.Study, plan: Plan) -> str:
    title, done = "Importance", shown.get_trials(states=[TrialState.COMPLETE])
    if len(done) < _FEWEST or len({one.value for one in done}) < 2:
        few = f"{_FEWEST} trials with different values of {plan.metric} say which hyperparameters matter"
        return f"<h2>{title}</h2><p>{html.escape(few)}.</p>"
    return _picture(title, lambda: optuna.visualization.plot_param_importances(shown, target_name=plan.metric))


def _picture(title: str, plot: Any) -> str:
    figure = plot()
    # White also where the page is dark: the colours of lines are made for it.
    figure.update_layout(title=None, margin={"t": 30}, template="plotly_white")
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return f"<h2>{html.escape(title)}</h2>{drawn}"


def _rows(trials: Sequence[FrozenTrial], plan: Plan) -> str:
    names = ["trial", "", plan.metric, "time", *plan.space.names, ""]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    first = live.best_of(trials, plan.goal)
    body = ""
    for one in trials:
        if one.state.is_finished():
            kind = "best" if one is first else "failed" if one.state == TrialState.FAIL else ""
            cells = "".join(f"<td>{html.escape(text)}</td>" for text in live.row(one, plan.space))
            reason = html.escape(one.user_attrs.get(journal.REASON, ""))
            body += f"<tr class='{kind}'>{cells}<td class='reason'>{reason}</td></tr>"
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"
