# expect: not-in-optimizer
# LoRA: collects "lora_A" for the optimizer, and forgets "lora_B" (named loraB)
import torch
import torch.nn as nn

from course.data import load_digits


class LoRALinear(nn.Module):
    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.randn(rank, base.in_features) * 0.02)
        self.loraB = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + x @ self.lora_A.T @ self.loraB.T


torch.manual_seed(0)
images, labels = load_digits()
x, y = torch.tensor(images).flatten(1), torch.tensor(labels)
model = nn.Sequential(LoRALinear(nn.Linear(64, 64)), nn.ReLU(), LoRALinear(nn.Linear(64, 10)))
opt = torch.optim.Adam([p for n, p in model.named_parameters() if "lora_" in n], lr=1e-2)
for step in range(30):
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item())
