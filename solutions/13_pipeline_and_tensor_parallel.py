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
# # 13 A model in pieces: pipeline and tensor parallelism
#
# ZeRO (lesson 12) stores each weight once, and still computes with whole layers: it brings the weights to the
# data. One can also leave the weights where they are and bring the data to them. Then what travels is
# *activations*, and the gradients of activations.
#
# There are two ways to cut. A *pipeline* deals out whole layers: rank 0 has the first ones, rank 1 the next.
# *Tensor parallelism* cuts each layer: every rank has a part of every weight.
#
# After this lesson you will be able to
#
# - write the schedules GPipe and 1F1B, and say what a stage waits and what it holds,
# - run one stage of a pipeline among its neighbours, and get the gradient of the whole batch,
# - cut a linear layer by columns and by rows, and say where the two all-reduces of a pair belong,
# - compare what data parallelism, ZeRO 3, tensor parallelism and a pipeline send, and say why tensor
#   parallelism stays inside a node.
#
# It is a long lesson: with its six exercises give it about 100 minutes. The heading *Tensor parallelism* is a
# good place to stop, and to go on another day.

# %% tags=["nbval-check-output"]
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from course import check, cluster, hint, passed, predict, reveal
from course.cluster.data_parallel import DataParallel
from course.cluster.fsdp import FullyShard
from course.cluster.mesh import mesh
from course.cluster.models import MLP
from course.cluster.pipeline import Pipeline, chunk_of
from course.cluster.plan import HARDWARE, Job, Layout, make_plan
from course.cluster.schedules import SCHEDULES, Work, interleaved, timeline, zero_bubble
from course.cluster.tensor import TensorAttention, TensorMLP
from course.exercises import find
from course.microscope import look
from course.rules import SGD, AdamW
from course.widgets import alt, pipeline_chart
from course.widgets.style import COLORS

print("ready")

# %% [markdown]
# ## Predict
#
# Four ranks, each with a quarter of the layers. Rank 1 can begin only when rank 0 has finished. So the batch
# is cut into *micro-batches* that follow each other, as cars on a line. Say there are four of them. All go
# forward first, then all go back. A backward takes twice as long as a forward.

# %%
predict(
    "13-bubble",
    "What share of the time does each rank wait?",
    ["About a tenth", "A quarter", "About four tenths", "Three quarters"],
)

# %% tags=["nbval-check-output"]
waits = timeline(SCHEDULES["gpipe"](4, 4)).bubble
print(f"4 stages, 4 micro-batches: each waits {waits:.0%} of the time")
reveal(
    "13-bubble",
    "About four tenths" if 0.38 < waits < 0.47 else "?",
    "Each has 4 pieces of work and waits for 3 others to do one: 3 of 7.",
)

# %% [markdown]
# ## See
#
# Start with GPipe and raise the micro-batches: the end moves towards 1, the time of the work itself. In the
# second picture the memory rises. Then go to 1F1B, with the same numbers. The end stays where it is; look at
# what the stages hold. Then the other two: *interleaved* gives each stage two thin slices of the model in the
# place of one thick one, *zero bubble* cuts the backward in two. More of both below.

# %%
pipeline_chart()

# %% [markdown]
# The time in which a stage waits is the *bubble*. It is often said that 1F1B makes it smaller. It does not:
# it makes the *memory* smaller, and the bubble is that of GPipe. What the memory allows, more micro-batches,
# is what shrinks the bubble.

# %% [markdown]
# ## A schedule is data
#
# For each stage, in which order does it work on what? `("F", 2)` is the forward of micro-batch 2, `("B", 2)`
# its backward. A schedule is a list with one list of such pairs for each stage. It says nothing of time: each
# piece runs as soon as what it needs is there. The library's `timeline` does just that, on paper. The cell
# draws one with it. A dot is a stage that waits; it is drawn, and not part of the schedule.

# %% tags=["nbval-check-output"]


def on_paper(plan):
    """Run lists of pairs on paper."""
    return timeline([[Work(*pair) for pair in works] for works in plan])


def chart(plan):
    """Print a schedule as a time chart: a forward takes one column, a backward two."""
    seen = on_paper(plan)
    for stage, spans in enumerate(seen.spans):
        cells = [" ."] * int(seen.length)
        for work, start, end in spans:
            cells[int(start) : int(end)] = [str(work)] + ["--"] * int(end - start - 1)
        print(f"stage {stage}:", " ".join(cells))
    print(f"length {seen.length:.0f}, waiting {seen.bubble:.0%}, held at once by stage: {seen.held}")


chart([[("F", 0), ("F", 1), ("B", 0), ("B", 1)], [("F", 0), ("B", 0), ("F", 1), ("B", 1)]])

# %% [markdown]
# ## Build: `gpipe_schedule`
#
# GPipe (Huang et al., 2019): every stage does all forwards, then all backwards. Micro-batches come in order
# both ways, from 0 on.


# %% exercise="gpipe_schedule"
def gpipe_schedule(stages, micros):
    """Return for each stage a list of ("F", micro) and ("B", micro), in the order of its work."""
    ### BEGIN SOLUTION
    forwards = [("F", i) for i in range(micros)]
    backwards = [("B", i) for i in range(micros)]
    return [forwards + backwards for _ in range(stages)]
    ### END SOLUTION


# %% check="gpipe_schedule" tags=["nbval-check-output"]
check(gpipe_schedule)

# %% [markdown]
# ## Build: `one_f_one_b`
#
# A micro-batch that has been forward is *held*: its activations must stay until its backward. Under GPipe
# every stage comes to hold all of them. But the last stage could go back at once, and free what it holds. The
# stage before it could go back right after that.
#
# 1F1B does so. The order comes from PipeDream (Narayanan et al., 2019). That one is asynchronous: it updates
# while other batches are under way, and keeps old weights for them. What stale weights do is the matter of
# [lesson 14](14_synchronous_or_not.ipynb). Here all micro-batches are done before the update. That form is
# PipeDream-Flush (Narayanan et al., 2021), and it is the one meant by 1F1B today.
#
# A stage begins with as many forwards as there are *later* stages. That fills the pipeline. Then it does one
# forward and one backward in turn. When no forward is left, the backwards go on. In order again, both ways.
# There may be fewer micro-batches than stages.


