# expect: detached
# VAE: samples the latent with torch.normal, which has no gradient; encoder does not learn
import torch
import torch.nn as nn
import torch.nn.functional as F

from course.data import load_digits


class VAE(nn.Module):
    def __init__(self, latent=4):
        super().__init__()
        self.enc = nn.Linear(64, 32)
        self.mu = nn.Linear(32, latent)
        self.logvar = nn.Linear(32, latent)
        self.dec = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())

    def forward(self, x):
        h = F.relu(self.enc(x))
        mu, std = self.mu(h), torch.exp(0.5 * self.logvar(h))
        z = torch.distributions.Normal(mu, std).sample()
        return self.dec(z)


torch.manual_seed(0)
images, _ = load_digits()
x = torch.tensor(images).view(-1, 64)
vae = VAE()
opt = torch.optim.Adam(vae.parameters(), lr=1e-3)
for epoch in range(4):
    for batch in x.split(200):
        loss = F.binary_cross_entropy(vae(batch), batch)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(epoch, loss.item())
