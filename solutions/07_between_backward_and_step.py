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
# # 07 Between backward and step
#
# `backward` leaves a gradient. `step` takes it to the weights. Real training does something to it in between,
# and keeps something beside the weights:
#
# - **clipping**, so that one bad gradient cannot throw the weights away,
# - **accumulation**, so that a batch may be larger than the memory,
# - **loss scaling** and **master weights**, so that 16 bits are enough,
# - **averaging** of the weights, so that the noise of the last steps does not count.
#
# Each is a few lines. Each is often wrong, and the loss falls all the same.
#
# After this lesson you will be able to
#
# - write all of them, and say in which order they belong,
# - say what a clipped gradient keeps, and what it loses,
# - put the gradient of a batch together from unequal parts,
# - find the update that a 16-bit weight swallows, and save it.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import course.gradients as library
from course import check, hint, predict, reveal, written
from course.averaging import EMA, MasterWeights, stochastic_round
from course.data import load_digits
from course.microscope import look
from course.oracle import deviation, gradients
from course.recipes import RECIPES, memory
from course.rules import SGD
from course.widgets import alt, line_of_numbers, the_cliff
from course.widgets.style import COLORS

torch.set_num_threads(1)  # small matrices: a second thread costs more than it saves
images, labels = load_digits()
X, Y = torch.from_numpy(images.reshape(-1, 64)), torch.from_numpy(labels)
print("ready")

# %% [markdown]
# ## The cliff
#
# A recurrent network multiplies by the same matrix at every time step. What is multiplied fifty times by
# 1.2 has grown nine thousandfold; by 0.8, it is gone. So there are places where the loss is nearly flat,
# and right beside them places where it stands up like a wall.
#
# Below is the smallest such network: one unit, two parameters, fifty time steps (after figure 6 of Pascanu,
# Mikolov and Bengio, 2013, *On the difficulty of training recurrent neural networks*). Follow the path down
# the slope to the foot of the wall, and see where it goes from there. Then give the norm a limit: which one
# is enough, at every learning rate? Then take the limit away again and lower the learning rate instead: does
# that help?

# %%
the_cliff()

# %% [markdown]
# A limit of 5 is not enough at the higher rates: 0.4 times 5 is a step of length 2, about as wide as the
# picture. With 2 or less the path comes back at every rate. (Where a lost path ends, the gradient is all but
# zero: it will not come back by itself.)
#
# A lower rate comes to the wall later, and is thrown off all the same. At the wall the gradient points the
# right way: down again. But its *length* is no advice at all. It says how steep the wall is here, and
# nothing of how far it is good to go.
#
# ## The formula
#
# Keep the direction, bound the length. With $n$ the norm of **all gradients together**, as if they were one
# long vector,
#
# $$n = \sqrt{\sum_i \lVert g_i\rVert^2}, \qquad
# g_i \leftarrow \min\Bigl(1, \frac{c}{n + 10^{-6}}\Bigr)\; g_i .$$
#
# The $10^{-6}$ is torch's. It keeps a gradient of zeros from dividing by zero, and it makes the result
# shorter than $c$ by a hair.
#
# ## Predict
#
# A network has two layers. Their gradients have the norms 3 and 4. You clip to norm 1, but *layer by layer*.

# %%
predict(
    "07-layer-by-layer",
    "Against clipping both together: what is different?",
    ["Nothing", "Only the length of the whole", "Only the direction", "Length and direction"],
)

# %% tags=["nbval-check-output"]
g = [np.array([3.0, 0.0]), np.array([0.0, 4.0])]
together = np.concatenate(library.clip_by_norm(g, 1.0)[0])
apart = np.concatenate([library.clip_by_norm(part, 1.0)[0] for part in g])
length = {name: np.linalg.norm(v) for name, v in (("together", together), ("layer by layer", apart))}
cosine = together @ apart / length["together"] / length["layer by layer"]
for name, value in length.items():
    print(f"{name:14s} length {value:.3f}")
print(f"angle between the two: {np.degrees(np.arccos(cosine)):.1f} degrees")
reveal(
    "07-layer-by-layer",
    "Length and direction" if cosine < 0.999 else "Only the length of the whole",
    "Each layer is cut by a factor of its own, and the whole may be longer than 1.",
)

# %% [markdown]
# ## Build: `clip_by_norm`
#
# `gradients` is a list of arrays of any shapes. Return the clipped arrays, as a list, and the norm *before*
# clipping: it is the best early warning that there is, and people log it. Leave the caller's arrays as they
# are, and keep their dtype: what comes in as float32 goes out as float32.


# %% exercise="clip_by_norm"
def clip_by_norm(gradients, max_norm):
    """Return (clipped, norm): a list of arrays, and the norm of all gradients before clipping."""
    ### BEGIN SOLUTION
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    factor = min(1.0, max_norm / (norm + 1e-6))
    return [factor * g for g in gradients], norm
    ### END SOLUTION


# %% check="clip_by_norm" tags=["nbval-check-output"]
check(clip_by_norm)

# %% [markdown]
# One call of yours beside the library's.

# %%
look(clip_by_norm, [np.array([3.0, 0.0]), np.array([[4.0]])], 2.5, beside=library.clip_by_norm)

# %% [markdown]
# ## Build: `clip_by_value`
#
# The older way: bring every element for itself into $[-c, c]$. It needs no norm. It bounds each weight's
# step. And it turns the gradient, because it cuts only what stands out.


# %% exercise="clip_by_value"
def clip_by_value(gradients, limit):
    """Return a list of arrays, each element brought into [-limit, limit]. A NaN stays one."""
    ### BEGIN SOLUTION
    clipped = []
    for g in gradients:
        clipped.append(np.maximum(np.minimum(g, limit), -limit))
    return clipped
    ### END SOLUTION


# %% check="clip_by_value" tags=["nbval-check-output"]
check(clip_by_value)

# %% [markdown]
# How far does it turn? Gradients of ten thousand weights, all of about one size on the left, and over four
# decades on the right.

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(7)
for name, g in (
    ("of one size", rng.normal(size=10_000)),
    ("four decades", next(gradients((10_000,), steps=1))),
):
    for share in (0.5, 0.1):
        cut = library.clip_by_value(g, share * np.abs(g).max())
        cosine = g @ cut / np.linalg.norm(g) / np.linalg.norm(cut)
        angle = np.degrees(np.arccos(cosine))
        print(f"{name}: cut at {share:.0%} of the largest element, turned by {angle:.0f} degrees")

# %% [markdown]
# The lower the limit, the more it turns; and, at the same limit, the more the sizes differ. Cutting takes
# from the elements that stand out and leaves the others: what they said about the direction is partly lost.
#
# ## Validate: 200 lists of gradients beside PyTorch
#
# Each list holds three arrays with elements over four decades. The limit of the norm lies so that about half
# of the lists get clipped.

# %% tags=["nbval-check-output"]