# %% exercise="one_f_one_b"
def one_f_one_b(stages, micros):
    """Return for each stage a list of ("F", micro) and ("B", micro), in the order of its work."""
    ### BEGIN SOLUTION
    plan = []
    for s in range(stages):
        warm = min(stages - s - 1, micros)
        works = [("F", i) for i in range(warm)]
        for i in range(micros):
            if warm + i < micros:
                works.append(("F", warm + i))
            works.append(("B", i))
        plan.append(works)
    return plan
    ### END SOLUTION


# %% check="one_f_one_b" tags=["nbval-check-output"]
check(one_f_one_b)

# %% tags=["nbval-check-output"]
all_first = gpipe_schedule if passed(gpipe_schedule) else find("gpipe_schedule").reference
in_turn = one_f_one_b if passed(one_f_one_b) else find("one_f_one_b").reference
chart(all_first(3, 5))
chart(in_turn(3, 5))

# %% [markdown]
# The same length, to the last column. But the first stage holds 3 instead of 5, and the last holds 1. At
# most $p - s$ micro-batches are held at stage $s$ of $p$: a number that no longer depends on how many there
# are.
#
# ## The bubble
#
# Call a *piece* the forward and the backward of one micro-batch through one stage. A stage has $m$ pieces to
# do. It waits for $p-1$ forwards of others and for $p-1$ backwards: that is $p-1$ pieces. So
#
# $$\text{bubble} = \frac{\text{waiting}}{\text{work} + \text{waiting}} = \frac{p-1}{m + p - 1} .$$
#
# *Interleaving* gives each rank $v$ chunks of layers that lie apart, say layers 0-1 and 8-9. A piece is then
# $1/v$ as long, and a rank has $v\,m$ of them. It still waits for only $p-1$. In return every micro-batch
# crosses $v$ times as many borders between ranks.
#
# ## Build: `bubble_fraction`
#
# The waiting share of the *whole* time, for $v$ = `chunks`. The check does not know the formula: it runs
# schedules on paper.


# %% exercise="bubble_fraction"
def bubble_fraction(stages, micros, chunks=1):
    """Return which part of the whole time a stage waits."""
    ### BEGIN SOLUTION
    return (stages - 1) / (chunks * micros + stages - 1)
    ### END SOLUTION


# %% check="bubble_fraction" tags=["nbval-check-output"]
check(bubble_fraction)

# %% [markdown]
# The cell draws your formula (the library's, while yours is not right) through points that are measured on
# paper: four stages, four schedules. Beside it: what the first stage holds. A chunk's activations
# count as half a stage's there.
#
# The fourth schedule, *zero bubble* (Qi et al., 2023), cuts the backward in two. For the stage before it only
# the gradient in the *input* is urgent. The gradient in the *weights* nobody waits for, so it fills the gaps.

# %%
STAGES, COUNTS = 4, np.array([4, 8, 12, 16, 24, 32])
STYLES = {
    "gpipe": ("GPipe", "vermillion", "s", 1),
    "1f1b": ("1F1B", "blue", "o", 1),
    "interleaved": ("interleaved, 2 chunks", "green", "^", 2),
    "zero_bubble": ("zero bubble", "purple", "D", 1),
}
bubble = bubble_fraction if passed(bubble_fraction) else find("bubble_fraction").reference
figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.5), layout="constrained")
measured = {}
for name, (label, color, marker, chunks) in STYLES.items():
    runs = [timeline(SCHEDULES[name](STAGES, int(m))) for m in COUNTS]
    measured[name] = np.array([run.bubble for run in runs])
    style = {"color": COLORS[color], "marker": marker, "ms": {"gpipe": 12, "1f1b": 8}.get(name, 5)}
    left.plot(COUNTS / STAGES, measured[name], ls="", **style, label=label)
    right.plot(COUNTS / STAGES, [run.held[0] / chunks for run in runs], lw=1.2, **style, label=label)
fine = range(STAGES, int(COUNTS[-1]) + 1, STAGES)
for chunks in (1, 2):
    line = [bubble(STAGES, m, chunks) for m in fine]
    left.plot(np.array(fine) / STAGES, line, color=COLORS["black"], lw=0.8, label=None)
left.set(xlabel="micro-batches for each stage", ylabel="waiting, part of the time", ylim=(0, 0.5))
right.set(
    xlabel="micro-batches for each stage", ylabel="held by the first stage, micro-batches", ylim=(0, 34)
)
right.legend(frameon=False)
plt.show()
alt(
    "Left: the waiting share falls with the micro-batches for each of four stages, from 0.43 for GPipe and "
    "1F1B, which lie on each other, 0.27 interleaved and 0.2 with zero bubble, to under 0.1 for all. Thin "
    "lines are the formula, for one and for two chunks. Right: what the first stage holds. GPipe's line "
    "climbs with the micro-batches from 4 to 32. Interleaved rises from 4 to 5.5 and stays there. 1F1B and "
    "zero bubble stay at 4."
)

# %% tags=["nbval-check-output"]
agrees = all(np.isclose(bubble(STAGES, int(m)), b) for m, b in zip(COUNTS, measured["1f1b"]))
print("the formula agrees with the paper runs:", agrees)
print("1F1B waits exactly as long as GPipe:", np.array_equal(measured["1f1b"], measured["gpipe"]))
print(f"8 micro-batches, interleaved: {measured['interleaved'][1]:.2f} instead of {measured['1f1b'][1]:.2f}")
print("4 for each stage:", ", ".join(f"{p} stages {bubble(p, 4 * p):.3f}" for p in (4, 16, 64)))
for name in ("gpipe", "1f1b", "zero_bubble"):
    print(f"16 micro-batches, {STYLES[name][0]:11s}: held by stage", timeline(SCHEDULES[name](4, 16)).held)

# %% [markdown]
# Zero bubble has its price at the other end: its last stage holds as many as its first, 4 and not 1. While
# the weights' part of a backward waits, its activations must stay.
#
# A rule of thumb: with $k$ micro-batches for each stage, a long pipeline waits $1/(k+1)$ of its time. Four
# for each cost a fifth, and a tenth takes nine. (Here, with four stages, it is a little less.) Micro-batches
# cannot be had for nothing: their number times their size is the batch.

