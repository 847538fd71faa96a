# expect: stale-optimizer
# Custom initialisation replaces the Parameter objects that the optimizer already holds.
import math

import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


def init_weights(module):
    if isinstance(module, nn.Linear):
        bound = math.sqrt(6 / module.in_features)
        module.weight = nn.Parameter(torch.empty_like(module.weight).uniform_(-bound, bound))
        module.bias = nn.Parameter(torch.zeros_like(module.bias))


model.apply(init_weights)

x = torch.randn(256, 8)
y = x[:, :1].abs() - x[:, 1:2]
for step in range(50):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
print(loss.item())
