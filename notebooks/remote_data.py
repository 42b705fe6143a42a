# %% [markdown]
# # Data that stay where they are
#
# A model that was trained on a cluster is mostly used there. Here you leave it on the endpoint, go on with it in later cells, look at it from
# here, and fetch it in the end.
#
# *No endpoint yet?* Type `funcx up` in a terminal, or `%funcx start local` in a cell.

# %%
# %load_ext funcx_jupyter

# %%
import random

random.seed(1)
points = [(x, 3 * x + 1 + random.gauss(0, 0.5)) for x in range(200)]


class Line:
    """A line through points."""

    def __init__(self, slope, offset):
        self.slope, self.offset = slope, offset

    def __repr__(self):
        return f"y = {self.slope:.2f} x + {self.offset:.2f}"

    def score(self, points):
        """How far the points are from the line, on average."""
        return sum(abs(self.slope * x + self.offset - y) for x, y in points) / len(points)


def fit(points):
    n, sx, sy = len(points), sum(x for x, _ in points), sum(y for _, y in points)
    sxx, sxy = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return Line(slope, (sy - slope * sx) / n)


# %% [markdown]
# ## Leave it there
#
# `--ref model` keeps the variable on the endpoint. With `-a` the cell returns at once, and `model` is a reference at once, too.

# %%
# %%funcx -a -n big --ref model
model = fit(points)

# %% [markdown]
# ## Use it there
#
# This cell names `model`, so it waits for `big`: on the service, also if you close the notebook. The model does not travel: see `in:`.

# %%
# %%funcx
model.score(points)

# %% [markdown]
# A task stands for the value of its last line in the same way.

# %%
# %%funcx -a -n close
[(x, y) for x, y in points if abs(model.slope * x + model.offset - y) < 0.5]

# %%
# %%funcx
len(close), model.score(close)

# %% [markdown]
# ## Look at it from here
#
# What it is, is known without having it. `get()` brings it here: an instance of the class that is defined above.

# %%
model

# %%
model.type_name, model.size

# %%
line = model.get()
isinstance(line, Line), line

# %% [markdown]
# ## What comes back, and what does not
#
# What is too large to come back stays there as well; `%funcx fetch TASK.VARIABLE` brings it when you want it. `delete` makes room. A
# value that nobody used for a day goes by itself.

# %%
# %funcx fetch big.model

# %%
model.delete()

# %% tags=["raises-exception"]
# %%funcx
model
