# expect: stale-optimizer
# Transfer learning: the classifier is swapped after the optimizer was made.
import torch
import torch.nn as nn

from course.data import load_digits


class SmallNet(nn.Module):
    def __init__(self, classes=100):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        return self.fc(self.body(x))


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
net = SmallNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
net.fc = nn.Linear(32, 10)

for epoch in range(12):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(net(x), y)
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch + 1}, loss {loss.item():.3f}")
