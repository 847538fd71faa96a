# expect: not-registered, eval-mode
import torch
import torch.nn as nn

from course.data import load_digits


class Residual(nn.Module):
    def __init__(self, width=32, depth=3):
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.blocks = [nn.Linear(width, width) for _ in range(depth)]
        self.drop = nn.Dropout(0.2)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + self.drop(torch.relu(block(x)))
        return self.head(self.norm(x))


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
model = Residual().eval()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for step in range(30):
    idx = torch.randint(len(x), (128,))
    loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
