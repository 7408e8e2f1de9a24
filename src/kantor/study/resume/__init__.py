"""A run's folder: whose it is, what the run began with, and what any process needs to go on."""
