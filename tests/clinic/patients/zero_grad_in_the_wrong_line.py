# expect: zero-grad-before-step
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
X = torch.tensor(images.reshape(-1, 64))
Y = torch.tensor(labels)

model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for step in range(40):
    idx = torch.randint(0, len(X), (64,))
    logits = model(X[idx])
    loss = loss_fn(logits, Y[idx])
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    if step % 10 == 0:
        acc = (logits.argmax(1) == Y[idx]).float().mean()
        print(f"step {step}: loss {loss.item():.3f} acc {acc.item():.2f}")
