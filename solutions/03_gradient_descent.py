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
# # 03 Gradient descent
#
# The simplest update is the gradient times a number:
#
# $$\theta \leftarrow \theta - \eta\, g$$
#
# The number $\eta$ is the learning rate, `lr` in code. Almost everything that can go wrong with it, and
# almost everything that later rules repair, can be seen on a bowl with two parameters.
#
# After this lesson you will be able to
#
# - say, before you run anything, at which learning rate gradient descent blows up,
# - say how many steps it needs, and why a *ravine* makes that number large,
# - write `sgd` with weight decay, and hold it to PyTorch over 200 steps,
# - explain why noise calls for a learning rate that falls.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch

from course import check, hint, predict, reveal, written
from course.data import load_digits
from course.landscapes import Quadratic
from course.microscope import look
from course.oracle import beside
from course.rules import SGD
from course.widgets import alt, learning_rate_on_a_ravine
from course.widgets.style import COLORS

print("ready")

# %% [markdown]
# ## Predict
#
# Take a ravine: a bowl that is ten times as curved across as it is along. Its largest curvature is $L =
# 1$, its smallest $\ell = 0.1$. You raise the learning rate step by step. At 1.9 gradient descent still
# converges.

# %%
predict(
    "03-past-the-limit",
    "What happens at lr = 2.1?",
    [
        "It converges, a little slower",
        "It circles the minimum for ever",
        "It runs away along the floor",
        "It runs away across",
    ],
)

# %% [markdown]
# ## See
#
# Move the learning rate. The path on the left is 40 steps of gradient descent from the same start; the
# picture beside it shows the distance to the minimum. The marks on the scale are two numbers that you will
# derive in a moment.

# %%
learning_rate_on_a_ravine()

# %% [markdown]
# Now the answer to the question, computed: the distance along each axis of the ravine after 40 steps.

# %% tags=["nbval-check-output"]
ravine = Quadratic.of(condition=10.0, angle=0.5, largest=1.0)
directions = np.linalg.eigh(ravine.matrix)[1]  # columns: along the floor, then across


def descend(landscape, lr, start, steps):
    """Return the path of plain gradient descent, shape (steps + 1, 2)."""
    rule, theta, path = SGD(lr=lr), np.asarray(start, dtype=float), [start]
    state = rule.init(theta)
    for _ in range(steps):
        delta, state = rule.update(landscape.gradient(theta), state, theta)
        theta = theta - delta
        path.append(theta)
    return np.array(path)


for lr in (1.9, 2.1):
    along, across = np.abs(descend(ravine, lr, directions @ [1.0, 1.0], 40)[-1] @ directions)
    print(f"lr = {lr}: {along:.4f} along the floor, {across:.4f} across")

grown = [name for name, distance in (("along the floor", along), ("across", across)) if distance > 1]
reveal(
    "03-past-the-limit",
    f"It runs away {' and '.join(grown)}",
    "The steep direction alone blows everything up.",
)

# %% [markdown]
# ## The formula
#
# Start with one parameter and the loss $\frac{h}{2}\theta^2$. Its slope is $h\theta$; the number $h$, the
# second derivative, is the *curvature*: how fast the slope changes. One step of gradient descent gives
#
# $$\theta - \eta\,h\theta = (1 - \eta h)\,\theta .$$
#
# So each step multiplies the distance to the minimum by the same number, $1 - \eta h$. With $h = 1$ and
# $\eta = 0.5$ the distance is halved each time; with $\eta = 2.1$ it is multiplied by $-1.1$.
#
# With many parameters, the second derivatives form a symmetric matrix, the *Hessian* $H$. On a bowl with
# its minimum at the origin the gradient is $H\theta$. A symmetric matrix has directions, its
# *eigenvectors*, along which it acts like a plain number, the *eigenvalue*. Along such a direction the
# bowl is just the parabola above, and its eigenvalue is the curvature $h$ there. In each of them, a step
# multiplies the distance by
#
# $$1 - \eta h .$$
#
# That single factor tells the whole story.
#
# - Between 0 and 1 ($\eta < 1/h$): the distance shrinks.
# - Between −1 and 0: it shrinks, jumping from side to side.
# - Below −1 ($\eta > 2/h$): it grows. The method diverges.
#
# Every direction has to shrink. The steepest one is the first to fail, so the limit is
#
# $$\eta < \frac{2}{L}, \qquad L = \text{largest curvature}.$$
#
# And the gentlest one is the slowest. With $\eta$ held down by $L$, its factor $1 - \eta\ell$ is close to
# 1 when $\ell$ is much smaller than $L$. The ratio $k = L/\ell$ is the *condition number*, and it is what
# makes a ravine slow.

