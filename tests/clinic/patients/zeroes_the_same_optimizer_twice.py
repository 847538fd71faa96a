# expect: no-zero-grad
# zeroes another optimizer's gradients: two optimizers, copy-paste
import torch
import torch.nn as nn

torch.manual_seed(0)
encoder = nn.GRU(5, 16, batch_first=True)
decoder = nn.Linear(16, 5)
enc_opt = torch.optim.SGD(encoder.parameters(), lr=0.05)
dec_opt = torch.optim.SGD(decoder.parameters(), lr=0.05)
for step in range(40):
    seq = torch.randint(0, 5, (32, 7))
    onehot = nn.functional.one_hot(seq, 5).float()
    enc_opt.zero_grad()
    enc_opt.zero_grad()
    _, h = encoder(onehot)
    loss = nn.functional.cross_entropy(decoder(h[-1]), seq[:, 0])
    loss.backward()
    enc_opt.step()
    dec_opt.step()
print(loss.item())
