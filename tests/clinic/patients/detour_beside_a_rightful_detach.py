# expect: detached
import torch
from torch import nn

torch.manual_seed(1)
seq = torch.randint(0, 12, (8, 400))


class CharRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(12, 16)
        self.rnn = nn.GRU(16, 16, batch_first=True)
        self.fc = nn.Linear(16, 12)

    def forward(self, x, hidden):
        out, hidden = self.rnn(self.emb(x), hidden)
        hidden = hidden.detach()
        out = torch.tensor(out.numpy(force=True))
        return self.fc(out), hidden


model = CharRNN()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
hidden = torch.zeros(1, 8, 16)
for step in range(30):
    i = step * 12
    logits, hidden = model(seq[:, i : i + 12], hidden)
    loss = nn.functional.cross_entropy(logits.reshape(-1, 12), seq[:, i + 1 : i + 13].reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
