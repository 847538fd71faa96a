# expect: no-step
import torch
from torch import nn

from course.data import load_digits


class Classifier(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.hidden = nn.Linear(64, hidden)
        self.out = nn.Linear(hidden, 10)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))


def main():
    torch.manual_seed(1)
    images, labels = load_digits()
    x = torch.tensor(images).view(len(images), -1)
    y = torch.tensor(labels)
    model = Classifier()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(20):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x[:500]), y[:500])
        loss.backward()
        opt.step
        if epoch % 5 == 0:
            print(epoch, loss.item())


if __name__ == "__main__":
    main()
