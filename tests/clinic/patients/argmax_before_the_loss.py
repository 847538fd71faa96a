# expect: detached
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x = torch.tensor(images).flatten(1)[:600]
y = torch.tensor(labels)[:600]

model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10), nn.Softmax(dim=1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
criterion = nn.MSELoss()

for epoch in range(10):
    optimizer.zero_grad()
    predicted = torch.argmax(model(x), dim=1).float()
    loss = criterion(predicted, y.float())
    loss.requires_grad = True
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