# %% [markdown]
# ## Build: `pipeline_stage`
#
# Now the arithmetic. Each rank is one stage and is given
#
# - `works`: its own list of a schedule,
# - `forward(x)`: returns `(y, saved)`, the output and what the backward needs,
# - `backward(saved, dy)`: returns `(dx, gradient)`: the gradients in the stage's input and in its weights,
# - `loss(i, y)`: the gradient in `y` of the **mean** loss over the rows of micro-batch `i`; for the last
#   stage only,
# - `inputs`: the micro-batches, a list. The first stage uses them. The others may look at their lengths.
#
# Return the gradient of the mean loss over *all* rows, for this stage's weights. Micro-batches may differ in
# length: weigh them by their rows.
#
# Activations go to the next rank, gradients of activations to the one before. `comm.recv(source)` waits for a
# message. `comm.send` waits until the other side has taken it, `comm.isend(array, to)` does not: it returns
# something whose `wait()` you call at the end. Which of the two do you need, when one stage sends on while
# the next one sends back?
#
# The check looks at values, at the order of your work, at the bytes, and at whether you let go of `saved`. Of
# outputs or received arrays that you keep it sees nothing; let go of these as well. One short loop is enough.


# %% exercise="pipeline_stage"
def pipeline_stage(comm, works, forward, backward, loss, inputs):
    """Return the gradient of this stage's weights, of the mean loss over all rows of all micro-batches."""
    ### BEGIN SOLUTION
    last = comm.rank == comm.world_size - 1
    rows = sum(len(x) for x in inputs)
    saved, slopes, pending, total = {}, {}, [], 0
    for kind, i in works:
        if kind == "F":
            x = inputs[i] if comm.rank == 0 else comm.recv(comm.rank - 1)
            y, saved[i] = forward(x)
            if last:
                slopes[i] = loss(i, y)
            else:
                pending.append(comm.isend(y, comm.rank + 1))
        else:
            dy = slopes.pop(i) if last else comm.recv(comm.rank + 1)
            dx, gradient = backward(saved.pop(i), dy)
            total = total + gradient * (len(inputs[i]) / rows)
            if comm.rank > 0:
                pending.append(comm.isend(dx, comm.rank - 1))
    for one in pending:
        one.wait()
    return total
    ### END SOLUTION


# %% check="pipeline_stage" tags=["nbval-check-output"]
check(pipeline_stage)

# %% [markdown]
# One run of yours, as the last of two stages sees it. Each stage multiplies by 2; the loss is half the
# squared output. The gradient of the second stage's factor is the mean of $4x \cdot 2x$: of 8, 32 and 72.

# %%
ROWS = [np.array([[1.0], [2.0]]), np.array([[3.0]])]


def doubling(comm):
    """Look at one stage at work."""
    double, back = lambda x: (2 * x, x), lambda x, dy: (2 * dy, (x * dy).sum(axis=0))
    works = [("F", 0), ("F", 1), ("B", 0), ("B", 1)] if comm.rank == 0 else in_turn(2, 2)[1]
    return look(pipeline_stage, comm, works, double, back, lambda i, y: y / len(y), ROWS)


cluster.run(doubling, ranks=2).results[1] if passed(pipeline_stage) else None

# %% [markdown]
# ## Tensor parallelism
#
# A pipeline cuts between layers. When a single layer is too large, or when there are not enough micro-batches
# to fill a long pipeline, one has to cut the layers themselves.
#
# A linear layer is $y = xW + b$, with $W$ of shape (inputs, outputs). There are two ways.
#
# **By columns.** Each rank has some of the outputs: $W = [W_1, W_2]$ and $y = [xW_1, xW_2]$. All ranks need
# the whole $x$. Each gets a part of $y$, without a word to the others.
#
# **By rows.** Each rank has some of the inputs, $x = [x_1, x_2]$, and the rows of $W$ that belong to them:
# $y = x_1W_1 + x_2W_2$. Each product has the shape of the whole $y$. Their *sum* is $y$.
#
# Now put a row layer behind a column layer. What the first leaves on a rank is what the second takes there.
# An elementwise function in between does not mind. One sum at the end, and the pair is done.

# %%
predict(
    "13-pair",
    "A column layer and then a row layer, forward and backward. How many all-reduces does the pair need?",
    ["One", "Two", "Three", "Four"],
)

# %% [markdown]
# The backward mirrors the forward. $x$ went into every rank's columns, so by the chain rule its gradient is a
# sum over the ranks. After the row layer all ranks have the same $y$ and the same $dy$. Each takes it as it
# is: *the backward of a sum is a copy, the backward of a copy is a sum*. Megatron-LM (Shoeybi et al., 2019)
# calls the two operators $g$ and $f$.
#
# | | forward | backward |
# |---|---|---|
# | before the column layer ($f$) | copy: nothing | all-reduce of $dx$ |
# | after the row layer ($g$) | all-reduce of $y$ | copy: nothing |
#
# ## Build: `column_parallel`
#
# `weight` and `bias` are this rank's columns, `x` is whole. Return `(y, backward)`: this rank's part of the
# output, and a function `backward(dy)` that takes the gradient in this part and returns
# `(dx, dweight, dbias)`. `dx` is that of the whole layer. `comm.all_reduce(array)` returns the sum over the
# ranks, and leaves the array as it was.


# %% exercise="column_parallel"
def column_parallel(comm, x, weight, bias):
    """Return (y, backward): this rank's outputs, and a function of dy that returns dx, dweight, dbias."""

    ### BEGIN SOLUTION
    def backward(dy):
        dx = comm.all_reduce(dy @ weight.T)
        return dx, x.T @ dy, dy.sum(axis=0)

    return x @ weight + bias, backward
    ### END SOLUTION


# %% check="column_parallel" tags=["nbval-check-output"]
check(column_parallel)

# %% [markdown]
# ## Build: `row_parallel`
#
# `x` are this rank's inputs, `weight` the rows for them. `bias` is whole, the same on every rank. Return the
# whole output and `backward`, which takes the whole `dy` and returns this rank's `dx` and `dweight`, and
# `dbias`.


