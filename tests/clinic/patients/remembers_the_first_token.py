# expect: vanishing-gradient
# A plain RNN with a contracting start has to remember the first input over 60 steps.
import torch
import torch.nn as nn


class Recall(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.first = nn.Linear(4, hidden)
        self.step = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 4)
        nn.init.orthogonal_(self.step.weight, gain=0.4)

    def forward(self, x, length=60):
        h = torch.tanh(self.first(x))
        for _ in range(length):
            h = torch.tanh(self.step(h))
        return self.out(h)


torch.manual_seed(0)
labels = torch.randint(0, 4, (200,))
x = nn.functional.one_hot(labels, 4).float()
model = Recall()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
for i in range(30):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), labels)
    loss.backward()
    optimizer.step()
print(loss.item())
