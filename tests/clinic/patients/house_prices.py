# expect: inputs-not-normalised
# Columns in square metres, years and metres to the sea, straight into a tanh network.
import torch
from torch import nn

torch.manual_seed(0)
n = 400
area = 40 + 160 * torch.rand(n)
year = 1900 + 120 * torch.rand(n)
sea = 20000 * torch.rand(n)
features = torch.stack([area, year, sea], dim=1)
price = (3.0 * area + 0.5 * (year - 1900) - 0.01 * sea).unsqueeze(1) / 100


class PriceModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 32)
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


model = PriceModel()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(30):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(features), price)
    loss.backward()
    optimizer.step()
print("loss", loss.item())
