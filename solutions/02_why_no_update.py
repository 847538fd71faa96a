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
# # 02 Why is my model not updating?
#
# The loop runs. No error, no warning. And the loss stands still, or swings, or falls and then stops too
# high. PyTorch does what it is told, and a loop that updates nothing is a valid program.
#
# Lesson 01 showed a loop that works. This one shows loops that do not. They all fail in one of four places,
# and each place can be looked at:
#
# 1. Does the parameter get a **gradient**?
# 2. Does an **optimizer** hold the parameter?
# 3. Does the step **change** it?
# 4. Is the change of a **size** that gets anywhere?
#
# After this lesson you will be able to
#
# - ask these four questions in this order, and read the answers,
# - measure how far a step moves each layer, and list the parameters that nobody steps,
# - mend eight broken loops, and let `clinic.watch` look at your own,
# - say what is wrong with three explanations that are often given.

# %% tags=["nbval-check-output"]
import contextlib
import io
import os
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from course import check, cli, clinic, hint, passed, predict, reveal
from course.data import load_digits
from course.exercises import find
from course.microscope import look
from course.widgets import alt, illnesses
from course.widgets.style import COLORS

F = nn.functional
torch.set_num_threads(1)  # small matrices: a second thread costs more than it saves
images, labels = load_digits()
X, T = torch.from_numpy(images.reshape(-1, 64)), torch.from_numpy(labels)
print("ready")

# %% [markdown]
# ## A first patient
#
# Read the loop in the next cell before you run it. It has every operation, in the right order. It does not
# train.
#
# The line `with clinic.watch(model, optimizer) as exam:` is the only one that you would not find in an
# ordinary script. It looks on through PyTorch's own hooks, changes nothing, and says at the end what it
# found: the cause, where it is, the figures that prove it, and one line that mends it.

# %%
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
losses = []
with clinic.watch(model, optimizer) as exam:
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X[:256]), T[:256])
        loss.backward()
        optimizer.step
        losses.append(loss.item())

# %% tags=["nbval-check-output"]
print(f"loss: {losses[0]:.2f} at first, {losses[-1]:.2f} after {len(losses)} turns")
for finding in exam.findings:
    print(f"{finding.severity}: {finding.code} (lesson {finding.lesson:02d})")

# %% [markdown]
# `optimizer.step` without parentheses names the method and does not call it. That is a valid expression.
#
# `exam.findings` holds what the report says, the cause first: a loop with one mistake often shows three
# symptoms, and only one of them is worth mending.

# %% [markdown]
# ## Predict
#
# Somebody wants to show a parameter that is missing from the optimizer. The model declares an
# `nn.Parameter` *after* its layers, and the optimizer is given `list(model.parameters())[:-1]`, to leave the
# last one out.

# %%
predict(
    "02-the-last-parameter",
    "Which parameter does the slice [:-1] leave out?",
    ["The nn.Parameter that was declared last", "The bias of the last layer", "None: a slice is a copy"],
)


