"""The symmetry experiments: the demonstration, the learning curve, and the plain network they compare with."""

from __future__ import annotations

from cynosure.lab.demo_data import DEMO_SETTINGS, demo_frames, write_demo_data

__all__ = ["DEMO_SETTINGS", "demo_frames", "write_demo_data"]
