"""Lithium that moves through a crystal, with a pretrained potential."""
