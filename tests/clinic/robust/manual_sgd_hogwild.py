import torch

torch.manual_seed(0)
w = torch.zeros(3, requires_grad=True)
x = torch.randn(50, 3)
y = x.sum(1)
opt = torch.optim.SGD([w], lr=0.1)
for i in range(5):
    loss = ((x @ w - y) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
