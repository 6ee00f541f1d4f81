"""Trainings that break what they run in, and one that looks whether it is sound: a module of a user's."""

from __future__ import annotations

BREAKING = '''
import json, os, resource, signal, subprocess, sys, threading, time
from pathlib import Path


def run(trial):
    look(trial)
    return globals()[trial["does"]](trial)


def looking(trial):
    return 1.0


def look(trial):
    """Raise an error if an earlier trial has left something, and say what."""
    found = {
        "threads": threading.active_count() == 1,
        "SIGTERM": signal.getsignal(signal.SIGTERM).__module__ == "hpo.trainer.child",
        "SIGINT": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "mask": not signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0] == 0,
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 100,
        "umask": os.umask(0o022) == 0o022,
        "folder": os.getcwd() == trial["folder"],
        "output": all(os.path.exists(f"/proc/self/fd/{each}") for each in (1, 2)),
        "null": os.path.realpath("/proc/self/fd/1") != os.devnull or trial["null"],
        "nice": os.nice(0) == trial["nice"],
        "cores": len(os.sched_getaffinity(0)) == trial["cores"],
        "open files": len(os.listdir("/proc/self/fd")) < 40,
        "environment": "SPOILED" not in os.environ,
    }
    print("it prints", flush=True)
    if not all(found.values()):
        raise AssertionError([name for name, is_sound in found.items() if not is_sound])


def segfault(trial):
    import ctypes
    ctypes.string_at(0)


def exit_at_once(trial):
    os._exit(7)


def system_exit(trial):
    sys.exit("as scripts do")


def interrupt(trial):
    raise KeyboardInterrupt


def generator_exit(trial):
    raise GeneratorExit


def threads(trial):
    for number in range(100):
        threading.Thread(target=time.sleep, args=(1000,), daemon=number % 2 == 0).start()
    return 0.5


def handlers(trial):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.setitimer(signal.ITIMER_REAL, 100)
    return 0.5


def alarm(trial):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(10)


def surroundings(trial):
    os.environ["SPOILED"] = "1"
    os.umask(0)
    os.chdir("/")
    return 0.5


def priority(trial):
    os.nice(5)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    return 0.5


def limits(trial):
    resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
    return 0.5


def files(trial):
    global held
    held = [open(os.devnull) for _ in range(200)]
    return 0.5


def no_output(trial):
    os.close(1)
    os.close(2)
    return 0.5


def closed_output(trial):
    sys.stdout.close()
    sys.stderr = None
    return 0.5


def other_output(trial):
    other = os.open(os.devnull, os.O_WRONLY)
    os.dup2(other, 1)
    return 0.5


def no_connection(trial):
    os.closerange(3, 1000)
    trial.report(val_accuracy=0.5)


def forked(trial):
    """Goes on in two processes, as after a forgotten exit."""
    child = os.fork()
    try:
        trial.report(val_accuracy=0.5)
    except Exception as error:
        if child:
            raise
        Path(trial["folder"], "refused").write_text(str(error))
    if not child:
        return 0.25
    os.waitpid(child, 0)
    return 0.5


def orphan(trial):
    """Leaves no child, but one of a child that has ended."""
    mark = Path(trial["folder"], "daemon of orphan")
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(1000)"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", program, str(mark)])
        os._exit(0)
    os.wait()
    while not (mark.exists() and mark.read_text()):
        time.sleep(0.01)
    return 0.5


def daemons(trial):
    """Leaves one child, and one that has left the session and was adopted."""
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(1000)"
    marks = [Path(trial["folder"], f"daemon{number}") for number in range(2)]
    subprocess.Popen([sys.executable, "-c", program, str(marks[0])])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", program, str(marks[1])])
        os._exit(0)
    os.wait()
    while not all(each.exists() and each.read_text() for each in marks):
        time.sleep(0.01)
    return trial.parameters.get("returns", 0.5)


def daemons_and_death(trial):
    """As ``daemons``, and dies; a forked child holds its connection open."""
    daemons(trial)
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    os._exit(9)


def stopping_itself(trial):
    os.kill(os.getpid(), signal.SIGKILL)


def asking_itself(trial):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)


def silent(trial):
    pass


def not_a_number(trial):
    trial.report(val_accuracy=float("nan"))


def infinite(trial):
    trial.report(val_accuracy=0.25, val_loss=float("inf"), more=-float("inf"), none=float("nan"))


def worded(trial):
    trial.report(val_accuracy="high")


def several(trial):
    import numpy as np
    trial.report(val_accuracy=np.zeros(2))


def enormous(trial):
    trial.report(val_accuracy=10**400)


def backwards(trial):
    trial.report(1, val_accuracy=0.5)
    trial.report(1, val_accuracy=0.6)


def odd_names(trial):
    trial.report(val_accuracy=0.5, **{"lone \\udcff": 1.0, "nul \\0": 2.0})


def many_names(trial):
    trial.report(val_accuracy=0.5, **{f"metric{number}": 1.0 for number in range(100_000)})


def long_name(trial):
    trial.report(val_accuracy=0.5, **{"x" * 10_000_000: 1.0})


def long_error(trial):
    raise ValueError("y" * 10_000_000)


def odd_error(trial):
    raise ValueError("lone \\udcff and nul \\0")


def unprintable(trial):
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no text")
    raise Unprintable


def no_memory_left(trial):
    held = [bytearray(1 << 20) for _ in range(1 << 11)]
    time.sleep(10)


def flood(trial):
    for number in range(20_000):
        trial.log("noise", number=number)
    return 0.5
'''
