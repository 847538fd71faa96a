"""Lesson 13's layers as a newcomer cut them: each mistake is told as what it is."""

import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def column(dx=None, dw=None, db=None, y=None):
    def column_parallel(comm, x, weight, bias):
        def backward(dy):
            return (
                dx(comm, dy, weight) if dx else comm.all_reduce(dy @ weight.T),
                dw(comm, x, dy) if dw else x.T @ dy,
                db(comm, dy) if db else dy.sum(axis=0),
            )

        return y(comm, x @ weight, bias) if y else x @ weight + bias, backward

    return column_parallel


def row(dx=None, dw=None, db=None, y=None):
    def row_parallel(comm, x, weight, bias):
        def backward(dy):
            return (
                dx(comm, dy, weight) if dx else dy @ weight.T,
                dw(comm, x, dy) if dw else x.T @ dy,
                db(comm, dy) if db else dy.sum(axis=0),
            )

        return y(comm, x @ weight, bias) if y else comm.all_reduce(x @ weight) + bias, backward

    return row_parallel


def in_place(comm, array, bias=0.0):
    comm.all_reduce(array)
    return array + bias


SUMMED = {
    "dw": lambda comm, x, dy: comm.all_reduce(x.T @ dy),
    "db": lambda comm, dy: comm.all_reduce(dy.sum(0)),
}
PER_ROW = {"dw": lambda comm, x, dy: x.T @ dy / len(x)}
NOT_TURNED = {"dx": lambda comm, dy, w: dy @ w}
SUM_IN_BACKWARD = {
    "y": lambda comm, part, bias: part + bias,
    "dx": lambda comm, dy, w: comm.all_reduce(dy @ w.T),
}


@pytest.mark.parametrize(
    ("pieces", "slip"),
    [
        ({"dx": lambda comm, dy, w: comm.all_reduce(dy) @ w.T}, "dy summed in the place of dx"),
        (SUMMED, "both gradients summed over the ranks"),
        (PER_ROW, "the weight's gradient averaged over the rows"),
        (PER_ROW | {"db": lambda comm, dy: dy.mean(0)}, "both gradients averaged over the rows"),
        (
            {"y": lambda comm, part, b: comm.all_reduce(part + b), "dx": lambda comm, dy, w: dy @ w.T},
            "the sum in the forward, none in the backward",
        ),
        ({"dx": lambda comm, dy, w: in_place(comm, dy @ w.T)}, "the sum made and not used"),
        ({"dx": lambda comm, dy, w: comm.all_reduce(dy @ w)}, "the weight not turned in the backward"),
        ({"dw": lambda comm, x, dy: dy.T @ x}, "the weight's gradient turned round"),
    ],
)
def test_a_column_layers_mistakes_are_told(pieces, slip):
    assert verdict_on("column_parallel", column(**pieces)).slip == slip


@pytest.mark.parametrize(
    ("pieces", "slip"),
    [
        (
            {"y": lambda comm, part, b: comm.all_reduce(part) + (b if comm.rank == 0 else 0 * b)},
            "the bias on rank 0 after the sum",
        ),
        ({"dx": lambda comm, dy, w: dy @ w.T / comm.world_size}, "dx divided by the ranks"),
        (SUM_IN_BACKWARD, "the sum in the backward, none in the forward"),
        (SUMMED, "both gradients summed over the ranks"),
        (PER_ROW, "the weight's gradient averaged over the rows"),
        ({"y": in_place}, "the sum made and not used"),
        (NOT_TURNED, "the weight not turned in the backward"),
    ],
)
def test_a_row_layers_mistakes_are_told(pieces, slip):
    assert verdict_on("row_parallel", row(**pieces)).slip == slip


def test_a_share_of_dy_is_told():
    def row_parallel(comm, x, weight, bias):
        def backward(dy):
            part = dy / comm.world_size
            return part @ weight.T, x.T @ part, part.sum(axis=0)

        return comm.all_reduce(x @ weight) + bias, backward

    assert verdict_on("row_parallel", row_parallel).slip == "dy divided by the ranks"


@pytest.mark.parametrize("name", ["column_parallel", "row_parallel"])
def test_torchs_orientation_has_a_name(name):
    def answer(comm, x, weight, bias):
        y = x @ weight.T
        y = comm.all_reduce(y) if name == "row_parallel" else y

        def backward(dy):
            dx = dy @ weight
            return comm.all_reduce(dx) if name == "column_parallel" else dx, dy.T @ x, dy.sum(axis=0)

        return y + bias, backward

    assert verdict_on(name, answer).slip == "the weight as torch has it"