def beside_torch(ours, theirs, limit, count=200):
    """Return the worst deviation from torch's clipping over many lists of gradients."""
    worst = 0.0
    for long in gradients((24,), steps=count):
        mine = [long[:10], long[10:22].reshape(3, 4), long[22]]
        params = [torch.zeros(np.shape(g), dtype=torch.float64) for g in mine]
        for p, g in zip(params, mine):
            p.grad = torch.tensor(g)
        theirs(params, limit)
        result = ours([np.asarray(g) for g in mine], limit)
        pairs = zip(result[0] if isinstance(result, tuple) else result, params)
        worst = max([worst] + [deviation(a, p.grad.numpy()) for a, p in pairs])
    return worst


CLIPS = (
    ("by norm", library.clip_by_norm, clip_by_norm, torch.nn.utils.clip_grad_norm_, 100.0),
    ("by value", library.clip_by_value, clip_by_value, torch.nn.utils.clip_grad_value_, 5.0),
)
for name, of_library, yours, theirs, limit in CLIPS:
    print(f"{name:8s} library: the same to rounding: {beside_torch(of_library, theirs, limit) < 1e-14}")
    if written(yours):
        print(f"{'':8s} yours:   the same to rounding: {beside_torch(yours, theirs, limit) < 1e-14}")

# %% [markdown]
# ### Where conventions differ, and where clipping does not help
#
# - **torch** divides by $n + 10^{-6}$, so the result is a little shorter than $c$. **Optax** divides by $n$.
# - **An infinity or a NaN is not clipped.** With one infinite element the norm is infinite, the factor is 0,
#   and $0 \cdot \infty$ is a NaN. torch goes on in silence unless you ask it not to.
# - A gradient that is *all* too small by 10 is not touched either. Clipping is no scaling.

# %% tags=["nbval-check-output"]
p = torch.zeros(2, dtype=torch.float64)
p.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
torch.nn.utils.clip_grad_norm_(p, 1.0)
print(f"torch, from norm 5 to 1: too short by a share of {1 - float(p.grad.norm()):.0e}")
tiny = np.array([3e-6, 4e-6])
for name, eps in (("torch's", 1e-6), ("Optax's", 0.0)):
    clipped, _ = library.clip_by_norm(tiny, 4e-6, eps=eps)
    print(f"{name} form, from norm 5e-06 to 4e-06: {np.linalg.norm(clipped):.1e}")
p.grad = torch.tensor([np.inf, 1.0], dtype=torch.float64)
print("the norm of [inf, 1]:", float(torch.nn.utils.clip_grad_norm_(p, 1.0)), "-> gradient", p.grad.tolist())
p.grad = torch.tensor([np.inf, 1.0], dtype=torch.float64)
try:
    torch.nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
except RuntimeError:
    print("with error_if_nonfinite=True torch refuses")

# %% [markdown]
# ## The cliff for real
#
# A small recurrent network learns to remember. It reads twelve random numbers; two of them are marked, one in
# the first half and one in the second. At the end it must say their sum (the *adding problem* of Hochreiter
# and Schmidhuber, 1997, *Long Short-Term Memory*). Who always says 1 has a mean squared error of 1/6: to do
# better, one must remember.
#
# Six seeds with the learning rate 0.3: without clipping, and clipped to norm 0.3. And, to be fair, without
# clipping at a third of that rate. All eighteen networks train at once: their weights stand in one array.

# %%
UNITS, TIME, SEEDS, BATCH, LIMIT = 24, 12, 6, 32, 0.3
RATES, LIMITS = (0.3, 0.3, 0.1), (np.inf, LIMIT, np.inf)  # of the three arms


