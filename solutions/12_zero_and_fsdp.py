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
# # 12 ZeRO and FSDP: who keeps what
#
# In data parallelism every rank has its own share of the data and a copy of everything else: weights,
# gradients, optimizer state. With 64 ranks the state is stored 64 times, all copies alike. ZeRO (Rajbhandari
# et al., 2020) asks who really needs which part, and when. It cuts what nobody needs whole into as many
# *shards* as there are ranks, in three *stages*:
#
# - stage 1 cuts the optimizer's states: each rank has those of its own block of the parameters,
# - stage 2 cuts the gradients as well: of these, too, a rank keeps the part for its block,
# - stage 3 cuts the weights as well, and gathers them for as long as they are used.
#
# FSDP is stage 3, layer by layer.
#
# After this lesson you will be able to
#
# - compute what one rank holds under each stage, and what it sends,
# - write the step of ZeRO 1, 2 and 3 as a rank program, and prove it by values and by bytes,
# - say which update rules can be cut into shards, and what LAMB needs in addition,
# - answer the claim that a 70B model requires ZeRO 3.
#
# With its six exercises the lesson takes about 140 minutes: more than a sitting. After `zero2_step` is a good
# place to stop, and to go on another day.
#
# A rank program is a function of `comm`, its communicator. `cluster.run` calls it on every rank: here on a
# simulated cluster that moves real arrays and writes down every byte, at the end on real processes.

# %% tags=["nbval-check-output"]
from itertools import pairwise

import numpy as np

from course import check, cluster, hint, passed, predict, reveal
from course.cluster.data_parallel import DataParallel
from course.cluster.fsdp import FullyShard
from course.cluster.models import MLP
from course.cluster.plan import HARDWARE, Impossible, Job, Layout, make_plan
from course.cluster.zero import zero
from course.exercises import find
from course.rules import LAMB, SGD, AdamW, Muon
from course.widgets import memory_bars

print("ready")

# %% [markdown]
# ## Predict
#
# Data parallelism all-reduces the gradients. A ring all-reduce is a reduce-scatter (each rank ends with the
# sum of its own block) and an all-gather (each rank gets the blocks of the others). Each half sends
# $\frac{N-1}{N}\Psi$, with $\Psi$ the bytes of the weights. Together about $2\Psi$ a step.
#
# In stage 2 no rank keeps all gradients, nor the state of more than its own block. The new weights of a block
# are known to one rank only. What does that cost?

# %%
predict(
    "12-bytes-of-stage-2",
    "What does a rank send at a step of stage 2, compared with data parallelism?",
    ["The same", "Half as much again", "Twice as much"],
)

# %% [markdown]
# The library takes a step of each, on four ranks, and the ledger counts.

# %% tags=["nbval-check-output"]


def one_step(comm, make):
    """Take one step by a trainer of the library."""
    make(comm, MLP.of_sizes([16, 16, 16])).step(np.ones((2, 16)), np.zeros((2, 16)))


makers = {
    "data parallel": lambda comm, net: DataParallel(comm, net, AdamW()),
    "stage 2": lambda comm, net: zero(comm, net, AdamW(), 2),
}
sent = {name: cluster.run(one_step, 4, args=(make,)).ledger.sent(rank=0) for name, make in makers.items()}
for name, amount in sent.items():
    print(f"{name:13s} sends {amount:,} bytes a step")
ratio = sent["stage 2"] / sent["data parallel"]
reveal(
    "12-bytes-of-stage-2",
    {1.0: "The same", 1.5: "Half as much again", 2.0: "Twice as much"}[ratio],
    "An all-reduce is a reduce-scatter and an all-gather. Stage 2 does its update between the two halves.",
)

# %% [markdown]
# ## See
#
# A model of 7.5 billion parameters, trained in half precision by Adam. Beside two moments its state holds a
# *master copy*, the weights in float32 (lesson 07). First set the stage to 0 and change the ranks. Then raise
# the stage: the left side shrinks, and the right side tells what it costs.

# %%
memory_bars()

