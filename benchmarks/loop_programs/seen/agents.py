"""Graphs, values, bandits, loops within loops."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class GCN(nn.Module):
    """Log probabilities (n, 4) of the nodes of one graph (Kipf and Welling)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 24), nn.Linear(24, 4)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        x = F.dropout(F.relu(adjacency @ self.first(x)), 0.3, self.training)
        return F.log_softmax(adjacency @ self.second(x), dim=1)


@loop(
    "graphs",
    target=0.8,
    lr=0.02,
    faults=[
        fault("labels_shuffled"),
        fault("no_zero_grad", lr=0.5),
        fault("label_leak", harmless="the labels of all nodes are among the features"),
        fault("weight_decay_too_high", weight_decay=5.0),
    ],
    weight_decay=5e-4,
)
def graph_nodes(watch: Watch) -> float:
    """Semi-supervised: classes of nodes, few of them known, the whole graph in each step."""
    labels = torch.arange(240) % 4
    chance = torch.where(labels[:, None] == labels[None, :], 0.08, 0.01)
    links = (torch.rand(240, 240) < chance).float()
    links = ((links + links.T + torch.eye(240)) > 0).float()
    degree = links.sum(1).rsqrt()
    adjacency = degree[:, None] * links * degree[None, :]
    x = torch.randn(240, 16) + 0.7 * torch.randn(4, 16)[labels]
    if watch.fault == "label_leak":
        x[:, :4] = 5 * F.one_hot(labels, 4).float()
    known, val, test = torch.arange(60), torch.arange(60, 120), torch.arange(120, 240)
    answers = labels[known]
    if watch.fault == "labels_shuffled":
        answers = answers[torch.randperm(60)]
    model = GCN()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    sitter = watch(model, optimizer, classes=4, epochs=100, steps_per_epoch=1)
    for _ in range(100):
        model.train()
        loss = F.nll_loss(model(x, adjacency)[known], answers)
        if watch.fault != "no_zero_grad":
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, answers)
        model.eval()
        with torch.no_grad():
            out = model(x, adjacency)
        right = accuracy(out[val], labels[val])
        sitter.epoch(val_loss=F.nll_loss(out[val], labels[val]).item(), val_accuracy=right, val_images=60)
    sitter.after()
    return accuracy(out[test], labels[test])


@loop(
    "reinforcement",
    target=0.8,
    lr=3e-3,
    faults=[
        fault("wrong_sign"),
        fault("no_step"),
        fault("not_in_optimizer"),
    ],
)
def dqn(watch: Watch) -> float:
    """Q-learning on a corridor of 12 fields with a replay memory and a target network (DQN tutorial)."""
    goal = 11
    network = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 2))
    target = copy.deepcopy(network)
    trained = target.parameters() if watch.fault == "not_in_optimizer" else network.parameters()
    optimizer = torch.optim.AdamW(trained, lr=watch.lr)
    sitter = watch(network, optimizer, task="reinforcement", steps_per_epoch=500)
    memory: list[tuple[int, int, float, int]] = []
    place = 0
    for step in range(500):
        explore = torch.rand(()) < max(0.1, 1 - step / 250)
        with torch.no_grad():
            best = int(network(F.one_hot(torch.tensor(place), 12).float()).argmax())
        action = int(torch.randint(2, ())) if explore else best
        following = min(max(place + 2 * action - 1, 0), goal)
        memory.append((place, action, float(following == goal), following))
        place = int(torch.randint(11, ())) if following == goal or step % 30 == 0 else following
        rows = torch.randint(len(memory), (32,)).tolist()
        states, actions, rewards, nexts = (
            torch.tensor(part) for part in zip(*(memory[r] for r in rows), strict=True)
        )
        with torch.no_grad():
            future = target(F.one_hot(nexts, 12).float()).amax(1) * (nexts != goal)
            if watch.fault == "wrong_sign":
                rewards = -rewards
            wanted = rewards + 0.9 * future
        value = network(F.one_hot(states, 12).float()).gather(1, actions[:, None])
        loss = F.smooth_l1_loss(value, wanted[:, None])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(network.parameters(), 100)
        if watch.fault != "no_step":
            optimizer.step()
        if step % 10 == 0:
            target.load_state_dict(network.state_dict())
        sitter.step(loss)
    sitter.after()
    with torch.no_grad():
        return float((network(torch.eye(12))[:11].argmax(1) == 1).float().mean())


