# expect: lost-to-rounding
# A curve over Unix time: the learned onset is so large that float32 cannot hold a small step.
import torch
from torch import nn


class Onset(nn.Module):
    def __init__(self):
        super().__init__()
        self.onset = nn.Parameter(torch.tensor([1.7e9]))
        self.height = nn.Parameter(torch.tensor([1.0]))

    def forward(self, t):
        return self.height * torch.sigmoid((t - self.onset) / 3600)


torch.manual_seed(0)
t = 1.7e9 + 3600 * torch.linspace(-5, 5, 200)
y = 2.0 * torch.sigmoid((t - 1.7e9 - 3600) / 3600)
model = Onset()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for i in range(100):
    optimizer.zero_grad()
    loss = ((model(t) - y) ** 2).mean()
    loss.backward()
    optimizer.step()
print(loss.item(), model.onset.item())
