"""Every setting of a training run, strict and frozen, and how settings are read from files and the command line.

A setting whose default depends on the data is `"auto"` (or None) until the data are read; the run prints and
keeps the resolved settings, in which every one is a value.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from cynosure.potentials import Config, flatten, parse

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class DataConfig(Config):
    """Where the frames are and how they are read.

    Attributes:
        train: file with labelled frames.
        val: another file, or the fraction of `train` that is held out. `auto` is a tenth of few frames, and down to a
            twentieth of many, spread evenly over groups and sizes of forces (`setup.divide`).
        keys: label to the name that the file uses for it, such as `{"energy": "REF_energy"}`.
        units: label to its unit where that is not eV, eV/Å or eV/Å³.
        e0s: `fit`, a file with isolated atoms, or an energy in eV for each element; `keep` those of the base model.
            `auto` is `keep` when fine-tuning, else `fit`.
    """

    train: str = Field(min_length=1)
    val: Annotated[float, Field(gt=0, lt=1)] | str = "auto"
    keys: dict[str, str] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    e0s: str | dict[str, float] = "auto"


class LossConfig(Config):
    """What is minimised; `cynosure.training.loss` has the formula and the reasons for the weights.

    Attributes:
        energy, forces, stress: weights at the end. `auto` is the default weight where the data have the label, else 0.
        targets: weights of declared targets and derivatives, by name; one, if nothing is said.
        energy_rise: how many times less the energy weighs at the start.
        kind: `huber` or `squared`, for each component of a residual in units of the data's own scale.
        delta: where the Huber loss turns from squared to linear, in the same units.
    """

    energy: Weight = "auto"
    forces: Weight = "auto"
    stress: Weight = "auto"
    targets: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    energy_rise: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    kind: Literal["huber", "squared"] = "huber"
    delta: float = Field(default=0.1, gt=0)


class OptimiserConfig(Config):
    """Muon for the weights that are matrices, Adam for the others; or Adam for all.

    Attributes:
        kind: `muon` or `adam`.
        lr: the highest learning rate.
        momentum: of Muon, the weight of the old momentum at each step.
        matrix_scale: of Muon, root mean square of an entry's step at a learning rate of one; Adam's is about one.
        betas: of Adam, decay of the first and second moment.
        amsgrad: of Adam, divide by the largest second moment so far.
        weight_decay: of all weights that train, per step and unit of learning rate.
        clip: longest gradient that is let through whole; longer ones are shortened to it.
    """

    kind: Literal["muon", "adam"] = "muon"
    lr: float = Field(default=0.02, gt=0)
    momentum: Fraction = 0.98
    matrix_scale: float = Field(default=0.3, gt=0)
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    amsgrad: bool = True
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=10.0, gt=0)


class ScheduleConfig(Config):
    """The learning rate as a function of progress p from 0 to 1.

    Attributes:
        warmup: the part of the run in which it rises.
        final: what is left of it at the end, as a fraction of the highest.
    """

    warmup: float = Field(default=0.02, ge=0, lt=1)
    final: Fraction = 0.01


class EmaConfig(Config):
    """The running average of the weights, which is what is validated and saved.

    Attributes:
        decay: weight of the old average at each step.
    """

    decay: float = Field(default=0.99, ge=0, lt=1)


class BatchConfig(Config):
    """How frames are gathered into steps.

    Attributes:
        max_edges: most edges in a batch; a frame with more stands alone. `auto` chooses from the data.
    """

    max_edges: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"


class FinetuneConfig(Config):
    """A run that starts from the weights of another model.

    Attributes:
        base: its model file; None for fresh weights.
        train: names of the parameters that train, with `*` and `?` as in file names; the others stay as they are.
        rank: of the additions that train in place of each matrix (LoRA); None to train the weights themselves.
    """

    base: Annotated[str, Field(min_length=1)] | None = None
    train: tuple[str, ...] = Field(default=("*",), min_length=1)
    rank: int | None = Field(default=None, gt=0)

    @field_validator("train", mode="before")
    @classmethod
    def _one_pattern(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_base(self) -> FinetuneConfig:
        if self.base is None and (self.train != ("*",) or self.rank is not None):
            raise ValueError(
                "a part of the weights can train only beside those of a base model: --from MODEL"
            )
        return self


class TrainConfig(Config):
    """Everything that decides the outcome of a run.

    Attributes:
        data, model, loss, optimiser, schedule, ema, batch, finetune: see their own classes; `model` holds the
            settings of the architecture for `cynosure.build`.
        seed: of the split, the initial weights and the order of the data.
        dtype: in which the network computes.
        device: `auto` is the first GPU that torch can use, else the CPU.
        epochs: length of the run in passes over the data. Chosen from the data if this and `minutes` are None.
        minutes: length of the run in wall-clock time, from the start of the command to its exit.
        val_every: epochs between validations; `auto` makes about a hundred of them. A run by `minutes` validates
            by the clock instead.
        patience: validations without a better score after which the run ends early; None to go on regardless.
    """

    data: DataConfig
    model: dict[str, Any] = Field(default_factory=dict)
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    ema: EmaConfig = EmaConfig()
    batch: BatchConfig = BatchConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    seed: int = Field(default=0, ge=0, lt=2**63)
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "auto"
    epochs: int | None = Field(default=None, gt=0)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    val_every: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    patience: int | None = Field(default=50, gt=0)

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("give the length of the run as 'epochs' or as 'minutes', not both")
        return self

    @field_validator("data", mode="before")
    @classmethod
    def _data_from_path(cls, value: Any) -> Any:
        return {"train": str(value)} if isinstance(value, str | Path) else value

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_settings` reads back."""
        return self.model_dump(mode="json")

    def to_text(self) -> str:
        """One line `section.key  value` for every setting."""
        lines = flatten(self.to_json())
        width = max(len(key) for key in lines)
        return "\n".join(f"  {key:{width}s}  {_plain(value)}" for key, value in lines.items())


