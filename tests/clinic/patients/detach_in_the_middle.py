# expect: detached
import torch
import torch.nn as nn
import torch.nn.functional as F

from course.data import load_digits


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
        self.decoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64))

    def forward(self, x):
        code = self.encoder(x)
        return self.decoder(code.detach()), code


torch.manual_seed(0)
images, _ = load_digits()
x = torch.from_numpy(images).reshape(-1, 64)[:1000]
model = AutoEncoder()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(10):
    for batch in x.split(100):
        reconstruction, code = model(batch)
        loss = F.mse_loss(reconstruction, batch)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"epoch {epoch}: {loss.item():.5f}")
