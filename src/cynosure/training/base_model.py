"""The model that a fine-tuning starts from: what of a run it settles, and the E0s that go with new data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cynosure.data import Frames, GraphDataset, epoch_batches, fit_e0s, parse_e0s, require_e0s
from cynosure.graph import batch
from cynosure.potentials import Evaluator, Potential, load, resolve
from cynosure.potentials.presets import with_preset
from cynosure.training.config import DataConfig
from cynosure.training.evaluation import DEFAULT_MAX_EDGES, require_known_elements


@dataclass(frozen=True)
class BaseModel:
    """A model whose weights a run starts from.

    Attributes:
        model: the potential, on the CPU.
        name: of its file, without the folder.
        sha256: of the file's bytes.
    """

    model: Potential
    name: str
    sha256: str

    @classmethod
    def read(cls, path: str | Path, dtype: torch.dtype) -> BaseModel:
        """Load and check a model file, to compute in `dtype`.

        Raises:
            FileNotFoundError, ValueError: as `cynosure.load`.
        """
        model = load(path, dtype=dtype)
        return cls(model, Path(path).name, hashlib.sha256(Path(path).read_bytes()).hexdigest())

    @property
    def identity(self) -> dict[str, str]:
        """Name and checksum, for checkpoints and for the provenance of models."""
        return {"name": self.name, "sha256": self.sha256}

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The architecture, as plain values.

        Args:
            given: settings of the architecture that the user wants.

        Raises:
            ValueError: an unknown key, or one that says something else than the model.
        """
        own, given = self.model.config.model_dump(mode="json"), with_preset(given)
        same = given.get("model", own["model"]) == own["model"]
        wanted = resolve({**own, **given} if same else given).model_dump(mode="json")
        if odd := [key for key in given if own.get(key) != wanted[key]]:
            lines = ", ".join(
                f"model.{key} is {own.get(key)!r} there and {wanted[key]!r} here" for key in odd
            )
            raise ValueError(
                f"the architecture is that of the base model '{self.name}', but {lines}; leave these settings out, or "
                "train a new model without --from"
            )
        return own

    def require_elements(self, frames: Frames) -> None:
        """Raise unless the model knows every element of the frames.

        Raises:
            ValueError: names the strangers, and says what can be done.
        """
        try:
            require_known_elements(frames, self.model.species)
        except ValueError as error:
            raise ValueError(
                f"{error}. A base model cannot learn a new element: leave these frames out, or train a new model "
                "without --from"
            ) from None

    def e0s(
        self, data: DataConfig, dataset: GraphDataset, say: Callable[[str], None]
    ) -> tuple[dict[int, float], str]:
        """The E0 of each species that the fine-tuned model starts with. No choice of them changes a force.

        Args:
            data: its `e0s` are `keep`, `fit` (to the energies beyond the model's interaction energies), or energies
                of lone atoms.
            dataset: the training graphs.
            say: told what was fitted.

        Returns:
            (atomic number to eV, kind as of `Calibration`).

        Raises:
            ValueError: energies of lone atoms for a model whose E0s were fitted, or that lack an element; and
                as `parse_e0s`.
        """
        calibration = self.model.calibration
        own = dict(zip(calibration.species, calibration.e0s, strict=True))
        if data.e0s == "keep":
            return own, calibration.e0_kind
        if data.e0s != "fit":
            if calibration.e0_kind == "fitted":
                raise ValueError(
                    f"the E0s of the base model '{self.name}' were fitted to its data; energies of lone atoms cannot "
                    "take their place, since its network would not vanish for such atoms. Give --e0s keep or --e0s fit"
                )
            text = json.dumps(data.e0s) if isinstance(data.e0s, dict) else data.e0s
            given, kind = parse_e0s(text, data.keys, data.units, self.model.points)
            require_e0s(given, dataset.frames.species(), self.model.points)
            return {number: given.get(number, value) for number, value in own.items()}, kind
        if not dataset.frames.label_counts()["energy"]:
            say("No frame has an energy: the E0s of the base model stay.")
            return own, calibration.e0_kind
        # Only the difference is fitted: where the compositions do not tell the elements apart, as little as possible
        # changes.
        fit = fit_e0s(dataset.frames, beyond=self._energies(dataset))
        fitted = {number: own[number] + change for number, change in fit.e0s.items()}
        say(str(replace(fit, e0s=fitted)))
        # A network that vanishes for lone atoms goes on doing so, though these numbers need not be their energies.
        return own | fitted, "fitted" if calibration.e0_kind == "fitted" else "given"

    def _energies(self, dataset: GraphDataset) -> NDArray[np.float64]:
        """[frames] eV."""
        engine = Evaluator(self.model)
        energies = np.zeros(len(dataset))
        for indices in epoch_batches(dataset.edge_counts(), DEFAULT_MAX_EDGES, seed=0, epoch=0):
            graph = batch([dataset[index] for index in indices])
            energies[indices] = engine.evaluate(graph, ("energy",))["energy"].numpy()
        return energies