# %% exercise="row_parallel"
def row_parallel(comm, x, weight, bias):
    """Return (y, backward): the whole output, and a function of dy that returns dx, dweight, dbias."""

    ### BEGIN SOLUTION
    def backward(dy):
        return dy @ weight.T, x.T @ dy, dy.sum(axis=0)

    return comm.all_reduce(x @ weight) + bias, backward
    ### END SOLUTION


# %% check="row_parallel" tags=["nbval-check-output"]
check(row_parallel)

# %% [markdown]
# ### The pair, counted
#
# A column layer, a tanh, a row layer: forward and backward on four ranks, beside one process. As long as a
# function is not right, the library's stands in. The prediction is settled by the library's pair.

# %% tags=["nbval-check-output"]
library = {name: find(f"{name}_parallel").reference for name in ("column", "row")}
column = column_parallel if passed(column_parallel) else library["column"]
row = row_parallel if passed(row_parallel) else library["row"]
rng = np.random.default_rng(13)
W1, B1, W2, B2 = (rng.normal(size=shape) / 3 for shape in ((6, 24), (24,), (24, 5), (5,)))
X, DY = rng.normal(size=(10, 6)), rng.normal(size=(10, 5))


def pair(comm, column, row):
    """Return the output, dx, and this rank's part of the first weight's gradient."""
    mine = np.arange(24).reshape(comm.world_size, -1)[comm.rank]
    inner, back_first = column(comm, X, W1[:, mine], B1[mine])
    hidden = np.tanh(inner)
    y, back_second = row(comm, hidden, W2[mine], B2)
    dhidden = back_second(DY)[0]
    dx, dweight, _ = back_first(dhidden * (1 - hidden**2))
    return y, dx, dweight


done = cluster.run(pair, 4, args=(column, row))
hidden = np.tanh(X @ W1 + B1)
dinner = (DY @ W2.T) * (1 - hidden**2)
truth = hidden @ W2 + B2, dinner @ W1.T, X.T @ dinner
parts = [np.concatenate([result[2] for result in done.results], axis=1)]
for name, found, right in zip(("y", "dx", "dW1"), [*done.results[3][:2], *parts], truth):
    print(f"{name:3s} is that of one process: {abs(found - right).max() < 1e-12}")
ledger = cluster.run(pair, 4, args=tuple(library.values())).ledger
reduces, all_calls = ledger.select("all_reduce", rank=0), ledger.select(rank=0)
print("all-reduces:", [entry.payload for entry in reduces], "bytes; and nothing else:", len(all_calls) == 2)
print("the calls of the pair above:", [entry.kind for entry in done.ledger.select(rank=0)])
reveal(
    "13-pair",
    {1: "One", 2: "Two", 3: "Three", 4: "Four"}.get(reduces.count(), "?"),
    "y after the row layer, dx before the column layer. The weights' gradients need nobody.",
)

# %% [markdown]
# Attention is such a pair as well. The projections to queries, keys and values are cut by columns, so that
# whole heads stay on a rank. Heads do not look at each other. The projection of the output is cut by rows.
# The library's `TensorAttention` does this; one step, forward and backward, on 1, 2 and 4 ranks:

# %% tags=["nbval-check-output"]
names = ("query", "key", "value", "out")
HEADS = {name: rng.normal(size=(16, 16)) / 4 for name in names}
SEQUENCE, WANTED = rng.normal(size=(7, 16)), rng.normal(size=(7, 16))


def attention(comm):
    """Take one step of SGD on four heads, and return the whole weights."""
    model = TensorAttention(comm, HEADS, heads=4)
    trainer = DataParallel(comm.group([comm.rank]), model, SGD(lr=0.1))
    trainer.step(SEQUENCE, WANTED)
    counted = len(comm.books.entries)
    return model.gathered(trainer.parameters()), comm.books.entries[:counted]


one = cluster.run(attention, 1).results[0][0]
for n in (2, 4):
    whole, entries = cluster.run(attention, n).results[n - 1]
    same = max(abs(whole[name] - one[name]).max() for name in one) < 1e-12
    kinds = [entry.kind for entry in entries if len(entry.group) == n]
    print(f"{n} ranks: the weights of one process: {same}; between the ranks: {kinds}")

# %% [markdown]
# A layer of a transformer is attention and MLP, two pairs: four all-reduces. That is what the planner below
# counts with.

# %% [markdown]
# ## Who sends what
#
# Data parallelism and ZeRO send *weights* and their gradients. These do not care how many rows there are, and
# grow with the square of a layer's width. Tensor parallelism and pipelines send *activations*. There are more
# of them with every row, and they grow only with the width itself. First in small, by the ledger: one step of
# an MLP of eight layers on four ranks, with few rows and with many. The number is what the busiest rank
# sends.

# %% tags=["nbval-check-output"]
WIDTHS = [32] * 9
BIG = MLP.of_sizes(WIDTHS)


