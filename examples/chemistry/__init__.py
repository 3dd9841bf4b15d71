"""Glycolaldehyde: potential and dipole surface by one model, harmonic frequencies, and its infrared spectrum."""
