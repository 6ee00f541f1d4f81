"""Reads the graph that autograd recorded behind a loss: its terms, and what lies between outputs and loss.

Works before and after backward: names, shapes and numbers of a graph stay, its tensors are freed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from torch import Tensor

from hpo.checks.loss_facts import LossFacts, LossTerm, Normalization

_MOST_NODES = 3000
"""A graph is read as far as this; the loss comes first."""
_MOST_TERMS = 16
_NEAR = 6
"""Nodes next to one in which its parts are looked for."""
_LEAST_ROWS = 4
"""Fewer examples can equal another size by chance."""
_LOSSES = {
    "MseLoss": "mse",
    "L1Loss": "l1",
    "SmoothL1Loss": "smooth_l1",
    "HuberLoss": "huber",
    "BinaryCrossEntropy": "bce",
    "BinaryCrossEntropyWithLogits": "bce",
    "NllLoss": "nll",
    "NllLoss2D": "nll",
    "NllLossNd": "nll",
    "CtcLoss": "ctc",
    "KlDiv": "kl_div",
}
"""The node of a loss function, by the name of its term."""
_PARTS = {
    "Relu": "relu",
    "Abs": "abs",
    "Norm": "norm",
    "LinalgVectorNorm": "norm",
    "Exp": "exp",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "LogSoftmax": "log_softmax",
    "LogSigmoid": "log_sigmoid",
    "Log": "log",
    "Logsumexp": "log_sum_exp",
}
_BOUNDS = {"Minimum": "lower_bound", "Maximum": "upper_bound"}
"""Of a ratio of probabilities times an advantage (Schulman et al. 2017, Proximal policy optimization)."""
_DISTANCES = frozenset({"Cdist", "EuclideanDist", "Norm", "LinalgVectorNorm"})
_RESHAPE = frozenset(
    {
        *("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice", "Index"),
        *(
            "IndexSelect",
            "Permute",
            "Transpose",
            "T",
            "Clone",
            "ToCopy",
            "Alias",
            "AsStrided",
            "Cat",
            "Stack",
        ),
        *("Unbind", "Split", "MaskedSelect", "Gather", "Narrow", "Contiguous"),
    }
)
"""They move entries and change none."""
_SAME_ENTRIES = _RESHAPE - {"Select", "Slice", "Index", "IndexSelect", "Cat", "Stack", "Unbind", "Split"}
"""Of these, the ones that keep all entries."""
_LINEAR = _RESHAPE | {"Mean", "Sum", "Expand", "Where", "Nanmean", "Nansum"}
_POINTWISE = frozenset(
    {
        *("Neg", "Add", "Sub", "Rsub", "Mul", "Div", "Pow", "Abs", "Relu", "Exp", "Log", "Log1P", "Expm1"),
        *("Sqrt", "Clamp", "ClampMin", "ClampMax", "Maximum", "Minimum", "Where", "Softplus", "Sigmoid"),
        *("Tanh", "Mean", "Sum", "Expand", "Max", "Min", "LogSigmoid"),
    }
)
_EXPANDING = frozenset({"Add", "Sub", "Rsub", "Mul", "Div", "Expand", "Maximum", "Minimum", "Where"})
_MATRIX = frozenset({"Addmm", "Mm", "Convolution", "Linear", "Baddbmm", "MkldnnLinear", "MkldnnConvolution"})
"""Their results are not probabilities."""
_BOUNDED = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def loss_facts(loss: Tensor, step: int, made: Collection[object] = ()) -> LossFacts | None:
    """Return what the graph of ``loss`` shows; None if none was recorded.

    ``made`` are the nodes that made the outputs of the model, as far as they are known.
    """
    if loss.grad_fn is None:
        return None
    root: Any = loss.grad_fn
    heads = list(_heads(root))
    return LossFacts(
        step,
        _terms(root),
        twice=_first(map(_twice, heads)),
        missing_log=_first(map(_missing_log, heads)),
        wrong_axis=next(filter(None, map(_wrong_axis, heads)), None),
        broadcast=_broadcast(root, made),
        far_is_likely=any(map(_is_far_likely, heads)),
        normalizations=_normalizations(root),
    )


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


def _name(node: Any) -> str:
    """Return ``Sum`` of a node ``SumBackward1``."""
    return str(node.name()).partition("Backward")[0]


def _inputs(node: Any) -> list[Any]:
    """Return the nodes that made the differentiable inputs."""
    return [each for each, _ in node.next_functions if each is not None]


def _shape(node: Any) -> tuple[int, ...]:
    """Return the shape of what the node made; () if unknown."""
    described: Any = getattr(node, "_input_metadata", ())
    if len(described) != 1 or getattr(described[0], "shape", None) is None:
        return ()
    return tuple(map(int, described[0].shape))


def _all(root: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, each once, those next to the loss first."""
    waiting, visited = [root], {root}
    for node in waiting:
        yield node
        for each in _inputs(node):
            if each not in visited and len(visited) < _MOST_NODES:
                visited.add(each)
                waiting.append(each)


