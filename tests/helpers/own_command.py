"""Studies whose training is a command: one script with what such programs do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hpo.config.study import StudySpec

SCRIPT = '''
import json, os, random, signal, subprocess, sys, time
from pathlib import Path

FOLDER = Path(os.environ["HPO_TRIAL_FOLDER"])
LR = float(os.environ["HPO_PARAM_LR"])
BUDGET = int(os.environ["HPO_TRIAL_BUDGET"])


def say(**values):
    print(json.dumps({"hpo": values}))


def sound(report=say):
    """Resumes from its checkpoint; each epoch draws from its own generator."""
    saved = FOLDER / "state.json"
    state = json.loads(saved.read_text()) if saved.exists() else {"epoch": 0, "weight": 0.0}
    for epoch in range(state["epoch"] + 1, BUDGET + 1):
        draw = random.Random(f"{os.environ['HPO_TRIAL_SEED']} {epoch}").random()
        state = {"epoch": epoch, "weight": state["weight"] * 0.9 + LR * draw}
        report(epoch=epoch, val_accuracy=state["weight"] / 10, depth=LR * epoch)
        disturb(f"before {epoch}")
        (FOLDER / "new").write_text(json.dumps(state))
        os.replace(FOLDER / "new", saved)
        disturb(f"after {epoch}")


def by_file():
    def write(**values):
        with open(os.environ["HPO_TRIAL_METRICS"], "a") as file:
            file.write(json.dumps(values) + "\\n")
    sound(write)


def by_hpo():
    def call(epoch, **values):
        words = [f"{name}={value!r}" for name, value in values.items()]
        subprocess.run([sys.executable, "-m", "hpo", "report", *words, "--epoch", str(epoch)], check=True)
    sound(call)


def disturb(where):
    mark = Path(f"disturbed-{os.environ['HPO_TRIAL_STUDY']}-{os.environ['HPO_TRIAL_NUMBER']}")
    if os.environ.get("HPO_PARAM_KILLED") == where and not mark.exists():
        mark.touch()
        os.kill(os.getppid() if os.environ["HPO_PARAM_KILLS"] == "worker" else os.getpid(), signal.SIGKILL)
        time.sleep(60)
    if os.environ.get("HPO_PARAM_STOPPED") == where and not mark.exists():
        mark.touch()
        Path("stop").touch()
        time.sleep(60)


def unnumbered():
    for _ in range(BUDGET):
        say(val_accuracy=0.5)
        (FOLDER / "left").touch()
        disturb("before 1")


def sparse():
    for epoch in range(2, BUDGET + 1, 2):
        say(epoch=epoch, val_accuracy=epoch / 10)


def failing():
    print("starting")
    sys.exit("no such file: sesame")


def crashing():
    import ctypes
    ctypes.string_at(0)


def silent():
    say(val_loss=0.5)


def wrong():
    say(val_accuracy="high")
    time.sleep(60)


def backwards():
    say(epoch=2, val_accuracy=0.5)
    say(epoch=1, val_accuracy=0.5)


def beyond():
    say(epoch=BUDGET + 1, val_accuracy=0.5)


def endless():
    subprocess.Popen(["sleep", "1000"])
    while True:
        time.sleep(1)


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("child").write_text(str(subprocess.Popen(["sleep", "1000"]).pid))
    while True:
        time.sleep(1)


def closing():
    say(val_accuracy=0.5)
    sys.stdout.flush()
    os.close(1), os.close(2)
    time.sleep(0.2)


def telling():
    say(val_accuracy=1)
    file = json.loads(Path(os.environ["HPO_TRIAL_PARAMETERS"]).read_text())
    told = {name: value for name, value in os.environ.items() if name.startswith(("HPO_TRIAL", "HPO_PARAM"))}
    Path("told.json").write_text(json.dumps([sys.argv[2:], told, file]))
    (Path(os.environ["HPO_TRIAL_ARTIFACTS"]) / "kept.txt").touch()


globals()[sys.argv[1]]()
'''


def spec(name: str, does: list[str], *words: str, **changes: Any) -> StudySpec:
    """Return a study with one trial for each function of the script."""
    document: dict[str, Any] = {
        "study": name,
        "command": [sys.executable, "script.py", "{does}", *words],
        "trials": len(does),
        "sampler": "grid",
        "space": {"does": {"choice": does}} if len(does) > 1 else {"lr": {"choice": [0.3]}},
        "fixed": {"epochs": 4, "lr": 0.3} if len(does) > 1 else {"epochs": 4, "does": does[0]},
        "max_consecutive_failures": 100,
    }
    fixed = document["fixed"] | changes.pop("fixed", {})
    return StudySpec.model_validate(document | {"fixed": fixed} | changes)


def write_script(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
