# expect: no-step
# Trainer class with a bug: the scheduler is stepped, the optimizer never
import torch
from torch import nn

from course.data import load_digits


class Trainer:
    def __init__(self, model, lr):
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=10)
        self.history = []

    def training_step(self, batch):
        x, y = batch
        return nn.functional.cross_entropy(self.model(x), y)

    def fit(self, batches, epochs):
        for epoch in range(epochs):
            for batch in batches:
                self.optimizer.zero_grad()
                loss = self.training_step(batch)
                loss.backward()
                self.history.append(loss.item())
            self.scheduler.step()
            print(epoch, self.history[-1])


images, labels = load_digits()
torch.manual_seed(0)
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
trainer = Trainer(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), 1e-3)
trainer.fit(list(zip(x.split(150), y.split(150))), 3)