# %% tags=["nbval-check-output"]
class Scaled(nn.Module):
    """Two layers, and after them a scale of its own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.last = nn.Linear(5, 5)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.scale * self.last(torch.relu(self.first(x)))


torch.manual_seed(0)
scaled = Scaled()
names = [name for name, _ in scaled.named_parameters()]
print("in order:", ", ".join(names))
print("left out:", names[-1])
reveal(
    "02-the-last-parameter",
    "The bias of the last layer" if names[-1] == "last.bias" else "The nn.Parameter that was declared last",
    "A module yields its own parameters first, and then those of its layers, whatever the order in __init__.",
)

# %% [markdown]
# So the example freezes another parameter than it says. It goes on to train on targets of shape `(64, 1)`
# with predictions of shape `(64, 5)`, drawn at random. Neither can be seen from the loss alone: the targets
# are noise of variance 1, so a loss near 1 is the best that any model reaches on new data.
#
# The cell runs it, prints the loss, and asks which parameters moved.

# %% tags=["nbval-check-output"]
before = {name: p.detach().clone() for name, p in scaled.named_parameters()}
optimizer = torch.optim.SGD(list(scaled.parameters())[:-1], lr=0.1)
x, noise = torch.randn(64, 4), torch.randn(64, 1)
with warnings.catch_warnings(), clinic.watch(scaled, optimizer, quiet=True) as exam:
    warnings.simplefilter("ignore")  # PyTorch does warn of the shapes
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = F.mse_loss(scaled(x), noise)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
print(f"loss: {losses[0]:.1f} at first, {losses[-1]:.1f} after {len(losses)} steps")
for name, p in scaled.named_parameters():
    print(f"{name:14s} {'stands still' if torch.equal(p, before[name]) else 'moved'}")
print("the clinic finds:", ", ".join(finding.code for finding in exam.findings))

# %% [markdown]
# Two causes, and no error message. This is why one needs instruments.

# %% [markdown]
# ## See
#
# Eight anonymous patients. Each is the same network on the same digits as the healthy run (dashed), with one
# thing wrong. Choose a patient and follow the run with the second slider. Look at the loss, then at the
# gradients of the first and the last layer, then at how far a step moves them. **Name the cause before you
# reach the last step**, which tells it.
#
# The loss is the cross-entropy, measured in nats, that is with natural logarithms. Who gives ten digits equal
# chances pays $\ln 10 = 2.3$: so much costs guessing.

# %%
illnesses()

# %% [markdown]
# Two things to take along. The loss says *that* something is wrong, and hardly ever what. And the pane on the
# right tells most of them apart: which layer stands still, and which is thrown about.

# %% [markdown]
# ## The formula
#
# The change that a step makes to a parameter, as a share of that parameter:
#
# $$r = \frac{\lVert \theta_{\text{after}} - \theta_{\text{before}} \rVert}
#            {\lVert \theta_{\text{before}} \rVert} .$$
#
# It has no unit, so layers can be compared. A common rule of thumb says that it should be somewhere around
# $10^{-3}$ (Stanford's CS231n, *Neural Networks Part 3*). Far below, and nothing happens within the time you
# have. Far above, and a step undoes what others have learnt. Exactly zero, and there is a mistake.

# %% [markdown]
# ## Build: `update_to_weight_ratio`
#
# `before` and `after` are dicts from names to NumPy arrays: the weights before and after one step. Return a
# dict with the ratio of each.
#
# Weights of zero need a decision, since biases often start there: if the norm before is 0, the ratio is
# `np.inf` where the step has moved them, and `0.0` where it has not.


# %% exercise="update_to_weight_ratio"
def update_to_weight_ratio(before, after):
    """Return {name: norm of the update / norm of the weights before}, for each parameter."""
    ### BEGIN SOLUTION
    ratios = {}
    for name in before:
        moved = np.linalg.norm(after[name] - before[name])
        size = np.linalg.norm(before[name])
        if size > 0:
            ratios[name] = moved / size
        elif moved > 0:
            ratios[name] = np.inf
        else:
            ratios[name] = 0.0
    return ratios
    ### END SOLUTION


# %% check="update_to_weight_ratio" tags=["nbval-check-output"]
check(update_to_weight_ratio)

# %% [markdown]
# One call of yours, value by value. A weight of length 5 moves by 0.05: the ratio is 0.01. A bias of zero
# moves, and whatever it does is infinitely much.

# %%
look(
    update_to_weight_ratio,
    {"weight": np.array([3.0, 4.0]), "bias": np.zeros(1)},
    {"weight": np.array([3.0, 4.05]), "bias": np.array([0.01])},
)

# %% [markdown]
# ## Validate: 200 steps beside the optimizer's own arithmetic
#
# For plain SGD the update is $\eta g$, so the ratio must be $\eta\lVert g\rVert/\lVert\theta\rVert$. The
# cell computes it both ways, over 200 steps of a real network in float64. Your function does the first as
# soon as it passes its check; until then the course's own stands in for it.


# %%
ratio_of = update_to_weight_ratio
if not passed(update_to_weight_ratio):
    ratio_of = find("update_to_weight_ratio").reference
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).double()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
measured, computed = [], []
for _ in range(200):
    optimizer.zero_grad()
    F.cross_entropy(model(X[:256].double()), T[:256]).backward()
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    optimizer.step()
    after = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    measured.append(list(ratio_of(before, after).values()))
    computed.append([0.2 * p.grad.norm() / np.linalg.norm(before[n]) for n, p in model.named_parameters()])
apart = np.max(np.abs(np.array(measured) / np.array(computed) - 1))

# %% tags=["nbval-check-output"]
print("the same over 200 steps, to a relative 1e-9:", bool(apart < 1e-9))

# %%
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
lines = zip(before, np.array(measured).T, ("blue", "sky", "vermillion", "orange"))
for name, ratios, color in lines:
    axes.plot(range(1, 201), ratios, color=COLORS[color], lw=1.3, label=name)
axes.axhline(1e-3, color=COLORS["black"], lw=0.8, ls=":", label="rule of thumb")
axes.set(yscale="log", xlabel="step", ylabel="norm of update / norm of weights")
axes.legend(frameon=False, ncols=3, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.25))
plt.show()
alt(
    "The ratio of each parameter of a network that learns, on a logarithmic axis over 200 steps. The "
    "four curves begin above 0.01 and fall to about 0.001, close together but for the last bias."
)

# %% [markdown]
# The layers move together: that is what health looks like. The rule of thumb is an order of magnitude and no
# more; a small network on an easy task begins well above it.

# %% [markdown]
# ## Build: `find_missing_parameters`
#
# The second question: does an optimizer hold it? `optimizer.param_groups` is a list of dicts, and each has
# its parameters under `"params"`.
#
# Return a list with the names of the *trainable* parameters of the model that no group of the optimizer
# holds. It is the same parameter if it is the same object. Equal values prove nothing: all fresh biases of a
# normalisation layer are equal. A tied parameter has several names: list it once, under any of them. A frozen
# one is not missing.


# %% exercise="find_missing_parameters"
def find_missing_parameters(model, optimizer):
    """Return the names of the model's trainable parameters that the optimizer does not hold."""
    ### BEGIN SOLUTION
    held = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            held.add(id(parameter))
    missing = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in held:
            missing.append(name)
    return missing
    ### END SOLUTION


