"""What the presets are, and how they go with other settings."""

import pytest

import cynosure
from cynosure.potentials import PRESETS, resolve


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_builds_what_it_stands_for(name):
    model = cynosure.build({"preset": name}, ["Si"])
    assert model.config == resolve(PRESETS[name])
    assert "preset" not in model.config.model_dump()


def test_settings_go_over_those_of_a_preset():
    for name in PRESETS:
        changes = {"members": 2, "cutoff": 4.0}
        found = resolve({"preset": name, **changes}).model_dump()
        expected = {**resolve(PRESETS[name]).model_dump(), **changes}
        for architecture in expected.get("of", ()):
            architecture["cutoff"] = 4.0
        assert found == expected


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="no preset 'tiny'; the presets are small, medium, large"):
        resolve({"preset": "tiny"})
    with pytest.raises(ValueError, match="the preset 'small' is of the model 'nequip', not 'mace'"):
        resolve({"preset": "small", "model": "mace"})
    with pytest.raises(ValueError, match="did you mean 'channels'"):
        resolve({"preset": "small", "chanels": 3})
