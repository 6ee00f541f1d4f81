"""Configuration: all hyperparameters of a trial in one flat, typed, frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hpo.config.image_format import ImageFormat, Resize, image_size_text

ImageSize = Annotated[str, BeforeValidator(image_size_text)]
_IntegerAsText = BeforeValidator(lambda value: str(value) if type(value) is int else value)
Channels = Annotated[Literal["auto", "1", "3"], _IntegerAsText]
Views = Annotated[Literal["1", "2", "6"], _IntegerAsText]
Preprocessing = Literal[
    "none",
    "zero_center",
    "per_channel_center",
    "standardize",
    "standardize_pixel",
    "minmax",
    "pca",
    "whiten",
    "zca",
]
Augmentation = Literal["none", "flip", "crop", "flip_crop", "crop_cutout", "flip_crop_cutout"]
Flip = Literal["random", "alternating"]
AutoAugment = Literal["none", "randaugment", "trivialaugment"]
Activation = Literal[
    "sigmoid",
    "tanh",
    "lecun_tanh",
    "relu",
    "leaky_relu",
    "prelu",
    "rrelu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "softplus",
    "maxout",
    "linear",
]
Initializer = Literal[
    "zeros",
    "constant",
    "small_gaussian",
    "gaussian",
    "xavier",
    "he",
    "lecun",
    "orthogonal",
    "lsuv",
    "dirac",
]
Stem = Literal["plain", "whitened"]
NormScale = Literal["trained", "frozen"]
BatchNorm = Literal["none", "before", "after"]
Norm = Literal["batch", "layer", "group"]
OptimizerName = Literal["sgd", "adagrad", "rmsprop", "adam", "adamw", "muon"]
RestOptimizer = Literal["sgd", "adamw"]
Schedule = Literal["constant", "step", "exponential", "inverse_time", "cosine", "one_cycle", "triangular"]
Sampling = Literal["shuffled", "balanced"]
ClassWeights = Literal["none", "balanced"]
WeightAverage = Literal["none", "lookahead", "swa"]
Precision = Literal["auto", "fp32", "bf16"]

Condition = Mapping[str, tuple[Any, ...]]


def _hyper(default: Any, description: str, when: Condition | None = None, **limits: Any) -> Any:
    """Declare a hyperparameter: its default, its meaning, and the values of other fields it applies with."""
    extra: Any = {"when": {name: list(values) for name, values in when.items()}} if when else None
    return Field(default=default, description=description, json_schema_extra=extra, **limits)


class Configuration(BaseModel):
    """All hyperparameters of a trial. To add one, add a field here; nothing else defines a hyperparameter."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # --- data ---
    dataset: str = _hyper(
        "auto",
        "which images: a data set by name, or your own as package.module:function; auto is CIFAR-10 if it "
        "is available, otherwise synthetic",
    )
    data_root: str | None = _hyper(
        None,
        "your own images: a folder with train/<class>/, a table, an .npz file, or what your function takes",
    )
    image_size: ImageSize = _hyper(
        "auto",
        "pixels of each side, 8 to 224, or height x width, such as 48x64; auto is by the images",
    )
    resize: Resize = _hyper(
        "squeeze", "how images of another shape are made to fit: distorted, cut, or with borders"
    )
    channels: Channels = _hyper("auto", "3 for color, 1 for gray; auto is 1 if no image has color")
    train_images: int | None = _hyper(
        None, "number of training images (stratified); empty for all that are not held out", ge=1
    )
    val_fraction: float = _hyper(0.1, "share of the training split held out for validation", gt=0, le=0.5)
    preprocessing: Preprocessing = _hyper("standardize", "how pixels are centered, scaled or decorrelated")
    pca_components: int = _hyper(
        256, "number of principal components to keep", {"preprocessing": ("pca", "whiten")}, ge=1, le=3072
    )
    whiten_epsilon: float = _hyper(
        1e-2,
        "added to each variance before division, for pixels scaled to [0, 1]",
        {"preprocessing": ("whiten", "zca")},
        gt=0,
    )
    augmentation: Augmentation = _hyper("flip_crop", "random transformations of each training image")
    augmentation_strength: float = _hyper(
        1.0,
        "scales the crop (1: shift by up to an eighth of the side) and the cutout (1: a quarter of it)",
        {"augmentation": ("crop", "flip_crop", "crop_cutout", "flip_crop_cutout")},
        ge=0,
        le=3,
    )

    flip: Flip = _hyper(
        "random",
        "mirror images at random, or each every other epoch, from a random first side",
        {"augmentation": ("flip", "flip_crop", "flip_crop_cutout")},
    )
    translate: int = _hyper(
        0,
        "shift each image by up to this many pixels in each direction; borders are reflected",
        {"augmentation": ("none", "flip")},
        ge=0,
        le=7,
    )
    rotation: float = _hyper(0.0, "rotate each image by up to this many degrees either way", ge=0, le=180)
    zoom: float = _hyper(0.0, "scale each image by a factor from 1 - zoom to 1 + zoom", ge=0, lt=1)
    color_jitter: float = _hyper(
        0.0, "largest change of brightness, contrast and saturation, as a share", ge=0, le=1
    )
    grayscale: float = _hyper(0.0, "probability that an image loses its color", ge=0, le=1)
    erasing: float = _hyper(0.0, "probability that a random rectangle is blanked", ge=0, le=1)
    auto_augment: AutoAugment = _hyper("none", "random operations on pixels: RandAugment or TrivialAugment")
    randaugment_operations: int = _hyper(
        2, "number of operations on each image", {"auto_augment": ("randaugment",)}, ge=1, le=8
    )
    randaugment_magnitude: int = _hyper(
        9, "strength of each operation, of 30", {"auto_augment": ("randaugment",)}, ge=0, le=30
    )
    mixup: float = _hyper(0.0, "alpha of mixup, the blending of pairs of images; 0 is off", ge=0, le=100)
    cutmix: float = _hyper(0.0, "alpha of CutMix, pasting a part of another image; 0 is off", ge=0, le=100)
    sampling: Sampling = _hyper(
        "shuffled", "each image once an epoch, or every class equally often, rare ones repeatedly"
    )
    class_weights: ClassWeights = _hyper(
        "none",
        "weights of the classes in the loss; balanced is the inverse of their number of images",
        {"sampling": ("shuffled",)},
    )

    # --- model ---
    model: str = _hyper("convnet", "a bundled network, or your own as package.module:function")
    width: int = _hyper(16, "channels of the first stage (mlp: 16 x width hidden units)", ge=1, le=1024)
    depth: int | None = _hyper(
        None, "number of layers, as the model counts them; empty for its default", ge=1, le=200
    )
    stem: Stem = _hyper(
        "plain", "a first layer of its own, whose filters whiten patches of the training images, or none"
    )
    stem_epsilon: float = _hyper(
        5e-4, "added to the variances of the patches before division", {"stem": ("whitened",)}, gt=0
    )
    stem_frozen_share: float = _hyper(
        1.0,
        "share of the epochs, from the first, that do not train its filters",
        {"stem": ("whitened",)},
        ge=0,
        le=1,
    )
    stem_bias_share: float = _hyper(
        0.3, "share of the epochs, from the first, that train its biases", {"stem": ("whitened",)}, ge=0, le=1
    )
    activation: Activation = _hyper("relu", "the nonlinearity after each hidden layer")
    negative_slope: float = _hyper(
        0.01, "slope for negative inputs", {"activation": ("leaky_relu",)}, ge=0, lt=1
    )
    elu_alpha: float = _hyper(1.0, "ELU's limit for very negative inputs", {"activation": ("elu",)}, gt=0)
    maxout_pieces: int = _hyper(
        2,
        "number of linear pieces that maxout takes the maximum of",
        {"activation": ("maxout",)},
        ge=2,
        le=16,
    )
    initializer: Initializer = _hyper("he", "how weights are initialized")
    init_distribution: Literal["normal", "uniform"] = _hyper(
        "normal", "the distribution that weights are drawn from", {"initializer": ("xavier", "he", "lecun")}
    )
    init_std: float = _hyper(0.05, "standard deviation of the weights", {"initializer": ("gaussian",)}, gt=0)
    init_constant: float = _hyper(0.01, "the value of every weight", {"initializer": ("constant",)})
    batch_norm: BatchNorm = _hyper("before", "normalization before or after each activation, or none")
    norm: Norm = _hyper("batch", "the kind of normalization", {"batch_norm": ("before", "after")})
    norm_momentum: float = _hyper(
        0.1, "weight of the new batch in the running statistics", {"norm": ("batch",)}, gt=0, le=1
    )
    norm_epsilon: float = _hyper(
        1e-5, "added to the variance before division", {"batch_norm": ("before", "after")}, gt=0
    )
    norm_groups: int = _hyper(8, "maximum number of channel groups", {"norm": ("group",)}, ge=1)
    norm_scale: NormScale = _hyper(
        "trained", "the scales of normalizations; frozen ones stay 1", {"batch_norm": ("before", "after")}
    )
    output_scale: float = _hyper(1.0, "factor of the logits", gt=0)

    # --- regularization (never on biases and norm parameters unless regularize_all) ---
    weight_decay: float = _hyper(
        5e-4, "L2 penalty w -= lr * weight_decay * w (decoupled for adamw and muon)", ge=0
    )
    l1: float = _hyper(0.0, "L1 penalty", ge=0)
    regularize_all: bool = _hyper(False, "apply weight decay and L1 to biases and norm parameters too")
    dropout: float = _hyper(0.0, "probability that an activation is dropped", ge=0, lt=1)
    dropout_kind: Literal["plain", "spatial"] = _hyper(
        "plain", "drop single activations (in the head) or whole channels (after each stage)"
    )
    max_norm: float | None = _hyper(
        None, "maximum L2 norm of a unit's incoming weights; empty for no limit", gt=0
    )
    label_smoothing: float = _hyper(0.0, "share of the target that is spread over all classes", ge=0, lt=1)

    # --- optimization ---
    optimizer: OptimizerName = _hyper("sgd", "the update rule")
    lr: float = _hyper(0.05, "peak learning rate", gt=0)
    decoupled: bool = _hyper(
        False,
        "lr and weight_decay hold for 1,024 images, whatever momentum, batch_size and each other",
        {"optimizer": ("sgd",)},
    )
    norm_bias_lr_factor: float = _hyper(
        1.0,
        "factor of lr for the biases of normalizations; their weight decay stays",
        {"batch_norm": ("before", "after")},
        gt=0,
    )
    momentum: float = _hyper(
        0.9, "share of the velocity kept per step", {"optimizer": ("sgd", "rmsprop", "muon")}, ge=0, lt=1
    )
    nesterov: bool = _hyper(False, "look ahead along the velocity", {"optimizer": ("sgd", "muon")})
    beta1: float = _hyper(
        0.9, "decay of the mean gradient", {"optimizer": ("adam", "adamw", "muon")}, ge=0, lt=1
    )
    beta2: float = _hyper(
        0.999, "decay of the mean squared gradient", {"optimizer": ("adam", "adamw", "muon")}, ge=0, lt=1
    )
    rms_decay: float = _hyper(
        0.99, "decay of the mean squared gradient", {"optimizer": ("rmsprop",)}, ge=0, lt=1
    )
    optimizer_epsilon: float = _hyper(
        1e-8, "added to the denominator", {"optimizer": ("adagrad", "rmsprop", "adam", "adamw", "muon")}, gt=0
    )
    rest_optimizer: RestOptimizer = _hyper(
        "adamw", "the rule of what muon does not update: classifier, biases, norms", {"optimizer": ("muon",)}
    )
    rest_lr: float = _hyper(
        1e-3, "peak learning rate of what muon does not update", {"optimizer": ("muon",)}, gt=0
    )
    muon_steps: int = _hyper(
        5, "steps in which a matrix is orthogonalized", {"optimizer": ("muon",)}, ge=1, le=20
    )
    schedule: Schedule = _hyper("cosine", "how lr changes over training")
    warmup_epochs: float = _hyper(0.0, "epochs over which lr rises linearly from 0", ge=0)
    step_epochs: int = _hyper(10, "epochs between two drops of lr", {"schedule": ("step",)}, ge=1)
    lr_decay: float = _hyper(
        0.1,
        "factor per drop (step), per epoch (exponential), or rate k of 1/(1 + k * epoch) (inverse_time)",
        {"schedule": ("step", "exponential", "inverse_time")},
        gt=0,
    )
    final_lr_fraction: float = _hyper(
        0.0,
        "lr at the end, as a share of the peak",
        {"schedule": ("cosine", "one_cycle", "triangular")},
        ge=0,
        le=1,
    )
    initial_lr_fraction: float = _hyper(
        0.2, "lr at the start, as a share of the peak", {"schedule": ("triangular",)}, ge=0, le=1
    )
    peak_position: float = _hyper(
        0.23, "when lr is at its peak, as a share of the steps", {"schedule": ("triangular",)}, ge=0, le=1
    )
    weight_average: WeightAverage = _hyper(
        "none",
        "average weights over steps and continue from there (lookahead), or over the last epochs (swa)",
    )
    lookahead_start: float = _hyper(
        0.3, "share of the epochs before the first average", {"weight_average": ("lookahead",)}, ge=0, lt=1
    )
    lookahead_steps: int = _hyper(
        5, "steps from one average to the next", {"weight_average": ("lookahead",)}, ge=1
    )
    lookahead_decay: float = _hyper(
        0.95,
        "share of the average that each step keeps at the end",
        {"weight_average": ("lookahead",)},
        ge=0,
        lt=1,
    )
    lookahead_power: float = _hyper(
        3.0, "power of the progress with which that share rises", {"weight_average": ("lookahead",)}, ge=0
    )
    swa_start: float = _hyper(
        0.75,
        "share of the epochs before the first that is averaged",
        {"weight_average": ("swa",)},
        ge=0,
        lt=1,
    )
    gradient_clip: float | None = _hyper(
        None, "maximum global L2 norm of the gradient; empty for no limit", gt=0
    )
    batch_size: int = _hyper(64, "images per step", ge=1)
    epochs: int = _hyper(5, "passes over the training images", ge=1)
    eval_views: Views = _hyper(
        "1",
        "copies of each image, mirrored and shifted, whose predictions a second accuracy averages; 1 is off",
    )
    precision: Precision = _hyper("auto", "auto uses bf16 where it was measured to be faster")

    def applicable(self) -> dict[str, Any]:
        """Return every field's value, ``None`` where the field has no effect (momentum under adam)."""
        values = self.model_dump()
        return {name: value if applies(name, values) else None for name, value in values.items()}

    @property
    def image_format(self) -> ImageFormat:
        """The format of its images, once it is bound to a data set."""
        return ImageFormat.of_fields(self.model_dump(include={"image_size", "resize", "channels"}))

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Configuration:
        """Return the configuration from the values that ``applicable`` returned."""
        return cls(**{name: value for name, value in values.items() if value is not None})


def conditions(name: str) -> dict[str, tuple[Any, ...]]:
    """Return the values of other fields under which a field has an effect; empty if always."""
    extra = Configuration.model_fields[name].json_schema_extra
    when = extra.get("when", {}) if isinstance(extra, dict) else {}
    assert isinstance(when, dict)
    return {field: tuple(values) for field, values in when.items()}  # type: ignore[arg-type]


def applies(name: str, values: Mapping[str, Any]) -> bool:
    """Return whether a field has an effect, given the values of all fields."""
    return all(
        values[field] in allowed and applies(field, values) for field, allowed in conditions(name).items()
    )
