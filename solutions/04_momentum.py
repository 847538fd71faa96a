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
# # 04 Momentum
#
# In a ravine, plain gradient descent zigzags across and creeps along. The gradients across keep changing
# sign; those along all point the same way. So add them up. What alternates cancels, what agrees grows:
#
# $$b \leftarrow \mu\, b + g, \qquad \theta \leftarrow \theta - \eta\, b .$$
#
# The buffer $b$ is the first *state* that a rule keeps in this course. It costs one array of the size of
# the parameters, and it turns $k$ steps into about $\sqrt{k}$.
#
# After this lesson you will be able to
#
# - write the heavy ball and Nesterov's method: they differ in where the gradient is taken,
# - translate between the three ways in which they are written down,
# - read a phase diagram: where momentum converges, where it is fastest, where it blows up,
# - spot a formula for Nesterov momentum that is often printed and does not work.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch

from course import check, hint, predict, reveal, written
from course.landscapes import Quadratic
from course.microscope import look
from course.oracle import beside, deviation
from course.rules import SGD, HeavyBall, Nesterov
from course.widgets import alt, momentum_phase_diagram, momentum_slider
from course.widgets.style import COLORS

print("ready")

# %% [markdown]
# ## Predict
#
# A constant gradient of 1, momentum 0.9, learning rate 0.1. The first step is 0.1 long.

# %%
predict(
    "04-terminal-speed",
    "How long is a step after many steps?",
    ["0.09", "0.1", "0.9", "1.0", "It grows for ever"],
)

# %% tags=["nbval-check-output"]
rule, theta = HeavyBall(lr=0.1, momentum=0.9), np.zeros(1)
state, lengths = rule.init(theta), []
for _ in range(200):
    delta, state = rule.update(np.ones(1), state, theta)
    theta = theta - delta
    lengths.append(delta[0])
print("step 1, 2, 3, 200:", ", ".join(f"{lengths[i]:.3f}" for i in (0, 1, 2, 199)))
reveal(
    "04-terminal-speed",
    f"{lengths[-1]:.1f}",
    "The buffer is 1 + 0.9 + 0.81 + ..., which sums to 1/(1 - 0.9) = 10: up to ten times the first step.",
)

# %% [markdown]
# Keep that factor $1/(1-\mu)$ in mind. Whoever switches momentum on and keeps the learning rate has made
# the steps up to ten times longer.

# %% [markdown]
# ## See: the ball and the ravine
#
# Choose a rule, move the learning rate and the momentum. Start with momentum 0: that is gradient descent.
# Raise it slowly and watch the zigzag turn into a long smooth roll, and then into an overshoot.

# %%
momentum_slider()

# %% [markdown]
# ## The formula
#
# On a bowl everything is again decided direction by direction. Along a direction of curvature $h$ the
# gradient is $h\theta$. Put that into the two lines above: a step takes the pair (distance, buffer) to a
# new pair, by a matrix with constant entries,
#
# $$\begin{pmatrix} b \\ \theta \end{pmatrix} \leftarrow
# \begin{pmatrix} \mu & h \\ -\eta\mu & 1 - \eta h \end{pmatrix}
# \begin{pmatrix} b \\ \theta \end{pmatrix} .$$
#
# Its trace is $1 + \mu - \eta h$ and its determinant is $\mu$. So its two eigenvalues are the roots $r$ of
#
# $$r^2 - (1 + \mu - \eta h)\, r + \mu = 0 ,$$
#
# and the larger $|r|$ is the factor per step. From this follow, for the heavy
# ball (Polyak, 1964):
#
# - It is stable exactly when $\eta h < 2 + 2\mu$ (and $\mu < 1$). Momentum *raises* the limit of the
#   learning rate.
# - The product of the roots is $\mu$. Where they are complex, they are equally large, so $|r| =
#   \sqrt{\mu}$, whatever the curvature. Many directions then shrink at the same speed: that is the whole
#   gain.
# - The best choice puts both ends of the spectrum exactly where the roots become complex:
#
# $$\eta^\star = \Bigl(\frac{2}{\sqrt{L} + \sqrt{\ell}}\Bigr)^2, \qquad
# \mu^\star = \Bigl(\frac{\sqrt{k} - 1}{\sqrt{k} + 1}\Bigr)^2, \qquad
# \text{factor} = \frac{\sqrt{k} - 1}{\sqrt{k} + 1}.$$
#
# Here $\mu$ is the momentum, $L$ and $\ell$ are the largest and the smallest curvature, and $k = L/\ell$.

