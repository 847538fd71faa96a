# expect: stale-optimizer
import torch
import torch.nn as nn

from course.data import load_digits


def build():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).reshape(-1, 64), torch.tensor(labels)

model = build()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

# start from a fresh initialisation with another seed
torch.manual_seed(42)
model = build()

for epoch in range(10):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
