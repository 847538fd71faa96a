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
# # 06 Weight decay
#
# Small weights make smooth functions. There are two ways to ask for them, and for decades they had one name,
# because for gradient descent they are the same. For Adam they are not.
#
# - **L2 penalty**: add $\frac{\lambda}{2}\lVert\theta\rVert^2$ to the *loss*. Its gradient $\lambda\theta$
#   joins the others, and the rule does with it what it does with every gradient.
# - **Weight decay**: leave the loss alone. Shrink the weights a little at every step, whatever the gradient
#   says.
#
# After this lesson you will be able to
#
# - say why L2 is weight decay for SGD, and which weights it spares under Adam,
# - write `adam_l2` and `adamw`: they are one line apart,
# - translate a weight decay from one library into another, and into a number of steps,
# - sort a model's parameters into those that decay and those that should not.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch

from course import check, hint, predict, reveal, written
from course.data import load_digits
from course.exercises import find
from course.grading import judge
from course.microscope import look
from course.oracle import beside, deviation, gradients
from course.rules import SGD, Adam, AdamW
from course.widgets import alt, effective_decay
from course.widgets.style import COLORS

torch.set_num_threads(1)  # small matrices: a second thread costs more than it saves
print("ready")

# %% [markdown]
# ## For SGD they are the same
#
# Put the penalty's gradient into plain gradient descent and sort the terms:
#
# $$\theta - \eta\,(g + \lambda\theta) = (1 - \eta\lambda)\,\theta - \eta\, g .$$
#
# On the left stands the penalty, on the right the decay. Two ways to write one step. The cell takes 200 of
# them both ways.

# %% tags=["nbval-check-output"]
lr, decay = 0.01, 0.1
l2 = shrunk = np.random.default_rng(1).normal(size=24)
apart = 0.0
for g in gradients((24,), steps=200):
    l2 = l2 - SGD(lr=lr, weight_decay=decay).update(g, {}, l2)[0]
    shrunk = (1 - lr * decay) * shrunk - SGD(lr=lr).update(g, {}, shrunk)[0]
    apart = max(apart, deviation(shrunk, l2))
print("the same to rounding over 200 steps:", apart < 1e-13)

# %% [markdown]
# This is why libraries came to call the penalty `weight_decay`.

# %% [markdown]
# ## Predict
#
# Adam divides each step by the root of the mean squared gradient. Take two weights that both stand at 1.
# One gets noisy gradients of about 0.1, the other of about 10. Neither gradient has a direction: on average
# they are zero. The penalty is the same for both.

# %%
predict(
    "06-which-shrinks",
    "Under Adam with an L2 penalty, which of the two weights shrinks faster?",
    ["The one with the small gradients", "The one with the large gradients", "Both at the same speed"],
)

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
scale = np.array([0.1, 10.0])
rule, theta = Adam(lr=1e-3, weight_decay=0.05), np.ones((2, 100, 2))
state = rule.init(theta)
for _ in range(500):
    noise = rng.choice([-1.0, 1.0], size=(100, 2))
    g = scale * np.stack([noise, -noise])  # each run has a mirror image, so that the noise cancels
    delta, state = rule.update(g, state, theta)
    theta = theta - delta
small, large = theta.mean(axis=(0, 1))
for name, left in (("small", small), ("large", large)):
    print(f"{name} gradients: {100 * (1 - left):5.1f} % gone after 500 steps")
reveal(
    "06-which-shrinks",
    "The one with the small gradients" if small < large - 0.01 else "The one with the large gradients",
    "The penalty goes into the numerator and is divided by the root, which is 100 times larger for one.",
)

# %% [markdown]
# ## See
#
# Left: the share of a weight that goes per step, against the size of its gradients. Right: one weight under
# both rules, at the gradient scale that you choose. Move that scale from left to right, by its power of ten.
# Then raise the weight decay, and eps, and see up to where the L2 line is flat.

# %%
effective_decay()

