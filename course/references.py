"""Other packages' implementations of the rules, run on the same gradients as ours.

torch comes with the course; the others (optax, lion-pytorch, pytorch_optimizer, sophia-opt, Keras) are the
optional extra ``peers``. Each is imported when it is run; where it is missing, :class:`Missing` says how to
install it.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from course import oracle, rules
from course.arrays import copy, to_numpy
from course.rules import Rule, Sophia

__all__ = ["PEERS", "Missing", "Peer", "keras_path", "optax_path", "rule_path", "textbook_path", "torch_path"]

Grads = Sequence[np.ndarray]
Path = Callable[[Any, np.ndarray, Grads, Grads], np.ndarray]
INSTALL = 'pip install -c constraints.txt -e ".[dev,peers]"'


class Missing(Exception):
    """A package of the extra ``peers`` is not installed."""


def load(module: str) -> Any:
    """Import a module of an optional package.

    Raises:
        Missing: it is not installed; the message is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Missing(f"{module.split('.')[0]} is not installed: {INSTALL}") from error


def rule_path(rule: Rule, start: Any, grads: Sequence[Any], hessians: Sequence[Any] = ()) -> np.ndarray:
    """Return where the rule stands after each step, shape ``(steps + 1, *shape)``.

    Args:
        rule: any rule. start: the parameter, a NumPy array or torch tensor. grads: one for each step.
        hessians: for Sophia, an estimate of the Hessian's diagonal before each step (the first one zero,
            so that all implementations begin without knowledge).
    """
    theta, state = copy(start), rule.init(start)
    points = [to_numpy(theta)]
    for i, g in enumerate(grads):
        if isinstance(rule, Sophia) and len(hessians):
            state = rule.with_hessian(state, hessians[i])
        delta, state = rule.update(g, state, theta)
        theta = theta - delta
        points.append(to_numpy(theta))
    return np.stack(points)


def torch_path(
    make: Callable[[list[Any]], Any], start: np.ndarray, grads: Grads, hessians: Grads = ()
) -> np.ndarray:
    """Return the same of a torch optimizer; ``make`` gets a list of one parameter.

    Args:
        hessians: for SophiaG, gradients whose squares are the estimates; for SophiaH, the estimates.
    """
    torch = load("torch")
    param = torch.nn.Parameter(torch.tensor(start))
    optimizer = make([param])
    points = [start]
    with oracle.scalars_as_exact_as(param):
        for i, g in enumerate(grads):
            step = optimizer.step
            if len(hessians) and hasattr(optimizer, "update_hessian"):
                param.grad = torch.tensor(hessians[i])
                optimizer.update_hessian()
            elif len(hessians):
                step = _with_hessian(optimizer, torch.tensor(hessians[i]))
            param.grad = torch.tensor(g)
            step()
            points.append(param.detach().numpy().copy())
    return np.stack(points)


def _with_hessian(optimizer: Any, hessian: Any) -> Callable[[], Any]:
    return lambda: optimizer.step(hessian=[hessian])


def optax_path(transform: Any, start: np.ndarray, grads: Grads, hessians: Grads = ()) -> np.ndarray:
    """Return the same of an optax transform, in JAX's true float64 where the start is float64."""
    jax = load("jax")
    with jax.enable_x64(True):
        theta = jax.numpy.asarray(start)
        state = transform.init(theta)

        @jax.jit
        def step(theta: Any, state: Any, g: Any) -> Any:
            update, state = transform.update(g, state, theta)
            return theta + update, state

        points = [start]
        for g in grads:
            theta, state = step(theta, state, jax.numpy.asarray(g))
            points.append(np.asarray(theta))
    return np.stack(points)


