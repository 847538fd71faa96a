# expect: zero-lr
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).view(-1, 64), torch.tensor(labels)
model = nn.Linear(64, 10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
warmup_steps = 100
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step // warmup_steps))
for step in range(40):
    idx = torch.randint(len(x), (64,))
    loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
print(loss.item())