# %% [markdown]
# ## See: the phase diagram
#
# Each point of the map is a learning rate and a momentum; the shade is the factor per step in the worst
# direction. Click a point, or move with the arrow keys, and see the path that belongs to it. Find the best
# point, then go straight up and down from it. Too much momentum costs speed; too little, at a large
# learning rate, costs everything.

# %%
momentum_phase_diagram()

# %% [markdown]
# ## Build: `heavy_ball`
#
# Write the rule with its state. The state is a dict with two entries:
#
# - `"buffer"`: an array like `param`, zeros before the first step;
# - `"step"`: how many steps have been taken, 0 before the first.
#
# There is one more hyperparameter, *dampening*: the share of the gradient that is left out of the buffer,
# $b \leftarrow \mu b + (1 - \text{dampening})\, g$. One peculiarity of PyTorch belongs to it: at the
# **first** step the buffer is the whole gradient, undampened.


# %% exercise="heavy_ball"
def heavy_ball(grad, state, param, lr, momentum, dampening):
    """Return (delta, state). state: {"buffer": array, "step": int}; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    if state["step"] == 0:
        buffer = grad.copy()
    else:
        buffer = momentum * state["buffer"] + (1 - dampening) * grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}
    ### END SOLUTION


# %% check="heavy_ball" tags=["nbval-check-output"]
check(heavy_ball)

# %% [markdown]
# One step of yours beside the library's, value by value:

# %%
full = {"buffer": np.array([2.0]), "step": 5}
look(
    heavy_ball, np.array([1.0]), full, np.zeros(1), lr=0.1, momentum=0.5, dampening=0.25,
    beside=HeavyBall(lr=0.1, momentum=0.5, dampening=0.25),
)  # fmt: skip

# %% [markdown]
# ## Validate: 200 steps beside PyTorch

# %% tags=["nbval-check-output"]
print("library:", beside(HeavyBall(lr=0.01, momentum=0.9, dampening=0.3)))
if written(heavy_ball):
    reference = lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9, dampening=0.3)
    start = {"buffer": np.zeros(24), "step": 0}
    mine = lambda g, s, p: heavy_ball(g, s, p, 0.01, 0.9, 0.3)
    print("yours:  ", beside(mine, reference, state=start))

# %% [markdown]
# ## Build: `nesterov`
#
# The heavy ball measures the slope where it stands, and then is carried on by its momentum. Nesterov (1983)
# saw that it is already known where the momentum will carry it, and measured the slope *there*:
#
# $$v \leftarrow \mu\, v + \nabla f(\theta - \eta\mu\, v), \qquad \theta \leftarrow \theta - \eta\, v .$$
#
# A gradient array is not enough for this: the function needs to evaluate the gradient at a point of its
# own. So its first argument is a function: `grad_fn(theta)` returns the gradient at `theta`. The state is
# `{"velocity": v}`, zeros before the first step. There is no dampening.


# %% exercise="nesterov"
def nesterov(grad_fn, state, param, lr, momentum):
    """Return (delta, state). state: {"velocity": array}; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    look_ahead = param - lr * momentum * state["velocity"]
    velocity = momentum * state["velocity"] + grad_fn(look_ahead)
    return lr * velocity, {"velocity": velocity}
    ### END SOLUTION


# %% check="nesterov" tags=["nbval-check-output"]
check(nesterov)

# %% [markdown]
# ## Validate: what does PyTorch store?
#
# `torch.optim.SGD(nesterov=True)` is given a gradient, not a function. It cannot look ahead. So it keeps a
# different point: **the parameter that torch stores is the look-ahead point itself**. Written for that
# point,
# $p = \theta - \eta\mu v$, the same method reads
#
# $$b \leftarrow \mu\, b + g(p), \qquad p \leftarrow p - \eta\,(g + \mu\, b).$$
#
# The cell runs your function and torch for 200 steps on a ravine. Your `theta` and torch's `p` differ, as
# they should. Your look-ahead point and `p` do not.

# %% tags=["nbval-check-output"]
ravine = Quadratic.of(condition=50.0, angle=0.4)
lr, momentum = 0.3, 0.9


