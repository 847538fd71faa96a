import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
opt = torch.optim.AdamW(net.parameters(), lr=2e-5)
for i in range(60):
    j = torch.randint(len(x), (32,))
    loss = nn.functional.cross_entropy(net(x[j]), y[j])
    opt.zero_grad()
    loss.backward()
    opt.step()