@loop(
    "reinforcement",
    target=0.8,
    lr=0.02,
    faults=[fault("wrong_sign"), fault("lr_too_low", lr=1e-7), fault("detached", raises=True)],
)
def bandit(watch: Watch) -> float:
    """A contextual bandit by policy gradient with an entropy bonus; the loss does not measure success."""
    worth = torch.randn(6, 4)
    policy = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(policy.parameters(), lr=watch.lr)
    sitter = watch(policy, optimizer, task="reinforcement", epochs=6, steps_per_epoch=50)
    for _ in range(6):
        gained = 0.0
        for _ in range(50):
            context = torch.randn(64, 6)
            choice = torch.distributions.Categorical(logits=policy(context))
            action = choice.sample()
            reward = (context @ worth).gather(1, action[:, None]).squeeze(1) + torch.randn(64)
            logs = choice.log_prob(action)
            if watch.fault == "detached":
                logs = logs.detach()
            sign = -1 if watch.fault == "wrong_sign" else 1
            loss = -sign * (logs * (reward - reward.mean())).mean()
            if watch.fault != "detached":
                loss = loss - 0.01 * choice.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            gained += reward.mean().item()
        sitter.epoch()
    sitter.after()
    context = torch.randn(1000, 6)
    gains = context @ worth
    with torch.no_grad():
        chosen = gains.gather(1, policy(context).argmax(1, keepdim=True))
    return float((chosen.mean() - gains.mean()) / (gains.amax(1).mean() - gains.mean()))


@loop("loops within loops", target=0.75, lr=5e-3, faults=[fault("no_step"), fault("lr_too_high", lr=10.0)])
def maml(watch: Watch) -> float:
    """Learns weights from which a sine is learned in three steps (MAML, torch.func)."""
    model = nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", steps_per_epoch=150)

    def adapted(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        weights = dict(model.named_parameters())
        for _ in range(3):
            inner = F.mse_loss(torch.func.functional_call(model, weights, (x,)), y)
            gradients = torch.autograd.grad(inner, list(weights.values()), create_graph=True)
            weights = {n: w - 0.05 * g for (n, w), g in zip(weights.items(), gradients, strict=True)}
        return weights

    def wave() -> tuple[Tensor, Tensor]:
        x = 6 * torch.rand(30, 1) - 3
        return x, torch.sin(x) * (0.5 + 1.5 * torch.rand(()))

    scores = []
    for step in range(150):
        losses = []
        for _ in range(3):
            x, y = wave()
            out = torch.func.functional_call(model, adapted(x[:15], y[:15]), (x[15:],))
            losses.append(F.mse_loss(out, y[15:]))
            if step >= 140:
                scores.append(explained(out, y[15:]))
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        if watch.fault != "no_step":
            optimizer.step()
        sitter.step(loss)
    sitter.after()
    return sum(scores) / len(scores)


class Equilibrium(nn.Module):
    """A layer applied until nothing changes; gradients through the last step only."""

    def __init__(self, attached: bool) -> None:
        super().__init__()
        self.inward, self.around, self.head = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 5)
        self.around.weight.data.mul_(0.5)
        self.attached = attached

    def forward(self, x: Tensor) -> Tensor:
        z = torch.zeros(len(x), 32)
        with torch.no_grad():
            for _ in range(15):
                z = torch.tanh(self.inward(x) + self.around(z))
        if self.attached:
            z = torch.tanh(self.inward(x) + self.around(z))
        return self.head(z)


@loop("equilibrium", target=0.75, lr=0.01, faults=[fault("detached"), fault("softmax_twice")])
def equilibrium(watch: Watch) -> float:
    """A deep equilibrium model: most of the forward pass is under no_grad, and meant to be."""

    def draw(count: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(count, 8)
        return x, ((x[:, 0] * x[:, 1] > 0).long() + 2 * (x[:, 2].abs() > 0.7).long())

    x, y = draw(2000)
    val_x, val_y = draw(400)
    model = Equilibrium(attached=watch.fault != "detached")
    if watch.fault == "softmax_twice":
        model.head = nn.Sequential(model.head, nn.Softmax(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=5, epochs=8, steps_per_epoch=40, loss_function=F.cross_entropy)
    sitter.before(x[:200], y[:200], val_x[:200], val_y[:200])
    for _ in range(8):
        for rows in torch.randperm(2000).split(50):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            logits = model(val_x)
        val = accuracy(logits, val_y)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_y).item(), val_accuracy=val, val_images=400)
    sitter.after()
    return min(val, 1.4 - F.cross_entropy(logits, val_y).item())