def torch_path(steps, **options):
    """Return torch's stored parameters on the ravine, shape (steps + 1, 2)."""
    p = torch.nn.Parameter(torch.tensor([1.5, 1.0], dtype=torch.float64))
    optimizer = torch.optim.SGD([p], lr=lr, momentum=momentum, **options)
    path = [p.detach().numpy().copy()]
    for _ in range(steps):
        p.grad = torch.from_numpy(ravine.gradient(p.detach().numpy()))
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return np.array(path)


stored = torch_path(200, nesterov=True)
if written(nesterov):
    theta, state, thetas, aheads = np.array([1.5, 1.0]), {"velocity": np.zeros(2)}, [], []
    for _ in range(201):
        thetas.append(theta)
        aheads.append(theta - lr * momentum * state["velocity"])
        delta, state = nesterov(ravine.gradient, state, theta, lr, momentum)
        theta = theta - delta
    print(
        f"after 10 steps theta is {np.linalg.norm(thetas[10] - stored[10]):.3f} away from torch's parameter"
    )
    same = all(deviation(a, p) < 1e-9 for a, p in zip(aheads, stored))
    print("the look-ahead point equals torch's parameter at all 200 steps:", same)

# %% [markdown]
# It matters when you save them: what you save from torch is the look-ahead point. Near convergence
# the two are the same; in the middle of training they are not.

# %% [markdown]
# ### A formula that is often printed
#
# You will find Nesterov's method written like this:
#
# $$v \leftarrow \mu v + \nabla f(\theta - \mu v), \qquad \theta \leftarrow \theta - \eta v .$$
#
# It looks almost the same. Look at the units: $v$ is a sum of gradients, without a learning rate, so
# $\theta - \mu v$ is $1/\eta$ times too far ahead.
#
# Try it on a steeper ravine, with largest curvature 10. The learning rate 0.02 is a tenth of $2/L$.

# %%
predict(
    "04-as-printed",
    "200 steps with the formula as printed, first with lr = 0.02, then with lr = 0.0002. What happens?",
    ["Both converge, slowly", "The first diverges, the second converges", "Both diverge"],
)

# %% tags=["nbval-check-output"]
steep = Quadratic.of(condition=50.0, angle=0.4, largest=10.0)


def run(lr, ahead, mu=0.9, steps=200):
    """Return the larger coordinate of theta; the gradient is taken at theta - ahead * v."""
    theta, v = np.array([1.5, 1.0]), np.zeros(2)
    for _ in range(steps):
        v = mu * v + steep.gradient(theta - ahead * v)
        theta = theta - lr * v
    return np.abs(theta).max()


print(f"look-ahead lr * mu * v, lr = 0.02:   |theta| {run(0.02, 0.02 * 0.9):.1e}")
print(f"look-ahead mu * v,      lr = 0.02:   |theta| {run(0.02, 0.9):.1e}")
print(f"look-ahead mu * v,      lr = 0.0002: |theta| {run(0.0002, 0.9):.1e}")
diverged = [run(lr, 0.9) > 10 for lr in (0.02, 0.0002)]
answer = {(True, True): "Both diverge", (False, False): "Both converge, slowly"}
reveal(
    "04-as-printed", answer.get(tuple(diverged), "One of them diverges"), "lr has no part in the velocity."
)

# %% [markdown]
# Why does a smaller learning rate not help? Put the gradient $h\theta$ into the printed formula: the
# velocity is multiplied by $\mu(1 - h)$ each step. There is no $\eta$ in that factor. As soon as the
# curvature exceeds $1 + 1/\mu$, here 2.1, the velocity grows by itself. On gentle losses the formula
# happens to work, which may be why it goes on being copied.

# %% [markdown]
# ## Build: `optimal_heavy_ball`
#
# From the smallest and the largest curvature of a bowl, return the pair `(lr, momentum)` with which the
# heavy ball is fastest. The formula stands above.


# %% exercise="optimal_heavy_ball"
def optimal_heavy_ball(smallest, largest):
    """Return (lr, momentum), two numbers."""
    ### BEGIN SOLUTION
    low, high = np.sqrt(smallest), np.sqrt(largest)
    lr = (2 / (high + low)) ** 2
    momentum = ((high - low) / (high + low)) ** 2
    return lr, momentum
    ### END SOLUTION


# %% check="optimal_heavy_ball" tags=["nbval-check-output"]
check(optimal_heavy_ball)

