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
# # 08 Large batches and new rules
#
# Adam asks of every single weight how large its gradients are. The five rules of this lesson ask something
# else:
#
# | rule | asks | steps along |
# |---|---|---|
# | LARS (2017) | how large are this layer's weights? | momentum, scaled layer by layer |
# | LAMB (2020) | the same | Adam's step, scaled layer by layer |
# | Lion (2023) | which sign? | the sign of a mean |
# | Sophia (2023) | how curved is the loss here? | momentum over curvature, bounded |
# | Muon (2024) | which directions has this matrix? | momentum, made orthogonal |
#
# After this lesson you will be able to
#
# - write each of them from its formula, and name the mistakes that are usually made,
# - say what LARS and LAMB do for large batches, and what they do not: measured,
# - estimate the diagonal of a Hessian without ever computing the Hessian,
# - orthogonalise a matrix with nothing but matrix products,
# - say in which libraries the same name stands for another rule, and by how much they part.

# %% tags=["nbval-check-output"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from course import check, hint, predict, reveal, written
from course.catalogue import deviations
from course.conventions import CONVENTIONS, measure
from course.microscope import look
from course.oracle import beside, deviation, gradients
from course.rules import LAMB, LARS, Adam, AdamW, HeavyBall, Lion, Muon, Sophia
from course.rules import hutchinson, newton_schulz as library_newton_schulz
from course.widgets import alt, race_of_rules, trust_ratio_by_batch
from course.widgets.models.digits_net import accuracy, digits, init, loss_and_gradients, train
from course.widgets.style import COLORS

torch.set_num_threads(1)  # our arrays are tiny: more threads would only wait for each other
print("ready")

# %% [markdown]
# ## Predict
#
# LARS takes a step. Then somebody multiplies the loss by 1000, and LARS takes the same step again, from the
# same weights.

# %%
predict(
    "08-loss-times-1000",
    "How much longer is the second step?",
    ["1000 times", "About 32 times", "It is as long as the first", "It is 1000 times shorter"],
)

# %% tags=["nbval-check-output"]
rule, theta, g = LARS(lr=1.0, trust_coefficient=0.01), np.array([3.0, 4.0]), np.array([0.2, -0.1])
first, second = (rule.update(scale * g, rule.init(theta), theta)[0] for scale in (1.0, 1000.0))
longer = np.linalg.norm(second) / np.linalg.norm(first)
print(f"the steps are {np.linalg.norm(first):.4f} and {np.linalg.norm(second):.4f} long; |theta| is 5")
reveal(
    "08-loss-times-1000",
    "It is as long as the first" if abs(longer - 1) < 1e-9 else "1000 times",
    "The step is a fixed share of the weights' norm, here a hundredth. The gradient only points the way.",
)

# %% [markdown]
# ## See: batch size and trust
#
# Here are three layers of a small network, in training on the digits. First raise the batch size: the noise
# averages out, and the gradients shrink. The trust ratio below the picture is the norm of a layer's weights
# over that of its gradient. Then multiply the loss. Watch on the right how far one step moves each layer.

# %%
trust_ratio_by_batch()

# %% [markdown]
# SGD has one learning rate for all layers, and its steps follow every change of scale. That is the trouble
# which the authors of LARS saw in large batches. Large batches call for larger learning rates, and a rate
# that suits most layers is too large for the one whose gradient is largest against its weights.

# %% [markdown]
# ## LARS
#
# You, Gitman and Ginsburg (2017) give each layer a learning rate of its own: in proportion to the norm of
# its weights $w$, over the norm of all that moves it. With weight decay $\lambda$ and a *trust coefficient*
# $c$:
#
# $$\text{trust} = \frac{c\,\lVert w\rVert}{\lVert g\rVert + \lambda\lVert w\rVert}, \qquad
# b \leftarrow \mu\, b + \eta\,\text{trust}\,(g + \lambda w), \qquad w \leftarrow w - b .$$
#
# Norms are over a whole layer. Where $\lVert w\rVert$ or the whole denominator is 0, trust is 1: a layer of
# zeros must be able to move.

# %% [markdown]
# ## Build: `lars`
#
# For the first time one array is not enough. `grads` and `params` are dicts with an array for each layer,
# by name; `state[layer]` is a dict `{"buffer": array}`, zeros before the first step. Return the deltas as a
# dict of the same names, and the new state.


# %% exercise="lars"
def lars(grads, state, params, lr, momentum, weight_decay, trust_coefficient):
    """Return (deltas, state), both by layer. state: {layer: {"buffer": array}}; leave yours unchanged."""
    ### BEGIN SOLUTION
    deltas, new_state = {}, {}
    for layer, w in params.items():
        g = grads[layer]
        weights = np.linalg.norm(w)
        below = np.linalg.norm(g) + weight_decay * weights
        trust = trust_coefficient * weights / below if weights > 0 and below > 0 else 1.0
        buffer = momentum * state[layer]["buffer"] + lr * trust * (g + weight_decay * w)
        deltas[layer] = buffer
        new_state[layer] = {"buffer": buffer}
    return deltas, new_state
    ### END SOLUTION


