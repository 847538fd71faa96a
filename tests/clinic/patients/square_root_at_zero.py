# expect: non-finite
# Siamese distance: the square root of zero has an infinite slope.
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
embed = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.SGD(embed.parameters(), lr=0.01)
for step in range(10):
    i = torch.randint(0, 100, (64,))
    j = torch.randint(0, 100, (64,))
    i[0] = j[0]
    a, b = embed(x[i]), embed(x[j])
    distance = torch.sqrt(((a - b) ** 2).sum(dim=1))
    same = (y[i] == y[j]).float()
    loss = (same * distance**2 + (1 - same) * (1 - distance).clamp(min=0) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
