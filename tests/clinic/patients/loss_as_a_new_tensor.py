# expect: detached
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(200, 3)
y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3

model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def my_loss(pred, target):
    total = 0
    for p, t in zip(pred, target):
        total += (p.item() - t.item()) ** 2
    return torch.tensor(total / len(pred), requires_grad=True)


for epoch in range(15):
    optimizer.zero_grad()
    pred = model(x)
    loss = my_loss(pred, y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
