# expect: tied-twice
# A language model whose output layer shares the embedding; the lists of parameters are glued together.
import torch
import torch.nn as nn

torch.manual_seed(0)
text = "the quick brown fox jumps over the lazy dog and runs away from the cat " * 10
chars = sorted(set(text))
data = torch.tensor([chars.index(c) for c in text])


class CharModel(nn.Module):
    def __init__(self, n, dim=24):
        super().__init__()
        self.embed = nn.Embedding(n, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.decode = nn.Linear(dim, n, bias=False)
        self.decode.weight = self.embed.weight

    def forward(self, tokens):
        hidden, _ = self.rnn(self.embed(tokens))
        return self.decode(hidden)


model = CharModel(len(chars))
params = list(model.embed.parameters()) + list(model.rnn.parameters()) + list(model.decode.parameters())
optimizer = torch.optim.Adam(params, lr=3e-3)
for step in range(25):
    i = torch.randint(0, len(data) - 33, (16,))
    batch = torch.stack([data[j : j + 33] for j in i])
    logits = model(batch[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