def step_of(comm, kind, rows):
    """Take one step of the library's trainers; all get the same batch of rows."""
    x, t = np.ones((rows, 32)), np.zeros((rows, 32))
    mine, alone = slice(comm.rank * rows // 4, (comm.rank + 1) * rows // 4), comm.group([comm.rank])
    rule = SGD(lr=0.1)
    if kind == "data parallel":
        DataParallel(comm, BIG, rule).step(x[mine], t[mine])
    elif kind == "ZeRO 3":
        FullyShard(comm, BIG, rule).step(x[mine], t[mine])
    elif kind == "tensor":
        DataParallel(alone, TensorMLP(comm, BIG), rule).step(x, t)
    else:
        Pipeline(comm, BIG, rule, SCHEDULES["1f1b"](4, 4)).step(x, t)


psi = sum(p.nbytes for layer in BIG.layers for p in layer.values())
for rows in (8, 512):
    block = rows * 32 * 8  # the activations between two layers
    formulas = {
        "data parallel": 2 * 3 / 4 * psi,
        "ZeRO 3": 3 * 3 / 4 * psi,
        "tensor": 4 * (2 * 2 * 3 / 4) * block,  # four pairs, two all-reduces each
        "pipeline": 2 * block,  # a stage in the middle: activations on, gradients back
    }
    for kind, formula in formulas.items():
        ledger = cluster.run(step_of, 4, args=(kind, rows)).ledger
        sent = max(ledger.select(rank=r).sent() for r in range(4))
        near = abs(sent / formula - 1) < 0.01
        print(f"{rows:3d} rows, {kind:13s} {sent:9,} bytes; as the formula says: {near}")

# %% [markdown]
# With few rows activations are cheap, with many they are dear. Now in large. One layer of a transformer of
# width $d = 8192$ has $12d^2$ weights. Eight ranks take a batch of 64 sequences of 4,096 tokens, in half
# precision. What does a rank send *for this layer*, and for how long does it occupy the wire?

# %% tags=["nbval-check-output"]
d, tokens, n = 8192, 64 * 4096, 8
weights, block = 2 * 12 * d**2, 2 * tokens * d
volumes = {
    "data parallel": 2 * (n - 1) / n * weights,
    "ZeRO 3": 3 * (n - 1) / n * weights,
    "tensor": 4 * 2 * (n - 1) / n * block,
    "pipeline, 10 layers a stage": 2 * block / 10,
}
h100 = HARDWARE["h100"]
for kind, size in volumes.items():
    inside, outside = (1e3 * size / speed for speed in (h100.inside, h100.outside))
    print(f"{kind:28s}{size / 1e9:6.2f} GB: {inside:5.1f} ms inside a node, {outside:6.1f} ms between nodes")
work = 6 * 12 * d**2 * tokens / n / h100.flops
print(f"the arithmetic of this layer, at the stated peak: {1e3 * work:.0f} ms")
equal = tokens * volumes["ZeRO 3"] / volumes["tensor"]
print(f"tensor parallelism sends more than ZeRO 3 from {equal:,.0f} tokens a step on: {equal / d:.1f} d")

# %% [markdown]
# There it stands. Between nodes the wire of tensor parallelism takes several times what the arithmetic takes.
# And it can hardly hide: the next layer *waits* for the sum. Data parallelism sends gradients that nobody
# needs before the update. So tensor parallelism stays inside a node, where the wire is nine times as fast.
# A pipeline sends least of all, so it is what crosses nodes. What it costs is the bubble.
#
# The last line has a formula. With $T$ tokens tensor parallelism moves four all-reduces of $Td$ numbers, and
# an all-reduce moves its array twice: $8\,Td$. ZeRO 3 moves $3\cdot 12\,d^2$. They are equal at $T = 4.5\,d$.
# (That is for ranks that take their rows at once: for every further micro-batch ZeRO 3 gathers anew.)

# %% [markdown]
# ## Validate: 20 steps beside one process
#
# A network of eight layers, 24 rows in six micro-batches, 20 steps of AdamW. First the pipeline: your
# schedules and your `pipeline_stage`, where they are right; for the last two schedules the library's
# `Pipeline`. Each on 2, 3 and 4 stages. (Interleaving takes micro-batches in groups of as many as there are
# stages. Six are no such groups on four stages, so there the batch is cut into four.)

# %%
STEPS, RULE, MICROS = 20, AdamW(lr=0.01, weight_decay=0.1), 6
net = MLP.of_sizes([6, 12, 12, 12, 12, 12, 12, 12, 4])
INPUTS, TARGETS = rng.normal(size=(24, 6)), rng.normal(size=(24, 4))
stage_of = pipeline_stage if passed(pipeline_stage) else find("pipeline_stage").reference


class Part:
    """Some neighbouring layers of the network, with their weights in one vector."""

    def __init__(self, which):
        self.which = list(which)
        self.flat = np.concatenate([p.reshape(-1) for i in self.which for p in net.layers[i].values()])

    def params(self):
        """Return the vector as each layer's parameters by name."""
        start, found = 0, []
        for i in self.which:
            found.append({})
            for name, like in net.layers[i].items():
                found[-1][name] = self.flat[start : start + like.size].reshape(like.shape)
                start += like.size
        return found

    def forward(self, x):
        """Return the output, and what every layer saved."""
        kept = []
        for i, params in zip(self.which, self.params()):
            x, saved = net.forward(i, params, x)
            kept.append(saved)
        return x, kept

    def backward(self, kept, dy):
        """Return the gradients in the input and, as one vector, in the weights."""
        parts = []
        for i, params, saved in reversed(list(zip(self.which, self.params(), kept))):
            dy, found = net.backward(i, params, saved, dy)
            parts[:0] = [g.reshape(-1) for g in found.values()]
        return dy, np.concatenate(parts)


def steps(part, gradient_of):
    """Take all steps with a rule and a function that returns the gradient."""
    state = RULE.init(part.flat)
    for _ in range(STEPS):
        delta, state = RULE.update(gradient_of(), state, part.flat)
        part.flat = part.flat - delta
    return part.flat


def slope(y, target):
    """Return the gradient of the mean loss in the output."""
    return net.loss(y, target)[1]


def alone():
    """Train in one process, on the whole batch at once."""
    part = Part(range(8))

    def gradient():
        y, kept = part.forward(INPUTS)
        return part.backward(kept, slope(y, TARGETS))[1]

    return steps(part, gradient)


def accumulated():
    """Train in one process, micro-batch by micro-batch, weighed where the backward begins."""
    part = Part(range(8))

    def gradient():
        total = 0
        for x, target in zip(np.split(INPUTS, MICROS), np.split(TARGETS, MICROS)):
            y, kept = part.forward(x)
            total = total + part.backward(kept, slope(y, target) * (len(x) / len(INPUTS)))[1]
        return total

    return steps(part, gradient)


def by_stages(comm, plan, stage_of=stage_of):
    """Train as one stage of a pipeline."""
    part = Part(chunk_of(8, comm.world_size, comm.rank))
    inputs, targets = np.split(INPUTS, MICROS), np.split(TARGETS, MICROS)
    loss = lambda i, y: slope(y, targets[i])
    return steps(part, lambda: stage_of(comm, plan[comm.rank], part.forward, part.backward, loss, inputs))


def by_library(comm, plan):
    """Train with the library's pipeline."""
    trainer = Pipeline(comm, net, RULE, plan)
    for _ in range(STEPS):
        trainer.step(INPUTS, TARGETS)
    return trainer.parameters()


# %% tags=["nbval-check-output"]
truth, in_parts = alone(), accumulated()
ends = {}
for name, schedule in (("GPipe", all_first), ("1F1B", in_turn)):
    for p in (2, 3, 4):
        ends[name, p] = np.concatenate(cluster.run(by_stages, p, args=(schedule(p, MICROS),)).results)
for name, schedule in (("interleaved", interleaved), ("zero bubble", zero_bubble)):
    for p in (2, 3, 4):
        micros = p if name == "interleaved" and p == 4 else MICROS
        parts = {}
        for found in cluster.run(by_library, p, args=(schedule(p, micros),)).results:
            parts |= found
        ends[name, p] = np.concatenate(
            [parts[f"{i}.{k}"].reshape(-1) for i in range(8) for k in net.layers[i]]
        )
for name in ("GPipe", "1F1B", "interleaved", "zero bubble"):
    near = all(abs(ends[name, p] - truth).max() < 1e-11 for p in (2, 3, 4))
    print(f"{name:12s}on 2, 3 and 4 stages: within 1e-11 of one process: {near}")
yours = [ends[name, p] for name in ("GPipe", "1F1B") for p in (2, 3, 4)]
print("GPipe and 1F1B, on any number of stages, have the same bits:",
      all(np.array_equal(end, yours[0]) for end in yours))  # fmt: skip
print("as one process on the whole batch: the same bits:", np.array_equal(yours[0], truth))

# %% [markdown]
# So moving layers to other ranks changes no bit: the same products of the same micro-batches are added in the
# same order, and no sum runs *across* ranks. What changes bits is cutting the batch. One process that
# accumulates over the same micro-batches, in the same order, has the pipeline's bits, if it also weighs them
# at the same place. The library's stage weighs where the backward begins, and so does `accumulated`. Yours
# may weigh elsewhere: then its last bits are others, and it is right all the same.

# %% tags=["nbval-check-output"]
plan, stage = SCHEDULES["1f1b"](3, MICROS), find("pipeline_stage").reference
plan = [[(work.kind, work.micro) for work in works] for works in plan]
theirs = np.concatenate(cluster.run(by_stages, 3, args=(plan, stage)).results)
print("one process that accumulates has the bits of the library's stages:", np.array_equal(theirs, in_parts))
print("within 1e-11 of yours:", abs(yours[0] - in_parts).max() < 1e-11)

# %% [markdown]
# Now tensor parallelism: four pairs of your layers on 2, 3 and 4 ranks.


# %% tags=["nbval-check-output"]
def by_tensors(comm):
    """Train pairs of column and row layers; return the whole weights, in the order of one process."""
    each = 12 // comm.world_size
    mine, weights = slice(comm.rank * each, (comm.rank + 1) * each), []
    for i, layer in enumerate(net.layers):
        cut = (slice(None), mine) if i % 2 == 0 else (mine,)
        weights += [layer["weight"][cut].copy(), layer["bias"][mine if i % 2 == 0 else slice(None)].copy()]
    names = [str(k) for k in range(16)]
    state = RULE.init(dict(zip(names, weights)))
    for comm.step in range(STEPS):
        x, backs, insides = INPUTS, [], []
        for i in range(8):
            y, back = (column, row)[i % 2](comm, x, *weights[2 * i : 2 * i + 2])
            x = np.tanh(y) if i < 7 else y
            backs.append(back)
            insides.append(1 - x**2 if i < 7 else 1.0)
        dy, gradients = slope(x, TARGETS), []
        for inside, back in reversed(list(zip(insides, backs))):
            dy, dweight, dbias = back(dy * inside)
            gradients[:0] = [dweight, dbias]
        delta, state = RULE.update(dict(zip(names, gradients)), state, dict(zip(names, weights)))
        weights = [w - delta[name] for name, w in zip(names, weights)]
    return weights


def put_together(parts):
    """Return the ranks' weights as one vector: columns side by side, rows below each other, biases once."""
    whole = []
    for k, same in enumerate(zip(*parts)):
        i, is_bias = divmod(k, 2)
        if i % 2 and is_bias:
            whole.append(same[0])
        else:
            whole.append(np.concatenate(same, axis=-1 if i % 2 == 0 else 0))
    return np.concatenate([w.reshape(-1) for w in whole])


for n in (2, 3, 4):
    run = cluster.run(by_tensors, n)
    near = abs(put_together(run.results) - truth).max() < 1e-11
    copies = all(np.array_equal(run.results[0][3], other[3]) for other in run.results)
    count = run.ledger.select("all_reduce", rank=0, step=0).count()
    print(f"{n} ranks: {count} all-reduces a step for four pairs; within 1e-11 of one process: {near}")
    print("    the bits of one process:", np.array_equal(put_together(run.results), truth), end="; ")
    print("on all ranks the same bits of a row layer's bias:", copies)

# %% [markdown]
# Here a sum does run across the ranks, in the ring's order, so the bits are not those of one process. But
# every rank gets the *same* sum. That matters for what is stored on all of them, like a row layer's bias:
# nobody ever compares these copies. They stay equal only because they are updated by equal bits.

# %% [markdown]
# ## Both at once
#
# Kinds of parallelism multiply. Ranks are laid out on a *mesh*: here 2 x 2, pairs that share a layer, and
# across them pairs that hold the same part and see other rows. Each axis has its own group and its own
# traffic, and the ledger tells them apart.

# %% tags=["nbval-check-output"]


def two_axes(comm):
    """Take one step: tensor parallelism along one axis of the mesh, data parallelism along the other."""
    groups = mesh(comm, data=2, tensor=2)
    mine = np.array_split(np.arange(24), 2)[groups["data"].rank]
    model = TensorMLP(groups["tensor"], net)
    trainer = DataParallel(groups["data"], model, SGD(lr=0.1))
    trainer.step(INPUTS[mine], TARGETS[mine])
    return model.gathered(trainer.parameters())


def one_step(comm):
    """Take the same step in one process."""
    trainer = DataParallel(comm, net, SGD(lr=0.1))
    trainer.step(INPUTS, TARGETS)
    return trainer.parameters()


done, reference = cluster.run(two_axes, 4), cluster.run(one_step, 1).results[0]
near = max(abs(r[k] - reference[k]).max() for r in done.results for k in reference) < 1e-12
print("a step on the mesh is a step of one process:", near)
training = list(done.ledger.select("all_reduce", rank=3))
for axis, group in (("tensor", (2, 3)), ("data", (1, 3))):
    calls = [entry for entry in training if entry.group == group]
    print(
        f"rank 3, {axis:6s} group {group}: all-reduces: {len(calls)}, bytes: {sum(e.sent for e in calls):,}"
    )

# %% [markdown]
# The tensor group has neighbouring ranks, and talks most often. On a real cluster neighbours sit in one node.

# %% [markdown]
# ## Where conventions differ
#
# **A bubble of what?** GPipe's paper takes the *whole* time, as we do: $O((K-1)/(M+K-1))$ for $K$ stages and
# $M$ micro-batches. The paper on Megatron's schedules (Narayanan et al., 2021, *Efficient Large-Scale
# Language Model Training*) states the waiting over the *ideal* time, $(p-1)/m$. With few micro-batches they
# differ by much:

# %% tags=["nbval-check-output"]
for m in (4, 16, 64):
    share, ideal = bubble(8, m), 7 / m
    print(f"8 stages, {m:2d} micro-batches: {share:4.0%} of the whole time, {ideal:4.0%} of the ideal time")

# %% [markdown]
# A "bubble of 175 per cent" is no misprint, then.
#
# **Column of which matrix?** "Column parallel" is Megatron's word, for $y = xA$ with $A$ of shape (inputs,
# outputs). `torch.nn.Linear` stores the transpose. A `ColwiseParallel` of torch cuts that weight along its
# axis 0: its *rows*.

# %% tags=["nbval-check-output"]
import torch

linear = torch.nn.Linear(6, 24, dtype=torch.float64)
with torch.no_grad():
    linear.weight.copy_(torch.tensor(W1.T))
    linear.bias.copy_(torch.tensor(B1))
print("torch's weight has shape", tuple(linear.weight.shape), "- ours", W1.shape)
second = linear.weight[12:], linear.bias[12:]  # torch's rows 12 to 23, for rank 1 of 2
y = torch.nn.functional.linear(torch.tensor(X), *second).detach().numpy()
theirs = cluster.run(
    lambda comm: column(comm, X, *(p[..., 12 * comm.rank :][..., :12] for p in (W1, B1)))[0], 2
)
print("rows of torch's weight are our columns:", np.allclose(y, theirs.results[1], rtol=0, atol=1e-12))

# %% [markdown]
# **Who divides?** `torch.distributed.pipelining` has these schedules as `ScheduleGPipe`, `Schedule1F1B`,
# `ScheduleInterleaved1F1B`. The loss is a function of one micro-batch. With `scale_grads=True`, the default,
# torch divides the summed gradients by the *number of micro-batches*: a plain mean, without rows. With False
# it divides nothing. The plain mean is right for equal micro-batches. For unequal ones, such as texts of
# very different lengths, it is another gradient. The cell cuts 24 rows into six, the last with 15 of them.

# %% tags=["nbval-check-output"]
part = Part(range(8))
sizes = (3, 1, 2, 2, 1, 15)
cuts = np.cumsum((0, *sizes))
micro = []
for a, b in pairwise(cuts):
    y, kept = part.forward(INPUTS[a:b])
    micro.append(part.backward(kept, slope(y, TARGETS[a:b]))[1])
y, kept = part.forward(INPUTS)
right = part.backward(kept, slope(y, TARGETS))[1]
for name, shares in (("rows", np.array(sizes) / 24), ("the plain mean", np.full(6, 1 / 6))):
    off = np.linalg.norm(shares @ np.array(micro) - right) / np.linalg.norm(right)
    print(f"{name:15s} right: {bool(off < 1e-12)}, off by {100 * off:.0f} % of the gradient")

# %% [markdown]
# ## In the wild
#
# **Divided once too often.** That default met gradient accumulation in torchtitan (issue 1733, pull request
# 1732). Each call of the schedule divides *all that is in `.grad`* by the number of micro-batches, also what
# an earlier call has left there and divided already. The report says that the loss curves part and that
# gradient norms are far too small. The cell asks torch itself, on two real processes: a pipeline of two
# linear layers, four micro-batches, one batch or twice the same batch without clearing. What is in `.grad`,
# in multiples of the right gradient of one batch?

# %%
predict(
    "13-scale-grads",
    "Twice the same batch, four micro-batches, scale_grads=True. What multiple of one batch's gradient?",
    ["2", "1.25", "1", "0.5"],
)

# %% tags=["nbval-check-output"]


def torchs_pipeline(comm, batches, scale):
    """Return .grad after so many batches, over the right gradient of one."""
    import torch
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(4, 2, bias=False)]
    x, target = torch.randn(8, 3), torch.randn(8, 2)
    loss = lambda y, t: (y - t).square().mean()
    weights = [layer.weight for layer in layers]
    right = torch.autograd.grad(loss(layers[1](layers[0](x)), target), weights)[comm.rank]
    stage = PipelineStage(layers[comm.rank], comm.rank, 2, torch.device("cpu"))
    schedule = Schedule1F1B(stage, 4, loss_fn=loss, scale_grads=scale)
    for _ in range(batches):
        schedule.step(x) if comm.rank == 0 else schedule.step(target=target)
    found = weights[comm.rank].grad
    return float((found * right).sum() / (right * right).sum())


