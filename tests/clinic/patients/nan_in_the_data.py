# expect: non-finite
import numpy as np
import torch
import torch.nn as nn

rng = np.random.default_rng(0)
table = rng.normal(size=(300, 6)).astype(np.float32)
table[17, 2] = np.nan  # a missing value
price = table[:, 0] * 2 + 1

x, y = torch.from_numpy(table), torch.from_numpy(price)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(3):
    for i in range(0, 300, 50):
        pred = model(x[i : i + 50]).squeeze(1)
        loss = nn.functional.mse_loss(pred, y[i : i + 50])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
