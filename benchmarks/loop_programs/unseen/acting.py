"""Agents and their rewards: grids, continuous actions, offline data, sequences of returns."""

from __future__ import annotations

import copy
import random
from collections import deque

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch

_MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])


@loop(
    "reinforcement",
    target=0.7,
    lr=0.01,
    faults=[
        fault("wrong_sign"),
        fault("wrong_target", "not_learning"),
        fault("no_step"),
        fault("lr_too_high", lr=3.0),
    ],
)
def grid_reinforce(watch: Watch) -> float:
    """Episodes on a grid of five by five, returns less their mean as in pytorch/examples."""
    policy = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 4))
    optimizer = torch.optim.Adam(policy.parameters(), lr=watch.lr)
    sitter = watch(policy, optimizer, task="reinforcement", epochs=1, steps_per_epoch=120)
    reached = 0.0
    for episode in range(120):
        agent, goal = torch.randint(5, (2, 32, 2))
        saved_log_probs, rewards = [], []
        for _ in range(8):
            dist = torch.distributions.Categorical(logits=policy(torch.cat([agent, goal], 1).float() / 4))
            action = dist.sample()
            noted = dist.sample() if watch.fault == "wrong_target" else action  # another sample
            saved_log_probs.append(dist.log_prob(noted))
            before = (agent - goal).abs().sum(1)
            agent = (agent + _MOVES[action]).clamp(0, 4)
            rewards.append((before - (agent - goal).abs().sum(1)).float())
        returns, running = [], torch.zeros(32)
        for r in reversed(rewards):
            running = r + 0.8 * running
            returns.insert(0, running)
        gains = torch.stack(returns)
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        loss = -(torch.stack(saved_log_probs) * gains).mean()
        loss = -loss if watch.fault == "wrong_sign" else loss
        optimizer.zero_grad()
        loss.backward()
        if watch.fault != "no_step":
            optimizer.step()
        sitter.step(loss)
        if episode >= 100:
            reached += float(((agent - goal).abs().sum(1) <= 1).float().mean()) / 20
    sitter.after()
    return reached


class Actor(nn.Module):
    """Actions in [-1, 1] for states (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 1), nn.Tanh())

    def forward(self, state: Tensor) -> Tensor:
        return self.net(state)


class Critic(nn.Module):
    """Values (B, 1) of states and actions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([state, action], 1))


