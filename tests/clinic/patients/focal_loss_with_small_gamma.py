# expect: non-finite
# focal loss with (1-p)**gamma, gamma < 1: slope infinite at p = 1
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
with torch.no_grad():
    model[2].weight.mul_(300)
opt = torch.optim.SGD(model.parameters(), lr=1e-4)
for step in range(10):
    logp = nn.functional.log_softmax(model(x), 1).gather(1, y[:, None])
    p = logp.exp()
    loss = -((1 - p) ** 0.5 * logp).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
