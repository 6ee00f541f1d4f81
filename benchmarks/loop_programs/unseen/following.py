"""Learning on, from others, from little: replay, pools, pseudo-labels, clients, experts, prompts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside, outside in pairwise(sizes):
        layers += [nn.Linear(inside, outside), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@loop(
    "continual learning",
    target=0.7,
    lr=5e-3,
    faults=[fault("not_shuffled"), fault("labels_shuffled"), fault("lr_too_low", lr=1e-7)],
)
def replay(watch: Watch) -> float:
    """Four tasks of two classes one after another; each batch has half from a memory of earlier ones."""
    x, y = drawn.clusters(2000, 8, 12, spread=1.5)
    val_x, val_y = drawn.clusters(400, 8, 12, seed=1, spread=1.5)
    if watch.fault == "labels_shuffled":
        y = y[torch.randperm(2000)]
    net = _mlp(12, 64, 8)
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    sitter = watch(net, optimizer, classes=8, epochs=8, steps_per_epoch=20)
    memory_x, memory_y = x[:0], y[:0]
    for task in range(4):
        own = ((y // 2) == task).nonzero()[:, 0]
        for _ in range(2):
            for _step in range(20):
                rows = own[torch.randint(len(own), (20,))]
                bx, by = x[rows], y[rows]
                if len(memory_y) and watch.fault != "not_shuffled":  # the memory was forgotten
                    old = torch.randint(len(memory_y), (20 * task,))
                    bx, by = torch.cat([bx, memory_x[old]]), torch.cat([by, memory_y[old]])
                loss = F.cross_entropy(net(bx), by)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                sitter.step(loss, by)
            known = val_y // 2 <= task
            with torch.no_grad():
                val = accuracy(net(val_x[known]), val_y[known])
            sitter.epoch(train_loss=loss.item(), val_accuracy=val, val_images=int(known.sum()))
        kept = own[torch.randperm(len(own))[:60]]
        memory_x, memory_y = torch.cat([memory_x, x[kept]]), torch.cat([memory_y, y[kept]])
    sitter.after()
    return val


@loop(
    "active learning",
    target=0.75,
    lr=0.01,
    faults=[
        fault("optimizer_of_old_model"),
        fault("labels_out_of_range", raises=True),
        fault("wrong_target"),
    ],
)
def uncertain_first(watch: Watch) -> float:
    """Asks for the labels of the rows it is least sure of, five rounds, and trains on all it has."""
    x, y = drawn.clusters(1500, 5, 10, spread=1.6)
    answers = y[:1000].clone()
    if watch.fault == "labels_out_of_range":  # "do not know" is -1
        answers[torch.rand(1000) < 0.2] = -1
    if watch.fault == "wrong_target":  # position in the pool taken for the position in the table
        answers = answers.roll(1)
    labeled = torch.randperm(1000)[:60].tolist()
    net = _mlp(10, 48, 5)
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":  # "start afresh"
        net = _mlp(10, 48, 5)
    sitter = watch(net, optimizer, classes=5, epochs=5, steps_per_epoch=30)
    for _ in range(5):
        pool = torch.tensor(labeled)
        for _step in range(30):
            rows = pool[torch.randint(len(pool), (32,))]
            loss = F.cross_entropy(net(x[rows]), answers[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers[rows])
        with torch.no_grad():
            chance = net(x[:1000]).softmax(1).amax(1)
            logits = net(x[1000:])
        chance[pool] = 2
        labeled += chance.argsort()[:40].tolist()
        val = accuracy(logits, y[1000:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[1000:]).item(), val_accuracy=val, val_images=500)
    sitter.after()
    return val


@loop(
    "semi-supervised",
    target=0.8,
    lr=0.01,
    faults=[
        fault("wrong_sign"),
        fault("validates_in_training_mode", harmless="dropout blurs what is measured"),
        fault("no_backward"),
    ],
    dropout=0.5,
)
def fix_match(watch: Watch) -> float:
    """Weak views make labels for strong views where the network is sure (FixMatch)."""
    x, y = drawn.clusters(1600, 4, 12, spread=1.4)
    known, unknown, val = torch.arange(40), torch.arange(40, 1200), torch.arange(1200, 1600)
    net = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(watch.dropout), nn.Linear(64, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=watch.lr, momentum=0.9, nesterov=True)
    sitter = watch(net, optimizer, classes=4, epochs=6, steps_per_epoch=30)
    for _ in range(6):
        net.train()
        for _step in range(30):
            rows, more = known[torch.randint(40, (16,))], unknown[torch.randint(1160, (64,))]
            supervised = F.cross_entropy(net(x[rows] + 0.1 * torch.randn(16, 12)), y[rows])
            with torch.no_grad():
                sure, guess = net(x[more] + 0.1 * torch.randn(64, 12)).softmax(1).max(1)
            strong = net(x[more] + 0.5 * torch.randn(64, 12))
            pseudo = (F.cross_entropy(strong, guess, reduction="none") * (sure > 0.9)).mean()
            loss = supervised + pseudo
            loss = -loss if watch.fault == "wrong_sign" else loss
            optimizer.zero_grad()
            if watch.fault != "no_backward":
                loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        if watch.fault != "validates_in_training_mode":
            net.eval()
        with torch.no_grad():
            logits = net(x[val])
        right = accuracy(logits, y[val])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[val]).item(), val_accuracy=right, val_images=400)
    sitter.after()
    return right


@loop(
    "several clients",
    target=0.75,
    lr=0.1,
    faults=[fault("no_step"), fault("lr_too_low", lr=1e-7), fault("validation_differs")],
)
def federated(watch: Watch) -> float:
    """FedAvg: each client trains a copy for some steps, the server takes the mean of the weights."""
    x, y = drawn.clusters(1600, 6, 10, spread=1.5)
    val_x = x[1200:]
    if watch.fault == "validation_differs":  # the server scales by what it knows
        val_x = val_x * 40 + 300
    server = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 6))
    sitter = watch(server, None, classes=6, epochs=8, steps_per_epoch=4)
    sitter.before(x[:200], y[:200], val_x, y[1200:])
    clients = torch.randperm(1200).split(300)
    for _ in range(8):
        states = []
        for client in clients:
            local = copy.deepcopy(server)
            opt = torch.optim.SGD(local.parameters(), lr=watch.lr)
            for rows in client[torch.randperm(300)].split(30):
                loss = F.cross_entropy(local(x[rows]), y[rows])
                opt.zero_grad()
                loss.backward()
                opt.step()
            states.append(local.state_dict())
            sitter.step(loss, y[rows])
        mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
        if watch.fault == "no_step":  # aggregated, and never loaded
            copy.deepcopy(server).load_state_dict(mean)
        else:
            server.load_state_dict(mean)
        with torch.no_grad():
            logits = server(val_x)
        val = accuracy(logits, y[1200:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[1200:]).item(), val_accuracy=val, val_images=400)
    sitter.after()
    return val


class Switch(nn.Module):
    """Each row goes to one expert; the output and the share of rows of each expert."""

    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.router, self.gated = nn.Linear(8, 4), gated
        self.experts = nn.ModuleList(_mlp(8, 16, 1) for _ in range(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        chance = self.router(x).softmax(1)
        gate, chosen = chance.max(1)
        out = torch.stack([expert(x)[:, 0] for expert in self.experts], 1)
        picked = out.gather(1, chosen[:, None])[:, 0]
        balance = 4 * (F.one_hot(chosen, 4).float().mean(0) * chance.mean(0)).sum()
        return picked * (gate if self.gated else 1.0), balance


@loop(
    "experts",
    target=0.6,
    lr=0.01,
    faults=[fault("penalty_too_heavy", penalty=5.0), fault("lr_too_high", lr=5.0), fault("broadcast")],
    penalty=0.0,
)
def switch_experts(watch: Watch) -> float:
    """Top-1 routing with a loss that keeps experts equally busy (Switch Transformer)."""
    x = torch.randn(2000, 8)
    region = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    slopes = torch.randn(4, 8)
    y = (slopes[region] * x).sum(1) / 2.8
    model = Switch(gated=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=20, steps_per_epoch=32)
    for _ in range(20):
        for rows in torch.randperm(1600).split(50):
            found, balance = model(x[rows])
            wanted = y[rows, None] if watch.fault == "broadcast" else y[rows]
            loss = F.mse_loss(found, wanted) + 0.01 * balance + watch.penalty * found.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            found, _ = model(x[1600:])
        error = F.mse_loss(found, y[1600:]).item()
        sitter.epoch(train_loss=loss.item(), val_loss=error)
    sitter.after()
    return 1 - error / y[1600:].var().item()


@loop(
    "prompts",
    target=0.75,
    lr=0.05,
    faults=[fault("not_in_optimizer"), fault("no_zero_grad"), fault("frozen"), fault("labels_shuffled")],
)
def prompt_tuning(watch: Watch) -> float:
    """A frozen encoder of tokens; vectors put before the text, and a head, are trained."""
    embed = nn.Embedding(20, 24).requires_grad_(False)
    layer = nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).requires_grad_(False)
    text = torch.randint(20, (1200, 8))
    label = ((text < 7).sum(1) > 2).long()
    y = label.clone()
    if watch.fault == "labels_shuffled":
        y[:1000] = y[torch.randperm(1000)]
    with torch.no_grad():
        embed.weight[:7] += 0.6
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(24, 2)})
    model.register_parameter("prompt", nn.Parameter(0.5 * torch.randn(4, 24)))
    if watch.fault == "frozen":  # after the head was added
        model.requires_grad_(False)
        model.prompt.requires_grad_(True)
        nn.init.normal_(model["head"].weight, std=1e-3)
    trained = [p for p in model.parameters() if p.requires_grad]
    if watch.fault == "not_in_optimizer":
        trained = [model["head"].bias]
    optimizer = torch.optim.SGD(trained, lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=2, epochs=10, steps_per_epoch=25)

    def run(rows: Tensor) -> Tensor:
        prompt = model.prompt.expand(len(rows), 4, 24)
        return model["head"](encoder(torch.cat([prompt, embed(text[rows])], 1))[:, 4:].mean(1))

    for _ in range(10):
        for rows in torch.randperm(1000).split(40):
            loss = F.cross_entropy(run(rows), y[rows])
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            out = run(torch.arange(1000, 1200))
        val = accuracy(out, label[1000:])
        sitter.epoch(val_loss=F.cross_entropy(out, label[1000:]).item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val


@dataclass
class TrainingArguments:
    """As in transformers."""

    num_train_epochs: int = 4
    per_device_train_batch_size: int = 10
    gradient_accumulation_steps: int = 4
    warmup_ratio: float = 0.1
    max_grad_norm: float = 1.0


@loop(
    "accumulation",
    target=0.75,
    lr=0.02,
    faults=[
        fault("no_zero_grad", harmless="clipping hides that gradients add up"),
        fault("clipped_to_nothing"),
        fault("schedule_to_zero"),
    ],
)
def hugging_loop(watch: Watch) -> float:
    """Micro-batches, warm-up, a linear schedule and clipping, as in examples without a trainer."""
    args = TrainingArguments(max_grad_norm=1e-9 if watch.fault == "clipped_to_nothing" else 1.0)
    x, y = drawn.clusters(1600, 6, 16, spread=2.0)
    model = _mlp(16, 64, 64, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr * 5, momentum=0.9)
    updates = 1200 // 40 * args.num_train_epochs
    warm = int(args.warmup_ratio * updates)

    def schedule(step: int) -> float:
        if watch.fault == "schedule_to_zero":
            return 0.0 if step > 2 else step // updates  # integers
        return min(1.0, step / warm) * (1 - step / (updates + 1))

    lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    sitter = watch(model, optimizer, classes=6, epochs=args.num_train_epochs, steps_per_epoch=120)
    for _ in range(args.num_train_epochs):
        model.train()
        for step, rows in enumerate(torch.randperm(1200).split(args.per_device_train_batch_size)):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            (loss / args.gradient_accumulation_steps).backward()
            if (step + 1) % args.gradient_accumulation_steps == 0:
                nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
                optimizer.step()
                lr_scheduler.step()
                if watch.fault != "no_zero_grad":
                    optimizer.zero_grad()
            sitter.step(loss, y[rows])
        model.eval()
        with torch.no_grad():
            logits = model(x[1200:])
        val = accuracy(logits, y[1200:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[1200:]).item(), val_accuracy=val, val_images=400)
    sitter.after()
    return val
