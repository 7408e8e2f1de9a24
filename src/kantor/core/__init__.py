"""What every other part stands on: errors, atomic files, seeds, collectives."""