# %% check="lars" tags=["nbval-check-output"]
check(lars)

# %% [markdown]
# ## LAMB
#
# LARS scales momentum. LAMB (You et al., 2020) scales Adam's step in the same way. Decay joins the step
# *before* its norm is taken:
#
# $$u = \frac{\hat m}{\sqrt{\hat v} + \epsilon} + \lambda w, \qquad
# w \leftarrow w - \eta\, \frac{\lVert w\rVert}{\lVert u\rVert}\, u .$$
#
# $\hat m$ and $\hat v$ are Adam's averages, both corrected for their start at zero. So every layer moves by
# exactly $\eta$ times its own norm. Where either norm is 0, the ratio is 1.

# %% [markdown]
# ## Build: `lamb`
#
# `state[layer]` is `{"m": array, "v": array, "step": int}`: zeros and 0 before the first step.


# %% exercise="lamb"
def lamb(grads, state, params, lr, beta1, beta2, eps, weight_decay):
    """Return (deltas, state), both by layer. state: {layer: {"m": array, "v": array, "step": int}}."""
    ### BEGIN SOLUTION
    deltas, new_state = {}, {}
    for layer, w in params.items():
        g, old = grads[layer], state[layer]
        step = old["step"] + 1
        m = beta1 * old["m"] + (1 - beta1) * g
        v = beta2 * old["v"] + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**step)
        v_hat = v / (1 - beta2**step)
        u = m_hat / (np.sqrt(v_hat) + eps) + weight_decay * w
        weights, length = np.linalg.norm(w), np.linalg.norm(u)
        trust = weights / length if weights > 0 and length > 0 else 1.0
        deltas[layer] = lr * trust * u
        new_state[layer] = {"m": m, "v": v, "step": step}
    return deltas, new_state
    ### END SOLUTION


# %% check="lamb" tags=["nbval-check-output"]
check(lamb)

# %% [markdown]
# ## Validate
#
# PyTorch has Muon, and none of the other four. So hold yours to the course's own rules for 200 steps, on
# gradients over four decades. What those are worth comes after.


# %% tags=["nbval-check-output"]
def parts_from(rule, update, shapes, steps=200):
    """Return the largest deviation of a function from a rule of the library, over layers and steps."""
    rng = np.random.default_rng(0)
    mine = {layer: rng.normal(size=shape) for layer, shape in shapes.items()}
    theirs, state = dict(mine), rule.init(mine)
    library_state, worst = state, 0.0
    streams = {layer: gradients(shape, steps, seed=i) for i, (layer, shape) in enumerate(shapes.items())}
    for _ in range(steps):
        grads = {layer: next(stream) for layer, stream in streams.items()}
        deltas, state = update(grads, state, mine)
        mine = {layer: w - deltas[layer] for layer, w in mine.items()}
        deltas, library_state = rule.update(grads, library_state, theirs)
        theirs = {layer: w - deltas[layer] for layer, w in theirs.items()}
        worst = max(worst, *(deviation(mine[layer], theirs[layer]) for layer in shapes))
    return worst


layers = {"first": (4, 6), "last": (6,)}
if written(lars):
    mine = lambda g, s, p: lars(g, s, p, 0.1, 0.9, 0.01, 0.05)
    rule = LARS(lr=0.1, momentum=0.9, weight_decay=0.01, trust_coefficient=0.05)
    print("lars parts from the library's by less than 1e-12:", parts_from(rule, mine, layers) < 1e-12)
if written(lamb):
    mine = lambda g, s, p: lamb(g, s, p, 0.01, 0.9, 0.999, 1e-6, 0.01)
    print(
        "lamb parts from the library's by less than 1e-12:",
        parts_from(LAMB(lr=0.01, weight_decay=0.01), mine, layers) < 1e-12,
    )

# %% [markdown]
# And the library? It is held to other people's packages. This cell measures it beside those that are
# installed here; the command `course rules` does the same for all rules.

# %%
missing = 0
for kind in (LARS, LAMB, Lion, Sophia, Muon):
    for name, found in deviations(kind).items():
        figure = f"{found['float64']:.0e} in float64, {found['float32']:.0e} in float32" if found else ""
        print(f"{kind.__name__:7s}{name:28s}{figure or 'not installed'}")
        missing += not found
if missing:
    print('to install the others, in the course\'s folder: pip install -e ".[dev,peers]"')

# %% [markdown]
# Muon's distance is no error: PyTorch iterates in bfloat16, a number format with two to three digits.

