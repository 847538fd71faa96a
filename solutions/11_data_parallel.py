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
# # 11 The same update on many GPUs: data parallelism
#
# A batch is a mean over rows. So it can be cut up: each of $N$ machines holds the whole model, takes some of
# the rows, and computes the gradient of these. Then all add up what they have, and take *the same step*. No
# rule has to be changed for this, and no weight travels. What travels is one gradient a step.
#
# Everything hangs on that sum. It must reach every rank, it must be the right mean, and it must not cost
# more than it needs.
#
# After this lesson you will be able to
#
# - write a *rank program*, and count the bytes that it sends,
# - sum arrays around a ring, at $2(N-1)/N$ arrays a rank, however many ranks there are,
# - take a data-parallel step that is the step of one process, also when the shares are uneven,
# - pack gradients into buckets, and say why the last layer goes first,
# - say which sums are the same to the last bit, and which are not.
#
# It is a long lesson: with its three exercises give it about 100 minutes. After *The last bits* is a good
# place to stop, and to go on another day with *The step*.

# %% tags=["nbval-check-output"]
import itertools

import matplotlib.pyplot as plt
import numpy as np

from course import check, cluster, hint, passed, predict, reveal
from course.data import load_digits
from course.exercises import find
from course.grading import judge
from course.microscope import look
from course.rules import SGD, AdamW, HeavyBall
from course.widgets import alt, ring_in_motion
from course.widgets.style import COLORS

print("ready")

# %% [markdown]
# ## One program, many ranks
#
# A *rank* is one of the processes that train together, usually one a GPU. All run the same program. It is
# given a communicator `comm`, which knows `comm.rank`, `comm.world_size`, and how to reach the others.
#
# `cluster.run` starts the ranks. Here they are simulated: every rank is a thread with arrays of its own, and
# one runs at a time. The arithmetic is real. So is the *ledger*, where every message is written down.
# At the end of the lesson the same programs run on real processes.

# %% tags=["nbval-check-output"]


def hello(comm):
    """A rank program: every rank has a gradient, and all get the mean."""
    gradient = np.full(4, float(comm.rank))
    return comm.all_reduce(gradient, "mean")


outcome = cluster.run(hello, ranks=4)
for rank, result in enumerate(outcome.results):
    print(f"rank {rank} gets {result}, and has sent {outcome.ledger.sent(rank=rank)} bytes")

# %% [markdown]
# `all_reduce` is a *collective*: every rank calls it, and every rank gets the result. Below it there are only
# messages from one rank to one other. With those you can do it yourself, and do it badly.

# %% [markdown]
# ## Predict
#
# Eight ranks, each with an array of 1 GB. All want the sum. The wires are alike, so what counts is the rank
# that sends most.

# %%
predict(
    "11-bytes",
    "In the best way to do it, how much does the busiest rank send?",
    ["0.88 GB", "1.00 GB", "1.75 GB", "7.00 GB", "8.00 GB"],
)

# %% tags=["nbval-check-output"]
outcome = cluster.run(lambda comm: comm.all_reduce(np.ones(1000)), ranks=8)
arrays_sent = max(outcome.ledger.sent(rank=rank) for rank in range(8)) / 8000
print(f"the library's all-reduce: {arrays_sent:.2f} arrays of 8000 bytes from the busiest of 8 ranks")
reveal(
    "11-bytes",
    f"{arrays_sent:.2f} GB",
    "Each block of 1/8 GB goes around twice: 7 hops until it is summed, 7 until everyone has it.",
)

# %% [markdown]
# ## See
#
# Four ranks, three ways. Start with *blocks* and move through the hops. After three hops each rank has
# one finished block; after six everyone has all. Then choose *arrays*: whole arrays go around. That is done
# after three hops, but at four times the bytes in each, so at twice the bytes in all. Then *rank 0*:
# everything goes through one rank. Look at what that one receives and sends, while the others wait.

# %%
ring_in_motion()

