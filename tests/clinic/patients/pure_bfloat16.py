# expect: lost-to-rounding
# The whole model is cast to bfloat16, weights included.
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x = torch.tensor(images).flatten(1).to(torch.bfloat16)[:800]
y = torch.tensor(labels)[:800]
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(torch.bfloat16)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
for epoch in range(20):
    optimizer.zero_grad()
    logits = model(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
