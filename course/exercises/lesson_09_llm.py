"""``llm_step``: its cases, its driver and its reference, which is put together from the library's parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course.arrays import is_array
from course.averaging import round_to_bfloat16
from course.exercises.base import Case, Fault, Outcome, StopDriving, copied, mutated
from course.exercises.draw import hard, plain
from course.gradients import Accumulator, clip_by_norm
from course.rules import AdamW
from course.schedules import Constant, Cosine

__all__ = ["ARGUMENTS", "drive_llm", "llm_cases", "llm_reference"]

Tree = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]
ARGUMENTS = (
    "grads", "tokens", "state", "master",
    "schedule", "beta1", "beta2", "eps", "weight_decay", "max_norm",
)  # fmt: skip


def llm_reference(
    grads: list[Tree], tokens: list[int], state: Tree, master: Tree,
    schedule: Callable[[int], float], beta1: float, beta2: float, eps: float,
    weight_decay: float, max_norm: float,
) -> Any:  # fmt: skip
    """Take one step of the whole recipe with the library's accumulator, clipping and rule."""
    window = Accumulator()
    held = window.init()
    for grad, count in zip(grads, tokens, strict=True):
        held = window.add(grad, held, count)
    clipped, _ = clip_by_norm(window.mean(held), max_norm)
    rule = AdamW(lr=schedule(state["step"]), betas=(beta1, beta2), eps=eps)
    new: Tree = {}
    after: Tree = {"m": {}, "v": {}, "step": state["step"] + 1}
    for name, theta in master.items():
        own = {"m": state["m"][name], "v": state["v"][name], "step": state["step"]}
        decay = weight_decay if theta.ndim >= 2 else 0.0
        delta, own = rule.with_hyperparameters(weight_decay=decay).update(clipped[name], own, theta)
        new[name], after["m"][name], after["v"][name] = theta - delta, own["m"], own["v"]
    return {name: round_to_bfloat16(theta) for name, theta in new.items()}, new, after


