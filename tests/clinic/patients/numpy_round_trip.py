# expect: detached
import numpy as np
import torch
from torch import nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x = torch.from_numpy(images.reshape(-1, 64))[:400]
t = torch.from_numpy((labels[:400] >= 5).astype(np.float32))

net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)


def balanced_bce(p, t):
    weights = np.where(t == 1, 2.0, 1.0)
    losses = -(t * np.log(p + 1e-7) + (1 - t) * np.log(1 - p + 1e-7))
    return (weights * losses).mean()


for epoch in range(10):
    p = net(x).squeeze(1)
    value = balanced_bce(p.detach().numpy(), t.numpy())
    loss = torch.autograd.Variable(torch.tensor(value), requires_grad=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(epoch, float(loss))
