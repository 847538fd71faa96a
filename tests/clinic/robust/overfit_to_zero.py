import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Linear(3, 1)
x = torch.randn(20, 3)
y = x @ torch.ones(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.3)
for i in range(400):
    loss = nn.functional.mse_loss(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item())
