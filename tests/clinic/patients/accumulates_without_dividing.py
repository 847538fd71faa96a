# expect: accumulation-not-divided
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64)[:1600], torch.tensor(labels)[:1600]
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
accumulation_steps = 8
optimizer.zero_grad()
for epoch in range(2):
    for i, (xb, yb) in enumerate(zip(x.split(20), y.split(20))):
        loss = nn.functional.cross_entropy(model(xb), yb)
        loss.backward()
        if (i + 1) % accumulation_steps == 0:
            optimizer.step()
            optimizer.zero_grad()
    print(epoch, loss.item())