# %% [markdown]
# ### Theory against measurement
#
# Four bowls, three methods. Gradient descent and the heavy ball run at the settings derived above;
# Nesterov at $\eta = 4/(3L + \ell)$ and momentum $(\sqrt{3k+1} - 2)/(\sqrt{3k+1} + 2)$, the best on
# quadratics according to Lessard, Recht and Packard (2016), with the factor $1 - 2/\sqrt{3k+1}$. The rate
# is measured from the run itself: how much the distance shrinks per step, on average over the last half.


# %%
def measured_rate(rule, bowl, steps):
    """Return the factor per step by which the distance to the minimum shrinks."""
    theta, distance = np.array([1.0, 1.0]), []
    state = rule.init(theta)
    for _ in range(steps):
        delta, state = rule.update(bowl.gradient(theta), state, theta)
        theta = theta - delta
        distance.append(max(np.linalg.norm(theta), 1e-290))
    half = steps // 2
    return (distance[-1] / distance[half - 1]) ** (1 / (steps - half))


conditions = (4.0, 10.0, 100.0, 1000.0)
rows = []
for k in conditions:
    bowl, root, steps = Quadratic.of(condition=k, angle=0.0), np.sqrt(k), int(60 * np.sqrt(k))
    lr, momentum = bowl.best_heavy_ball
    tuned = np.sqrt(3 * k + 1)
    methods = {
        "gradient descent": (SGD(lr=bowl.best_lr), (k - 1) / (k + 1)),
        "heavy ball": (HeavyBall(lr=lr, momentum=momentum), (root - 1) / (root + 1)),
        "Nesterov, tuned": (Nesterov(lr=4 / (3 + 1 / k), momentum=(tuned - 2) / (tuned + 2)), 1 - 2 / tuned),
    }
    rows.append(
        {name: (theory, measured_rate(rule, bowl, steps)) for name, (rule, theory) in methods.items()}
    )

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for (name, marker), color in zip(
    (("gradient descent", "o"), ("Nesterov, tuned", "s"), ("heavy ball", "D")),
    (COLORS["vermillion"], COLORS["blue"], COLORS["green"]),
):
    axes.plot(conditions, [1 - row[name][0] for row in rows], color=color, lw=1.2, label=f"{name}, theory")
    axes.plot(
        conditions,
        [1 - row[name][1] for row in rows],
        marker,
        color=color,
        ms=7,
        mfc="none",
        label="measured",
    )
axes.set(xscale="log", yscale="log", xlabel="condition number k", ylabel="1 - factor per step")
axes.legend(frameon=False, ncols=3, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.22))
plt.show()
alt(
    "One minus the factor per step against the condition number, on logarithmic axes. Gradient descent falls "
    "like 1/k; heavy ball and Nesterov fall like one over the root of k. The measured marks lie on or near "
    "the lines."
)

# %% tags=["nbval-check-output"]
print("     k   method              theory   measured")
for k, row in zip(conditions, rows):
    for name, (theory, measured) in row.items():
        print(f"{k:6g}   {name:18s}  {theory:.4f}   {measured:.4f}")

# %% [markdown]
# Read the last three lines. At $k = 1000$ plain descent keeps 99.8 per cent of the distance per step, the
# heavy ball 94. The measured heavy ball is slightly slower than its theory. That is no error: at the best
# point both roots are equal, and then the distance falls like $t\,r^t$ rather than $r^t$. The factor $t$
# hardly matters after many steps; here it still shows in the third digit.

# %% [markdown]
# ## Build: `ema_to_sum_form`
#
# Many texts, and Adam, keep an *average* where the heavy ball keeps a sum:
#
# $$m \leftarrow \beta\, m + (1 - \beta)\, g, \qquad \theta \leftarrow \theta - \eta\, m .$$
#
# Given `lr` and `beta` of this form, return the pair `(lr, momentum)` with which the sum form
# $b \leftarrow \text{momentum}\cdot b + g,\ \theta \leftarrow \theta - \text{lr}\cdot b$ takes exactly the
# same steps. (Both start at zero.)


# %% exercise="ema_to_sum_form"
def ema_to_sum_form(lr, beta):
    """Return (lr, momentum) of the sum form."""
    ### BEGIN SOLUTION
    return lr * (1 - beta), beta
    ### END SOLUTION


# %% check="ema_to_sum_form" tags=["nbval-check-output"]
check(ema_to_sum_form)