# %% check="find_missing_parameters" tags=["nbval-check-output"]
check(find_missing_parameters)

# %% tags=["nbval-check-output"]
optimizer = torch.optim.SGD(list(scaled.parameters())[:-1], lr=0.1)
missing_in = find_missing_parameters
if not passed(find_missing_parameters):
    missing_in = find("find_missing_parameters").reference
missing = missing_in(scaled, optimizer)
print("missing in the example with [:-1]:", ", ".join(missing))

# %% [markdown]
# ## The ward
#
# Eight loops, each broken by one thing that people really do. In each cell the broken loop stands below the
# line that raises. Delete that line, run the cell, and mend the loop.
#
# - The mended loop must train: 16 steps must bring the loss below half of what guessing costs. For digits
#   that is ln 10, as above; for a line it is the variance of the targets, which a flat line through their
#   mean pays. (H is slow even when well; nine tenths will do.)
# - Each step must get the gradient of its own batch, and the clinic must find nothing.
# - What was asked stays: the model's shape and its layers, the kind of optimizer and its learning rate, the
#   number of steps.
#
# Each patient is a function of `x`, `y` and `steps` that returns the model and the exam. Three sets of data
# lie ready: `line` is $y = 2x$ with targets of shape `(n, 1)`, `flat_line` the same with targets of shape
# `(n,)`, and `digits` are 64 images. A takes `line`, F takes `flat_line`, all others take `digits`. Each is
# ill with its own data: F with `line` is well.
#
# To see the clinic's report, call a patient: `patient_a(*line, 16)`, in a cell of your own. That works once
# you have deleted the line that raises, since nothing below it runs before.

# %%
points = torch.linspace(-1.7, 1.7, 32)[:, None]
line, flat_line, digits = (points, 2 * points), (points, 2 * points[:, 0]), (X[:64], T[:64])

