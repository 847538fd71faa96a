"""What the tests of torch's own strategies need is imported once, not by every rank of every run."""

from course.cluster import processes

processes.PRELOAD += [
    "torch.distributed.fsdp",
    "torch.distributed.optim",
    "torch.distributed.pipelining",
    "torch.distributed.tensor.parallel",
    "torch._dynamo",
]