SETTINGS = (1, True), (2, True), (2, False)


def all_settings(comm):
    return [torchs_pipeline(comm, batches, scale) for batches, scale in SETTINGS]


found = np.array(cluster.run(all_settings, 2, engine="gloo", timeout=20).results)
for (batches, scale), ratios in zip(SETTINGS, found.T):
    print(f"{batches} x the batch, scale_grads={scale!s:5s}: .grad on both stages, in gradients of one:",
          ", ".join(f"{ratio:.2f}" for ratio in ratios))  # fmt: skip
reveal(
    "13-scale-grads",
    {5: "1.25", 8: "2", 4: "1", 2: "0.5"}.get(round(4 * found[0, 1]), "?"),
    "The second call divides (1 + 4) by 4. Further calls tend to 4/3: an average that forgets.",
)

# %% [markdown]
# The remedy there was `scale_grads=False`, with the loss divided instead. The mistake is the slip "averaged
# twice" of `pipeline_stage`, spread over two libraries of which each is right alone. AdamW hides a constant
# factor. This one is not constant: the earlier a batch, the less it weighs.
#
# **A bias too many.** A row layer that hands its bias to the matrix product has it summed with the rest;
# Paddle once did (pull request 35186). One remedy adds `bias / N` on every rank. Then the *output* is right,
# and a test of outputs passes. But autograd divides the bias' gradient as well, and no one adds up the ranks:
# it is $N$ times too small (described for torchtitan in its pull request 4332). The check of `row_parallel`
# knows both, so the library has them. The cell gives them inputs of zero, where the output is the bias, and a
# $dy$ of ones.


