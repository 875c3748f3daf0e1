"""Drawing images: by energies of all noise levels, and by what they are compared with."""
