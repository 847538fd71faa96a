# expect: zero-grad-before-step
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64)[:1600], torch.tensor(labels)[:1600]
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
k = 4
for epoch in range(2):
    for i, (xb, yb) in enumerate(zip(x.split(40), y.split(40)), start=1):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(xb), yb) / k
        loss.backward()
        if i % k == 0:
            optimizer.step()
    print(epoch, k * loss.item())
