# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Explore the data and train
#
# The data as `src/trainer/model.py` describes it, a training, and what it has learned. Everything runs on this machine and
# **costs nothing**. Run all cells; then change `model.py`, and run them again from `kernel.fit` on: what you have changed
# counts at once.

# %% tags=["parameters"]
# Hyperparameters of this training; what is not named here has its default of model.py.
HYPERPARAMETERS = {"epochs": 20}
# So many rows of each channel are drawn at most.
ROWS = 20_000

# %%
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib import dates
from matplotlib import pyplot as plt

from onstage import kernel
from onstage.pages import COLOURS

# White pictures are read in a light and in a dark theme; people who see fewer colours tell these apart.
sns.set_theme(style="whitegrid", palette=list(COLOURS))
plt.rcParams.update({"figure.dpi": 100, "figure.facecolor": "white"})


def few_ticks(axes: plt.Axes) -> None:
    """Leave room between the labels of an axis."""
    if isinstance(axes.xaxis.get_major_locator(), dates.AutoDateLocator):
        axes.xaxis.set_major_locator(dates.AutoDateLocator(maxticks=3))
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    else:
        axes.locator_params(axis="x", nbins=4)


# %% [markdown]
# ## The tables
#
# `kernel.data` reads as the training does: a row that does not fit `model.py` is named with file and line. Cost: nothing.

# %%
train, evaluation = kernel.data("train", rows=ROWS), kernel.data("eval", rows=ROWS)
features, target = train.attrs["features"], train.attrs["targets"][0]
is_label = isinstance(train[target].dtype, pd.CategoricalDtype)
print(f"{len(train):,} rows of train, {len(evaluation):,} of eval; {len(features)} features; the target is {target}")
display(train.head())

# %%
summary = pd.DataFrame(
    {
        "kind": train.dtypes.astype(str),
        "different values": train.nunique(),
        "missing in train, %": 100 * train.isna().mean(),
        "missing in eval, %": 100 * evaluation.isna().mean(),
    }
)
numbers = train.select_dtypes("number")
if numbers.shape[1]:
    summary = summary.join(numbers.astype(float).agg(["min", "median", "max"]).T)
display(summary.style.format(precision=4, thousands=",", na_rep=""))

# %% [markdown]
# ## Which columns say something about the target
#
# The largest correlation of a column, or of one of its values, with the target, or with one of its labels: 0 is nothing, 1 is
# all. It sees straight lines, and one column at a time. Pictures below take the first columns of this list. Cost: nothing.

# %%
MOST_VALUES = 20


def numbers_of(series: pd.Series) -> pd.DataFrame:
    """A column as numbers: itself, or 0 and 1 for each of its frequent values."""
    if isinstance(series.dtype, pd.CategoricalDtype) or series.dtype == object:
        counts = series.value_counts()
        frequent = counts[counts >= max(2, len(series) / 100)].index[:MOST_VALUES]
        return pd.DataFrame({str(value): (series == value).astype(float) for value in frequent}, index=series.index)
    values = series.astype("int64") if series.dtype.kind == "M" else series
    values = values.astype(float).where(series.notna())
    return values.fillna(values.median()).to_frame()


def strength(feature: str) -> float:
    """The largest correlation of a value of the feature with a value of the target."""
    known = train[train[target].notna()]
    pairs = [(one, other) for one in columns_of(known[feature]) for other in columns_of(known[target])]
    return max((abs(np.corrcoef(one, other)[0, 1]) for one, other in pairs), default=0.0)


def columns_of(series: pd.Series) -> list[np.ndarray]:
    """Its numbers, those that are the same in all rows left out."""
    return [values for values in numbers_of(series).to_numpy().T if values.std() > 0]


strengths = pd.Series({feature: strength(feature) for feature in features}).sort_values(ascending=False)
ranked = list(strengths.index)
shown = strengths.head(30)
figure, axes = plt.subplots(figsize=(7, 0.3 * len(shown) + 1), layout="constrained")
axes.barh(shown.index[::-1], shown[::-1], color=COLOURS[0])
axes.set(xlim=(0, 1), xlabel=f"largest correlation with {target}", title=f"{len(shown)} of {len(features)} features")
plt.show()

