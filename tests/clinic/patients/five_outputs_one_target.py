# expect: broadcast-loss
# regression on two targets, one of them given as a column
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(64, 8)
y = x[:, :1] * 2
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(40):
    loss = nn.functional.l1_loss(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item())
