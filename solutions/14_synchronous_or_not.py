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
# # 14 Synchronous or not
#
# In data parallelism all ranks take the same step, and before each step all wait for all. That is slow: the
# slowest sets the pace. It is also clean: one gradient, at the parameters that everyone has.
#
# The other way is not to wait. A rank then computes its gradient at parameters which others have changed by
# the time it steps. The gradient is *stale*. This lesson asks what each of the two costs, and the answers
# can be computed: as a limit of the learning rate, in bits, in bytes, and in time.
#
# After this lesson you will be able to
#
# - say when two synchronous runs have the same bits, and how far they part when they have not,
# - compute the largest learning rate that a delay allows,
# - train on memory that several processes share, without a lock, and say which updates can get lost,
# - say which of the usual arguments for and against waiting hold.
#
# With its three exercises give it about two hours. Before *Hogwild* is a good place to stop, and to go on
# another day.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch

from course import check, cluster, hint, passed, predict, reveal
from course.cluster import hogwild as library
from course.cluster.local import DILOCO, LOCAL_SGD, LocalSGD
from course.cluster.models import MLP, forward
from course.data import load_digits
from course.exercises import find
from course.microscope import look
from course.rules import AdamW, HeavyBall
from course.widgets import alt, staleness_map
from course.widgets.style import COLORS

images, labels = load_digits()
PIXELS, ONEHOT = images.reshape(-1, 64), np.eye(10)[labels]
print("ready")

# %% [markdown]
# ## Synchronous, and the same every time?
#
# "Synchronous training is deterministic" is true for a fixed order of all additions, and only then. Addition
# of floating-point numbers is not associative: another order, other last bits. The order of a gradient's sum
# depends on the number of ranks, on the algorithm of the all-reduce, on the buckets. (Lesson 11 has shown it
# for a ring.) On a GPU some kernels add atomically, in the order in which threads happen to arrive. torch's
# `scatter_add_` was one for years (pytorch/pytorch, issue 23151, asks for another). Integers may arrive in
# any order; floats may not. This course runs on CPUs, and what it says of GPUs it has not tested.
#
# So take the smallest change that there is. A network with one hidden layer, the digits, four shares of 16
# rows a step. One run adds the shares up as $((a+b)+c)+d$, the other as $((d+c)+b)+a$. All else is the same:
# seed, rows, machine.

# %%
predict(
    "14-apart",
    "After 300 steps in float64, how far apart are the two runs, relative to the weights?",
    ["Not at all", "About 1e-15", "About 1e-3", "It depends on the learning rate"],
)

# %%


def run_with(lr, dtype, seed, backward=False, steps=300, nudge=0.0):
    """Train on four shares, added forward or backward; return losses and first-layer weights by step."""
    rng = np.random.default_rng(seed)
    w1 = (rng.normal(size=(64, 32)) / 8).astype(dtype)
    w1 += dtype(nudge) * np.random.default_rng(9).normal(size=w1.shape).astype(dtype)
    w2 = (rng.normal(size=(32, 10)) / 32**0.5).astype(dtype)
    x_all, y_all = PIXELS.astype(dtype), ONEHOT.astype(dtype)
    losses, path = [], []
    for _ in range(steps):
        rows = rng.permutation(len(PIXELS))[:64].reshape(4, 16)
        x, y = x_all[rows], y_all[rows]
        hidden = np.tanh(x @ w1)
        odds = np.exp(hidden @ w2)
        odds /= odds.sum(axis=-1, keepdims=True)
        losses.append(-np.log((odds * y).sum(axis=-1)).mean())
        d = (odds - y) / 64
        g1 = x.swapaxes(1, 2) @ ((d @ w2.T) * (1 - hidden**2))
        g2 = hidden.swapaxes(1, 2) @ d
        (a, b, c, d), (p, q, r, s) = (g1[::-1], g2[::-1]) if backward else (g1, g2)
        w1, w2 = w1 - dtype(lr) * (((a + b) + c) + d), w2 - dtype(lr) * (((p + q) + r) + s)
        path.append(w1.astype(np.float64))
    return np.array(losses), np.array(path)


def apart(lr, dtype, seed):
    """Return the distance of the two runs at each step, relative to the weights."""
    (_, one), (_, other) = (run_with(lr, dtype, seed, backward) for backward in (False, True))
    return np.linalg.norm(one - other, axis=(1, 2)) / np.linalg.norm(one, axis=(1, 2))


distances = {
    (lr, dtype.__name__): np.array([apart(lr, dtype, seed) for seed in range(3)])
    for lr in (0.5, 2.0)
    for dtype in (np.float32, np.float64)
}
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
looks = {0.5: COLORS["blue"], 2.0: COLORS["vermillion"]}
for (lr, name), each in distances.items():
    style = "-" if name == "float64" else "--"
    steps = np.arange(1, 301)
    axes.plot(steps, np.median(each, axis=0), style, color=looks[lr], label=f"lr {lr:g}, {name}")
    axes.fill_between(steps, each.min(axis=0), each.max(axis=0), color=looks[lr], alpha=0.2, lw=0)
axes.set(xlabel="step", ylabel="distance / norm of the weights", yscale="log", ylim=(1e-17, 10))
axes.legend(frameon=False, ncols=2, fontsize=9, loc="center right", bbox_to_anchor=(1, 0.3))
plt.show()
alt(
    "The distance of two runs that differ in the order of one sum, against the step, on a logarithmic scale; "
    "three seeds, median and range. At learning rate 0.5 it creeps up, by a factor of some tens in 300 "
    "steps, and stays below 1e-14 in float64 and 1e-5 in float32. At learning rate 2 it climbs, in both "
    "formats, until the distance is of the order of the weights' norm, and stays there."
)

# %% tags=["nbval-check-output"]
same = all(
    np.array_equal(one, two) for one, two in zip(run_with(2.0, np.float32, 0), run_with(2.0, np.float32, 0))
)
print("the same order, twice: the same bits to the end:", same)
first = {name: each[:, 0] for (lr, name), each in distances.items() if lr == 0.5}
print("after one step, float64: more than 0, below 1e-15:", all((0 < d < 1e-15) for d in first["float64"]))
print("after one step, float32: more than 0, below 1e-6: ", all((0 < d < 1e-6) for d in first["float32"]))
for (lr, name), each in distances.items():
    end = each[:, -1]
    small = {"float64": 1e-12, "float32": 1e-4}[name]
    where = f"after 300, lr {lr:g}, {name}"
    print(f"{where}: below {small:.0e}: {(end < small).all()}; over 0.01: {(end > 0.01).all()}")
calm = (distances[0.5, "float64"][:, -1] < 1e-12).all()
wild_too = (distances[2.0, "float64"][:, -1] > 0.01).all()
reveal(
    "14-apart",
    "It depends on the learning rate" if calm and wild_too else "About 1e-15",
    "Where training is calm it carries the difference along. Where steps overshoot it multiplies it.",
)

