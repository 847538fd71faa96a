"""Lesson 02's two instruments: ``update_to_weight_ratio`` and ``find_missing_parameters``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from course.exercises.base import Case, Exercise, Fault, Outcome, StopDriving, copied, mutated
from course.exercises.draw import plain
from course.exercises.late import nn, torch
from course.exercises.lesson_02_tools_slips import missing_slips, ratio_slips

__all__ = ["TOOLS"]

Arrays = dict[str, np.ndarray]


# ---------------------------------------------------------------- update_to_weight_ratio
def ratio_reference(before: Arrays, after: Arrays) -> dict[str, float]:
    """Return the ratios by the sums of squares, scaled so that none of them leaves the range."""
    ratios = {}
    for name, old in before.items():
        moves = [float(b) - float(a) for a, b in zip(old.flat, after[name].flat, strict=True)]
        size, moved = math.hypot(*(float(a) for a in old.flat)), math.hypot(*moves)
        ratios[name] = moved / size if size else math.inf * moved if moved else 0.0
    return ratios


def drive_ratio(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Run an answer on two sets of weights; write the ratio of each parameter down."""
    given = copied(case.inputs)
    result = answer(given["before"], given["after"])
    if mutated(case.inputs, given):
        out.fault("mutated", "weights", "your function changed the weights it was given")
    if not isinstance(result, dict):
        kind = "None" if result is None else f"a {type(result).__name__}"
        raise StopDriving(Fault("type", "result", f"return a dict, a ratio for each name; yours is {kind}"))
    if set(result) != set(case.inputs["before"]):
        raise StopDriving(
            Fault("keys", "result", f"the names must be those of the weights; yours are {list(result)}")
        )
    for name in case.inputs["before"]:
        value = result[name]
        if isinstance(value, bool | str) or np.ndim(value) or np.asarray(value).dtype.kind not in "iuf":
            raise StopDriving(Fault("type", "ratio", f"the ratio of {name!r} must be one number"))
        _demand_infinity(name, float(value), case.inputs["before"][name], case.inputs["after"][name])
        # An infinity has no difference to another one; it is seen as a 0.
        out.see(1, f"ratio of {name!r}", 0.0 if np.isinf(value) else float(value))


def _demand_infinity(name: str, value: float, before: np.ndarray, after: np.ndarray) -> None:
    """Stop where a ratio is infinite and should not be, or the other way round; NaN is left to others."""
    infinite = not before.any() and bool(after.any())
    if np.isnan(value) or infinite == (value == math.inf):
        return
    if infinite:
        kind = "zero" if value == 0 else "finite"
        message = f"the weights {name!r} were all 0 and have moved: their ratio is np.inf; yours is {value:g}"
    elif before.any():
        kind, message = "infinite", f"the ratio of {name!r} must be finite; yours is {value:g}"
    else:
        kind = "still"
        message = f"the weights {name!r} are all 0 and have not moved: their ratio is 0; yours is {value:g}"
    raise StopDriving(Fault(kind, "ratio", message))


def ratio_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    w = np.array([3.0, 4.0])
    yield Case("one parameter", {"before": {"w": w}, "after": {"w": w + np.array([0.0, 0.1])}})
    yield Case("a weight that turns", {"before": {"w": w}, "after": {"w": w[::-1].copy()}})
    shapes: tuple[tuple[int, ...], ...] = ((3, 4), (4,), (2, 1, 3))
    for seed, scale in enumerate((1e-3, 1e-1)):
        before = {f"layer{i}": plain(s, seed + 3 * i) for i, s in enumerate(shapes)}
        after = {name: v + scale * plain(v.shape, seed + 50) for name, v in before.items()}
        yield Case(f"three parameters, steps of {scale:g}", {"before": before, "after": after})
    before = {"moved": w, "still": w}
    yield Case("one that stands still", {"before": before, "after": {"moved": w + 0.1, "still": w}})
    zero = {"weight": w, "bias": np.zeros(2)}
    yield Case("a bias of zeros that stays", {"before": zero, "after": zero | {"weight": w + 1}}, "edges")
    yield Case(
        "a bias of zeros that moves",
        {"before": zero, "after": {k: v + 0.1 for k, v in zero.items()}},
        "edges",
    )
    for scale in (1e-12, 1e12):
        pair = {"before": {"w": scale * w}, "after": {"w": scale * (w + np.array([0.01, 0.0]))}}
        yield Case(f"weights around {scale:g}", pair, "edges")
    single = {"before": {"w": w.astype(np.float32)}, "after": {"w": (w * 1.01).astype(np.float32)}}
    yield Case("float32", single, "edges")
    yield Case("a scalar", {"before": {"scale": np.array(2.0)}, "after": {"scale": np.array(2.5)}}, "edges")


