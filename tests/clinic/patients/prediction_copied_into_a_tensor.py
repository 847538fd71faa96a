# expect: detached
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(100, 4)
y = x.sum(1)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(10):
    optimizer.zero_grad()
    predictions = torch.tensor([model(row) for row in x])
    loss = nn.functional.mse_loss(predictions, y)
    loss.backward()
    optimizer.step()
