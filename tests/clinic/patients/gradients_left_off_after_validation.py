# expect: no-grad-mode
import torch
import torch.nn as nn

from course.data import load_digits


def evaluate(model, x, y):
    torch.set_grad_enabled(False)
    model.eval()
    accuracy = (model(x).argmax(dim=1) == y).float().mean().item()
    model.train()
    return accuracy


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
train_x, train_y, val_x, val_y = x[:1200], y[:1200], x[1200:], y[1200:]
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(3):
    for i in range(0, 1200, 100):
        loss = nn.functional.cross_entropy(model(train_x[i : i + 100]), train_y[i : i + 100])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, evaluate(model, val_x, val_y))
