# expect: not-registered
# A multi-task model whose heads stand in a plain dict.
import torch
from torch import nn

from course.data import load_digits


class MultiTask(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.heads = {name: nn.Linear(32, size) for name, size in tasks.items()}

    def forward(self, x):
        h = self.trunk(x)
        return {name: head(h) for name, head in self.heads.items()}


torch.manual_seed(0)
images, labels = load_digits()
x = torch.tensor(images).flatten(1)[:512]
digit = torch.tensor(labels)[:512]
parity = digit % 2
model = MultiTask({"digit": 10, "parity": 2})
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
ce = nn.CrossEntropyLoss()
for _ in range(25):
    optimizer.zero_grad()
    out = model(x)
    loss = ce(out["digit"], digit) + 0.5 * ce(out["parity"], parity)
    loss.backward()
    optimizer.step()
print(loss.item())
