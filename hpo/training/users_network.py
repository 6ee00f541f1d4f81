"""What a user's network must be: everything else is refused with the remedy, before anything is trained."""

from __future__ import annotations

import inspect
import traceback

import torch
from torch import Tensor, nn
from torch.jit._script import RecursiveScriptModule
from torch.nn.parameter import is_lazy

from hpo.errors import ConfigurationError
from hpo.training import users_code
from hpo.training.users_code import USERS_ERRORS


def adopt(name: str, module: object, classes: int, in_shape: tuple[int, int, int]) -> nn.Module:
    """Return the network that the function ``name`` built, if it can be trained.

    Two images, one of zeros and one of noise, must give logits (2, classes); they also give lazy layers their
    shapes. Raises ``ConfigurationError`` otherwise.
    """
    if not isinstance(module, nn.Module):
        kind = "a class" if inspect.isclass(module) else f"a {type(module).__name__}"
        raise ConfigurationError(f"model {name} returned {kind}, not a torch.nn.Module object")
    _refuse_modules(name, module)
    _refuse_tensors(name, module)
    _evaluate_two_images(name, module, classes, in_shape)
    _refuse_lazy(name, module)
    _refuse_tensors(name, module)  # also those that the forward pass made
    return module


def refuse_output(output: object, images: int, classes: int | None, mode: str) -> Tensor:
    """Return ``output`` if it is logits (images, classes); ``classes`` None allows any number.

    Raises ``ConfigurationError`` with the remedy otherwise; ``mode`` is the network's, for the message.
    """
    if type(output) is Tensor and output.ndim == 2 and output.is_floating_point():
        found = output.shape
        if found[0] == images and (classes is None or found[1] == classes):
            return output
    wanted = f"expected logits of shape ({images}, {classes or 'classes'})"
    if not isinstance(output, Tensor):
        kind = "None" if output is None else f"a {type(output).__name__}"
        raise ConfigurationError(f"the network returns {kind} in {mode} mode, not a tensor; {wanted}")
    if not output.is_floating_point():
        raise ConfigurationError(
            f"the network returns {output.dtype} in {mode} mode, not floating-point logits"
        )
    shape = tuple(output.shape)
    if len(shape) == 2 and shape[0] == images and classes in (None, shape[1]):
        return output.as_subclass(Tensor)
    is_flat = len(shape) > 2 and shape[0] == images and all(size == 1 for size in shape[2:])
    remedy = ": return logits.flatten(1)" if is_flat else ""
    raise ConfigurationError(f"the network returns logits of shape {shape} in {mode} mode; {wanted}{remedy}")


def raised(name: str, doing: str, error: BaseException) -> str:
    """Return the message for an error that the code of a user's network raised."""
    detached = "does not require grad" in str(error)
    hint = "; no gradient reaches the logits: is there a detach() or torch.no_grad() in forward?"
    return users_code.raised("model", name, doing, error) + (hint if detached else "")


def users_error(name: str, error: BaseException) -> str:
    """Return the message for an error that the code of network ``name`` raised; empty for other errors."""
    package = name.partition(":")[0].partition(".")[0] if ":" in name else ""
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if package and str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return f"model {name} raised {type(error).__name__}: {error} ({places[-1]})" if places else ""


def _refuse_tensors(name: str, module: nn.Module) -> None:
    """Refuse parameters and buffers that cannot be trained or stored; lazy ones have no shape yet."""
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ConfigurationError(f"model {name} has no parameters; nothing to train")
    if not any(each.requires_grad for each in parameters.values()):
        raise ConfigurationError(
            f"model {name} has no trainable parameter: requires_grad is off for all of its {len(parameters)}"
        )
    for each, tensor in {**parameters, **dict(module.named_buffers())}.items():
        flaw = "" if is_lazy(tensor) else _flaw(tensor)
        if flaw:
            raise ConfigurationError(f"model {name}: {each} {flaw}")


def _flaw(tensor: Tensor) -> str:
    if tensor.device.type != "cpu":
        return f"is on {tensor.device}: build the network on the CPU; hpo moves it to the trial's device"
    if isinstance(tensor, nn.Parameter) and tensor.is_complex():
        return (
            "is a complex parameter, which hpo does not train: hold it as real numbers and use "
            "torch.view_as_complex in forward"
        )
    if tensor.layout is not torch.strided:
        return "is a sparse tensor, which cannot be stored: make it dense"
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        return "has elements that share memory, as after expand(): it cannot be updated; add .clone()"
    return ""


def _refuse_modules(name: str, module: nn.Module) -> None:
    for each, layer in module.named_modules():
        if isinstance(layer, RecursiveScriptModule):
            raise ConfigurationError(
                f"model {name}: {each or 'it'} is a ScriptModule of torch.jit.script, which the checks "
                "cannot watch: return the module itself"
            )
        if getattr(layer, "sparse", False) is True:
            raise ConfigurationError(
                f"model {name}: {each} gives sparse gradients, which hpo's optimizers do not take: use "
                "sparse=False"
            )


def _refuse_lazy(name: str, module: nn.Module) -> None:
    for each, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            raise ConfigurationError(
                f"model {name}: {each} is lazy, and the forward pass in evaluation mode does not use it: "
                "remove its layer, or give the layer its shape"
            )


def _evaluate_two_images(name: str, module: nn.Module, classes: int, in_shape: tuple[int, int, int]) -> None:
    images = torch.randn(2, *in_shape, dtype=torch.float32, device="cpu")
    images[0] = 0.0
    module.eval()
    try:
        with torch.no_grad():
            logits = module(images)
    except USERS_ERRORS as error:
        doing = f"given images of shape {tuple(images.shape)}"
        raise ConfigurationError(raised(name, doing, error) + _hint(module)) from error
    try:
        refuse_output(logits, len(images), classes, "evaluation")
    except ConfigurationError as error:
        raise ConfigurationError(f"model {name}: {error}") from None


def _hint(module: nn.Module) -> str:
    other = {each.dtype for each in module.parameters() if each.dtype is not torch.float32}
    if not other:
        return ""
    names = ", ".join(sorted(map(str, other)))
    return (
        f"; images are torch.float32 and it has parameters of {names}: convert the images in forward, or the "
        "network with .float()"
    )