# %% [markdown]
# ## What large batches cost, measured
#
# A larger batch makes each step better and leaves fewer of them. The usual remedy is a larger learning rate:
# twice the batch, twice the rate (*linear scaling*). Let us measure it on the digits. The network has three
# layers and 3392 weights; every run sees the same ten epochs, whatever its batch. At batch 32 these are 450
# steps, at the full 1437 only ten.
#
# Each rule and batch size gets its learning rate from the same grid of nine, chosen by training loss on one
# seed, and is then run on three others. In each run the rate falls in a straight line.

# %%
predict(
    "08-full-batch",
    "Ten epochs, learning rates tuned for each batch size. What becomes of test accuracy at full batch?",
    [
        "LARS and LAMB keep it, SGD and Adam lose it",
        "All four keep it",
        "All four lose it; LAMB loses least",
        "All four lose it; SGD loses least",
    ],
)

# %%
data, test = digits()
GRID = [2.0**power for power in range(-7, 2)]
RULES = {
    "SGD, momentum": HeavyBall(momentum=0.9),
    "LARS": LARS(trust_coefficient=0.1),  # so that its rates fall into the same grid
    "Adam": Adam(),
    "LAMB": LAMB(),
}
BATCHES, EPOCHS, SEEDS = (32, 128, 512, 1437), 10, (1, 2, 3)


def final(rule, batch, seed):
    """Return training loss and test accuracy after all epochs."""
    *_, params = train(rule, data, batch, EPOCHS, seed)
    with np.errstate(over="ignore", invalid="ignore"):
        return loss_and_gradients(params, *data)[0], accuracy(params, *test)


def tuned(rule, batch):
    """Return the learning rate of the grid with the smallest training loss."""
    losses = [final(rule.with_hyperparameters(lr=lr), batch, seed=0)[0] for lr in GRID]
    return GRID[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]


rates = {name: [tuned(rule, batch) for batch in BATCHES] for name, rule in RULES.items()}
rates["SGD, rate scaled linearly"] = [rates["SGD, momentum"][0] * batch / 32 for batch in BATCHES]
results = {}
for name, each in rates.items():
    rule = RULES.get(name, RULES["SGD, momentum"])
    results[name] = np.array(
        [
            [final(rule.with_hyperparameters(lr=lr), batch, seed) for seed in SEEDS]
            for lr, batch in zip(each, BATCHES)
        ]
    )

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.7), layout="constrained")
looks = (("vermillion", "o-"), ("orange", "s-"), ("blue", "D-"), ("green", "^-"), ("vermillion", "o:"))
for (name, values), (color, style) in zip(results.items(), looks):
    for panel, column, unit in zip(axes, (0, 1), (1, 100)):
        low, middle, high = np.quantile(
            unit * np.nan_to_num(values[..., column], nan=9.0), (0, 0.5, 1), axis=1
        )
        panel.plot(BATCHES, middle, style, color=COLORS[color], label=name, ms=5, lw=1.4)
        panel.fill_between(BATCHES, low, high, color=COLORS[color], alpha=0.15, lw=0)
for panel in axes:
    panel.set(xscale="log", xlabel="batch size (examples)", xticks=BATCHES, xticklabels=BATCHES)
    panel.minorticks_off()
axes[0].set(yscale="log", ylabel="training loss after ten epochs", ylim=(3e-3, 4))
axes[1].set(ylabel="test accuracy (%)", ylim=(0, 102))
axes[1].legend(frameon=False, fontsize=8, loc="lower left")
plt.show()
alt(
    "Training loss (left) and test accuracy (right) against batch size, for five ways to train the same "
    "ten epochs; lines are medians, bands the range of three seeds. At batch 32 all tell about 98 per cent "
    "right. As the batch grows, the loss of all rises by one and a half to two orders of magnitude, and "
    "accuracy falls; LAMB keeps the lowest loss. SGD with linearly scaled rate falls behind at batch 128 and "
    "fails from 512 on."
)

# %%
print(f"{'batch':>27}" + "".join(f"{batch:>8}" for batch in BATCHES))
for name in rates:
    print(f"{name:27s}" + "".join(f"{100 * a:7.1f}%" for a in np.median(results[name][..., 1], axis=1)))
    print(f"{'   learning rate':27s}" + "".join(f"{lr:8.3g}" for lr in rates[name]))
ends = sum(lr in (GRID[0], GRID[-1]) for name in RULES for lr in rates[name])
print("tuned rates at an end of the grid:", ends)

# %% tags=["nbval-check-output"]
loss = {name: np.median(values[..., 0], axis=1) for name, values in results.items()}
hit = {name: np.median(values[..., 1], axis=1) for name, values in results.items()}
best = {name: hit[name] for name in RULES}
kept = [name for name, values in best.items() if values[-1] > 0.95]
least = max(best, key=lambda name: best[name][-1])
print("at batch 32 all four tuned rules tell more than 95 % right:", all(v[0] > 0.95 for v in best.values()))
print("LAMB has the smallest loss at batch 512 and at 1437:", all(
    loss["LAMB"][i] == min(loss[name][i] for name in RULES) for i in (2, 3)
))  # fmt: skip
print(f"share that linear scaling tells right at full batch: {hit['SGD, rate scaled linearly'][-1]:.1f}")
reveal(
    "08-full-batch",
    f"All four lose it; {least} loses least" if not kept else f"{', '.join(kept)} keep it",
    "Ten steps are too few for any of them. LAMB makes the most of each.",
)

