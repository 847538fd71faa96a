# expect: zero-lr
import torch
import torch.nn as nn

config = {"epochs": 20, "lr": 1 // 1000, "hidden": 16}

torch.manual_seed(0)
x = torch.rand(100, 2)
y = (x.sum(1, keepdim=True) > 1).float()
model = nn.Sequential(nn.Linear(2, config["hidden"]), nn.ReLU(), nn.Linear(config["hidden"], 1))
opt = torch.optim.Adam(model.parameters(), lr=config["lr"])
bce = nn.BCEWithLogitsLoss()
for epoch in range(config["epochs"]):
    opt.zero_grad()
    loss = bce(model(x), y)
    loss.backward()
    opt.step()
    print(epoch, loss.item())
