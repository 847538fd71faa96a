# expect: exploding-gradient
import torch
import torch.nn as nn

torch.manual_seed(0)


class LinearRNN(nn.Module):
    def __init__(self, hidden=20):
        super().__init__()
        self.inp = nn.Linear(1, hidden)
        self.rec = nn.Linear(hidden, hidden, bias=False)
        self.out = nn.Linear(hidden, 1)
        with torch.no_grad():
            self.rec.weight.copy_(1.4 * torch.eye(hidden))

    def forward(self, seq):
        h = torch.zeros(seq.shape[0], self.rec.in_features)
        for t in range(seq.shape[1]):
            h = self.rec(h) + self.inp(seq[:, t])
        return self.out(h)


x = torch.randn(64, 40, 1)
y = x.mean(dim=1)
model = LinearRNN()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
for epoch in range(8):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