def _heads(root: Any) -> Iterator[Any]:
    """Yield the nodes between a loss and the first that is neither pointwise, linear nor a loss.

    Those come with it.
    """
    waiting, visited = [root], {root}
    for node in waiting:
        yield node
        name = _name(node)
        if name in _POINTWISE or name in _LINEAR or name in _LOSSES:
            for each in _inputs(node):
                if each not in visited and len(visited) < _MOST_NODES:
                    visited.add(each)
                    waiting.append(each)


def _terms(root: Any) -> tuple[LossTerm, ...]:
    """Return the parts of the sum that a loss is, without repetitions."""
    found: dict[LossTerm, None] = {}
    waiting = [(root, 1, False)]
    visited = {waiting[0]}
    for node, sign, is_altered in waiting:
        parts = list(_summands(node, sign, is_altered))
        if not parts:
            found[LossTerm(_kind(node), sign, is_altered)] = None
        for each in parts:
            if each not in visited and len(visited) < _MOST_NODES:
                visited.add(each)
                waiting.append(each)
    return tuple(islice(found, _MOST_TERMS))


def _summands(node: Any, sign: int, is_altered: bool) -> Iterator[tuple[Any, int, bool]]:
    """Yield the parts of a sum with their signs; nothing if the node is no sum."""
    name, inputs = _name(node), [each for each, _ in node.next_functions]
    given = [each for each in inputs if each is not None]
    if name == "Neg":
        yield given[0], -sign, is_altered
    elif name == "Sub" and _is_log_probability(node):
        return
    elif name in ("Add", "Sub", "Rsub"):
        alpha = -1 if _number(node, "_saved_alpha") < 0 else 1
        for place, each in enumerate(inputs):
            if each is not None:
                turned = (name == "Sub" and place == 1) or (name == "Rsub" and place == 0)
                factor = alpha if place == 1 or name == "Rsub" else 1
                yield each, sign * factor * (-1 if turned else 1), is_altered or len(given) == 1
    elif name in ("Mul", "Div") and len(given) == 1 and (name == "Mul" or inputs[0] is not None):
        yield given[0], sign, True
    elif name in _LINEAR and name != "Gather":
        for each in given:
            yield each, sign, is_altered


def _kind(node: Any) -> str:
    name = _name(node)
    if name in _LOSSES:
        return _LOSSES[name]
    if name == "Pow":
        exponent = _number(node, "_saved_exponent")
        is_even = exponent > 0 and exponent % 2 == 0
        return "other" if not is_even else "squared_error" if _is_residual(_source(node)) else "square"
    if name == "Clamp" and _number(node, "_saved_min") >= 0:
        return "relu"
    if name == "Gather":
        return "log_softmax" if _is_log_probability(_source(node)) else "other"
    if name == "Sub" and _is_log_probability(node):
        return "log_softmax"
    if _is_parameter(node):
        return "parameter"
    if name in _MATRIX:
        return "linear"
    if name in _BOUNDS and _is_clipped_ratio(node):
        return _BOUNDS[name]
    return _PARTS.get(name, "other")


def _is_residual(node: Any) -> bool:
    """Whether a node subtracts something without a gradient, such as labels, or is subtracted from it."""
    return _name(node) in ("Sub", "Rsub") and len(_inputs(node)) == 1


def _number(node: Any, name: str) -> float:
    """Return a saved number; NaN if there is none."""
    value = getattr(node, name, None)
    return float(value) if isinstance(value, int | float) else math.nan


def _is_parameter(node: Any) -> bool:
    return str(node.name()).endswith("AccumulateGrad")


def _is_log_probability(node: Any) -> bool:
    """Whether a node makes logarithms of probabilities, as ``torch.distributions`` does, too."""
    name = _name(node)
    if name == "LogSoftmax":
        return True
    if name == "Sub":  # x - x.logsumexp(), x - log(sum(exp(x)))
        return any(map(_is_log_sum, _inputs(node)[1:]))
    if name in ("Log", "Clamp"):  # log(clamp(p / p.sum()))
        return any(map(_is_log_probability, _inputs(node)))
    return name == "Div" and any(_name(each) == "Softmax" for each in _inputs(node)[:1])


def _is_log_sum(node: Any) -> bool:
    """Whether a node makes the logarithm of a sum of exponentials, some of which a mask may drop."""
    path = ("Log", "Sum", "Exp")
    if _name(node) != path[0]:
        return _name(node) == "Logsumexp"
    for expected in path[1:]:
        given = _inputs(node)
        while given and _name(given[0]) in _LINEAR | {"Mul", "Add"} and _name(given[0]) != expected:
            given = _inputs(given[0])
        if not given or _name(given[0]) != expected:
            return False
        node = given[0]
    return True


