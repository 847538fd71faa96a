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
# # 05 Adaptive rules: AdaGrad, RMSProp, Adam
#
# So far all parameters shared one learning rate. But their gradients can be of very different sizes. Give
# every word of a language its own weight: a word that stands in every sentence gets a gradient at every
# step, a rare one hardly ever. One learning rate cannot suit both.
#
# The rules of this lesson measure how large the gradients of each parameter usually are, and divide by
# that:
#
# $$\theta \leftarrow \theta - \eta\, \frac{g}{\text{typical size of } g} .$$
#
# They differ in what they take for the typical size.
#
# After this lesson you will be able to
#
# - write AdaGrad, RMSProp and Adam, and hold them to PyTorch over 200 steps,
# - say what the bias correction corrects, and which way the steps are wrong without it,
# - tell the three places where eps can stand, and when the difference matters,
# - say on which problems a learning rate for each parameter helps, and on which it cannot.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch

from course import check, hint, predict, reveal, written
from course.data import load_digits, load_topics
from course.microscope import look
from course.oracle import beside, deviation, gradients
from course.rules import AdaGrad, Adam, AMSGrad, HeavyBall, RMSProp
from course.widgets import alt, rotate_the_ravine, small_gradients
from course.widgets.style import COLORS

print("ready")

# %% [markdown]
# ## Predict
#
# Two parameters have the gradients 100 and 0.01. Adam takes its first step, with learning rate 0.001.

# %%
predict(
    "05-first-step",
    "How far do the two parameters move?",
    ["0.1 and 0.00001", "0.1 and 0.001", "0.001 and 0.00001", "0.001 and 0.001"],
)

# %% tags=["nbval-check-output"]
rule, theta = Adam(lr=0.001), np.zeros(2)
delta, _ = rule.update(np.array([100.0, 0.01]), rule.init(theta), theta)
reveal(
    "05-first-step",
    f"{delta[0]:.3g} and {delta[1]:.3g}",
    "Each gradient is divided by its own size. What is left at the first step is the sign, times lr.",
)

# %% [markdown]
# ## See: turn the ravine
#
# A ravine again, a hundred times as curved across as along. Start with Adam and angle 0: the path is a
# straight line, as in a round bowl. Then turn the ravine. Compare with momentum, which does not care.

# %%
rotate_the_ravine()

# %% [markdown]
# ## The formula
#
# All three keep, for every parameter, a measure of its squared gradients, and divide by the root.
#
# $$\begin{aligned}
# \text{AdaGrad:} \quad & s \leftarrow s + g^2, &
# \theta &\leftarrow \theta - \eta\, g / (\sqrt{s} + \epsilon) \\
# \text{RMSProp:} \quad & v \leftarrow \alpha v + (1-\alpha)\, g^2, &
# \theta &\leftarrow \theta - \eta\, g / (\sqrt{v} + \epsilon) \\
# \text{Adam:} \quad & v \leftarrow \beta_2 v + (1-\beta_2)\, g^2, \quad
# m \leftarrow \beta_1 m + (1-\beta_1)\, g, &
# \theta &\leftarrow \theta - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)
# \end{aligned}$$
#
# AdaGrad (Duchi, Hazan and Singer, 2011) keeps the sum of the squares, RMSProp (Tieleman and Hinton, 2012) a
# running mean of them. Adam (Kingma and Ba, 2015) has a running mean of the gradient above the line as well.
#
# The hats are the *bias correction*; we come to it below. $\epsilon$ keeps the quotient finite where all
# gradients were zero.
#
# Why does the ravine vanish at angle 0? Multiply the gradient of one parameter by 100, at every step. Then
# the root is multiplied by 100 too, and the step stays what it was (but for $\epsilon$). The step does not
# depend on how steep an axis is. A ravine along the axes and a round bowl look the same.
#
# And why does it come back when it is turned? To divide each gradient by a number of its own is to
# multiply by a **diagonal** matrix; call it $D^2$. Let $H$ be the bowl's matrix of curvatures, its Hessian.
# Seen in coordinates that are stretched by $D$, the step is plain descent on another bowl, with the Hessian
# $D H D$. It can stretch along the axes. It cannot turn. At 45 degrees both axes are equally steep, so the
# best stretch is none at all, and the condition number stays 100. The widget's last figure is the condition
# number that the best $D$ leaves.
#
# So these rules repair a ravine whose axes are *parameters*: features on different scales, rare words. A
# ravine that runs across the parameters they leave as it is.

