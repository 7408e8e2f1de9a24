"""A trained model, taken out: weights, programs, or a folder for the Hub."""
