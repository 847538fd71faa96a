# expect: overwritten
# Meant to go back to the best weights only when the validation gets worse.
import copy

import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
best = copy.deepcopy(model.state_dict())
best_accuracy = 1.0  # should have been 0
for epoch in range(6):
    model.load_state_dict(best)
    for i in range(0, 800, 100):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[i : i + 100]), y[i : i + 100])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(x[1000:]).argmax(1) == y[1000:]).float().mean().item()
    if accuracy > best_accuracy:
        best, best_accuracy = copy.deepcopy(model.state_dict()), accuracy
    print(epoch, accuracy)
