# expect: no-zero-grad
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
try:
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    y = x.sum(1, keepdim=True)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(40):
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
finally:
    torch.set_default_dtype(torch.float32)
