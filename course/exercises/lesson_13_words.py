"""What the slips of ``column_parallel`` and of ``row_parallel`` have to say alike."""

from __future__ import annotations

__all__ = ["AS_TORCH", "AVERAGED", "BOTH_AVERAGED", "NOT_TURNED", "ROWS", "TURNED", "UNUSED", "WEIGHT"]

TURNED = (
    "You multiply by the transpose of the weight. torch keeps a linear layer's weight as (outputs, inputs); "
    "here it is (inputs, outputs), and y = x @ weight + bias."
)
AS_TORCH = (
    "You take the weight as torch's linear layer has it, (outputs, inputs), forwards and backwards. Here it "
    "is (inputs, outputs), so all three products are turned round."
)
ROWS = "You average the bias' gradient over the rows. dy has its mean in it already; the bias gets the sum."
WEIGHT = "You add the weight's gradients over the ranks. Each rank holds another part of the weight."
AVERAGED = (
    "You divide the weight's gradient by the number of rows. The loss that is a mean has done so: it is in "
    "dy already, and x.T @ dy adds up the rows."
)
BOTH_AVERAGED = (
    "You average both gradients over the rows. The loss that is a mean has divided by their number already: "
    "that is in dy, and here the rows are added up."
)
NOT_TURNED = (
    "You multiply dy by the weight as it stands. The forward goes from inputs to outputs, x @ weight; the "
    "backward from outputs to inputs, so it takes the transpose. Here it fits only where the part is square."
)
UNUSED = (
    "You call comm.all_reduce and go on with the array that you gave it. It returns the sum, and leaves that "
    "array as it was (torch's all_reduce works in place)."
)
