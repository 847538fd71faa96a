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
# # 09 The recipe of the large models
#
# In the last lessons you wrote the parts one by one: Adam's two means, decay beside the step, clipping,
# accumulation, a master copy. The large language models of the last years are trained with nearly the same
# selection of them, down to the numbers: $\beta_2 = 0.95$, weight decay 0.1, gradients clipped at norm 1,
# warmup and decay of the learning rate, bfloat16.
#
# Here you put them together, in the right order, and train a small transformer with them.
#
# After this lesson you will be able to
#
# - write the learning rate schedule and the whole step,
# - say how many bytes a model needs while it is trained, and how many tokens a step reads,
# - read a published recipe, and tell what its source says from what is only repeated,
# - say of each part what it is good for, and when it makes no difference at all.

# %% tags=["nbval-check-output"]
import math
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import cross_entropy, embedding, layer_norm, relu, scaled_dot_product_attention
from tqdm.auto import tqdm

from course import check, hint, predict, reveal, written
from course.averaging import MasterWeights, round_to_bfloat16
from course.data import prose
from course.gradients import Accumulator, clip_by_norm
from course.microscope import look
from course.oracle import deviation
from course.recipes import RECIPES, gibibytes, gigabytes, memory, tokens_per_step as library_tokens
from course.rules import AdamW
from course.schedules import Cosine
from course.widgets import alt, recipe_explorer
from course.widgets.style import COLORS

LONG = False  # True: twenty times as many steps in the main run, two to six minutes more
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # small matrices: a second thread costs more than it saves
print("ready")

# %% [markdown]
# ## Predict
#
# A model with 70 billion parameters is to be trained with AdamW in mixed precision. Before the first text
# is read, there are the weights, their gradients, a master copy, and Adam's two means. One accelerator
# holds 80 GB.

# %%
predict(
    "09-how-many",
    "How many accelerators of 80 GB does it take to hold these, and nothing else?",
    ["2", "4", "7", "14"],
)

# %% tags=["nbval-check-output"]
states = memory(70e9, "AdamW", precision="mixed")
print(states)
reveal(
    "09-how-many", f"{math.ceil(states.total / 80e9)}", "Each parameter takes 2 + 2 + 4 + 4 + 4 = 16 bytes."
)

# %% [markdown]
# ## See: the published recipes
#
# Choose a recipe, and a second one to compare with. The picture shows how the learning rate goes over the
# run. The table holds every figure with the place where it stands. Where it was not found there, the table
# says so.
#
# Look for three things. Which rows are the same for nearly all? Which schedules are no cosine? And which
# figures, though repeated everywhere, are not in the paper?

# %%
recipe_explorer()

# %% [markdown]
# ## The schedule
#
# The learning rate climbs in a straight line while Adam gets its bearings (*warmup*), and then falls along
# half a cosine to a floor, often a tenth of the peak. Step $k$ counts from 0; $w$ steps are warmup, $T$ all
# steps together:
#
# $$\eta_k = \begin{cases}
# \eta_{\max}\, k / w & k < w \\
# \eta_{\min} + (\eta_{\max} - \eta_{\min})\, \tfrac12 \Bigl(1 + \cos \pi \tfrac{k - w}{T - w}\Bigr)
# & w \le k < T \\
# \eta_{\min} & k \ge T
# \end{cases}$$
#
# With $0 < w < T$ the rate is 0 at step 0, the peak at step $w$, and the floor at step $T$ and for ever
# after. At the two ends one of the three lines is empty:
#
# - $w = 0$: there is no warmup. Step 0 is at the peak.
# - $w = T$: there is no cosine. The line climbs until step $T - 1$, and at step $T$ the rate is the floor: no
#   step is at the peak.

# %% [markdown]
# ## Build: `warmup_cosine`
#
# Return the learning rate of one step. `peak` and `floor` are learning rates, `step`, `warmup` and `total`
# are whole numbers. `warmup` may be 0, and as large as `total`: both ends count.


# %% exercise="warmup_cosine"
def warmup_cosine(step, peak, warmup, total, floor):
    """Return the learning rate of this step, counted from 0."""
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    share = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2
    ### END SOLUTION


# %% check="warmup_cosine" tags=["nbval-check-output"]
check(warmup_cosine)

# %%
look(
    warmup_cosine,
    6,
    0.5,
    4,
    12,
    0.125,
    beside=lambda *a: Cosine(lr=a[1], total=a[3], warmup=a[2], floor=a[4])(a[0]),
)

# %% [markdown]
# Over 200 steps, beside the library and beside PyTorch, which puts the two halves together from two
# schedulers. PyTorch's warmup must not start at 0, so it starts at a billionth here.

# %% tags=["nbval-check-output"]
peak, warmup, total, floor = 1.0, 40, 200, 0.1
schedule = Cosine(lr=peak, total=total, warmup=warmup, floor=floor)
optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-9, total_iters=warmup)
down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=floor)
both = torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[warmup])
theirs = []
for _ in range(total + 1):
    theirs.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    both.step()
library = [schedule(k) for k in range(total + 1)]
print(
    "library beside torch, largest difference below 1e-8:",
    bool(np.abs(np.subtract(library, theirs)).max() < 1e-8),
)
if written(warmup_cosine):
    mine = [warmup_cosine(k, peak, warmup, total, floor) for k in range(total + 1)]
    print("yours beside the library, below 1e-14:", bool(np.abs(np.subtract(mine, library)).max() < 1e-14))

# %% [markdown]
# ### Where conventions differ
#
# *The first step.* With the rate $k/w$ the first update has length 0: a batch is read and thrown away.
# Hugging Face's `get_cosine_schedule_with_warmup` does so, and so does yours. A user of torchtune took it
# for a bug (torchtune, issue 2010). Others begin with $(k+1)/w$. The two part by $\eta_{\max}/w$ in the
# warmup, and by nothing after it.
#
# *Past the end.* Yours stays at the floor. PyTorch's `CosineAnnealingLR` goes on: the rate rises again.

