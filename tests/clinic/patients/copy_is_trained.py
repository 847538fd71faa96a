# expect: stale-optimizer
# k-fold style: works on a copy of the model, with the optimizer of the original.
import copy

import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
template = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
optimizer = torch.optim.Adam(template.parameters(), lr=1e-2)


def fit(model, optimizer, x, y, epochs=8):
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


for fold in range(2):
    model = copy.deepcopy(template)
    held_out = torch.arange(len(x)) % 2 == fold
    print("fold", fold, fit(model, optimizer, x[~held_out], y[~held_out]))