# %% [markdown]
# ## The formula
#
# Each parameter needs 2 bytes of weight, 2 of gradient, and $K$ of optimizer state: for Adam $K = 12$, the
# master copy and two moments of 4 bytes each. With $P$ parameters on $N$ ranks a rank holds
#
# | stage | what is cut | bytes a rank | sent a step |
# |---|---|---|---|
# | 0, data parallel | nothing | $(2 + 2 + K)\,P$ | $2\,\Psi$ |
# | 1 | states | $(2 + 2 + K/N)\,P$ | $2\,\Psi$ |
# | 2 | and gradients | $(2 + 2/N + K/N)\,P$ | $2\,\Psi$ |
# | 3 | and weights | $(2/N + 2/N + K/N)\,P$ | $3\,\Psi$ |
#
# What is sent carries the ring's factor $\frac{N-1}{N}$. The states go first because they are the largest
# part and the least asked for: they are needed only for the update, and the update of one element needs the
# state of that element alone.
#
# Activations are not in the table. ZeRO leaves them as they are.

# %% [markdown]
# ## Build: `model_states_per_rank`
#
# Return the bytes that one rank holds, as in the table. `optimizer_bytes` is $K$.


# %% exercise="model_states_per_rank"
def model_states_per_rank(parameters, ranks, stage, optimizer_bytes=12):
    """Return the bytes of weights, gradients and optimizer state on one rank; stage is 0, 1, 2 or 3."""
    ### BEGIN SOLUTION
    states = optimizer_bytes / ranks if stage >= 1 else optimizer_bytes
    gradients = 2 / ranks if stage >= 2 else 2
    weights = 2 / ranks if stage >= 3 else 2
    return parameters * (weights + gradients + states)
    ### END SOLUTION


# %% check="model_states_per_rank" tags=["nbval-check-output"]
check(model_states_per_rank)

# %% [markdown]
# Figure 1 of the paper gives four numbers for 7.5 billion parameters on 64 GPUs: 120, 31.4, 16.6 and 1.9 GB.

# %% tags=["nbval-check-output"]
states = model_states_per_rank if passed(model_states_per_rank) else find("model_states_per_rank").reference
for stage in range(4):
    size = states(7.5e9, 64, stage, 12)
    print(f"stage {stage}: {size / 1e9:5.1f} GB = {size / 2**30:5.1f} GiB")

# %% [markdown]
# The paper counts decimal GB, $10^9$ bytes. Memory monitors often count GiB, $2^{30}$ bytes, and write "GB"
# all the same. The two differ by 7 per cent: enough for a run that fits on paper and not on the device.

# %% [markdown]
# ## Build: `shard`
#
# A collective needs the same length on every rank. So what is to be cut is laid into one row, filled up with
# zeros until its length divides, and cut into blocks of neighbours. Rank $r$ keeps block $r$.


# %% exercise="shard"
def shard(x, world_size, rank):
    """Return this rank's block of x: flat, of equal length on all ranks, with zeros at the end."""
    ### BEGIN SOLUTION
    row = np.pad(x.reshape(-1), (0, -x.size % world_size))
    return row.reshape(world_size, -1)[rank]
    ### END SOLUTION


# %% check="shard" tags=["nbval-check-output"]
check(shard)

# %% tags=["nbval-check-output"]
cut = shard if passed(shard) else find("shard").reference
for rank in range(4):
    print(f"rank {rank} of 4 keeps", cut(np.arange(1.0, 7.0), 4, rank))

# %% [markdown]
# Six numbers on four ranks: the last rank has nothing but padding. Why zeros? They add nothing to a sum or to
# a norm. And a zero weight with a zero gradient stays at zero.

# %% [markdown]
# ## Build: `zero1_step`
#
# Each rank updates its own block, and needs state for that block only. One step:
#
# 1. reduce-scatter the gradients: each rank gets the *mean* of all ranks' gradients, for its block,
# 2. update the block,
# 3. all-gather the new blocks: each rank has the whole parameter again.
#
# Two collectives do it:
#
# - `comm.reduce_scatter(row, op)` takes a whole row from every rank, all of one length, which must divide by
#   `comm.world_size`. It returns this rank's block of their sum; with `"mean"` as second argument, of their
#   mean.
# - `comm.all_gather(block)` takes a block from every rank, all of one length. It returns the row of all
#   blocks, in order of rank, to everyone.
#
# `param` and `grad` are whole, flat arrays; `grad` comes from this rank's data, and all ranks have equally
# many rows. `rule` is a rule of the course: `rule.update(grad, state, param)` returns `(delta, state)`, and
# `rule.init(param)` makes a first state. `state` is None at the first step. Bytes count as much as values: a
# step that moves more than $2\frac{N-1}{N}\Psi$ fails.