# %% [markdown]
# Read it soberly.
#
# - At batch 32 all four tell about 98 per cent right. There is nothing to choose.
# - Linear scaling starts from a rate that is already near the largest that works. At batch 128 it falls
#   behind, from 512 on it fails: one in ten right is chance. Tuned anew, the rate of SGD only doubles where
#   the batch grows fourfold.
# - LAMB's training loss is the smallest, and at full batch it also tells most digits right. LARS does no
#   better here than momentum with a tuned rate, give or take the band.
# - No rule makes ten steps as good as 450.
#
# This is a small network on easy data, with every rate tuned. LARS was made for deep convolutional networks,
# whose layers differ far more. What carries over is the question to ask of any such claim: *were the others
# tuned on the same grid?*
#
# This lesson is a long one, and here is about its middle: a good place for a pause.

# %% [markdown]
# ## Lion
#
# Chen et al. (2023) searched over programs and found this one. It keeps one mean and steps by signs:
#
# $$\theta \leftarrow \theta - \eta\,\bigl(\operatorname{sign}(\beta_1 m + (1-\beta_1)\, g) +
# \lambda\theta\bigr), \qquad m \leftarrow \beta_2 m + (1-\beta_2)\, g .$$
#
# Two betas for one mean: the step looks at the new gradient with weight $1-\beta_1 = 0.1$, the memory takes
# it in with $1-\beta_2 = 0.01$. The step is made with the *old* $m$.

# %% [markdown]
# ## Build: `lion`
#
# The state is `{"m": array}`, zeros before the first step.


