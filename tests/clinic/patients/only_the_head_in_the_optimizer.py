# expect: not-in-optimizer
import argparse

import torch
import torch.nn as nn

from course.data import load_digits


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU())
        self.classifier = nn.Linear(24, 10)

    def forward(self, x):
        return self.classifier(self.encoder(x))


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--epochs", type=int, default=10)
args = parser.parse_args()

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).reshape(-1, 64), torch.tensor(labels)
net = Net()
optimizer = torch.optim.Adam(net.classifier.parameters(), lr=args.lr)
for epoch in range(args.epochs):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    print(f"{epoch}: {loss.item():.4f}")
