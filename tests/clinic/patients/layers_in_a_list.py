# expect: not-registered
import torch
import torch.nn as nn
import torch.nn.functional as F

from course.data import load_digits


class MLP(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = [nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])]
        self.head = nn.Linear(sizes[-1], 10)

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)


torch.manual_seed(0)
images, labels = load_digits()
x = torch.from_numpy(images).view(-1, 64)
y = torch.from_numpy(labels)
model = MLP([64, 64, 32])
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(15):
    opt.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
    print(epoch, round(loss.item(), 4))
