# expect: zero-grad-before-step
# Two causes: gradients are cleared too early, and so the decay alone moves the weights.
import torch
from torch import nn

from course.data import load_digits


def train_step(model, optimizer, x, y):
    logits = model(x)
    loss = nn.functional.cross_entropy(logits, y)
    loss.backward()
    for p in model.parameters():
        p.grad.zero_()
    optimizer.step()
    return loss.item()


torch.manual_seed(3)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 100), nn.GELU(), nn.Linear(100, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
for i in range(30):
    batch = slice(50 * i, 50 * i + 50)
    loss = train_step(model, optimizer, x[batch], y[batch])
print("final", loss)
