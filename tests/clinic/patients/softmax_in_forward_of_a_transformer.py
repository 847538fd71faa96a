# expect: probabilities-in-loss
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(32, 4)

    def forward(self, tokens):
        h = self.encoder(self.embed(tokens)).mean(1)
        return F.softmax(self.head(h), dim=-1)


tokens = torch.randint(0, 20, (128, 16))
labels = tokens[:, 0] // 5
net = Classifier()
opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
for _ in range(20):
    opt.zero_grad()
    F.cross_entropy(net(tokens), labels).backward()
    opt.step()
