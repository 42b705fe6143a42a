# %% [markdown]
# # Cells that take long
#
# Some cells run for minutes or for days. Here you start one without waiting for it, go on meanwhile, run it again with other
# settings, and find it again after your kernel was restarted.
#
# *No endpoint yet?* Type `funcx up` in a terminal, or `%funcx start local` in a cell.

# %%
# %load_ext funcx_jupyter

# %%
def simulate(steps, seed=1):
    """Walk at random; print where we are now and then."""
    import random
    import time

    random.seed(seed)
    position, path = 0, [0]
    for step in range(1, steps + 1):
        position += random.choice((-1, 1))
        path.append(position)
        if step % 10 == 0:
            print(f"after {step:>3} steps: {position:+d}", flush=True)
            time.sleep(0.1)
    return path


# %% [markdown]
# ## Start it and go on
#
# `-a` returns at once, `-n walk` gives the task a name, which is also a variable. What the cell prints appears below it, while other
# cells run.

# %%
# %%funcx -a -n walk -o path
path = simulate(60)
max(path)

# %%
walk.done(), 6 * 7

# %% [markdown]
# `%funcx wait` waits, and assigns `path`. `await walk` and `walk.result()` do the same and give the value of the last line.

# %%
# %funcx wait walk

# %%
len(path), walk.result()

# %% [markdown]
# Two at once keep their outputs apart. `asyncio.gather` waits for both.

# %%
# %%funcx -a -n first
simulate(30, seed=2)[-1]

# %%
# %%funcx -a -n second
simulate(30, seed=3)[-1]

# %%
import asyncio

await asyncio.gather(first, second)

# %% [markdown]
# ## Once for each element
#
# `--map` runs a cell for each element of anything that can be iterated. One bar stands for all of them; the value and what `-o` names
# are lists. If some fail, the others go on, and `%funcx rerun … --failed` runs those again.

# %%
# %%funcx --map seed=range(12) -o end
end = simulate(10, seed)[-1]
end

# %%
sum(end) / len(end)

# %% [markdown]
# ## Again
#
# The kernel has kept what went with the cell. With `-e NAME` it would run on another endpoint; `%%funcx --explain` over a cell says what would
# go with it, and how long it took last.

# %%
# %funcx rerun first

# %%
# %funcx explain first

# %% [markdown]
# ## After a restart
#
# Everything you have sent goes on without your kernel. `%funcx attach` finds the tasks of this notebook again, shows what they have printed
# meanwhile and gives you their variables. It has nothing to do here, because this kernel knows all its tasks; with a name it shows one again.

# %%
# %funcx attach

# %%
# %funcx attach walk

# %% [markdown]
# ## When it cannot work
#
# What can be known before is told before: a package that is not there, an endpoint that is offline, a name with a slip.

# %% tags=["raises-exception"]
# %%funcx
import numpyy

# %%
# %funcx env