# %% [markdown]
# ## Build: `sgd`
#
# Write the rule in the form that all rules of this course share: it takes `grad, state, param` and its
# hyperparameters, and returns the pair `(delta, state)`. The caller does `param = param - delta`.
#
# - SGD remembers nothing: `state` is an empty dict. Return it as it came.
# - Include *weight decay*: a penalty $\frac{\lambda}{2}\lVert\theta\rVert^2$ on the loss, with
#   $\lambda$ = `weight_decay`. Its gradient is added to `grad` before anything else happens.
# - Change none of your inputs.


# %% exercise="sgd"
def sgd(grad, state, param, lr, weight_decay):
    """Return (delta, state): the amount to subtract from param, and the state."""
    ### BEGIN SOLUTION
    g = grad + weight_decay * param
    delta = lr * g
    return delta, state
    ### END SOLUTION


# %% check="sgd" tags=["nbval-check-output"]
check(sgd)

# %% [markdown]
# Is something wrong and you do not see what? Look at one step of yours beside the library's, value by
# value:

# %%
g, theta = np.array([1.0, -2.0]), np.array([0.5, 4.0])
look(sgd, g, {}, theta, lr=0.1, weight_decay=0.5, beside=SGD(lr=0.1, weight_decay=0.5))

# %% [markdown]
# ## Validate: 200 steps beside PyTorch
#
# One right step proves little. `beside` runs your rule and `torch.optim.SGD` on the same 200 gradients.
# Their sizes range from 0.01 to 100, and one in ten is exactly zero. It reports how far the parameters
# ever part, relative to their size: the smallest $r$ with $|\text{yours} - \text{torch's}| \le
# r\,(|\text{torch's}| + \text{rms})$ for every parameter, where rms is the root mean square of all of
# torch's parameters. Rounding alone makes about $10^{-16}$.

# %% tags=["nbval-check-output"]
print("library:", beside(SGD(lr=0.01, weight_decay=0.1)))
if written(sgd):
    reference = lambda params: torch.optim.SGD(params, lr=0.01, weight_decay=0.1)
    report = beside(lambda g, s, p: sgd(g, s, p, 0.01, 0.1), reference, state={})
    print("yours:  ", report)

# %% [markdown]
# ## Build: `largest_stable_lr`
#
# Given the Hessian of a bowl (a symmetric matrix, all curvatures positive), return the learning rate at
# which gradient descent stops converging.


# %% exercise="largest_stable_lr"
def largest_stable_lr(hessian):
    """Return the limit of the learning rate, a number. hessian: shape (n, n)."""
    ### BEGIN SOLUTION
    curvatures = np.linalg.eigvalsh(hessian)
    return 2 / curvatures[-1]
    ### END SOLUTION


# %% check="largest_stable_lr" tags=["nbval-check-output"]
check(largest_stable_lr)

# %% [markdown]
# ### Does it hold on real data?
#
# A bowl is not a network. But a linear model with a squared loss *is* a bowl, in as many dimensions as it
# has weights, also on real images. Here are the 1797 digits that come with the course. The model predicts
# "how much is this a 3" from the 64 pixels. Its Hessian is $\frac{2}{n} X^\top X$, the same everywhere.

# %% tags=["nbval-check-output"]
images, labels = load_digits()
X = images.reshape(len(images), 64).astype(np.float64)
y = (labels == 3).astype(np.float64)
H = 2 / len(X) * X.T @ X
limit = 2 / np.linalg.eigvalsh(H)[-1]


def loss_after(lr, steps=300):
    """Return the mean squared error after full-batch gradient descent from zero."""
    w = np.zeros(64)
    for _ in range(steps):
        w = w - lr * 2 / len(X) * X.T @ (X @ w - y)
    return np.mean((X @ w - y) ** 2)


print(f"predicted limit: lr = {limit:.5f}")
for share in (0.5, 0.98, 1.02):
    print(f"loss after 300 steps at {share:.2f} times the limit: {loss_after(share * limit):.4g}")

# %% [markdown]
# Two per cent below the limit it learns; two per cent above, the loss has exploded. The curvature told us
# beforehand.
#
# In a deep network the curvature changes while you train. Cohen et al. (2021, *Gradient Descent on Neural
# Networks Typically Occurs at the Edge of Stability*) found that under full-batch gradient descent it rises
# until it reaches about $2/\eta$ and then hovers there. Full-batch training goes to the very limit that you
# have just computed.

