"""The slips of ``shard`` and ``model_states_per_rank``: wrong cuts, padding, shares and units."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["shard_slips", "states_slips"]

Array = np.ndarray
shard_slips, states_slips = Slips(), Slips()


def _cut(row: Array, missing: tuple[int, int], ranks: int, rank: int, value: float = 0) -> Array:
    row = np.pad(row, missing, constant_values=value)
    length = -(-len(row) // ranks)
    return row[rank * length : (rank + 1) * length]


@shard_slips(
    "no padding",
    "You cut the row without padding, so the ranks' shards have different lengths.",
    "A collective needs the same length on every rank: fill up with zeros.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return np.array_split(x.reshape(-1), world_size)[rank]


@shard_slips(
    "a short last shard",
    "You cut equal pieces off the row, and the last ranks get what is left: less, or nothing.",
    "Pad the row with zeros before you cut it.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return _cut(x.reshape(-1), (0, 0), world_size, rank)


@shard_slips(
    "each shard padded by itself",
    "You cut the row first, with np.array_split, and then pad the shorter shards. All have the same length, "
    "but the zeros stand in the middle: gathered, the row is not x with zeros at its end.",
    "First pad the row, then cut it.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    shards = np.array_split(x.reshape(-1), world_size)
    return np.pad(shards[rank], (0, len(shards[0]) - len(shards[rank])))


@shard_slips(
    "padding in front",
    "Your zeros stand before the data. Then every rank's block is shifted.",
    "Pad at the end: np.pad(row, (0, missing)).",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return _cut(x.reshape(-1), (-x.size % world_size, 0), world_size, rank)


@shard_slips(
    "padding with the last value",
    "You fill up with a copy of the last value. It is a number that nobody has; in a norm it would count.",
    "Fill up with zeros: they add nothing to a sum or to a norm.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    row = x.reshape(-1)
    return _cut(row, (0, -x.size % world_size), world_size, rank, row[-1] if x.size else 0)


@shard_slips(
    "the remainder dropped",
    "You round the length of a shard down, so the last values belong to no rank.",
    "Round up, and fill up with zeros.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    length = x.size // world_size
    return x.reshape(-1)[rank * length : (rank + 1) * length]


@shard_slips(
    "one zero too many",
    "Where the length divides already, you pad all the same: world_size - size % world_size is then "
    "world_size, not 0.",
    "-size % world_size is 0 where nothing is missing.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return _cut(x.reshape(-1), (0, world_size - x.size % world_size), world_size, rank)


@shard_slips(
    "dealt like cards",
    "You give rank r every world_size-th value. All-gather puts blocks one after another: the order is lost.",
    "A shard is one block of neighbours.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return np.pad(x.reshape(-1), (0, -x.size % world_size))[rank::world_size]


@shard_slips(
    "every rank the first shard",
    "All your ranks keep the first block.",
    "Which block it is depends on rank.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return _cut(x.reshape(-1), (0, -x.size % world_size), world_size, 0)


@shard_slips(
    "ranks from the end",
    "Rank 0 has your last block. All-gather puts rank 0 first.",
    "Block r of the row belongs to rank r.",
)
def _(x: Array, world_size: int, rank: int) -> Any:
    return _cut(x.reshape(-1), (0, -x.size % world_size), world_size, world_size - 1 - rank)


def _states(
    parameters: float, ranks: int, stage: int, k: float, by: tuple[int, int, int] = (3, 2, 1), w: int = 2
) -> float:
    """Return the bytes; ``by`` says from which stage on weights, gradients and states are divided."""
    sizes = zip((w, w, k), by, strict=True)
    return parameters * sum(size / ranks if stage >= first else size for size, first in sizes)


@states_slips(
    "K forgotten",
    "You count 2 + 2 bytes for each parameter and no optimizer state, which is the largest part.",
    "optimizer_bytes for each parameter: master copy and two moments.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, 0)


@states_slips(
    "K fixed at 12",
    "You count 12 bytes of state whatever optimizer_bytes says. That is Adam with a master copy.",
    "Use the argument.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, 12)


@states_slips(
    "master copy forgotten",
    "You take 4 bytes off the state, as if it had no master copy of the weights in float32.",
    "optimizer_bytes holds it already.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes - 4)


@states_slips(
    "stage 1 divides the gradients as well",
    "In stage 1 you divide the gradients. Stage 1 shards the optimizer's state alone.",
    "Gradients are divided from stage 2 on.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (3, 1, 1))


@states_slips(
    "stage 2 divides the weights as well",
    "In stage 2 you divide the weights. They are whole on every rank until stage 3.",
    "Weights are divided in stage 3.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (2, 2, 1))


@states_slips(
    "everything divided at once",
    "From stage 1 on you divide everything. That is stage 3.",
    "One part more at each stage.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (1, 1, 1))


@states_slips(
    "stages counted from 0",
    "You divide the states in stage 0 already. Stage 0 is plain data parallelism: everything whole.",
    "Stage 1 is the first that divides.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (2, 1, 0))


@states_slips(
    "stages one too late",
    "Your stage 1 divides nothing, and each stage does what the one before it should.",
    "Stage 1 divides the states already, and stage 3 everything.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (4, 3, 2))


@states_slips(
    "gradients before the states",
    "In stage 1 you divide the gradients, and the states only in stage 2. The states go first: they are the "
    "largest part.",
    "Stage 1: states. Stage 2: gradients too. Stage 3: weights too.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (3, 1, 2))


@states_slips(
    "stages in the opposite order",
    "You divide the weights first and the states last. The states go first: they are the largest part.",
    "Stage 1: states. Stage 2: gradients too. Stage 3: weights too.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, (1, 2, 3))


@states_slips(
    "each stage instead of the last",
    "Each of your stages divides one part alone. The stages build on each other.",
    "Stage 2 keeps what stage 1 has saved.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    sizes = {3: 2, 2: 2, 1: optimizer_bytes}
    return parameters * sum(size / ranks if stage == own else size for own, size in sizes.items())


@states_slips(
    "weights and gradients in float32",
    "You count 4 bytes for a weight and for a gradient. The paper trains in half precision: 2 and 2.",
    "The float32 copy is in optimizer_bytes.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes, w=4)


@states_slips(
    "GiB",
    "You return GiB: bytes over 2**30. The function returns bytes; and the paper's GB are 10**9 bytes.",
    "Return bytes, and divide where you print.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes) / 2**30


@states_slips(
    "GB",
    "You return GB. The function returns bytes.",
    "Divide by 1e9 where you print.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes) / 1e9


@states_slips(
    "GB and GiB mixed",
    "You turn bytes into GiB and GiB into decimal bytes on the way: 7 per cent are lost.",
    "10**9 and 2**30 are two units. Here, no unit but the byte is needed.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return _states(parameters, ranks, stage, optimizer_bytes) / 2**30 * 1e9


@states_slips(
    "all ranks together",
    "You count the bytes of all ranks together. The question is what one of them holds.",
    "What is whole counts once, what is cut counts one part.",
)
def _(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> Any:
    return ranks * _states(parameters, ranks, stage, optimizer_bytes)