def keras_path(
    make: Callable[[Any], Any], start: np.ndarray, grads: Grads, hessians: Grads = ()
) -> np.ndarray:
    """Return the same of a Keras optimizer; ``make`` gets the module ``keras.optimizers``."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = load("keras")
    variable = keras.Variable(start, dtype=str(start.dtype))
    optimizer = make(keras.optimizers)
    optimizer.build([variable])
    points = [start]
    with _keras_floats(keras, str(start.dtype)), warnings.catch_warnings():
        # Keras' own way from a tensor to NumPy is deprecated by NumPy.
        warnings.simplefilter("ignore", DeprecationWarning)
        for g in grads:
            optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
            points.append(keras.ops.convert_to_numpy(variable).copy())
    return np.stack(points)


@contextmanager
def _keras_floats(keras: Any, dtype: str) -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


@dataclass(frozen=True)
class Peer:
    """One implementation of a rule in another package.

    Attributes:
        rule: the course's class. name: what it is called there. module: what must be importable.
        run: ``(rule, start, grads, hessians) -> path``, with the rule's own hyperparameters.
        switched: what the course's rule must be told so that both compute the same.
    """

    rule: type[Rule]
    name: str
    module: str
    run: Path
    switched: tuple[tuple[str, Any], ...] = ()


def _lion_pytorch(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    make = load("lion_pytorch").Lion
    options = {"lr": rule.lr, "betas": rule.betas, "weight_decay": rule.weight_decay}
    return torch_path(lambda p: make(p, **options), start, grads)


def _lion_pytorch_optimizer(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    make, options = load("pytorch_optimizer").Lion, rule.hyperparameters()
    return torch_path(lambda p: make(p, foreach=False, **options), start, grads)


def _lion_optax(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    (b1, b2), make = rule.betas, load("optax").lion
    return optax_path(make(rule.lr, b1=b1, b2=b2, weight_decay=rule.weight_decay), start, grads)


def _lars_pytorch_optimizer(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    make = load("pytorch_optimizer").LARS
    same = ("lr", "momentum", "weight_decay", "trust_coefficient", "nesterov", "maximize")
    options = {field: getattr(rule, field) for field in same}
    return torch_path(lambda p: make(p, foreach=False, **options), start, grads)


def _lars_optax(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    same = ("weight_decay", "trust_coefficient", "eps", "momentum", "nesterov")
    transform = load("optax").lars(rule.lr, **{field: getattr(rule, field) for field in same})
    return optax_path(transform, start, grads)


def _lamb_optax(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    (b1, b2), make = rule.betas, load("optax").lamb
    return optax_path(make(rule.lr, b1=b1, b2=b2, eps=rule.eps, weight_decay=rule.weight_decay), start, grads)


def _lamb_pytorch_optimizer(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    make = load("pytorch_optimizer").Lamb
    options = {field: getattr(rule, field) for field in ("lr", "betas", "eps", "weight_decay", "maximize")}
    options |= {"weight_decouple": False, "adam_debias": True, "foreach": False}
    return torch_path(lambda p: make(p, **options), start, grads)


def _sophia_opt(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    module = load("sophia_opt")
    same = ("lr", "betas", "rho", "weight_decay", "maximize")
    options = {field: getattr(rule, field) for field in same}

    def make(params: list[Any]) -> Any:
        optimizer = module.SophiaG(params, **options)
        plain = optimizer.step
        # The course's estimate carries the batch size; here the estimates are squares, of a batch of one.
        optimizer.step = lambda: plain(bs=1)
        return optimizer

    return torch_path(make, start, grads, [np.sqrt(h) for h in hessians])


def _sophia_pytorch_optimizer(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    make = load("pytorch_optimizer").SophiaH
    options = {field: getattr(rule, field) for field in ("lr", "betas", "weight_decay", "maximize")}
    options |= {"p": rule.rho, "eps": 1e-12 if rule.eps is None else rule.eps, "foreach": False}
    return torch_path(lambda p: make(p, **options), start, grads, hessians)


def _sophia_optax(rule: Any, start: np.ndarray, grads: Grads, hessians: Grads) -> np.ndarray:
    """Run optax.contrib.sophia as variant "H": its clip at 1 with gamma = rho, its lr times rho."""
    optax = load("optax")
    jax = load("jax")
    contrib = load("optax.contrib")
    (b1, b2), eps = rule.betas, 1e-12 if rule.eps is None else rule.eps
    with jax.enable_x64(True):
        estimates = jax.numpy.asarray(np.stack([*hessians, hessians[-1]]))
        # optax mixes the estimate of a step in after it, so it gets each a step early, never the first.
        given = optax.GradientTransformation(
            lambda params: jax.numpy.ones([], int), lambda updates, i, params=None: (estimates[i], i + 1)
        )
        transform = contrib.sophia(
            rule.lr * rule.rho, b1=b1, b2=b2, eps=eps * rule.rho, weight_decay=rule.weight_decay / rule.rho,
            gamma=rule.rho, clip_threshold=1.0, update_interval=1, hessian_diagonal_fn=given,
        )  # fmt: skip
    return optax_path(transform, start, grads)


PEERS: tuple[Peer, ...] = (
    Peer(rules.Lion, "lion_pytorch.Lion", "lion_pytorch", _lion_pytorch),
    Peer(rules.Lion, "pytorch_optimizer.Lion", "pytorch_optimizer", _lion_pytorch_optimizer),
    Peer(rules.Lion, "optax.lion", "optax", _lion_optax ),
    Peer(
        rules.LARS, "pytorch_optimizer.LARS", "pytorch_optimizer", _lars_pytorch_optimizer,
        (("adapt_vectors", False), ("lr_in_buffer", False)),
    ),
    Peer(rules.LARS, "optax.lars", "optax", _lars_optax, (("joint_norm", True),)),
    Peer(rules.LAMB, "optax.lamb", "optax", _lamb_optax),
    Peer(
        rules.LAMB, "pytorch_optimizer.Lamb", "pytorch_optimizer", _lamb_pytorch_optimizer,
        (("bias_correction", False), ("max_weight_norm", 10.0), ("trust_eps", "eps")),
    ),
    Peer(rules.Sophia, "sophia_opt.SophiaG", "sophia_opt", _sophia_opt, (("variant", "G"),)),
    Peer(
        rules.Sophia, "pytorch_optimizer.SophiaH", "pytorch_optimizer", _sophia_pytorch_optimizer,
        (("variant", "H"),),
    ),
    Peer(
        rules.Sophia, "optax.contrib.sophia", "optax", _sophia_optax,
        (("variant", "H"), ("bias_correction", True)),
    ),
)  # fmt: skip


def switched(rule: Rule, peer: Peer) -> Rule:
    """Return the rule with the peer's conventions; a value that names a field stands for that field's."""
    own = rule.hyperparameters()
    return rule.with_hyperparameters(
        **{n: own.get(v, v) if isinstance(v, str) else v for n, v in peer.switched}
    )


def textbook_path(
    lr: float, dampened: float = 0.0, lr_inside: bool = False
) -> Callable[[np.ndarray, Grads], np.ndarray]:
    """Return the heavy ball of textbooks (momentum 0.9) as a function of start and gradients.

    Args:
        lr: learning rate; where it stands inside the buffer it is halved at half time, which shows that.
        dampened: the share of every gradient, the first one too, that the buffer leaves out.
        lr_inside: whether lr is multiplied into the buffer.
    """

    def path(start: np.ndarray, grads: Grads) -> np.ndarray:
        theta, buffer, points = start, 0 * start, [start]
        for t, g in enumerate(grads):
            rate = lr / 2 if lr_inside and t >= len(grads) // 2 else lr
            buffer = 0.9 * buffer + (rate if lr_inside else 1.0) * (1 - dampened) * g
            theta = theta - (buffer if lr_inside else rate * buffer)
            points.append(theta)
        return np.stack(points)

    return path
