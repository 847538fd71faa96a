# expect: no-grad-mode
# The encoder was written for inference first, and kept its decorator.
import torch
import torch.nn as nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(10, 20)
        self.layer2 = nn.Linear(20, 20)

    @torch.no_grad()
    def forward(self, x):
        return torch.tanh(self.layer2(torch.tanh(self.layer1(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(20, 1)

    def forward(self, x):
        return self.head(self.encoder(x))


torch.manual_seed(0)
x = torch.randn(128, 10)
y = (x[:, :1] * x[:, 1:2]).tanh()
model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for i in range(40):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
print(loss.item())
