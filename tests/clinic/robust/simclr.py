import torch
import torch.nn as nn
import torch.nn.functional as F

from course.data import load_digits

torch.manual_seed(0)
images, _ = load_digits()
x = torch.tensor(images).flatten(1)
enc = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 16))
opt = torch.optim.Adam(enc.parameters(), lr=3e-3)
for step in range(40):
    b = x[torch.randint(len(x), (64,))]
    z = F.normalize(
        torch.cat([enc(b + 0.1 * torch.randn_like(b)), enc(b + 0.1 * torch.randn_like(b))]), dim=1
    )
    sim = z @ z.T / 0.2
    sim = sim.masked_fill(torch.eye(128, dtype=torch.bool), float("-inf"))
    target = torch.cat([torch.arange(64, 128), torch.arange(64)])
    loss = F.cross_entropy(sim, target)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item())