# %% [markdown]
# ## Build: `adagrad`
#
# The state is a dict with one entry, `"sum"`: the sum of the squares so far, an array like `param`. Put
# `eps` outside the root.


# %% exercise="adagrad"
def adagrad(grad, state, param, lr, eps):
    """Return (delta, state). state: {"sum": array}; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    total = state["sum"] + grad**2
    delta = lr * grad / (np.sqrt(total) + eps)
    return delta, {"sum": total}
    ### END SOLUTION


# %% check="adagrad" tags=["nbval-check-output"]
check(adagrad)

# %% [markdown]
# One step of yours beside the library's, value by value. (The library also counts its steps, for torch's
# option `lr_decay`. Your function may ignore the count.)

# %%
full = {"sum": np.array([16.0, 0.0]), "step": 3}
look(
    adagrad, np.array([3.0, 0.01]), full, np.zeros(2), lr=0.5, eps=1e-10,
    beside=AdaGrad(lr=0.5, eps=1e-10), names={"total": "s"},
)  # fmt: skip

# %% [markdown]
# And 200 steps beside PyTorch:

# %% tags=["nbval-check-output"]
print("library:", beside(AdaGrad(lr=0.1)))
if written(adagrad):
    reference = lambda params: torch.optim.Adagrad(params, lr=0.1, eps=1e-10)
    mine = lambda g, s, p: adagrad(g, s, p, 0.1, 1e-10)
    print("yours:  ", beside(mine, reference, state={"sum": np.zeros(24)}))

# %% [markdown]
# ### Does AdaGrad stop?
#
# You will read that AdaGrad's learning rate goes to zero, so that training comes to a halt. The first half
# is right. Under a constant gradient the $t$-th step is $\eta/\sqrt{t}$. But what counts is how far the
# steps lead *together*, and the sum of $1/\sqrt{t}$ has no limit: it grows like $2\sqrt{t}$.

# %% tags=["nbval-check-output"]
rule, theta = AdaGrad(lr=0.01), np.zeros(1)
state, covered = rule.init(theta), 0.0
for t in range(1, 10_001):
    delta, state = rule.update(np.ones(1), state, theta)
    covered += delta[0]
    if t in (100, 1000, 10_000):
        print(f"step {t:5d}: {delta[0]:.6f} long, {covered:.3f} covered, 2 lr sqrt(t) = {0.02 * t**0.5:.3f}")

# %% [markdown]
# Any distance can be covered. It takes patience: ten times as far needs a hundred times the steps.
# AdaGrad slows down and never stops.

# %% [markdown]
# ## Build: `rmsprop`
#
# AdaGrad never forgets: one huge gradient at the start shortens every step that follows. RMSProp forgets.
# It replaces the sum by a running mean, of which the share `alpha` survives each step. The state is
# `{"square_avg": array}`. `eps` stands outside the root, as in torch.


# %% exercise="rmsprop"
def rmsprop(grad, state, param, lr, alpha, eps):
    """Return (delta, state). state: {"square_avg": array}; leave the one you get unchanged."""
    ### BEGIN SOLUTION
    v = alpha * state["square_avg"] + (1 - alpha) * grad**2
    delta = lr * grad / (np.sqrt(v) + eps)
    return delta, {"square_avg": v}
    ### END SOLUTION


# %% check="rmsprop" tags=["nbval-check-output"]
check(rmsprop)

# %% [markdown]
# 200 steps beside PyTorch:

# %% tags=["nbval-check-output"]
print("library:", beside(RMSProp(lr=0.01)))
if written(rmsprop):
    reference = lambda params: torch.optim.RMSprop(params, lr=0.01, alpha=0.99, eps=1e-8)
    mine = lambda g, s, p: rmsprop(g, s, p, 0.01, 0.99, 1e-8)
    print("yours:  ", beside(mine, reference, state={"square_avg": np.zeros(24)}))

# %% [markdown]
# ### Where eps stands
#
# "eps is there so that nobody divides by zero; inside or outside the root makes no difference." It does.
# *Outside*, the divisor is $\sqrt{v} + \epsilon$: gradients are small when they are near $\epsilon$.
# *Inside*, it is $\sqrt{v + \epsilon}$: gradients are small when they are near $\sqrt{\epsilon}$. With the
# usual $10^{-8}$ that is $10^{-4}$, and gradients of that size are quite common.
#
# Move the slider. The lines show how far RMSProp steps, for gradients that have long had the same size.

# %%
small_gradients()

# %% [markdown]
# The same with the library's rule, 3000 steps under a gradient of one millionth, in units of lr:

# %% tags=["nbval-check-output"]
g, theta = np.full(1, 1e-6), np.zeros(1)
for where, inside in (("outside the root", False), ("inside the root", True)):
    rule = RMSProp(lr=1.0, eps=1e-8, eps_in_sqrt=inside)
    state = rule.init(theta)
    for _ in range(3000):
        delta, state = rule.update(g, state, theta)
    print(f"eps = 1e-8 {where}: the step is {delta[0]:.2f} lr")

# %% [markdown]
# A factor of 99, from moving one parenthesis. For RMSProp, torch has eps outside, optax and Keras inside.

# %% [markdown]
# ## Adam
#
# Adam puts a second running mean on top: $m$, of the gradient itself. That is the momentum of lesson 04, in
# the form of an average. Both means start at zero, and that has a consequence. After one step
#
# $$m = (1-\beta_1)\, g, \qquad v = (1-\beta_2)\, g^2 ,$$
#
# with the usual $\beta_1 = 0.9$ and $\beta_2 = 0.999$ a tenth of the gradient and a thousandth of its
# square. Both are far too small. *What does that do to the step?*

# %%
predict(
    "05-no-correction",
    "Adam without bias correction, at the first step: how long is it, in units of lr?",
    ["About 0.1", "About 0.3", "About 1", "About 3.2"],
)

# %% tags=["nbval-check-output"]
beta1, beta2 = 0.9, 0.999
t = np.arange(1, 3001)
uncorrected = (1 - beta1**t) / np.sqrt(1 - beta2**t)  # the step under a constant gradient, in units of lr
print("step 1, 12, 100, 1000:", ", ".join(f"{uncorrected[i - 1]:.2f}" for i in (1, 12, 100, 1000)))
print("longest at step", np.argmax(uncorrected) + 1)
reveal(
    "05-no-correction",
    f"About {uncorrected[0]:.1f}",
    "m is 10 times too small, but the root of v about 32 times. The step comes out too long.",
)

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
axes.plot(t, uncorrected, color=COLORS["vermillion"], lw=1.8, label="without correction")
axes.axhline(1, color=COLORS["blue"], lw=1.8, label="with correction")
axes.set(xscale="log", xlabel="step", ylabel="length of the step, in units of lr", ylim=(0, 7))
axes.legend(frameon=False)
plt.show()
alt(
    "The length of Adam's step under a constant gradient, against the step on a logarithmic scale. Without "
    "bias correction it starts at 3.2 lr, rises to 6.6 lr at step 12 and falls back to 1 lr over some "
    "thousands of steps. With the correction it is 1 lr throughout."
)

# %% [markdown]
# It is often said that the correction is there because the first steps would be too *small*. Each mean by
# itself is too small. The step is too **large**, up to 6.6 times, since the slower mean stands below the
# line.
#
# The cure: after $t$ steps of a constant gradient, $m = (1-\beta_1^t)\,g$ and $v = (1-\beta_2^t)\,g^2$
# exactly. So divide by these factors:
#
# $$\hat m = \frac{m}{1-\beta_1^t}, \qquad \hat v = \frac{v}{1-\beta_2^t}, \qquad
# \theta \leftarrow \theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon} .$$

# %% [markdown]
# ## Build: `adam`
#
# The state is a dict with three entries: `"m"` and `"v"`, zeros before the first step, and `"step"`, how
# many steps have been taken, 0 before the first. The $t$ of the formula counts the step at hand: it is 1
# at the first.
#
# One trap of NumPy, if you take the root of a plain number: `np.sqrt(0.5)` is a NumPy float64, and turns
# float32 arrays into float64. `0.5 ** 0.5` does not.


# %% exercise="adam"
def adam(grad, state, param, lr, beta1, beta2, eps):
    """Return (delta, state). state: {"m": array, "v": array, "step": int}; leave yours unchanged."""
    ### BEGIN SOLUTION
    t = state["step"] + 1
    m = beta1 * state["m"] + (1 - beta1) * grad
    v = beta2 * state["v"] + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    delta = lr * m_hat / (np.sqrt(v_hat) + eps)
    return delta, {"m": m, "v": v, "step": t}
    ### END SOLUTION


# %% check="adam" tags=["nbval-check-output"]
check(adam)

# %%
full = {"m": np.array([0.5]), "v": np.array([4.0]), "step": 2}
look(
    adam, np.array([1.0]), full, np.zeros(1), lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8,
    beside=Adam(lr=0.1),
)  # fmt: skip

# %% [markdown]
# ## Validate: 200 steps beside PyTorch

# %% tags=["nbval-check-output"]
print("library:", beside(Adam(lr=0.01)))
if written(adam):
    reference = lambda params: torch.optim.Adam(params, lr=0.01)
    start = {"m": np.zeros(24), "v": np.zeros(24), "step": 0}
    mine = lambda g, s, p: adam(g, s, p, 0.01, 0.9, 0.999, 1e-8)
    print("yours:  ", beside(mine, reference, state=start))

# %% [markdown]
# ## Build: `first_step_size`
#
# How long is Adam's very first step? Work it out on paper: put $t = 1$ and zeros for the old means into
# the formula. Return the size, without the sign, for every element of `grad`. See what becomes of the
# betas.


# %% exercise="first_step_size"
def first_step_size(grad, lr, beta1, beta2, eps):
    """Return the size of Adam's first step, a number or an array like grad."""
    ### BEGIN SOLUTION
    return lr * np.abs(grad) / (np.abs(grad) + eps)
    ### END SOLUTION


