# expect: lr-too-large
# logistic regression, momentum 0.99 and lr 50
import torch

from course.data import load_digits

torch.manual_seed(0)
images, labels = load_digits()
x = torch.tensor(images).reshape(-1, 64)
y = torch.tensor(labels % 2).float()
net = torch.nn.Linear(64, 1)
opt = torch.optim.SGD(net.parameters(), lr=50, momentum=0.99)
for epoch in range(30):
    opt.zero_grad()
    out = net(x)[:, 0]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(out, y)
    loss.backward()
    opt.step()
    print(epoch, loss.item())