# %% [markdown]
# ## Build: `steps_to_tolerance`
#
# The best single learning rate makes the steepest and the gentlest direction shrink equally fast. Set
# $1 - \eta\ell = -(1 - \eta L)$ and you get
#
# $$\eta^\star = \frac{2}{L + \ell}, \qquad \text{factor per step} = \frac{k - 1}{k + 1}.$$
#
# Return the smallest whole number of steps after which the distance is at most `tolerance` times what it
# was at the start, at this best learning rate. `condition` is $k \ge 1$.


# %% exercise="steps_to_tolerance"
def steps_to_tolerance(condition, tolerance):
    """Return the number of steps, an int."""
    ### BEGIN SOLUTION
    if condition == 1:  # the factor is 0: one step arrives, if there is any way to go
        return int(tolerance < 1)
    factor = (condition - 1) / (condition + 1)
    return int(np.ceil(np.log(tolerance) / np.log(factor)))
    ### END SOLUTION


# %% check="steps_to_tolerance" tags=["nbval-check-output"]
check(steps_to_tolerance)

# %% [markdown]
# Compare the formula with a run. The start has the same distance along both axes, the tolerance is one
# millionth.

# %% tags=["nbval-check-output"]
if written(steps_to_tolerance):
    print("      k   predicted   measured")
    for k in (1.5, 10.0, 100.0, 1000.0):
        bowl = Quadratic.of(condition=k, angle=0.0)
        distance = np.linalg.norm(descend(bowl, bowl.best_lr, [1.0, 1.0], 8000), axis=1)
        measured = int(np.argmax(distance <= 1e-6 * distance[0]))
        print(f"{k:7g}   {steps_to_tolerance(k, 1e-6):9d}   {measured:8d}")

# %% [markdown]
# Ten times the condition number, ten times the steps. Nothing about the *size* of the loss enters, only its
# shape. The next lesson brings the steps from $k$ down to $\sqrt{k}$ with a single extra array.

# %% [markdown]
# ## Noise
#
# So far the gradient was exact. A mini-batch gives an estimate, and an estimate jitters. Here is the
# smallest such problem: the loss is $\frac12(\theta - x)^2$, averaged over samples $x$; its minimum is
# their mean. Each step sees a single sample.

# %%
predict(
    "03-constant-rate",
    "With a constant learning rate and noisy gradients, what does theta do in the long run?",
    ["It converges to the mean", "It jitters around the mean for ever", "It drifts away"],
)

# %%
rng = np.random.default_rng(3)
samples = 5 + rng.normal(size=4000)
figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
spread = {}
for name, rate, color in (
    ("lr = 0.2", lambda t: 0.2, COLORS["vermillion"]),
    ("lr = 0.02", lambda t: 0.02, COLORS["blue"]),
    ("lr = 1/t", lambda t: 1 / t, COLORS["green"]),
):
    theta, path = np.zeros(()), []
    for t, x in enumerate(samples, start=1):
        delta, _ = SGD(lr=rate(t)).update(theta - x, {}, theta)
        theta = theta - delta
        path.append(theta)
    spread[name] = np.std(path[2000:])
    axes.plot(path, color=color, lw=1, label=name)
axes.axhline(5, color=COLORS["black"], lw=0.8, ls="--", label="true mean")
axes.set(xlabel="step", ylabel="theta", ylim=(3.5, 6.5))
axes.legend(ncols=4, loc="lower right", frameon=False)
plt.show()
alt(
    "Theta against steps for three learning rates. The large constant rate arrives at once and jitters "
    "widely, the small one arrives late and jitters little, the rate 1/t settles on the dashed line of the "
    "true mean."
)

# %% tags=["nbval-check-output"]
for name, value in spread.items():
    print(f"{name:10s} standard deviation over the last 2000 steps: {value:.3f}")
reveal(
    "03-constant-rate",
    "It jitters around the mean for ever",
    "The jitter shrinks with lr, but never to zero. A smaller lr takes longer to get there.",
)

# %% [markdown]
# A constant rate buys speed with jitter. Robbins and Monro (1951) found the way out: let the rate fall, but
# not too fast. Two sums decide:
#
# $$\sum_t \eta_t = \infty \quad\text{(any distance can be covered)}, \qquad
# \sum_t \eta_t^2 < \infty \quad\text{(the noise dies out)}.$$
#
# The rate $\eta_t = 1/t$ meets both.

