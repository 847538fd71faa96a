import torch
import torch.nn as nn

torch.manual_seed(0)
rnn = nn.RNN(1, 16, batch_first=True)
out = nn.Linear(16, 1)
opt = torch.optim.Adam([*rnn.parameters(), *out.parameters()], lr=5e-3)
signal = torch.sin(torch.linspace(0, 40, 401))[None, :, None]
for epoch in range(4):
    h = None
    for i in range(0, 400, 40):
        o, h = rnn(signal[:, i : i + 40], h)
        loss = nn.functional.mse_loss(out(o), signal[:, i + 1 : i + 41])
        opt.zero_grad()
        loss.backward()
        opt.step()
        h = h.detach()
