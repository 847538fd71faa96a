# expect: lr-too-large
import torch

torch.manual_seed(0)
X = torch.randn(100, 4)
true_w = torch.tensor([2.0, -1.0, 0.5, 3.0])
y = X @ true_w + 0.1 * torch.randn(100)

w = torch.zeros(4, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([w, b], lr=1.5)
for step in range(60):
    loss = ((X @ w + b - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
