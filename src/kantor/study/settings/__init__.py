"""What was asked for: the settings of a study, its methods, views and starts, from text."""
