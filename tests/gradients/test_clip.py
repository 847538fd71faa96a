"""Clipping, held to torch: values, norms, infinities, NaNs, narrow dtypes, trees with holes."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course import gradients
from course.arrays import to_numpy
from course.gradients import (
    AdaptiveClip,
    ClipByNorm,
    ClipByValue,
    clip_adaptively,
    clip_by_norm,
    clip_by_value,
)
from course.oracle import deviation
from course.rules import SGD, AdamW, HeavyBall, chain

NAN, INF = math.nan, math.inf
TREES = {
    "long": [[3.0, -40.0], [[1e3], [-2.5]]],
    "short": [[0.3, -0.1], [[0.01], [0.2]]],
    "zero": [[0.0, 0.0], [[0.0], [-0.0]]],
    "infinite": [[3.0, INF], [[1.0], [0.0]]],
    "minus infinite": [[3.0, -4.0], [[-INF], [0.0]]],
    "not a number": [[3.0, NAN], [[1.0], [0.0]]],
    "both": [[INF, NAN], [[1.0], [0.0]]],
    "empty arrays": [[], [[2.0, 1.0]]],
    "tiny": [[1e-30, 0.0], [[1e-25], [0.0]]],
    "scalars": [3.0, 4.0],
}
MIXED = [
    ("float64", "float64"), ("float32", "float32"), ("float32", "float64"), ("float64", "float32"),
    ("float16", "float16"), ("float16", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float16"),
    ("bfloat16", "float64"),
]  # fmt: skip
# One unit in the last place: torch may sum in another order, and rounds the result to the same dtype.
ULP = {"float64": 1e-15, "float32": 3e-7, "float16": 2.0**-10, "bfloat16": 2.0**-7}
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
trees = st.lists(hnp.arrays(np.float64, st.integers(0, 4), elements=numbers), min_size=1, max_size=4)


def tensors(values, dtypes):
    return [torch.tensor(v, dtype=getattr(torch, d)) for v, d in zip(values, dtypes, strict=True)]


def by_torch(clip, grads, *arguments, **options):
    """Return what torch's function leaves in ``.grad``, and what it returns."""
    params = [torch.nn.Parameter(torch.zeros_like(g)) for g in grads]
    for p, g in zip(params, grads, strict=True):
        p.grad = g.clone()
    returned = clip(params, *arguments, **options)
    return [p.grad for p in params], returned


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("norm_type", [1, 2, INF])
@pytest.mark.parametrize("dtypes", MIXED, ids="+".join)
@pytest.mark.parametrize("values", TREES.values(), ids=TREES)
@pytest.mark.parametrize("max_norm", [1.0, 0.05])
def test_by_norm_it_is_torchs(values, dtypes, norm_type, max_norm):
    grads = tensors(values, dtypes)
    full = [g for g in grads if g.numel()]  # torch refuses the infinity norm of no element
    theirs, their_norm = by_torch(torch.nn.utils.clip_grad_norm_, full, max_norm, norm_type)
    mine, my_norm = clip_by_norm(grads, max_norm, norm_type)
    mine = [g for g in mine if g.numel()]
    widest = max(ULP[d] for d in dtypes)
    assert deviation(my_norm, their_norm) <= widest
    for a, b, g in zip(mine, theirs, full, strict=True):
        assert (a.dtype, a.shape) == (g.dtype, g.shape)
        assert deviation(a, b) <= widest
    if "bfloat16" not in dtypes:
        arrays, array_norm = clip_by_norm([g.numpy() for g in full], max_norm, norm_type)
        assert deviation(array_norm, their_norm) <= widest
        for a, b in zip(arrays, theirs, strict=True):
            assert a.dtype == b.numpy().dtype
            assert deviation(a, b) <= widest


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("norm_type", [1, 2, INF])
def test_on_tensors_it_is_torchs_to_the_last_bit(dtype, norm_type):
    rng = np.random.default_rng(0)
    grads = tensors([rng.normal(size=(7, 5)), rng.normal(size=11) * 30], (dtype, dtype))
    theirs, norm = by_torch(torch.nn.utils.clip_grad_norm_, grads, 1.0, norm_type)
    mine, my_norm = clip_by_norm(grads, 1.0, norm_type)
    assert my_norm == norm
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_what_torch_leaves_is_the_share_eps_shorter(make):
    """c n / (n + 1e-6): .9999998 c for n = 5."""
    clipped, _ = clip_by_norm(make([3.0, 4.0], dtype=np.float64 if make is np.array else torch.float64), 1.0)
    assert float(gradients.global_norm(clipped)) == pytest.approx(5 / (5 + 1e-6), rel=1e-12)
    exact, _ = clip_by_norm(make([3.0, 4.0]), 1.0, eps=0.0)
    assert float(gradients.global_norm(exact)) == pytest.approx(1.0, abs=1e-7)


