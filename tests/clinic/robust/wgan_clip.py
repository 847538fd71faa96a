import torch
import torch.nn as nn

torch.manual_seed(0)
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))


def weights_init(m):
    if isinstance(m, nn.Linear):
        m.weight.data.normal_(0, 0.1)
        m.bias.data.zero_()


G.apply(weights_init)
D.apply(weights_init)
og = torch.optim.RMSprop(G.parameters(), lr=5e-4)
od = torch.optim.RMSprop(D.parameters(), lr=5e-4)
for step in range(60):
    for p in D.parameters():
        p.requires_grad = True
    for _ in range(3):
        D.zero_grad()
        real = torch.randn(64, 2) + 2
        fake = G(torch.randn(64, 4)).detach()
        loss = D(fake).mean() - D(real).mean()
        loss.backward()
        od.step()
        for p in D.parameters():
            p.data.clamp_(-0.1, 0.1)
    for p in D.parameters():
        p.requires_grad = False
    G.zero_grad()
    lg = -D(G(torch.randn(64, 4))).mean()
    lg.backward()
    og.step()
print(loss.item(), lg.item())
