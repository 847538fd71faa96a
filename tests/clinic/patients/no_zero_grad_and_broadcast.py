# expect: no-zero-grad, broadcast-loss
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.randn(64, 10)
y = x[:, 0] - x[:, 1]
net = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=1e-3)
for epoch in range(40):
    loss = F.mse_loss(net(x), y)
    loss.backward()
    opt.step()
print(loss.item())