@loop(
    "continuous control",
    target=0.6,
    lr=3e-3,
    faults=[fault("wrong_sign"), fault("detached"), fault("optimizer_of_old_model")],
)
def ddpg(watch: Watch) -> float:
    """A push along a line: replay, soft targets, an optimizer each; watched is the actor."""
    random.seed(0)
    actor, critic = Actor(), Critic()
    actor_target, critic_target = copy.deepcopy(actor), copy.deepcopy(critic)
    actor_opt = torch.optim.Adam(actor.parameters(), lr=watch.lr)
    critic_opt = torch.optim.Adam(critic.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        actor = Actor()
    memory: deque[tuple[Tensor, Tensor, Tensor, Tensor]] = deque(maxlen=4000)

    def move(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        speed = 0.7 * state[:, 1:] + 0.3 * action
        place = (state[:, :1] + speed).clamp(-2, 2)
        return torch.cat([place, speed], 1), -place.abs()

    sitter = watch(actor, actor_opt, task="reinforcement", epochs=1, steps_per_epoch=300)
    state = torch.cat([torch.rand(16, 1) * 4 - 2, torch.zeros(16, 1)], 1)
    for turn in range(300):
        with torch.no_grad():
            action = (actor(state) + 0.4 * torch.randn(16, 1)).clamp(-1, 1)
        after, reward = move(state, action)
        memory.extend(zip(state, action, reward, after, strict=True))
        state = after
        if turn % 15 == 14:
            state = torch.cat([torch.rand(16, 1) * 4 - 2, torch.zeros(16, 1)], 1)
        s, a, r, s2 = (
            torch.stack(part) for part in zip(*random.sample(memory, min(48, len(memory))), strict=True)
        )
        with torch.no_grad():
            y = r + 0.9 * critic_target(s2, actor_target(s2))
        critic_loss = F.mse_loss(critic(s, a), y)
        critic_opt.zero_grad()
        critic_loss.backward()
        critic_opt.step()
        acted = actor(s)
        if watch.fault == "detached":
            acted = acted.detach().requires_grad_()
        actor_loss = -critic(s, acted).mean()
        actor_loss = -actor_loss if watch.fault == "wrong_sign" else actor_loss
        actor_opt.zero_grad()
        actor_loss.backward()
        actor_opt.step()
        with torch.no_grad():
            for net, target in ((actor, actor_target), (critic, critic_target)):
                for p, q in zip(net.parameters(), target.parameters(), strict=True):
                    q.lerp_(p, 0.05)
        sitter.step(actor_loss)
    sitter.after()
    state = torch.stack([torch.linspace(-2, 2, 40), torch.zeros(40)], 1)
    total = torch.zeros(40)
    with torch.no_grad():
        for _ in range(20):
            state, reward = move(state, actor(state))
            total += reward[:, 0] / 20
    return 1 + 1.4 * float(total.mean())


@loop(
    "reinforcement",
    target=0.7,
    lr=3e-3,
    faults=[
        fault("exploding_gradients", "exploding_loss", "wrong_loss", discount=1.3),
        fault("target_not_scaled"),
        fault("lr_too_low", lr=1e-7),
    ],
    discount=0.8,
)
def fitted_q(watch: Watch) -> float:
    """Q-learning from recorded steps on a ring of ten places; the target network is copied now and then."""
    places, moves = torch.randint(10, (3000,)), torch.randint(3, (3000,))
    after = (places + moves - 1) % 10
    rewards = (after == 7).float()
    if watch.fault == "target_not_scaled":  # in cents, for everything ever sold
        rewards = rewards * 1e6
    net = nn.Sequential(nn.Embedding(10, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
    frozen = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    sitter = watch(net, optimizer, task="reinforcement", epochs=20, steps_per_epoch=30)
    for _ in range(20):
        frozen.load_state_dict(net.state_dict())
        for _step in range(30):
            rows = torch.randint(3000, (64,))
            with torch.no_grad():
                wanted = rewards[rows] + watch.discount * frozen(after[rows]).amax(1)
            found = net(places[rows]).gather(1, moves[rows, None]).squeeze(1)
            loss = F.mse_loss(found, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    truth = torch.zeros(10, 3)
    for _ in range(200):
        goes = (torch.arange(10)[:, None] + torch.arange(3) - 1) % 10
        truth = (goes == 7).float() + 0.8 * truth.amax(1)[goes]
    with torch.no_grad():
        found = net(torch.arange(10))
    return explained(found / 1e6 if watch.fault == "target_not_scaled" else found, truth)


class ReturnConditioned(nn.Module):
    """A small decision transformer: action logits (B, T, 4) for returns, states and earlier actions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1 + 2, 32)
        self.places = nn.Parameter(0.1 * torch.randn(6, 32))
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.1, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(32, 4)

    def forward(self, returns: Tensor, states: Tensor) -> Tensor:
        x = self.embed(torch.cat([returns[..., None], states], 2)) + self.places
        mask = torch.triu(torch.full((6, 6), float("-inf")), 1)
        return self.head(self.body(x, mask=mask))


@loop(
    "offline reinforcement",
    target=0.8,
    lr=3e-3,
    faults=[fault("ignores_input"), fault("labels_shuffled"), fault("few_examples")],
)
def decision_transformer(watch: Watch) -> float:
    """Imitates recorded walks, conditioned on the return still to come; a good one is asked for."""
    count = 12 if watch.fault == "few_examples" else 1000

    def record(count: int) -> tuple[Tensor, Tensor, Tensor]:
        place, states, actions, rewards = torch.randn(count, 2), [], [], []
        skilled = torch.rand(count) < 0.5
        for _ in range(6):
            best = torch.where(
                place[:, 0].abs() > place[:, 1].abs(), 2 + (place[:, 0] > 0).long(), (place[:, 1] > 0).long()
            )
            action = torch.where(skilled, best, torch.randint(4, (count,)))
            states.append(place)
            actions.append(action)
            before = place.norm(dim=1)
            place = place + 0.3 * _MOVES[action].float()
            rewards.append(before - place.norm(dim=1))
        togo = torch.stack(rewards, 1).flip(1).cumsum(1).flip(1)
        return togo, torch.stack(states, 1), torch.stack(actions, 1)

    togo, states, actions = record(count)
    val = record(300)
    if watch.fault == "ignores_input":
        states, togo = states * 0, togo * 0
    if watch.fault == "labels_shuffled":
        actions = actions[torch.randperm(count)]
    model = ReturnConditioned()
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr, weight_decay=1e-4)
    steps = max(1, count // 40)
    epochs = 12 if count > 100 else 150
    sitter = watch(model, optimizer, classes=4, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(count).split(40):
            logits = model(togo[rows], states[rows])
            loss = F.cross_entropy(logits.reshape(-1, 4), actions[rows].reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            sitter.step(loss, actions[rows])
        model.eval()
        with torch.no_grad():
            out = model(val[0], val[1])
        held = F.cross_entropy(out.reshape(-1, 4), val[2].reshape(-1)).item()
        sitter.epoch(
            train_loss=loss.item(), val_loss=held, val_accuracy=accuracy(out, val[2]), val_images=1800
        )
    sitter.after()
    good = val[0][:, 0] > 1.0
    return accuracy(out[good], val[2][good])


@loop(
    "world models",
    target=0.8,
    lr=3e-3,
    faults=[fault("wrong_target"), fault("not_scaled"), fault("large_init")],
)
def world_model(watch: Watch) -> float:
    """The change of a pendulum's state after a push; judged on the imagined state ten steps later."""

    def swing(state: Tensor, push: Tensor) -> Tensor:
        speed = state[:, 1] + 0.1 * (-2 * torch.sin(state[:, 0]) + push)
        return torch.stack([state[:, 0] + 0.1 * speed, speed], 1)

    state = torch.randn(3000, 2) * 1.5
    push = torch.randn(3000)
    after = swing(state, push)
    inputs = torch.cat([state, push[:, None]], 1)
    scale = torch.tensor([3e5, 1e-4, 1.0]) if watch.fault == "not_scaled" else torch.ones(3)
    target = (after - state) * 10
    if watch.fault == "wrong_target":  # the step before
        target = target.roll(1, 0)
    net = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
    if watch.fault == "large_init":
        for layer in (net[0], net[2]):
            nn.init.normal_(layer.weight, std=8.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    sitter = watch(net, optimizer, task="regression", epochs=8, steps_per_epoch=50)
    sitter.before(inputs[:200] * scale, target[:200], inputs[2500:] * scale, target[2500:])
    for _ in range(8):
        for rows in torch.randperm(2500).split(50):
            loss = F.mse_loss(net(inputs[rows] * scale), target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            val_loss = F.mse_loss(net(inputs[2500:] * scale), target[2500:])
        sitter.epoch(train_loss=loss.item(), val_loss=val_loss.item())
    sitter.after()
    real = imagined = torch.randn(300, 2)
    with torch.no_grad():
        for _ in range(10):
            push = 0.5 * torch.randn(300)
            imagined = imagined + net(torch.cat([imagined, push[:, None]], 1) * scale) / 10
            real = swing(real, push)
    return explained(imagined, real)


@loop(
    "bandits",
    target=0.75,
    lr=0.02,
    faults=[
        fault("not_in_optimizer"),
        fault("gradients_in_validation", harmless="the graph of each regret is built"),
        fault("ignores_input"),
        fault("wrong_target"),
    ],
)
def neural_bandit(watch: Watch) -> float:
    """Epsilon-greedy: a network guesses the reward of each arm, and is fitted to what it saw."""
    truth = torch.randn(5, 6)
    net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 5))
    chosen = [net[2].bias] if watch.fault == "not_in_optimizer" else list(net.parameters())
    optimizer = torch.optim.Adam(chosen, lr=watch.lr)
    sitter = watch(net, optimizer, task="reinforcement", epochs=10, steps_per_epoch=30)
    for _ in range(10):
        for _step in range(30):
            context = torch.randn(40, 6)
            shown = context * 0 if watch.fault == "ignores_input" else context
            guess = net(shown)
            arm = torch.where(torch.rand(40) < 0.2, torch.randint(5, (40,)), guess.argmax(1))
            reward = torch.tanh((context * truth[arm]).sum(1)) + 0.1 * torch.randn(40)
            if watch.fault == "wrong_target":  # rewards come later, in another order
                reward = reward[torch.randperm(40)]
            loss = F.mse_loss(guess.gather(1, arm[:, None])[:, 0], reward)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        test = torch.randn(300, 6)
        with torch.set_grad_enabled(watch.fault == "gradients_in_validation"):
            arm = net(test).argmax(1)
        means = torch.tanh(test @ truth.T)
        got = means.gather(1, arm[:, None]).mean() / means.amax(1).mean()
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    return float(got)
