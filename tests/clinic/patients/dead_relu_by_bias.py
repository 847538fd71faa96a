# expect: dead-units
import torch
import torch.nn as nn

from course.data import load_digits


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 50)
        self.fc2 = nn.Linear(50, 10)
        nn.init.constant_(self.fc1.bias, -10.0)  # "sparse activations"

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(20):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