# %% [markdown]
# ## Why a ring
#
# Send everything to one rank, let it add, and send the sum to all. All together that is no more than a ring
# sends: $2(N-1)$ arrays. But $N-1$ of them come in over one wire, and $N-1$ go out over it. The cell
# lets the ledger count.

# %%


def through_one(comm):
    """Sum at rank 0, and send the sum to everyone."""
    x = np.ones(840)
    if comm.rank:
        comm.send(x, 0)
        return comm.recv(0)
    for other in range(1, comm.world_size):
        x = x + comm.recv(other)
    for other in range(1, comm.world_size):
        comm.send(x, other)
    return x


counts = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15, 20)  # all of them divide 840
busiest, together = {}, {}
for name, program in (
    ("through one rank", through_one),
    ("a ring of blocks", lambda comm: comm.all_reduce(np.ones(840))),
):
    ledgers = [cluster.run(program, ranks=n).ledger for n in counts]
    together[name] = np.array([ledger.sent() for ledger in ledgers]) / (840 * 8)
    busiest[name] = np.array(
        [max(ledger.sent(rank=r) for r in range(n)) / (840 * 8) for n, ledger in zip(counts, ledgers)]
    )
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
fine = np.arange(2, 21)
for (name, sent), theory, color, marker in zip(
    busiest.items(), (fine - 1, 2 * (fine - 1) / fine), (COLORS["vermillion"], COLORS["blue"]), "so"
):
    axes.plot(fine, theory, color=color, lw=1.2)
    axes.plot(counts, sent, marker, color=color, label=f"{name}, from the ledger")
axes.axhline(2, color=COLORS["black"], lw=0.8, ls=":")
axes.set(xlabel="ranks", ylabel="arrays that the busiest rank sends", ylim=(0, 20), xticks=range(2, 21, 2))
axes.legend(frameon=False)
plt.show()
alt(
    "The number of arrays that the busiest rank sends, against the number of ranks. Through one rank it "
    "climbs in a straight line, to 19 arrays at 20 ranks. In a ring it rises from 1 and stays below 2, the "
    "dotted line. The marks, from the ledger, lie on the lines of the formulas."
)

# %% tags=["nbval-check-output"]
for n in (2, 4, 8, 20):
    at = counts.index(n)
    one, ring = busiest["through one rank"][at], busiest["a ring of blocks"][at]
    every = together["a ring of blocks"][at]
    print(
        f"{n:2d} ranks: busiest {one:4.1f} through one, {ring:4.2f} in a ring; all together {every:4.1f}",
        end="",
    )
    print(", the same" if np.isclose(every, together["through one rank"][at]) else ", not the same")

# %% [markdown]
# The formula of the ring is
#
# $$\text{bytes a rank sends} = 2\,\frac{N-1}{N}\,\Psi, \qquad \Psi = \text{bytes of the array},$$
#
# and it stays below $2\Psi$ for any $N$. That is why data parallelism scales. What does grow with $N$ is the
# number of hops, $2(N-1)$; more on that below.

# %% [markdown]
# ## Build: `ring_all_reduce`
#
# Cut the array into $N$ blocks and write $r$ for your rank. All places are modulo $N$.
#
# 1. **Reduce.** At hop $h = 0, \dots, N-2$ send block $r - h$ to the right, $r+1$. From the left comes
#    block $r - h - 1$; add it to your own. Afterwards your block $r + 1$ is finished.
# 2. **Gather.** At hop $h$ send block $r + 1 - h$ to the right. From the left comes block $r - h$,
#    finished: put it in the place of your own.
#
# Use single messages only:
#
# - `comm.exchange(array, to, source)` sends to one rank while it receives from another, and returns what
#   came.
# - `comm.send(array, to)` returns when the other side has taken the message; `comm.recv(source)` waits for
#   one. If all ranks send first, or all receive first, they wait for ever.
#
# The length need not divide by $N$, and there may be fewer numbers than ranks: `np.array_split` cuts any
# row. But `x` may also be a matrix, or a single number with no axes at all. `x.flatten()` makes a row of
# each, and a copy, so that `x` stays as it is. Return an array with the shape of `x`; alone, a rank may
# return `x` itself. The check looks at the values *and* at the ledger.