# %% [markdown]
# ## The formula
#
# With the penalty inside, Adam's gradient is $g + \lambda\theta$. If $g$ is noise of size $s$, the mean
# square is $s^2 + \lambda^2\theta^2$. The noise in the numerator averages out and the penalty stays. So the
# share of $\theta$ that goes at one step is
#
# $$\text{Adam + L2:}\quad \frac{\eta\,\lambda}{\sqrt{s^2 + \lambda^2\theta^2} + \epsilon},
# \qquad\qquad \text{decay beside the step:}\quad \eta\,\lambda .$$
#
# - Where gradients are large, the penalty hardly acts: its effect falls like $1/s$.
# - Where gradients are tiny, $s \ll \lambda\theta$, the penalty *is* the gradient. Adam makes every gradient
#   a step of length $\eta$, so $\lambda$ cancels: the weight goes to zero at full speed, however small the
#   penalty.
#
# The cell measures it: weights at 1 with noise of scales from 0.001 to 100, five seeds.

# %%
lr, decay, steps = 1e-3, 0.1, 200
scales = 10.0 ** np.arange(-3, 2.01, 0.5)


def measured_decay(rule, seed, pairs=100):
    """Return the share that goes per step, by gradient scale, averaged over mirrored runs."""
    rng, theta = np.random.default_rng(seed), np.ones((2, pairs, len(scales)))
    state = rule.init(theta)
    for _ in range(steps):
        noise = rng.choice([-1.0, 1.0], size=theta.shape[1:])
        delta, state = rule.update(scales * np.stack([noise, -noise]), state, theta)
        theta = theta - delta
    return (1 - theta.mean(axis=(0, 1))) / steps


figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
fine = np.geomspace(scales[0], scales[-1], 200)
share = {}
for name, rule, theory, color, marker in (
    ("Adam + L2", Adam, lr * decay / np.hypot(fine, decay), COLORS["vermillion"], "o"),
    ("AdamW", AdamW, np.full_like(fine, lr * decay), COLORS["blue"], "s"),
):
    runs = np.array([measured_decay(rule(lr=lr, weight_decay=decay), seed) for seed in range(5)])
    share[name] = runs.mean(axis=0)
    axes.plot(fine, theory, color=color, lw=1.2, label=f"{name}, formula")
    axes.errorbar(
        scales, runs.mean(axis=0), np.ptp(runs, axis=0) / 2, fmt=marker, color=color, mfc="none",
        label="measured, range of 5 seeds",
    )  # fmt: skip
axes.axvline(decay, color=COLORS["black"], lw=0.8, ls=":")
axes.set(xscale="log", yscale="log", xlabel="size of the gradients", ylabel="share that goes per step")
axes.legend(frameon=False, ncols=2, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.25))
plt.show()
alt(
    "The share of a weight that goes per step against the size of its gradients, on logarithmic axes. For "
    "AdamW it is a flat line. For Adam with L2 it is flat up to the dotted line, where the gradients are as "
    "large as the penalty, and falls like one over the gradient size from there. The marks lie on the lines."
)

# %% tags=["nbval-check-output"]
for s in (0.1, 1.0, 10.0):
    at = int(np.argmin(np.abs(scales - s)))
    l2, decoupled = share["Adam + L2"][at], share["AdamW"][at]
    print(f"gradients around {s:4g}: share per step {l2:.0e} by Adam + L2, {decoupled:.0e} by AdamW")

# %% [markdown]
# At gradients of size 1 the two happen to agree. That is where the curves cross, and nothing more: a
# *coefficient* of one rule does not carry over to the other.

# %% [markdown]
# ## Build: `adam_l2`
#
# First the penalty. Everything is Adam, as in lesson 05, except that the gradient has the penalty's in it:
#
# $$g \leftarrow g + \lambda\theta, \qquad
# m \leftarrow \beta_1 m + (1-\beta_1)\, g, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\, g^2,$$
#
# $$\text{delta} = \eta\,\frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon} .$$
#
# The state is `{"m": array, "v": array, "step": int}`: zeros, and 0 steps taken, before the first step. In
# the formula $t$ is 1 at the first step.