# %% [markdown]
# The symptoms, before anything is mended. The curves show the loss on the data after so many steps, as a
# share of what guessing costs (dotted). Can you tell from them what is wrong?


# %%
def called(loop, data, steps):
    """Call a patient without its report and its warnings, from the same random numbers each time."""
    torch.manual_seed(0)
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        warnings.simplefilter("ignore")
        return loop(*data, steps)


def symptoms(name, data, times):
    """Return the loss on the data after so many steps of a broken loop, as a share of guessing."""
    curve = []
    for steps in times:
        model, _ = called(find(name).broken, data, steps)
        kind, y = next(model.parameters()).dtype, data[1]
        with torch.no_grad():
            scores = model(data[0].to(kind)).float()
        if y.dtype == torch.int64:
            curve.append(F.cross_entropy(scores, y).item() / np.log(10))
        else:
            curve.append(((scores.flatten() - y.flatten()) ** 2).mean().item() / y.var(correction=0).item())
    return curve


WARD = {f"patient_{letter}": digits for letter in "abcdefgh"} | {"patient_a": line, "patient_f": flat_line}
figure, axes = plt.subplots(2, 4, figsize=(9, 3.8), sharex=True, layout="constrained")
for (name, data), ax in zip(WARD.items(), axes.flat):
    times = range(1, 17) if data is line else range(2, 17, 2)  # what swings must be seen at every step
    ax.plot(times, symptoms(name, data, times), "o-", color=COLORS["vermillion"], ms=2.5, lw=1)
    ax.axhline(1, color=COLORS["black"], lw=0.8, ls=":")
    ax.set_title(name, fontsize=9)
    ax.set_ylim(0, 1.6)
for ax in axes[1]:
    ax.set_xlabel("steps")
for ax in axes[:, 0]:
    ax.set_ylabel("loss / guessing")
plt.show()
alt(
    "The loss of the eight patients after up to 16 steps, as a share of what guessing costs. A swings up and "
    "down without coming to rest. B, C and G fall, but slowly, and F stays near guessing. D, E and H are "
    "flat: nothing moves at all."
)

# %% [markdown]
# ### Patient A: the loss swings
#
# A straight line through points on a straight line. It should be found at once. It overshoots, comes back,
# overshoots again.


