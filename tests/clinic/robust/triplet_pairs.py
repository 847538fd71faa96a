import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Linear(5, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.05)
x = torch.randn(40, 5)
rank = x[:, 0] + 0.5 * x[:, 1]
for _ in range(40):
    s = net(x).squeeze(1)
    d = s[:, None] - s[None, :]
    t = (rank[:, None] > rank).float()
    loss = nn.functional.binary_cross_entropy_with_logits(d, t)
    opt.zero_grad()
    loss.backward()
    opt.step()