# %% exercise="adam_l2"
def adam_l2(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    """Return (delta, state). state: {"m": array, "v": array, "step": int}; change none of your inputs."""
    ### BEGIN SOLUTION
    g = grad + weight_decay * param
    step = state["step"] + 1
    m = beta1 * state["m"] + (1 - beta1) * g
    v = beta2 * state["v"] + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    delta = lr * m_hat / (np.sqrt(v_hat) + eps)
    return delta, {"m": m, "v": v, "step": step}
    ### END SOLUTION


# %% check="adam_l2" tags=["nbval-check-output"]
check(adam_l2)

# %% [markdown]
# One step of yours beside the library's, value by value, for two weights of 2. The penalty adds 1 to the
# gradient of each: as much as the gradient itself for the first, hardly anything for the second. And it is
# all divided by the root: the two entries of delta are nearly equal.

# %%
fresh = {"m": np.zeros(2), "v": np.zeros(2), "step": 0}
look(
    adam_l2, np.array([1.0, 100.0]), fresh, np.array([2.0, 2.0]),
    lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.5,
    beside=Adam(lr=0.1, weight_decay=0.5),
)  # fmt: skip

# %% [markdown]
# ## Build: `adamw`
#
# Now the decay. Loshchilov and Hutter (2019) took it out of the gradient and put it beside the step, where
# nothing divides it:
#
# $$\text{delta} = \eta\,\lambda\,\theta + \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon},$$
#
# with $m$ and $v$ from the bare gradient. This is *decoupled* weight decay, and the rule is AdamW. The
# $\theta$ in it is the parameter before the step.


# %% exercise="adamw"
def adamw(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    """Return (delta, state). state: {"m": array, "v": array, "step": int}; change none of your inputs."""
    ### BEGIN SOLUTION
    step = state["step"] + 1
    m = beta1 * state["m"] + (1 - beta1) * grad
    v = beta2 * state["v"] + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    delta = lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * param)
    return delta, {"m": m, "v": v, "step": step}
    ### END SOLUTION


# %% check="adamw" tags=["nbval-check-output"]
check(adamw)

# %% [markdown]
# ## Validate: 200 steps beside PyTorch

# %% tags=["nbval-check-output"]
start = {"m": np.zeros(24), "v": np.zeros(24), "step": 0}
usual = (0.01, 0.9, 0.999, 1e-8, 0.1)  # lr, beta1, beta2, eps, weight_decay
for rule, mine, theirs in ((Adam, adam_l2, torch.optim.Adam), (AdamW, adamw, torch.optim.AdamW)):
    print(f"{theirs.__name__:6s} library:", beside(rule(lr=0.01, weight_decay=0.1)))
    if written(mine):
        update = lambda g, s, p, mine=mine: mine(g, s, p, *usual)
        reference = lambda params, theirs=theirs: theirs(params, lr=0.01, weight_decay=0.1)
        print("       yours:  ", beside(update, reference, state=start))

# %% [markdown]
# ## What it does to a network
#
# 300 digits and a small network. One label in five is replaced by a random one, so that there is something to
# overfit; the labels of the test are right. All runs of a grid train at once: the weights of every setting
# and seed stand in one array, and one matrix product serves them all.

# %%
images, labels = load_digits()
X, Y = torch.from_numpy(images.reshape(-1, 64)), torch.from_numpy(labels)
SHAPES = ((64, 32), (1, 32), (32, 10), (1, 10))  # two layers: weights and biases
TRAIN, BATCH, BETAS = 300, 50, (0.9, 0.99)


def outputs(w, x):
    """Return the ten outputs of every network. w: (seeds, settings, weights); x: (seeds, images, 64)."""
    parts = w.split([rows * columns for rows, columns in SHAPES], dim=2)
    w1, b1, w2, b2 = (part.unflatten(2, shape) for part, shape in zip(parts, SHAPES))
    return torch.relu(x[:, None] @ w1 + b1) @ w2 + b2


def train_all(decoupled, lr, decay, seeds=4, steps=400):
    """Train one network per setting and seed; return test accuracy, weights and root mean squares.

    lr, decay: one number per setting. decoupled: AdamW rather than Adam with L2.
    """
    draw = torch.Generator().manual_seed(6)
    order = torch.stack([torch.randperm(len(X), generator=draw) for _ in range(seeds)])
    given = Y[order]
    wrong = torch.rand(given.shape, generator=draw) < 0.2
    given = torch.where(wrong, torch.randint(0, 10, given.shape, generator=draw), given)
    first = [torch.randn(seeds, 1, r * c, generator=draw) * (r**-0.5 if r > 1 else 0.0) for r, c in SHAPES]
    w = torch.cat(first, dim=2).repeat(1, len(lr), 1).requires_grad_()
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    lr, decay = torch.tensor(lr)[None, :, None], torch.tensor(decay)[None, :, None]
    row = torch.arange(seeds)[:, None]
    for t in range(1, steps + 1):
        pick = torch.randint(0, TRAIN, (seeds, BATCH), generator=draw)
        target = given[row, pick][:, None, :, None].expand(-1, lr.shape[1], -1, 1)
        loss = -outputs(w, X[order[row, pick]]).log_softmax(-1).gather(3, target).mean(2).sum()
        (g,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            if not decoupled:
                g = g + decay * w
            m.lerp_(g, 1 - BETAS[0])
            v.lerp_(g * g, 1 - BETAS[1])
            if decoupled:
                w -= lr * decay * w
            w -= lr * (m / (1 - BETAS[0] ** t)) / ((v / (1 - BETAS[1] ** t)).sqrt() + 1e-8)
    with torch.no_grad():
        rest = order[:, TRAIN:]
        right = (outputs(w, X[rest]).argmax(-1) == Y[rest][:, None]).float().mean(-1)
    return right.numpy(), w.detach().numpy(), v.sqrt().numpy()


RATES = [10.0**x for x in (-3, -2.5, -2, -1.5)]
DECAYS = {  # by powers of the root of ten, and none
    "Adam + L2": [0.0] + [10.0**x for x in (-3, -2.5, -2, -1.5, -1)],
    "AdamW": [0.0] + [10.0**x for x in (-1, -0.5, 0, 0.5, 1)],
}
runs = {}
for name, decays in DECAYS.items():
    every = [(rate, decay) for rate in RATES for decay in decays]
    runs[name] = train_all(name == "AdamW", *map(list, zip(*every)))
accuracy = {name: 100 * run[0].reshape(-1, len(RATES), 6) for name, run in runs.items()}

figure, all_axes = plt.subplots(1, 2, figsize=(8.4, 3.5), layout="constrained", sharey=True)
for axes, (name, percent) in zip(all_axes, accuracy.items()):
    mean = percent.mean(axis=0)
    shades = axes.imshow(mean, cmap="cividis", vmin=50, vmax=90, aspect="auto", origin="lower")
    for i, j in np.ndindex(mean.shape):
        best = j == mean[i].argmax()
        text = f"{mean[i, j]:.0f}"
        axes.text(
            j, i, text, ha="center", va="center", fontsize=9, weight="bold" if best else "normal",
            color="black" if mean[i, j] > 70 else "white",
            bbox={"boxstyle": "round", "fc": "none", "ec": "black"} if best else None,
        )  # fmt: skip
    axes.set_xticks(range(6), [f"{d:.2g}" for d in DECAYS[name]])
    axes.set_yticks(range(len(RATES)), [f"{rate:.1g}" for rate in RATES])
    axes.set(title=name, xlabel="weight decay", ylabel="learning rate" if name == "Adam + L2" else "")
figure.colorbar(shades, label="test accuracy, per cent")
plt.show()
alt(
    "Two maps of test accuracy over learning rate and weight decay, one for Adam with L2 and one for AdamW. "
    "In both a framed ridge of 85 to 90 per cent runs upwards, at a decay of about 0.01 for L2 and between "
    "0.3 and 1 for AdamW; only at the smallest learning rate is next to no decay as good. Ten times as much "
    "decay costs more than ten per cent."
)

# %%
print("per cent right, mean and standard deviation over 4 seeds")
for name, percent in accuracy.items():
    flat, plain = percent.reshape(len(percent), -1), percent[:, :, 0]
    best, bare = flat.mean(axis=0).argmax(), plain.mean(axis=0).argmax()
    rate, decay = RATES[best // 6], DECAYS[name][best % 6]
    print(f"{name:10s} without decay, best lr:  {plain[:, bare].mean():.1f} ± {plain[:, bare].std():.1f}")
    print(
        f"{name:10s} best of the whole grid:  {flat[:, best].mean():.1f} ± {flat[:, best].std():.1f} "
        f"(lr {rate:.1g}, decay {decay:.1g})"
    )

# %% [markdown]
# Read it soberly.
#
# - At the best learning rate, decay brings a per cent or so, no more than the seeds differ by. It earns its
#   keep where the learning rate is too large without it: compare the two upper rows with their left ends.
# - With both settings tuned, the two rules end up alike: their best entries part by less than the seeds do.
#   On this task there is no winner.
# - The useful decay of the one is about a hundred times that of the other, 1 against 0.01. Who replaces
#   `Adam` by `AdamW` and keeps 0.01 has all but switched the decay off.
#
# Loshchilov and Hutter found more, with a ResNet on CIFAR-10: AdamW generalizes better than Adam with L2, and
# in its map (their figure 2) learning rate and decay are more separable, so that one can be tuned after the
# other. Their decay is not multiplied by the learning rate (more on that below). Here, on 300 digits, both
# ridges stand about upright. Small data and a small network do not show the difference.

# %% [markdown]
# ### The same accuracy, other weights
#
# What does differ is *which* weights shrink. Take lr = 0.01, and of each kind the decay that is best there:
# 0.01 for L2 and 1 for AdamW. Sort the 64 pixels by the size of the gradients that their weights get, and
# compare the norm of each pixel's weights with its norm in the run without decay.

# %%
at = {name: 2 * 6 + j for name, j in (("Adam + L2", 3), ("AdamW", 3))}  # lr 0.01; decay 0.01 and 1
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
kept = {}
for (name, (_, weights, _)), color, marker in zip(runs.items(), (COLORS["vermillion"], COLORS["blue"]), "os"):
    pixels = weights[:, :, : 64 * 32].reshape(*weights.shape[:2], 64, 32)
    norms = np.linalg.norm(pixels, axis=3)
    plain = 2 * 6  # the same lr, no decay
    gradient = np.sqrt((runs["AdamW"][2][:, plain, : 64 * 32].reshape(-1, 64, 32) ** 2).mean(axis=2))
    ranks = gradient.argsort(axis=1).reshape(len(gradient), 8, 8)  # eight groups of eight pixels
    seed = np.arange(len(gradient))[:, None, None]
    kept[name] = (norms[:, at[name]] / norms[:, plain])[seed, ranks].mean(axis=2)
    mean, spread = kept[name].mean(axis=0), kept[name].std(axis=0)
    axes.plot(range(1, 9), mean, color=color, marker=marker, label=f"{name}, mean of 4 seeds")
    axes.fill_between(range(1, 9), mean - spread, mean + spread, color=color, alpha=0.2, lw=0)
axes.set(
    xlabel="pixels by the size of their gradients, eighths from smallest to largest",
    ylabel="norm, as a share of that without decay", ylim=(0, 1),
)  # fmt: skip
axes.legend(frameon=False)
plt.show()
alt(
    "The norm that is left of a pixel's weights, as a share of the norm without decay, for eight groups of "
    "pixels from the smallest gradients to the largest. Adam with L2 climbs from nothing to over a half. "
    "AdamW leaves between four and five tenths of every group but the first two, where it leaves less."
)

# %% tags=["nbval-check-output"]
low, high = ({name: share.mean(axis=0)[k] for name, share in kept.items()} for k in (0, -1))
print("smallest gradients: L2 keeps less than 2 %:", bool(low["Adam + L2"] < 0.02))
print("smallest gradients: AdamW keeps more than L2:", bool(low["AdamW"] > low["Adam + L2"]))
print("largest gradients:  L2 keeps more than AdamW:", bool(high["Adam + L2"] > high["AdamW"]))

# %% [markdown]
# The first group holds pixels at the border, which are white in nearly every image. Their gradients are zero
# or nearly so, and there the penalty is all that Adam sees: it walks these weights to zero at full speed.
# AdamW takes its fixed share of every weight, 1 per cent a step here. What is left to a weight is decided by
# how much the data pulls back: a weight that gets no gradient at all keeps $0.99^{400}$, 2 per cent.
#
# Is this the reason why AdamW often generalizes better? That is open. Bjorck, Weinberger and Gomes (2021,
# *Understanding Decoupled and Early Weight Decay*) blame something else: that the penalty and the loss are
# mixed in the moments, where the one can drown the other.

# %% [markdown]
# ## Where conventions differ
#
# ### Is the decay multiplied by the learning rate?
#
# In the paper it is not. The paper has two factors: a step size $\alpha$, and a schedule $\eta_t$ that
# starts at 1. The decay is multiplied by $\eta_t$ alone:
#
# $$\theta \leftarrow \theta -
# \eta_t\,\Bigl(\alpha\,\frac{\hat m}{\sqrt{\hat v} + \epsilon} + \lambda\,\theta\Bigr).$$
#
# PyTorch, Keras and Optax know one learning rate, the product $\alpha\eta_t$, and multiply the decay by it.
# (Users have asked why: pytorch issue 38853, optax issue 292. TensorFlow Addons did as the paper does, and
# was asked the opposite: tensorflow/addons issue 2282.) So the same number means something else. The cell
# turns it into a half-life: in how many steps does decay alone halve a weight?

# %%
predict(
    "06-paper-in-torch",
    "A recipe says: learning rate 0.001, weight decay 0.01, in the paper's own form. You type both "
    "into torch.optim.AdamW. How much weaker is your decay?",
    ["Not at all", "10 times", "100 times", "1000 times"],
)

# %% tags=["nbval-check-output"]
lr = 1e-3
forms = {
    "the paper's form, 0.01": 0.01,
    "torch, default 0.01": lr * torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"],
    "Keras, default 0.004": lr * 0.004,
    "Optax, default 1e-4": lr * 1e-4,
}
for name, per_step in forms.items():
    half = np.log(0.5) / np.log1p(-per_step)
    print(f"{name:23s} halves a weight in about {float(f'{half:.2g}'):9,.0f} steps at lr = {lr:g}")
weaker = forms["the paper's form, 0.01"] / forms["torch, default 0.01"]
reveal(
    "06-paper-in-torch", f"{weaker:.0f} times", "torch multiplies by lr. Type in the paper's value over lr."
)

# %% [markdown]
# ### What a schedule does to the decay
#
# With the learning rate in it, the decay falls when the learning rate falls. What is left of a weight after
# $T$ steps of decay alone is
#
# $$\prod_t (1 - \eta_t\lambda) \approx \exp\Bigl(-\lambda \sum_t \eta_t\Bigr).$$
#
# Only the *sum* of the learning rates counts. And $1/(\eta\lambda)$ is a time: AdamW's weights are a running
# mean of its past steps, over about that many (Wang and Aitchison, 2025, *How to set AdamW's weight decay as
# you scale model and dataset size*). What was learned before then is forgotten.

# %% tags=["nbval-check-output"]
peak, decay, total = 3e-4, 0.1, 100_000
t = np.arange(total)
schedules = {
    "constant": np.full(total, peak),
    "cosine to zero": peak * (1 + np.cos(np.pi * t / total)) / 2,
    "linear to zero": peak * (1 - t / total),
}
print(f"lr {peak:g}, decay {decay:g}: memory of {1 / (peak * decay):,.0f} steps")
for name, rates in schedules.items():
    print(f"{name:15s} after {total:,} steps {100 * np.prod(1 - rates * decay):.1f} % of a weight is left")

# %% [markdown]
# ### Before the step, or after?
#
# PyTorch shrinks the parameter first and steps then; both parts use the old $\theta$, as in your `adamw`.
# Some codes step first and shrink what has come out. The difference is $\eta\lambda$ times one step: small,
# and no rounding. A test that compares with torch sees it.


# %% tags=["nbval-check-output"]
def step_first(grad, state, param, lr=0.01, weight_decay=0.1):
    """Return (delta, state): Adam's step first, then the decay of the result."""
    step, state = Adam(lr=lr).update(grad, state, param)
    return step + lr * weight_decay * (param - step), state


reference = lambda params: torch.optim.AdamW(params, lr=0.01, weight_decay=0.1)
report = beside(step_first, reference, state=start)
print(f"step first, then decay: parts from torch by {report.worst:.0e}; agrees: {report.agrees}")

# %% [markdown]
# ## Build: `decay_groups`
#
# Which parameters should decay? Decay keeps the matrices small that multiply the signal. A bias only shifts
# it, and the gain of a normalization layer *is* the scale: pulling it to zero turns the layer off. So
# most recipes leave both out. The rule that needs no names is nanoGPT's: **decay what has at least two
# axes** (matrices, embeddings, kernels), and nothing else.
#
# Return two parameter groups for an optimizer: a list of two dicts, each with the keys `"params"` (a list)
# and `"weight_decay"`. The first holds what decays, the second the rest, with decay 0. There are always two,
# also where one is empty.
#
# - `named_parameters` yields pairs (name, parameter), as `model.named_parameters()` does.
# - Frozen parameters (`requires_grad` is False) belong to neither group.
# - Two modules may share one parameter (*tied* weights). Then it may come twice, and must be in a group once.


# %% exercise="decay_groups"
def decay_groups(named_parameters, weight_decay):
    """Return two parameter groups: what decays, and the rest."""
    ### BEGIN SOLUTION
    decayed, rest, seen = [], [], set()
    for _, p in named_parameters:
        if p.requires_grad and id(p) not in seen:
            seen.add(id(p))
            (decayed if p.dim() >= 2 else rest).append(p)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    ### END SOLUTION


# %% check="decay_groups" tags=["nbval-check-output"]
check(decay_groups)

# %% [markdown]
# See it at work on one layer of a transformer. All gradients are zero, so whatever moves is moved by the
# decay.

# %% tags=["nbval-check-output"]
layer = torch.nn.TransformerEncoderLayer(d_model=32, nhead=4, dim_feedforward=64)
if written(decay_groups):
    groups = decay_groups(layer.named_parameters(), weight_decay=0.1)
    for name, group in zip(("decays", "does not"), groups):
        count = sum(p.numel() for p in group["params"])
        print(f"{name:9s} {len(group['params']):2d} tensors, {count:5d} parameters")
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    before = [p.detach().clone() for p in layer.parameters()]
    for p in layer.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    moved = [not torch.equal(p, old) for p, old in zip(layer.parameters(), before)]
    print("what moved is what has two axes:", moved == [p.dim() >= 2 for p in layer.parameters()])

# %% [markdown]
# ## What a norm does to decay
#
# Behind a normalization layer the *size* of a weight vector means nothing: $f(c\,w) = f(w)$. Then why decay
# it? Because the size sets the step. The gradient of such a function is at right angles to $w$, and shrinks
# like $1/\lVert w\rVert$. A step of $\eta g$ therefore turns $w$ by an angle of about
# $\eta\lVert g\rVert / \lVert w\rVert$, which goes like $\eta / \lVert w\rVert^2$: this is the learning
# rate that counts.
#
# Each step at right angles makes $w$ longer; decay makes it shorter. With SGD, and with $G$ the gradient's
# size at norm 1, a step adds $\eta^2 G^2 / \lVert w\rVert^2$ to $\lVert w\rVert^2$ (Pythagoras), and decay
# takes $2\eta\lambda\lVert w\rVert^2$ away. The two balance where
# $\lVert w\rVert^4 = \eta\, G^2 / (2\lambda)$. There $w$ turns by
# $\sqrt{2\eta\lambda}$ per step: decay has become a learning rate (van Laarhoven, 2017, *L2 Regularization
# versus Batch and Weight Normalization*; Zhang et al., 2019, *Three Mechanisms of Weight Decay
# Regularization*). The cell starts at three norms.

# %% tags=["nbval-check-output"]
lr, decay, rng = 0.1, 0.05, np.random.default_rng(0)
rule, w = SGD(lr=lr, weight_decay=decay), rng.normal(size=(3, 50))
w = w / np.linalg.norm(w, axis=1, keepdims=True) * np.array([[0.5], [1.0], [4.0]])
for _ in range(3000):
    size = np.linalg.norm(w, axis=1, keepdims=True)
    raw = rng.normal(size=w.shape)
    across = raw - (raw * w).sum(axis=1, keepdims=True) * w / size**2  # no part along w
    g = across / np.linalg.norm(across, axis=1, keepdims=True) / size  # G = 1
    delta, _ = rule.update(g, {}, w)
    old, w = w, w - delta
angle = np.arccos((old * w).sum(axis=1) / np.linalg.norm(old, axis=1) / np.linalg.norm(w, axis=1))
for name, values, formula in (
    ("norm", np.linalg.norm(w, axis=1), (lr / (2 * decay)) ** 0.25),
    ("angle per step", angle, np.sqrt(2 * lr * decay)),
):
    print(f"{name:14s} {', '.join(f'{x:.2f}' for x in values)}   formula: {formula:.2f}")

# %% [markdown]
# Wherever they began, all end at the same norm, and turn at the same speed.

# %% [markdown]
# ## In the wild
#
# **A test that only watches the loss.** Lesson 03 told of AdamW with the decay's sign turned around, which
# passed all tests of a course (harvard-edge/cs249r_book, pull request 2058), and of decay that was never
# applied (ml-explore/mlx, issue 440). Let us see how well such a mistake hides. Here it trains a classifier
# on the digits, and the loss falls as it should.


# %% tags=["nbval-check-output"]
def growing(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    """AdamW, with a minus where a plus belongs."""
    delta, state = Adam(lr=lr, betas=(beta1, beta2), eps=eps).update(grad, state, param)
    return delta - lr * weight_decay * param, state


pixels, onehot = images.reshape(-1, 64).astype(np.float64), np.eye(10)[labels]
w, state = np.zeros((64, 10)), Adam().init(np.zeros((64, 10)))
losses = []
for _ in range(100):
    scores = pixels @ w
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    losses.append(-np.log(odds[np.arange(len(labels)), labels]).mean())
    delta, state = growing(pixels.T @ (odds - onehot) / len(pixels), state, w, *usual)
    w = w - delta
print(
    f"loss: {losses[0]:.2f} -> {losses[-1]:.2f}; a test for 'loss goes down' passes:", losses[-1] < losses[0]
)
print("the check of this course says:", judge(find("adamw"), growing).slip)

# %% [markdown]
# **One number, two meanings.** In October 2024 a user who ported a model from PyTorch to Julia's Flux saw it
# misbehave, and found that the decay of its `AdamW` was not multiplied by the learning rate
# (FluxML/Optimisers.jl, issue 182). That is the paper's form. The number was the same, the decay was not.
#
# **Zero is not nothing.** Three steps of `torch.optim.AdamW`: with a zero gradient, without any gradient,
# and with learning rate zero. Which of them leave a trace?

# %%
predict(
    "06-zero-gradient",
    "Which of these moves the parameter?",
    ["A zero gradient", "No gradient (None)", "Learning rate 0", "None of the three"],
)

# %% tags=["nbval-check-output"]
moves = []
for name, grad, lr in (
    ("A zero gradient", torch.zeros(1), 0.1),
    ("No gradient (None)", None, 0.1),
    ("Learning rate 0", torch.ones(1), 0.0),
):
    p = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([p], lr=lr, weight_decay=0.5)
    p.grad = grad
    optimizer.step()
    counted = int(optimizer.state[p]["step"]) if p in optimizer.state else 0
    print(f"{name:18s} parameter 1 -> {p.item():.2f}, steps counted in the state: {counted}")
    moves += [name] if p.item() != 1 else []
reveal("06-zero-gradient", moves[0], "The decay needs no gradient. With lr = 0 only the state moves on.")

# %% [markdown]
# So a layer that you "froze" by zeroing its gradients still shrinks. Set `requires_grad` to False, and its
# gradient to None.

# %% [markdown]
# ## What you now know
#
# - For SGD an L2 penalty is weight decay. For Adam it is divided by $\sqrt{v}$: large gradients protect a
#   weight from it, tiny ones hand it over.
# - AdamW takes $\eta\lambda\theta$ beside the step; every weight loses the same share.
# - Tuned, the two may end up alike; their coefficients are never interchangeable.
# - The paper's decay is not multiplied by the learning rate, that of the libraries is.
# - $1/(\eta\lambda)$ is the number of steps that AdamW remembers.
# - Biases and norms go without decay, into a group that says so.
#
# Next: [07 Between backward and step](07_between_backward_and_step.ipynb), on what may happen to a gradient
# before a rule sees it.
