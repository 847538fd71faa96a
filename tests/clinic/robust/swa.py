import torch
import torch.nn as nn
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
swa = AveragedModel(model)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=10)
swa_s = SWALR(opt, swa_lr=0.05)
for e in range(15):
    for xb, yb in zip(x.split(300), y.split(300)):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(xb), yb)
        loss.backward()
        opt.step()
    if e > 8:
        swa.update_parameters(model)
        swa_s.step()
    else:
        sched.step()
update_bn([x], swa)
print(loss.item())
