# expect: no-step
# 8 batches an epoch, a step only at every 16th, and the counter starts anew.
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64)[:800], torch.tensor(labels)[:800]
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(3):
    for i, (xb, yb) in enumerate(zip(x.split(100), y.split(100))):
        loss = nn.functional.cross_entropy(model(xb), yb) / 16
        loss.backward()
        if (i + 1) % 16 == 0:
            optimizer.step()
            optimizer.zero_grad()
    print(epoch, loss.item() * 16)