# %% exercise="patient_a"
def patient_a(x, y, steps):
    """Fit a line; return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_a" tags=["nbval-check-output"]
check(patient_a)

# %% [markdown]
# ### Patient B: it learns, but badly
#
# Two hidden layers and an output layer. The loss falls a little, as if there were only one layer.


# %% exercise="patient_b"
def patient_b(x, y, steps):
    """Read digits with two hidden layers; return (model, exam)."""

    ### BEGIN SOLUTION
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.ModuleList([nn.Linear(64, 24), nn.Linear(24, 16)])
            self.output = nn.Linear(16, 10)

        def forward(self, x):
            for layer in self.hidden:
                x = torch.tanh(layer(x))
            return self.output(x)

    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_b" tags=["nbval-check-output"]
check(patient_b)

# %% [markdown]
# ### Patient C: a new head that stays new
#
# A network for two classes gets a head for ten, as one does with a pretrained model. The head does not learn.


# %% exercise="patient_c"
def patient_c(x, y, steps):
    """Read digits with a network whose head was replaced; return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))
    model[2] = nn.Linear(16, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_c" tags=["nbval-check-output"]
check(patient_c)

# %% [markdown]
# ### Patient D: nothing moves
#
# Somebody met the error *element 0 of tensors does not require grad*, and made it go away.


# %% exercise="patient_d"
def patient_d(x, y, steps):
    """Read digits; return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_d" tags=["nbval-check-output"]
check(patient_d)

# %% [markdown]
# ### Patient E: nothing moves either
#
# All five operations of lesson 01 are there. The optimizer is AdamW: Adam, which lesson 05 builds, with
# weight decay, which makes every weight a little smaller at each step (lesson 06).


# %% exercise="patient_e"
def patient_e(x, y, steps):
    """Read digits, with weight decay; return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model, exam
    ### END SOLUTION


# %% check="patient_e" tags=["nbval-check-output"]
check(patient_e)

# %% [markdown]
# ### Patient F: it learns the mean
#
# The line again, this time with targets of shape `(n,)`. Whatever the points, the answer is a flat line.


# %% exercise="patient_f"
def patient_f(x, y, steps):
    """Fit a line to targets of shape (n,); return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x)[:, 0], y)
            loss.backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_f" tags=["nbval-check-output"]
check(patient_f)

# %% [markdown]
# ### Patient G: the thaw that did not happen
#
# Everything was frozen. The head is new, and the first layer was unfrozen again. So it was meant.


# %% exercise="patient_g"
def patient_g(x, y, steps):
    """Read digits with a new head and an unfrozen first layer; return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    for parameter in model.parameters():
        parameter.requires_grad = False
    model[2] = nn.Linear(16, 10)
    model[0].requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_g" tags=["nbval-check-output"]
check(patient_g)

# %% [markdown]
# ### Patient H: gradients, steps, and no change
#
# There are gradients, the optimizer holds the weights, `step()` is called. The weights are what they were, to
# the last bit. The model is linear and kept in bfloat16, and its weights all start at 8.
#
# bfloat16 is a float32 cut down to 16 bits. It reaches as far, with 8 binary digits instead of 24. So its
# numbers lie further apart.

# %% tags=["nbval-check-output"]
for kind in (torch.float32, torch.bfloat16):
    eight = torch.tensor(8.0, dtype=kind)
    below, above = (torch.nextafter(eight, torch.tensor(to, dtype=kind)) for to in (0.0, 16.0))
    print(f"{kind!s:14s} the numbers next to 8 are {eight - below:.1e} below and {above - eight:.1e} above")


# %% exercise="patient_h"
def patient_h(x, y, steps):
    """Read digits with a linear model whose weights start at 8; return (model, exam)."""
    ### BEGIN SOLUTION
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            scores = model(x)
            F.cross_entropy(scores, y).backward()
            optimizer.step()
    return model, exam
    ### END SOLUTION


# %% check="patient_h" tags=["nbval-check-output"]
check(patient_h)

# %% [markdown]
# ### The diagnoses
#
# What the clinic said of each patient on admission, and what it says of yours. If you have not yet mended
# them all, this cell gives the rest away.


# %% tags=["nbval-check-output"]
def diagnosis(loop, data):
    """Return the codes that the clinic finds in a loop, as one line of text."""
    _, exam = called(loop, data, 16)
    return ", ".join(f.code for f in exam.findings if f.severity != "note") or "nothing found"


mine = [patient_a, patient_b, patient_c, patient_d, patient_e, patient_f, patient_g, patient_h]
print(f"{'':10s} {'on admission':30s} yours")
for loop, (name, data) in zip(mine, WARD.items()):
    try:
        now = diagnosis(loop, data)
    except NotImplementedError:
        now = "not mended yet"
    except Exception as error:  # a slip of the pen in one of them must not hide the others
        now = f"stopped by {type(error).__name__}: {' '.join(str(error).split()):.60s}"
    print(f"{name:10s} {diagnosis(find(name).broken, data):30s} {now}")

# %% [markdown]
# Where a cause brings a symptom with it, the cause stands first, and a symptom that it explains is left out.
# F has one: against every target at once, the best slope is 0. So its weights shrink towards 0, and a step is
# always a large share of what is left of them. Alone, that would look like a learning rate that is too
# large. The steps of the mended loop are larger at first, and then die out.


# %% tags=["nbval-check-output"]
def share(loop, step):
    """Return the ratio of update to weights, all together, at a step of a loop on the flat line."""
    models = [called(loop, flat_line, steps)[0] for steps in (step - 1, step)]
    before, after = ({"all": np.array([p.item() for p in m.parameters()])} for m in models)
    return ratio_of(before, after)["all"]


for name, loop in (("broken", find("patient_f").broken), ("mended", find("patient_f").reference)):
    print(f"F {name}: " + ", ".join(f"{share(loop, step):.2f} at step {step}" for step in (1, 8, 16)))

# %% [markdown]
# ## Where common explanations are wrong
#
# ### "Without `zero_grad` the gradients are averaged"
#
# They are **summed**. `backward()` adds to `.grad`; nothing divides. So the updates do not shrink, they grow.
# There is a name for a step that uses the sum of all gradients so far: momentum of 1. Not something like it.
# The cell runs both for 300 steps.


# %% tags=["nbval-check-output"]
def path(momentum, clear, steps=300):
    """Return the weights of a linear model on digits, after each step of SGD."""
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)
    seen = []
    for _ in range(steps):
        if clear:
            optimizer.zero_grad()
        F.cross_entropy(model(X[:256]), T[:256]).backward()
        optimizer.step()
        seen.append(model.weight.detach().clone())
    return torch.stack(seen)


