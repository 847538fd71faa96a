# expect: broadcast-loss
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(200, 3)
y = x @ torch.tensor([1.0, 2.0, -1.0])

model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(50):
    y_pred = model(x)
    loss = ((y_pred - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
