# expect: tied-twice
import torch
import torch.nn as nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(
    [
        {"params": [p for n, p in model.named_parameters() if "weight" in n], "weight_decay": 0.01},
        {"params": model[2].parameters(), "lr": 1e-2},
    ],
    lr=1e-3,
)
x = torch.randn(64, 8)
for _ in range(10):
    optimizer.zero_grad()
    model(x).pow(2).mean().backward()
    optimizer.step()
