import torch
import torch.nn as nn

torch.manual_seed(0)
T = 50
betas = torch.linspace(1e-4, 0.02, T)
abar = torch.cumprod(1 - betas, 0)


class Eps(nn.Module):
    def __init__(self):
        super().__init__()
        self.t = nn.Embedding(T, 16)
        self.net = nn.Sequential(nn.Linear(18, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x, t):
        return self.net(torch.cat([x, self.t(t)], 1))


model = Eps()
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
ema = {k: v.clone() for k, v in model.state_dict().items()}
for step in range(80):
    x0 = torch.randn(128, 2) * 0.3 + 1
    t = torch.randint(0, T, (128,))
    noise = torch.randn_like(x0)
    a = abar[t][:, None]
    loss = ((model(a.sqrt() * x0 + (1 - a).sqrt() * noise, t) - noise) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for k, v in model.state_dict().items():
            ema[k].lerp_(v, 0.05)
