# expect: eval-mode
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images)[:, None], torch.tensor(labels)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(288, 10)
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def validate():
    model.eval()
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x[1400:]), y[1400:]).item()


for epoch in range(4):
    for i in range(0, 1000, 100):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[i : i + 100]), y[i : i + 100])
        loss.backward()
        optimizer.step()
    print(epoch, validate())