# %% check="first_step_size" tags=["nbval-check-output"]
check(first_step_size)

# %% tags=["nbval-check-output"]
sizes = np.array([1.0, 1e-6, 1e-8, 1e-9, 1e-10])
p = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
p.grad = torch.from_numpy(sizes)
torch.optim.Adam([p], lr=1.0).step()
moved = np.abs(p.detach().numpy())
for size, far in zip(sizes, moved):
    print(f"gradient {size:g}: torch moves by {far:.4f} lr")
if written(first_step_size):
    print("yours is the same:", deviation(first_step_size(sizes, 1.0, 0.9, 0.999, 1e-8), moved) < 1e-12)

# %% [markdown]
# From 1 down to a millionth the step is lr, to one per cent. Below eps, $10^{-8}$, it fades: at $10^{-9}$ it
# is one eleventh of lr. So eps is more than a guard against zero: it says from where on a gradient counts
# as noise.

# %% [markdown]
# ### Is no step longer than lr?
#
# It is tempting to conclude that Adam never moves a parameter by more than lr. Take a rare feature: its
# gradient is zero for a long time, then 1 once. Both means have faded to nothing and the corrections are long
# over. What is left are the two shares of the new gradient: $1-\beta_1$ above the line, and the root of
# $1-\beta_2$ below.