# %% exercise="lion"
def lion(grad, state, param, lr, beta1, beta2, weight_decay):
    """Return (delta, state). state: {"m": array}; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    direction = np.sign(beta1 * state["m"] + (1 - beta1) * grad)
    m = beta2 * state["m"] + (1 - beta2) * grad
    return lr * (direction + weight_decay * param), {"m": m}
    ### END SOLUTION


# %% check="lion" tags=["nbval-check-output"]
check(lion)

# %% [markdown]
# One step of yours beside the library's. The momentum wins against the gradient in the first element, and
# loses in the second:

# %%
look(
    lion, np.array([-4.0, -40.0]), {"m": np.array([2.0, 2.0])}, np.zeros(2),
    lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.0, beside=Lion(lr=0.1),
)  # fmt: skip

# %% [markdown]
# Every element moves by `lr`, however small its gradient. Adam's elements rarely do: where gradients change
# their sign, $\hat m$ is much smaller than $\sqrt{\hat v}$. The cell measures Adam's steps on the digits, in
# units of its learning rate.

# %% tags=["nbval-check-output"]
params, rng = init(0), np.random.default_rng(0)
adam, sizes = Adam(lr=0.01), []
state = adam.init(params)
for _ in range(200):
    chosen = rng.integers(0, len(data[1]), 32)
    _, grads = loss_and_gradients(params, data[0][chosen], data[1][chosen])
    deltas, state = adam.update(grads, state, params)
    params = {name: w - deltas[name] for name, w in params.items()}
    sizes.append(np.sqrt(np.mean(np.concatenate([d.ravel() for d in deltas.values()]) ** 2)) / 0.01)
typical = np.median(sizes[100:])
print(f"Adam's steps, root mean square: about {0.05 * round(typical / 0.05):.2f} lr")

# %% [markdown]
# So Lion at Adam's learning rate takes steps several times as long. The authors advise a rate 3 to 10 times
# smaller than AdamW's. Decay acts through the product `lr * weight_decay`; so `weight_decay` has to be 3 to
# 10 times larger (Chen et al. 2023, section 5). In return Lion keeps one array where Adam keeps two.

# %% [markdown]
# ## Sophia
#
# Newton's method divides the gradient by the curvature. (Adam divides by the root of a mean of squares, which
# is something else.) But the Hessian of a network has as many rows as there are parameters. Sophia (Liu et
# al., 2023) takes its diagonal alone, estimates it, and bounds every element of the step, since the estimate
# may be poor:
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\, g, \qquad h \leftarrow \beta_2 h + (1-\beta_2)\,\hat h,$$
#
# $$\theta \leftarrow \theta - \eta\,\Bigl(\operatorname{clip}\Bigl(\frac{m}{\max(h,\,10^{-12})},\,
# -\rho,\, \rho\Bigr) + \lambda\theta\Bigr).$$
#
# Where $h$ is negative or unknown, the quotient is huge, the clip cuts it off, and a sign step of length
# $\eta\rho$ is left.
#
# The estimate $\hat h$ is Hutchinson's: draw a random $z$ (signs, or normal draws), multiply the Hessian with
# it, multiply by $z$ once more, element by element:
#
# $$\hat h = z \odot (H z), \qquad \mathbb{E}\,[z_i \textstyle\sum_j H_{ij} z_j] = H_{ii}
# \quad\text{since}\quad \mathbb{E}\,[z_i z_j] = 0 \text{ for } i \ne j .$$
#
# $Hz$ costs one more backward pass; $H$ itself is never formed. Is the estimate unbiased? On a bowl with a
# known Hessian we can see:

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
half = rng.normal(size=(6, 6))
H = half @ half.T
for probes in (1, 100, 10_000):
    z = rng.choice([-1.0, 1.0], (30, probes, 6))  # thirty means, to see how far off one is on average
    means = hutchinson(lambda z: z @ H, z).mean(axis=1)
    off = np.sqrt(np.mean((means - np.diag(H)) ** 2)) / np.mean(np.diag(H))
    print(f"mean of {probes:5d} probes: off by {off:.1%} of the mean curvature")

# %% [markdown]
# The error falls like one over the root of the number of probes, as that of an unbiased mean does. A single
# probe is far off; that is why Sophia averages over time, and clips.

# %% [markdown]
# ## Build: `sophia`
#
# You are given `hessian_vector`, a function: `hessian_vector(z)` is $Hz$, in the shape of `param`. And you
# are given this step's random `probe`. An estimate is made only now and then: where `state["step"]`, as it
# comes in, is divisible by `every`. On other steps $h$ stays as it is; do not call `hessian_vector` there,
# since each call costs a backward pass. (The paper takes `every = 10`.)
#
# The state is `{"m": array, "h": array, "step": int}`. First $h$, then $m$, then the step.


# %% exercise="sophia"
def sophia(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
    """Return (delta, state). state: {"m": array, "h": array, "step": int}; leave yours unchanged."""
    ### BEGIN SOLUTION
    h = state["h"]
    if state["step"] % every == 0:
        h = beta2 * h + (1 - beta2) * probe * hessian_vector(probe)
    m = beta1 * state["m"] + (1 - beta1) * grad
    quotient = np.clip(m / np.maximum(h, 1e-12), -rho, rho)
    delta = lr * (quotient + weight_decay * param)
    return delta, {"m": m, "h": h, "step": state["step"] + 1}
    ### END SOLUTION


# %% check="sophia" tags=["nbval-check-output"]
check(sophia)

# %% [markdown]
# Where does $Hz$ come from in PyTorch? The Hessian times $z$ is the gradient of the number $g \cdot z$: so
# differentiate twice. The cell does it for a small network, and holds it to the gradient's change along $z$.

# %% tags=["nbval-check-output"]
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
x, y = torch.randn(64, 4, dtype=torch.float64), torch.randn(64, 1, dtype=torch.float64)
weights = model[0].weight


def gradient():
    """Return the gradient of the loss by the first layer's weights, as a part of the graph."""
    return torch.autograd.grad(torch.nn.functional.mse_loss(model(x), y), weights, create_graph=True)[0]


z = torch.randn_like(weights)
(twice,) = torch.autograd.grad((gradient() * z).sum(), weights)
ends = []
for side in (1e-5, -1e-5):
    with torch.no_grad():
        weights.add_(side * z)
    ends.append(gradient().detach())
    with torch.no_grad():
        weights.sub_(side * z)
difference = (ends[0] - ends[1]) / 2e-5
print(
    "H z by autograd is the gradient's change along z:", deviation(twice.numpy(), difference.numpy()) < 1e-6
)

# %% [markdown]
# There is a second estimate, Gauss-Newton-Bartlett: draw labels from the model's own predictions, take the
# gradient of the batch's mean loss, square it, multiply by the batch size. It costs no second derivative and
# is never negative. But the labels must be *drawn*: with those of the data it is the squared gradient, which
# is Adam's $v$, and no curvature. `course.rules.gauss_newton_bartlett` is that formula; `Sophia(variant="G")`
# is the step that the authors pair with it.
#
# Both new rules beside the library's, for 200 steps:

# %% tags=["nbval-check-output"]
if written(lion):
    mine = lambda g, s, p: lion(g, s, p, 0.01, 0.9, 0.99, 0.1)
    rule = Lion(lr=0.01, weight_decay=0.1)
    ours = lambda g, s, p: ({"w": (pair := mine(g["w"], s["w"], p["w"]))[0]}, {"w": pair[1]})
    print("lion parts from the library's by less than 1e-12: ", parts_from(rule, ours, {"w": (24,)}) < 1e-12)