# %% exercise="ring_all_reduce"
def ring_all_reduce(comm, x):
    """Return the sum of all ranks' x, on every rank; leave x as it is."""
    ### BEGIN SOLUTION
    n, rank = comm.world_size, comm.rank
    right, left = (rank + 1) % n, (rank - 1) % n
    blocks = np.array_split(x.flatten(), n)
    for hop in range(n - 1):
        take = (rank - hop - 1) % n
        blocks[take] = blocks[take] + comm.exchange(blocks[(rank - hop) % n], right, left)
    for hop in range(n - 1):
        blocks[(rank - hop) % n] = comm.exchange(blocks[(rank + 1 - hop) % n], right, left)
    return np.concatenate(blocks).reshape(x.shape)
    ### END SOLUTION


# %% check="ring_all_reduce" tags=["nbval-check-output"]
check(ring_all_reduce)

# %% [markdown]
# Yours beside the library's, for 10 numbers on four ranks. The blocks need not be cut alike: 10 numbers are
# 3, 3, 2, 2 for `np.array_split`, and 3, 3, 3, 1 for the library. The sums of all bytes are the same.

# %% tags=["nbval-check-output"]
values = np.random.default_rng(11).normal(size=(4, 10))
theirs = cluster.run(lambda comm: comm.all_reduce(values[comm.rank]), ranks=4)
print("library:", [theirs.ledger.sent(rank=r) for r in range(4)], "bytes")
if passed(ring_all_reduce):
    yours = cluster.run(lambda comm: ring_all_reduce(comm, values[comm.rank]), ranks=4)
    print("yours:  ", [yours.ledger.sent(rank=r) for r in range(4)], "bytes")
    print("the same bytes in all:", yours.ledger.sent() == theirs.ledger.sent())
    print("the same sums to rounding:", np.allclose(yours.results, theirs.results, rtol=0, atol=1e-12))

# %% [markdown]
# ## The last bits
#
# Floating-point addition depends on the order. In a ring each block is added up in another order: it starts
# at another rank. Three questions to the cluster: have all ranks the same bits, does a second run give the
# same bits, and are they the bits of rank 0 + rank 1 + rank 2 + ... ?

# %%
predict(
    "11-bits",
    "Which of these is true to the last bit?",
    ["All three", "The first two", "Only the first", "None"],
)

# %% tags=["nbval-check-output"]
values = np.random.default_rng(0).normal(size=(7, 1000))
first, second = (cluster.run(lambda comm: comm.all_reduce(values[comm.rank]), ranks=7) for _ in range(2))
in_order = values[0]
for row in values[1:]:
    in_order = in_order + row
ring = first.results[0]
same = [
    all(np.array_equal(ring, result) for result in first.results),
    np.array_equal(ring, second.results[0]),
    np.array_equal(ring, in_order),
]
print("all ranks have the same bits: ", same[0])
print("a second run has the same bits:", same[1])
print(
    "the bits of a sum in rank order:",
    same[2],
    "- apart by less than 1e-14:",
    abs(ring - in_order).max() < 1e-14,
)
names = {
    (True, True, True): "All three",
    (True, True, False): "The first two",
    (True, False, False): "Only the first",
}
reveal(
    "11-bits", names.get(tuple(same), "None"), "Same ranks, same order, same bits. Another order, other bits."
)

# %% [markdown]
# So "synchronous training is deterministic, bit for bit" is true only as long as nothing changes the
# order: the number of ranks, the algorithm of the library, its cut into blocks, and within a rank the
# number of threads. Restart a run on other hardware and the last bits part. What *is* guaranteed here is
# that all ranks have the same bits, because each block was summed once and then copied. Without that, their
# models would drift apart.
#
# This is a good place to stop. What follows needs of all this only that an all-reduce gives every rank the
# sum.

