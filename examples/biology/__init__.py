"""Capped alanine peptides: a potential from two small ones, its Ramachandran map, and left hands from right ones."""