# ---------------------------------------------------------------- find_missing_parameters
def missing_reference(model: Any, optimizer: Any) -> list[str]:
    """Return the names by asking each parameter for itself among all that are held."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return [n for n, p in model.named_parameters() if p.requires_grad and all(p is not q for q in held)]


class _Setup(NamedTuple):
    """A model, the parameter groups of its optimizer, and what becomes of the model after that."""

    model: Callable[[], Any]
    groups: Callable[[Any], list[list[Any]]]
    then: Callable[[Any], None] = lambda model: None


def _two_layers() -> Any:
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))


def _biases_of_zero() -> Any:
    model = _two_layers()
    for layer in model:
        nn.init.zeros_(layer.bias)
    return model


def _after_backward() -> Any:
    model = _two_layers()
    model(torch.ones(1, 2)).sum().backward()
    return model


def _frozen() -> Any:
    model = _two_layers()
    model[0].requires_grad_(False)
    return model


def _tied() -> Any:
    model = _two_layers()
    model[1].weight = model[0].weight
    return model


def _whole(model: Any) -> list[list[Any]]:
    return [list(model.parameters())]


def _give_new_head(model: Any) -> None:
    model[1] = nn.Linear(2, 2)


def _wrap_anew(model: Any) -> None:
    model.weight = nn.Parameter(model.weight.data)


# In the order of the cases; functions throughout, so that the catalogue does not load PyTorch.
_WARD = {
    "everything is held": _Setup(lambda: nn.Linear(2, 1), _whole),
    "a bias is missing": _Setup(lambda: nn.Linear(2, 1), lambda m: [[m.weight]]),
    "the first layer is missing": _Setup(_two_layers, lambda m: _whole(m[1])),
    "the last of two unlike layers is missing": _Setup(
        lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), lambda m: _whole(m[0])
    ),
    "a layer in the middle is missing": _Setup(_two_layers, lambda m: [[m[0].weight, m[1].bias]]),
    "two groups": _Setup(_two_layers, lambda m: [[m[0].weight, m[1].weight], [m[0].bias]]),
    "a new head": _Setup(_two_layers, _whole, _give_new_head),
    "gradients everywhere": _Setup(_after_backward, lambda m: _whole(m[0])),
    "two biases of zero": _Setup(_biases_of_zero, lambda m: [[m[0].weight, m[0].bias, m[1].weight]]),
    "a frozen layer": _Setup(_frozen, lambda m: [[m[1].weight]]),
    "a weight wrapped anew": _Setup(lambda: nn.Linear(2, 2), _whole, _wrap_anew),
    "a tied weight that is missing": _Setup(_tied, lambda m: [[m[0].bias, m[1].bias]]),
    "a tied weight that is held": _Setup(_tied, _whole),
}


def _asked(answer: Callable[..., Any], model: Any, optimizer: Any) -> Any:
    """Return what an answer returns; comparing tensors where objects are meant is told as what it is."""
    try:
        return answer(model, optimizer)
    except RuntimeError as error:
        if "Boolean value of Tensor" not in str(error) and "must match the size" not in str(error):
            raise
        message = (
            "`p in a_list`, like `p == q`, compares the values of tensors one by one, and Python cannot make "
            "one yes or no of many; compare the objects: `p is q`, id(p), or a set instead of the list"
        )
        raise StopDriving(Fault("ambiguous", "comparison", message)) from error


def drive_missing(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Run an answer on a model and its optimizer; write down which parameters it names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        setup = _WARD[case.inputs["model"]]
        model = setup.model()
        optimizer = torch.optim.SGD([{"params": group} for group in setup.groups(model)], lr=0.1)
        setup.then(model)
    flags = [p.requires_grad for p in model.parameters()]
    result = _asked(answer, model, optimizer)
    if isinstance(result, str) or not isinstance(result, list | tuple | set):
        kind = "None" if result is None else f"a {type(result).__name__}"
        raise StopDriving(Fault("type", "result", f"return a list of names; yours is {kind}"))
    every = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    for name in result:
        if name not in every:
            yours = " ".join(f"{name!r:.60}".split())
            message = f"return names as model.named_parameters() has them; yours holds {yours}"
            raise StopDriving(Fault("name", "result", message))
    if flags != [p.requires_grad for p in model.parameters()]:
        out.fault("mutated", "model", "your function froze or unfroze parameters of the model")
    own = {id(p): i for i, p in enumerate(model.parameters())}
    tied = dict(model.named_parameters(remove_duplicate=False))
    found = sorted(own[id(tied[name])] for name in result)
    out.see(1, "number of names", len(found))
    out.see(1, "list of the places of the missing among model.parameters()", found)


def missing_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    edges = ("frozen", "tied", "biases of zero", "anew")
    for name in _WARD:
        yield Case(name, {"model": name}, "edges" if any(word in name for word in edges) else "formula")


TOOLS = (
    Exercise(
        name="update_to_weight_ratio",
        lesson="02",
        arguments=("before", "after"),
        reference=ratio_reference,
        drive=drive_ratio,
        make_cases=ratio_cases,
        slips=tuple(ratio_slips),
        hints=(
            "For each name: how long is the difference, and how long were the weights before?",
            "np.linalg.norm gives the length of an array of any shape, when it gets nothing but the array.",
            "Weights of zero have no length to divide by: decide by whether they have moved.",
        ),
        equivalent={
            "moved = np.linalg.norm(after[name] - before[name]) -> size = np.linalg.norm(before[name])": (
                "swapped: neither line needs the other"
            ),
            "moved = np.linalg.norm(after[name] - before[name]) -> "
            "moved = np.linalg.norm(before[name] - after[name])": "a norm has no sign",
            "ratios[name] = 0.0 -> ratios[name] = -0.0": "they are equal",
        },
    ),
    Exercise(
        name="find_missing_parameters",
        lesson="02",
        arguments=("model", "optimizer"),
        reference=missing_reference,
        drive=drive_missing,
        make_cases=missing_cases,
        slips=tuple(missing_slips),
        hints=(
            "First collect what the optimizer holds: each entry of optimizer.param_groups has a list "
            "'params'.",
            "Two tensors can be equal and not the same. id(p) is different for each object.",
            "Then walk over model.named_parameters(), and leave out what is held, and what is frozen.",
        ),
        positions=frozenset({"number of names"}),
        equivalent={
            "for group in optimizer.param_groups: -> missing = []": "swapped: neither needs the other",
        },
    ),
)
