# expect: no-zero-grad
import torch
import torch.nn as nn
import torch.nn.functional as F

from course.data import load_digits


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 2 * 2, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.from_numpy(images)[:640, None], torch.from_numpy(labels)[:640]
net = CNN()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for epoch in range(3):
    for i in range(0, len(x), 32):
        outputs = net(x[i : i + 32])
        loss = F.cross_entropy(outputs, y[i : i + 32])
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", loss.item())
