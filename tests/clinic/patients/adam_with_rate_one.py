# expect: lr-too-large
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images)[:, None], torch.tensor(labels)
net = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(64, 10),
)
optimizer = torch.optim.Adam(net.parameters(), lr=1)
for step in range(25):
    idx = torch.randint(len(x), (100,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x[idx]), y[idx])
    loss.backward()
    optimizer.step()
    print(step, loss.item())