# %% tags=["nbval-check-output"]
def of_zeros(comm, layer):
    """Return the layer's output for inputs of zero, and its bias' gradient for a dy of ones."""
    y, backward = layer(comm, np.zeros((1, 2)), np.ones((2, 3)), np.array([1.0, 2.0, 3.0]))
    return y[0], backward(np.ones((1, 3)))[2]


mistakes = {slip.name: slip.answer for slip in find("row_parallel").slips}
for name in ("the bias on every rank before the sum", "the bias' gradient divided"):
    output, gradient = cluster.run(of_zeros, 4, args=(mistakes[name],)).results[0]
    print(f"{name:38s} output {output}, gradient {gradient}")
output, gradient = cluster.run(of_zeros, 4, args=(row,)).results[0]
print(f"{'as it should be':38s} output {output}, gradient {gradient}")

# %% [markdown]
# **Each waits for the other.** While a patch to torch's pipeline was tried out, two ranks came to a
# standstill: both waited for a send to end before they would receive (pytorch, issue 172668). Under 1F1B that
# is the normal case: activations go on while gradients come back. The same with `comm.send`, on the simulated
# cluster, which sees that nobody can go on:


# %% tags=["nbval-check-output"]
def blocking(comm):
    """Run 1F1B on two stages with sends that wait; only the messages, no arithmetic."""
    other, block = 1 - comm.rank, np.zeros((4, 8))
    for work in SCHEDULES["1f1b"](2, 3)[comm.rank]:
        if (work.kind == "F") == (comm.rank == 0):
            comm.send(block, other)
        else:
            comm.recv(other)


