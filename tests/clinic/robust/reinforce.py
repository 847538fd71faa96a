import torch
import torch.nn as nn

torch.manual_seed(0)
policy = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2), nn.Softmax(-1))
opt = torch.optim.Adam(policy.parameters(), lr=1e-2)
for episode in range(40):
    state = torch.randn(4)
    logps, rewards = [], []
    for t in range(12):
        probs = policy(state)
        m = torch.distributions.Categorical(probs)
        a = m.sample()
        logps.append(m.log_prob(a))
        rewards.append(float(a.item() == (state[0] > 0)))
        state = torch.randn(4)
    R, returns = 0, []
    for r in rewards[::-1]:
        R = r + 0.9 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    loss = torch.cat([-(lp * G).unsqueeze(0) for lp, G in zip(logps, returns)]).sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