def _is_clipped_ratio(node: Any) -> bool:
    """Whether one of the two numbers is the other, clipped, and both come from an exponential."""
    names = [{_name(each) for each in islice(_all(given), _NEAR)} for given in _inputs(node)]
    return (
        len(names) == 2
        and all("Exp" in each for each in names)
        and sum("Clamp" in each for each in names) == 1
    )


def _is_far_likely(node: Any) -> bool:
    """Whether a likelihood's softmax is of distances whose sign was not turned."""
    if not _name(node).startswith("NllLoss") or _name(_source(node)) != "LogSoftmax":
        return False
    given, sign = _inputs(_source(node)), 1
    while given:
        node, name = given[0], _name(given[0])
        if name in _DISTANCES or (name == "Pow" and _is_difference(_source(node))):
            return sign > 0
        is_rescaled = name in ("Pow", "Sqrt", "Clamp", "ClampMin", "Sum", "Mean")
        is_temperature = name == "Div" and len(_inputs(node)) == 1
        if name != "Neg" and name not in _RESHAPE and not is_rescaled and not is_temperature:
            return False
        sign *= -1 if name == "Neg" else 1
        given = _inputs(node)
    return False


def _is_difference(node: Any) -> bool:
    return _name(node) == "Sub" and len(_inputs(node)) == 2


def _source(node: Any, through: frozenset[str] = _RESHAPE) -> Any:
    """Return the node that made the values which ``node`` takes: reshaping changes none of them."""
    given = _inputs(node)
    while given:
        node = given[0]
        name, given = _name(node), _inputs(node)
        is_temperature = name == "Div" and len(given) == 1
        if name not in through and not is_temperature:
            return node
    return node


def _twice(node: Any) -> str:
    """Return softmax or sigmoid if the node applies another one to its result."""
    name = _name(node)
    if name == "BinaryCrossEntropy":
        node = _source(node)
        name = _name(node) if _name(node) in _BOUNDED else name
    is_normalized = name == "Sub" and _is_log_probability(node)
    if is_normalized or name in (*_BOUNDED, "LogSoftmax", "BinaryCrossEntropyWithLogits"):
        found = _BOUNDED.get(_name(_source(node)), "")
        return "" if (name, found) == ("Softmax", "sigmoid") else found  # shares of bounded scores
    return ""


def _missing_log(node: Any) -> str:
    """Return what a negative log-likelihood is given, if not logarithms."""
    name = _name(node)
    if name.startswith("NllLoss") or name in ("KlDiv", "CtcLoss"):
        given = _name(_source(node))
        return "probabilities" if given in _BOUNDED else "logits" if given in _MATRIX else ""
    return ""


def _wrong_axis(node: Any) -> Normalization | None:
    """Return the log_softmax below a likelihood if it goes along another axis than the classes."""
    name = _name(node)
    if not name.startswith("NllLoss") and name != "CtcLoss":
        return None
    given = _inputs(node)[0]
    shape, source = _shape(given), _source(node, _SAME_ENTRIES)
    found = _normalization(source)
    if _name(source) != "LogSoftmax" or found is None or len(shape) < 2:
        return None
    classes = shape[-1] if name == "CtcLoss" else shape[1]
    return found if found.shape[found.dim] != classes else None


def _broadcast(root: Any, made: Collection[object]) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of outputs (B, ...) before and after the loss broadcast these over B examples."""
    waiting, visited = [root], {root}
    for node in waiting:
        name, given = _name(node), _inputs(node)
        if name in _EXPANDING and len(given) == 1:
            before, after = _shape(given[0]), _shape(node)
            if _is_over_batch(before, after) and not _is_asked_for(given[0], made):
                return before, after
        if name in _POINTWISE or name in _LOSSES or name in _LINEAR:
            for each in given:
                if each not in visited and len(visited) < _MOST_NODES:
                    visited.add(each)
                    waiting.append(each)
    return ()


def _is_over_batch(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    rows = before[0] if before else 0
    return rows >= _LEAST_ROWS and math.prod(after) == rows * math.prod(before)


def _is_asked_for(node: Any, made: Collection[object]) -> bool:
    """Whether the outputs were given the axis that they are broadcast along, or are not outputs."""
    while node not in made and _name(node) in _POINTWISE | _RESHAPE:
        if _name(node) == "Unsqueeze" or not _inputs(node):
            return True
        node = _inputs(node)[0]
    return _is_parameter(node)


def _normalization(node: Any) -> Normalization | None:
    """Return the axis and the shape of a softmax."""
    shape, dim = _shape(node), getattr(node, "_saved_dim", None)
    if not shape or not isinstance(dim, int):
        return None
    signed = dim - 2**64 if dim >= 2**63 else dim  # autograd shows -1 as an unsigned number
    return Normalization(signed % len(shape), shape)


def _normalizations(root: Any) -> tuple[Normalization, ...]:
    found = {
        each: None
        for node in _all(root)
        if _name(node) in ("Softmax", "LogSoftmax") and (each := _normalization(node)) is not None
    }
    return tuple(islice(found, _MOST_TERMS))
