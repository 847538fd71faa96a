# expect: zero-lr
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(512, 10)
y = (x @ torch.randn(10, 4)).argmax(1)
model = nn.Linear(10, 4)
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
for it in range(40):
    for group in opt.param_groups:
        group["lr"] = 1e-3 * min(1, it // 1000)
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
