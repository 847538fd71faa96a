# expect: saturated
import torch
import torch.nn as nn

from course.data import load_digits


def init(module):
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=4.0)


torch.manual_seed(0)
images, labels = load_digits()
x = torch.tensor(images).view(-1, 64) - 0.3
y = torch.tensor(labels)
model = nn.Sequential(
    nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 10)
)
model.apply(init)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
for epoch in range(15):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