# %% tags=["nbval-check-output"]
for _ in range(total // 2):
    optimizer.step()
    both.step()
rate = optimizer.param_groups[0]["lr"]
print(f"100 steps past the end: torch {rate:.3f}, library {schedule(total + 100):.3f}")
print(f"first update: {schedule(0):.3f} by k/w, {peak * 1 / warmup:.3f} by (k+1)/w")

# %% [markdown]
# ### Is it always a cosine?
#
# You will read that every large language model is trained with a cosine. Ask the table:

# %% tags=["nbval-check-output"]
for name, recipe in RECIPES.items():
    if recipe.optimizer == "AdamW":
        read = "read in its source" if recipe.sources["pieces"].checked else "not read in its source"
        kinds = ", then ".join(dict.fromkeys(piece.kind for piece in recipe.pieces))
        print(f"{name:17s} {kinds:22s} ({recipe.sources['pieces'].where}; {read})")

# %% [markdown]
# "constant" after the warmup is a staircase in DeepSeek LLM and V2: the rate stands still, and falls to
# about a third, and to about a third again. V3 stands at its peak for two thirds of the run and has a
# cosine only then. The reason is given in the first paper: with a staircase a longer run can go on from
# the plateau. A cosine must know its end beforehand.

# %% [markdown]
# ## Why warmup
#
# At the first step Adam divides each gradient by its own size. What is left is a sign: every weight moves
# by the full learning rate, whether its gradient means something or is pure noise. Later, the mean $m$ has
# averaged noise away, and only what is steady moves at full speed.

# %%
predict(
    "09-noise",
    "All gradients are pure noise. How long is Adam's first step, compared with a step much later?",
    ["As long", "About 2 times as long", "About 4 times as long", "About 10 times as long"],
)

# %% tags=["nbval-check-output"]
rng, rule = np.random.default_rng(0), AdamW(lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
theta = np.zeros(20_000)
state, lengths = rule.init(theta), []
for _ in range(100):
    delta, state = rule.update(rng.normal(size=theta.shape), state, theta)
    lengths.append(np.sqrt((delta**2).mean()))
later = np.mean(lengths[60:])
print("step 1, 2, 5, 20:", ", ".join(f"{lengths[k - 1]:.1f} lr" for k in (1, 2, 5, 20)))
print(f"from step 60 on: {later:.2f} lr")
options = {1: "As long", 2: "About 2 times as long", 4: "About 4 times as long", 10: "About 10 times as long"}
reveal(
    "09-noise",
    options[round(lengths[0] / later)],
    "The root of (1 + beta1)/(1 - beta1) is 4.4: so well does m average.",
)

# %% [markdown]
# The steps that know least are the longest, and they all go at once: the network is moved by $\eta$ in
# every coordinate. Warmup makes them short. That is one reason; Liu et al. (2020, *On the Variance of the
# Adaptive Learning Rate and Beyond*) make it precise for the divisor $\sqrt{v}$, which rests on few
# samples at first. Another is the network: at the beginning its gradients are often large and change
# quickly.

# %% [markdown]
# ## Why 0.95, and why clip
#
# The mean $v$ has a memory of about $1/(1-\beta_2)$ steps.

# %% tags=["nbval-check-output"]
for beta2 in (0.95, 0.999):
    steps = round(1 / (1 - beta2))
    print(
        f"beta2 {beta2}: {steps:4d} steps hold {1 - beta2**steps:.0%} of the weight; "
        f"half of it is gone after {math.log(0.5) / math.log(beta2):.1f}"
    )

# %% [markdown]
# Now let one gradient be 100 times as large as all others, from a damaged text or a rare one. In the
# picture it comes at step 0. The gradients before and after it are noise of size 1.


# %%
def around_an_outlier(beta2, outlier, before=3000, after=400, copies=200):
    """Return the root mean square of the steps, in units of lr, from 20 steps before the outlier on."""
    rng, rule = np.random.default_rng(1), AdamW(lr=1.0, betas=(0.9, beta2), weight_decay=0.0)
    theta = np.zeros(copies)
    state, lengths = rule.init(theta), []
    for k in range(-before, after):
        g = np.full(copies, float(outlier)) if k == 0 else rng.choice([-1.0, 1.0], copies)
        delta, state = rule.update(g, state, theta)
        lengths.append(np.sqrt((delta**2).mean()))
    return np.array(lengths[before - 20 :])


figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
responses = {
    "0.95, clipped": (around_an_outlier(0.95, 1.0), "blue", "-"),
    "0.95, not clipped": (around_an_outlier(0.95, 100.0), "vermillion", "-"),
    "0.999, not clipped": (around_an_outlier(0.999, 100.0), "black", "--"),
}
for name, (lengths, color, dash) in responses.items():
    axes.plot(np.arange(-20, 400), lengths, dash, color=COLORS[color], lw=1.6, label=name)
axes.set(yscale="log", xlabel="steps after the outlier", ylabel="length of a step, in units of lr")
axes.legend(frameon=False, title="beta2")
plt.show()
alt(
    "The length of Adam's steps around one gradient that is 100 times too large. Clipped, nothing is seen of "
    "it. With beta2 0.95 the steps fall to about a sixth, and are back after about 170 steps. With 0.999 the "
    "outlier itself is a step of 3 lr, and after 400 steps the steps are still much shorter than before."
)

# %% tags=["nbval-check-output"]
for name, (lengths, _, _) in responses.items():
    later = lengths[300:340].mean() / lengths[:20].mean()
    print(f"{name:18s} longest {lengths[20:].max():.2f} lr; after 300 steps {later:.2f} of the usual")

# %% [markdown]
# The outlier does its damage twice. First as a kick: with $\beta_2 = 0.999$ the divisor hardly notices it,
# and the step is 3 lr. Then as silence: the large square stays in $v$ and keeps all later steps short, for
# more than a hundred steps with 0.95 and for thousands with 0.999.
#
# A short memory heals sooner. Clipping lets nothing in. Recipes have both.

# %% [markdown]
# ## Build: `tokens_per_step`
#
# A step of Llama 2 reads 4 million tokens, far more than fit into any memory at once. Each of `ranks`
# copies of the model reads `micro_batch` sequences of `sequence` tokens, runs backward, and does so
# `accumulation` times before all take one step together. How many tokens has that step seen? (The loss is
# over all tokens of a sequence.)


# %% exercise="tokens_per_step"
def tokens_per_step(micro_batch, sequence, accumulation, ranks):
    """Return how many tokens one update has seen, a whole number."""
    ### BEGIN SOLUTION
    return micro_batch * sequence * accumulation * ranks
    ### END SOLUTION


# %% check="tokens_per_step" tags=["nbval-check-output"]
check(tokens_per_step)

# %% tags=["nbval-check-output"]
print(f"2 sequences of 4096, 8 times, on 64 ranks: {library_tokens(2, 4096, 8, 64):,} tokens")
for name in ("GPT-3 175B", "Llama 2 70B", "DeepSeek LLM 67B", "Llama 3 405B", "DeepSeek-V3"):
    recipe = RECIPES[name]
    batch, how = recipe.sources["batch"], recipe.sources["steps"]
    known = f"{'read' if batch.checked else 'not read'} in its source"
    steps = "computed" if how.where.startswith("computed") else "read" if how.checked else "not read"
    print(f"{name:17s} {recipe.batch / 1e6:5.1f} million tokens a step ({known}),", end="")
    print(f" {recipe.steps:9,} steps ({steps})")

# %% [markdown]
# Only in Llama 3's row was the number of steps itself read. In the others the tokens of the run and the
# batch were read, and the steps are one divided by the other, with the batch taken as full from the start.
# Where the batch grows, as in GPT-3 and DeepSeek-V3, the true number is larger.
#
# "One to sixteen million" is often said. DeepSeek LLM lies a little above the sixteen, with 18.9, and
# DeepSeek-V3 at about four times the sixteen.

# %% [markdown]
# ## Build: `model_state_bytes`
#
# How many bytes do weights, gradients, master copy and optimizer states take? Return the four numbers, in
# this order, in bytes. `moments` is how many numbers the rule keeps for each parameter: 2 for AdamW, 1 for
# momentum, 0 for plain SGD. `precision` is one of
#
# - `"float32"`: every number has 32 bits. The weights are what the rule steps; there is no other copy.
# - `"mixed"`: weights and gradients have 16 bits. The rule keeps its states, and a master copy of the
#   weights, in float32.
# - `"bfloat16"`: every number has 16 bits, and there is no master copy.


# %% exercise="model_state_bytes"
def model_state_bytes(parameters, precision, moments):
    """Return the bytes of weights, gradients, master copy and states, a tuple of four numbers."""
    ### BEGIN SOLUTION
    wide = 2 if precision == "bfloat16" else 4
    narrow = 4 if precision == "float32" else 2
    master = 4 * parameters if precision == "mixed" else 0
    return narrow * parameters, narrow * parameters, master, moments * wide * parameters
    ### END SOLUTION


# %% check="model_state_bytes" tags=["nbval-check-output"]
check(model_state_bytes)

# %% [markdown]
# The same for known sizes. A **GB** is $10^9$ bytes: papers count in it. A **GiB** is $2^{30}$ bytes, 7
# per cent more: `nvidia-smi` reports MiB, and many tools say GB and mean GiB. On large models that
# difference is a few accelerators.

# %% tags=["nbval-check-output"]
print(f"{'parameters':>16s} {'16-bit weights':>15s} {'master + states':>16s} {'in all':>12s} {'in all':>13s}")
for name, count in (("GPT-2 XL, 1.5e9", 1.5e9), ("7e9", 7e9), ("70e9", 70e9), ("Llama 3, 405e9", 405e9)):
    m = memory(count, "AdamW", precision="mixed")
    parts = gigabytes(m.weights), gigabytes(m.master + m.states), gigabytes(m.total), gibibytes(m.total)
    print("{:>16s} {:>15s} {:>16s} {:>12s} {:>13s}".format(name, *parts))
if written(model_state_bytes):
    mine = model_state_bytes(70 * 10**9, "mixed", 2)
    print("yours for 70e9:", gigabytes(sum(mine)), "of which master and means", gigabytes(mine[2] + mine[3]))
print()
for name, precision in (
    ("Llama 2 70B", "mixed"),
    ("Llama 3 405B", "mixed, float32 gradients"),
    ("DeepSeek-V3", "float8, bfloat16 states"),
):
    count = RECIPES[name].parameters
    m = memory(count, "AdamW", precision=precision)
    each = " + ".join(f"{part / count:.0f}" for part in (m.weights, m.gradients, m.master, m.states))
    print(
        f"{name:13s} {each:>13s} = {m.total / count:.0f} bytes a parameter, {gigabytes(m.total)}: {precision}"
    )

# %% [markdown]
# For 70 billion parameters the weights in float32, 280 GB, and Adam's two means, 560 GB, are what people
# quote. In mixed precision the weights and gradients of 16 bits come on top: 1120 GB. The model states are
# 16 bytes a parameter with mixed precision and without it (lesson 07): what it halves are the activations,
# which are not in this sum.
#
# Llama 3 405B has two sizes here: 6,480 GB in the table, 7,290 GB in its own line and in the explorer above.
# It sums its gradients in float32, so that they take 4 bytes and not 2: 18 bytes a parameter. DeepSeek-V3
# takes 13: weights of 8 bits, gradients and master copy in float32, means in bfloat16. Before you compare
# two such figures, ask what a parameter takes in each.
#
# No accelerator holds that. How it is spread over many is the subject of lesson 12.

# %% [markdown]
# ## Build: `llm_step`
#
# Now the whole step, as a pure function. It is given what backward has left behind: one gradient for each
# micro-batch. In this order:
#
# 1. **Accumulate.** `grads` is a list of dicts, name to array; each is the gradient of the mean loss over
#    the tokens of one micro-batch. `tokens` says how many those were. Form the gradient of the mean over
#    all tokens.
# 2. **Clip** it: with $n$ the norm of all arrays together, multiply by $\min(1, c / (n + 10^{-6}))$, where
#    $c$ is `max_norm`.
# 3. **Ask the schedule**: `schedule(k)` is the learning rate after $k$ steps, so the first step gets
#    `schedule(0)`.
# 4. **AdamW** on `master`, in float32, with bias correction. Only arrays with at least two axes decay.
# 5. **Round** the new master copy to bfloat16 for the next forward pass: `round_to_bfloat16`, imported above.
#
# The state is `{"m": dict, "v": dict, "step": int}`. Return three things: `weights` and `master`, each a
# dict like the `master` that you get, and the new state. Change none of your inputs, and keep float32
# (`np.sqrt` of a plain number is a float64; `math.sqrt` is not).


# %% exercise="llm_step"
def llm_step(grads, tokens, state, master, schedule, beta1, beta2, eps, weight_decay, max_norm):
    """Return (weights, master, state) after one step of the whole recipe."""
    ### BEGIN SOLUTION
    from course import averaging

    mean = {name: sum(n * g[name] for n, g in zip(tokens, grads)) / sum(tokens) for name in master}
    norm = sum((g**2).sum() for g in mean.values()) ** 0.5
    factor = min(1.0, max_norm / (norm + 1e-6))
    lr = schedule(state["step"])
    t = state["step"] + 1
    m, v, new = {}, {}, {}
    for name, theta in master.items():
        g = factor * mean[name]
        m[name] = beta1 * state["m"][name] + (1 - beta1) * g
        v[name] = beta2 * state["v"][name] + (1 - beta2) * g**2
        adam = (m[name] / (1 - beta1**t)) / (np.sqrt(v[name] / (1 - beta2**t)) + eps)
        decay = weight_decay * theta if theta.ndim >= 2 else 0.0
        new[name] = theta - lr * (adam + decay)
    weights = {name: averaging.round_to_bfloat16(theta) for name, theta in new.items()}
    return weights, new, {"m": m, "v": v, "step": t}
    ### END SOLUTION


# %% check="llm_step" tags=["nbval-check-output"]
check(llm_step)

# %% [markdown]
# ## Validate: 200 steps beside the parts
#
# The same step put together from the library's parts, which lesson 07 held to PyTorch. `update` below is
# the one that trains the network further down.


# %% tags=["nbval-check-output"]
def update(rules, clip, schedule, grads, counts, step, weights, states):
    """Return (weights, states, norm): accumulate, clip, ask the schedule, AdamW on the master copy, round.

    rules: one for each group of parameters. grads: a tree for each micro-batch, and counts its tokens.
    """
    window = Accumulator(dtype="float32")
    held = window.init()
    for grad, count in zip(grads, counts):
        held = window.add(grad, held, count)
    clipped, norm = clip(window.mean(held))
    after = {}
    for group, rule in rules.items():
        now, grad = rule.with_hyperparameters(lr=schedule(step)), clipped[group]
        if not isinstance(rule, MasterWeights):  # without a master copy all is of 16 bits
            grad = grad.to(weights[group].dtype)
        after[group] = now.step(grad, states[group], weights[group])
    return {g: a[0] for g, a in after.items()}, {g: a[1] for g, a in after.items()}, norm


rng, shapes = np.random.default_rng(3), {"matrix": (6, 4), "vector": (4,)}
draw = lambda: {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
windows = [([draw() for _ in range(3)], rng.integers(1, 40, 3).tolist()) for _ in range(200)]
schedule, start = Cosine(lr=0.01, total=200, warmup=20, floor=0.001), draw()
rules = {
    name: MasterWeights(AdamW(betas=(0.9, 0.95), weight_decay=0.1 * (name == "matrix"))) for name in shapes
}
weights = {name: torch.from_numpy(x).bfloat16() for name, x in start.items()}
states = {name: rule.init(weights[name]) for name, rule in rules.items()}
clip = lambda grads: clip_by_norm(grads, max_norm=1.0)
zeros = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
master = {name: weights[name].float().numpy() for name in shapes}
state, far = {"m": zeros, "v": zeros, "step": 0}, 0.0
if written(llm_step):
    for step, (grads, counts) in enumerate(windows):
        as_tensors = [{name: torch.from_numpy(x) for name, x in g.items()} for g in grads]
        weights, states, _ = update(rules, clip, schedule, as_tensors, counts, step, weights, states)
        mine, master, state = llm_step(grads, counts, state, master, schedule, 0.9, 0.95, 1e-8, 0.1, 1.0)
        far = max(far, *(deviation(master[n], states[n]["master"].numpy()) for n in shapes))
    print("200 steps, yours beside the parts in torch, master copies agree to 1e-5:", far < 1e-5)

# %% [markdown]
# ## Put it together
#
# The text is Python's own manual, which ships with Python: about 370 thousand characters. The model reads
# characters and guesses the next one. It is a transformer with two layers and about 200 thousand
# parameters: small enough for two cores and half a minute, and the step that trains it is the one of the
# large.
#
# One detail will matter. In each block the normalization comes *after* the sum, as in the transformer of
# 2017. (Most later models have it before, which is more forgiving.)

# %%
text = prose()
CHARACTERS = sorted(set(text))
code = {c: i for i, c in enumerate(CHARACTERS)}
ids = torch.tensor([code[c] for c in text])
TRAIN = len(ids) * 9 // 10  # the last tenth is held out


@dataclass(frozen=True)
class Size:
    width: int
    heads: int
    layers: int
    context: int

    def shapes(self):
        """Return the shapes of the matrices, which decay, and of the vectors, which do not."""
        d = self.width
        matrices = {"token": (len(CHARACTERS), d), "place": (self.context, d), "head": (d, len(CHARACTERS))}
        vectors = {}
        for i in range(self.layers):
            matrices |= {
                f"qkv{i}": (d, 3 * d),
                f"out{i}": (d, d),
                f"up{i}": (d, 4 * d),
                f"down{i}": (4 * d, d),
            }
            vectors |= {f"gain{i}a": (d,), f"gain{i}b": (d,), f"bias{i}a": (4 * d,), f"bias{i}b": (d,)}
        return {"matrices": matrices, "vectors": vectors}


def initial(size, seed):
    """Return the weights, all matrices in one long vector and all vectors in another."""
    draw, flat = torch.Generator().manual_seed(seed), {"matrices": [], "vectors": []}
    for name, (rows, columns) in size.shapes()["matrices"].items():
        scale = 0.02 if name in ("token", "place") else rows**-0.5
        if name[:3] in ("out", "dow"):  # what is added to the stream, as in GPT-2
            scale *= (2 * size.layers) ** -0.5
        flat["matrices"].append(scale * torch.randn(rows * columns, generator=draw))
    for name, (length,) in size.shapes()["vectors"].items():
        flat["vectors"].append(torch.full((length,), float(name.startswith("gain"))))
    return {group: torch.cat(parts) for group, parts in flat.items()}


def scores(size, flat, x):
    """Return the score of each next character, for many networks at once.

    flat: arrays of shape (runs, weights). x: characters, (runs, batch, time).
    """
    p, (runs, batch, time) = {}, x.shape
    for group, shapes in size.shapes().items():
        parts = flat[group].split([math.prod(s) for s in shapes.values()], dim=1)
        p |= {name: part.unflatten(1, s) for part, (name, s) in zip(parts, shapes.items())}
    times = lambda z, name: (z.flatten(1, 2) @ p[name]).unflatten(1, (batch, time))
    normed = lambda z, name: layer_norm(z, z.shape[-1:]) * p[name][:, None, None]
    first = len(CHARACTERS) * torch.arange(runs, device=x.device)[:, None, None]
    h = embedding(x + first, p["token"].flatten(0, 1)) + p["place"][:, None, :time]
    for i in range(size.layers):
        qkv = times(h, f"qkv{i}").view(runs * batch, time, 3, size.heads, -1).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(*qkv, is_causal=True).transpose(1, 2).reshape(h.shape)
        h = normed(h + times(seen, f"out{i}"), f"gain{i}a")
        inner = relu(times(h, f"up{i}") + p[f"bias{i}a"][:, None, None])
        h = normed(h + times(inner, f"down{i}") + p[f"bias{i}b"][:, None, None], f"gain{i}b")
    return times(h, "head")


def loss_of(size, flat, x):
    """Return the mean loss of each network over the characters of x, which holds one more than is read."""
    guess = scores(size, flat, x[:, :, :-1])
    each = cross_entropy(guess.flatten(0, 2), x[:, :, 1:].flatten(), reduction="none")
    return each.view(len(x), -1).mean(dim=1)


# %% [markdown]
# Now the loop. `Recipe` holds the settings. `train` runs several recipes and seeds at once: the weights of
# all of them lie in one array, and one matrix product serves all. Weights and gradients are bfloat16 numbers.
# The products are computed in float32, since few processors are fast in bfloat16; the update does not see the
# difference.


# %%
@dataclass(frozen=True)
class Recipe:
    lr: float = 0.01
    warmup: int = 10
    beta2: float = 0.95
    decay: float = 0.1
    max_norm: float = 1.0
    master: bool = True
    faulty: int = -1  # the step that gets noise for a gradient

    def rules(self):
        decays = {"matrices": self.decay, "vectors": 0.0}
        made = {g: AdamW(betas=(0.9, self.beta2), weight_decay=d) for g, d in decays.items()}
        return {g: MasterWeights(rule) for g, rule in made.items()} if self.master else made


def batch_of(size, batch, draws, low, high):
    """Return sequences from random places of the text between low and high, for each generator its own."""
    last = high - size.context - 1
    at = torch.stack([torch.randint(low, last, (batch,), generator=draw) for draw in draws])
    return ids[at[..., None] + torch.arange(size.context + 1)].to(DEVICE)


def train(recipes, size, seeds, steps, batch, accumulation=1, every=10, bar=False):
    """Train one network for each recipe and seed; return their weights and what was measured.

    Measured: the held-out loss every so many steps, and at each step the training loss and the norm.
    """
    begin = [initial(size, seed) for seed in seeds]
    start = {g: torch.stack([b[g] for b in begin]).bfloat16().to(DEVICE) for g in begin[0]}
    weights, rules = [start] * len(recipes), [r.rules() for r in recipes]
    states = [{g: rule.init(start[g]) for g, rule in each.items()} for each in rules]
    schedules = [Cosine(lr=r.lr, total=steps, warmup=r.warmup, floor=r.lr / 10) for r in recipes]
    # vmap: each network's gradients are clipped by themselves.
    clips = [torch.vmap(lambda g, most=r.max_norm: clip_by_norm(g, most)) for r in recipes]
    draws = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    held = batch_of(size, 32, [torch.Generator().manual_seed(7)], TRAIN, len(ids))
    mine = [slice(i * len(seeds), (i + 1) * len(seeds)) for i in range(len(recipes))]
    measured = {"held": [], "loss": [], "norm": []}
    for step in tqdm(range(steps + 1), desc="steps", mininterval=0.5, disable=not bar):
        if step % every == 0:
            with torch.no_grad():
                wide = {g: torch.cat([w[g] for w in weights]).float() for g in start}
                measured["held"].append(loss_of(size, wide, held.expand(len(mine) * len(seeds), -1, -1)))
        if step == steps:  # the last turn only measures
            continue
        windows, losses = [], []
        for _ in range(accumulation):
            wide = {g: torch.cat([w[g] for w in weights]).float().requires_grad_() for g in start}
            x = batch_of(size, batch, draws, 0, TRAIN).repeat(len(recipes), 1, 1)
            losses.append(loss_of(size, wide, x))
            grads = torch.autograd.grad(losses[-1].sum(), list(wide.values()))
            windows.append({group: grad.bfloat16() for group, grad in zip(wide, grads)})
        norms, counts = [], [batch * size.context] * accumulation
        for i, recipe in enumerate(recipes):
            own = [{g: grad[mine[i]] for g, grad in window.items()} for window in windows]
            if recipe.faulty == step:
                noise = torch.Generator().manual_seed(9)
                own = [{g: torch.randn(x.shape, generator=noise).to(x) for g, x in w.items()} for w in own]
            weights[i], states[i], norm = update(
                rules[i], clips[i], schedules[i], own, counts, step, weights[i], states[i]
            )
            norms.append(norm)
        measured["loss"].append(torch.stack(losses).mean(dim=0).detach())
        measured["norm"].append(torch.cat(norms))
    shape = (-1, len(recipes), len(seeds))
    return weights, {what: torch.stack(x).cpu().numpy().reshape(shape) for what, x in measured.items()}


def sample(size, flat, start, length=180, temperature=0.7):
    """Return the start with characters drawn one after the other."""
    draw, written_so_far = torch.Generator().manual_seed(4), [code[c] for c in start]
    wide = {g: w[:1].float() for g, w in flat.items()}
    with torch.no_grad():
        for _ in range(length):
            x = torch.tensor(written_so_far[-size.context :], device=DEVICE)
            odds = (scores(size, wide, x[None, None])[0, 0, -1] / temperature).softmax(0).cpu()
            written_so_far.append(int(torch.multinomial(odds, 1, generator=draw)))
    return "".join(CHARACTERS[i] for i in written_so_far)


size = Size(width=88, heads=4, layers=2, context=48)
count = sum(math.prod(s) for shapes in size.shapes().values() for s in shapes.values())
print(f"{len(text):,} characters of {len(CHARACTERS)} kinds; {count:,} parameters")
untrained = {g: w[None].to(DEVICE) for g, w in initial(size, 0).items()}
print("before:", repr(sample(size, untrained, "The ", length=60)))

# %% [markdown]
# Before training it writes noise. Now the whole recipe: peak 0.005, a tenth of the steps for warmup, a
# floor of a tenth of the peak, and two micro-batches a step.
#
# Three words for what follows. The loss is counted in **nats** per character: the natural logarithm of 1 over
# the probability that the model gave to the character that came. It is **held out** where it is measured on
# the last tenth of the text, which no step reads. And **letter frequencies** are all that a guesser has who
# knows how often each character occurs, and nothing of those before it. The loss of that guesser is the
# entropy of the frequencies, a line in the picture: a model below it has learned something from the context.

# %%
steps = 5000 if LONG else 250
recipe = Recipe(lr=0.005, warmup=steps // 10)
weights, seen = train([recipe], size, [0], steps, batch=8, accumulation=2, every=steps // 25, bar=True)
odds = np.bincount(ids[:TRAIN].numpy()) / TRAIN
letters = -(odds[odds > 0] * np.log(odds[odds > 0])).sum()
print(f"held-out loss {seen['held'][0, 0, 0]:.2f} -> {seen['held'][-1, 0, 0]:.2f} nats per character")
print(f"letter frequencies alone would give {letters:.2f}")
print(sample(size, weights[0], "The "))

# %%
figure, all_axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
all_axes[0].plot(seen["loss"][:, 0, 0], color=COLORS["sky"], lw=0.8, label="training")
marks = np.arange(len(seen["held"])) * (steps // 25)
all_axes[0].plot(marks, seen["held"][:, 0, 0], "o-", color=COLORS["blue"], ms=3, label="held out")
all_axes[0].axhline(letters, color=COLORS["black"], lw=0.8, ls="--", label="letter frequencies")
all_axes[0].set(ylabel="loss, nats per character")
all_axes[0].legend(frameon=False, fontsize=8)
rate = Cosine(lr=recipe.lr, total=steps, warmup=recipe.warmup, floor=recipe.lr / 10)
all_axes[1].plot([1000 * rate(k) for k in range(steps)], color=COLORS["blue"])
all_axes[1].set(ylabel="learning rate, thousandths", ylim=(0, None))
all_axes[2].plot(seen["norm"][:, 0, 0], color=COLORS["blue"], lw=0.8)
all_axes[2].axhline(recipe.max_norm, color=COLORS["vermillion"], lw=1.2, label="clipped above")
all_axes[2].set(ylabel="norm of the gradient", ylim=(0, None))
all_axes[2].legend(frameon=False, fontsize=8)
for axes in all_axes:
    axes.set(xlabel="step")
plt.show()
alt(
    "Three pictures over the steps. The loss falls from over 5, within the first steps below the dashed line "
    "of what letter frequencies alone would give, and goes on falling to about 2.3. The learning rate climbs "
    "in a line, and falls along half a cosine to a tenth. The norm of the gradient is above 1 at the "
    "beginning, where it is clipped, and mostly below it later."
)

# %% tags=["nbval-check-output"]
print("held-out loss below what letter frequencies give:", bool(seen["held"][-1, 0, 0] < letters - 0.5))
print("clipped at the first step:", bool(seen["norm"][0, 0, 0] > 1))

# %% [markdown]
# In 250 steps it has learned which letters follow each other, how long a word is, and a few short words. Set
# `LONG = True` at the top and run the lesson again: after 5000 steps, two to six minutes on
# one core, the held-out loss is near 1.5, and it writes mostly in words.
#
# ## Leave one part out
#
# What does each part contribute? Train without it. A smaller network, 80 steps, three seeds each; within
# a seed all recipes start from the same weights and read the same texts.

# %%
predict(
    "09-leave-out",
    "Leave out one part, at learning rate 0.01. Which omission costs most, after 80 steps?",
    ["Warmup", "Clipping", "beta2 = 0.95", "Decay", "The master copy"],
)

# %%
small, seeds, whole = Size(width=32, heads=2, layers=2, context=32), [0, 1, 2], Recipe()
OMISSIONS = {
    "no warmup": {"warmup": 0},
    "no clipping": {"max_norm": math.inf},
    "beta2 0.999": {"beta2": 0.999},
    "no decay": {"decay": 0.0},
    "no master copy": {"master": False},
}
recipes = [whole, *(replace(whole, **change) for change in OMISSIONS.values())]
usual = train(recipes, small, seeds, 80, batch=8, every=8)[1]["held"]


def compare(axes, full, without, title):
    """Draw the mean and the range of the seeds of two recipes."""
    x = 8 * np.arange(len(full))
    for runs, name, color, dash in (
        (full, "whole recipe", "blue", "-"),
        (without, "without", "vermillion", "--"),
    ):
        axes.plot(x, runs.mean(axis=1), dash, color=COLORS[color], lw=1.6, label=name)
        axes.fill_between(x, runs.min(axis=1), runs.max(axis=1), color=COLORS[color], alpha=0.2, lw=0)
    axes.set(title=title, xlabel="step", ylim=(2.5, 3.6))


figure, all_axes = plt.subplots(2, 3, figsize=(8.4, 5), layout="constrained", sharey=True)
*panels, last = all_axes.flat
for i, (axes, name) in enumerate(zip(panels, OMISSIONS), start=1):
    compare(axes, usual[:, 0], usual[:, i], name)
for axes in all_axes[:, 0]:
    axes.set(ylabel="held-out loss, nats")
last.axis("off")
last.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="center")
plt.show()
alt(
    "Five pictures of the held-out loss over 80 steps, each with the whole recipe and one omission, and the "
    "range of three seeds. Without warmup the loss is a little lower until about step 40, and the same at "
    "the end. Without clipping it is behind throughout, by about a tenth at the end. In the other three the "
    "lines lie on each other."
)

# %%
for i, name in enumerate(OMISSIONS, start=1):
    extra = usual[-1, i] - usual[-1, 0]
    print(f"{name:15s} costs {extra.mean():+.3f}, seed by seed {', '.join(f'{x:+.3f}' for x in extra)}")

# %% tags=["nbval-check-output"]
cost = dict(zip(OMISSIONS, (usual[-1, 1:] - usual[-1, 0]).mean(axis=1)))
options = ["Warmup", "Clipping", "beta2 = 0.95", "Decay", "The master copy"]
reveal(
    "09-leave-out",
    options[int(np.argmax(list(cost.values())))],
    "Each of the others changes the loss by about a hundredth.",
)

# %% [markdown]
# Read it soberly. Only clipping is missed, in every seed and from the first steps on. A likely reason: the
# first gradients are the longest, and without clipping their squares stay in $v$ and hold back the steps
# after them.
#
# The other four make differences too small to matter here. Without warmup the network is even ahead until
# about step 40, since its first steps are longer, and the lead is gone at the end. The missing master copy
# costs a little in every seed, at most about a hundredth. That does not prove these parts useless, and a
# figure in which each of them helps a lot would be a fairy tale at this size. Let us ask instead *when* each
# matters.
#
# - **Warmup** guards against steps that are too long too early. So take longer steps: three times the rate.
# - **Clipping** guards against a bad gradient. So let one step get noise for a gradient, from a faulty
#   machine, say.
# - **The master copy** catches steps that are too small for bfloat16. So take a small rate: 0.0003.

# %%
CASES = {
    "no warmup at lr 0.03": (Recipe(lr=0.03), {"warmup": 0}),
    "no clipping and a faulty gradient": (Recipe(faulty=40), {"max_norm": math.inf}),
    "no master copy at lr 0.0003": (Recipe(lr=0.0003), {"master": False}),
}
pairs = [each for recipe, change in CASES.values() for each in (recipe, replace(recipe, **change))]
pressed = train(pairs, small, seeds, 80, batch=8, every=8)[1]["held"]
sound = usual[:, 1 + list(OMISSIONS).index("no clipping")]  # without clipping, and no gradient is faulty
figure, all_axes = plt.subplots(1, 3, figsize=(10, 4), layout="constrained", sharey=True)
for i, (axes, name) in enumerate(zip(all_axes, CASES)):
    compare(axes, pressed[:, 2 * i], pressed[:, 2 * i + 1], name.replace(" a", "\na", 1))
    axes.set(ylim=(2.5, 4.7))
all_axes[0].axhline(letters, color=COLORS["black"], lw=0.9, ls=":", label="letter frequencies")
steps_shown = 8 * np.arange(len(sound))
all_axes[1].plot(
    steps_shown, sound.mean(axis=1), "-.", color=COLORS["black"], lw=1.2, label="without, no fault"
)
all_axes[1].axvline(40, ymax=0.65, color=COLORS["black"], lw=0.8, ls=":", label="the fault")
all_axes[0].set(ylabel="held-out loss, nats")
for axes in all_axes[:2]:
    axes.legend(frameon=False)
plt.show()
alt(
    "Three pictures of the held-out loss on one scale, with the range of three seeds. At rate 0.03 the "
    "network without warmup stops near the line of letter frequencies, while the whole recipe goes on down. "
    "A dotted line marks the faulty gradient at step 40: the network without clipping is behind before it, "
    "and from there on it falls more slowly than a third line, without clipping and without a fault. At rate "
    "0.0003 the network without master copy falls behind from the first steps, and stands still at the end."
)

# %%
for i, name in enumerate(CASES):
    extra = pressed[-1, 2 * i + 1] - pressed[-1, 2 * i]
    print(f"{name:33s} costs {extra.mean():+.2f}, seed by seed {', '.join(f'{x:+.2f}' for x in extra)}")
print()
at_fault = 40 // 8
whole_run, faulty, unclipped = usual[:, 0], pressed[:, 2], pressed[:, 3]
print(f"at step 40, before the fault, without clipping: {(unclipped - faulty)[at_fault].mean():+.2f} behind")
print(f"the fault itself costs {(faulty - whole_run)[-1].mean():+.2f} with clipping, ", end="")
print(f"{(unclipped - sound)[-1].mean():+.2f} without")
slower = (unclipped[at_fault] - unclipped[-1]).mean() / (sound[at_fault] - sound[-1]).mean()
print(f"after it, the network without clipping learns {slower:.0%} of what it learns without a fault")

# %% tags=["nbval-check-output"]
print("in every seed the loss is higher with:")
for name, higher in zip(CASES, (pressed[-1, 1::2] > pressed[-1, ::2]).all(axis=1)):
    print(f"  {name}: {bool(higher)}")

# %% [markdown]
# Without warmup the first long steps drive this network to a place from which it does not come back: it
# knows no more than letter frequencies, the dotted line. How much warmup a network needs depends on the
# network. Xiong et al. (2020, *On Layer Normalization in the Transformer Architecture*) found that
# transformers with the normalization before each block could be trained without any.
#
# Of the cost in the second picture, one part is not the fault's. The network without clipping is behind
# before step 40, as it was in the last figure. The other part is the fault's, as the third line shows: after
# it the network goes on learning, but at about a third of the speed. The squares of the faulty gradient stay
# in $v$, as in the picture of the outlier above. With clipping the same fault costs almost nothing.
#
# And without a master copy, a step of 0.0003 is less than half the spacing of bfloat16 numbers from an eighth
# up. It rounds to nothing:

# %% tags=["nbval-check-output"]
for weight in (0.02, 0.1, 0.2, 1.0):
    now = torch.tensor(weight).bfloat16()
    print(f"a weight of {weight:4g} in bfloat16 minus 0.0003:", "moves" if now - 0.0003 != now else "stays")

# %% [markdown]
# And the two others?
#
# - **$\beta_2 = 0.999$** has a memory of 1000 steps. This run has 80, and over so few the bias correction
#   makes nearly a plain mean of it: there is nothing yet to forget. What it does in a long run, you have
#   seen above.
# - **Decay** takes the share $\eta\lambda$ per step (lesson 06), $1 - e^{-\lambda\sum\eta}$ over the run.
#   Compute it for our run and for the published ones:

# %% tags=["nbval-check-output"]
small_run = Cosine(lr=whole.lr, total=80, warmup=whole.warmup, floor=whole.lr / 10)
exponents = {"the run above": whole.decay * sum(small_run(k) for k in range(80))}
for name in ("GPT-3 175B", "Llama 2 70B", "Llama 3 405B", "DeepSeek LLM 67B", "DeepSeek-V3"):
    published = RECIPES[name]
    curve, every = published.schedule(), published.steps // 1000
    exponents[name] = published.weight_decay * every * sum(curve(k) for k in range(0, published.steps, every))
for name, exponent in exponents.items():
    print(f"{name:17s} decay alone would take {100 * (1 - math.exp(-exponent)):3.0f} % of a weight")

# %% [markdown]
# In 80 steps decay takes 4 per cent: too little to be seen in the loss. It takes a quarter in GPT-3's run,
# and nearly all in the others. What looks like one hyperparameter, $\lambda = 0.1$, is in truth the
# product with the rate and the length of the run.

# %% [markdown]
# ## In the wild
#
# **Schedules that count the wrong steps.** A schedule counts updates. With accumulation there are fewer of
# them than batches. In January 2023 it was found that the schedulers of Accelerate stepped at every
# micro-batch, whether an update was made or not (huggingface/accelerate, issue 963, mended by pull request
# 999). The other way round a schedule never comes to its end: its length is multiplied by the accumulation,
# and it is advanced once an update (huggingface/diffusers, issue 4387). The loss looks fine both times.
# What rate did the last update have?

# %% tags=["nbval-check-output"]
updates, accumulation = 1000, 4
right = Cosine(lr=1.0, total=updates, warmup=100, floor=0.1)
slow = Cosine(lr=1.0, total=updates * accumulation, warmup=100 * accumulation, floor=0.1)
last = updates - 1
print(f"the last update's rate: {right(last):.2f} as meant, {slow(last):.2f} advanced too slowly, ", end="")
print(f"and the floor from update {updates // accumulation} on, advanced at every micro-batch")

# %% [markdown]
# **Figures that travel without a source.** Llama 3's paper gives its rate, warmup, and batch sizes; betas,
# decay and clipping it does not give. What is quoted for them is Llama 2's. It may well be right. But the
# table above tells one from the other, and so should you.

# %% tags=["nbval-check-output"]
for name in ("Llama 2 70B", "Llama 3 405B", "DeepSeek-V3", "GPT-3 175B"):
    print(f"{name:13s} not found in its source: {', '.join(RECIPES[name].unchecked())}")

# %% [markdown]
# ## What you now know
#
# - The order of a step: accumulate by tokens, clip once, ask the schedule, AdamW on the master copy, round.
# - Mixed precision with AdamW takes 16 bytes for each parameter. GB and GiB part by 7 per cent.
# - A step reads micro-batch times sequence times accumulation times ranks.
# - Warmup keeps the steps short that know least. With $\beta_2 = 0.95$, 20 steps hold 64 % of $v$: an outlier
#   of 100 is overcome after about 170 steps, with 0.999 not after 400. Clipping lets it into the moments no
#   larger than any other gradient.
# - Not every large model has a cosine.
# - At a small scale most of it is insurance. It pays when the rate is high, a gradient is bad, a step is
#   small, or the run is long.
#
# Next comes lesson 10: the same step once more, and how fast a machine can take it.