# %% [markdown]
# ## The step
#
# Rank $r$ has $n_r$ rows, and backward gives it the mean gradient $g_r$ over these. The mean over all rows
# is
#
# $$g = \frac{\sum_r n_r\, g_r}{\sum_r n_r} .$$
#
# With equal shares this is the plain mean of the $g_r$. At the end of an epoch shares are seldom equal.
#
# Then every rank hands the same $g$, the same state, and the same parameter to the same rule. The result is
# the same everywhere. Nobody needs to be told.

# %%
predict(
    "11-average-params",
    "Instead of gradients, the ranks average their parameters after each step. With which rules is "
    "that the same? (Equal shares.)",
    ["With SGD, heavy ball and AdamW", "With SGD and heavy ball", "With SGD only", "With none of them"],
)

# %% tags=["nbval-check-output"]
images, labels = load_digits()
PIXELS, ONEHOT = images.reshape(-1, 64).astype(np.float64), np.eye(10)[labels]


def mean_gradient(w, x, y):
    """Return the gradient of the mean cross entropy of a linear classifier; zeros where there is no row."""
    scores = x @ w
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return x.T @ (odds - y) / max(len(x), 1)


def train(comm, rule, average, steps=20, rows=32):
    """Train on equal shares; average gradients, or parameters after each rank's own step."""
    w = np.zeros((64, 10))
    state = rule.init(w)
    for k in range(steps):
        mine = np.arange(k * rows, (k + 1) * rows)[comm.rank :: comm.world_size]
        g = mean_gradient(w, PIXELS[mine], ONEHOT[mine])
        if average == "gradients":
            g = comm.all_reduce(g, "mean")
        delta, state = rule.update(g, state, w)
        w = w - delta
        if average == "parameters":
            w = comm.all_reduce(w, "mean")
    return w


agrees = []
for rule in (SGD(lr=0.1), HeavyBall(lr=0.1, momentum=0.9), AdamW(lr=0.01)):
    paths = [
        cluster.run(train, ranks=4, args=(rule, kind)).results[0] for kind in ("gradients", "parameters")
    ]
    apart = np.linalg.norm(paths[0] - paths[1]) / np.linalg.norm(paths[0])
    agrees.append(bool(apart < 1e-11))
    print(f"{type(rule).__name__:9s} averaged gradients and averaged parameters agree: {agrees[-1]}", end="")
    print("" if agrees[-1] else f", apart by more than a tenth: {apart > 0.1}")
answers = {
    (True, True, True): "With SGD, heavy ball and AdamW",
    (True, True, False): "With SGD and heavy ball",
    (True, False, False): "With SGD only",
}
reveal(
    "11-average-params",
    answers.get(tuple(agrees), "With none of them"),
    "AdamW divides by the size of the gradients that it has seen. Each rank has seen its own.",
)

# %% [markdown]
# SGD's step is linear in the gradient: the mean of the steps is the step of the mean. One might think that a
# state spoils this. Heavy ball shows that it need not. Each rank has a buffer of its own here, and they
# differ. But the buffer is linear too: the mean of the buffers is the buffer of the mean gradient. What
# spoils it is a rule that is *not linear* in gradient and state. Adam divides by a root of squares, and the
# mean of quotients is not the quotient of means.
#
# (Averaging parameters only now and then is a method of its own, local SGD; it is not the same update, and
# does not claim to be.)

# %% [markdown]
# ## Build: `ddp_step`
#
# One step on one rank. What you are given:
#
# - `grad_fn(param, x, y)`: the **mean** gradient over these rows, zeros where there are none;
# - `update(grad, state, param)`: a rule; it returns `(delta, state)`;
# - `x`, `y`: this rank's rows. Their number `len(x)` differs from rank to rank, and may be 0.
#
# Use `comm.all_reduce(...)`, which takes arrays and plain numbers. Every rank must call it, every time. The
# bytes count here as well: one gradient and one number, each all-reduced, are all that has to travel.