def from_settings(settings: Mapping[str, Any]) -> TrainConfig:
    """Validate nested settings.

    Raises:
        ValueError: names each wrong key with its section, and for an unknown one the nearest valid key.
    """
    return parse(TrainConfig, settings)


def load_settings(path: str | Path) -> dict[str, Any]:
    """Nested settings from a JSON or TOML file, by its suffix.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another suffix, broken syntax, or TOML on Python 3.10, which has no reader for it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config file '{path}'")
    if path.suffix == ".toml":
        settings = _load_toml(path)
    elif path.suffix == ".json":
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"'{path}' is not valid JSON: {error}") from None
    else:
        raise ValueError(f"'{path}': a config file ends in .json or .toml")
    if not isinstance(settings, dict):
        raise ValueError(f"'{path}' must hold an object of settings, such as {{\"epochs\": 10}}")
    return settings


def _load_toml(path: Path) -> dict[str, Any]:
    if sys.version_info < (3, 11):
        raise ValueError(f"'{path}': TOML needs Python 3.11 or newer; write the settings as JSON instead")
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is not valid TOML: {error}") from None


def parse_assignment(text: str) -> tuple[str, Any]:
    """`a.b=c` as a dotted key and a value: JSON where it is that, else the text itself.

    Raises:
        ValueError: there is no `=`, or no key before it.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise ValueError(f"'{text}' does not set anything; write it as section.key=value")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value.strip()


def merge(settings: Mapping[str, Any], assignments: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Nested settings with each dotted key set in turn; `settings` itself is left as it was.

    Raises:
        ValueError: a key leads through something that is not a section.
    """
    merged = json.loads(json.dumps(settings, default=str))
    for key, value in assignments:
        *sections, last = key.split(".")
        owner = merged
        for depth, section in enumerate(sections):
            owner = owner.setdefault(section, {})
            if not isinstance(owner, dict):
                raise ValueError(f"cannot set '{key}': '{'.'.join(sections[: depth + 1])}' is not a section")
        owner[last] = value
    return merged


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
