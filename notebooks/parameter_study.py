# %% [markdown]
# # A parameter study, from grid to crate
#
# How strong must friction be for a driven pendulum to stay calm? You will run a function at every point of a grid of parameters
# somewhere else, watch the curve while results come in, run again only what failed, look at when everything ran, and write down
# where the numbers come from.
#
# The **endpoint** is `local`, on this very machine; give it the name of a cluster's and nothing else changes. *No endpoint yet?* Type
# `funcx up` in a terminal.

# %%
# %load_ext funcx_jupyter

# %%
import os

import funcx

ENDPOINT = os.environ.get("FUNCX_ENDPOINT", "local")


def swing(friction, force, seed):
    """How far a driven pendulum swings, from a random start."""
    import math
    import random

    rng = random.Random(seed)
    angle, speed, widest = rng.uniform(-1, 1), 0.0, 0.0
    for step in range(4000):
        push = force * math.cos(2 * step * 0.01)
        speed += 0.01 * (push - friction * speed - math.sin(angle))
        angle += 0.01 * speed
        widest = max(widest, abs(angle))
    if widest > 30:
        raise OverflowError(f"it turned over {widest / math.tau:.0f} times")
    return {"widest": widest, "last": angle}


# %% [markdown]
# ## The grid
#
# Every combination of the values, and each with eight random starts. The call returns when all points are safe at the service: from
# then on the study does not need this notebook. `plot` shows a figure that is drawn again while results come in.

# %%
study = funcx.grid(
    swing,
    {"friction": [0.05, 0.1, 0.2, 0.4, 0.8], "force": [0.5, 1.5], "seed": range(8)},
    endpoint=ENDPOINT,
    name="pendulum",
)
study.plot("friction", "widest", by="force")

# %%
study.wait()

# %% [markdown]
# ## The table
#
# A row for each point: parameters, what the function returned, and how it went. It could have been asked for earlier; rows of points
# that had not ended would have no results yet.

# %%
table = study.table()
table.head()

# %%
table.groupby(["force", "friction"])["widest"].agg(["mean", "max", "count"]).round(2)

# %% [markdown]
# ## What failed
#
# A function that raises spoils its point and no other. `retry` runs again what has no result, and nothing else. Here that changes
# nothing, because the same start gives the same end; on a machine that ran out of memory it would.

# %%
print(study.progress())
print(f"run again: {study.retry()} points")
study.wait(show=False)
table["state"].value_counts()

# %% [markdown]
# ## Tomorrow, or elsewhere
#
# Close the notebook, and in another one:

# %%
again = funcx.get_grid("pendulum")
assert len(again) == 80
again.wait(show=False)

# %% [markdown]
# ## When it ran
#
# Click into the picture; then the wheel zooms, dragging moves, `0` shows all. *By task* shows what each waited for.

# %%
from funcx_jupyter import Timeline

Timeline(study)

# %% [markdown]
# ## Where the numbers come from
#
# Code, place, environment and times of a task; what is not known is said. `to_ro_crate` writes a folder that archives such as Zenodo
# understand.

# %%
import tempfile

record = funcx.provenance(table["task_id"].iloc[0], function=swing)
crate = record.to_ro_crate(tempfile.mkdtemp())
print(record)

# %% [markdown]
# More: [parameter studies](../docs/grid.md), [where results come from](../docs/provenance.md), [what there is to look at](../docs/widgets.md).
