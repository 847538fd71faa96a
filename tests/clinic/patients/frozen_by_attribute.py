# expect: frozen
# Fine-tuning: "unfreezes" the head by setting an attribute on the module, which does nothing.
import torch
import torch.nn as nn

from course.data import load_digits


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten())
        self.fc = nn.Linear(8 * 36, 10)

    def forward(self, x):
        return self.fc(self.features(x))


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).unsqueeze(1)[:300], torch.tensor(labels)[:300]
model = Backbone()
for param in model.parameters():
    param.requires_grad = False
model.fc.requires_grad = True

optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(5):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
