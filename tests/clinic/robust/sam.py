import torch
import torch.nn as nn

from course.data import load_digits


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base, rho=0.05, **kw):
        super().__init__(params, dict(rho=rho, **kw))
        self.base = base(self.param_groups, **kw)
        self.param_groups = self.base.param_groups

    @torch.no_grad()
    def first_step(self):
        norm = torch.norm(torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]))
        for g in self.param_groups:
            for p in g["params"]:
                e = p.grad * 0.05 / (norm + 1e-12)
                self.state[p]["old"] = p.data.clone()
                p.add_(e)
        self.zero_grad()

    @torch.no_grad()
    def second_step(self):
        for g in self.param_groups:
            for p in g["params"]:
                p.data = self.state[p]["old"]
        self.base.step()
        self.zero_grad()

    def step(self, closure=None):
        raise NotImplementedError


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1)[:600], torch.tensor(labels)[:600]
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
opt = SAM(model.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)
for i in range(30):
    nn.functional.cross_entropy(model(x), y).backward()
    opt.first_step()
    nn.functional.cross_entropy(model(x), y).backward()
    opt.second_step()
