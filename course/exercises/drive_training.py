"""The driver of lesson 02: run a whole training loop, measure what it did, ask the clinic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Case, Driver, Fault, Outcome, StopDriving
from course.exercises.draw import plain
from course.exercises.training_chart import Chart, named_not_called

__all__ = ["LEARNT", "data", "training"]

EARLY = 8  # steps
LEARNT = 0.5  # the share of the loss of guessing that may be left


def data(kind: str, n: int, seed: int) -> tuple[Any, Any]:
    """Return ``(x, y)`` as tensors: digits, or the line y = 2x with targets (n, 1) or, "flat line", (n,)."""
    import torch

    from course.data import load_digits

    if kind == "digits":
        images, labels = load_digits()
        chosen = np.random.default_rng(seed).permutation(len(images))[:n]
        return torch.from_numpy(images.reshape(-1, 64)[chosen]), torch.from_numpy(labels[chosen])
    x = torch.from_numpy(plain((n, 1), seed).astype(np.float32))
    x = (x - x.mean()) / x.std()
    return x, 2 * (x[:, 0] if kind == "flat line" else x)


def training(
    kind: str,
    optimizer: str,
    start: float | None = None,
    left: float = LEARNT,
    keeps: bool = False,
    **settings: float,
) -> Driver:
    """Drive a loop ``(x, y, steps) -> (model, exam)``.

    Args:
        kind: what it learns, see ``data``.
        optimizer: the class that was asked for.
        start: where all weights begin, if that was asked for; a few steps do not lead far from it.
        left: the share of the loss of guessing that may be left at the end.
        keeps: whether the first layer must be the one that was made first.
        settings: what stands in the optimizer's groups, such as ``lr``.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        import torch

        n, steps, seed = (case.inputs[name] for name in ("n", "steps", "seed"))
        x, y = data(kind, n, seed)
        grad, threads = torch.is_grad_enabled(), torch.get_num_threads()
        torch.set_num_threads(1)  # for matrices this small, a second thread costs more than it saves
        try:
            with torch.random.fork_rng(devices=[]):  # a check leaves the learner's own random state alone
                torch.manual_seed(seed)
                with Chart() as chart:
                    result = answer(x.clone(), y.clone(), steps)
        finally:
            torch.set_grad_enabled(grad)
            torch.set_num_threads(threads)
        model, exam = _pair(result)
        out.notes.append(f"named and not called: {named_not_called(answer)}")
        out.notes.append(f"cleared a single time: {chart.clearings == 1 < steps}")
        odd = chart.odd(model)
        # In later steps the gradients may be down to rounding, where two ways to write a loss part.
        out.notes.append(f"odd gradients: { {step: why for step, why in odd.items() if step <= EARLY} }")
        _note_what_was_asked(model, exam, optimizer, settings, out)
        out.see(1, "number of parameters that move", chart.moved(model))
        out.notes.append(f"parameters moved at the first step: {chart.moved_at_first(model)}")
        if keeps:
            out.see(1, "the first layer is the one that was there", chart.keeps_first(model))
        out.see(1, "the model has a nonlinearity", _bends(model, x))
        if start is not None:
            mean = sum(float(p.detach().float().mean()) for p in model.parameters())
            out.see(1, f"the weights start at {start:g}", abs(mean - start) < 0.4)
        loss = _loss_left(model, x, y)
        out.notes.append(f"loss left: {max(loss, 1e-6):.3g}")
        if case.part == "edges":  # one step is too little for the clinic
            return
        _ask_the_clinic(exam, chart.steps > 0 and not odd, out)
        _demand_own_gradients(odd, chart.steps)
        out.see(steps, f"the loss is below {left:g} of guessing", loss < left)

    return drive


def _pair(result: Any) -> tuple[Any, Any]:
    import torch

    from course import clinic

    if result is None:
        message = "your function returned None; it must end in `return model, exam`"
        raise StopDriving(Fault("none", "result", message))
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], torch.nn.Module):
        raise StopDriving(Fault("type", "result", "your function must end in `return model, exam`"))
    if not isinstance(result[1], clinic.Exam):
        message = "the second value must be the exam: with clinic.watch(model, optimizer) as exam: ..."
        raise StopDriving(Fault("type", "exam", message))
    return result


