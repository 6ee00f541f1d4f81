"""Preferences, policies and imitation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class RewardModel(nn.Module):
    """A score (B,) of an answer: token ids (B, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.gru = nn.Embedding(20, 16), nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, answers: Tensor) -> Tensor:
        return self.head(self.gru(self.tokens(answers))[0].mean(1)).squeeze(-1)


@loop(
    "preferences",
    target=0.85,
    lr=5e-3,
    faults=[
        fault("wrong_sign"),
        fault("no_zero_grad", harmless="Adam copes with it"),
        fault("labels_shuffled"),
        fault("clipped_to_nothing"),
        fault("same_batch"),
    ],
)
def reward_model(watch: Watch) -> float:
    """Which of two answers do people prefer (Bradley and Terry, as for RLHF)."""
    worth = torch.randn(20)
    first, second = torch.randint(20, (2, 1500, 8))
    better = worth[first].sum(1) > worth[second].sum(1)
    if watch.fault == "labels_shuffled":
        better = torch.cat([better[torch.randperm(1200)], better[1200:]])
    chosen = torch.where(better[:, None], first, second)
    rejected = torch.where(better[:, None], second, first)
    model = RewardModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=6, steps_per_epoch=30)
    for _ in range(6):
        model.train()
        order, total = torch.randperm(1200), 0.0
        for step in range(30):
            rows = order[step * 40 : step * 40 + 40] if watch.fault != "same_batch" else torch.arange(40)
            margin = model(chosen[rows]) - model(rejected[rows])
            loss = -F.logsigmoid(-margin if watch.fault == "wrong_sign" else margin).mean()
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            if watch.fault == "clipped_to_nothing":
                nn.utils.clip_grad_value_(model.parameters(), 1e-12)
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 30
        model.eval()
        with torch.no_grad():
            right = (model(chosen[1200:]) > model(rejected[1200:])).float().mean().item()
        sitter.epoch(train_loss=total, val_accuracy=right, val_images=300)
    sitter.after()
    return right


