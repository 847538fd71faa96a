# expect: lr-too-small
import torch
import torch.nn as nn

from course.data import load_digits

torch.manual_seed(0)
images, _ = load_digits()
x = torch.tensor(images)[:, None][:500]
autoencoder = nn.Sequential(
    nn.Conv2d(1, 8, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
)
optimizer = torch.optim.Adam(autoencoder.parameters(), lr=1e-8)  # 1e-3 diverged in another project
for epoch in range(10):
    for batch in x.split(50):
        loss = nn.functional.mse_loss(autoencoder(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
