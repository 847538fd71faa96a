# expect: skipped-by-scaler
# The scale is far too high for the loss, and every step is skipped.
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=1, backoff_factor=0.999)
for step in range(12):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y) * 1000
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    print(step, loss.item(), scaler.get_scale())