if written(sophia):
    rule, theta = Sophia(lr=0.05, rho=1.0, weight_decay=0.01, variant="H"), rng.normal(size=6)
    state, mine, apart = rule.init(theta), (theta, rule.init(theta)), []
    for step in range(200):
        probe = rng.choice([-1.0, 1.0], 6)
        delta, after = sophia(
            H @ mine[0], mine[1], mine[0], lambda z: H @ z, probe, 0.05, *rule.betas, 1.0, 0.01, 10
        )
        mine = mine[0] - delta, after
        if step % 10 == 0:
            state = rule.with_hessian(state, hutchinson(lambda z: H @ z, probe))
        delta, state = rule.update(H @ theta, state, theta)
        theta = theta - delta
        apart.append(deviation(mine[0], theta))
    print("sophia parts from the library's by less than 1e-9:", max(apart) < 1e-9)

# %% [markdown]
# ## Muon
#
# So far a layer's weights were a heap of numbers. But a weight *matrix* has directions: by its singular
# values it says how strongly it acts along each. Gradients of matrices are lopsided, a few directions hold
# nearly all of them. Muon (Jordan et al., 2024) evens them out: it keeps the singular vectors of the momentum
# and sets all singular values to about 1.
#
# A singular value decomposition would do it, slowly. An odd polynomial does it with matrix products alone,
# since $X X^\top X$ has the singular vectors of $X$ and the cubes of its values:
#
# $$X \leftarrow a X + b\,(XX^\top) X + c\,(XX^\top)^2 X, \qquad (a, b, c) = (3.4445,\, -4.7750,\, 2.0315).$$
#
# Each singular value goes its own way: $s \leftarrow a s + b s^3 + c s^5$. For this the values must not
# exceed 1 at the start. So divide by the Frobenius norm, the root of the sum of all squares.

# %% [markdown]
# ## Build: `newton_schulz`
#
# Divide by the norm, or by $10^{-7}$ where that is larger (a matrix of zeros stays zeros). Then take the
# polynomial `steps` times. A tall matrix may be transposed first, and transposed back at the end: the result
# is the same, and $XX^\top$ becomes the smaller of the two squares.


# %% exercise="newton_schulz"
def newton_schulz(matrix, steps):
    """Return the matrix after `steps` steps of the iteration; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
    ### END SOLUTION


# %% check="newton_schulz" tags=["nbval-check-output"]
check(newton_schulz)

# %% [markdown]
# ### Not onto 1
#
# It is often said that the iteration makes the matrix orthogonal. Look what five steps do to a singular
# value:

# %% tags=["nbval-check-output"]
values = np.geomspace(1e-3, 1, 4000)
mapped = values.copy()
for _ in range(5):
    mapped = 3.4445 * mapped - 4.7750 * mapped**3 + 2.0315 * mapped**5
inside = mapped[values >= 0.01]
print(f" 5 steps take [0.01, 1] into [{inside.min():.2f}, {inside.max():.2f}]")
longer = values.copy()
for _ in range(30):
    longer = 3.4445 * longer - 4.7750 * longer**3 + 2.0315 * longer**5
longer = longer[values >= 0.01]
print(f"30 steps take [0.01, 1] into [{longer.min():.2f}, {longer.max():.2f}]")

# The first layer's gradient after one epoch on the digits, and what the library's iteration makes of it.
trained = next(train(HeavyBall(lr=0.05), data, 32, 10))
gradient_matrix = loss_and_gradients(trained, *data)[1]["first"].astype(np.float64)
orthogonalize = lambda matrix: library_newton_schulz(matrix, steps=5)
before = np.linalg.svd(gradient_matrix / np.linalg.norm(gradient_matrix), compute_uv=False)
after = np.linalg.svd(orthogonalize(gradient_matrix), compute_uv=False)

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
axes[0].axhspan(inside.min(), inside.max(), color=COLORS["sky"], alpha=0.25, lw=0)
axes[0].plot(values, mapped, color=COLORS["blue"], lw=1.3)
axes[0].set(
    xscale="log", xlabel="singular value before", ylabel="singular value after five steps", ylim=(0, 1.3)
)
axes[1].plot(np.arange(1, 33), before, "o", color=COLORS["vermillion"], ms=4, label="before (norm 1)")
axes[1].plot(np.arange(1, 33), after, "s", color=COLORS["blue"], ms=4, label="after five steps")
axes[1].set(yscale="log", xlabel="singular value (number, largest first)", ylabel="size", ylim=(1e-4, 3))
axes[1].legend(frameon=False, fontsize=9, loc="lower left")
plt.show()
alt(
    "Left: five Newton-Schulz steps as a map of one singular value. From 0.01 on, the curve wobbles in a "
    "band between 0.68 and 1.13 and never settles at 1; below 0.01 it first overshoots to 1.2 and then "
    "falls off. Right: the 32 singular values of a real gradient. Before, they fall by orders of magnitude; "
    "after, those that began above a thousandth of the norm lie near 1. The last ones of both are zero or "
    "below the axis."
)

# %% [markdown]
# The steep coefficients were chosen to lift small values fast, not to arrive: thirty steps are no closer to 1
# than five. Jordan et al. (2024) report that values off by 0.3 do not harm the training.
#
# Transposing changes only the cost. For a layer of 1024 x 64:

# %% tags=["nbval-check-output"]
rows, columns = 1024, 64
cost = lambda r, c: 2 * r * r * c + r**3  # gram, its square, and the product with x
print(f"multiplications a step: {cost(rows, columns):,} as it is, {cost(columns, rows):,} transposed")

# %% [markdown]
# ## Build: `muon`
#
# Muon puts this into momentum. There are many ways to write it; here is PyTorch's, with an average as buffer,
# a look one step ahead as in Nesterov's method, and decay beside it. For a matrix of $R \times C$:
#
# $$b \leftarrow \mu\, b + (1-\mu)\, g, \qquad u = \mu\, b + (1-\mu)\, g, \qquad
# \theta \leftarrow \theta - \eta\,\Bigl(\sqrt{\max(1, R/C)}\; \operatorname{orth}(u) + \lambda\theta\Bigr).$$
#
# The function `orthogonalize(matrix)` is given to you: five Newton-Schulz steps. The state is
# `{"buffer": array}`. Take the root of a plain number by `** 0.5`: `np.sqrt` makes a float64 of it, and that
# turns float32 arrays into float64.


# %% exercise="muon"
def muon(grad, state, param, orthogonalize, lr, momentum, weight_decay):
    """Return (delta, state). state: {"buffer": array}; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    buffer = momentum * state["buffer"] + (1 - momentum) * grad
    ahead = momentum * buffer + (1 - momentum) * grad
    rows, columns = param.shape
    factor = max(1, rows / columns) ** 0.5
    return lr * (factor * orthogonalize(ahead) + weight_decay * param), {"buffer": buffer}
    ### END SOLUTION