def draw_sums(draw):
    """Return inputs (time, 3 * SEEDS, BATCH, 2) and targets; the three arms get the same."""
    numbers, marks = torch.rand(SEEDS, BATCH, TIME, generator=draw), torch.zeros(SEEDS, BATCH, TIME)
    for first in (0, TIME // 2):
        marks.scatter_(2, first + torch.randint(0, TIME // 2, (SEEDS, BATCH, 1), generator=draw), 1.0)
    pairs = torch.stack([numbers, marks], dim=3).permute(2, 0, 1, 3)
    return pairs.repeat(1, 3, 1, 1), (numbers * marks).sum(2, keepdim=True).repeat(3, 1, 1)


def train_recurrent(steps):
    """Train the same SEEDS networks in three ways; return losses and norms, shape (steps, 3, SEEDS)."""
    draw = torch.Generator().manual_seed(0)
    sizes = ((UNITS, UNITS, 0.8 / UNITS**0.5), (2, UNITS, 0.5), (1, UNITS, 0), (UNITS, 1, 0.02), (1, 1, 0))
    first = [size * torch.randn(SEEDS, *shape, generator=draw) for *shape, size in sizes]
    first[4] += 1  # the mean of the answer is known from the start
    weights = [w.repeat(3, 1, 1).requires_grad_() for w in first]
    again, read, bias, answer, shift = weights
    limits, rates = (torch.tensor(x).repeat_interleave(SEEDS) for x in (LIMITS, RATES))
    losses, norms = [], []
    for _ in range(steps):
        x, target = draw_sums(draw)
        seen, h = x @ read + bias, torch.zeros(3 * SEEDS, BATCH, UNITS)
        for t in range(TIME):
            h = torch.tanh(torch.baddbmm(seen[t], h, again))
        loss = ((h @ answer + shift - target) ** 2).mean((1, 2))
        grads = torch.autograd.grad(loss.sum(), weights)
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in grads]).norm(dim=0)  # one a network
        scale = (rates * (limits / (norm + 1e-6)).clamp(max=1))[:, None, None]
        with torch.no_grad():
            for p, g in zip(weights, grads):
                p -= scale * g
        losses.append(loss.detach().view(3, SEEDS))
        norms.append(norm.view(3, SEEDS))
    return torch.stack(losses).numpy(), torch.stack(norms).numpy()


def smooth(curve, width=25):
    """Return the running mean over so many steps, and the steps in the middle of them."""
    mean = np.convolve(curve, np.ones(width) / width, mode="valid")
    return np.arange(len(mean)) + width // 2, mean


losses, norms = train_recurrent(steps=800)
figure, all_axes = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", sharey=True)
ARMS = (("without clipping", COLORS["vermillion"]), (f"clipped to norm {LIMIT}", COLORS["blue"]))
ARMS += (("without clipping, a third of the rate", COLORS["green"]),)
peak, seed = np.unravel_index(losses[50:-50, 0].argmax(), losses[50:-50, 0].shape)
near = np.arange(peak + 50 - 40, peak + 50 + 41)  # the steps around the highest loss
for arm, (name, color) in enumerate(ARMS):
    runs = losses[:, arm]
    all_axes[0].plot(*smooth(np.median(runs, axis=1)), color=color, lw=1.4, label=name)
    if arm < 2:
        low, high = runs.min(axis=1), runs.max(axis=1)
        all_axes[0].fill_between(range(len(runs)), low, high, color=color, alpha=0.3, lw=0)
        all_axes[1].plot(near, runs[near, seed], color=color, lw=1.4, label=name)
all_axes[0].axhline(1 / 6, color=COLORS["black"], lw=0.8, ls=":", label="always saying 1: an error of 1/6")
all_axes[0].set(
    yscale="log",
    ylim=(None, 4),
    xlabel="step",
    ylabel="mean squared error",
    title=f"median (over 25 steps) and range, {SEEDS} seeds",
)
all_axes[1].set(xlabel="step", title="one seed, around its highest loss")
for axes in all_axes:
    axes.legend(frameon=False, fontsize=8, loc="upper left")
plt.show()
alt(
    "The error of the small recurrent network on a logarithmic axis. Left the range of six "
    "seeds and their median, as a running mean over 25 steps: with clipping it falls below the dotted line, "
    "the error of always saying 1, and goes on falling. Without, it stays near that line for half of the "
    "time and ends below it, far above the clipped one, and the range is full of spikes; with a third of "
    "the rate it ends between the two. Right one seed around its highest loss: without clipping a spike "
    "several times as high as the loss before it; the clipped twin has none."
)

# %% tags=["nbval-check-output"]
last, worst = losses[-50:].mean(axis=0), losses[50:].max(axis=0)
print("highest error after step 50, without clipping: above 0.5 in some seed: ", bool((worst[0] > 0.5).any()))
print("highest error after step 50, with clipping:    below 0.5 in every seed:", bool((worst[1] < 0.5).all()))
print("error at the end, with clipping: below 0.1 in every seed:", bool((last[1] < 0.1).all()))
ratio = last[0].mean() / last[1].mean()
print("mean error at the end, without and with: more than 1.5 to 1:", bool(ratio > 1.5))
slow = last[2].mean() / last[1].mean()
print("the same for a third of the rate, without clipping: more than 1.2 to 1:", bool(slow > 1.2))
above = (norms[:, 1] > LIMIT).mean()
print("with clipping, more than half of all steps were shortened:", bool(above > 0.5))

# %% [markdown]
# The clipped runs are not calmer because their gradients are: most of them are longer than the limit. (With
# so low a limit, clipping is a normalized step most of the time. Limits in use, such as the 1.0 of many
# language models, are meant to be met now and then.)
#
# A smaller learning rate keeps off the wall as well; but it is small at *every* step, and in the same
# time it has not come as far. This is what clipping buys: a rate for the usual gradient, and a bound for
# the rare one.

# %% [markdown]
# ## Accumulation
#
# A batch does not fit into memory. So it is cut into *micro-batches*; `backward` adds their gradients up in
# `.grad`, and there is one step for all. The sum of gradients of means is no mean: with four micro-batches it
# is four times too large. Divide by four, then?
#
# That is right as long as all are of one size. Texts are not, nor is the last batch of an epoch. With
# $g_k$ the gradient of the mean loss over $n_k$ examples, the gradient of the mean over *all* of them is
#
# $$g = \frac{\sum_k n_k\, g_k}{\sum_k n_k} .$$
#
# For texts the $n_k$ count *tokens in the loss*: the positions whose prediction is scored. One that is only
# padding, or is masked because nobody asks for it (the question, say, where the answer is to be learned), is
# no example.

# %%
predict(
    "07-unequal",
    "Two micro-batches, with 20 and 12 tokens. You divide the sum of their gradients by 2. How much more "
    "does a token of the small one count than a token of the large one?",
    ["Nothing: both count the same", "About 7 % more", "About 67 % more"],
)

# %% tags=["nbval-check-output"]
weight = {n: 1 / n / 2 for n in (20, 12)}  # of one token, in the gradient that is used
print(f"a token counts {weight[20]:.5f} or {weight[12]:.5f}; it should be {1 / 32:.5f}")
more = f"{weight[12] / weight[20] - 1:.0%}".replace("%", " % more")
reveal("07-unequal", f"About {more}", "The ratio is 20 to 12, whatever the tokens are.")

# %% [markdown]
# Now real gradients: a linear classifier of the digits, four micro-batches of eight images, and then two
# of 20 and 12. The measure is the length of the difference, as a share of the right gradient.

# %% tags=["nbval-check-output"]


def digit_gradient(rows, weights=None):
    """Return the gradient of the mean cross entropy over some images, as an array (10, 64)."""
    w = torch.zeros(10, 64, dtype=torch.float64) if weights is None else weights.clone()
    w.requires_grad_()
    cross_entropy(X[rows].double() @ w.T, Y[rows]).backward()
    return w.grad.numpy()


rows = np.arange(32)
whole = digit_gradient(rows)
parts = [digit_gradient(part) for part in np.split(rows, 4)]
ratio = np.linalg.norm(sum(parts)) / np.linalg.norm(whole)
print(f"four of 8, added up: {ratio:.3f} times as long as it should be")
parts = [digit_gradient(part) for part in np.split(rows, [20])]
for name, made in (
    ("20 and 12, divided by 2", sum(parts) / 2),
    ("20 and 12, by count", (20 * parts[0] + 12 * parts[1]) / 32),
):
    off = np.linalg.norm(made - whole) / np.linalg.norm(whole)
    print(f"{name:23s} off by {off:.0%}")

# %% [markdown]
# ## Build: `accumulate`
#
# `gradients` are those of an epoch's micro-batches, each of the *mean* loss over its `counts[i]` examples.
# After every `k` micro-batches there is a step. Return the gradients of the steps, as a list.
#
# - What is left at the end of the epoch, fewer than `k`, gets a step too.
# - A micro-batch may count 0: all its tokens are masked. The mean over nothing is a NaN; leave it out. It
#   still fills a place in its window. (No window here counts 0 in all.)
# - A NaN in a micro-batch that does count is another matter: it stays, so that it is seen.
# - Keep the dtype: float32 gradients give float32 gradients.


# %% exercise="accumulate"
def accumulate(gradients, counts, k):
    """Return the gradients of the steps: a list, one for every k micro-batches and one for the rest."""
    ### BEGIN SOLUTION
    steps = []
    for start in range(0, len(gradients), k):
        total, count = 0.0, 0
        for g, n in zip(gradients[start : start + k], counts[start : start + k]):
            if n > 0:
                total = total + n * g
                count = count + n
        steps.append(total / count)
    return steps
    ### END SOLUTION


# %% check="accumulate" tags=["nbval-check-output"]
check(accumulate)

# %% [markdown]
# ## Validate: beside the large batch itself
#
# 300 images in micro-batches of all sizes, three to a step, the last window partial. The reference is
# autograd on all images of a window at once.

# %% tags=["nbval-check-output"]
sizes = [20, 12, 32, 7, 50, 1, 64, 30, 9, 45, 30]
ends = np.cumsum(sizes)
micro = [digit_gradient(np.arange(end - n, end)) for n, end in zip(sizes, ends)]
windows = [(s, min(s + 3, len(sizes))) for s in range(0, len(sizes), 3)]
at_once = [digit_gradient(np.arange(ends[a] - sizes[a], ends[b - 1])) for a, b in windows]


def by_library(gradients, counts, k):
    """Return the gradients of the steps, by the library's accumulator."""
    made, window = [], library.Accumulator()
    for start in range(0, len(gradients), k):
        state = window.init()
        for g, n in zip(gradients[start : start + k], counts[start : start + k]):
            state = window.add(g, state, count=n)
        made.append(window.mean(state))
    return made


for name, rule in (("library", by_library), ("yours", accumulate)):
    if rule is by_library or written(rule):
        made = rule(micro, sizes, 3)
        same = len(made) == len(at_once) and max(map(deviation, made, at_once)) < 1e-12
        print(f"{name}: {len(made)} steps, the same to rounding as the large batches: {same}")

# %% [markdown]
# ### In the wild: unequal token counts
#
# In October 2024 it came out that the trainers of the large libraries divided by the number of micro-batches.
# Accumulation was supposed to change nothing, and changed the loss. Two of the repairs:
# huggingface/transformers, pull request 34191, and torchtune, pull request 1875, whose author honours the day
# on which machine learning found that $x_1/n_1 + x_2/n_2$ is not $(x_1 + x_2)/(n_1 + n_2)$.
#
# Here is the mistake once more, in torch as people write it. Two texts are padded to 20 tokens, and
# `cross_entropy` leaves the padding out of its mean. Three ways to scale the loss before `backward`:

# %% tags=["nbval-check-output"]
draw = torch.Generator().manual_seed(3)
tokens = torch.randn(2, 20, 16, generator=draw, dtype=torch.float64)
targets = torch.randint(0, 8, (2, 20), generator=draw)
targets[1, 12:] = -100  # the padding of the second text: cross_entropy ignores it
torch.manual_seed(3)
head = torch.nn.Linear(16, 8, dtype=torch.float64)


def accumulated(scale):
    """Return the head's gradient after one backward for each text; scale(loss, n) is what backward sees."""
    head.zero_grad()
    for x, y in zip(tokens, targets):
        scale(cross_entropy(head(x), y), int((y != -100).sum())).backward()
    return head.weight.grad.clone()


head.zero_grad()
cross_entropy(head(tokens).flatten(0, 1), targets.flatten()).backward()
whole = head.weight.grad.clone()


def scaled_data(loss, n):
    """Scale what the loss shows, and not what backward sees: a trap."""
    loss.data = loss.data / 2
    return loss


for name, scale in (
    ("loss / 2", lambda loss, n: loss / 2),
    ("loss * n / 32", lambda loss, n: loss * n / 32),
    ("loss.data = loss.data / 2", scaled_data),
):
    got = accumulated(scale)
    off, long = (got - whole).norm() / whole.norm(), got.norm() / whole.norm()
    print(f"{name:26s} off by {off:4.0%}, {long:.2f} times as long as the right gradient")

# %% [markdown]
# The third looks as if it scaled, and prints a scaled loss. But `.data` is a side door: autograd has recorded
# the loss before, and `backward` begins at that with a 1. The gradient is not divided by anything.
#
# **The last window.** When 11 micro-batches meet a window of 4, the last step has three. Some loops drop them
# (NVIDIA-NeMo/Automodel, pull request 2257, mended one that did: the gradients reached `backward` and never a
# step). Others divide by 4 all the same, and the step is a quarter too short (modelscope/ms-swift, pull
# request 10084). In huggingface/transformers the number of micro-batches in the last step was miscounted
# (issue 37777, pull request 37923). `accumulate` has a slip for each.
#
# This is a good place for a pause: clipping and accumulation are done, and what follows is about number
# formats.

# %% [markdown]
# ## Sixteen bits
#
# Half as many bytes move twice as fast, and matrix products in 16 bits run on hardware of their own. So
# networks compute in `float16` or `bfloat16`. Two things go wrong, in two different places:
#
# - **range**: the smallest number above zero. Gradients below it are lost. This is float16's trouble.
# - **precision**: the distance to the next number. Updates below half of it are lost. bfloat16's, above all.

# %% tags=["nbval-check-output"]
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    info = torch.finfo(dtype)
    smallest = info.smallest_normal * info.eps  # with all leading zeros that the format allows
    print(f"{str(dtype)[6:]:9s} from {smallest:.1e} to {info.max:.1e}; next after 1: 1 + {info.eps:.2g}")

# %% [markdown]
# ### Does it halve the memory?
#
# Often one reads that mixed precision halves the memory. It halves *activations*, the outputs of the layers
# that `backward` needs again and that are kept until then. Of the model itself there are weights and
# gradients in 16 bits, but a master copy in 32 bits besides, and Adam's two moments in 32 bits:

# %% tags=["nbval-check-output"]
for precision in ("float32", "mixed"):
    need = memory(1, "AdamW", precision=precision)
    parts = f"{need.weights:g} weight + {need.gradients:g} gradient + {need.master:g} copy + {need.states:g}"
    print(f"{precision:8s} {parts} moments = {need.total:g} bytes per parameter")

# %% [markdown]
# ### The range: gradients that float16 loses
#
# A network with one hidden layer learns the digits, in float32. Here are the sizes of all its gradients, at
# the start and after 2000 steps of Adam. What would be left of them in float16?

# %%
SHAPES = ((64, 32), (1, 32), (32, 10), (1, 10))  # two layers: weights and biases


def outputs(w, x):
    """Return the ten outputs of one network, or of several with their weights in rows."""
    parts = w.split([rows * columns for rows, columns in SHAPES], dim=-1)
    w1, b1, w2, b2 = (part.unflatten(-1, shape) for part, shape in zip(parts, SHAPES))
    return torch.relu(x @ w1 + b1) @ w2 + b2


def fresh_weights(networks, draw):
    """Return random weights, one network a row."""
    parts = [torch.randn(networks, r * c, generator=draw) * (r**-0.5 if r > 1 else 0.0) for r, c in SHAPES]
    return torch.cat(parts, dim=1).requires_grad_()


draw = torch.Generator().manual_seed(0)
w = fresh_weights(1, draw)
adam, sizes = torch.optim.Adam([w], lr=3e-3), {}
for step in range(2001):
    pick = torch.randint(0, 1200, (64,), generator=draw)
    adam.zero_grad()
    cross_entropy(outputs(w, X[pick])[0], Y[pick]).backward()
    if step in (0, 2000):
        sizes[step] = w.grad.abs()[w.grad != 0].numpy()
    adam.step()

figure, axes = plt.subplots(figsize=(7.4, 3.4), layout="constrained")
edges = np.arange(-34, 1)
for (step, size), color in zip(sizes.items(), (COLORS["sky"], COLORS["vermillion"])):
    label = "at the start" if step == 0 else f"after {step} steps"
    axes.hist(np.log2(size), edges, color=color, alpha=0.6, label=label)
axes.axvspan(-34, -25, color=COLORS["black"], alpha=0.15, lw=0)
axes.axvspan(-25, -14, color=COLORS["black"], alpha=0.06, lw=0)
axes.text(-33.5, axes.get_ylim()[1] * 0.9, "rounded to 0", fontsize=9)
axes.text(-24.5, axes.get_ylim()[1] * 0.9, "fewer digits", fontsize=9)
axes.set(xlabel="size of a gradient, as a power of two", ylabel="number of weights", xlim=(-34, 0))
axes.legend(frameon=False, loc="center left")
plt.show()
alt(
    "Histograms of the sizes of all gradients that are not zero, by powers of two. At the start most lie "
    "between 2 to the -14 and 2 to the -4, and all between about 2 to the -17 and 2 to the -3. "
    "After 2000 steps they have moved down and spread out: a good "
    "part lies in the grey zone below 2 to the -14, where float16 has fewer digits, and the tail reaches "
    "the dark zone below 2 to the -25, which float16 rounds to zero."
)

# %% tags=["nbval-check-output"]
late = torch.from_numpy(sizes[2000])
lost = {scale: float(((scale * late).half() == 0).float().mean()) for scale in (1, 2.0**10)}
print("after 2000 steps float16 loses some gradients, but less than a tenth:", 0 < lost[1] < 0.1)
print("more than a tenth have fewer digits than they should:", bool((late < 2.0**-14).float().mean() > 0.1))
print("of the same, times 1024, it loses less than a tenth as many:", lost[2.0**10] < lost[1] / 10)
print("bfloat16 loses:", int((late.bfloat16() == 0).sum()))

# %% [markdown]
# In this small network the lost part is small. But it has grown from nothing as the loss fell, and it is no
# random part: it is always the small ones. The remedy: nearly all gradients lie below $2^{-3}$, and float16
# goes on nearly to $2^{16}$, far beyond the right edge of the picture. So **multiply the loss by a large
# number**, and all gradients move to the right by as many places. Divide after the last float16 operation.
# The step is the same.
#
# And bfloat16 has the range of float32. It loses none, and needs no loss scale.
#
# ## Build: `LossScaler`
#
# How large a number? As large as possible: until something overflows. So try. Begin high. When a gradient
# comes out infinite or NaN, *skip* that step and halve the scale. When many steps in a row went well,
# double it.
#
# This exercise is a class; `__init__` is written. Its methods are called in this order, once a step:
#
# - `scale(loss)`: return the loss times `self.factor`.
# - `unscale(grads)`: set `self.finite`: is every element of every array finite? Return a list of the
#   arrays, divided by the factor, in float32.
# - `step(take_step)`: call `take_step()` if all was finite; do nothing otherwise.
# - `update()`. Not finite: the factor times `backoff_factor`, and the count of good steps begins anew.
#   Finite: one more good step; when there are `growth_interval` of them, the factor times
#   `growth_factor`, and the count begins anew.
#
# `grads` are float16 arrays. Divide *after* making them float32: dividing in float16 loses what you have
# saved.


# %% exercise="LossScaler"
class LossScaler:
    """Scale losses up for float16; find the scale by trial.

    good_steps counts the good steps in a row; finite is what unscale found.
    """

    def __init__(self, init_scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000):
        self.factor = init_scale
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        self.good_steps = 0
        self.finite = True

    def scale(self, loss):
        """Return the loss that backward is called on."""
        ### BEGIN SOLUTION
        return loss * self.factor
        ### END SOLUTION

    def unscale(self, grads):
        """Return the gradients of the loss itself, a list of float32 arrays; set self.finite."""
        ### BEGIN SOLUTION
        self.finite = all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]
        ### END SOLUTION

    def step(self, take_step):
        """Call take_step(), unless a gradient was not finite."""
        ### BEGIN SOLUTION
        if self.finite:
            take_step()
        ### END SOLUTION

    def update(self):
        """Adapt self.factor for the next step."""
        ### BEGIN SOLUTION
        if not self.finite:
            self.factor = self.factor * self.backoff_factor
            self.good_steps = 0
            return
        self.good_steps = self.good_steps + 1
        if self.good_steps == self.growth_interval:
            self.factor = self.factor * self.growth_factor
            self.good_steps = 0
        ### END SOLUTION


