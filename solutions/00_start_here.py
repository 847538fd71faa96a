# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 Start here
#
# Every network is trained by repeating one line:
#
# $$\theta \leftarrow \theta - \mathrm{update}(g, \mathrm{state})$$
#
# A model's parameters are $\theta$. The gradient $g$ holds one slope per parameter: it says how the loss
# changes when that parameter grows. The update decides how far to move. This course is about that line,
# from plain gradient descent to the rules that train today's largest models.
#
# This first lesson takes fifteen minutes. After it you will be able to
#
# - run a cell and move a slider,
# - commit to a prediction before you see the answer,
# - write a function, have it checked, and read what the check says,
# - ask for a hint, see your progress, and start an exercise over.

# %% [markdown]
# ## Run a cell
#
# The grey box below is a cell. Click into it and press **Shift-Enter**. Its code runs, and the next cell is
# selected. Work through every lesson like this, from top to bottom.

# %% tags=["nbval-check-output"]
import numpy as np

from course import check, hint, predict, progress, reset, reveal
from course.microscope import look
from course.widgets import drag_a_step

print("ready")

# %% [markdown]
# ## See: one step, and ten
#
# The curve is a loss with a single parameter. The dots are ten steps of the line above, with
# $\mathrm{update} = \mathrm{lr} \cdot g$. The factor lr is the *learning rate*.
#
# Drag the slider. You can also click it once and use the arrow keys. Look for three things: a rate at which
# the dots creep, one at which they land at the bottom at once, and one at which they run away.

# %%
drag_a_step()

# %% [markdown]
# ## Predict
#
# Predict first: a wrong prediction shows you what you had misunderstood. Choose an answer and press
# *Commit*. It is remembered; there is no going back.

# %%
predict(
    "00-first-step",
    "A parameter is 1.0, its gradient 2.0, the learning rate 0.25. What is it after one step?",
    ["-1.0", "0.5", "1.5", "3.0"],
)

# %% [markdown]
# Now the computer does it. Run the cell and compare.

# %% tags=["nbval-check-output"]
after = 1.0 - 0.25 * 2.0
reveal(
    "00-first-step",
    f"{after}",
    "The gradient is positive, so the loss grows to the right: the step goes left.",
)

# %% [markdown]
# ## Build: your first function
#
# Write `step_downhill`. It takes the parameter, the gradient and the learning rate, and returns **the
# parameter after one step**.
#
# - `theta` and `gradient` are NumPy arrays of the same shape; `lr` is a number.
# - Return a new array. The caller still needs the old one, so leave `theta` as it is.
#
# Replace the line `raise NotImplementedError(...)` by your own. Run the cell, then the one after it.


# %% exercise="step_downhill"
def step_downhill(theta, gradient, lr):
    """Return theta after one step against the gradient, as a new array."""
    ### BEGIN SOLUTION
    return theta - lr * gradient
    ### END SOLUTION


# %% check="step_downhill" tags=["nbval-check-output"]
check(step_downhill)

# %% [markdown]
# The check runs your function on many inputs: scalars, matrices, empty arrays, huge and tiny gradients, and
# it looks whether you changed what you were given. When something is wrong it tells you what differs, by
# what factor, and, for the mistakes that people often make, what the mistake is called.
#
# Try it. Turn your minus into a plus, run both cells again, and read the card. Then mend it.
#
# One trap: if your cell ends in an error of its own, say a bracket that is missing, then Python keeps the
# function from before, and that is the one which is checked. Mend the cell first.
#
# What your function prints is not shown while it is checked. To debug, call it yourself, as here:

# %% tags=["nbval-check-output"]
try:
    print(step_downhill(np.array([1.0, -3.0]), np.array([2.0, 2.0]), 0.25))
except NotImplementedError as not_yet:
    print(not_yet)

# %% [markdown]
# ## Look inside
#
# `look` runs any function once and shows every value that gets a name on the way. It works on your
# functions and on the library's. Here it looks at one step of the library's own rule.

# %% tags=["nbval-check-output"]
from course.rules import SGD

look(SGD(lr=0.25), np.array([2.0]), {}, np.array([1.0]))

# %% [markdown]
# Read it from top to bottom; the right-hand column is the library's own code. The rule was given the
# gradient `[2.]`. It first lets weight decay into `g` (there is none here), then multiplies by lr, and
# returns `delta`, the amount to subtract. The line that moves the parameter, `param = param - delta`, is
# the same for every rule in this course. Only `delta` differs.

# %% [markdown]
# ## When you are stuck
#
# Each exercise has a few hints, from gentle to plain. Each call gives the next one.

# %%
hint("step_downhill")

# %% [markdown]
# `progress()` shows where you stand. It is kept on your computer, even after you close the notebook. In a
# terminal inside JupyterLab (*File*, *New*, *Terminal*), `course progress` prints the same table.

# %%
progress()

# %% [markdown]
# To start an exercise over, open a new cell (press **Esc**, then **b**), write `reset("step_downhill")`
# and run it. The new cell turns into the empty exercise. Your earlier answer stays where it is, and the
# points you have stay yours; delete the old cell when you no longer want it.
#
# Three more things that help:
#
# - A function that never ends is stopped by the check after three seconds, and you are told the line.
# - If everything seems stuck, choose *Kernel*, then *Restart Kernel*, and run from the top. Nothing that
#   you wrote is lost.
# - The notebooks that you edit lie in the folder `work/` and are yours. A new release of the course never
#   writes over a notebook that you have changed.

# %% [markdown]
# ## What you now know
#
# - Every rule subtracts something from the parameters. What it subtracts is called `delta` here.
# - The gradient points uphill, so the step goes against it. The learning rate sets its length.
# - `predict`, `check`, `hint`, `look`, `progress` and `reset` are all the tools you need.
#
# Next: [01 The training loop](01_training_loop.ipynb), where a real network learns to read digits.
