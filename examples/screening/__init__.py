"""Polymorphs of TiO2 and SiO2, relaxed and ranked by a pretrained model."""
