# expect: stale-optimizer
# hyper-parameter search: a new model per setting, but one optimizer from before the loop
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1)[:500], torch.tensor(labels)[:500]


def make(hidden):
    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


model = make(16)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for hidden in (16, 32, 64):
    model = make(hidden)
    for _ in range(8):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    print(hidden, loss.item())