def _note_what_was_asked(model: Any, exam: Any, name: str, settings: dict[str, float], out: Outcome) -> None:
    """Write down what a repair must leave alone, and how the layers are kept."""
    facts = exam.facts
    optimizers = [watched.optimizer for watched in exam.recorder.order]
    groups = [group for one in optimizers for group in one.param_groups]
    values = sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = sorted(type(v).__name__ for v in vars(model).values() if isinstance(v, list | tuple))
    out.notes.append(f"plain attributes: {kept}")
    out.notes.append(f"kept as: {sorted({str(p.dtype) for p in model.parameters()})}")
    out.see(1, "number of values that train", values)
    out.see(1, "number of steps", max((p.steps for p in facts.params), default=0))
    out.see(1, f"the optimizer is {name}", {type(one).__name__ for one in optimizers} == {name})
    alike = len({one.steps for one in facts.optimizers}) == 1
    out.see(1, "all optimizers take the same number of steps", alike)
    for key, value in settings.items():
        out.see(1, key, next((g.get(key, np.nan) for g in groups if g.get(key) != value), value))


def _bends(model: Any, x: Any) -> bool:
    """Say whether the model is more than a matrix and a bias: whether f(x) + f(-x) is not 2 f(0)."""
    import torch

    x = x.to(next((p.dtype for p in model.parameters()), torch.float32))
    with torch.no_grad():
        there, back, zero = (model(each).double() for each in (x, -x, torch.zeros_like(x)))
    return bool((there + back - 2 * zero).abs().max() > 0.02 * (there - zero).abs().max())


def _loss_left(model: Any, x: Any, y: Any) -> float:
    """Return the loss as a share of that of a model that knows nothing: a guess, or the mean."""
    import torch

    kind = next((p.dtype for p in model.parameters()), torch.float32)
    with torch.no_grad():
        scores = model(x.to(kind)).float()
        if y.dtype == torch.int64:
            return float(torch.nn.functional.cross_entropy(scores, y) / np.log(10))
        return float((scores.flatten() - y.flatten()).pow(2).mean() / y.var(correction=0))


def _ask_the_clinic(exam: Any, clean: bool, out: Outcome) -> None:
    """Stop at what the clinic finds, whatever it was told to ignore.

    ``clean`` says that each step was measured to have got the gradient of its own batch.
    """
    from course import clinic

    found = [f for f in clinic.diagnose(exam.facts) if f.severity != "note"]
    found = [f for f in found if not (clean and f.code == "no-zero-grad")]  # it is read from fewer looks
    out.notes.append(f"findings: {[f.code for f in found]}")
    strangers = {leaf.shape for leaf in exam.facts.leaves.values() if not leaf.owner}
    out.notes.append(f"strangers: {sorted(strangers)}")
    out.notes.append(f"cuts: {sorted({cut.op for cut in exam.facts.cuts.values() if cut.reach})}")
    out.notes.append(f"shapes: {[pair[1:] for pair in exam.facts.broadcasts.values()]}")
    if found:
        first = found[0]
        message = f"the clinic still finds {first.code}: {first.meaning}. {first.evidence.rstrip('.')}"
        raise StopDriving(Fault("clinic", first.code, message))


def _demand_own_gradients(odd: dict[int, str], steps: int) -> None:
    """Stop where steps got more, or less, than the gradient of their own batch."""
    if not odd:
        return
    first, kind = next(iter(odd.items()))
    why = {
        "old": "an older one was still in it",
        "gone": "it had been cleared too early",
        "none": "a parameter had none",
    }
    message = (
        f"at {len(odd)} of {steps} steps .grad did not hold the gradient of that step's own batch, and no "
        f"other; at the first of them {why[kind]}"
    )
    raise StopDriving(Fault("gradients", kind, message, first))