# %% exercise="ddp_step"
def ddp_step(comm, grad_fn, update, param, state, x, y):
    """Return (param, state) after one step on the rows of all ranks; x and y are this rank's rows."""
    ### BEGIN SOLUTION
    total = comm.all_reduce(len(x) * grad_fn(param, x, y))
    count = comm.all_reduce(len(x))
    delta, state = update(total / count, state, param)
    return param - delta, state
    ### END SOLUTION


# %% check="ddp_step" tags=["nbval-check-output"]
check(ddp_step)

# %% [markdown]
# One step of yours, as rank 1 sees it. The model is $y = wx$ with one weight. Rank 0 has three rows, rank 1
# has one. What an all-reduce returns is the same on both.

# %%
X, Y = [np.ones((3, 1)), np.ones((1, 1))], [np.array([1.0, 2.0, 3.0]), np.array([6.0])]


def one_step(comm):
    slope = lambda w, x, y: x.T @ (x @ w - y) / len(x)
    rows = X[comm.rank], Y[comm.rank]
    return look(ddp_step, comm, slope, SGD(lr=0.1).update, np.zeros(1), {}, *rows, returns="param")


cluster.run(one_step, ranks=2).results[1] if passed(ddp_step) else None

# %% [markdown]
# ## Validate: 20 steps of AdamW beside one process
#
# The digits, in batches of 50 rows. 50 does not divide by 3, 4, or 7, and the last batch has 10 rows. The
# same 20 steps are taken by one process on all rows, and by $N$ ranks on shares. As long as your function is
# not right, the cell takes one of its own.

# %% tags=["nbval-check-output"]
RULE, BATCHES = AdamW(lr=0.01), [range(50 * k, min(50 * (k + 1), 960)) for k in range(20)]


def plain_step(comm, grad_fn, update, param, state, x, y):
    """The step with gradient and count in one message."""
    total = comm.all_reduce(np.append(len(x) * grad_fn(param, x, y), len(x)))
    delta, state = update((total[:-1] / total[-1]).reshape(param.shape), state, param)
    return param - delta, state


def data_parallel(comm, step, batches):
    """Train on this rank's rows of each batch."""
    w, state = np.zeros((64, 10)), RULE.init(np.zeros((64, 10)))
    for batch in batches:
        mine = np.array_split(np.array(batch), comm.world_size)[comm.rank]
        w, state = step(comm, mean_gradient, RULE.update, w, state, PIXELS[mine], ONEHOT[mine])
    return w


alone, state = np.zeros((64, 10)), RULE.init(np.zeros((64, 10)))
for batch in BATCHES:
    delta, state = RULE.update(mean_gradient(alone, PIXELS[batch], ONEHOT[batch]), state, alone)
    alone = alone - delta
step = ddp_step if passed(ddp_step) else plain_step
for n in (1, 2, 3, 4, 7):
    run = cluster.run(data_parallel, ranks=n, args=(step, BATCHES))
    ranks_agree = all(np.array_equal(run.results[0], w) for w in run.results)
    near = abs(run.results[0] - alone).max() < 1e-11
    print(f"{n} ranks: within 1e-11 of one process: {near}; all ranks the same bits: {ranks_agree}")

# %% [markdown]
# Not the same bits as one process: the rows are summed in another order. But which order is known. A process
# that takes the ranks' gradients one after the other, and adds them as the ring does, gets the ranks' bits.
# The cell takes one step of SGD in this way.

# %% tags=["nbval-check-output"]
shares = [slice(16 * r, 16 * (r + 1)) for r in range(4)]
start = np.random.default_rng(3).normal(size=(64, 10)) / 8
each = [mean_gradient(start, PIXELS[s], ONEHOT[s]) for s in shares]
by_ring = start - 0.5 * (cluster.ring_sum(each) / 4)
by_rank = start - 0.5 * ((each[0] + each[1] + each[2] + each[3]) / 4)
ranks = cluster.run(lambda comm: start - 0.5 * (comm.all_reduce(each[comm.rank]) / 4), ranks=4).results[0]
print("added in the ring's order, the same bits:", np.array_equal(ranks, by_ring))
print("added in the order of ranks, the same bits:", np.array_equal(ranks, by_rank))

