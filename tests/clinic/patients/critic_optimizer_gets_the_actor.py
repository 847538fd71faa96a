# expect: not-in-optimizer, tied-twice
import torch
from torch import nn

torch.manual_seed(0)
actor = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
critic = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
actor_opt = torch.optim.Adam(actor.parameters(), lr=3e-4)
critic_opt = torch.optim.Adam(actor.parameters(), lr=1e-3)
for _ in range(40):
    s = torch.randn(64, 4)
    dist = torch.distributions.Categorical(logits=actor(s))
    a = dist.sample()
    advantage = (a == (s[:, 0] > 0).long()).float() - critic(s).squeeze(-1)
    actor_opt.zero_grad()
    (-(dist.log_prob(a) * advantage.detach()).mean()).backward()
    actor_opt.step()
    critic_opt.zero_grad()
    advantage.pow(2).mean().backward()
    critic_opt.step()
