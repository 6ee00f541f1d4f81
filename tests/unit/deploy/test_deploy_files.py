"""The image, the compose files and the other launchers are what their readers take."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE_FILES = [ROOT / "docker-compose.yml", DEPLOY / "docker-compose.gpu.yml"]
SBATCH = ["array", "cpus-per-task", "gpus-per-task", "job-name", "mem", "ntasks", "output", "signal", "time"]
"""Options of sbatch (its manual page) that the script uses."""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do echo "srun $1"; shift; done
exec "$@"
"""
HPO = """#!/bin/bash
trap 'echo saved; exit 143' TERM
echo "hpo $*"
while true; do sleep 0.02; done
"""


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_files_follow_the_specification(path: Path) -> None:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    compose = yaml.safe_load(path.read_text())
    jsonschema.validate(compose, schema)
    compose["services"]["worker"]["stop_grace"] = "60s"
    with pytest.raises(jsonschema.ValidationError, match="'stop_grace' was unexpected"):
        jsonschema.validate(compose, schema)


def test_services_wait_for_each_other_restart_and_keep_secrets() -> None:
    compose = yaml.safe_load(COMPOSE_FILES[0].read_text())
    services: dict[str, Any] = compose["services"]
    assert len(services) > 4
    for name, service in services.items():
        assert service["restart"] == ("no" if name in ("migrate", "roles", "hpo") else "unless-stopped")
        assert "healthcheck" in service
        for other, how in service.get("depends_on", {}).items():
            healthy = not services[other]["healthcheck"].get("disable")
            assert how["condition"] == ("service_healthy" if healthy else "service_completed_successfully")
        assert set(service["secrets"]) <= set(compose["secrets"])
        assert not any("password" in str(value) and "/run/secrets/" not in str(value)
                       for value in service["environment"].values())  # fmt: skip
    for secret in compose["secrets"].values():
        ignored = subprocess.run(["git", "check-ignore", "-q", secret["file"]], cwd=ROOT, check=False)
        assert ignored.returncode in (0, 128)  # 128: not a git checkout


def test_image_pins_its_bases_and_runs_the_wheel_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    (base,) = [line.removeprefix("ARG PYTHON=") for line in lines if line.startswith("ARG PYTHON=")]
    assert re.fullmatch(r"3\.\d+\.\d+-slim-\w+", base)
    assert {line.split()[1] for line in lines if line.startswith("FROM")} == {"python:${PYTHON}"}
    assert lines.index("USER 10001:10001") < lines.index('ENTRYPOINT ["hpo"]')
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")) :]
    assert [line for line in last_stage if line.startswith(("COPY", "ADD"))] == [
        "COPY --from=install /opt/hpo /opt/hpo"
    ]


def test_the_image_has_the_pytorch_that_the_package_wants() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {each for each in project["dependencies"] if each.startswith("torch")}
    assert set(re.findall(r'"(torch[^"]*)"', (ROOT / "Dockerfile").read_text())) == wanted


def test_build_context_holds_the_sources_of_the_wheel_only() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    sources = set(pyproject["tool"]["setuptools"]["package-dir"].values())
    assert kept == {"pyproject.toml", project["readme"], *project["license-files"], *sources}
    assert rules.index("*") < rules.index("!hpo")


def test_kubernetes_takes_the_manifest() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    assert [each["kind"] for each in documents] == ["PersistentVolumeClaim", "Job"]
    for document in documents:
        kubernetes_validate.validate(document, "1.31", strict=True)
    documents[1]["spec"]["template"]["spec"]["terminationGrace"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(documents[1], "1.31", strict=True)


def test_a_pod_has_what_it_mounts_and_never_works_as_root() -> None:
    (_, job) = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert pod["securityContext"]["runAsNonRoot"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "hpo"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "hpo-worker.service"
    text = (DEPLOY / unit.name).read_text().replace("/opt/hpo/bin/hpo worker", f"{program} worker")
    for change, taken in (("", True), ("TimeoutStopSec=soon\n", False), ("KillMod=mixed\n", False)):
        unit.write_text(text.replace("[Service]\n", f"[Service]\n{change}"))
        command = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (said == []) is taken, done.stderr


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a Slurm task with programs that stand for srun and hpo."""
    for name, text in (("srun", SRUN), ("hpo", HPO)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    paths = {"HPO_STORAGE": "postgresql://hpo@db/hpo", "HPO_CHECKPOINTS": "/c", "HPO_ARTIFACTS": "/a"}
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_CPUS_PER_TASK": "3", **paths}


def test_a_slurm_task_serves_studies_and_hands_sigterm_on(cluster: dict[str, str]) -> None:
    command = [str(DEPLOY / "slurm.sh"), "mine"]
    with subprocess.Popen(command, env=cluster, stdout=subprocess.PIPE, text=True) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == "srun --cpus-per-task=3\n"
        assert task.stdout.readline() == "hpo worker --until-idle --log-format json mine\n"
        task.send_signal(signal.SIGTERM)
        assert task.stdout.read() == "saved\n"
    assert task.returncode == 143


def test_a_slurm_task_reports_what_it_lacks(cluster: dict[str, str]) -> None:
    for name in ("HPO_STORAGE", "HPO_CHECKPOINTS", "HPO_ARTIFACTS"):
        environment = {key: value for key, value in cluster.items() if key != name}
        done = subprocess.run(
            [DEPLOY / "slurm.sh"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0 and f"{name}: set it to" in done.stderr


def test_sbatch_knows_what_the_script_asks_for() -> None:
    asked = re.findall(r"^#+SBATCH --([a-z-]+)=\S+$", (DEPLOY / "slurm.sh").read_text(), re.MULTILINE)
    assert sorted(asked) == SBATCH