# %% [markdown]
# ## Where conventions differ: who weighs?
#
# torch's `DistributedDataParallel` does not weigh. It divides by the number of ranks, and leaves it to you
# that all have equally many rows. Language models have the same trouble even with equally many *sequences* a
# rank: the numbers of tokens that count differ.
#
# How much does it matter? The last batch: 10 rows over 4 ranks are 3, 3, 2, 2.

# %% tags=["nbval-check-output"]
for text, sizes in (("3, 3, 2, 2", (3, 3, 2, 2)), ("7, 1, 1, 1", (7, 1, 1, 1))):
    ends = np.cumsum((0, *sizes))
    each = np.array([mean_gradient(start, PIXELS[a:b], ONEHOT[a:b]) for a, b in itertools.pairwise(ends)])
    right = mean_gradient(start, PIXELS[:10], ONEHOT[:10])
    weighed = np.tensordot(np.array(sizes) / 10, each, 1)
    off = [np.linalg.norm(g - right) / np.linalg.norm(right) for g in (each.mean(axis=0), weighed)]
    print(
        f"rows {text}: plain mean off by {100 * off[0]:.0f} %; weighed by rows it is right: {off[1] < 1e-12}"
    )

# %% [markdown]
# One row more on two of the four ranks, and the gradient of these ten digits is off by a quarter.

# %% [markdown]
# ## Buckets
#
# A model has hundreds of tensors, many of them small. One all-reduce for each would be $2(N-1)$ hops for
# each, and a hop has a price before the first byte: the latency. So gradients are laid into one row until
# the row is long enough, and the row is reduced. That row is a *bucket*.
#
# Why not one bucket for all? Because of time. Backward goes from the last layer to the first. When the last
# layer's gradient is ready, the others are still being computed, and the wire is idle. A bucket that is full
# can go at once, and travels *while backward goes on*. With one bucket for everything the wire waits for the
# end, and then the arithmetic waits for the wire.
#
# So: **fill buckets from the last tensor to the first**, large enough that the latency does not count, small
# enough that the first can leave early. torch's buckets hold 25 MiB.
#
# ## Build: `bucketed_all_reduce`
#
# `arrays` are one rank's gradients, in the order of the layers. Return their means over the ranks as a list
# in the same order, with the same shapes.
#
# - Go from the last array to the first. It joins the bucket if the bucket then holds **at most**
#   `bucket_bytes`; otherwise it begins a new one. (`array.nbytes` is its size.) An array that is larger has
#   a bucket of its own.
# - One `comm.all_reduce(row, "mean")` for each bucket, in the order in which they were filled. No padding.


# %% exercise="bucketed_all_reduce"
def bucketed_all_reduce(comm, arrays, bucket_bytes):
    """Return the means over the ranks, a list like arrays; leave the arrays as they are."""
    ### BEGIN SOLUTION
    buckets = []
    for i in reversed(range(len(arrays))):
        if not buckets or sum(arrays[j].nbytes for j in [*buckets[-1], i]) > bucket_bytes:
            buckets.append([])
        buckets[-1].append(i)
    means = [None] * len(arrays)
    for bucket in buckets:
        row = comm.all_reduce(np.concatenate([arrays[i].ravel() for i in bucket]), "mean")
        for i in bucket:
            means[i] = row[: arrays[i].size].reshape(arrays[i].shape)
            row = row[arrays[i].size :]
    return means
    ### END SOLUTION


# %% check="bucketed_all_reduce" tags=["nbval-check-output"]
check(bucketed_all_reduce)

