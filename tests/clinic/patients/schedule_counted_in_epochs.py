# expect: schedule-reached-zero
# MultiStepLR with milestones in epochs, stepped after every batch.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
data = TensorDataset(torch.tensor(images).view(-1, 64), torch.tensor(labels))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3)
for epoch in range(2):
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(epoch, loss.item(), scheduler.get_last_lr())
