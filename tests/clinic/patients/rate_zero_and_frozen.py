# expect: zero-lr, frozen
# Two causes at once.
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
backbone = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
head = nn.Linear(32, 10)
model = nn.Sequential(backbone, head)
for p in backbone.parameters():
    p.requires_grad_(False)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
for group in optimizer.param_groups:
    group["lr"] = group["lr"] * 0  # left over from an experiment
for i in range(20):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
print(loss.item())
