"""Run a rank program from a shell, here or on any cluster.

Simulated, or on processes of this machine::

    python -m course.cluster my_module:program --ranks 4 --engine gloo

On any cluster, one process a rank, as torchrun starts them (nccl is the same code, and untested here)::

    torchrun --nnodes 2 --nproc-per-node 8 ... -m course.cluster my_module:program --backend nccl
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from course.cluster.errors import ClusterError
from course.cluster.ledger import Ledger
from course.cluster.run import ENGINES, run

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program that is named; 0 is success, 1 a failed run, 2 a wrong use."""
    parser = argparse.ArgumentParser(prog="python -m course.cluster", description="Run a rank program.")
    parser.add_argument("program", help="module:function, a function of a communicator")
    parser.add_argument("--ranks", type=int, default=4, help="how many (under torchrun: what it started)")
    parser.add_argument(
        "--engine", choices=ENGINES, default="simulated", help="where to run (not under torchrun)"
    )
    parser.add_argument("--backend", choices=("gloo", "nccl"), default="gloo", help="under torchrun")
    options = parser.parse_args(argv)
    try:
        program = _find(options.program)
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            _as_started(program, options.backend)
        else:
            outcome = run(program, options.ranks, options.engine)
            _report(outcome.results, outcome.ledger)
    except (ValueError, TypeError) as error:
        print(f"course.cluster: {error}", file=sys.stderr)
        return 2
    except ClusterError as error:
        text = getattr(error, "text", "")
        print(f"{text}course.cluster: {error}", file=sys.stderr)
        return 1
    return 0


def _find(name: str) -> Callable[..., Any]:
    module, colon, function = name.partition(":")
    if not colon:
        raise ValueError(f"{name!r} does not name a program: write module:function")
    if module.endswith(".py") or "/" in module:
        raise ValueError(f"{module!r} is a file: from its folder, write {Path(module).stem}:{function}")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no module {error.name!r}") from error
    if not callable(found):
        raise ValueError(f"module {module!r} has no function {function!r}")
    return found


def _as_started(program: Callable[..., Any], backend: str) -> None:
    """Be one rank of those that torchrun started; the first one prints what all of them bring."""
    import torch
    import torch.distributed as dist

    from course.cluster.communicator import Books
    from course.cluster.distributed import DistributedCommunicator

    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend)
    books = Books(dist.get_rank())
    result = program(DistributedCommunicator(books, range(dist.get_world_size())))
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, (result, books.entries))
    if books.rank == 0:
        _report([one for one, _ in gathered], Ledger(e for _, entries in gathered for e in entries))
    dist.destroy_process_group()


def _report(results: list[Any], ledger: Ledger) -> None:
    for rank, result in enumerate(results):
        print(f"rank {rank}: {result}")
    print(ledger)


if __name__ == "__main__":
    sys.exit(main())