# %% check="LossScaler" tags=["nbval-check-output"]
check(LossScaler)

# %% [markdown]
# ## Validate: beside torch's `GradScaler`, on the CPU
#
# A run of twelve steps; at some of them the gradient is infinite or NaN. (The growth interval is 3 here, so
# that something happens; torch's default is 2000.)

# %% tags=["nbval-check-output"]
fate = [1.0, 1.0, np.inf, 1.0, 1.0, 1.0, 1.0, np.nan, np.nan, 1.0, 1.0, 1.0]


def torch_run():
    """Return torch's scale and the number of steps taken, after each step."""
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer, scaler = torch.optim.SGD([p], lr=1.0), torch.amp.GradScaler("cpu", growth_interval=3)
    seen = []
    for grad in fate:
        optimizer.zero_grad()
        scaler.scale((p * grad).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), -int(p.item())))
    return seen


def my_run():
    """Return the scale and the steps taken of the learner's class."""
    scaler, taken, seen = LossScaler(growth_interval=3), [], []
    for grad in fate:
        left = np.array([scaler.scale(1.0) * grad], np.float32)
        scaler.unscale([left])
        scaler.step(lambda: taken.append(1))
        scaler.update()
        seen.append((scaler.factor, len(taken)))
    return seen


reference, mine = torch_run(), my_run() if written(LossScaler) else None
print("gradient          " + " ".join(f"{g:6g}" for g in fate))
print("torch: log2 scale " + " ".join(f"{np.log2(scale):6g}" for scale, _ in reference))
print("torch: steps      " + " ".join(f"{count:6d}" for _, count in reference))
if mine:
    print("yours: the same at every step:", mine == reference)

