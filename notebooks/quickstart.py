# %% [markdown]
# # Run your cells somewhere else
#
# This notebook is small enough to read over a coffee. At its end you have sent a function, a whole cell and a batch of
# 100 tasks to another process, seen their output arrive live, got figures and tables back, met an error that points at
# your own line, and stopped a cell that took too long.
#
# The place where things run is called an **endpoint**. Here it is `local`, on this very machine; give it the name of your
# lab's GPU box or cluster and nothing else changes.
#
# *No endpoint yet?* Type `funcx up` in a terminal. It starts the service and the endpoint `local`, and is safe to repeat.

# %%
# %load_ext funcx_jupyter

# %% [markdown]
# The line above says which service you talk to and who is online. Now something to compute: the area under a Gaussian,
# by throwing random points at it.

# %%
import os

import numpy as np

ENDPOINT = os.environ.get("FUNCX_ENDPOINT", "local")


def estimate_area(seed, points=100_000):
    """Estimate the area under exp(-x²) between -3 and 3 from random points."""
    import numpy as np

    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-3, 3, points), rng.uniform(0, 1, points)
    return float(6 * np.mean(y < np.exp(-(x**2))))


# %% [markdown]
# ## A function, from a script
#
# The SDK is what you use in programs: register a function once, run it as often as you like, on any endpoint.

# %%
from funcx import FuncXClient, FuncXExecutor

client = FuncXClient()
endpoint_id = client.find_endpoint(ENDPOINT)
function_id = client.register_function(estimate_area)

with FuncXExecutor(endpoint_id) as executor:
    future = executor.submit_to_registered_function(function_id, args=(2026,))
    print(f"area = {future.result():.4f}    exact: {np.sqrt(np.pi):.4f}    task {future.task_id}")

# %% [markdown]
# ## A cell, from a notebook
#
# `%%funcx` sends the whole cell. It finds out by itself what the cell needs: here the function `estimate_area` and the list
# `seeds`. The imports of the notebook are repeated over there. `-o estimates` brings one variable back when the cell has
# succeeded; everything else stays where it was computed.
#
# Watch the line above the output: where it runs, what went with it, and at the end where the time went.

# %%
seeds = [3, 14, 15, 92, 65]

# %%
# %%funcx -o estimates
import time

estimates = []
for seed in seeds:
    estimates.append(estimate_area(seed))
    print(f"seed {seed:>2}: {estimates[-1]:.4f}")  # arrives here while the cell runs
    time.sleep(0.15)

round(float(np.mean(estimates)), 4)

# %% [markdown]
# The mean is `Out[n]`, as after any cell. And `estimates` is now a variable of this notebook:

# %%
[round(value, 3) for value in estimates]

# %% [markdown]
# ## Figures and tables
#
# They are drawn where the data is, and come back in their place between the printed lines.

# %%
# %%funcx -o table
import matplotlib.pyplot as plt
import pandas as pd

sizes = [100, 1_000, 10_000, 100_000]
table = pd.DataFrame({n: [estimate_area(seed, n) for seed in range(40)] for n in sizes})

print("The more points, the narrower:")
table.plot.box(figsize=(6, 3), xlabel="points", ylabel="estimate", grid=True)
plt.axhline(np.sqrt(np.pi), color="tab:red", linewidth=1)
plt.show()

table.describe().loc[["mean", "std"]].round(4)

# %%
type(table), table.shape

# %% [markdown]
# ## Many at once
#
# A batch is a `map`. The executor is a `concurrent.futures.Executor`, so whatever works with those works with it: here a
# progress bar that moves as results come in.

# %%
import sys
from concurrent.futures import as_completed

from tqdm import tqdm

with FuncXExecutor(endpoint_id) as executor:
    futures = [executor.submit(estimate_area, seed) for seed in range(100)]
    ended = tqdm(as_completed(futures), total=len(futures), unit="task", file=sys.stdout)
    areas = [future.result() for future in ended]

print(f"{np.mean(areas):.5f} ± {np.std(areas) / np.sqrt(len(areas)):.5f}")

# %% [markdown]
# ## When something goes wrong
#
# The error is the original one — `except ZeroDivisionError` would catch it — and it points at the line that you can see, also
# through functions of earlier cells. *Run All* would stop here; this cell's tag `raises-exception` lets it go on.

# %% tags=["raises-exception"]
# %%funcx
values = [4, 2, 0]
for value in values:
    print("1 /", value, "=", 1 / value)

# %% [markdown]
# Mistakes that can be seen from here are told before anything is sent, with a hint where there is one:

# %% tags=["raises-exception"]
# %%funcx
estimate_aera(1)

# %% [markdown]
# ## When it takes too long
#
# Press ■ (or Ctrl-C in a terminal) once: the cell is stopped *on the endpoint*, what it has printed stays, and you can go on.
# So that this notebook can also run unattended, the next cell sets a timer that presses ■ for you, a moment later.

# %%
import _thread
import threading

threading.Timer(1.5, _thread.interrupt_main).start()

# %% tags=["raises-exception"]
# %%funcx -t 60
import time

for minute in range(60):
    print("still simulating …", flush=True)
    time.sleep(1)

# %% [markdown]
# ## Where to go from here
#
# `%funcx endpoints` shows where you can run, `%funcx status` what you ran, `%funcx help` the rest; `%%funcx?` explains every
# option. To add a machine, install this package there and type `funcx-endpoint configure NAME`, then `funcx-endpoint start NAME`.

# %%
# %funcx status