# %% [markdown]
# The gradients of a network of eight layers, 16 tensors, on four ranks. The bytes are the same with every
# bucket size, the number of collectives is not. `ledger.count()` is how many calls a rank has made, and
# `ledger.payload()` the bytes of the arrays that they were about. (What a rank put on the wire for them is
# `ledger.sent()`, as above.) The library's own buckets stand in for a function that is not right yet.

# %% tags=["nbval-check-output"]
from course.cluster.data_parallel import DataParallel
from course.cluster.models import MLP

MODEL = MLP.of_sizes([64, *[48] * 7, 10])
SHAPES = [array.shape for layer in MODEL.layers for array in layer.values()]
INPUTS, TARGETS = PIXELS[:32], ONEHOT[:32]


def gradients_of(comm, most):
    """Reduce drawn gradients of the model's shapes, in buckets."""
    rng = np.random.default_rng(comm.rank)
    return bucketed_all_reduce(comm, [rng.normal(size=shape) for shape in SHAPES], most)


def library(comm, most):
    """Take one data-parallel step of the library, in buckets."""
    rows = slice(8 * comm.rank, 8 * comm.rank + 8)
    DataParallel(comm, MODEL, RULE, bucket_bytes=most).step(INPUTS[rows], TARGETS[rows])


program = gradients_of if passed(bucketed_all_reduce) else library
for most in (1, 4_000, 40_000, 400_000):
    ledger = cluster.run(program, ranks=4, args=(most,)).ledger.select(rank=0)
    print(f"buckets of {most:7,} bytes: collectives: {ledger.count():2d}, {ledger.payload():,} bytes in them")

# %% [markdown]
# ## Ranks that are real
#
# So far one process has played all ranks. Now the *same functions*, unchanged, on two processes of this
# machine. They talk through gloo, torch's library for collectives on CPUs, over the loopback: the network
# that a machine has with itself. Only the engine's name is different. The first start takes some seconds: a
# server has to import torch. If the ranks come to wait for each other, the run ends with an error after the
# time limit.

# %% tags=["nbval-check-output"]


def both(comm, ring, step):
    """Sum around the ring, then train for 20 steps."""
    x = np.random.default_rng(comm.rank).normal(size=1001)
    return ring(comm, x), data_parallel(comm, step, BATCHES)


ring = ring_all_reduce if passed(ring_all_reduce) else lambda comm, x: comm.all_reduce(x)
simulated = cluster.run(both, ranks=2, args=(ring, step))
real = cluster.run(both, ranks=2, engine="gloo", args=(ring, step), timeout=20)
print(
    "the ring on real processes: the same bits:", np.array_equal(real.results[0][0], simulated.results[0][0])
)
print(
    "20 steps on real processes within 1e-11: ",
    abs(real.results[0][1] - simulated.results[0][1]).max() < 1e-11,
)
print("both real ranks have the same weights:   ", np.array_equal(real.results[0][1], real.results[1][1]))

# %% [markdown]
# ## In the wild
#
# **A ring that was none.** In a course on the subject the reference solution of `ring_all_reduce` sent the
# whole tensor at every hop, in both phases (callummcdougall/ARENA_3.0, pull request 407). The sum was right.
# Each rank moved $2(N-1)$ tensors instead of $2(N-1)/N$: $N$ times too many. The same pull request tells of a
# hang: sends and receives were issued one by one, and on NCCL (NVIDIA's library for collectives between GPUs)
# every rank's send waited for a receive that was queued behind its neighbour's send.


# %% tags=["nbval-check-output"]
def whole_tensors(comm, x):
    """Pass whole tensors around, twice."""
    n, right, left = comm.world_size, (comm.rank + 1) % comm.world_size, (comm.rank - 1) % comm.world_size
    total, chunk = x, x
    for _ in range(n - 1):
        chunk = comm.exchange(chunk, right, left)
        total = total + chunk
    chunk = total
    for _ in range(n - 1):
        chunk = comm.exchange(chunk, right, left)
    return chunk


