# expect: schedule-reached-zero
# ReduceLROnPlateau gets the accuracy with mode="min": lr collapses
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.1)
sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode="min", factor=0.01, patience=0, eps=0)
for epoch in range(20):
    opt.zero_grad()
    out = model(x)
    loss = nn.functional.cross_entropy(out, y)
    loss.backward()
    opt.step()
    acc = (out.argmax(1) == y).float().mean().item()
    sched.step(acc)
    print(epoch, acc, opt.param_groups[0]["lr"])