# %% exercise="zero1_step"
def zero1_step(comm, param, grad, state, rule):
    """Return (param, state): the whole parameter after the step, and the state of this rank's block."""
    ### BEGIN SOLUTION
    pad = (0, -len(param) % comm.world_size)
    old = np.pad(param, pad).reshape(comm.world_size, -1)[comm.rank]
    mean = comm.reduce_scatter(np.pad(grad, pad), "mean")
    state = rule.init(old) if state is None else state
    delta, state = rule.update(mean, state, old)
    return comm.all_gather(old - delta)[: len(param)], state
    ### END SOLUTION


# %% check="zero1_step" tags=["nbval-check-output"]
check(zero1_step)

# %% [markdown]
# One mistake would be hard to see in training: a sum in the place of the mean. SGD would take steps $N$ times
# too long. Adam divides by the root of the mean square, so a factor in the gradient cancels. The cell takes
# ten steps with the mean and with the sum over eight ranks.

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
gradients = rng.normal(size=(10, 8, 20))
for rule in (SGD(lr=0.01), AdamW(lr=0.01)):
    ends = []
    for factor in (1, 8):
        theta, state = np.ones(20), rule.init(np.ones(20))
        for g in gradients.mean(axis=1):
            delta, state = rule.update(factor * g, state, theta)
            theta = theta - delta
        ends.append(theta)
    apart = np.abs(ends[1] - ends[0]).max()
    print(f"{type(rule).__name__:5s} sees that the mean was forgotten:", bool(apart > 1e-5))

# %% [markdown]
# A loss curve under Adam proves little, then. The check takes its first steps by SGD.

# %% [markdown]
# ## Build: `zero2_step`
#
# Stage 1 still had the whole gradient on every rank until the backward pass was over. But backward finds the
# gradients layer by layer, the last layer first. Stage 2 reduce-scatters each as it comes, and lets the whole
# one go.
#
# `backward` yields pairs `(i, grad)`: a layer's place and its flat gradient. `params` and `states` are lists
# with one entry a layer, the states for this rank's blocks. Reduce-scatter each gradient before you ask for
# the next, and keep neither it nor a copy of it beyond its turn in the loop.
#
# (A library that lets one gradient travel while backward computes the next has two whole ones meanwhile.
# Here a collective is over when the call returns, and there is no reason to be late.)


# %% exercise="zero2_step"
def zero2_step(comm, params, backward, states, rule):
    """Return (params, states) after the step; change none of the lists that you are given."""
    ### BEGIN SOLUTION
    params, states = list(params), list(states)
    for i, grad in backward:
        pad = (0, -len(grad) % comm.world_size)
        old = np.pad(params[i], pad).reshape(comm.world_size, -1)[comm.rank]
        mean = comm.reduce_scatter(np.pad(grad, pad), "mean")
        delta, states[i] = rule.update(mean, states[i], old)
        params[i] = comm.all_gather(old - delta)[: len(grad)]
    return params, states
    ### END SOLUTION


# %% check="zero2_step" tags=["nbval-check-output"]
check(zero2_step)

# %% [markdown]
# Here the lesson may be cut in two. So far all ranks had all weights, and what was saved cost nothing. Stage
# 3 is another matter.

