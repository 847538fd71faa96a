# expect: detached
import torch
from torch import nn

torch.manual_seed(0)
G = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
bce = nn.BCEWithLogitsLoss()
one, zero = torch.ones(64, 1), torch.zeros(64, 1)
for _ in range(40):
    real = torch.randn(64, 2) * 0.5 + torch.tensor([2.0, 1.0])
    fake = G(torch.randn(64, 8)).detach()
    loss_d = bce(D(real), one) + bce(D(fake), zero)
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()
    loss_g = bce(D(fake), one)
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
