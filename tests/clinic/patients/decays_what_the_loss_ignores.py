# expect: decay-only
# The auxiliary loss is switched off by a weight of zero; its head fades away.
import torch
import torch.nn as nn

from course.data import load_digits


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.main = nn.Linear(32, 10)
        self.aux = nn.Linear(32, 2)

    def forward(self, x):
        h = self.trunk(x)
        return self.main(h), self.aux(h)


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
model = TwoHeads()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.5)
aux_weight = 0.0
for step in range(30):
    idx = torch.randint(len(x), (100,))
    main, aux = model(x[idx])
    loss = nn.functional.cross_entropy(main, y[idx])
    loss = loss + aux_weight * nn.functional.cross_entropy(aux, y[idx] % 2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