# %% [markdown]
# ### Clip after unscaling
#
# The gradients that `backward` leaves are 65536 times too long. Clip *those* to norm 1, unscale, and what is
# left has the norm 1/65536: training stands still, and no error is raised. torch has `scaler.unscale_` for
# this, to be called before `clip_grad_norm_`.

# %% tags=["nbval-check-output"]
for first in ("unscale, then clip", "clip, then unscale"):
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer, scaler = torch.optim.SGD([p], lr=1.0), torch.amp.GradScaler("cpu")
    scaler.scale(3 * p[0] + 4 * p[1]).backward()  # the gradient is (3, 4)
    if first.startswith("unscale"):
        scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(p, 1.0)
    scaler.step(optimizer)  # unscales, if nobody has done so
    print(f"{first}: a step of length {p.detach().norm().item():.5f}")

# %% [markdown]
# It is common: milesial/Pytorch-UNet had it (issue 468, repaired by pull request 470), and so had the
# minGPT example of pytorch/examples (issue 1196). The other order that matters: *unscale with the scale
# that backward used*, and change it at the end. In a discussion of DeepSpeed (pull request 8588, 2026)
# somebody measured an fp16 optimizer that updated the scale first: each time it doubled, the gradients
# were divided by twice what they had been multiplied by.
#
# You will write this order yourself, in `master_weight_step`. One thing is missing for that.

