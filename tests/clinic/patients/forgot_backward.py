# expect: no-backward
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

from course.data import load_digits

images, labels = load_digits()
dataset = TensorDataset(torch.from_numpy(images).reshape(-1, 64), torch.from_numpy(labels))
loader = DataLoader(dataset, batch_size=64, shuffle=True)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(2):
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        loss = criterion(out, y)
        optimizer.step()
        running += loss.item()
    print(f"epoch {epoch} loss {running / len(loader):.4f}")
