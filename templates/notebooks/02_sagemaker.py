# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Amazon SageMaker, from the rehearsal to the endpoint
#
# The same commands as `onstage sagemaker` in a terminal, as functions: what they print comes as they print it, and what they return
# are objects that show themselves as tables. Each cell says what it costs. Prices are those of the machines in `settings.toml`:
# `instance_type` for a training, by the second; `endpoint_instance_type` for an endpoint, by the second **until it is removed**.
#
# Before: `bucket` and `role` in `settings.toml`, and AWS credentials on this machine (`aws configure sso`, or the role of a notebook
# instance). `sagemaker.setup()` says what is missing, and
# `setup(create=True)` makes it. If a cell after *Deploy* fails, run the last two cells all the same.

# %% tags=["parameters"]
# Hyperparameters of the training here and of the job; what is not named has its default of model.py.
HYPERPARAMETERS = {"epochs": 20}
# Of the search: so many trainings, so many of them at a time.
TRIALS, AT_A_TIME = 4, 2

# %%
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib import pyplot as plt

from onstage import kernel, rehearse, sagemaker
from onstage.pages import COLOURS

sns.set_theme(style="whitegrid", palette=list(COLOURS))
plt.rcParams.update({"figure.dpi": 100, "figure.facecolor": "white"})

# %% [markdown]
# ## Train here, for comparison
#
# Cost: nothing.

# %%
local = kernel.fit(**HYPERPARAMETERS)

# %% [markdown]
# ## Rehearse
#
# The job that SageMaker would run, on this machine: what would fail there fails here. Cost: nothing; no account is asked.

# %%
rehearsal = rehearse("sagemaker")

# %%
# What would fail there ends the notebook here, before anything costs.
assert rehearsal, rehearsal.failures

# %% [markdown]
# ## Upload the data
#
# Only what is not there yet. Cost: storage in S3, by the gigabyte and month; `create_bucket=True` makes the bucket, which is free.

# %%
sagemaker.upload(create_bucket=True)

# %% [markdown]
# ## The request, before it is sent
#
# Cost: nothing; it is sent by the next cell.

# %%
request = sagemaker.train(**HYPERPARAMETERS, dry_run=True)["requests"][-1]["body"]
display(pd.Series(request["HyperParameters"], name="hyperparameters").to_frame())
print(request["TrainingJobName"], request["ResourceConfig"], request["StoppingCondition"])

# %% [markdown]
# ## Train in the cloud
#
# Its log comes line by line: one of metrics for each epoch. **Cost: the training's machine by the second**, from its start to its end,
# and minutes in which it is made ready. An interrupt of this cell ends the watching, not the job: that ends by
# `sagemaker.stop(name)`, or after `max_runtime`.

# %%
job = sagemaker.train(**HYPERPARAMETERS)

# %%
job

# %% [markdown]
# The metrics of its epochs, beside those of the training here: with one seed, they differ by rounding. Cost: nothing.

# %%
there = pd.DataFrame(sagemaker.history(job["name"])).set_index("epoch")
here = pd.DataFrame(local.history, index=pd.RangeIndex(1, len(local.history) + 1, name="epoch"))
names = [name for name in here if name in there][:3]
figure, grid = plt.subplots(1, len(names), figsize=(4.6 * len(names), 3.3), squeeze=False, layout="constrained")
for axes, name in zip(grid.flat, names, strict=True):
    axes.plot(here.index, here[name], "o-", color=COLOURS[4], label="here", markersize=7)
    axes.plot(there.index, there[name], "x--", color=COLOURS[1], label="SageMaker")
    axes.set(title=name, xlabel="epoch", ylabel=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
plt.show()

# %% [markdown]
# ## Search hyperparameters
#
# The ranges of `model.py`, by SageMaker's automatic model tuning. **Cost: as many trainings as trials.** `onstage.tune(trials=20)`
# searches on this machine, for nothing.

# %%
search = sagemaker.tune(trials=TRIALS, parallel=AT_A_TIME, **HYPERPARAMETERS)

# %%
found = sagemaker.best()

# %% [markdown]
# ## Deploy
#
# The model of the job at an endpoint. **Cost: the endpoint's machine by the second, until the cell *Delete*.**

# %%
endpoint = sagemaker.deploy(job["name"])

# %% [markdown]
# ## Predict, and compare with the model that was trained here
#
# The same rows for both. Cost: nothing beside the endpoint.

# %%
model = kernel.load()
rows = model.request["instances"]
answers = pd.DataFrame(
    {
        "row": [str(row) for row in rows],
        "SageMaker": [str(answer) for answer in sagemaker.predict(rows, endpoint=endpoint["name"])],
        "here": [str(answer) for answer in model.predict(rows)],
    }
)
with pd.option_context("display.max_colwidth", None):
    display(answers)

# %% [markdown]
# ## Delete
#
# The endpoint with all that was made for it. Cost: nothing, and from here on the endpoint costs nothing either. The bucket stays, with
# data and models.

# %%
sagemaker.delete(endpoint["name"])

# %%
left = sagemaker.status()