# %% [markdown]
# What does training do to a difference once it is there? Nudge the weights by 1e-9 before the first step, and
# change no order.

# %% tags=["nbval-check-output"]
for lr in (0.5, 2.0):
    runs = [(run_with(lr, np.float64, s)[1], run_with(lr, np.float64, s, nudge=1e-9)[1]) for s in range(3)]
    gaps = np.array([np.linalg.norm(one - other, axis=(1, 2)) for one, other in runs])
    times = gaps[:, -1] / gaps[:, 0]
    one_to_two, million = ((times > 1) & (times < 2)).all(), (times > 1e6).all()
    print(f"lr {lr:g}: a nudge grows 1 to 2 times: {one_to_two}; more than a million times: {million}")
grown = distances[0.5, "float64"][:, -1] / distances[0.5, "float64"][:, 0]
print("lr 0.5: the other order, 10 to 500 times as far apart as after one step:", end=" ")
print(((grown > 10) & (grown < 500)).all())

# %% [markdown]
# At the calm rate training does not damp a difference. It carries it along, and hardly enlarges it. The two
# orders part more than the nudge does, because each of the 300 steps rounds anew. Even so they part in the
# last digits only.
#
# At the rate 2 training multiplies what is there, until the difference is nearly of the size of the weights
# themselves. More digits do not help then. They only put the moment off. The run is chaotic, and neither
# result is the right one.
#
# ### Seeds, and a switch
#
# A seed fixes what is *drawn*. It says nothing of the order in which things are added. torch has a switch,
# `torch.use_deterministic_algorithms(True)`. Its documentation promises the same output for the same input
# "when run on the same software and hardware", an error where an operation has no such algorithm, and adds
# that the setting alone is not always enough. It cannot keep an order that you change yourself. The cell
# switches it on, and changes the number of threads.

# %% tags=["nbval-check-output"]
torch.use_deterministic_algorithms(True)
threads = torch.get_num_threads()
numbers = torch.rand(6, 200_001, generator=torch.Generator().manual_seed(0))


def sums(count):
    """Return the sums of the rows, one by one, with this many threads."""
    torch.set_num_threads(count)
    return [float(row.sum()) for row in numbers]


alone, again, shared = sums(1), sums(1), sums(2)
print("one thread, twice: the same bits: ", alone == again)
print("one thread and two: the same bits:", alone == shared)
print("one thread and two, within 1e-5:  ", np.allclose(alone, shared, rtol=1e-5))
torch.set_num_threads(threads)
torch.use_deterministic_algorithms(False)

# %% [markdown]
# ## Waiting
#
# A synchronous step takes as long as the slowest rank. Let a rank need the time $b$ for sure, and on top of
# it something random, exponential with mean $1-b$: on average 1. Then $N$ ranks are done, on average, after
#
# $$b + (1-b)\,\Bigl(1 + \tfrac12 + \tfrac13 + \dots + \tfrac1N\Bigr),$$
#
# because the first of $N$ is $N$ times as fast as one alone, the next of those left $N-1$ times, and so on.
# *Backup workers* cut the tail off: start some more than are needed, and drop the gradients that come last
# (Chen and others, 2016, Revisiting Distributed Synchronous SGD).