# %% tags=["nbval-check-output"]
rule, theta = Adam(lr=1.0), np.zeros(1)
state = rule.init(theta)
for _ in range(4999):
    _, state = rule.update(np.zeros(1), state, theta)
delta, state = rule.update(np.ones(1), state, theta)
print(f"the step: {delta[0]:.3f} lr; in the limit (1 - beta1) / sqrt(1 - beta2) = {0.1 / 0.001**0.5:.3f} lr")
covered = delta[0]
for _ in range(200):
    delta, state = rule.update(np.zeros(1), state, theta)
    covered += delta[0]
print(f"with all that momentum adds in the 200 steps after it: {covered:.1f} lr")

# %% [markdown]
# Three times lr at once, and more than thirty times in all, from a single gradient. Kingma and Ba say so
# (section 2.1): lr bounds the step only where the gradients are not that sparse.

# %% [markdown]
# ## When forgetting goes wrong: AMSGrad
#
# Forgetting has a price. Reddi, Kale and Kumar (2018) found a problem in one dimension that Adam gets
# wrong for ever. The parameter lives in $[-1, 1]$. The gradient is $C = 4$ at every third step, and $-1$ at
# the two others. On average it is $(4 - 1 - 1)/3 > 0$, so the loss is least at $-1$.
#
# Give Adam no momentum and a memory of hardly more than one step, $\beta_1 = 0$ and $\beta_2 = 1/(1 +
# C^2)$. The large gradient is divided by its own size: a step of about lr to the left. Each small one is
# divided by *its* size, now that the large one is forgotten: two steps to the right, together longer.
#
# AMSGrad divides by the **largest** $v$ so far. It cannot forget. (The paper leaves the bias correction out.
# Here it is in; with a memory as short as this it is over after two steps.)


