# expect: detached
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.linspace(0, 1, 50).reshape(-1, 1)
y = 3 * x + 1
model = nn.Linear(1, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for i in range(100):
    opt.zero_grad()
    loss = nn.MSELoss()(model(x), y).item()
    losses.append(loss)
    loss.backward()
    opt.step()
