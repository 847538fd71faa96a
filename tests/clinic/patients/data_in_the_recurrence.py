# expect: detached
# Truncated back-propagation, cut in the wrong place: inside every single step.
import torch
import torch.nn as nn


class Counter(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.embed = nn.Linear(1, hidden)
        self.cell = nn.GRUCell(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        self.hidden = hidden

    def forward(self, x):
        h = torch.zeros(x.shape[0], self.hidden)
        for t in range(x.shape[1]):
            h = self.cell(self.embed(x[:, t : t + 1]), h)
            h = h.data
        return self.out(h).squeeze(1)


torch.manual_seed(0)
x = (torch.rand(128, 8) > 0.5).float()
y = x.sum(1) / 8
model = Counter()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(30):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("loss", loss.item())
