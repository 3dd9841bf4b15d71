"""The symmetry experiments: demonstration, pencil, forces, mirror, learning curve, and pictures to look at."""

from __future__ import annotations

from cynosure.lab.demo_data import DEMO_SETTINGS, demo_frames, write_demo_data

__all__ = ["DEMO_SETTINGS", "demo_frames", "write_demo_data"]
