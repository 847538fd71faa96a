import torch
import torch.nn as nn

torch.manual_seed(0)


class MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        w = self.gate(x).softmax(-1)
        top, idx = w.max(-1)
        h = torch.zeros_like(x)
        for i, e in enumerate(self.experts):
            m = idx == i
            if m.any():
                h[m] = top[m, None] * torch.relu(e(x[m]))
        return self.out(h)


net = MoE()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
x = torch.randn(256, 8)
y = x[:, :1].abs()
for i in range(40):
    loss = nn.functional.mse_loss(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