# %% check="muon" tags=["nbval-check-output"]
check(muon)

# %% [markdown]
# ## Validate: beside `torch.optim.Muon`
#
# PyTorch's five steps run in bfloat16, whatever the parameter's own format. So no float64 code can agree with
# it to rounding. The cell shows both: the distance to PyTorch, and that in float64 nothing else is left.

# %% tags=["nbval-check-output"]
start = np.random.default_rng(1).normal(size=(6, 4))
library = beside(Muon(lr=0.02), param=start)
print("library beside torch: parts by less than 0.01:", library.worst < 1e-2)
if written(muon):
    flat = (lambda matrix: newton_schulz(matrix, 5)) if written(newton_schulz) else orthogonalize
    mine = lambda g, s, p: muon(g, s, p, flat, 0.02, 0.95, 0.1)
    report = beside(
        mine, lambda p: torch.optim.Muon(p, lr=0.02), param=start, state={"buffer": np.zeros_like(start)}
    )
    print("yours beside torch:   parts by less than 0.01:", report.worst < 1e-2)
    print("yours and the library's, float64: less than 1e-10:", deviation(report.path, library.path) < 1e-10)

# %% [markdown]
# Muon is for the matrices of hidden layers. Embeddings, the last layer, biases and norms go to another rule,
# usually AdamW.

# %% [markdown]
# ## See: the race
#
# Eight rules, one start. Choose a landscape, then move the step slider. Look for three things: who minds when
# the ravine is turned; who cannot come to rest while the rate stays; and whether any rule wins everywhere.

# %%
race_of_rules()

# %% [markdown]
# No rule wins all six runs. And a point in the plane is a poor stage for LARS, LAMB and Muon: one layer, and
# a matrix of one row. The race shows how they step, not what they are worth.

# %% [markdown]
# ## What each keeps in memory

# %% tags=["nbval-check-output"]
theta = np.zeros((64, 32), np.float32)
print("rule        state             bytes a parameter (float32)")
for rule in (HeavyBall(), AdamW(), LARS(), LAMB(), Lion(), Sophia(), Muon()):
    state = rule.init(theta)
    arrays = [name for name, value in state.items() if isinstance(value, np.ndarray)]
    size = sum(state[name].nbytes for name in arrays) / theta.size
    print(f"{type(rule).__name__:12s}{', '.join(arrays):18s}{size:g}")

# %% [markdown]
# Lion and Muon keep half of what Adam keeps. The step count is one number, and not counted.

# %% [markdown]
# ## Where conventions differ
#
# The same name stands for different rules. Each line runs two of them for 200 steps from the same start on
# the same gradients, and says how far apart they end, as a share of the weights. The hyperparameters are the
# same, except in Lion's row, where a default is what differs. The other's way is an option of the course's
# rule; for Sophia that rule is variant G.

# %% tags=["nbval-check-output"]
print("rule    who                       what                                                        apart")
for convention in CONVENTIONS:
    name = type(convention.rule).__name__
    if name in ("LARS", "LAMB", "Lion", "Sophia", "Muon") and convention.switched:
        apart = measure(replace(convention, theirs=None)).apart
        what = convention.what if len(convention.what) < 60 else convention.what[:56] + "..."
        print(f"{name:8s}{convention.where:26s}{what:60s}{float(f'{100 * apart:.2g}'):6g} %")