# %% tags=["nbval-check-output"]
def on_the_line(rule, steps=3000, C=4.0):
    """Return the path on [-1, 1] with the learning rate lr / sqrt(t), as in the paper."""
    theta, path = np.zeros(1), []
    state = rule.init(theta)
    for t in range(1, steps + 1):
        gradient = np.array([C if t % 3 == 1 else -1.0])
        now = rule.with_hyperparameters(lr=rule.lr / t**0.5)
        delta, state = now.update(gradient, state, theta)
        theta = np.clip(theta - delta, -1, 1)
        path.append(theta[0])
    return path


short = (0.0, 1 / 17)
runs = {
    "Adam, beta2 = 1/17": on_the_line(Adam(lr=0.1, betas=short)),
    "AMSGrad, beta2 = 1/17": on_the_line(AMSGrad(lr=0.1, betas=short)),
    "Adam, beta2 = 0.999": on_the_line(Adam(lr=0.1, betas=(0.0, 0.999))),
}
for name, path in runs.items():
    print(f"{name:22s} ends at {path[-1]:+.2f}")

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for (name, path), color in zip(runs.items(), ("vermillion", "blue", "green")):
    axes.plot(range(1, len(path) + 1), path, color=COLORS[color], lw=1.5, label=name)
axes.axhline(-1, color=COLORS["black"], lw=0.8, ls="--")
axes.set(xscale="log", xlabel="step", ylabel="theta (the minimum is at −1)", ylim=(-1.15, 1.15))
axes.legend(frameon=False)
plt.show()
alt(
    "Theta against the step, on a logarithmic scale. Adam with a short memory climbs to +1, the worst point "
    "of all. AMSGrad with the same betas, and Adam with beta2 = 0.999, go down to −1, the minimum."
)

# %% [markdown]
# The third line belongs to the story. With the usual $\beta_2 = 0.999$ Adam solves this problem, since its
# memory is far longer than the gap of three steps. The paper's theorem is a general one: for every fixed
# pair with $\beta_1 < \sqrt{\beta_2}$ there is a problem on which Adam fails. It is a reason to keep
# $\beta_2$ near 1 when the gradients that matter are rare, and no reason to expect AMSGrad to be better on
# yours.
#
# `torch.optim.Adam(amsgrad=True)` keeps the maximum of the raw $v$, and corrects it afterwards. optax
# takes the maximum of the corrected $\hat v$. At the first steps, where the correction is large, that
# is not the same. The library's rule does as torch does:

# %% tags=["nbval-check-output"]
print(beside(AMSGrad(lr=0.01)))

# %% [markdown]
# ## On real data: who needs a rate for each parameter?
#
# Two problems with a linear classifier, the same code for both.
#
# - **Words.** Paragraphs of Python's own manual; guess from the words which of six sections a paragraph is
#   from. A few words are everywhere, most are rare.
# - **Digits.** The 64 pixels of the handwritten digits; guess the digit. Most pixels are used all the time.

# %%
text = load_topics()
images, digits = load_digits()
seen = text.words.sum(axis=0)
print(
    f"{text.words.shape[0]} paragraphs, {text.words.shape[1]} words; {(seen <= 5).mean():.0%} of the words",
    end=" ",
)
print(f"stand in five paragraphs or fewer, {text.vocabulary[seen.argmax()]!r} in {seen.max():.0f}")
for name, X in (("words", text.words), ("pixels", images.reshape(-1, 64))):
    often = (X > 0).mean(axis=0) > 0.1
    print(f"{often.mean():.0%} of the {name} occur in more than a tenth of the examples")

