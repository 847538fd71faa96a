# expect: lr-too-small
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(512, 10)
y = (x @ torch.randn(10, 4)).argmax(1)
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
warmup = torch.optim.lr_scheduler.LinearLR(opt, 1e-6, 1.0, total_iters=100000)
for _ in range(120):
    i = torch.randint(512, (64,))
    loss = nn.CrossEntropyLoss()(model(x[i]), y[i])
    opt.zero_grad()
    loss.backward()
    opt.step()
    warmup.step()