# %% [markdown]
# ## Distributions by class
#
# Of each feature: how its values lie for each label, or, where the target is a number, how the target lies over its values.
# Of many labels the most frequent ones have a colour. Cost: nothing.

# %%
MOST_LABELS, MOST_PICTURES, MOST_POINTS = 6, 12, 2_000


def drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """Some rows that have a target, as pictures take them; rare labels together are `others`."""
    some = frame[frame[target].notna()]
    some = some.sample(min(len(some), MOST_POINTS), random_state=0).reset_index(drop=True)
    if is_label:
        frequent = list(train[target].value_counts().index[:MOST_LABELS])
        order = [str(label) for label in frame[target].cat.categories if label in frequent]
        names = some[target].map(lambda label: str(label) if label in frequent else "others").astype(str)
        some[target] = pd.Categorical(names, [*order, *(["others"] if (names == "others").any() else [])])
    return some


def groups(values: pd.Series) -> pd.Series:
    """The values of a column in few groups, in its order: the most frequent ones, the others, and the missing ones."""
    frequent = list(values.value_counts().index[:8])
    ordered = [one for one in values.cat.categories if one in frequent] if hasattr(values, "cat") else sorted(frequent)
    texts = {value: f"{value:g}" if isinstance(value, float) else str(value)[:18] for value in ordered}
    names = ["missing" if pd.isna(value) else texts.get(value, "others") for value in values]
    found = pd.Categorical(names, [*dict.fromkeys(texts.values()), "others", "missing"])
    return pd.Series(found).cat.remove_unused_categories()


def is_number(name: str) -> bool:
    """Whether a column is drawn along an axis."""
    return train[name].dtype.kind in "fiuM" and train[name].nunique() > 8


some = drawn(train)
palette = (
    dict(zip(some[target].cat.categories, [*COLOURS[:MOST_LABELS], "#777777"], strict=False)) if is_label else None
)
if is_label and "others" in palette:
    palette["others"] = "#777777"