# %% [markdown]
# - **LARS.** Optax divides by $\lVert g + \lambda w\rVert$, one norm of the sum. The two agree only without
#   decay. `pytorch_optimizer` keeps the learning rate out of the buffer and multiplies by it afterwards: the
#   same path, until the rate changes. In its row the rate is halved half-way.
# - **LAMB.** timm clips the gradients of all layers together to norm 1 unless told otherwise.
#   `pytorch_optimizer` leaves $v$ uncorrected and counts the weights' norm to 10 and no further.
# - **Sophia.** `sophia-opt` (variant G) divides by $\rho h$ and clips at 1; others (variant H, your `sophia`)
#   divide by $h$ and clip at $\rho$. With the same `lr` and `rho` these are different rules: G's longest step
#   is $\eta$, H's is $\eta\rho$. A learning rate tuned for one is worthless for the other.
# - **Muon.** Three libraries, three factors for the shape of the matrix:

# %% tags=["nbval-check-output"]
print("matrix     torch: rows/columns   Optax: columns/rows   Keras: to match Adam")
for r, c in ((96, 64), (64, 96), (1024, 64)):
    torch_way, optax_way, keras_way = max(1, r / c) ** 0.5, max(1, c / r) ** 0.5, 0.2 * max(r, c) ** 0.5
    print(f"{r:4d} x {c:3d}     {torch_way:8.2f}{optax_way:20.2f}{keras_way:22.2f}")

# %% [markdown]
# In PyTorch a layer computes $W x$, so rows are outputs; in JAX $x W$, so columns are. Optax means the same
# factor. But hand both the *same* 96 x 64 array and the steps part by 22 per cent.
#
# `course conventions` measures all of this anew, with the packages themselves where they are installed.

# %% [markdown]
# ## In the wild
#
# **A misprint that went round the world.** The abstract of the LAMB paper says: batch sizes of *32868*, and
# "just 8599 iterations", where the baseline takes a million. Do the sum. A million steps at BERT's batch of
# 512 are 512 million examples:

# %% tags=["nbval-check-output"]
examples = 512 * 1_000_000
for batch in (32868, 32768):
    print(f"batch {batch}: {examples / batch:.2f} steps")
mixed = 0.9 * examples / 65536 + 0.1 * examples / 32768
print(f"nine tenths at 65536, one tenth at 32768: {mixed:.0f} steps")

# %% [markdown]
# 32,768 is a power of two and divides exactly; 32868 is evidently a slip of the pen. And 8599 steps at 32,768
# would see barely half the examples. The abstract of the first version (April 2019) says "batch size
# 65536/32768": a mixed run. BERT trains nine tenths of its steps on short sequences and one tenth on long
# ones. If the larger batch was for the short ones, as we assume here, the sum comes close to the figure.
# Check such numbers before you cite them.
#
# **A correction in the wrong place.** Issue 443 of jettify/pytorch-optimizer (2022) is about a LAMB that,
# told to correct (`debias=True`), leaves $m$ and $v$ as they are and multiplies the learning rate by
# $\sqrt{1-\beta_2^t}\,/\,(1-\beta_1^t)$ instead. In Adam that would come to nearly the same. In LAMB the
# trust ratio stands between. It divides by the length of the step, so every common factor drops out, and
# the "correction" that comes after it is one too many:

# %% tags=["nbval-check-output"]
theta, right, wrong = np.array([3.0, 4.0]), LAMB(lr=0.01), LAMB(lr=0.01, bias_correction=False)
one, other, rng = right.init(theta), wrong.init(theta), np.random.default_rng(0)
for t in range(1, 101):
    g = rng.normal(size=2)
    delta, one = right.update(g, one, theta)
    late, other = wrong.update(g, other, theta)
    late = late * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    if t in (1, 10, 100):
        share = np.linalg.norm(late) / np.linalg.norm(delta)
        print(f"step {t:3d}: {100 * share:.0f} % as long as it should be")

# %% [markdown]
# Nothing fails, nothing diverges. The first steps are three to seven times too short, like a warm-up that
# nobody ordered.

# %% [markdown]
# ## What you now know
#
# - LARS and LAMB move each layer by a share of its norm. The gradient's scale drops out.
# - Large batches leave fewer steps. LAMB made the most of them here; no rule made up for them.
# - Lion steps by signs: one array of state, a smaller learning rate, a larger decay.
# - Sophia divides by an estimated curvature and clips where the estimate cannot be trusted.
# - Muon evens out the singular values of a step, to between 0.7 and 1.1, with matrix products.
# - The same name may stand for another rule. Look at the factor, the clip, the norm, the place of the decay.
#
# Next: [09 A recipe for a language model](09_llm_recipe.ipynb).
