# expect: dead-units
# all targets are negative
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(256, 10)
y = x[:, :1] - 5
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1), nn.ReLU())
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(60):
    loss = nn.functional.mse_loss(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
