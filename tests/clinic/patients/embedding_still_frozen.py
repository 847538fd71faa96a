# expect: frozen
# Embeddings from a pretrained table are frozen unless freeze=False is passed.
import torch
from torch import nn

torch.manual_seed(0)
vocabulary, dim = 50, 16
pretrained = torch.randn(vocabulary, dim)


class BagOfWords(nn.Module):
    def __init__(self, table):
        super().__init__()
        self.emb = nn.Embedding.from_pretrained(table)
        self.out = nn.Linear(table.shape[1], 2)

    def forward(self, tokens):
        return self.out(self.emb(tokens).mean(dim=1))


tokens = torch.randint(0, vocabulary, (400, 12))
labels = (tokens < 10).sum(1).gt(2).long()
model = BagOfWords(pretrained)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(20):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(tokens), labels)
    loss.backward()
    optimizer.step()
print("loss", loss.item())
