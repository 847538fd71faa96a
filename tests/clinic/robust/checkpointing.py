import torch
import torch.nn as nn
from torch.utils.checkpoint import checkpoint

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(64, 64)
        self.b = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1))
        self.c = nn.Linear(64, 10)

    def forward(self, x):
        return self.c(checkpoint(self.b, torch.relu(self.a(x)), use_reentrant=False))


net = Net()
opt = torch.optim.AdamW(net.parameters(), lr=2e-3)
for i in range(30):
    j = torch.randint(len(x), (128,))
    loss = nn.functional.cross_entropy(net(x[j]), y[j])
    loss.backward()
    opt.step()
    opt.zero_grad()