# %% [markdown]
# ## Build: `zero3_step`
#
# Stage 3 keeps no weights either. A layer's weights are gathered just before they are used, and dropped
# after: once in the forward, and once more in the backward, which needs them again. That is the third
# $\Psi$. In return the gather after the update falls away: a step begins and ends with shards.
#
# $$\underbrace{\Psi}_{\text{gather, forward}} + \underbrace{\Psi}_{\text{gather, backward}}
# + \underbrace{\Psi}_{\text{reduce-scatter}} = 3\,\Psi .$$
#
# `shards` and `states` hold an entry a layer. `model` does the arithmetic, with whole flat weights:
#
# - `model.sizes[i]`: how many weights layer `i` has (without padding),
# - `model.forward(i, weights, x)`: the layer's output,
# - `model.loss(y)`: the gradient of the loss in the last output,
# - `model.backward(i, weights, x, dy)`: `(dx, grad)`, where `x` is what the layer was given.
#
# At no time may two layers be whole on a rank, nor two gradients: reduce-scatter a layer's gradient before
# the backward of the next. A name that still holds an array keeps it alive, and a copy is as large as what it
# is a copy of.
#
# One gather can be saved. The backward begins with the layer that ended the forward, whose weights are still
# there, and no other layer is whole meanwhile. You may keep them or gather twice; both pass. PyTorch's
# `fully_shard` keeps by default what belongs to the outermost module, for this reason.


# %% exercise="zero3_step"
def zero3_step(comm, shards, states, model, x, rule):
    """Return (shards, states) after one step on this rank's rows x; change none of the lists."""
    ### BEGIN SOLUTION
    shards, states, inputs = list(shards), list(states), []
    for i, own in enumerate(shards):
        inputs.append(x)
        x = model.forward(i, comm.all_gather(own)[: model.sizes[i]], x)
    dy = model.loss(x)
    for i in reversed(range(len(shards))):
        weights = comm.all_gather(shards[i])[: model.sizes[i]]
        dy, grad = model.backward(i, weights, inputs[i], dy)
        mean = comm.reduce_scatter(np.pad(grad, (0, -len(grad) % comm.world_size)), "mean")
        delta, states[i] = rule.update(mean, states[i], shards[i])
        shards[i] = shards[i] - delta
    return shards, states
    ### END SOLUTION


# %% check="zero3_step" tags=["nbval-check-output"]
check(zero3_step)

# %% [markdown]
# ## Validate: 20 steps beside one process
#
# A check of shapes would miss most of what can go wrong here. The honest test is *equivalence*: after 20
# steps of AdamW the ranks must have the parameters of one process that saw all the data. In float64 within
# $10^{-11}$; not to the last bit, since the sums run in another order.
#
# The network is the library's, in three layers; `Flat` hands out its weights in flat rows.


# %%
class Flat:
    """A network whose layers take flat weights, on a rank's rows of the batch."""

    def __init__(self, net, target):
        self.net, self.target = net, target
        self.sizes = [sum(p.size for p in layer.values()) for layer in net.layers]
        self.kept = {}

    def rows(self):
        """Return each layer's weights as one flat row."""
        return [np.concatenate([p.reshape(-1) for p in layer.values()]) for layer in self.net.layers]

    def params(self, i, row):
        """Return a flat row as the layer's parameters by name."""
        ends = np.cumsum([p.size for p in self.net.layers[i].values()])
        parts = np.split(row, ends[:-1])
        return {k: part.reshape(p.shape) for (k, p), part in zip(self.net.layers[i].items(), parts)}

    def forward(self, i, weights, x):
        """Return the layer's output."""
        y, self.kept[i] = self.net.forward(i, self.params(i, weights), x)
        return y

    def loss(self, y):
        """Return the gradient of the loss in the output."""
        return self.net.loss(y, self.target)[1]

    def backward(self, i, weights, x, dy):
        """Return the gradients in the input and, flat, in the weights."""
        dx, found = self.net.backward(i, self.params(i, weights), self.kept.pop(i), dy)
        return dx, np.concatenate([found[k].reshape(-1) for k in self.net.layers[i]])

    def gradients(self, rows, x):
        """Yield (layer, flat gradient), the last layer first."""
        inputs = []
        for i, row in enumerate(rows):
            inputs.append(x)
            x = self.forward(i, row, x)
        dy = self.loss(x)
        for i in reversed(range(len(rows))):
            dy, grad = self.backward(i, rows[i], inputs[i], dy)
            yield i, grad


