"""Policies: REINFORCE and actor-critic on a small balancing game."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.watch import Watch

LONGEST = 40


class Balance:
    """Keep a drifting point near 0 by pushing left or right; (2,) is place and speed."""

    def reset(self) -> Tensor:
        self.state, self.time = torch.rand(2) * 0.4 - 0.2, 0
        return self.state

    def step(self, action: int) -> tuple[Tensor, float, bool]:
        place, speed = self.state
        speed = speed + 0.1 * (2 * action - 1) + 0.12 * place
        self.state, self.time = torch.stack([place + 0.3 * speed, speed]), self.time + 1
        return self.state, 1.0, bool(self.state[0].abs() > 1) or self.time >= LONGEST


def _returns(rewards: list[float]) -> Tensor:
    values, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + 0.97 * total
        values.insert(0, total)
    return torch.tensor(values)


@loop(
    "reinforcement",
    target=0.8,
    lr=0.02,
    faults=[fault("wrong_sign"), fault("no_backward"), fault("clipped_to_nothing", gradient_clip=1e-11)],
    gradient_clip=10.0,
)
def reinforce(watch: Watch) -> float:
    """REINFORCE after pytorch/examples: one episode a step."""
    policy = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=watch.lr)
    game = Balance()
    sitter = watch(policy, optimizer, task="reinforcement", epochs=1, steps_per_epoch=120)
    lengths, baseline = [], torch.tensor(0.0)
    for _ in range(120):
        state, logs, rewards, done = game.reset(), [], [], False
        while not done:
            choice = Categorical(logits=policy(state.unsqueeze(0)))
            action = choice.sample()
            logs.append(choice.log_prob(action))
            state, reward, done = game.step(int(action))
            rewards.append(reward)
        returns = _returns(rewards)
        baseline = 0.9 * baseline + 0.1 * returns.mean()
        returns = (returns - baseline) / 10
        loss = -(torch.cat(logs) * returns).sum()
        if watch.fault == "wrong_sign":
            loss = -loss
        optimizer.zero_grad()
        if watch.fault != "no_backward":
            loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), watch.gradient_clip)
        optimizer.step()
        sitter.step(loss)
        lengths.append(len(rewards))
    sitter.after()
    return sum(lengths[-20:]) / 20 / LONGEST


class ActorCritic(nn.Module):
    """Shares (1, 2) of actions and the value (1, 1) of a state."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(2, 48), nn.Linear(48, 2), nn.Linear(48, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.body(state))
        return F.softmax(self.actor(hidden), dim=-1), self.critic(hidden)


@loop("reinforcement", target=0.8, lr=0.02, faults=[fault("no_step"), fault("lr_too_high", lr=5.0)])
def actor_critic(watch: Watch) -> float:
    """Policy and value in one network (pytorch/examples)."""
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    game = Balance()
    sitter = watch(model, optimizer, task="reinforcement", steps_per_epoch=120)
    lengths = []
    for _ in range(120):
        state, saved, rewards, done = game.reset(), [], [], False
        while not done:
            shares, value = model(state.unsqueeze(0))
            choice = Categorical(shares.nan_to_num(0.5))
            action = choice.sample()
            saved.append((choice.log_prob(action), value[0, 0]))
            state, reward, done = game.step(int(action))
            rewards.append(reward)
        returns = _returns(rewards) / 10
        logs, values = torch.cat([log for log, _ in saved]), torch.stack([value for _, value in saved])
        loss = -(logs * (returns - values.detach())).sum() + F.smooth_l1_loss(
            values, returns, reduction="sum"
        )
        optimizer.zero_grad()
        loss.backward()
        if watch.fault != "no_step":
            optimizer.step()
        sitter.step(loss)
        lengths.append(len(rewards))
    sitter.after()
    return sum(lengths[-20:]) / 20 / LONGEST
