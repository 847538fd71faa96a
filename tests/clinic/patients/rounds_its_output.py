# expect: vanishing-gradient
# predicts a count and rounds it before the loss: the derivative of round is zero everywhere
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.rand(300, 6)
y = (x.sum(dim=1, keepdim=True) * 2).floor()
model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
opt = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(30):
    pred = torch.round(model(x))
    loss = nn.functional.mse_loss(pred, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item())
