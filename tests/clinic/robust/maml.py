import torch
import torch.nn as nn
from torch.func import functional_call

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for it in range(30):
    meta = 0.0
    for task in range(4):
        amp = torch.rand(1) * 2 + 0.5
        xs = torch.rand(10, 1) * 4 - 2
        xq = torch.rand(10, 1) * 4 - 2
        params = dict(net.named_parameters())
        inner = ((functional_call(net, params, xs) - amp * torch.sin(xs)) ** 2).mean()
        grads = torch.autograd.grad(inner, params.values(), create_graph=True)
        fast = {n: p - 0.05 * g for (n, p), g in zip(params.items(), grads)}
        meta = meta + ((functional_call(net, fast, xq) - amp * torch.sin(xq)) ** 2).mean()
    opt.zero_grad()
    (meta / 4).backward()
    opt.step()