never_cleared, rolling = path(momentum=0.0, clear=False), path(momentum=1.0, clear=True)
print("largest difference over 300 steps:", (never_cleared - rolling).abs().max().item())
cleared = nn.Linear(2, 1)
cleared(torch.ones(1, 2)).sum().backward()
cleared.zero_grad()
print("after zero_grad, .grad is", cleared.weight.grad)

# %% [markdown]
# A ball without friction: that is why patient A swung. Lesson 04 gives it friction.
#
# ### "No gradient means no update"
#
# That depends on what *no gradient* means. With None, `step()` passes over the parameter. With a gradient of
# zero it takes a step, and the step is not always nothing.
#
# Weight decay makes every weight a little smaller at each step, whatever its gradient. AdamW is Adam with
# weight decay; SGD has none unless it is asked for.

# %%
predict(
    "02-zero-gradient",
    "A parameter stands at 1, and its gradient is exactly zero. Which of these optimizers still moves it?",
    ["None of them", "AdamW, through weight decay", "SGD, in its first step"],
)


# %% tags=["nbval-check-output"]
def after_zero_gradients(make, warm=False):
    """Return where a parameter of 1 is after a step with a gradient of zero; warm: after one of 1."""
    p = nn.Parameter(torch.ones(1))
    optimizer = make([p])
    if warm:
        p.grad = torch.ones(1)
        optimizer.step()
    start = p.item()
    p.grad = torch.zeros(1)
    optimizer.step()
    return p.item() - start


moves = {
    "SGD": after_zero_gradients(lambda p: torch.optim.SGD(p, lr=0.1)),
    "AdamW, decay 0.1": after_zero_gradients(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1)),
    "SGD with momentum, second step": after_zero_gradients(
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), warm=True
    ),
}
for name, move in moves.items():
    print(f"{name:31s} {move:+.3f}")
reveal(
    "02-zero-gradient",
    "AdamW, through weight decay" if moves["AdamW, decay 0.1"] and not moves["SGD"] else "None of them",
    "Decay needs no gradient, and momentum remembers older ones. A fresh SGD has neither.",
)

# %% [markdown]
# Three more of the kind. Each is one line, and each has cost somebody an afternoon:

# %% tags=["nbval-check-output"]
p = nn.Parameter(torch.ones(3))
torch.optim.SGD([p], lr=0.1).step()
print("step() without backward():", "no error, no change" if torch.equal(p, torch.ones(3)) else "moved")
try:
    (p * p).backward()
except RuntimeError as error:
    print("backward() on three values:", error)
adam = torch.optim.Adam([p], lr=0.0)
for _ in range(5):
    p.grad = torch.ones(3)
    adam.step()
print("Adam with lr = 0:", "no change" if torch.equal(p, torch.ones(3)) else "moved", end=", but its state ")
print(f"has counted {int(adam.state[p]['step'])} steps")

# %% [markdown]
# The last one matters when a learning rate is raised from zero: Adam then starts with means that are already
# warm, which may be what you want. Lesson 05 shows what these means are.
#
# ### "Accumulation: call backward k times, then step"
#
# Gradients sum, so four calls give four times the gradient of the mean, unless each loss is divided by four.
# And if the micro-batches differ in size, dividing by their number is not enough: each must weigh as many
# examples as it has.


