"""Lesson 08: ``lars``, ``lamb``, ``lion``, ``sophia``, ``newton_schulz``, ``muon``."""

from __future__ import annotations

from course import rules
from course.exercises import drive, drive_layers
from course.exercises import lesson_08_cases as made
from course.exercises import lesson_08_references as references
from course.exercises.base import Exercise
from course.exercises.lesson_08_lamb_slips import lamb_slips
from course.exercises.lesson_08_lars_slips import lars_slips
from course.exercises.lesson_08_layer_slips import lamb_layer_slips, lars_layer_slips
from course.exercises.lesson_08_lion_slips import lion_slips
from course.exercises.lesson_08_muon_size_slips import size_slips
from course.exercises.lesson_08_muon_slips import momentum_slips
from course.exercises.lesson_08_newton_schulz_slips import newton_schulz_slips
from course.exercises.lesson_08_sophia_estimate_slips import estimate_slips
from course.exercises.lesson_08_sophia_slips import step_slips

__all__ = ["EXERCISES"]

ANY = "neither line needs the other"
LAYERS = {
    f"deltas[{layer!r}]": f"the amount to subtract from the layer {layer!r}" for layer in ("first", "last")
}

EXERCISES = (
    Exercise(
        name="lars",
        lesson="08",
        arguments=("grads", "state", "params", "lr", "momentum", "weight_decay", "trust_coefficient"),
        reference=references.lars_reference,
        drive=drive_layers.rule_of_layers("buffer"),
        make_cases=made.lars_cases,
        slips=(*lars_slips, *lars_layer_slips),
        hints=(
            "Go through the layers one by one; each has its own norms, its own ratio and its own buffer.",
            "ratio = trust_coefficient times the norm of the weights, over (the norm of the gradient plus "
            "weight_decay times the norm of the weights).",
            "Where the norm of the weights or the whole denominator is 0, the ratio is 1.",
            "What enters the buffer is lr times ratio times (gradient plus weight_decay times weights).",
        ),
        meaning=LAYERS,
        equivalent={
            "g = grads[layer] -> weights = np.linalg.norm(w)": ANY,
            "deltas[layer] = buffer -> new_state[layer] = {'buffer': buffer}": ANY,
        },
    ),
    Exercise(
        name="lamb",
        lesson="08",
        arguments=("grads", "state", "params", "lr", "beta1", "beta2", "eps", "weight_decay"),
        reference=references.lamb_reference,
        drive=drive_layers.rule_of_layers("m", "v", "step"),
        make_cases=made.lamb_cases,
        slips=(*lamb_slips, *lamb_layer_slips),
        hints=(
            "First Adam for each layer, with both corrections; lr comes last.",
            "Then add the decay: u is Adam's step plus weight_decay times the layer's weights.",
            "The ratio is the norm of the weights over the norm of u, and 1 where either is 0.",
        ),
        meaning=LAYERS,
        equivalent={
            "step = old['step'] + 1 -> m = beta1 * old['m'] + (1 - beta1) * g": ANY,
            "m = beta1 * old['m'] + (1 - beta1) * g -> v = beta2 * old['v'] + (1 - beta2) * g ** 2": ANY,
            "v = beta2 * old['v'] + (1 - beta2) * g ** 2 -> m_hat = m / (1 - beta1 ** step)": ANY,
            "m_hat = m / (1 - beta1 ** step) -> v_hat = v / (1 - beta2 ** step)": ANY,
            "deltas[layer] = lr * trust * u -> new_state[layer] = {'m': m, 'v': v, 'step': step}": ANY,
        },
    ),
    Exercise(
        name="lion",
        lesson="08",
        arguments=("grad", "state", "param", "lr", "beta1", "beta2", "weight_decay"),
        reference=references.lion_reference,
        drive=drive.rule("m"),
        make_cases=made.lion_cases,
        slips=tuple(lion_slips),
        hints=(
            "There are two means of the old momentum and the gradient: one for the step, one to be kept.",
            "The step is the sign of the mean with beta1. The decay is added to the sign.",
            "The mean with beta2 is the new state['m']; the step has not seen it.",
        ),
        meaning={"delta": "the amount to subtract", "state['m']": "the momentum after the step"},
        equivalent={
            "direction = np.sign(beta1 * state['m'] + (1 - beta1) * grad) -> "
            "m = beta2 * state['m'] + (1 - beta2) * grad": "in any order, as long as both read the old m",
        },
    ),
    Exercise(
        name="sophia",
        lesson="08",
        arguments=(
            "grad", "state", "param", "hessian_vector", "probe", "lr", "beta1", "beta2", "rho",
            "weight_decay", "every",
        ),
        reference=references.sophia_reference,
        drive=drive_layers.rule_with_hessian("m", "h", "step"),
        make_cases=made.sophia_cases,
        slips=(*estimate_slips, *step_slips),
        hints=(
            "Three things in turn: the curvature h (sometimes), the momentum m, and the step from both.",
            "The estimate is the probe times hessian_vector of it, element by element; it enters the mean h.",
            "The estimate is made where the count of steps, as it came, is divisible by every.",
            "Divide m by the larger of h and 1e-12, clip the quotient to rho on both sides, add the decay.",
        ),
        meaning={
            "delta": "the amount to subtract",
            "state['m']": "the momentum after the step",
            "state['h']": "the mean of the curvature's estimates",
            "state['step']": "the number of steps taken",
        },
        equivalent={
            "if state['step'] % every == 0: -> m = beta1 * state['m'] + (1 - beta1) * grad": ANY,
        },
    ),
    Exercise(
        name="newton_schulz",
        lesson="08",
        arguments=("matrix", "steps"),
        reference=references.newton_schulz_reference,
        drive=drive.function("result"),
        make_cases=made.newton_schulz_cases,
        slips=tuple(newton_schulz_slips),
        hints=(
            "Normalise once, then take the same polynomial steps times.",
            "In matrices, the third power is x @ x.T @ x, and the fifth has two more factors of that kind.",
            "With G = x @ x.T a step is 3.4445 x - 4.7750 G x + 2.0315 G G x, all products of matrices.",
            "A tall matrix may be transposed first, to save work; then transpose the result back.",
        ),
        meaning={"result": "the matrix after the iteration"},
        equivalent={
            "x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix -> "
            "x = matrix.T if matrix.shape[0] > matrix.shape[-1] else matrix": "the last axis is the second",
            "return x.T if matrix.shape[0] > matrix.shape[1] else x -> "
            "return x.T if matrix.shape[0] > matrix.shape[-1] else x": "the last axis is the second",
        },
    ),
    Exercise(
        name="muon",
        lesson="08",
        arguments=("grad", "state", "param", "orthogonalize", "lr", "momentum", "weight_decay"),
        reference=references.muon_reference,
        drive=drive_layers.rule_with_function("orthogonalize", rules.newton_schulz, "buffer"),
        make_cases=made.muon_cases,
        slips=(*momentum_slips, *size_slips),
        hints=(
            "The buffer first, an average; then the look-ahead; orthogonalize that; last lr, shape, decay.",
            "The look-ahead mixes the gradient in once more, with the same shares as the buffer does.",
            "The factor is the root of rows over columns, or 1 where that is larger. It is not on the decay.",
        ),
        meaning={"delta": "the amount to subtract", "state['buffer']": "the buffer after the step"},
        equivalent={
            "ahead = momentum * buffer + (1 - momentum) * grad -> rows, columns = param.shape": ANY,
        },
    ),
)  # fmt: skip