# %% [markdown]
# ### The precision: updates that vanish
#
# A weight of 1.0 in bfloat16 gets a thousand updates of 0.001.

# %%
predict(
    "07-thousand-updates",
    "Where does it stand afterwards?",
    ["At 2.0", "At about 1.9", "At about 1.5", "At 1.0"],
)

# %% tags=["nbval-check-output"]
alone = torch.ones(1, dtype=torch.bfloat16)
master = torch.ones(1)  # float32
for _ in range(1000):
    alone += 0.001
    master += 0.001
weight = master.to(torch.bfloat16)
print(f"bfloat16 alone: {alone.item():.4f}; with a float32 copy that takes the steps: {weight.item():.4f}")
reveal(
    "07-thousand-updates",
    "At 1.0" if alone.item() == 1 else "At 2.0",
    "The next number after 1 is 1.0078, and 1.001 is rounded back to 1. A thousand times.",
)

# %% [markdown]
# ## See
#
# Which numbers are there, and where does an update land? Begin with the update: raise it until the bfloat16
# weight moves. How large is it then, against the spacing? Go back to 0.001, and give the weight other powers
# of two. The spacing grows with the weight: from which power on downward does the same update get through?

# %%
line_of_numbers()

# %% [markdown]
# The rule behind it: around $\theta$ the numbers of bfloat16 are between $\theta/256$ and $\theta/128$ apart,
# and an update below half of that does nothing. With Adam, an update is about as large as the learning rate.
# So one can say in advance which weights will stand still:

# %% tags=["nbval-check-output"]
powers = 2.0 ** torch.arange(-16, 8, dtype=torch.float32)
for lr in (1e-2, 1e-3, 1e-4):
    stuck = powers[(powers.bfloat16() + lr).bfloat16() == powers]
    print(f"updates of {lr:g}: a bfloat16 weight of {stuck.min().item():g} or more does not grow any more")

# %% [markdown]
# ## Build: `master_weight_step`
#
# The remedy of Micikevicius et al. (2018, *Mixed Precision Training*): keep a copy of each weight in float32,
# and let the *copy* take the steps. The weight that the network computes with is the copy, rounded.
#
# Write the whole 16-bit step around it. `grad` is what `backward` left: the gradient of the *scaled* loss,
# $S$ times too long. Unscale it, clip it by its norm, step on the copy, round. The order is half of the
# exercise:
#
# $$g = \frac{\text{grad}}{S}, \qquad
# g \leftarrow \min\Bigl(1, \frac{c}{\lVert g\rVert + 10^{-6}}\Bigr)\, g,$$
#
# $$\text{master} \leftarrow \text{master} - \eta\, g, \qquad
# \theta \leftarrow \mathrm{round}_{16}(\text{master}) .$$
#
# - NumPy has no bfloat16, so here it is float16: `grad` and `weight` are float16, `master` is float32. A
#   float16 array divided by a Python number, or times one, is a float16 array again.
# - `scale` is $S$ and `max_norm` is $c$. The network has this one array of weights, so the norm of `g` is
#   that of the whole gradient.
# - All gradients are finite here. Where one is not, `LossScaler` takes no step at all.


# %% exercise="master_weight_step"
def master_weight_step(grad, weight, master, lr, scale, max_norm):
    """Return (weight, master) after one step: float16 and float32. Change none of your inputs."""
    ### BEGIN SOLUTION
    g = grad.astype(np.float32) / scale
    norm = np.sqrt(np.sum(g**2))
    g = min(1.0, max_norm / (norm + 1e-6)) * g
    master = master - lr * g
    return master.astype(np.float16), master
    ### END SOLUTION


# %% check="master_weight_step" tags=["nbval-check-output"]
check(master_weight_step)

# %% [markdown]
# Yours over a thousand steps beside the library's, and beside torch: `clip_grad_norm_` and SGD on float32
# parameters that are rounded at the end. The scale is 256, and about half of the gradients get clipped. Two
# wrong ones run with them: one without the copy, and one that clips before it unscales.

# %% tags=["nbval-check-output"]
RATE, SCALE, MOST = 1e-5, 256.0, 100.0
start = np.random.default_rng(0).normal(size=24).astype(np.float32)
scaled = [(SCALE * g).astype(np.float16) for g in gradients((24,), steps=1000)]


def thousand_steps(step):
    """Return the float16 weights after a step for each gradient; step(grad, weight, master) returns both."""
    weight, master = start.astype(np.float16), start
    for g in scaled:
        weight, master = step(g, weight, master)
    return weight


def clip(g):
    """Return the gradient, clipped by the library."""
    return library.clip_by_norm(g, MOST)[0]


def on_the_copy(g, weight, master):
    """Return (weight, master) by the library's rule."""
    rule = MasterWeights(SGD(lr=RATE))
    weight, state = rule.step(g, {"master": master, "inner": {}}, weight)
    return weight, state["master"]


def wide(g):
    """Return the gradient in float32."""
    return g.astype(np.float32)


p = torch.nn.Parameter(torch.tensor(start))
optimizer = torch.optim.SGD([p], lr=RATE)
for g in scaled:
    p.grad = torch.tensor(wide(g)) / SCALE
    torch.nn.utils.clip_grad_norm_(p, MOST)
    optimizer.step()
of_torch = p.detach().half().numpy()


def verdict(step):
    """Say whether the float16 weights after a thousand steps are torch's, up to one spacing."""
    same = np.allclose(thousand_steps(step), of_torch, rtol=2**-10)
    return "torch's weights" if same else "other weights"


def without_a_copy(g, weight, master):
    """Return the float16 weight after a step on itself, and the copy as it was."""
    return weight - (RATE * clip(wide(g) / SCALE)).astype(np.float16), master


print("library:", verdict(lambda g, weight, master: on_the_copy(clip(wide(g) / SCALE), weight, master)))
if written(master_weight_step):
    print("yours:  ", verdict(lambda *step: master_weight_step(*step, RATE, SCALE, MOST)))
print("float16 without a copy:", verdict(without_a_copy))
print("clip, then unscale:    ", verdict(lambda g, *both: on_the_copy(clip(wide(g)) / SCALE, *both)))

# %% [markdown]
# ### The other remedy: roll the dice
#
# A copy costs 4 bytes a weight. **Stochastic rounding** costs none: 1.001 lies between 1 and 1.0078, an
# eighth of the way up, so round it up one time in eight, and down otherwise (Gupta et al., 2015, *Deep
# Learning with Limited Numerical Precision*). No single weight is right. On the mean all are.

# %%
steps, weights, seeds = 1000, 64, 8
rounded = np.ones((seeds, weights), np.float32)
dice = [np.random.default_rng(seed) for seed in range(seeds)]
means, low, high = [], [], []
for _ in range(steps):
    rounded = np.stack(
        [stochastic_round(r + np.float32(0.001), "bfloat16", d) for r, d in zip(rounded, dice)]
    )
    means.append(rounded.mean(axis=1))
    low.append(np.quantile(rounded, 0.05))
    high.append(np.quantile(rounded, 0.95))