# %% tags=["nbval-check-output"]
def accumulated(parts, weights):
    """Return the weights' gradient, added up over slices of the data with these factors."""
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    for part, weight in zip(parts, weights):
        (weight * F.cross_entropy(model(X[part]), T[part])).backward()
    return model.weight.grad


whole = accumulated([slice(0, 32)], [1.0])
quarters = [slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 32)]
print(
    f"4 micro-batches, not divided: {accumulated(quarters, [1] * 4).norm() / whole.norm():.3f} times as long"
)
uneven = [slice(0, 20), slice(20, 32)]
for text, weights in (("by their number (2)", [1 / 2, 1 / 2]), ("by their examples", [20 / 32, 12 / 32])):
    off = (accumulated(uneven, weights) - whole).norm() / whole.norm()
    print(f"20 and 12 examples, weighed {text}: off by {100 * off:.0f} %")

# %% [markdown]
# Lesson 07 takes accumulation further, together with clipping and mixed precision.
#
# ## Where conventions differ
#
# - **What a forgotten clearing does.** PyTorch accumulates in `.grad`. In JAX and TensorFlow a gradient is a
#   value that a function returns: patients A and E cannot fall ill there.
# - **What a frozen parameter is.** PyTorch marks the tensor (`requires_grad`), Keras the layer
#   (`layer.trainable`), optax the optimizer's tree. Patient G wrote Keras in PyTorch.
# - **What `zero_grad` leaves behind.** None since PyTorch 2.0, zeros before. With zeros, weight decay goes on
#   in parameters that took no part in the loss. The cell shows it on one that was not used.

# %% tags=["nbval-check-output"]
for set_to_none in (True, False):
    unused = nn.Parameter(torch.ones(1))
    unused.grad = torch.zeros(1)
    optimizer = torch.optim.AdamW([unused], lr=0.1, weight_decay=0.1)
    for _ in range(10):
        optimizer.zero_grad(set_to_none=set_to_none)
        optimizer.step()
    print(f"set_to_none={set_to_none!s:5s}: an unused weight of 1 is {unused.item():.3f} after ten steps")

# %% [markdown]
# ## In the wild
#
# **Your own script.** You need not change it. `course doctor train.py` runs a script as it is, watches every
# optimizer that it makes, and prints the report. `--steps 50` stops it after 50 steps. The exit code is 1 if
# there is an error, so that it can stand in a test.
#
# The cell writes a small script and calls the doctor from Python, which spares a second start of PyTorch. In
# a terminal it is `course doctor train.py --steps 50`.

# %% tags=["nbval-check-output"]
SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(200, 3)
y = x @ torch.tensor([1.0, 2.0, -1.0])

model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(50):
    loss = ((model(x) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"final loss: {loss.item():.1f}")
"""
said = io.StringIO()
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(said):
    Path("train.py").write_text(SCRIPT)
    code = cli.main(["doctor", "train.py", "--steps", "50"])
print("\n".join(line for line in said.getvalue().splitlines() if line.startswith(("error", "    fix"))))
print("exit code", code)

# %% [markdown]
# The script's own loss is 4 or 5 to the end, and prints without complaint. The shapes are `(200, 1)` and
# `(200,)`: patient F again, without even PyTorch's warning, since the loss is written by hand.
#
# **In your own notebook**, put `with clinic.watch(model, optimizer):` around the loop for some dozens of
# steps. What is meant to be so can be said: `clinic.watch(model, optimizer, ignore=["backbone"])`.

# %% [markdown]
# ## What you now know
#
# - Four questions, in this order: a gradient? an optimizer that holds it? a change? a change of the right
#   size?
# - The loss shows that something is wrong. The ratio of update to weight shows where.
# - The same object, not the same value: what an optimizer holds was decided when it was made.
# - Without `zero_grad` gradients sum: momentum of 1. A gradient of zero is not None.
# - `clinic.watch` and `course doctor` ask the questions for you.
#
# Next: [03 Gradient descent](03_gradient_descent.ipynb), where the learning rate gets a limit that you can
# compute.
