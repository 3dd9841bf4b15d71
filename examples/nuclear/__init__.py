"""Nuclear matter: protons, neutrons and their spins, in fm and MeV."""
