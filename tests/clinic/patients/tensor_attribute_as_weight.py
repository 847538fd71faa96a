# expect: not-registered
import torch
from torch import nn


class ScaledLinear(nn.Module):
    """y = scale * (W x) + shift, with a learned scale and shift."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=False)
        self.scale = torch.ones(n_out, requires_grad=True)
        self.shift = torch.zeros(n_out, requires_grad=True)

    def forward(self, x):
        return self.scale * self.linear(x) + self.shift


torch.manual_seed(0)
x = torch.randn(256, 5)
target = x @ torch.randn(5, 3) + torch.tensor([1.0, -2.0, 3.0])
model = ScaledLinear(5, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(60):
    loss = ((model(x) - target) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("loss", loss.item(), "shift", model.shift.tolist())