def test_a_none_is_passed_over_and_stays():
    tree = {"w": np.array([3.0]), "frozen": None, "more": [None, np.array([4.0]), (np.array([0.0]),)]}
    clipped, norm = clip_by_norm(tree, 1.0, eps=0.0)
    assert float(norm) == 5
    assert clipped["frozen"] is None
    assert clipped["more"][0] is None
    assert isinstance(clipped["more"][2], tuple)
    np.testing.assert_allclose([clipped["w"][0], clipped["more"][1][0]], [0.6, 0.8])
    assert clip_by_value(tree, 1.0)["frozen"] is None
    for empty in (None, {}, [], {"a": None}):
        assert clip_by_norm(empty, 1.0) == (empty, 0.0)
        assert clip_by_value(empty, 1.0) == empty


def test_one_factor_for_all_and_not_one_for_each():
    grads = {"w": np.array([30.0, 40.0]), "b": np.array([0.3])}
    clipped, _ = clip_by_norm(grads, 1.0)
    assert clipped["b"] / clipped["w"][0] == pytest.approx(0.01)


@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_a_norm_that_is_not_finite_can_be_an_error_as_in_torch(value):
    grads = tensors([[1.0, value]], ["float32"])
    with pytest.raises(RuntimeError, match="non-finite"):
        by_torch(torch.nn.utils.clip_grad_norm_, grads, 1.0, error_if_nonfinite=True)
    for tree in (grads, [grads[0].numpy()]):
        with pytest.raises(ValueError, match=r"clip_by_norm: the norm is (inf|nan), so") as caught:
            clip_by_norm(tree, 1.0, error_if_nonfinite=True)
        assert "\n" not in str(caught.value)
    clip_by_norm([np.ones(2)], 1.0, error_if_nonfinite=True)


def test_an_infinite_limit_only_measures():
    grads = np.array([30.0, 40.0])
    clipped, norm = clip_by_norm(grads, INF)
    np.testing.assert_array_equal(clipped, grads)
    assert float(norm) == 50


@given(tree=trees, most=st.floats(1e-3, 1e3), eps=st.sampled_from([0.0, 1e-6]))
@quick
def test_after_clipping_the_norm_is_at_most_the_limit(tree, most, eps):
    clipped, norm = clip_by_norm(tree, most, eps=eps)
    after = float(gradients.global_norm(clipped))
    assert after <= most * (1 + 1e-14)
    if eps == 0:
        assert after == pytest.approx(min(float(norm), most), rel=1e-12)
    whole, flat = np.concatenate(tree), np.concatenate(clipped)
    assert (np.sign(whole) == np.sign(flat)).all()  # the direction stays
    assert np.abs(flat * np.linalg.norm(whole) - whole * np.linalg.norm(flat)).max(initial=0) <= 1e-9 * (
        1 + np.linalg.norm(whole) * np.linalg.norm(flat)
    )


@given(tree=trees, most=st.floats(1e-3, 1e3))
@quick
def test_clipping_twice_is_clipping_once(tree, most):
    """Without eps; torch's eps shortens again, by at most the share eps / most."""
    once, _ = clip_by_norm(tree, most, eps=0.0)
    twice, _ = clip_by_norm(once, most, eps=0.0)
    np.testing.assert_allclose(np.concatenate(twice), np.concatenate(once), rtol=1e-14)
    once, _ = clip_by_norm(tree, most)
    twice, _ = clip_by_norm(once, most)
    np.testing.assert_allclose(np.concatenate(twice), np.concatenate(once), rtol=1.01e-6 / most)
    np.testing.assert_array_equal(
        clip_by_value(clip_by_value(tree[0], most), most), clip_by_value(tree[0], most)
    )


