"""Networks from configurations: keys, unknown names, and every way a user's model can be wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.errors import ConfigurationError
from hpo.models.catalog import MODELS
from hpo.rng import Key
from hpo.training.model_factory import build_model, check_model, parameter_count

KEY = Key(0) / "trial" / 3 / "weights"


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("initializer", ["he", "orthogonal", "lsuv"])
def test_weights_are_a_function_of_the_key(model: str, initializer: str) -> None:
    configuration = Configuration(model=model, width=2, initializer=initializer)  # type: ignore[arg-type]
    sample = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def build(key: Key, torch_seed: int) -> torch.Tensor:
        torch.manual_seed(torch_seed)
        return weights(
            build_model(configuration, classes=10, in_shape=STANDARD.shape, key=key, sample=sample)
        )

    assert torch.equal(build(KEY, 0), build(KEY, 1))
    assert not torch.equal(build(KEY, 0), build(Key(0) / "trial" / 4 / "weights", 0))


def test_building_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    build_model(Configuration(width=2), classes=10, in_shape=STANDARD.shape, key=KEY, sample=None)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_field_reaches_the_network() -> None:
    configuration = Configuration(
        width=4, depth=3, activation="elu", elu_alpha=0.5, norm_momentum=0.3, norm_epsilon=1e-3, dropout=0.25
    )
    text = repr(check_model(configuration, classes=6, in_shape=STANDARD.shape))
    for part in ("ELU(alpha=0.5)", "eps=0.001, momentum=0.3", "p=0.25", "out_features=6", "Conv2d(8, 16"):
        assert part in text


def test_parameter_count_of_a_known_network() -> None:
    assert (
        parameter_count(
            check_model(Configuration(model="resnet", depth=20), classes=10, in_shape=STANDARD.shape)
        )
        == 269_722
    )


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_model(Configuration(model="resnt"), classes=10, in_shape=STANDARD.shape)
    message = str(caught.value)
    assert "did you mean resnet?" in message
    assert all(name in message for name in MODELS)
    assert "package.module:function" in message


def test_a_depth_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="model vgg: vgg has no depth 7; use 6, 8, 11, 13"):
        check_model(Configuration(model="vgg", depth=7), classes=10, in_shape=STANDARD.shape)


NETS = """
import torch
from torch import nn
from hpo.models.convnet import convnet
from hpo.models.layers import Network

not_callable = 3

def build(options, *, in_shape, classes):
    hidden = nn.Linear(3 * 32 * 32, options.width)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(options.width, classes))

class Net(nn.Module):
    def __init__(self, options, *, in_shape, classes):
        super().__init__()
        self.dense = nn.Linear(in_shape[0] * in_shape[1] * in_shape[2], classes)
    def forward(self, images):
        return self.dense(images.flatten(1))

def ours(options, *, in_shape, classes):
    return convnet(options, in_shape=in_shape, classes=classes)

def only_a_slope(options, *, in_shape, classes):
    return Network({"flatten": nn.Flatten(), "slope": nn.PReLU(), "few": Ends(classes)})

class Ends(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes = classes
    def forward(self, features):
        return features[:, : self.classes]

def a_list(options, *, in_shape, classes):
    return [1]

def a_class(options, *, in_shape, classes):
    return Net

def empty(options, *, in_shape, classes):
    return nn.Flatten()

def eleven(options, *, in_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, classes + 1))

def other_signature(options):
    return nn.Linear(1, 1)

def raises(options, *, in_shape, classes):
    return 1 / 0

def fails_on_images(options, *, in_shape, classes):
    return nn.Linear(7, classes)

class Pair(Net):
    def forward(self, images):
        return self.dense(images.flatten(1)), None

class Integers(Net):
    def forward(self, images):
        return self.dense(images.flatten(1)).long()
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, now the working directory, with the user's modules."""
    (tmp_path / "user_nets.py").write_text(NETS)
    (tmp_path / "user_broken.py").write_text("import no_such_package_anywhere\n")
    (tmp_path / "user_syntax.py").write_text("def build(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])  # `hpo` runs without ""
    for name in ("user_nets", "user_broken", "user_syntax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("function", ["build", "Net"])
def test_a_users_model_keeps_its_own_weights(function: str) -> None:
    zeros = Configuration(model=f"user_nets:{function}", initializer="zeros")
    first, again, other = (
        build_model(zeros, classes=10, in_shape=STANDARD.shape, key=key, sample=None)
        for key in (KEY, KEY, Key(0) / "other")
    )
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert first.training
    assert weights(first).std() > 0


@pytest.mark.usefixtures("nets")
def test_a_network_of_ours_from_a_users_function_is_initialized() -> None:
    configuration = Configuration(model="user_nets:ours", width=2)
    theirs = build_model(configuration, classes=10, in_shape=STANDARD.shape, key=KEY, sample=None)
    ours = build_model(
        Configuration(model="convnet", width=2), classes=10, in_shape=STANDARD.shape, key=KEY, sample=None
    )
    assert torch.equal(weights(theirs), weights(ours))


@pytest.mark.usefixtures("nets")
def test_the_example_in_the_docs_works() -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    Path("user_example.py").write_text(example)
    configuration = Configuration(model="user_example:build", width=2, activation="maxout")
    # 3 x 3 convolutions of 2 and 4 maxout pairs with batch norm; a classifier of 4 features.
    expected = (27 * 4 + 8) + (18 * 8 + 16) + (4 * 10 + 10)
    assert parameter_count(check_model(configuration, classes=10, in_shape=STANDARD.shape)) == expected


WRONG = {
    "user_net:build": "there is no module 'user_net'",
    "user_nets.deep:build": "user_nets is a module, not a package: there is no module 'deep' in it",
    "user_nets:biuld": "has no 'biuld'; did you mean build?",
    "user_nets:not_callable": "not_callable is a int, not a function",
    "user_nets:": "does not have the form package.module:function",
    "user_broken:build": "when imported, raised ModuleNotFoundError: No module named 'no_such",
    "user_syntax:build": "when imported, raised SyntaxError",
    "user_nets:a_list": "returned a list, not a torch.nn.Module",
    "user_nets:a_class": "returned a class, not a torch.nn.Module object",
    "user_nets:empty": "has no parameters",
    "user_nets:eleven": r"of shape \(2, 11\) in evaluation mode; expected logits of shape \(2, 10\)",
    "user_nets:other_signature": r"as build\(options, in_shape=\(3, 32, 32\), classes=10\), raised TypeError",
    "user_nets:raises": "raised ZeroDivisionError: division by zero",
    "user_nets:fails_on_images": r"given images of shape \(2, 3, 32, 32\), raised RuntimeError",
    "user_nets:only_a_slope": "has no linear or convolution layer to initialize",
    "user_nets:Pair": "returns a tuple in evaluation mode, not a tensor",
    "user_nets:Integers": "returns torch.int64 in evaluation mode, not floating-point logits",
}


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("path", WRONG)
def test_what_is_wrong_with_a_users_model_is_reported(path: str) -> None:
    with pytest.raises(ConfigurationError, match=WRONG[path]) as caught:
        check_model(Configuration(model=path), classes=10, in_shape=STANDARD.shape)
    assert "model" in str(caught.value)


def test_lsuv_without_a_batch() -> None:
    with pytest.raises(ConfigurationError, match="model convnet: lsuv needs a batch of images"):
        build_model(
            Configuration(width=2, initializer="lsuv"),
            classes=10,
            in_shape=STANDARD.shape,
            key=KEY,
            sample=None,
        )