# %% [markdown]
# To be fair to all rules: each tries the same eight learning rates, and keeps the one with the least loss
# on unseen data, over four splits. Then it runs on ten splits that it was not tuned on. There, a quarter
# of the data is held back; the lines are the loss on that quarter.
#
# The words are read once, the digits five times. (Read the words three times and the gap narrows: try it.)


# %%
def chances(X, W):
    """Return the probability of each class, for each row of X."""
    z = X @ W
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def train(rule, X, y, seed, epochs, marks=10, batch=16):
    """Train on three quarters; return the loss on the last quarter at each mark, and the accuracy."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    train_rows, test_rows = np.split(order, [3 * len(X) // 4])
    onehot = np.eye(y.max() + 1, dtype=np.float32)[y]
    W = np.zeros((X.shape[1], y.max() + 1), dtype=np.float32)
    state, losses = rule.init(W), []
    batches = [
        b
        for _ in range(epochs)
        for b in np.array_split(rng.permutation(train_rows), len(train_rows) // batch)
    ]
    stops = {round(i * len(batches) / marks) for i in range(1, marks + 1)}
    for t, rows in enumerate(batches, start=1):
        gradient = X[rows].T @ (chances(X[rows], W) - onehot[rows]) / len(rows)
        delta, state = rule.update(gradient, state, W)
        W = W - delta
        if t in stops:
            p = chances(X[test_rows], W)
            losses.append(-np.log(np.maximum(p[np.arange(len(p)), y[test_rows]], 1e-12)).mean())
    return np.array(losses), (p.argmax(axis=1) == y[test_rows]).mean(), W


RULES = {
    "momentum": (lambda lr: HeavyBall(lr=lr, momentum=0.9), "blue"),
    "AdaGrad": (lambda lr: AdaGrad(lr=lr), "orange"),
    "RMSProp": (lambda lr: RMSProp(lr=lr), "purple"),
    "Adam": (lambda lr: Adam(lr=lr), "vermillion"),
}
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def race(X, y, epochs):
    """Return for each rule: the learning rate it was tuned to, its ten loss curves and ten accuracies."""
    X = np.hstack([X, np.ones((len(X), 1))]).astype(np.float32)  # the last column is the bias
    results = {}
    for name, (make, _) in RULES.items():
        tuned = [
            np.mean([train(make(lr), X, y, seed, epochs, 1)[0] for seed in range(100, 104)]) for lr in RATES
        ]
        lr = RATES[int(np.argmin(tuned))]
        runs = [train(make(lr), X, y, seed, epochs) for seed in range(10)]
        results[name] = lr, np.array([run[0] for run in runs]), np.array([run[1] for run in runs])
    return results


problems = {
    "words, read once": race(text.words, text.labels, epochs=1),
    "digits, five times": race(images.reshape(-1, 64), digits, epochs=5),
}


# %%
def show(problems):
    """Draw the loss on unseen data, mean and one standard deviation of ten splits, for each problem."""
    axes = plt.subplots(1, len(problems), figsize=(8.4, 3.4), layout="constrained")[1]
    for ax, (title, results) in zip(axes, problems.items()):
        for name, (_, losses, _) in results.items():
            color, share = COLORS[RULES[name][1]], np.linspace(10, 100, losses.shape[1])
            mean, spread = losses.mean(axis=0), losses.std(axis=0)
            dashed = "--" if name == "AdaGrad" else "-"
            ax.plot(share, mean, dashed, color=color, lw=1.8, label=name, zorder=3 + (name == "AdaGrad"))
            ax.fill_between(share, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
        ax.set(title=title, xlabel="share of the training, per cent", ylabel="loss on unseen data")
        ax.set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    plt.show()


def tell(problems):
    """Print the rates and the results at the end."""
    for title, results in problems.items():
        print(title)
        for name, (lr, losses, right) in results.items():
            end = losses[:, -1]
            wins = (end < results["momentum"][1][:, -1]).sum()
            ahead = "" if name == "momentum" else f"   ahead of momentum in {wins} of 10 splits"
            loss = f"loss {end.mean():.2f} ± {end.std():.2f}"
            print(f"   {name:9s} lr {lr:5g}   {loss}   right {right.mean():.1%}{ahead}")


show(problems)
alt(
    "Loss on unseen data during training. On words AdaGrad and RMSProp fall fastest, on one line, Adam "
    "meets them at the end, and momentum stays well above all three. On digits all four end within each "
    "other's bands; Adam is the slowest to get there."
)
tell(problems)

# %% [markdown]
# The last column compares each rule with momentum on the same split: on the words the three adaptive rules
# are ahead in nearly every one, and get several more paragraphs in a hundred right. On the digits it is a
# toss-up, within the bands.
#
# AdaGrad and RMSProp run along one line on the words, at rates ten times apart. That is no accident. Three
# quarters of the paragraphs, once through in batches of 16, are some forty steps. In so few a mean with
# $\alpha = 0.99$ hardly forgets: so $v \approx 0.01\, s$, and the root of 0.01 is a tenth.
#
# Why the words? Look at how large the weights have become after one reading, for words that the training saw
# once to three times and for common ones:

# %%
X = np.hstack([text.words, np.ones((len(text.words), 1))]).astype(np.float32)
order = np.random.default_rng(0).permutation(len(X))
met = text.words[order[: 3 * len(X) // 4]].sum(axis=0)
rare, common = (met >= 1) & (met <= 3), met >= 20
for name, (make, _) in RULES.items():
    weights = np.abs(train(make(problems["words, read once"][name][0]), X, text.labels, 0, 1)[2][:-1])
    ratio = weights[rare].mean() / weights[common].mean()
    print(f"{name:9s} a rare word's weight is {ratio:.0%} of a common word's, on average")

# %% [markdown]
# Under momentum a word that was met twice has made two small steps. Under the adaptive rules its two
# gradients, divided by the root of their own small squares, count almost as much as the many of a common
# word.
#
# ### Is it magic?
#
# If that is all, one should be able to do it by hand: scale the *features*, and keep the single learning
# rate. Give each word a weight that grows with its rarity, $\log(n / n_{\text{word}})$, with $n$ paragraphs
# of which $n_{\text{word}}$ hold the word. (Search engines have long done so, under the name of inverse
# document frequency.)

# %%
rarity = np.log(len(text.words) / seen)
words = {
    "words, read once": problems["words, read once"],
    "words, weighted by rarity": race(text.words * rarity, text.labels, epochs=1),
}
show(words)
alt(
    "Loss on unseen paragraphs. Left, the words as they are: momentum stays above the adaptive rules. Right, "
    "the words weighted by rarity: momentum falls as far as Adam, and as far as the others."
)
tell(words)

# %% [markdown]
# With the weighted words, momentum has caught up with Adam. The adaptive rules had found out by themselves
# what the weighting knew beforehand.
#
# That is what these rules are good for: scales that differ between parameters, and that nobody has set
# right. Where the scales are right already, they gain nothing here. Wilson et al. (2017, *The Marginal Value
# of Adaptive Gradient Methods in Machine Learning*) went further. On the deep networks that they tried, the
# solutions found by adaptive rules did *worse* on unseen data than those found by SGD, even where they had
# the smaller training loss.

# %% [markdown]
# ## Where conventions differ
#
# The same name, the same hyperparameters, another result. Each line runs 200 steps from the same start, on
# the same gradients (sizes $10^{-5}$ to 0.1), and tells how far the parameters end apart, relative to their
# size. The options are those with which the course's rules do what the others do.


# %% tags=["nbval-check-output"]
def apart(rule, **convention):
    """Return how far a rule and the same rule in another convention part in 200 steps."""
    ends = []
    for each in (rule, rule.with_hyperparameters(**convention)):
        theta = np.random.default_rng(1).normal(size=24)
        state = each.init(theta)
        for g in gradients((24,), 200):
            delta, state = each.update(1e-3 * g, state, theta)
            theta = theta - delta
        ends.append(theta)
    return deviation(*ends)


lr = 2.0**-6
start = {"initial_accumulator_value": 0.1}
rows = (
    ("RMSProp", "eps inside the root", "optax, Keras", apart(RMSProp(lr), eps_in_sqrt=True)),
    ("AdaGrad", "eps = 1e-7 inside the root", "optax, Keras", apart(AdaGrad(lr, eps=1e-7), eps_in_sqrt=True)),
    ("AdaGrad", "the sum starts at 0.1", "optax, Keras", apart(AdaGrad(lr), **start)),
    ("Adam", "eps before the correction", "Keras", apart(Adam(lr, eps=1e-7), eps_hat=True)),
    ("AMSGrad", "maximum of the corrected v", "optax", apart(AMSGrad(lr), max_of_corrected=True)),
)
for name, what, who, far in rows:
    print(f"{name:8s} {what:27s} {who:13s} {far:.1e}")

# %% [markdown]
# AMSGrad's row is the largest. $\hat v$ is as large as the first squares themselves, and its maximum keeps
# them for ever; into the raw $v$ a square of the first steps enters with a thousandth, like any other.
#
# Why does AdaGrad's start matter? With a sum of zero, torch's first step is lr for every gradient, however
# small. With 0.1 in it, gradients below about 0.3, the root of 0.1, take small steps until enough of them
# have come in:

# %% tags=["nbval-check-output"]
sizes = np.array([10.0, 0.1, 0.001])
for name, options in (("torch", {}), ("optax, Keras", start)):
    rule = AdaGrad(lr=1.0, **options)
    delta, _ = rule.update(sizes, rule.init(sizes), sizes)
    print(f"{name:12s} first steps for gradients 10, 0.1, 0.001: {', '.join(f'{x:.3f}' for x in delta)} lr")

# %% [markdown]
# And why does it matter for Adam where eps stands? Keras follows the second form in Kingma and Ba's paper, at
# the end of section 2, where eps is added to the root of the *raw* $v$. That is the same as an eps of
# $\epsilon / \sqrt{1 - \beta_2^t}$ in the first form: large at the start, then fading.

# %% tags=["nbval-check-output"]
for t in (1, 10, 100, 1000, 10_000):
    print(f"step {t:5d}: Keras's eps acts like {1 / (1 - 0.999**t) ** 0.5:5.2f} eps")

# %% [markdown]
# The page `course/rules/CONVENTIONS.md` of the repository has all rules of the course, measured against the
# packages themselves.

# %% [markdown]
# ## In the wild
#
# **A bug report that was none.** In April 2017 a reader of TensorFlow's source found that its Adam divides
# eps by the bias correction, and reported it (tensorflow/tensorflow, issue 9047). The first answer: it is the
# paper's own second form. If you move a model from Keras to PyTorch and its first hundred steps differ, you
# know where to look.
#
# **eps = 1.** TensorFlow 1's page on `AdamOptimizer` warned that $10^{-8}$ may be a poor default, and named
# 1.0 or 0.1 as a good choice for an Inception network on ImageNet. What is left of Adam then? Gradients far
# below eps are divided by about eps, all alike:

# %% tags=["nbval-check-output"]
small = np.array([0.01, 0.001, 0.0001])
for eps in (1e-8, 1.0):
    rule = Adam(lr=1.0, eps=eps)
    delta, _ = rule.update(small, rule.init(small), small)
    print(f"eps = {eps:g}: steps {', '.join(f'{x:.4f}' for x in delta)} lr")

# %% [markdown]
# With eps = 1 the steps are in proportion to the gradients. That is momentum in Adam's clothes. eps is a
# slider between the two, and it is worth tuning as one.

# %% [markdown]
# ## What you now know
#
# - AdaGrad divides by the root of a sum, RMSProp by that of a mean, Adam averages the gradient as well.
# - The step does not depend on the scale of a parameter's gradient. Along the axes a ravine vanishes; turned,
#   it stays: a diagonal cannot turn.
# - Without bias correction Adam's first steps are too long, not too short.
# - Outside the root, eps is the size below which a gradient counts as noise; inside, that is its root.
# - AdaGrad slows down and does not stop. One sparse gradient moves Adam by more than lr.
# - A rate for each parameter helps where the scales differ. Where they do not, momentum is as good.
#
# One thing is missing here: weight decay. Added to the gradient, it would be divided by the root as well,
# and that changes what it does. Next: [06 Weight decay](06_weight_decay.ipynb).