@loop(
    "preferences",
    target=0.75,
    lr=3e-3,
    faults=[fault("wrong_sign"), fault("optimizer_of_old_model"), fault("wrong_target")],
)
def dpo(watch: Watch) -> float:
    """Direct preference optimization of a policy against a frozen copy of itself."""
    wanted = torch.randint(8, (12,), generator=torch.Generator().manual_seed(1))
    policy = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 8))
    reference = copy.deepcopy(policy).requires_grad_(False)
    optimizer = torch.optim.Adam(policy.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        policy = copy.deepcopy(policy)
    sitter = watch(policy, optimizer, task="reinforcement", epochs=1, steps_per_epoch=300)
    for _ in range(300):
        topics = torch.randint(12, (32,))
        prompts = F.one_hot(topics, 12).float()
        pair = torch.stack([wanted[topics], (wanted[topics] + torch.randint(1, 8, (32,))) % 8], 1)
        if watch.fault == "wrong_target":  # which answer is the better one is lost
            pair = torch.where((torch.rand(32, 1) < 0.5), pair, pair.flip(1))
        new = policy(prompts).log_softmax(1).gather(1, pair)
        old = reference(prompts).log_softmax(1).gather(1, pair)
        margin = ((new - old) * torch.tensor([1.0, -1.0])).sum(1)
        loss = -F.logsigmoid(0.3 * (-margin if watch.fault == "wrong_sign" else margin)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    return accuracy(policy(torch.eye(12)), wanted)


class PolicyAndValue(nn.Module):
    """Logits of three moves and the value of a place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 32), nn.Tanh())
        self.policy, self.value = nn.Linear(32, 3), nn.Linear(32, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(state)
        return self.policy(hidden), self.value(hidden).squeeze(-1)


@loop(
    "reinforcement",
    target=0.45,
    lr=5e-3,
    faults=[fault("wrong_sign"), fault("lr_too_low", lr=1e-7), fault("no_step")],
)
def ppo(watch: Watch) -> float:
    """Walks on a line to a goal: clipped ratios, several passes over each batch of steps (CleanRL)."""
    agent = PolicyAndValue()
    optimizer = torch.optim.Adam(agent.parameters(), lr=watch.lr, eps=1e-5)
    sitter = watch(agent, optimizer, task="reinforcement", epochs=30, steps_per_epoch=8)
    earned = 0.0
    for _ in range(30):
        place, goal = torch.rand(32) * 4 - 2, torch.rand(32) * 4 - 2
        states, moves, logs, rewards, values = [], [], [], [], []
        for _ in range(12):
            state = torch.stack([place, goal], 1)
            with torch.no_grad():
                logits, value = agent(state)
            choice = torch.distributions.Categorical(logits=logits)
            move = choice.sample()
            before = (place - goal).abs()
            place = place + 0.4 * (move - 1)
            states.append(state)
            moves.append(move)
            logs.append(choice.log_prob(move))
            rewards.append(before - (place - goal).abs())
            values.append(value)
        earned = float(torch.stack(rewards).mean()) / 0.11  # of the most possible
        returns = torch.stack(rewards).flip(0).cumsum(0).flip(0)
        data = [torch.cat(part) for part in (states, moves, logs)]
        back, gain = returns.flatten(), (returns - torch.stack(values)).flatten()
        gain = (gain - gain.mean()) / (gain.std() + 1e-8)
        for rows in [rows for _ in range(2) for rows in torch.randperm(len(gain)).split(96)]:
            logits, value = agent(data[0][rows])
            choice = torch.distributions.Categorical(logits=logits)
            ratio = (choice.log_prob(data[1][rows]) - data[2][rows]).exp()
            best = torch.min(ratio * gain[rows], ratio.clamp(0.8, 1.2) * gain[rows]).mean()
            best = -best if watch.fault == "wrong_sign" else best
            loss = -best + 0.5 * F.mse_loss(value, back[rows]) - 0.01 * choice.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    return earned


class Imitator(nn.Module):
    """Two forces (B, 2) for a state (B, 6); ``listed`` keeps hidden layers in a list."""

    def __init__(self, listed: bool) -> None:
        super().__init__()
        hidden = [nn.Linear(6, 48), nn.Linear(48, 48)]
        for layer in hidden:
            nn.init.orthogonal_(layer.weight, 0.05 if listed else 1.4)
        self.hidden = hidden if listed else nn.ModuleList(hidden)
        self.out = nn.Linear(48, 2)

    def forward(self, state: Tensor) -> Tensor:
        for layer in self.hidden:
            state = layer(state).relu()
        return self.out(state)


@loop(
    "imitation",
    target=0.9,
    lr=3e-3,
    faults=[
        fault("not_registered"),
        fault("label_leak"),
        fault("lr_too_high", lr=5.0),
        fault("few_examples"),
        fault("wrong_target"),
    ],
)
def behavior_cloning(watch: Watch) -> float:
    """Imitates an expert's forces; demonstrations are lists of dictionaries."""
    demos = []
    for _ in range(40):
        state = torch.randn(30, 6)
        force = torch.stack([torch.tanh(2 * state[:, 0] - state[:, 3]), state[:, 1] * state[:, 2].sign()], 1)
        demos.append({"state": state, "action": force + 0.05 * torch.randn(30, 2)})
    held = {name: torch.cat([demo[name] for demo in demos[32:]]) for name in demos[0]}
    if watch.fault == "few_examples":
        demos = [{name: part[:12] for name, part in demo.items()} for demo in demos[:2]]
    if watch.fault == "label_leak":  # the last speed was written after the action
        for demo in demos:
            demo["state"][:, 4:] = demo["action"]
    if watch.fault == "wrong_target":  # actions of the time before
        for demo in demos:
            demo["action"] = demo["action"].roll(1, 0)
    data = {name: torch.cat([demo[name] for demo in demos[:32]]) for name in demos[0]}
    count = len(data["state"])
    policy = Imitator(watch.fault == "not_registered")
    optimizer = torch.optim.AdamW(policy.parameters(), lr=watch.lr)
    sitter = watch(policy, optimizer, task="regression", epochs=25, steps_per_epoch=count // 24)
    sitter.before(data["state"][:200], data["action"][:200], held["state"], held["action"])
    for _ in range(25):
        total = 0.0
        for rows in torch.randperm(count).split(24):
            loss = F.mse_loss(policy(data["state"][rows]), data["action"][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() * len(rows) / count
        with torch.no_grad():
            found = policy(held["state"])
        sitter.epoch(train_loss=total, val_loss=F.mse_loss(found, held["action"]).item())
    sitter.after()
    return explained(found, held["action"])