STEPS, RULE = 20, AdamW(lr=0.01, weight_decay=0.1)
net = MLP.of_sizes([6, 16, 16, 4])
rng = np.random.default_rng(1)
X, TARGET = rng.normal(size=(24, 6)), rng.normal(size=(24, 4))
step1, step2, step3 = (
    f if passed(f) else find(f.__name__).reference for f in (zero1_step, zero2_step, zero3_step)
)


def alone():
    """Return the weights after training in one process, on all the data."""
    model = Flat(net, TARGET)
    rows = model.rows()
    states = [RULE.init(row) for row in rows]
    for _ in range(STEPS):
        for i, grad in list(model.gradients(rows, X)):
            delta, states[i] = RULE.update(grad, states[i], rows[i])
            rows[i] = rows[i] - delta
    return np.concatenate(rows)


def train(comm, stage):
    """Return the weights after training on this rank's rows, by your functions where they are right."""
    mine = slice(comm.rank * 24 // comm.world_size, (comm.rank + 1) * 24 // comm.world_size)
    model, x = Flat(net, TARGET[mine]), X[mine]
    rows, state = model.rows(), None
    own = [cut(row, comm.world_size, comm.rank) for row in rows]
    states = [RULE.init(block) for block in own]
    for comm.step in range(STEPS):
        if stage == 1:
            whole = np.concatenate(rows)
            grad = np.concatenate([g for _, g in reversed(list(model.gradients(rows, x)))])
            whole, state = step1(comm, whole, grad, state, RULE)
            rows = np.split(whole, np.cumsum(model.sizes)[:-1])
        elif stage == 2:
            rows, states = step2(comm, rows, model.gradients(rows, x), states, RULE)
        else:
            own, states = step3(comm, own, states, model, x, RULE)
    if stage == 3:
        comm.step = STEPS  # the books of the steps are closed
        rows = [comm.all_gather(block)[:size] for block, size in zip(own, model.sizes)]
    return np.concatenate(rows)


# %% tags=["nbval-check-output"]
truth = alone()
runs = {(stage, n): cluster.run(train, n, args=(stage,)) for stage in (1, 2, 3) for n in (1, 2, 3, 4)}
for stage in (1, 2, 3):
    apart = max(np.abs(end - truth).max() for n in (1, 2, 3, 4) for end in runs[stage, n].results)
    print(f"stage {stage}, on 1 to 4 ranks: every rank has the weights of one process: {apart < 1e-11}")

# %% [markdown]
# ### The bytes
#
# The ledger holds every message of these runs. Beside it stands the theory: 2, 2 and 3 $\Psi$, times
# $\frac{N-1}{N}$; so $\frac{N-1}{N}\Psi$ is the unit to count in. Here the layers divide among two and among
# four ranks, so that there is no padding to pay for, and the two must agree to the byte. (A `zero3_step` that
# gathers the last layer once only sends a little less than 3.)

# %% tags=["nbval-check-output"]
psi = truth.nbytes
last = net.layers[-1]
spared = sum(p.nbytes for p in last.values()) / psi  # by whoever gathers the last layer once
for stage, times in ((1, 2), (2, 2), (3, 3)):
    for n in (2, 4):
        unit = psi * (n - 1) / n
        sent = {runs[stage, n].ledger.sent(rank=r, step=s) / unit for r in range(n) for s in range(STEPS)}
        exact = sent == {times} or (stage == 3 and np.allclose(list(sent), 3 - spared))
        print(f"stage {stage}, {n} ranks: {min(sent):.2f} (N-1)/N Psi a rank and step; as in theory: {exact}")

# %% [markdown]
# So stages 1 and 2 cost nothing on the wire: an all-reduce, with the update between its halves. Stage 3 sends
# half as much again.

# %% [markdown]
# ### The memory
#
# The library's trainers tell the simulated cluster of every array that they hold. At the end of the backward
# pass it writes down what is alive. All numbers are float64 here: 8 bytes of weight, 8 of gradient, 16 for
# Adam's two moments.

# %% tags=["nbval-check-output"]
sizes = [16, 32, 32, 16]


def library(comm, stage, **options):
    """Take two steps of the library's ZeRO on equal rows."""
    trainer = zero(comm, MLP.of_sizes(sizes), RULE, stage, **options)
    for _ in range(2):
        trainer.step(np.ones((2, 16)), np.zeros((2, 16)))


count = sum((m + 1) * n for m, n in pairwise(sizes))
for stage in (1, 2, 3):
    reports = cluster.run(library, 4, args=(stage,)).memory
    held = [sum(report.marks["backward"].values()) for report in reports]
    parts = (16, 8, 8)  # states, gradients, weights: cut in this order
    formula = count * sum(part / 4 if cut_from < stage else part for cut_from, part in enumerate(parts))
    print(f"stage {stage}: {held[0]:,} bytes alive on each of 4 ranks; the formula says so: "
          f"{set(held) == {formula}}")  # fmt: skip

# %% [markdown]
# ## What FSDP adds
#
# *Fully sharded data parallelism* is stage 3 with a choice of the unit: usually a layer or a block is
# gathered at a time. PyTorch's `fully_shard` calls the choice that you made above `reshard_after_forward`.
# Without it the gathered weights stay until the backward has used them.

# %% tags=["nbval-check-output"]


def fsdp(comm, reshard):
    """Take one step of the library's FSDP."""
    trainer = FullyShard(comm, MLP.of_sizes(sizes), RULE, reshard_after_forward=reshard)
    trainer.step(np.ones((2, 16)), np.zeros((2, 16)))


layers = [8 * (m + 1) * n for m, n in pairwise(sizes)]
for reshard in (True, False):
    done = cluster.run(fsdp, 4, args=(reshard,))
    sent, peak = done.ledger.sent(rank=0), done.memory[0].peaks["gathered"]
    kind = "the largest layer" if peak == max(layers) else "the whole model" if peak == sum(layers) else "?"
    times = sent / (8 * count * 3 / 4)
    print(f"reshard after forward {reshard!s:5s}: sends {times:.2f} (N-1)/N Psi, holds {kind} gathered")

# %% [markdown]
# A gather saved, or the memory: without resharding a step costs what data parallelism costs, and only what
# lies *between* steps is sharded. The unit matters in the same way. One unit for the whole model is gathered
# as a whole, and then stage 3 saves nothing while it computes.

# %% [markdown]
# ## Which rules can be cut?
#
# AdamW goes element by element: what happens to one weight depends on no other. Such a rule runs on any
# block. LAMB (lesson 08) does not. Its step has the length of the layer's weights:
#
# $$\text{delta} = \eta\,\frac{\lVert w\rVert}{\lVert u\rVert}\,u ,$$
#
# with norms over the *whole* layer, of which a rank sees a shard. The square of a norm is a sum, and sums can
# be all-reduced:
#
# $$\lVert w\rVert = \sqrt{\textstyle\sum_r \lVert w_r\rVert^2} \;\neq\; \sum_r \lVert w_r\rVert .$$
#
# ## Build: `lamb_under_zero`
#
# `weights` and `update` are this rank's blocks of the layer's weights $w$ and of $u$ (Adam's direction and
# decay, ready made). Return this rank's block of delta. Where one of the two norms *of the
# layer* is 0, the ratio is 1; it has no upper limit here. Two numbers have to cross the wire, and no more.


# %% exercise="lamb_under_zero"
def lamb_under_zero(comm, weights, update, lr):
    """Return what this rank subtracts from its shard of the layer's weights."""
    ### BEGIN SOLUTION
    squares = comm.all_reduce(np.array([weights @ weights, update @ update]))
    trust = np.sqrt(squares[0] / squares[1]) if squares.all() else 1.0
    return lr * trust * update
    ### END SOLUTION


# %% check="lamb_under_zero" tags=["nbval-check-output"]
check(lamb_under_zero)

# %% [markdown]
# What would go wrong without the all-reduce? Each rank would have a ratio of its own. The layer below has
# small weights in front and large ones behind, as the rows of an embedding may differ.

# %% tags=["nbval-check-output"]
lamb = lamb_under_zero if passed(lamb_under_zero) else find("lamb_under_zero").reference
w, u = np.concatenate([np.full(8, 0.1), np.full(8, 1.0)]), np.ones(16)


def length_of_step(comm):
    """Return the step of this rank's first weight: with norms of the layer, and of the shard."""
    own, up = (cut(a, comm.world_size, comm.rank) for a in (w, u))
    alone = 0.1 * np.linalg.norm(own) / np.linalg.norm(up)
    return lamb(comm, own, up, 0.1)[0], alone


for rank, (right, wrong) in enumerate(cluster.run(length_of_step, 2).results):
    print(f"rank {rank}: step {right:.3f}; with the norms of its shard it would be {wrong:.3f}")

# %% [markdown]
# The result would depend on the number of ranks: a bug that appears when a job moves to another cluster. The
# library's ZeRO does the all-reduce for LARS and LAMB, and refuses rules that need a whole matrix, like Muon.


# %% tags=["nbval-check-output"]
def with_lamb(comm, stage):
    """Return all weights after 20 steps of LAMB, on this rank's rows."""
    trainer = zero(comm, net, LAMB(lr=0.01), stage)
    mine = slice(comm.rank * 24 // comm.world_size, (comm.rank + 1) * 24 // comm.world_size)
    for _ in range(STEPS):
        trainer.step(X[mine], TARGET[mine])
    return np.concatenate([p.reshape(-1) for p in trainer.parameters().values()])


one = cluster.run(with_lamb, 1, args=(2,)).results[0]
for stage in (1, 2, 3):
    ends = cluster.run(with_lamb, 3, args=(stage,)).results
    agrees = max(np.abs(end - one).max() for end in ends) < 1e-11
    print(f"LAMB, stage {stage} on 3 ranks equals one process: {agrees}")
try:
    cluster.run(lambda comm: zero(comm, net, Muon(), 2), 2)
except cluster.RankError as error:
    print("Muon:", str(error).split("; ")[0])

# %% [markdown]
# ## Where conventions differ
#
# **A reduce-scatter that is an all-reduce.** What a collective costs is up to its backend. PyTorch's *gloo*,
# which runs on CPUs, reduces everything to every rank and keeps one block: twice the bytes. The values are
# right, so nothing tells you. FSDP then sends $4\Psi$ in the place of 3. There is another way to write it: an
# all-to-all, in which each rank sends block $j$ to rank $j$, and a sum of what came.


# %% tags=["nbval-check-output"]
def three_ways(comm):
    """Reduce-scatter a row: by the ring, as gloo does it, and by an all-to-all."""
    row, n = np.arange(24.0) + comm.rank, comm.world_size
    comm.step = 0
    ring = comm.reduce_scatter(row)
    comm.step = 1
    disguised = comm.all_reduce(row).reshape(n, -1)[comm.rank]
    comm.step = 2
    direct = comm.all_to_all(row).reshape(n, -1).sum(axis=0)
    return np.array_equal(ring, disguised) and np.array_equal(ring, direct)


done = cluster.run(three_ways, 4)
print("all three give the same block:", all(done.results))
for i, name in enumerate(("ring", "all-reduce in disguise", "all-to-all and sum")):
    once = done.ledger.sent(rank=0, step=i) / (24 * 8 * 3 / 4)
    print(f"{name:22s} sends {once:.2f} (N-1)/N Psi; with it a step of stage 3 sends {2 + once:.2f}")

# %% [markdown]
# The course's gloo engine goes the third way, so that your programs move on real processes what the ledger
# says.
#
# **What the names mean.** DeepSpeed's stages are those of the paper. PyTorch's `ZeroRedundancyOptimizer` is
# stage 1 beside DDP: gradients are all-reduced, and each rank then broadcasts the tensors that it has
# updated. That makes $3\Psi$, not 2. It deals out whole tensors, so shares may be uneven. `fully_shard` is
# stage 3, with `reshard_after_forward=False` near stage 2.
#
# **Accumulation.** Under stages 2 and 3 every micro-batch reduce-scatters, or every rank keeps whole
# gradients until the last one. The table above is for one micro-batch a step.

# %% [markdown]
# ## In the wild: "a 70B model requires ZeRO 3"
#
# The argument: 16 bytes for each of $70\cdot10^9$ parameters are 1,120 GB, and no device holds that. True;
# but ZeRO is not the only knife. Tensor parallelism cuts each layer into pieces, pipeline parallelism deals
# the layers out, and both cut weights, gradients and states at once. Here are five layouts of 128 devices of
# 80 GB:
#
# 1. ZeRO 1 alone, on 128 ranks,
# 2. ZeRO 2 alone,
# 3. ZeRO 3 alone,
# 4. each layer cut among 8 devices (tensor 8), the layers dealt out to 4 groups of them (pipeline 4), and
#    ZeRO 1 over the 4 copies of this that there is room for,
# 5. the same without ZeRO: four copies of everything.

# %%
predict(
    "12-seventy",
    "128 devices of 80 GB, a model of 70 billion parameters. Which of the five layouts fit?",
    ["Only 3", "3 and 4", "3, 4 and 5", "All five"],
)

# %% [markdown]
# The library's planner counts. (Activations too: of 4,096 tokens, with every layer computed again in the
# backward.)

# %% tags=["nbval-check-output"]
job = Job(70e9, batch=1024, seq=4096, layers=80, hidden=8192)
fits = {}
for name, cuts in {
    "1. ZeRO 1 alone": {"zero": 1},
    "2. ZeRO 2 alone": {"zero": 2},
    "3. ZeRO 3 alone": {"zero": 3},
    "4. ZeRO 1, tensor 8, pipeline 4": {"zero": 1, "tensor": 8, "pipeline": 4},
    "5. no ZeRO, tensor 8, pipeline 4": {"zero": 0, "tensor": 8, "pipeline": 4},
}.items():
    try:
        plan = make_plan(job, Layout(128, recompute="full", **cuts), HARDWARE["h100"])
        fits[name[0]] = True
        parts = ", ".join(f"{kind} {size / 1e9:.1f}" for kind, size in plan.memory.items())
        print(f"{name:32s} fits, in GB:\n    {parts}")
    except Impossible as error:
        fits[name[0]] = False
        print(f"{name:32s} does not: {str(error).split(' (')[0]}")
which = "".join(number for number, fit in fits.items() if fit)
reveal(
    "12-seventy",
    {"3": "Only 3", "34": "3 and 4", "345": "3, 4 and 5", "12345": "All five"}.get(which, which),
    "Tensor 8 and pipeline 4 leave 1/32 of the model to each rank; even without ZeRO that fits.",
)

# %% [markdown]
# What is true: *data parallelism alone* needs stage 3 for 70B. Which layout is faster is another question, of
# bytes and of the network they cross. Tensor parallelism talks within every layer, ZeRO 3 gathers every
# layer, a pipeline waits.

# %% [markdown]
# ## On real processes
#
# The same `train`, with your `zero1_step` if it is right, on two processes of this machine, which
# share no memory and talk through gloo. Values and ledger must be those of the simulation.

# %% tags=["nbval-check-output"]
real = cluster.run(train, 2, engine="gloo", args=(1,))
apart = max(np.abs(end - truth).max() for end in real.results)
print("real processes have the weights of one process:", apart < 1e-11)
same = all(real.ledger.sent(rank=r) == runs[1, 2].ledger.sent(rank=r) for r in (0, 1))
print("and sent what the simulation says:", same)

# %% [markdown]
# ## What you now know
#
# - Data parallelism stores all states $N$ times. ZeRO cuts states, then gradients, then weights.
# - A rank holds $2 + 2 + K$ bytes a parameter: weight, gradient, states. Stage 1 divides $K$ by $N$. Stage 2
#   divides the gradient's 2 as well, and stage 3 the weight's.
# - Stages 1 and 2 send what data parallelism sends: an all-reduce, with the update between its halves.
#   Stage 3 sends half as much again.
# - FSDP is stage 3 by layers. Keep the gathered weights until the backward, and it sends 2 $\Psi$ again.
# - Rules that go element by element run on any shard. LARS and LAMB need their squared norms all-reduced.
# - Values alone do not prove a parallel program. Count its bytes, and what it keeps.
