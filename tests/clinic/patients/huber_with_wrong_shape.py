# expect: broadcast-loss
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class QNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, state):
        return self.net(state)


q = QNetwork()
target_q = QNetwork()
target_q.load_state_dict(q.state_dict())
optimizer = torch.optim.Adam(q.parameters(), lr=1e-3)
gamma = 0.99
for step in range(40):
    state, next_state = torch.randn(32, 4), torch.randn(32, 4)
    action = torch.randint(0, 2, (32, 1))
    reward = torch.randn(32)
    with torch.no_grad():
        target = reward + gamma * target_q(next_state).max(dim=1).values
    value = q(state).gather(1, action)
    loss = F.smooth_l1_loss(value, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        target_q.load_state_dict(q.state_dict())
print(loss.item())
