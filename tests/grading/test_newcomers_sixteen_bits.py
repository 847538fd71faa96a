"""What newcomers write as ``master_weight_step``: right in another way, or wrong, and told how."""

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge

ARGUMENTS = "grad, weight, master, lr, scale, max_norm"


def judged(answer):
    return judge(ALL["master_weight_step"], answer)


def written(*lines):
    """Return the answer that has these lines for its body."""
    space = {"np": np, "clip_by_norm": clip_by_norm}
    exec(f"def master_weight_step({ARGUMENTS}):\n    " + "\n    ".join(lines), space)
    return space["master_weight_step"]


def clip_by_norm(gradients, max_norm):
    """Clip as in the exercise of that name."""
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [min(1.0, max_norm / (norm + 1e-6)) * g for g in gradients], norm


WIDE = "g = grad.astype(np.float32) / scale"
CLIP = "g = g * min(1, max_norm / (np.linalg.norm(g) + 1e-6))"
CLIP_STEP = "step = step * min(1, max_norm / (np.linalg.norm(step) + 1e-6))"
STEP, BACK = "master = master - lr * g", "return master.astype(np.float16), master"


@pytest.mark.parametrize(
    "lines",
    [
        (WIDE, CLIP, STEP, BACK),
        ("(g,), _ = clip_by_norm([grad.astype(np.float32) / scale], max_norm)", STEP, BACK),
        (
            "g = np.float32(grad) * (1 / scale)",
            "norm = np.sqrt((g * g).sum())",
            "if norm > max_norm:",
            "    g = g * max_norm / (norm + 1e-6)",
            STEP,
            BACK,
        ),
        (
            "g = np.array(grad, dtype=np.float32)",
            "g /= scale",
            "g *= np.minimum(1, max_norm / (np.linalg.norm(g) + 1e-6))",
            "new = master.copy()",
            "new -= np.float32(lr) * g",
            "return np.float16(new), new",
        ),
        (
            "g = grad.astype(np.float64) / scale",
            CLIP,
            "new = (master.astype(np.float64) - lr * g).astype(np.float32)",
            "return new.astype(np.float16), new",
        ),
        # the limit scaled up instead of the gradient down, with the 1e-6 scaled as well
        (
            "g = grad.astype(np.float32)",
            "n = np.linalg.norm(g)",
            "g = g * min(1.0, max_norm * scale / (n + scale * 1e-6)) / scale",
            STEP,
            BACK,
        ),
        # the norm unscaled, the gradient later: the same numbers
        (
            "g = grad.astype(np.float32)",
            "factor = min(1.0, max_norm / (np.linalg.norm(g) / scale + 1e-6))",
            "g = factor * g / scale",
            STEP,
            BACK,
        ),
    ],
    ids=["norm", "own clip", "if", "in place on its own", "float64 inside", "scaled limit", "norm unscaled"],
)
def test_other_ways_to_take_the_step_are_right(lines):
    verdict = judged(written(*lines))
    assert verdict.passed, str(verdict)
    assert verdict.score == verdict.points, str(verdict)


@pytest.mark.parametrize(
    ("lines", "slip"),
    [
        (("g = grad.astype(np.float32)", CLIP, "g = g / scale", STEP, BACK), "clip before unscale"),
        (
            (
                "(g,), _ = clip_by_norm([grad.astype(np.float32)], max_norm)",
                STEP.replace("g", "g / scale"),
                BACK,
            ),
            "clip before unscale",
        ),
        (("g = grad.astype(np.float32)", CLIP, STEP, BACK), "unscale forgotten"),
        ((WIDE, STEP, BACK), "clip forgotten"),
        ((WIDE.replace("/", "*"), CLIP, STEP, BACK), "multiplied by the scale"),
        (("g = (grad / scale).astype(np.float32)", CLIP, STEP, BACK), "unscaled in float16"),
        (
            ("(g,), _ = clip_by_norm([grad / scale], max_norm)", STEP, BACK),
            "the update rounded to float16",
        ),
        (
            (WIDE, "step = lr * g", CLIP_STEP, "master = master - step", BACK),
            "the update clipped instead of the gradient",
        ),
        ((WIDE, CLIP.replace("min(1,", "max(1,"), STEP, BACK), "max instead of min"),
        (
            (WIDE, "g = g * (max_norm / (np.linalg.norm(g) + 1e-6))", STEP, BACK),
            "short gradients scaled up",
        ),
        ((WIDE, "g = np.clip(g, -max_norm, max_norm)", STEP, BACK), "clipped by value"),
    ],
    ids=lambda x: x.replace(" ", "-") if isinstance(x, str) else "",
)
def test_a_step_in_the_wrong_order_is_told(lines, slip):
    assert judged(written(*lines)).slip == slip


def test_clip_before_unscale_is_told_with_the_case_that_shows_it():
    lines = ("g = grad.astype(np.float32)", CLIP, "g = g / scale", STEP, BACK)
    text = str(judged(written(*lines)))
    assert "a scale, and a gradient too long" in text
    assert "Divide by scale first" in text


@pytest.mark.parametrize(
    "lines",
    [
        (WIDE, CLIP.replace("1e-6", "1e-8"), STEP, BACK),
        (WIDE, "g = g * min(1, max_norm * scale / (np.linalg.norm(g) + 1e-6))", STEP, BACK),
        ("g = grad / np.float32(scale)", CLIP, STEP.replace("g", "g / scale"), BACK),
        ("g = (grad / scale)", CLIP, "g = g.astype(np.float32)", STEP, BACK),
    ],
    ids=["another eps", "limit scaled for nothing", "unscaled twice", "widened after clipping"],
)
def test_what_is_nearly_right_fails(lines):
    assert judged(written(*lines)).status == "failed"


def test_writing_into_the_callers_gradient_is_told():
    lines = ("grad /= np.float16(scale)", "g = grad.astype(np.float32)", CLIP, STEP, BACK)
    assert "changed its input grad" in str(judged(written(*lines)))
