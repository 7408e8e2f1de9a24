"""kantor inside other people's trainers: a module for each of them, imported by its name."""