means, t = np.array(means), np.arange(1, steps + 1)

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.plot(t, np.ones(steps), color=COLORS["vermillion"], lw=1.6, label="bfloat16, to nearest")
axes.plot(
    t,
    means,
    color=COLORS["blue"],
    lw=0.8,
    label=[f"at random: means of {weights}, {seeds} seeds"] + [None] * 7,
)
axes.fill_between(t, low, high, color=COLORS["sky"], alpha=0.35, lw=0, label="at random: nine weights in ten")
axes.plot(t, 1 + 0.001 * t, color=COLORS["black"], lw=0.8, ls="--", label="float32 copy")
axes.set(xlabel="update of 0.001", ylabel="weight")
axes.legend(frameon=False)
plt.show()
alt(
    "A weight over a thousand updates of 0.001. To nearest it stays at 1. The float32 copy goes straight to "
    "2. Rounded at random, the means of 64 weights follow it closely for all eight seeds, inside a band of "
    "single weights that widens to about a tenth on either side."
)

# %% tags=["nbval-check-output"]
print(
    "means after 1000 updates lie within 0.05 of 2 for every seed:", bool((abs(means[-1] - 2) < 0.05).all())
)
print("single weights spread by more than 0.05 (standard deviation):", bool(rounded.std() > 0.05))

# %% [markdown]
# torch has no such option; torchao's optimizers do (pytorch/ao, pull request 1124).

# %% [markdown]
# ## An average of the weights
#
# With small batches the last weights are a matter of luck: the next batch would have moved them elsewhere. An
# *exponential moving average* (EMA) forgets slowly,
#
# $$a \leftarrow \beta\, a + (1 - \beta)\,\theta ,$$
#
# and one evaluates with $a$ while the training goes on with $\theta$. It begins at zero, as the moments of
# Adam do, and so at first it is too small. After $t$ steps the shares of all parameters add up to
# $1 - \beta^t$; divided by that, it is a true mean: $\hat a = a / (1 - \beta^t)$.
#
# ## Build: `ema`
#
# Return both: the average that is carried on, and the corrected one that is used. `average` is float32 and
# stays so. `param` may be float16: widen it first. A thousandth of a float16 number added to another of its
# size is just what such numbers swallow.


# %% exercise="ema"
def ema(average, param, decay, step):
    """Return (average, corrected), two float32 arrays. step is 1 at the first call, where average is zero."""
    ### BEGIN SOLUTION
    average = decay * average + (1 - decay) * param.astype(np.float32)
    return average, average / (1 - decay**step)
    ### END SOLUTION


# %% check="ema" tags=["nbval-check-output"]
check(ema)

# %% [markdown]
# ### Where conventions differ: the beginning
#
# torch's `AveragedModel` does not correct. Its average begins at the first parameter instead, which is
# then kept with the weight $\beta^{t-1}$. With $\beta = 0.999$ that is more than a third after a thousand
# steps, and the first parameter is the untrained network. Many codes let $\beta$ grow in the first steps
# for that reason.

# %% tags=["nbval-check-output"]
decay, steps = 0.999, 1000
path = [np.array([4.0], np.float32)] + [np.array([1.0], np.float32)] * (steps - 1)  # begins far off
p = torch.nn.Linear(1, 1, bias=False)
averaged = None
for x in path:
    p.weight.data = torch.tensor(x)[None]
    if averaged is None:
        averaged = AveragedModel(p, multi_avg_fn=get_ema_multi_avg_fn(decay))
    averaged.update_parameters(p)
for debias, name in ((False, "library, from the first parameter"), (True, "library, corrected")):
    rule = EMA(decay=decay, debias=debias)
    state = rule.init(path[0])
    for x in path[1:]:
        state = rule.update(x, state)
    print(f"{name:33s} {rule.value(state)[0]:.3f}")
print(f"{'torch, AveragedModel':33s} {averaged.module.weight.item():.3f}")
if written(ema):
    average = np.zeros(1, np.float32)
    for step, x in enumerate(path, start=1):
        average, corrected = ema(average, x, decay, step)
    print(f"{'yours':33s} {corrected[0]:.3f}")
first = decay ** (steps - 1)
print(
    f"the first parameter's share: {first:.3f} in torch, {0.001 * first / (1 - decay**steps):.4f} corrected"
)

# %% [markdown]
# ### And in which precision
#
# torch keeps the average in the dtype of the model. For a bfloat16 model that is the line of numbers again.
# The weight stands at 1 at first, and at 2 for the next thousand steps:

