# expect: broadcast-loss
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(128, 4)
t = x[:, :1] * 2 + 1
net = nn.Linear(4, 1)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(60):
    loss = nn.functional.huber_loss(net(x).squeeze(), t)
    opt.zero_grad()
    loss.backward()
    opt.step()