# %% tags=["nbval-check-output"]
times = 0.5 + np.random.default_rng(0).exponential(0.5, size=(20_000, 64))
for n in (1, 4, 16, 64):
    theory = 0.5 + 0.5 * sum(1 / k for k in range(1, n + 1))
    mean = times[:, :n].max(axis=1).mean()
    spare = np.sort(times[:, :n], axis=1)[:, -1 - n // 8].mean()
    print(f"{n:2d} ranks: {theory:.2f}, drawn within 1 %: {abs(mean / theory - 1) < 0.01}", end="")
    print(f"; without the last eighth {spare:.1f}" if n >= 16 else "")

# %% [markdown]
# With 64 such ranks two thirds of the time is waiting. Who does not wait has all of it, and old gradients.
#
# ## Stale gradients
#
# The simplest model: every gradient is $d$ steps old.
#
# $$\theta_{t+1} = \theta_t - \eta\, g_t(\theta_{\max(t-d,\,0)})$$
#
# Before the start there was nothing else to read than the start. With $N$ ranks that take turns, $d = N-1$:
# between a rank's reading and its writing each of the others writes once.

# %%
predict(
    "14-limit",
    "A bowl of curvature 1. Without a delay gradient descent is stable up to the rate 2. "
    "Up to which rate with a delay of one step?",
    ["2", "1.33", "1", "0.67"],
)

# %% [markdown]
# ### See
#
# Left every learning rate with every delay, right the path of the pair in the frame. The colour is the
# *factor per step*: what each step multiplies the distance to the lowest point by, in the long run and in the
# slower direction. With 0.9 a tenth of it goes at each step. With 1 or more it never goes.
#
# The frame stands at the rate 0.5, without a delay. Raise the delay step by step and leave the rate where it
# is. Then go back to the white line.
#
# Two things may surprise you. At the rate 0.5 a delay of one is a little *faster* than none: staleness is a
# kind of momentum, as you will see below. And what is left after 50 steps is one moment of a swing. It may be
# small because the path is just passing zero. The factor tells how the path goes on.

# %%
staleness_map()

# %% [markdown]
# ## Build: `stale_sgd`
#
# Return the whole path as one array: row $t$ is $\theta_t$, row 0 the start, `steps + 1` rows.
#
# - `gradient(theta, t)` is the gradient of step `t` at `theta`. The step has its own rows of data, so `t` is
#   never stale. (In the check it is `pull * theta + push * t`.)
# - `start` may have any shape. Leave it as it is, and keep its dtype.


# %% exercise="stale_sgd"
def stale_sgd(gradient, start, lr, steps, delay):
    """Return the path, shape (steps + 1, *start.shape); each gradient is delay steps old."""
    ### BEGIN SOLUTION
    path = [start.copy()]
    for t in range(steps):
        seen = path[max(t - delay, 0)]
        path.append(path[t] - lr * gradient(seen, t))
    return np.stack(path)
    ### END SOLUTION


# %% check="stale_sgd" tags=["nbval-check-output"]
check(stale_sgd)

# %% [markdown]
# Three steps of yours with a delay of one, on a bowl of curvature 1. The first two gradients are the same:
# both saw the start. What a name holds at the end stands beside the reference's.

# %%
look(stale_sgd, lambda theta, t: theta, np.array([1.0]), 0.25, 3, 1, beside=library.stale_sgd)

# %% [markdown]
# ## Validate: 200 steps beside PyTorch
#
# torch's SGD takes whatever gradient stands in `.grad`, and does not ask how old it is. The cell gives it
# gradients that are three steps old. It begins at drawn numbers: from zeros nobody could tell a start from an
# array that has not been filled yet.

# %% tags=["nbval-check-output"]
walk = stale_sgd if passed(stale_sgd) else library.stale_sgd


def slope(theta, t):
    """Return the gradient at theta of the squared error on 32 digits, drawn for step t."""
    rows = np.random.default_rng(t).integers(0, 1500, 32)
    x = PIXELS[rows].astype(np.float64)
    return x.T @ (x @ theta - ONEHOT[rows]) / 32


origin = np.random.default_rng(0).normal(size=(64, 10))
weight = torch.nn.Parameter(torch.from_numpy(origin.copy()))
optimizer, past = torch.optim.SGD([weight], lr=0.005), [origin]
for t in range(200):
    weight.grad = torch.from_numpy(slope(past[max(t - 3, 0)], t))
    optimizer.step()
    past.append(weight.detach().numpy().copy())
mine = walk(slope, origin, 0.005, 200, 3)
print("200 steps beside torch, within 1e-12:", abs(mine - past).max() < 1e-12)

# %% [markdown]
# ## Where does it break?
#
# First by experiment. Along a direction of curvature $h$ only the product $a = \eta h$ counts. So one run
# with many curvatures tries many products at once. A product is stable if the path is no larger at the end
# than halfway.

# %% tags=["nbval-check-output"]
products = np.arange(0.005, 2.2, 0.01)


def last_stable(delay, walk):
    """Return the largest product on the grid with which the path of ``walk`` does not grow."""
    with np.errstate(over="ignore", invalid="ignore"):
        path = abs(walk(lambda theta, t: products * theta, np.ones_like(products), 1.0, 1500, delay))
    grows = ~(path[-100:].max(axis=0) <= path[700:800].max(axis=0))
    return products[np.argmax(grows) - 1]


measured = {delay: last_stable(delay, walk) for delay in (0, 1, 2, 3, 4, 6, 8, 10)}
for delay in (0, 1, 2, 4, 10):
    print(f"delay {delay:2d}: the limit is between {measured[delay]:.3f} and {measured[delay] + 0.01:.3f}")
one = last_stable(1, library.stale_sgd)
reveal(
    "14-limit",
    "1" if one < 1 < one + 0.01 else "2",
    "A delay of one step halves it. Two steps: 0.618, the golden section.",
)

# %% [markdown]
# Now by thinking. Put $\theta_t = z^t$ into $\theta_{t+1} = \theta_t - a\,\theta_{t-d}$ and divide by
# $z^{t-d}$:
#
# $$z^{d+1} = z^d - a \qquad\text{or}\qquad a = z^d\,(1 - z).$$
#
# As long as all roots lie inside the unit circle, every path shrinks. For a small $a$ they do. As $a$ grows,
# a first root reaches the circle, at $z = e^{i\varphi}$. At that moment both sides have the same size and
# the same direction:
#
# - **Size.** $|z^d| = 1$. And $|1-z|$ is the chord from 1 to $z$ on the circle: $2\sin(\varphi/2)$. So
#   $a = 2\sin(\varphi/2)$.
# - **Direction.** $z^d$ points at the angle $d\varphi$. $1 - z$ points at $-(\pi-\varphi)/2$: draw the
#   triangle 0, 1, $z$. It has two equal sides, so its angle at 1 is $(\pi-\varphi)/2$. The product $a$ is a
#   positive number, at the angle 0. The first time that this happens,
#
# $$d\,\varphi = \frac{\pi - \varphi}{2} .$$
#
# The cell draws that moment for a delay of two steps.

# %%
phi = np.pi / 5
z = np.exp(1j * phi)
figure, axes = plt.subplots(figsize=(4.4, 3.4), layout="constrained")
arc = np.exp(1j * np.linspace(-0.1, 2.2, 100))
axes.plot(arc.real, arc.imag, color=COLORS["black"], lw=0.8)
axes.plot([0, 1], [0, 0], color=COLORS["blue"], lw=2)
axes.plot([0, z.real], [0, z.imag], color=COLORS["blue"], lw=2)
plane = lambda number: np.array([np.real(number), np.imag(number)])
for tail, tip, name, color in ((0, z**2, "$z^d$", COLORS["green"]), (z, 1, "$1-z$", COLORS["vermillion"])):
    axes.annotate("", plane(tip), plane(tail), arrowprops={"arrowstyle": "->", "color": color})
    axes.text(*plane((tail + tip) / 2 + 0.06), name, color=color)
small = 0.22 * np.exp(1j * np.linspace(0, phi, 20))
axes.plot(small.real, small.imag, color=COLORS["blue"], lw=1)
axes.text(0.25, 0.06, "φ", color=COLORS["blue"])
corner = 1 + 0.2 * np.exp(1j * np.linspace(np.pi - (np.pi - phi) / 2, np.pi, 20))
axes.plot(corner.real, corner.imag, color=COLORS["vermillion"], lw=1)
axes.text(0.52, 0.06, "(π − φ)/2", color=COLORS["vermillion"], fontsize=9)
for at, name in ((0.02 - 0.1j, "0"), (1.02 - 0.1j, "1"), (z + 0.02 + 0.04j, "z")):
    axes.text(*plane(at), name)
axes.set(xlabel="real part", ylabel="imaginary part", aspect="equal", xlim=(-0.15, 1.25), ylim=(-0.15, 1.1))
plt.show()
alt(
    "A piece of the unit circle. The triangle 0, 1, z has two sides of length 1. The angle between them, "
    "φ, is 36 degrees, so the angle at 1 is 72 degrees. The arrow from z to 1 is 1 − z: it points 72 degrees "
    "down. The arrow to z squared points 72 degrees up. The angles cancel: the product is a positive number."
)

# %% [markdown]
# Solve the second for $\varphi$, put it into the first, and remember what $a$ is.
#
# ## Build: `largest_stable_lr_with_delay`


# %% exercise="largest_stable_lr_with_delay"
def largest_stable_lr_with_delay(curvature, delay):
    """Return the learning rate beyond which stale gradient descent on this curvature diverges."""
    ### BEGIN SOLUTION
    return 2 * np.sin(np.pi / (4 * delay + 2)) / curvature
    ### END SOLUTION


# %% check="largest_stable_lr_with_delay" tags=["nbval-check-output"]
check(largest_stable_lr_with_delay)

# %% [markdown]
# Beside the experiment, and beside two rules of thumb.

# %%
limit_of = largest_stable_lr_with_delay if passed(largest_stable_lr_with_delay) else library.largest_stable_lr
delays = np.arange(0, 13)
theory = np.array([limit_of(1.0, int(d)) for d in delays])
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.plot(delays, theory, color=COLORS["blue"], label="theory")
axes.plot(
    measured.keys(), np.array(list(measured.values())) + 0.005, "o", color=COLORS["black"], label="measured"
)
axes.plot(delays, 2 / (delays + 1), "--", color=COLORS["orange"], label="2/(d + 1)")
axes.plot(delays[1:], 1 / delays[1:], ":", color=COLORS["green"], lw=2, label="1/d")
axes.set(
    xlabel="delay d, steps", ylabel="largest stable rate × curvature", yscale="log", xticks=range(0, 13, 2)
)
axes.legend(frameon=False)
plt.show()
alt(
    "The largest stable rate times the curvature against the delay, on a logarithmic scale. It falls from 2 "
    "to 1 at a delay of one, 0.62 at two, and 0.15 at ten. The measured points lie on theory's line. The "
    "rule 2/(d + 1) agrees for 0 and 1 and then is too large; the rule 1/d lies below from a delay of two on."
)

# %% tags=["nbval-check-output"]
print(
    "theory inside every measured bracket:",
    all(m <= limit_of(1.0, d) + 1e-9 <= m + 0.0101 for d, m in measured.items()),
)
print(f"2/(d + 1) is too large by {100 * (2 / 11 / limit_of(1.0, 10) - 1):.0f} % at a delay of 10")
print(f"times d + 1/2 at a delay of 1000: {limit_of(1.0, 1000) * 1000.5:.3f}, and pi/2 is {np.pi / 2:.3f}")

# %% [markdown]
# ## What a delay costs, and what it does to momentum
#
# The limit is not the price. The price is how fast it goes at the *best* rate, and that is again a matter
# of roots. Let curvatures be 1 and 0.1. The factor per step is the largest modulus that a root has in either
# direction. With momentum $\mu$ the recursion gains a term, $\mu(\theta_t - \theta_{t-1})$, and the roots are
# those of $z^{d+1} - (1+\mu) z^d + \mu z^{d-1} + a$. (Without a delay there is a $z^{-1}$ in it: multiply by
# $z$.)

# %%
momenta = np.round(np.arange(-0.9, 0.91, 0.05), 2)


def best_factor(delay, momentum):
    """Return the smallest factor per step over the learning rates, by a grid that is narrowed five times."""
    low, high = 0.0, 3 * library.largest_stable_lr(1.0, delay)
    for _ in range(5):
        rates = np.linspace(low, high, 16)
        each = [max(library.long_run_factor(lr * h, delay, momentum) for h in (1.0, 0.1)) for lr in rates]
        at = int(np.argmin(each))
        low, high = rates[max(at - 1, 0)], rates[min(at + 1, 15)]
    return min(each)


curves = {delay: np.array([best_factor(delay, mu) for mu in momenta]) for delay in (0, 2, 4)}
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for (delay, curve), color in zip(curves.items(), (COLORS["blue"], COLORS["orange"], COLORS["vermillion"])):
    axes.plot(momenta, curve, color=color, label=f"delay {delay}")
    axes.plot(momenta[curve.argmin()], curve.min(), "o", color=color)
axes.axvline(0, color=COLORS["black"], lw=0.8, ls=":")
axes.set(xlabel="momentum", ylabel="factor per step at the best rate", ylim=(0.5, 1.0))
axes.legend(frameon=False, loc="lower left")
plt.show()
alt(
    "The factor per step at the best learning rate, against the momentum, for delays of 0, 2 and 4 steps. "
    "Without a delay the curve has a deep valley: 0.55 at a momentum of 0.3. With a delay of two steps it is "
    "nearly flat around 0.94, with four around 0.97; the lowest points lie at momenta of -0.45 and -0.65."
)

# %% tags=["nbval-check-output"]
for delay, curve in curves.items():
    plain, best = curve[list(momenta).index(0.0)], curve.min()
    sign = "positive" if momenta[curve.argmin()] > 0 else "negative"
    print(
        f"delay {delay}: ten times closer in {np.log(10) / -np.log(plain):4.0f} steps without momentum,",
        end="",
    )
    print(f" {np.log(10) / -np.log(best):4.0f} with the best, which is {sign}")

# %% [markdown]
# Two steps of delay take away nearly all that momentum can give. What is left is little, and asks for a
# *negative* momentum. Why?
#
# Because staleness is momentum already. That can be made exact. Let the age of each gradient be random: $k$
# with probability $\tfrac1M (1-\tfrac1M)^k$, so $M-1$ on average. The expected gradient is then a running
# average of the past ones, with a memory of $1-\tfrac1M$. That is the heavy ball in its averaged form:
# momentum and dampening both $1-\tfrac1M$. Mitliagkas, Hadjis, Zhang and Ré found it (2016, Asynchrony begets
# Momentum). The cell runs 4,000 random walks and the course's rule.

# %%
lr, M, horizon, runs = 0.5, 8, 60, 4000
rng = np.random.default_rng(0)
walks = np.ones((horizon + 1, runs))
for t in range(horizon):
    age = rng.geometric(1 / M, size=runs) - 1
    walks[t + 1] = walks[t] - lr * walks[np.maximum(t - age, 0), np.arange(runs)]
rule, theta, ball = HeavyBall(lr=lr, momentum=1 - 1 / M, dampening=1 - 1 / M), np.ones(1), [1.0]
state = rule.init(theta)
for _ in range(horizon):
    delta, state = rule.update(theta, state, theta)
    theta = theta - delta
    ball.append(theta[0])
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
low, high = np.quantile(walks, (0.1, 0.9), axis=1)
axes.fill_between(range(horizon + 1), low, high, color=COLORS["sky"], alpha=0.3, lw=0, label="8 of 10 runs")
axes.plot(walks.mean(axis=1), color=COLORS["blue"], lw=4, alpha=0.5, label="mean of 4,000 random delays")
axes.plot(ball, "--", color=COLORS["vermillion"], label="heavy ball, fresh gradients")
axes.axhline(0, color=COLORS["black"], lw=0.8, ls=":")
axes.set(xlabel="step", ylabel="θ (curvature 1)")
axes.legend(frameon=False, fontsize=9)
plt.show()
alt(
    "Gradient descent with random delays, seven steps on average, on a bowl of curvature 1 from 1. Single "
    "runs scatter widely. Their mean swings through zero and back like a ball, and the path of the heavy "
    "ball with momentum 7/8 and fresh gradients lies on it."
)

# %% tags=["nbval-check-output"]
print(
    "mean of the random delays and heavy ball, within 0.1 at all steps:",
    abs(walks.mean(axis=1) - ball).max() < 0.1,
)

# %% [markdown]
# A constant delay is not a geometric one, so this is no law for every machine. What holds in general is the
# advice: **tune momentum again when the degree of asynchrony changes**. The value found on one rank is likely
# to be too large for sixteen that do not wait.
#
# ## Waiting against staleness, in time
#
# Now both prices on one clock. Twenty directions with curvatures from 0.03 to 1, noisy gradients. Ranks need
# random times, as above. Synchronous: all wait, and average their gradients. With backup: the last eighth is
# dropped. Without waiting: whoever is ready writes, reads, and goes on; the delays are what comes of it.
# Each method has its best of 23 rates and 5 momenta, for each number of ranks. What counts is the time until
# the loss has come down to a target; 1 is the mean time of a rank's step. Dashed: the same race where
# everyone has to do without momentum.

# %%
CURVES = np.geomspace(0.03, 1, 20)
LRS, MUS = (
    grid.reshape(-1, 1)
    for grid in np.meshgrid(0.015 * 2.0 ** np.arange(-3, 8.1, 0.5), [0, 0.3, 0.5, 0.7, 0.8])
)


def times_to_target(way, n, seed, noise, target, sure):
    """Return when the first of all pairs of rate and momentum is there, and the first without momentum."""
    rng = np.random.default_rng([seed, n])
    theta = np.ones((len(LRS), len(CURVES)))
    velocity, now, drop = 0 * theta, 0.0, n // 8 if way == "with backup" else 0
    needs = lambda count: sure + rng.exponential(1 - sure, size=count)
    seen, ready, first = [theta] * n, needs(n), np.inf
    while True:
        rank = int(ready.argmin())
        if way == "not waiting":
            now, point, averaged = ready[rank], seen[rank], 1
        else:
            now, point, averaged = now + np.sort(needs(n))[n - drop - 1], theta, n - drop
        g = CURVES * point + noise * rng.normal(size=len(CURVES)) / averaged**0.5
        velocity = MUS * velocity + g
        theta = theta - LRS * velocity
        seen[rank], ready[rank] = theta, now + needs(1)[0]
        there = (CURVES * theta**2).sum(axis=1) / CURVES.sum() <= target
        first = min(first, now) if there.any() else first
        if there[MUS[:, 0] == 0].any() or now > 1000:
            return min(first, now), now


WAYS = {"synchronous": COLORS["blue"], "with backup": COLORS["sky"], "not waiting": COLORS["vermillion"]}
COUNTS = (4, 8, 16, 32, 64)
SCENES = {
    "noisy gradients, uneven ranks": {"noise": 0.5, "target": 0.03, "sure": 0.5},
    "little noise, even ranks": {"noise": 0.02, "target": 0.0005, "sure": 0.9},
}
clock = {}
with np.errstate(over="ignore", invalid="ignore"):
    for scene, how in SCENES.items():
        for way in WAYS:
            clock[scene, way] = np.array(
                [[times_to_target(way, n, s, **how) for n in COUNTS] for s in range(6)]
            )
figure, both = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
for axes, scene in zip(both, SCENES):
    for way, color in WAYS.items():
        each, plain = clock[scene, way][..., 0], clock[scene, way][..., 1]
        axes.plot(COUNTS, np.median(each, axis=0), "o-", color=color, ms=4, label=way)
        if way != "with backup":
            axes.plot(COUNTS, np.median(plain, axis=0), "--", color=color, lw=1.2, label="… no momentum")
        axes.fill_between(COUNTS, each.min(axis=0), each.max(axis=0), color=color, alpha=0.15, lw=0)
    axes.set(xscale="log", yscale="log", xlabel="ranks", title=scene, xticks=COUNTS, ylim=(4, 300))
    axes.set_xticks(COUNTS, [str(n) for n in COUNTS])
    axes.minorticks_off()
both[0].set_ylabel("time to the target (a rank's mean step is 1)")
both[1].legend(frameon=False, fontsize=9)
plt.show()
alt(
    "Time to a target loss against the number of ranks, for six seeds, median and range. Left, with noisy "
    "gradients and uneven ranks: all three fall as ranks are added, and not waiting is fastest; with backup "
    "is close to it at 64 ranks. Right, with little noise and even ranks: from 16 ranks on the synchronous "
    "ways need less than half the time, and more ranks hardly help who does not wait. Dashed, without "
    "momentum: right, nobody gains much by more ranks, and from 8 on not waiting is the faster there too."
)

# %% tags=["nbval-check-output"]
at = COUNTS.index(32)
for scene in SCENES:
    print(f"{scene}, 32 ranks")
    for which, name in enumerate(("best settings", "without momentum")):
        waiting, wild_time = (
            np.median(clock[scene, way][:, at, which]) for way in ("synchronous", "not waiting")
        )
        faster = "not waiting" if wild_time < waiting else "waiting"
        ratio = max(waiting / wild_time, wild_time / waiting)
        print(f"    {name}: {faster} is faster, by more than a fifth: {ratio > 1.2}")
at_64 = {way: np.median(clock["noisy gradients, uneven ranks", way][:, -1, 0]) for way in WAYS}
print("noisy gradients, 64 ranks, beside not waiting")
print("    with backup less than 1.6 times as long:", at_64["with backup"] < 1.6 * at_64["not waiting"])
print("    synchronous more than 1.6 times as long:", at_64["synchronous"] > 1.6 * at_64["not waiting"])

# %% [markdown]
# Both sides of the old quarrel are in this picture.
#
# **Left, noise limits the rate.** There a stale gradient is as good as a fresh one, nearly, and waiting is
# waste. Momentum matters little to who does not wait. Backup workers take back most of the waste: at 64 ranks
# they are close.
#
# **Right, curvature limits the rate.** Who does not wait makes $N$ times as many steps, each $N$ times as
# short: more ranks bring little. That alone does not make waiting win. The dashed lines show it: *without
# momentum* more ranks bring nothing to who waits either, since a better averaged gradient allows no larger
# step, and not waiting is the faster. Waiting wins because fresh gradients leave room for momentum, and stale
# ones do not: you saw it in the curves above.
#
# Large batches on equal machines are the right-hand side. DistBelief trained without waiting on thousands of
# CPU machines (Dean and others, 2012). Today's large language models are trained synchronously, on equal
# machines.
#
# It is a model, on a bowl, with the best settings known beforehand. It says what the two prices depend on,
# not what they are on your machine.
#
# This is a good place to stop. What follows needs of all this only what a stale gradient is, and your
# `stale_sgd`.

# %% [markdown]
# ## Hogwild
#
# Take staleness to its end: one array in memory, many processes, no lock, nobody in charge. Every process
# reads, computes, and writes, whenever it is ready (Niu, Recht, Ré and Wright, 2011). It was made for
# *sparse* problems: a gradient that touches a few entries can be written quickly, and seldom meets another.
#
# Matrix completion is such a problem. Here is a real matrix: 200 digits in rows, their 64 pixels in columns.
# A quarter of the entries is hidden. Find $U$ and $V$ with six columns each, such that $U V^\top$ is right at
# the known entries, and look how right it is at the hidden ones. The error at one entry touches one row of
# $U$ and one row of $V$. A step here takes eight entries.

# %% tags=["nbval-check-output"]
DIGITS = PIXELS[:200].astype(np.float64)
ROWS, COLS = DIGITS.shape
AT_ONCE, LR, EPOCHS = 8, 0.2, 6


def completion(seed):
    """Return the mask of hidden entries, the gradient function of a step's number, and a start."""
    rng = np.random.default_rng(seed)
    hidden = rng.random(DIGITS.shape) < 0.25
    known = rng.permutation(np.argwhere(~hidden))
    start = 0.3 * rng.normal(size=(ROWS + COLS, 6))
    start[:, 0] = DIGITS[~hidden].mean() ** 0.5

    def gradient(theta, n):
        some = known[(n * AT_ONCE + np.arange(AT_ONCE)) % len(known)]
        i, j = some[:, 0], ROWS + some[:, 1]
        miss = (theta[i] * theta[j]).sum(axis=1) - DIGITS[some[:, 0], some[:, 1]]
        found = np.zeros_like(theta)
        np.add.at(found, i, miss[:, None] * theta[j])
        np.add.at(found, j, miss[:, None] * theta[i])
        return found

    return hidden, gradient, start


def held_out(theta, hidden):
    """Return the root mean squared error at the hidden entries."""
    return float(np.sqrt(np.mean((theta[:ROWS] @ theta[ROWS:].T - DIGITS)[hidden] ** 2)))


hidden, gradient, start = completion(0)
touched = np.count_nonzero(gradient(start, 0))
print(f"parameters: {start.size}; a gradient touches at most {2 * 6 * AT_ONCE}: {touched <= 96}")
print(f"steps for one pass over the known entries: about {round((~hidden).sum() / AT_ONCE, -2):.0f}")

# %% [markdown]
# ## Build: `hogwild`
#
# A rank program. All ranks run it at the same time.
#
# - `comm.shared("theta", start)` returns an array that all ranks see. Whoever writes into it writes for all.
# - At each of its `steps` a rank **copies** what it sees, calls `comm.pause()`, computes, and **subtracts in
#   place**, only where there is something to subtract. Real ranks are interrupted at any time. Simulated ones
#   are interrupted in `comm.pause()`, and nowhere else.
# - `gradient(theta, n)` is the gradient of step number `n`. The ranks deal the numbers out like cards: step
#   `t` of rank `r` has the number $tN + r$.
# - No lock, and no collective but one: at the end, `comm.barrier()`, so that all have written. Then return
#   the parameters.


# %% exercise="hogwild"
def hogwild(comm, gradient, start, lr, steps):
    """Train the shared parameters together with the other ranks; return them when all have ended."""
    ### BEGIN SOLUTION
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        moved = lr * gradient(seen, t * comm.world_size + comm.rank)
        touched = np.nonzero(moved)
        theta[touched] -= moved[touched]
    comm.barrier()
    return theta.copy()
    ### END SOLUTION


# %% check="hogwild" tags=["nbval-check-output"]
check(hogwild)

# %% [markdown]
# `theta -= moved` gives the same numbers, and the check lets it pass. On real memory it is another thing: it
# reads and rewrites *every* entry. More of that below.
#
# The simulated ranks take turns. Then Hogwild with $N$ ranks must be your `stale_sgd` with a delay of $N-1$,
# and it is, to the last bit. Which rank goes first does not matter (a barrier before your loop, for one,
# changes that): the cell notes the order of the steps, and `stale_sgd` takes them in the same. No byte goes
# over a wire.

# %% tags=["nbval-check-output"]
wild = hogwild if passed(hogwild) else library.hogwild
order = []


def noted(theta, number):
    """Return the gradient; note whose turn it is."""
    order.append(number)
    return gradient(theta, number)


for n in (1, 2, 4, 16):
    order.clear()
    run = cluster.run(wild, ranks=n, args=(noted, start, LR, 320 // n))
    path = walk(lambda theta, t: gradient(theta, order[t]), start, LR, 320, delay=n - 1)
    same = all(np.array_equal(result, path[-1]) for result in run.results)
    print(f"{n:2d} ranks: the bits of a delay of {n - 1:2d}: {same}; bytes sent: {run.ledger.sent()}")

# %% [markdown]
# Now the training. The same steps in all, dealt out to 1, 4 and 16 ranks, for three draws of hidden entries.


# %%
def train(program, ranks, seed, engine="simulated", lr=LR, epochs=EPOCHS):
    """Return the held-out errors before and after each epoch."""
    hidden, gradient, theta = completion(seed)
    steps = int((~hidden).sum()) // AT_ONCE // ranks
    errors = [held_out(theta, hidden)]
    for _ in range(epochs):
        theta = cluster.run(program, ranks, engine, args=(gradient, theta, lr, steps), timeout=20).results[0]
        errors.append(held_out(theta, hidden))
    return np.array(errors)


def by_pixel(seed):
    """Return the error of guessing each pixel's mean over the known entries."""
    hidden = completion(seed)[0]
    means = np.where(hidden, 0, DIGITS).sum(axis=0) / (~hidden).sum(axis=0)
    return float(np.sqrt(np.mean((means - DIGITS)[hidden] ** 2)))


errors = {n: np.array([train(wild, n, seed) for seed in range(3)]) for n in (1, 4, 16)}
guess = np.mean([by_pixel(seed) for seed in range(3)])
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for (n, each), color, style in zip(errors.items(), ("black", "blue", "vermillion"), ("-", "--", ":")):
    axes.plot(each.mean(axis=0), style, color=COLORS[color], lw=2, label=f"{n} rank{'s' if n > 1 else ''}")
    axes.fill_between(
        range(EPOCHS + 1), each.min(axis=0), each.max(axis=0), color=COLORS[color], alpha=0.12, lw=0
    )
axes.axhline(guess, color=COLORS["green"], lw=1, label="each pixel's mean")
axes.set(xlabel="epochs", ylabel="held-out error (ink, 0 to 1)", ylim=(0.15, 0.45))
axes.legend(frameon=False)
plt.show()
alt(
    "The error at hidden pixels against epochs, for 1, 4 and 16 ranks without locks; mean and range of three "
    "draws. The three curves lie on one another: they fall from above 0.4 to 0.22, below the error of "
    "guessing each pixel's mean, 0.27."
)

# %% tags=["nbval-check-output"]
ends = {n: each[:, -1].mean() for n, each in errors.items()}
print(f"error at the end, 1 rank: {ends[1]:.2f}; guessing each pixel's mean: {guess:.2f}")
for n in (4, 16):
    print(f"{n} ranks: within 0.01 of one rank: {abs(ends[n] - ends[1]) < 0.01}")

# %% [markdown]
# ### Do they really seldom meet?
#
# The usual explanation is that sparse gradients seldom collide. Count. Of the entries that a step touches,
# how many has another rank changed since they were read?


# %% tags=["nbval-check-output"]
def counting(comm, gradient, start, lr, steps):
    """Run Hogwild; return how many touched entries had been changed by others, and how many there were."""
    theta, met = comm.shared("theta", start), np.zeros(2)

    def watched(seen, n):
        found = gradient(seen, n)
        at = found != 0
        met[:] += (theta[at] != seen[at]).sum(), at.sum()
        return found

    library.hogwild(comm, watched, start, lr, steps)
    return met


for n in (2, 4, 16):
    met, all_touched = np.sum(
        cluster.run(counting, ranks=n, args=(gradient, start, LR, 1200 // n)).results, axis=0
    )
    print(
        f"{n:2d} ranks: changed by others in between: {100 * met / all_touched:.0f} % of the touched entries"
    )

# %% [markdown]
# With 16 ranks two of three touched entries have changed in between, and the curves above do not care. What
# saves Hogwild here is not that ranks seldom meet. It is that updates are *added*, so that what others wrote
# stays, and that the rate is below the limit of the delay. By how much? Two epochs at larger rates:

# %% tags=["nbval-check-output"]
for lr in (0.2, 0.4, 0.6):
    with np.errstate(over="ignore", invalid="ignore"):
        single, many = (train(wild, n, 0, lr=lr, epochs=2)[-1] for n in (1, 16))
    outcome = f"worse by less than 0.04: {many - single < 0.04}" if many < 1 else "diverges"
    print(f"rate {lr}: 1 rank ends below 0.4: {single < 0.4}; 16 ranks: {outcome}")

# %% [markdown]
# At twice the rate 16 ranks lag behind a little. At three times the rate they fail, where one rank does not.
#
# Take away the first. The check knows two programs that lose updates. One writes the touched entries as it
# saw them, less the step. The other writes all back.

# %%
WRONG = {slip.name: slip.answer for slip in find("hogwild").slips}
lost = {
    name: train(WRONG[name], 16, 0)
    for name in ("touched entries overwritten", "the whole array written back")
}

# %% tags=["nbval-check-output"]
alone = errors[1][0]
print(f"{'16 ranks that add:':35s} {errors[16][0][-1]:.2f} after {EPOCHS} epochs")
for name, each in lost.items():
    behind = int(np.argmax(alone <= each[-1]))
    print(f"{name + ':':35s} {each[-1]:.2f}, which one rank reaches in epoch {behind}")

# %% [markdown]
# Take away the second, with gradients that touch everything: least squares on all digits. The largest
# curvature and your formula say how many ranks a rate allows.

# %% tags=["nbval-check-output"]
INPUT, GOAL = PIXELS[:1500].astype(np.float64), ONEHOT[:1500]
HESSIAN, PULL = INPUT.T @ INPUT / 1500, INPUT.T @ GOAL / 1500
L = float(np.linalg.eigvalsh(HESSIAN)[-1])
dense = lambda theta, n: HESSIAN @ theta - PULL
print(f"largest curvature {L:.1f}; the rate is 0.7 / L")
for n in (1, 2, 4, 16):
    end = cluster.run(wild, ranks=n, args=(dense, np.zeros((64, 10)), 0.7 / L, 480 // n)).results[0]
    error = ((INPUT @ end - GOAL) ** 2).mean()
    stable = limit_of(L, n - 1) > 0.7 / L
    print(
        f"{n:2d} ranks: theory says {'stable  ' if stable else 'unstable'}, the loss is small: {error < 0.1}"
    )

# %% [markdown]
# ## Now and then: local SGD and DiLoCo
#
# Between all the time and never lies *now and then*. Each rank trains alone for $H$ steps; then all average
# what they have moved. Within a period nobody waits, and the bytes are divided by $H$. That is local SGD
# (Stich, 2019). DiLoCo (Douillard and others, 2023) takes AdamW for the inner steps, and hands the average to
# an outer rule, Nesterov with rate 0.7 and momentum 0.9. The paper reports, with 8 workers, the quality of
# synchronous training at 500 times less communication.

# %%
NETWORK = MLP.of_sizes([64, 24, 10])


def meeting(comm, every, outer, seed, steps=150):
    """Train on shares of the digits; return the error rate on digits that were not trained on."""
    trainer = LocalSGD(comm, NETWORK, AdamW(lr=0.004), every, outer)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.permutation(1500)[:32][comm.rank :: comm.world_size]
        trainer.step(PIXELS[rows].astype(np.float64), ONEHOT[rows])
    out, _ = forward(NETWORK, trainer.naming.layers(trainer.parameters()), PIXELS[1500:].astype(np.float64))
    return float((out.argmax(axis=1) != labels[1500:]).mean())


meetings = {}
for every, outer in ((1, LOCAL_SGD), (10, LOCAL_SGD), (50, LOCAL_SGD), (10, DILOCO), (50, DILOCO)):
    outcomes = [cluster.run(meeting, ranks=4, args=(every, outer, seed)) for seed in range(3)]
    meetings[every, outer] = [r.results[0] for r in outcomes], outcomes[0].ledger.sent(rank=0)
    rates = ", ".join(f"{100 * rate:.0f} %" for rate in meetings[every, outer][0])
    name = "DiLoCo" if outer is DILOCO else "averaged"
    sent = meetings[every, outer][1]
    print(f"{name:8s} every {every:2d} steps: wrong on unseen digits {rates}; sent {sent:9,} bytes")

# %% tags=["nbval-check-output"]
often, seldom = meetings[1, LOCAL_SGD], meetings[50, LOCAL_SGD]
print("meeting every 50 steps divides the bytes by", often[1] / seldom[1])
print("and the error rates stay within 5 points:  ", abs(np.mean(often[0]) - np.mean(seldom[0])) < 0.05)

# %% [markdown]
# This is no delay in the sense above: a rank's own gradients are fresh, but the ranks drift apart between
# meetings. On 1,500 digits drawn alike for all ranks the drift is small. With different data on each rank it
# need not be. And DiLoCo is made for long runs: every 50 steps means three meetings here, and its momentum
# has hardly begun.

# %% [markdown]
# ## Where conventions differ
#
# **torch's Hogwild.** Its notes on multiprocessing show it: `model.share_memory()`, then every process runs
# the usual loop. Three things differ from yours. There is no copy: forward and backward read the shared
# weights while others write them, so a gradient may belong to no one point. The step is *dense*:
# it rewrites every entry of every tensor. And each process has its own optimizer, so momentum and Adam's
# averages are one set a process. What dense writing does, and what a state does that is shared by half, is
# computed below.
#
# **What a delay counts.** In `stale_sgd` it counts updates by anyone. A rank that counts only its own would
# say that its gradients are one step old, however many ranks there are: $N-1$ updates are one round.
#
# **"Asynchronous"** has other meanings too. An asynchronous all-reduce (`async_op=True` in torch) returns
# before it is done. Data parallelism waits for it before the step, so nothing is stale.
#
# **"Lock-free, so it is free."** A step of yours copies all parameters to change a few.

# %% tags=["nbval-check-output"]
print(f"numbers copied at each step: {start.size}, changed: at most {2 * 6 * AT_ONCE}")

# %% [markdown]
# ## Real memory, real processes
#
# Two processes of this machine, one piece of memory, nobody taking turns. First a count that is easy to
# check. Each process owns *other* entries of the array, and adds 1 to its own, 100,000 times. They never
# touch the same entry. One way adds at the touched entries only. The other adds a dense array of zeros and
# ones.


# %%
def count(comm, densely, size=64, rounds=100_000):
    """Add 1 to this rank's own entries again and again; return how many additions are missing at the end."""
    counts, mine = comm.shared("counts", np.zeros(size)), np.zeros(size)
    mine[comm.rank :: comm.world_size] = 1
    own = np.flatnonzero(mine)
    comm.barrier()
    for _ in range(rounds):
        if densely:
            counts += mine
        else:
            counts[own] += 1
    comm.barrier()
    return size * rounds - int(counts.sum())


missing = {False: cluster.run(count, 2, "gloo", args=(False,), timeout=20).results[0]}
tries = []
while len(tries) < 4 and not any(tries):  # now and then nothing is lost: the processes have not met
    tries.append(cluster.run(count, 2, "gloo", args=(True,), timeout=20).results[0])
missing[True] = tries[-1]
print(f"dense additions lost, in try {len(tries)} of at most 4: {missing[True]:,} of {64 * 100_000:,}")

# %% tags=["nbval-check-output"]
print("lost by adding at the own entries only:   ", missing[False])
print("the dense sum is at most what was added:  ", missing[True] >= 0)

# %% [markdown]
# Adding zero is not doing nothing: it reads a number and writes it back, and what another process has written
# in between is gone. How many are lost differs from run to run, and may be none; so the cell tries up to four
# times. The sparse way loses none here, ever, because each entry has one writer. Where two processes write
# the same entry, even that can lose an update. Hogwild does not deny it. It says that training survives a
# few.
#
# Now your function, on the digits. No two runs are alike to the bit.

# %% tags=["nbval-check-output"]
real = train(wild, 2, 0, engine="gloo")
print("two real processes: below 0.6 of where it began:   ", real[-1] < 0.6 * real[0])
print("within 0.03 of one process after the same epochs:  ", abs(real[-1] - errors[1][0][-1]) < 0.03)

# %% [markdown]
# ## In the wild
#
# **A step count that was not shared.** A3C is a method of reinforcement learning (Mnih and others, 2016):
# many processes play, and update one network without waiting. An implementation kept Adam's averages in
# shared memory, for all processes, but let each count its own steps (ikostrikov/pytorch-a3c, issue 12,
# "SharedAdam bias correction wrong"; mended three days later). The averages have then seen all steps, and are
# corrected as if they had seen $1/N$ of them. Another implementation had the same (MorvanZhou/pytorch-A3C,
# issue 2). What does it do? A constant gradient, for which every step of Adam should be 1 learning rate long:


# %% tags=["nbval-check-output"]
def step_length(ranks, step, share_count, betas=(0.9, 0.999)):
    """Return the length of Adam's step number ``step`` in learning rates; the gradient is always 1."""
    m, v = (1 - beta**step for beta in betas)
    counted = step if share_count else (step - 1) // ranks + 1
    return m / (1 - betas[0] ** counted) / np.sqrt(v / (1 - betas[1] ** counted))


for step in (1, 16, 200, 3000):
    shared, own = (step_length(16, step, share_count) for share_count in (True, False))
    print(f"16 processes, step {step:4d}: {shared:.2f} with a shared count, {own:.2f} with their own")

# %% [markdown]
# Twice too long at first, then nearly three times too short, and no error tells of it.
#
# **The second loss.** A run with fixed seed and `--deterministic`, repeated on the same computer: "in the
# first iteration the loss is totally same, but at the second iteration the loss differs a little"
# (open-mmlab/mmdetection, issue 2034). Another report, with all seeds fixed: one GPU repeats itself, several
# do not, and it begins "in the loss of the second batch" (pytorch/pytorch, issue 70447). Neither thread
# proves a cause. But a sum in another order looks just so: seed and data are the same, so the first loss is;
# the gradient after it is not. The two runs from the beginning of this lesson show it:

# %% tags=["nbval-check-output"]
(one, _), (other, _) = (run_with(2.0, np.float32, 0, backward) for backward in (False, True))
print("loss of step 1, the same bits:     ", one[0] == other[0])
print("losses of steps 1 to 300, the same:", np.array_equal(one, other))

# %% [markdown]
# If the *first* loss differs, look elsewhere: at the seed, the initial weights, the order of the data.
#
# **One of 16,384.** The other price of waiting is that all must be there. Llama 3's largest model was trained
# synchronously on 16,384 GPUs. In 54 days there were 419 unexpected interruptions, more than half of them due
# to GPUs and their memory. The authors name the reason why each counts: training is synchronous, and "a
# single GPU failure may require a restart of the entire job" (The Llama 3 Herd of Models, 2024).

# %% tags=["nbval-check-output"]
hours = 54 * 24 / 419
print(f"between two interruptions: {hours:.1f} hours, with all that can fail beside GPUs")
for n in (8, 1024, 16_384):
    print(f"{n:6,} such GPUs with their share of the rest: once in {hours * 16_384 / n / 24:6.1f} days")

# %% [markdown]
# ## What you now know
#
# - Synchronous runs repeat to the bit if nothing changes the order of any sum. Seeds do not see to that.
# - Training carries such a difference along, hardly enlarged, or multiplies it. Which of the two depends on
#   the training, not on the number of digits.
# - Waiting costs the slowest of $N$. Not waiting costs a delay of $N-1$ updates.
# - A delay halves the largest stable rate at one step, and lowers it like $1/(2d+1)$ in the long run. It
#   takes away what momentum gives.
# - Not waiting pays where noise limits the rate. Where curvature does, waiting wins by momentum, which only
#   fresh gradients can use. Without momentum it does not win there either, from eight ranks on.
# - Hogwild needs memory that is really shared, and updates that are added in place, at the touched entries.
# - That ranks seldom meet is not why it works here. That they add, and do not overwrite, is.
# - Meeting every $H$ steps divides the bytes by $H$. It is another method again.
#
# Lesson 15 (frameworks) will take one step of AdamW in five libraries, and compare the numbers.
