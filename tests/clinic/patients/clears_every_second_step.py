# expect: no-zero-grad
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(512, 10)
y = (x @ torch.randn(10, 4)).argmax(1)
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for e in range(100):
    i = torch.randint(512, (64,))
    loss = nn.functional.cross_entropy(model(x[i]), y[i])
    if e % 2 == 0:
        opt.zero_grad()
    loss.backward()
    opt.step()
