"""What a node needs to serve, and the message if it lacks something."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo import __version__
from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError, UserError
from hpo.provenance import sources
from hpo.workers.ray.nodes import NodeReport, node_probe, usable_nodes, user_code
from hpo.workers.ray.resources import Node

NODES = [Node("a", "lab-1", 1, 0), Node("b", "lab-2", 1, 0)]


def test_node_like_this_machine_is_usable(tmp_path: Path) -> None:
    found = node_probe()(f"sqlite:///{tmp_path / 'hpo.db'}", ["json"], [])
    assert found == {"missing": (), "missing_files": (), "hpo": sources()}
    reports = [NodeReport("lab-1", **found), NodeReport("lab-2", **found)]
    assert usable_nodes(NODES, reports) == NODES


def test_unusable_nodes_are_listed_with_what_they_lack() -> None:
    found = node_probe()(
        "postgresql://nobody@127.0.0.1:1/none", ["json", "no_such_nets"], ["sh", "/no/such/train.sh"]
    )
    assert found["missing"] == ("no_such_nets",) and "127.0.0.1" in found["database"]
    with pytest.raises(UserError) as refusal:
        usable_nodes(
            NODES, [NodeReport("lab-1", hpo=None), NodeReport("lab-2", **{**found, "hpo": "0.0.9+sources.1"})]
        )
    lines = str(refusal.value).splitlines()
    assert lines[1].startswith(f"  lab-1: hpo is not installed: install hpo-babysitter {__version__}")
    assert lines[2].startswith(f"  lab-2: it has hpo 0.0.9+sources.1, this machine has {sources()}: install")
    assert lines[3] == "  lab-2: module no_such_nets is missing: install it there too"
    assert lines[4].startswith("  lab-2: it has no /no/such/train.sh: the files of a command are not sent")
    assert lines[5].startswith("  lab-2: it cannot use the database: ")


def test_files_of_a_command_are_its_program_and_what_it_names_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    words = {"study": "s", "trials": 1, "space": {}}
    found = user_code(StudySpec.model_validate({**words, "command": ["sh", "train.py", "--lr", "x" * 300]}))
    assert (found.modules, found.sent, found.files) == ((), (), ("sh", str(tmp_path / "train.py")))
    found = user_code(StudySpec.model_validate({**words, "command": ["./train.py"]}))
    assert found.files == (str(tmp_path / "train.py"),)


def test_node_without_hpo_can_run_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    sent = cloudpickle.dumps(node_probe())
    monkeypatch.setitem(sys.modules, "hpo.workers.ray.nodes", None)  # cannot be imported
    monkeypatch.setitem(sys.modules, "hpo.provenance", None)
    assert cloudpickle.loads(sent)("sqlite:///x.db", [], [])["hpo"] == __version__


def test_node_without_an_answer_is_left_out_unless_none_answers() -> None:
    gone, well = NodeReport("lab-1", problem="it was killed"), NodeReport("lab-2", hpo=sources())
    assert usable_nodes(NODES, [gone, well]) == NODES[1:]
    with pytest.raises(UserError, match="lab-1: it did not answer: it was killed"):
        usable_nodes(NODES[:1], [gone])


def _study(**fixed: object) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "trials": 1, "fixed": fixed})


def test_user_code_in_a_folder_is_sent_and_installed_code_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loose_nets.py").touch()
    (tmp_path / "packed_nets").mkdir()
    (tmp_path / "packed_nets" / "__init__.py").touch()
    assert user_code(_study()) == user_code(_study(model="vgg"))
    loose = user_code(_study(model="loose_nets:build"))
    assert (loose.modules, loose.sent) == (("loose_nets",), (tmp_path / "loose_nets.py",))
    assert user_code(_study(model="packed_nets.deep:build")).sent == (tmp_path / "packed_nets",)
    installed = user_code(_study(model="torchvision.models:resnet18"))
    assert (installed.modules, installed.sent) == (("torchvision",), ())
    with pytest.raises(ConfigurationError, match="no module 'nowhere_nets'"):
        user_code(_study(model="nowhere_nets:build"))
    assert str(tmp_path) not in sys.path
