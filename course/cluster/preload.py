"""What the server of the ranks imports once, so that no rank has to: torch, and what ranks need of us.

Nothing may be computed here: a process that has used torch's threads cannot be forked.
"""

from __future__ import annotations

import os

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

import torch
import torch.distributed

import course.cluster.distributed
import course.cluster.worker

__all__ = ["course", "torch"]