bins = min(20, max(6, int(len(some) ** 0.5)))
pictured = [name for name in ranked if is_number(name) or train[name].nunique() <= 100][:MOST_PICTURES]
across = min(3, max(1, len(pictured)))
down = -(-len(pictured) // across)
figure, grid = plt.subplots(down, across, figsize=(4.4 * across, 3.3 * down), squeeze=False, layout="constrained")
for axes, name in zip(grid.flat, pictured, strict=False):
    if is_label and is_number(name):
        sns.histplot(
            some, x=name, hue=target, palette=palette, stat="density", common_norm=False, element="step", fill=False,
            bins=bins, linewidth=1.8, ax=axes, legend=axes is grid.flat[0],
        )  # fmt: skip
        axes.set_ylabel("density of each label")
    elif is_label:
        shares = pd.crosstab(groups(some[name]), some[target], normalize="index")
        shares.plot.barh(stacked=True, color=palette, ax=axes, legend=axes is grid.flat[0], width=0.8)
        axes.set(xlabel=f"share of {target}", ylabel="", xlim=(0, 1), title=name)
    elif is_number(name):
        sns.scatterplot(some, x=name, y=target, color=COLOURS[0], alpha=0.5, s=14, linewidth=0, ax=axes)
    else:
        sns.boxplot(x=some[target], y=groups(some[name]), color=COLOURS[4], fliersize=2, ax=axes)
        axes.set(ylabel="", title=name)
for axes in grid.flat[: len(pictured)]:
    few_ticks(axes)
for axes in grid.flat[len(pictured) :]:
    axes.set_visible(False)
plt.show()

# %% [markdown]
# ## Pairs of features
#
# The four numbers that say most about the target, two by two. Labels have a colour and a mark of their own. Cost: nothing.

# %%
pair = [name for name in ranked if is_number(name) and train[name].dtype.kind != "M"][:4]
few = some.head(600)
if len(pair) > 1 and is_label:
    marks = dict(zip(palette, ["o", "s", "D", "^", "v", "P", "X"], strict=False))
    grid = sns.pairplot(
        few[[*pair, target]], hue=target, palette=palette, corner=True, height=2.1, diag_kind="hist",
        markers=[marks[label] for label in palette], plot_kws={"s": 18, "alpha": 0.7}, diag_kws={"bins": 20},
    )  # fmt: skip
elif len(pair) > 1:
    grid = sns.pairplot(
        few[[*pair, target]], corner=True, height=2.1, plot_kws={"s": 14, "alpha": 0.6, "color": COLOURS[0]},
        diag_kws={"color": COLOURS[0], "bins": 20},
    )  # fmt: skip
else:
    print("fewer than two features are numbers with more than eight values")
plt.show()

# %% [markdown]
# ## Where the eval rows fall among the training rows
#
# The first thirty of these features as numbers, each with mean 0 and variance 1, seen from the side on which they differ most (their first two principal
# components). Eval rows far from all training rows are rows that no training has seen. Below, how far the values of a feature in
# eval are from those in train: the largest difference of the shares of rows up to a value (0: alike, 1: apart). Cost: nothing.

# %%
both = pd.concat([train[ranked[:30]], evaluation[ranked[:30]]], ignore_index=True)
matrix = pd.concat([numbers_of(both[name]) for name in both], axis=1).to_numpy(float)
matrix = matrix[:, matrix.std(axis=0) > 0]
matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
_, sizes, directions = np.linalg.svd(matrix[:: 1 + len(matrix) // 5_000], full_matrices=False)
places = np.hstack([matrix @ directions[:2].T, np.zeros((len(matrix), 2))])[:, :2]
parts = [*(sizes**2 / (sizes**2).sum()), 0, 0]
figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, rows, colour, mark in (
    ("train", places[: len(train)], "#999999", "o"),
    ("eval", places[len(train) :], COLOURS[1], "x"),
):
    some_rows = rows[np.random.default_rng(0).permutation(len(rows))[:MOST_POINTS]]
    axes.scatter(*some_rows.T, c=colour, marker=mark, s=22, alpha=0.7, label=f"{name}, {len(some_rows):,} rows")
axes.set(
    xlabel=f"first direction, {100 * parts[0]:.0f} % of the variance",
    ylabel=f"second direction, {100 * parts[1]:.0f} %",
)
axes.legend()
plt.show()


# %%
def shift(name: str) -> float:
    """How far the values of a feature in eval are from those in train, 0 to 1."""
    together = numbers_of(both[name]).to_numpy()
    one, other = np.sort(together[: len(train)], axis=0), np.sort(together[len(train) :], axis=0)
    found = 0.0
    for values, others in zip(one.T, other.T, strict=True):
        at = np.concatenate([values, others])
        below = [np.searchsorted(side, at, side="right") / len(side) for side in (values, others)]
        found = max(found, float(np.abs(below[0] - below[1]).max()))
    return found


shifts = pd.Series({name: shift(name) for name in both}, name="difference of eval from train").sort_values(
    ascending=False
)
display(shifts.head(10).to_frame().style.format(precision=3))

# %% [markdown]
# ## Train
#
# A whole training, as `python train.py`: a new folder in `runs/` with model, checkpoints and `report.html`. The lines of the epochs
# come as they are done. A mistake in `model.py` is one message. Cost: nothing but time.

# %%
result = kernel.fit(**HYPERPARAMETERS)

# %%
metrics = pd.DataFrame({"this model": result.metrics, "one answer for every row": result.constant})
display(metrics.style.format(precision=4, na_rep=""))

# %% [markdown]
# ## Learning curves
#
# `val_` is of the evaluation data. A dashed line is what one answer for every row reaches: a model that is no better has learned
# nothing. Cost: nothing.

# %%
history = pd.DataFrame(result.history, index=pd.RangeIndex(1, len(result.history) + 1, name="epoch"))
others = [name for name in history if name not in ("loss", "val_loss")][:5]
across = min(3, 1 + len(others))
down = -(-(1 + len(others)) // across)
figure, grid = plt.subplots(down, across, figsize=(4.6 * across, 3.3 * down), squeeze=False, layout="constrained")
mark = "o" if len(history) < 3 else None
history.get(["loss", "val_loss"]).plot(ax=grid.flat[0], color=[COLOURS[1], COLOURS[0]], style=["--", "-"], marker=mark)
grid.flat[0].set(title="loss", ylabel="loss")
for axes, name in zip(grid.flat[1:], others, strict=False):
    history[name].plot(ax=axes, color=COLOURS[0], marker=mark, label=name)
    if name in result.constant:
        axes.axhline(result.constant[name], color="#666666", linestyle="--", label="one answer for every row")
    axes.set(title=name, ylabel=name)
    axes.legend()
for axes in grid.flat:
    axes.xaxis.get_major_locator().set_params(integer=True)
for axes in grid.flat[1 + len(others) :]:
    axes.set_visible(False)
plt.show()

# %% [markdown]
# ## What it answers to the evaluation data
#
# The exported model is asked as an endpoint would be: it, and not a copy in this kernel, is what a cloud serves. Cost: nothing.

# %%
model = kernel.load()
asked = evaluation[evaluation[target].notna()].head(2_000)
truth, answers = asked[target], model.predict(asked)[target]
if is_label:
    right = (answers.astype(str) == truth.astype(str)).to_numpy()
    print(f"{right.sum():,} of {len(right):,} are right ({100 * right.mean():.1f} %)")
    names = [str(label) for label in train[target].value_counts().index[:25]]
    names = [str(label) for label in train[target].cat.categories if str(label) in names]
    counts = pd.crosstab(truth.astype(str), answers.astype(str)).reindex(index=names, columns=names, fill_value=0)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    figure, axes = plt.subplots(
        figsize=(max(5, 0.6 * len(names) + 2.5), max(3.8, 0.55 * len(names) + 1.5)), layout="constrained"
    )
    sns.heatmap(
        shares,
        annot=counts,
        fmt="d",
        cmap="Blues",
        vmin=0,
        vmax=1,
        ax=axes,
        cbar_kws={"label": "share of the rows of a label"},
    )
    axes.set(xlabel=f"{target}, as it is answered", ylabel=f"{target}, as it is")
else:
    errors = answers - truth
    half, most = np.quantile(errors.abs(), (0.5, 0.9))
    print(f"half of the answers are within {half:.4g} of {target}, nine of ten within {most:.4g}")
    figure, (left, middle) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    low, high = min(truth.min(), answers.min()), max(truth.max(), answers.max())
    left.plot([low, high], [low, high], color="#666666", linestyle="--")
    left.scatter(truth, answers, s=14, alpha=0.6, color=COLOURS[0])
    left.set(xlabel=f"{target}, as it is", ylabel=f"{target}, as it is answered")
    middle.hist(errors, bins=min(40, max(5, len(errors) // 5)), color=COLOURS[0])
    middle.axvline(0, color="#666666", linestyle="--")
    middle.set(xlabel=f"answer less {target}, in its own units", ylabel="rows")
    few_ticks(left)
    few_ticks(middle)
plt.show()

# %% [markdown]
# ## What the model uses
#
# Permutation importance: the values of one column are mixed among the evaluation rows, and the model is asked again. What it then
# loses is what it had from that column; about 0 means that it does without. Lines are from the least to the greatest of five mixings.
# Cost: nothing.

# %%
MOST_COLUMNS, MIXINGS = 30, 5
asked = asked.head(500)


def error(frame: pd.DataFrame) -> float:
    """The share of wrong answers in percent, or the root of the mean squared error."""
    answers, truth = model.predict(frame)[target], asked[target]
    if is_label:
        return 100 * float((answers.astype(str) != truth.astype(str)).mean())
    return float(np.sqrt(((answers - truth) ** 2).mean()))


chance, usual, losses = np.random.default_rng(0), error(asked), {}
for name in ranked[:MOST_COLUMNS]:
    mixed = [asked.assign(**{name: asked[name].array[chance.permutation(len(asked))]}) for _ in range(MIXINGS)]
    losses[name] = [error(frame) - usual for frame in mixed]
importance = pd.DataFrame(losses).T
importance = importance.loc[importance.mean(axis=1).sort_values().index]
figure, axes = plt.subplots(figsize=(7, 0.3 * len(importance) + 1.2), layout="constrained")
means = importance.mean(axis=1)
# Rounding could make one of them less than nothing.
spread = [(means - importance.min(axis=1)).clip(lower=0), (importance.max(axis=1) - means).clip(lower=0)]
axes.barh(importance.index, means, xerr=spread, color=COLOURS[0], ecolor="#333333", capsize=3)
axes.axvline(0, color="#666666")
unit = "more wrong answers, in percentage points" if is_label else f"larger error (RMSE), in the units of {target}"
axes.set(xlabel=unit, title=f"{len(importance)} of {len(features)} features, by {len(asked):,} eval rows")
plt.show()