run = cluster.run(lambda comm: whole_tensors(comm, np.full(8, 10.0**comm.rank)), ranks=4)
print("a test of values passes:", all(np.array_equal(out, np.full(8, 1111.0)) for out in run.results))
print(f"arrays that a rank sends: {run.ledger.sent(rank=0) / 64:.1f}, a ring: {2 * 3 / 4:.1f}")
print("the check of this course says:", judge(find("ring_all_reduce"), whole_tensors).slip)

# %% [markdown]
# **A deadlock, as the cluster tells it.** All send first, and nobody is there to receive.

# %% tags=["nbval-check-output"]


def all_send_first(comm):
    comm.send(np.ones(3), (comm.rank + 1) % comm.world_size)
    return comm.recv((comm.rank - 1) % comm.world_size)


try:
    cluster.run(all_send_first, ranks=3)
except cluster.Deadlock as error:
    print(str(error).replace("; ", ";\n          "))

# %% [markdown]
# **A flag that came too late.** With gradient accumulation only the last micro-batch needs the all-reduce.
# torch's DDP has a flag for it, `require_backward_grad_sync`. A popular script set the flag after the forward
# pass and before backward, and its loss was worse (karpathy/build-nanogpt, pull request 30): DDP looks at
# the flag in the *forward* pass as well. The cell does it both ways with torch's own DDP, on two real
# processes: three micro-batches, the flag up for the last.

# %% tags=["nbval-check-output"]


def accumulate(comm, before_forward):
    """Return the gradient after three micro-batches, the flag set before the forward pass or after."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(3, 1))
    draw = torch.Generator().manual_seed(comm.rank)
    for _ in range(2):
        model.zero_grad()
        for micro in range(3):
            if before_forward:
                model.require_backward_grad_sync = micro == 2
            loss = model(torch.randn(4, 3, generator=draw)).square().mean() / 3
            if not before_forward:
                model.require_backward_grad_sync = micro == 2
            loss.backward()
    return model.module.weight.grad.numpy()


def both_ways(comm):
    return [accumulate(comm, before) for before in (True, False)]


of_ranks = cluster.run(both_ways, ranks=2, engine="gloo", timeout=20).results
for way, (one, other) in zip(("before the forward pass", "before backward only  "), zip(*of_ranks)):
    print(f"flag set {way}: the ranks' gradients agree: {np.allclose(one, other)}")

# %% [markdown]
# Nothing fails, and nothing is printed. Every rank trains a model of its own. torch's context manager
# `no_sync()` has the same catch: the forward pass belongs inside.
#
# One line would have told. Compare a sum over the parameters across ranks now and then:

# %% tags=["nbval-check-output"]


def in_step(comm, w):
    """Say whether all ranks hold the same parameters."""
    mine = float(np.sum(w))
    return bool(comm.all_reduce(mine, "max") == comm.all_reduce(mine, "min"))


print("same weights: ", cluster.run(lambda comm: in_step(comm, start), ranks=3).results)
print("rank 2 astray:", cluster.run(lambda comm: in_step(comm, start + (comm.rank == 2)), ranks=3).results)

# %% [markdown]
# ## What you now know
#
# - Data parallelism cuts the rows, not the model. One gradient travels a step, and the rule stays as it is.
# - A ring sends $2(N-1)/N$ arrays from each rank. Through one rank it is $N-1$ over a single wire.
# - The mean must be weighed by rows. torch's DDP does not do it for you.
# - Gradients are averaged, then the rule is applied. The other way round is the same only for rules that are
#   linear in gradient and state, such as SGD and heavy ball.
# - All ranks have the same bits. One process has others: sums in another order differ.
# - Buckets go from the last layer to the first, so that the wire works while backward does.
# - Right values do not prove a right program. Count the bytes.
#
# Every rank here holds all parameters, all gradients, and the whole state of the optimizer: the same numbers
# $N$ times. Lesson 12 (ZeRO) asks why.