def drive_llm(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Run an answer over the case's windows; its own state and master copy go into its next step.

    ``grads`` and ``tokens`` hold a window for each step; the weights are seen last, for they follow from the
    master copy, and that from the state.
    """
    inputs = copied(case.inputs)
    windows = list(zip(inputs.pop("grads"), inputs.pop("tokens"), strict=True))
    state, master = inputs.pop("state"), inputs.pop("master")
    for step, (grads, tokens) in enumerate(windows, start=1):
        given = {"grads": grads, "tokens": tokens, "state": state, "master": master}
        before = {name: _snapshot(value) for name, value in given.items()}
        result = answer(grads, tokens, state, master, *inputs.values())
        for name, value in before.items():
            if mutated(value, _snapshot(given[name])):
                out.fault(
                    "mutated",
                    name,
                    f"your function changed its input {name}; the caller still needs it",
                    step,
                )
        like = before["master"]
        if result is None:
            _stop("none", "result", "your function returned None; it must end in a return", step)
        if not isinstance(result, tuple | list) or len(result) != 3:
            _stop("count", "result", "your function must return weights, master, state", step)
        weights, master, state = result
        if not isinstance(state, dict) or not {"m", "v", "step"} <= set(state):
            _stop("state", "state", 'the state must be a dict with "m", "v" and "step"', step)
        trees = {"m": state["m"], "v": state["v"], "master": master, "weights": weights}
        for what, tree in trees.items():
            _see_tree(what, tree, like, out, step)
        if isinstance(state["step"], dict) or np.ndim(state["step"]):
            _stop("state", "step", 'state["step"] must be a number, the count of steps', step)
        out.see(step, "state['step']", state["step"])
        master, state = copied(master), copied(state)


def _snapshot(value: Any) -> Any:
    """Return a copy in which a list of trees is a tree too, so that a change anywhere in it is seen."""
    return copied(dict(enumerate(value)) if isinstance(value, list) else value)


def _see_tree(what: str, tree: Any, like: Tree, out: Outcome, step: int) -> None:
    if not isinstance(tree, dict) or set(tree) != set(like):
        _stop("tree", what, f"{what} must be a dict with the names of master: {', '.join(like)}", step)
    for name, parameter in like.items():
        value = tree[name]
        if hasattr(value, "detach") or not (is_array(value) or isinstance(value, np.generic)):
            _stop("type", what, f"{what}[{name!r}] must be a NumPy array like master[{name!r}]", step)
        if np.shape(value) != parameter.shape:
            message = f"{what}[{name!r}] has shape {np.shape(value)}; master[{name!r}] has {parameter.shape}"
            _stop("shape", what, message, step)
        shown = f"{what}[{name!r}]" if what in ("master", "weights") else f"state[{what!r}][{name!r}]"
        out.see(step, shown, value)


def _stop(kind: str, what: str, message: str, step: int) -> None:
    raise StopDriving(Fault(kind, what, message, step))


def llm_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    one: Shapes = {"w": (1, 1)}
    both: Shapes = {"w": (2, 2), "b": (2,)}
    free: Tree = {"weight_decay": 0.0, "max_norm": 1e6}
    uneven = [[3, 5]]
    yield _case("one weight, one micro-batch, no decay, nothing to clip", one, 0, **free)
    yield _case("weight decay", one, 0, max_norm=1e6)
    yield _case("weight decay and a bias", both, 1, max_norm=1e6)
    yield _case("micro-batches of unequal size", one, 2, tokens=uneven, **free)
    yield _case("gradients longer than max_norm", both, 3, weight_decay=0.0, warm=2)
    yield _case("gradients shorter than max_norm", both, 3, weight_decay=0.0, max_norm=64.0, warm=2)
    yield _case("unequal micro-batches, longer than max_norm", both, 4, tokens=uneven, warm=1)
    yield _case("moments that are already full", both, 25, warm=4, **free)
    falling = Cosine(lr=0.5, total=8, warmup=2, floor=0.125)
    yield _case("a schedule, six steps in", both, 6, warm=6, schedule=falling)
    yield _case("the first step of a warmup", both, 6, schedule=falling)
    many = [[3, 5], [4, 4, 1], [7], [2, 6], [1, 1]]
    yield _case("five steps with a schedule", both, 27, "steps", tokens=many, schedule=falling)
    usual: Tree = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
    yield _case("the usual hyperparameters", both, 8, "steps", tokens=many, schedule=falling, **usual)
    small = Constant(0.0009765625)
    yield _case("steps too small for bfloat16", both, 9, "steps", tokens=[[1]] * 6, schedule=small, **usual)
    past = Cosine(lr=0.5, total=3, warmup=1, floor=0.125)
    yield _case("steps past the end of the schedule", both, 10, "steps", tokens=many, schedule=past)
    for seed, shape in enumerate(((), (3,), (1, 3), (2, 1, 2), (2, 2, 1, 1), (0, 2))):
        yield _case(f"a parameter of shape {shape}", {"p": shape}, 11 + seed, "edges", tokens=many[:2])
    layers: Shapes = {"tok": (3, 2), "norm": (2,), "up": (2, 4), "bias": (4,), "scale": ()}
    yield _case("five parameters", layers, 20, "edges", tokens=many[:2], schedule=falling)
    zeros = [[{name: np.zeros(s, np.float32) for name, s in both.items()}] * 2]
    yield _case("zero gradients", both, 21, "edges", tokens=uneven, grads=zeros)
    yield _case("zero gradients and full moments", both, 21, "edges", tokens=uneven, grads=zeros, warm=3)
    yield _case("a micro-batch without tokens", both, 22, "edges", tokens=[[4, 0, 2]])
    yield _case("a learning rate of zero", both, 23, "edges", schedule=Constant(0.0), warm=2)
    for scale in (1e-12, 1e12):
        grads = [
            [{n: hard(s, 10 * t + k, scale, "float32") for k, (n, s) in enumerate(both.items())}]
            for t in (1, 2)
        ]
        label = f"gradients around {scale:g}"
        yield _case(label, both, 24, "edges", tokens=[[1], [1]], grads=grads, eps=1e-8)


def _case(label: str, shapes: Shapes, seed: int, part: str = "formula", **change: Any) -> Case:
    """Make a case of these parameters; ``tokens`` says how many micro-batches each step has."""
    tokens, warm = change.pop("tokens", [[1]]), change.pop("warm", 0)

    def tree(salt: int) -> Tree:
        return {
            n: plain(s, 100 * seed + 10 * salt + k, dtype="float32")
            for k, (n, s) in enumerate(shapes.items())
        }

    grads = [[tree(10 + 7 * t + i) for i in range(len(window))] for t, window in enumerate(tokens)]
    cold = {n: np.zeros(s, np.float32) for n, s in shapes.items()}
    state = {"m": tree(1), "v": {n: x**2 for n, x in tree(2).items()}} if warm else {"m": cold, "v": cold}
    given = {
        "grads": grads, "tokens": tokens, "state": copied(state | {"step": warm}), "master": tree(3),
        "schedule": Constant(0.1), "beta1": 0.5, "beta2": 0.75, "eps": 1e-3, "weight_decay": 0.3,
        "max_norm": 1.0,
    }  # fmt: skip
    return Case(label, given | change, part)
