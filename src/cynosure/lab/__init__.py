"""The symmetry experiments: the demonstration, and the plain network it compares with."""

from __future__ import annotations

from cynosure.lab.demo_data import demo_frames, write_demo_data

__all__ = ["demo_frames", "write_demo_data"]