@pytest.mark.parametrize("dtypes", MIXED, ids="+".join)
@pytest.mark.parametrize("values", TREES.values(), ids=TREES)
@pytest.mark.parametrize("limit", [1.0, 0.0625])
def test_by_value_it_is_torchs_exactly(values, dtypes, limit):
    grads = tensors(values, dtypes)
    theirs, _ = by_torch(torch.nn.utils.clip_grad_value_, grads, limit)
    mine = clip_by_value(grads, limit)
    for a, b in zip(mine, theirs, strict=True):
        assert a.dtype == b.dtype
        assert deviation(a, b) == 0
    if "bfloat16" not in dtypes:
        for a, b in zip(clip_by_value([g.numpy() for g in grads], limit), theirs, strict=True):
            assert a.dtype == b.numpy().dtype
            assert deviation(a, b) == 0


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_no_input_is_changed_or_shared(library):
    make = np.array if library == "numpy" else torch.tensor
    tree = {"a": make([3.0, -4.0]), "b": [make([0.1]), None]}
    before = copy.deepcopy(tree)
    for limit in (0.5, 100.0):
        results = clip_by_norm(tree, limit)[0], clip_by_value(tree, limit), clip_adaptively(tree, tree, limit)
        assert str(tree) == str(before)
        assert not any(np.shares_memory(to_numpy(r["a"]), to_numpy(tree["a"])) for r in results)


def units(g, theta, clipping, eps):
    """AGC written out, one unit after the other, in plain Python."""
    if g.ndim <= 1:
        g, theta = g[None], theta[None]
    result = np.array(g, np.float64)
    for i in range(len(g)):
        weights = max(math.sqrt(sum(float(x) ** 2 for x in theta[i].ravel())), eps)
        size = math.sqrt(sum(float(x) ** 2 for x in g[i].ravel()))
        if size > clipping * weights:
            result[i] = g[i] * (clipping * weights / size)
    return result


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (4, 1), (2, 3, 4), (4, 3, 2, 2), (0,), (2, 0)])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_agc_is_the_formula_written_out(shape, library):
    rng = np.random.default_rng(3)
    g, theta = rng.normal(size=shape) * 0.05, np.asarray(rng.normal(size=shape))
    if len(shape) > 1:
        theta[0] = 0.0  # a unit of zeros
    expected = units(np.asarray(g), theta, 0.02, 1e-3).reshape(shape)
    give = np.asarray if library == "numpy" else torch.tensor
    assert deviation(clip_adaptively(give(g), give(theta), 0.02), expected) <= 1e-14
    # The other layout: units along the last axis.
    if len(shape) == 2:
        turned = clip_adaptively(give(g.T.copy()), give(theta.T.copy()), 0.02, unit_axis=-1)
        assert deviation(to_numpy(turned).T, expected) <= 1e-14


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 3, 2, 2)])
def test_agc_is_that_of_another_package(shape):
    agc = pytest.importorskip("pytorch_optimizer.optimizer.agc").agc
    rng = np.random.default_rng(4)
    for scale in (1e-4, 1e-2, 1.0):
        g, theta = torch.tensor(rng.normal(size=shape) * scale), torch.tensor(rng.normal(size=shape))
        assert deviation(clip_adaptively(g, theta), agc(theta, g)) <= 1e-14


@pytest.mark.filterwarnings("ignore:invalid value")
def test_agc_keeps_an_infinity_and_a_nan_in_their_unit():
    theta = np.ones((3, 2))
    clipped = clip_adaptively(np.array([[INF, 1.0], [NAN, 1.0], [1.0, 1.0]]), theta, 0.1)
    np.testing.assert_array_equal(np.isnan(clipped), [[True, False], [True, True], [False, False]])
    assert clipped[0, 1] == 0
    np.testing.assert_allclose(clipped[2], 0.1)


def test_agc_in_float16_does_not_overflow():
    g, theta = np.full((2, 400), 60.0, np.float16), np.ones((2, 400), np.float16)
    clipped = clip_adaptively(g, theta, 1.0)  # the sum of squares, 1.4e6, is beyond float16
    assert clipped.dtype == np.float16
    np.testing.assert_allclose(clipped, 1.0, rtol=1e-3)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_transforms_are_the_functions(library):
    make = np.array if library == "numpy" else torch.tensor
    theta = {"w": make([[1.0, 2.0], [0.5, 0.1]]), "head": {"b": make([3.0, -1.0])}}
    grads = {"w": make([[10.0, -2.0], [0.5, 7.0]]), "head": {"b": make([0.1, -20.0])}}
    pairs = [
        (ClipByNorm(2.0, norm_type=1), clip_by_norm(grads, 2.0, 1)[0]),
        (ClipByValue(3.0), clip_by_value(grads, 3.0)),
        (AdaptiveClip(0.1), clip_adaptively(grads, theta, 0.1)),
    ]
    for transform, expected in pairs:
        passed, state = transform.update(grads, transform.init(theta), theta)
        assert state == {"w": {}, "head": {"b": {}}}
        assert str(passed) == str(expected)
        rule = chain(transform, HeavyBall(lr=0.1))
        delta, _ = rule.update(grads, rule.init(theta), theta)
        assert deviation(delta["head"]["b"], 0.1 * expected["head"]["b"]) <= 1e-6