# %% [markdown]
# ## Where conventions differ: three ways to write momentum
#
# | form | buffer | step | used by |
# |---|---|---|---|
# | sum | $b \leftarrow \mu b + g$ | $\theta - \eta b$ | PyTorch, Optax (`trace`) |
# | lr inside | $v \leftarrow \mu v + \eta g$ | $\theta - v$ | Sutskever et al. 2013, Keras (sign turned) |
# | average | $m \leftarrow \beta m + (1-\beta) g$ | $\theta - \eta m$ | Adam, many textbooks |
#
# While the learning rate is constant, all three can be made to take the same steps. When it *changes*, they
# part: in the second form old gradients keep the learning rate of their day. The cell runs the first two,
# and divides the learning rate by ten half-way.


# %% tags=["nbval-check-output"]
def two_forms(rate, steps=100, mu=0.9):
    """Return how far the sum form and the lr-inside form part, step by step."""
    a, b = np.array([1.5, 1.0]), np.zeros(2)
    c, v = np.array([1.5, 1.0]), np.zeros(2)
    apart = []
    for t in range(steps):
        b = mu * b + ravine.gradient(a)
        a = a - rate(t) * b
        v = mu * v + rate(t) * ravine.gradient(c)
        c = c - v
        apart.append(np.linalg.norm(a - c))
    return apart


constant = two_forms(lambda t: 0.1)
dropped = two_forms(lambda t: 0.1 if t < 20 else 0.01)
for name, apart in (("constant lr", constant), ("lr / 10 after step 20", dropped)):
    shown = ["below 1e-12" if x < 1e-12 else f"{x:.3f}" for x in (apart[19], apart[24], apart[39])]
    print(f"{name:22s} apart after 20, 25, 40 steps: {', '.join(shown)}")

# %% [markdown]
# Neither is wrong. But a schedule that was tuned for one is not tuned for the other. Right after a drop of
# the learning rate, the second form still takes the large old steps.
#
# Two smaller differences: PyTorch's first buffer is the whole gradient even with dampening, as you wrote it
# above; and `torch.optim.SGD(nesterov=True)` refuses dampening.

# %% [markdown]
# ## In the wild
#
# **The first buffer.** The same pull request that repaired MLX's decay (ml-explore/mlx, PR 473, lesson 03)
# mended a second slip: the first buffer was dampened. It is the slip *first buffer dampened* of the check
# above. With dampening 0 nobody notices. With dampening 0.9, the first step is ten times too short:

# %% tags=["nbval-check-output"]
g, zero = np.ones(1), np.zeros(1)
rule = HeavyBall(lr=1.0, momentum=0.9, dampening=0.9)
first, _ = rule.update(g, rule.init(zero), zero)
print(f"first step, whole gradient: {first[0]:.1f}; dampened: {((1 - 0.9) * g)[0]:.1f}")

# %% [markdown]
# **Momentum by accident.** A loop that forgets `zero_grad()` adds each gradient to the sum of all before.
# It is often said that this averages gradients and makes the steps small. Look at the formula at the top
# of this lesson: a sum of all past gradients is a buffer with **momentum 1**. Nothing decays. The ball
# rolls without friction, and never comes to rest.

# %% tags=["nbval-check-output"]
p = torch.nn.Parameter(torch.tensor([1.5, 1.0], dtype=torch.float64))
forgetful = torch.optim.SGD([p], lr=0.05)
rule, theta = HeavyBall(lr=0.05, momentum=1.0), np.array([1.5, 1.0])
state, apart = rule.init(theta), 0.0
for _ in range(300):
    (0.5 * p @ torch.from_numpy(ravine.matrix) @ p).backward()  # and no zero_grad
    forgetful.step()
    delta, state = rule.update(ravine.gradient(theta), state, theta)
    theta = theta - delta
    apart = max(apart, np.abs(p.detach().numpy() - theta).max())
print("no zero_grad equals momentum 1 over 300 steps:", apart < 1e-12)
print(f"distance after 300 steps: {np.linalg.norm(theta):.2f} (at the start: {np.hypot(1.5, 1.0):.2f})")

# %% [markdown]
# ## What you now know
#
# - Momentum sums gradients: what agrees grows up to $1/(1-\mu)$ times, what alternates cancels.
# - It raises the stability limit to $(2 + 2\mu)/L$ and brings $k$ down to $\sqrt{k}$.
# - Nesterov measures the slope where the momentum will carry it; torch stores that very point.
# - Sum, average and lr-inside are the same method until the learning rate changes.
# - Forgetting `zero_grad()` is momentum 1.
#
# Next: [05 Adaptive rules](05_adaptive.ipynb), which give every parameter a learning rate of its own.