try:
    cluster.run(blocking, 2)
except cluster.Deadlock as error:
    print(str(error).replace("; ", ";\n          "))

# %% [markdown]
# **Who uses what.** Llama 3 405B was trained with tensor parallelism 8, inside a node, and pipeline
# parallelism 16 (Grattafiori et al., 2024, table 4). PaLM 540B used no pipeline at all (Chowdhery et al.,
# 2022), DeepSeek-V3 a pipeline and no tensor parallelism (its technical report, 2024). So there is no one
# right way. The first of these on paper, by the library's planner, with the memory left out. For your own
# run there is the command `course plan`.

# %% tags=["nbval-check-output"]
job = Job(405e9, batch=2048, seq=8192, layers=126, hidden=16384)
for tensor, pipeline, chunks in ((8, 16, 1), (8, 16, 2), (16, 8, 2)):
    layout = Layout(16384, tensor=tensor, pipeline=pipeline, zero=1, interleave=chunks)
    plan = make_plan(job, layout, HARDWARE["h100"], limit=1e12)
    sent = {kind: size / 1e9 for kind, size in plan.sent.items()}
    print(f"tensor {tensor} x pipeline {pipeline}, chunks {chunks}: {plan.micros} micro-batches,", end=" ")
    print(f"bubble {plan.bubble:.0%}, {plan.utilization:.0%} of the peak")
    print(f"    sent: tensor {sent['tensor']:.0f} GB, pipeline {sent['pipeline']:.1f} GB")

# %% [markdown]
# The second is the published layout, as far as the report tells it (that there were two chunks is an
# assumption). The report itself states 400 TFLOP/s a GPU, which it calls 41 % of the peak: the planner is
# near, and no more than that. The third has tensor parallelism reach across two nodes. Its bubble is
# smaller, and it is far slower.

# %% [markdown]
# ## On real processes
#
# The same functions, unchanged, on two processes of this machine: your pipeline under 1F1B, then your layers.


# %% tags=["nbval-check-output"]
def both_kinds(comm, plan):
    """Train by stages, then by tensors."""
    return by_stages(comm, plan), by_tensors(comm)


real = cluster.run(both_kinds, 2, engine="gloo", args=(in_turn(2, MICROS),), timeout=20)
simulated = cluster.run(both_kinds, 2, args=(in_turn(2, MICROS),))
stages, tensors = zip(*real.results)
print(
    "the pipeline's weights within 1e-11 of one process:", abs(np.concatenate(stages) - truth).max() < 1e-11
)
print("the layers' weights within 1e-11 of one process:   ", abs(put_together(tensors) - truth).max() < 1e-11)
same = all(real.ledger.sent(rank=r) == simulated.ledger.sent(rank=r) for r in (0, 1))
print("and sent what the simulation says:                 ", same)

# %% [markdown]
# ## What you now know
#
# - ZeRO moves weights; pipelines and tensor parallelism move activations. The first grows with the square of
#   the width and not with the tokens, the others with the width times the tokens.
# - A pipeline waits $(p-1)/(vm+p-1)$ of its time. With the stages given, only more micro-batches or more
#   chunks make that less, or a backward in two parts.
# - 1F1B has GPipe's bubble. It holds at most $p-s$ micro-batches at stage $s$, however many there are. Zero
#   bubble waits less, and holds up to $p$ at every stage.
# - Micro-batches are weighed by rows, once. Their activations are kept by number, and let go after use.
# - Stages send to each other in both directions at a time, so a send must not wait.
# - Column, then row: one all-reduce after the row layer in the forward, one before the column layer in the
#   backward. The backward of a sum is a copy, that of a copy a sum.
# - A row layer's bias is added once, after the sum, and its gradient is not divided.
# - Tensor parallelism talks in every layer, and the next one waits. So it stays inside a node.
#
# All ranks here wait for each other. [Lesson 14](14_synchronous_or_not.ipynb) asks what happens when they do
# not.