def test_a_chain_with_clipping_is_torchs_clip_and_step():
    rng = np.random.default_rng(5)
    start = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    params = {n: torch.nn.Parameter(torch.tensor(x)) for n, x in start.items()}
    optimizer = torch.optim.AdamW(params.values(), lr=0.1)
    rule, theta = chain(ClipByNorm(1.0), AdamW(lr=0.1)), start
    state = rule.init(theta)
    for _ in range(50):
        grads = {n: rng.normal(size=x.shape) for n, x in start.items()}
        theta, state = rule.step(grads, state, theta)
        for n, p in params.items():
            p.grad = torch.tensor(grads[n])
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        optimizer.step()
    for n in start:
        assert deviation(theta[n], params[n]) <= 1e-14


@pytest.mark.parametrize("transform", [ClipByNorm(), ClipByValue(), AdaptiveClip()])
def test_a_transform_refuses_what_a_rule_refuses(transform):
    theta = {"a": np.ones(2)}
    for grad, error in (
        ({"b": np.ones(2)}, ValueError),
        ({"a": np.ones(3)}, ValueError),
        (np.ones(2), TypeError),
    ):
        with pytest.raises(error, match=type(transform).__name__):
            transform.update(grad, transform.init(theta), theta)
    with pytest.raises(ValueError, match="this state is not mine"):
        transform.update(theta, {"a": {"m": 1}}, theta)


@pytest.mark.parametrize("limit", [-1.0, NAN, "1", None, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: clip_by_norm(np.ones(2), x), lambda x: clip_by_value(np.ones(2), x), ClipByValue,
        lambda x: clip_adaptively(np.ones(2), np.ones(2), x), ClipByNorm, AdaptiveClip,
        lambda x: clip_by_norm(np.ones(2), 1.0, eps=x), lambda x: AdaptiveClip(eps=x),
    ],
)  # fmt: skip
def test_a_bad_limit_is_refused_in_one_line(call, limit):
    with pytest.raises(ValueError, match="must be a finite number >= 0, not") as caught:
        call(limit)
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_refused_in_one_line():
    ones = np.ones(2)
    for call, error, words in (
        (lambda: clip_by_norm(ones, 1.0, 3), ValueError, "norm_type must be 1, 2 or inf, not 3"),
        (lambda: gradients.global_norm(ones, 0), ValueError, "norm_type must be 1, 2 or inf, not 0"),
        (lambda: clip_by_norm([1.0], 1.0), TypeError, "a tree holds arrays and None, not float"),
        (lambda: clip_by_norm(np.array([1, 2]), 1.0), TypeError, "dtype int64; it must be a floating"),
        (lambda: clip_by_norm([ones, torch.ones(2)], 1.0), TypeError, "one array library"),
        (lambda: clip_by_value("grads", 1.0), TypeError, "not str"),
        (lambda: clip_adaptively({"a": ones}, {"b": ones}), ValueError, "trees differ"),
        (lambda: clip_adaptively([ones], [ones, ones]), ValueError, "trees differ"),
        (lambda: clip_adaptively(ones, [ones]), ValueError, "trees differ"),
        (lambda: AdaptiveClip(unit_axis=1), ValueError, "unit_axis must be one of 0, -1"),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_numpy_limit_does_not_widen_float32():
    for limit in (np.float64(0.5), np.array(0.5)):
        assert clip_by_norm(np.ones(3, np.float32), limit)[0].dtype == np.float32
        assert clip_by_value(np.ones(3, np.float32), limit).dtype == np.float32
        rule, ones = chain(ClipByNorm(limit), SGD()), np.ones(3, np.float32)
        assert rule.update(ones, rule.init(ones), ones)[0].dtype == np.float32
