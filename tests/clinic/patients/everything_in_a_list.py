# expect: not-registered
# No parameter at all is registered: the optimizer refuses.
import torch
from torch import nn


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = []
        for width in (8, 16, 1):
            self.blocks.append(nn.LazyLinear(width))

    def forward(self, x):
        for block in self.blocks[:-1]:
            x = torch.tanh(block(x))
        return self.blocks[-1](x)


model = Regressor()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
x = torch.linspace(-3, 3, 100).unsqueeze(1)
for _ in range(100):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), torch.sin(x))
    loss.backward()
    optimizer.step()