# %% tags=["nbval-check-output"]
for dtype in (torch.float32, torch.bfloat16):
    layer = torch.nn.Linear(1, 1, bias=False, dtype=dtype)
    averaged = AveragedModel(layer, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    for value in [1.0] + [2.0] * 1000:
        torch.nn.init.constant_(layer.weight, value)
        averaged.update_parameters(layer)
    print(f"AveragedModel in {str(dtype)[6:]:8s}: {averaged.module.weight.item():.3f}")

# %% [markdown]
# ### What it is worth
#
# Digits in batches of 8, one label in five replaced by a random one, six seeds. The raw weights, and their
# averages. And, to be fair, a run whose learning rate falls to zero: that is the usual way to get rid of the
# last noise.

# %%
DECAYS, LENGTH, EVERY, TRAIN = (0.9, 0.99), 1000, 20, 1000


def train_with_averages(falling, seeds=6, lr=0.2, batch=8):
    """Return the test accuracies of the weights and of each average, shape (points, 1 + averages, seeds)."""
    draw = torch.Generator().manual_seed(7)
    order = torch.stack([torch.randperm(len(X), generator=draw) for _ in range(seeds)])
    given, wrong = Y[order], torch.rand(order.shape, generator=draw) < 0.2
    given = torch.where(wrong, torch.randint(0, 10, given.shape, generator=draw), given)
    w, row = fresh_weights(seeds, draw), torch.arange(seeds)[:, None]
    averages, points = [torch.zeros_like(w) for _ in DECAYS], []
    for t in range(1, LENGTH + 1):
        pick = torch.randint(0, TRAIN, (seeds, batch), generator=draw)
        odds = outputs(w, X[order[row, pick]]).log_softmax(-1)
        (g,) = torch.autograd.grad(-odds.gather(2, given[row, pick][..., None]).mean((1, 2)).sum(), w)
        with torch.no_grad():
            w -= lr * (1 - (t - 1) / LENGTH if falling else 1) * g
            for a, decay in zip(averages, DECAYS):
                a.lerp_(w, 1 - decay)
            if t % EVERY == 0:
                rest = order[:, TRAIN:]
                every = [w] + [a / (1 - decay**t) for a, decay in zip(averages, DECAYS)]
                right = [(outputs(v, X[rest]).argmax(-1) == Y[rest]).float().mean(1) for v in every]
                points.append(torch.stack(right))
    return 100 * torch.stack(points).numpy()


constant, falling = train_with_averages(False), train_with_averages(True)
curves = {
    "the weights": (constant[:, 0], "vermillion"),
    "EMA, decay 0.99": (constant[:, 2], "blue"),
    "the weights, falling learning rate": (falling[:, 0], "green"),
}
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
at = EVERY * np.arange(1, len(constant) + 1)
for name, (percent, color) in curves.items():
    mean, spread = percent.mean(axis=1), percent.std(axis=1)
    axes.plot(at, mean, color=COLORS[color], lw=1.6, label=name)
    axes.fill_between(at, mean - spread, mean + spread, color=COLORS[color], alpha=0.2, lw=0)
axes.set(xlabel="step", ylabel="test accuracy, per cent", ylim=(60, 97))
axes.legend(frameon=False, loc="lower right")
plt.show()
alt(
    "Test accuracy over a thousand steps, mean and standard deviation of six seeds. The raw weights go up "
    "and down between 85 and 91 per cent with a wide band. Their average climbs smoothly to about 94, with "
    "a narrow band. The run with the falling learning rate comes to within a point of it at the end."
)

# %% tags=["nbval-check-output"]
raw, short, long = constant[-5:].mean(axis=0)  # over the last hundred steps; one value a seed
decayed = falling[-1, 0]
print("last hundred steps: EMA 0.99 is above the raw weights in every seed:", bool((long > raw).all()))
print("by more than 2 points on the mean:", bool((long - raw).mean() > 2))
print("EMA 0.9 lies between the two, on the mean:", bool(raw.mean() < short.mean() < long.mean()))
print(
    "falling learning rate and EMA end within 1 point, on the mean:",
    bool(abs(decayed.mean() - long.mean()) < 1),
)

# %% [markdown]
# So the average is worth several points here, and all of them could be had by letting the learning rate
# fall. What the average has over that: it gives the good weights at *every* moment, without deciding in
# advance when the training ends. (Why decay of the rate and averaging do so similar things is a topic of
# its own: Izmailov et al., 2018, *Averaging Weights Leads to Wider Optima and Better Generalization*.)
#
# ## The order
#
# | | what | why here |
# |---|---|---|
# | 1 | scale the loss, `backward`, for each micro-batch | the scale may not change within a window |
# | 2 | unscale; divide by the count | from here on the numbers mean what they say |
# | 3 | look for infinities and NaN | before clipping would spread a NaN to all |
# | 4 | clip by norm | the whole gradient, not that of a micro-batch |
# | 5 | the rule's step, on the master copy | or none, if 3 found something |
# | 6 | round the copy to the weights; average it | the EMA reads float32, not the rounded weights |
# | 7 | update the scale | with what 3 found |
# | 8 | set the gradients to None | after the window, not after the micro-batch |
#
# Four of yours together, on the digits, in float16. The gradients are computed by hand: for a linear
# classifier they are one matrix product.

# %% tags=["nbval-check-output"]


def half_gradient(weight, rows, factor):
    """Return the float16 gradient of `factor` times the mean cross entropy, for a linear classifier."""
    x, y = images[rows].reshape(-1, 64).astype(np.float16), labels[rows]
    scores = (x @ weight).astype(np.float32)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    odds[np.arange(len(y)), y] -= 1
    with np.errstate(over="ignore", invalid="ignore"):
        return x.T @ (factor / len(y) * odds).astype(np.float16)


def all_together(steps=150):
    """Train with four exercises; return the average weights, the last scale and the number of steps taken."""
    rng, scaler = np.random.default_rng(0), LossScaler(init_scale=2.0**24, growth_interval=50)
    weight, master = np.zeros((64, 10), np.float16), np.zeros((64, 10), np.float32)
    average, corrected, taken = np.zeros((64, 10), np.float32), None, 0
    for _ in range(steps):
        parts = np.split(rng.choice(1200, 32, replace=False), [20])
        grads = scaler.unscale([half_gradient(weight, rows, scaler.scale(1.0)) for rows in parts])
        counts = [len(rows) for rows in parts]

        def take_step(grads=grads, counts=counts):
            nonlocal weight, master, average, corrected, taken
            (g,) = accumulate(grads, counts, k=2)
            # unscale has divided by the scale already: what is left of it is 1
            weight, master = master_weight_step(g, weight, master, lr=0.5, scale=1.0, max_norm=1.0)
            taken += 1
            average, corrected = ema(average, master, decay=0.9, step=taken)

        scaler.step(take_step)
        scaler.update()
    return corrected, scaler.scale(1.0), taken


there = [written(f) for f in (accumulate, LossScaler, master_weight_step, ema)]  # says which are missing
if all(there):
    average, scale, taken = all_together()
    right = ((images[1200:].reshape(-1, 64) @ average).argmax(axis=1) == labels[1200:]).mean()
    print("the first scale was too high, and some steps were skipped:", 0 < 150 - taken < 30)
    print("then one was found at which float16 holds the gradients:  ", scale < 2.0**24)
    print("more than 85 % of the test images are right:              ", bool(right > 0.85))

# %% [markdown]
# ## In the wild
#
# **A flag that did nothing.** NVIDIA's apex has a fused Adam with the option `master_weights`. For
# bfloat16 parameters it was ignored (NVIDIA/apex, pull request 1731): whoever asked for master weights
# trained without. Nothing failed. The widget above is what happened to each weight.
#
# **One optimizer, found by arithmetic.** In 2026 the author of workofart/ml-by-hand (pull request 85)
# measured how many of 768 weights moved in a hundred steps: without master weights 0, with them 603, in
# float32 all. Counting the weights that *moved* is a test that you can add to any training code in two
# lines.
#
# **A limit of 1.0.** Nearly every published recipe of a large language model clips by norm, at the same round
# number. The course keeps the recipes with their sources; in lesson 09 you will train by one.

# %% tags=["nbval-check-output"]
clips = [recipe.clip for recipe in RECIPES.values()]
print("most of the course's recipes clip at 1.0:", sum(clip == 1.0 for clip in clips) > 0.6 * len(clips))

# %% [markdown]
# ## What you now know
#
# - Clipping by norm keeps the direction of the *whole* gradient; by layer or by value does not. It bounds
#   the step, and leaves infinities and NaN as they are.
# - Mean gradients add up weighted by their counts. Dividing by the number of micro-batches is right only
#   where all are of one size and every window is full.
# - float16 loses small gradients: scale the loss, find the scale by trial, unscale *before* clipping.
# - bfloat16 loses small updates: keep a float32 copy, or round at random. It needs no loss scale.
# - Mixed precision does not halve the memory of the model's own states: 16 bytes a parameter either way.
# - An average of the weights, in float32, takes the noise out of the last steps; so does a falling
#   learning rate.
#
# Next: [08 Large batches and new rules](08_large_batch_and_new_rules.ipynb), on rules that look at a whole
# layer, or at signs only.