# %% [markdown]
# ## Build: `robbins_monro_mean`
#
# Run it. Start at $\theta = 0$. For sample number $t$ (counted from 1) step with $\eta_t = 1/t$ along the
# gradient of $\frac12(\theta - x)^2$. Return $\theta$ after each sample, as an array as long as `samples`.


# %% exercise="robbins_monro_mean"
def robbins_monro_mean(samples):
    """Return theta after each sample, shape (n,)."""
    ### BEGIN SOLUTION
    theta, path = 0.0, []
    for t, x in enumerate(samples, start=1):
        theta = theta - (theta - x) / t
        path.append(theta)
    return np.array(path)
    ### END SOLUTION


# %% check="robbins_monro_mean" tags=["nbval-check-output"]
check(robbins_monro_mean)

# %% [markdown]
# What is this sequence? Compare it with the running mean, `cumsum / count`.

# %% tags=["nbval-check-output"]
if written(robbins_monro_mean):
    means = np.cumsum(samples) / np.arange(1, len(samples) + 1)
    apart = np.max(np.abs(robbins_monro_mean(samples) - means))
    print("the same to 12 digits" if apart < 1e-12 else f"they part by {apart:.1e}")

# %% [markdown]
# SGD with rate $1/t$ *is* the running mean.

# %% [markdown]
# ## Where conventions differ
#
# - **What decay means.** `torch.optim.SGD` adds `weight_decay * param` to the gradient. Keras and Optax
#   write it as a separate term or transform. For plain SGD the two agree: after the learning rate is
#   applied, both subtract $\eta\lambda\theta$. For Adam they do not, which is lesson 06.
# - **The sign.** A rule here and in the papers returns what is *subtracted*. Optax returns updates to be
#   *added*: `optax.apply_updates` computes `params + updates`.
# - **Maximizing.** `maximize=True` in torch turns the gradient's sign before the decay is added, so the decay
#   still pulls towards zero. Adding delta instead of subtracting it is not the same: it turns the decay
#   around as well. The cell shows both.

# %% tags=["nbval-check-output"]
theta, g = np.array([10.0]), np.array([0.0])  # no slope at all: only the decay acts
up, _ = SGD(lr=0.1, weight_decay=0.5, maximize=True).update(g, {}, theta)
wrong, _ = SGD(lr=0.1, weight_decay=0.5).update(g, {}, theta)
print(f"maximize=True:         10 -> {(theta - up)[0]:.1f}")
print(f"delta subtracted with the wrong sign: 10 -> {(theta + wrong)[0]:.1f}")

# %% [markdown]
# ## In the wild
#
# **Weight decay that was never applied.** In January 2024 a user of Apple's MLX found that SGD ignored
# `weight_decay` unless momentum was set as well (ml-explore/mlx, issue 440). The function returned early:
# with momentum 0 it took the plain step before it reached the line with the decay. Nothing crashed, no loss
# looked odd. Here is that shape of bug, beside the rule:


# %% tags=["nbval-check-output"]
def early_return(grad, param, lr, weight_decay, momentum):
    """Return delta, as the buggy function did."""
    if momentum <= 0:
        return lr * grad  # the decay below is never reached
    return lr * (grad + weight_decay * param)


start = np.array([10.0])
print("early return:", early_return(np.zeros(1), start, 0.1, 0.5, momentum=0.0))
print("the rule:    ", SGD(lr=0.1, weight_decay=0.5).update(np.zeros(1), {}, start)[0])

# %% [markdown]
# **Tests that cannot tell.** In August 2026 a reader of the TinyTorch course turned the sign of AdamW's
# decay on purpose, so that weights grew instead of shrinking, and every test still passed
# (harvard-edge/cs249r_book, pull request 2058). The tests asked only whether the parameter *had changed*.
# That is why this course compares values with an independent reference, step by step, and why the check
# above knows the decay with the wrong sign by name. If you like, make that mistake in your `sgd` and see.

# %% [markdown]
# ## What you now know
#
# - Each step multiplies the distance along a direction of curvature $h$ by $1 - \eta h$.
# - Gradient descent converges below $2/L$; the steepest direction decides.
# - The number of steps grows like the condition number $k$. At the best rate the factor is $(k-1)/(k+1)$.
# - With noise, a constant rate ends in jitter; a rate like $1/t$ averages it away.
#
# Next: [04 Momentum](04_momentum.ipynb), which needs only $\sqrt{k}$.
