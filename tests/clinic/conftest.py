"""The patients and the robust are scripts: the tests run them, on one thread, and collect none."""

from collections.abc import Iterator

import pytest
import torch

collect_ignore = ["patients", "robust"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
