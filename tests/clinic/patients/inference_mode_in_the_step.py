# expect: no-grad-mode
import torch
import torch.nn as nn

from course.data import load_digits


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.fc = nn.Linear(8 * 36, 10)

    def features(self, x):
        with torch.inference_mode():
            return torch.relu(self.conv(x)).flatten(1)

    def forward(self, x):
        return self.fc(self.features(x).clone())


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images)[:400, None], torch.tensor(labels)[:400]
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(15):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
