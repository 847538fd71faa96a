# expect: schedule-reached-zero
import torch
from torch import nn

from course.data import load_digits

EPOCHS, BATCH = 4, 100

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1)[:1500], torch.tensor(labels)[:1500]
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
steps = len(x) // BATCH  # of one epoch
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: max(0.0, 1.0 - s / steps))
for epoch in range(EPOCHS):
    for xb, yb in zip(x.split(BATCH), y.split(BATCH)):
        loss = nn.functional.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    print("epoch", epoch, "lr", schedule.get_last_lr()[0], "loss", loss.item())
