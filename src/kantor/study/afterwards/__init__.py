"""What one does with a finished run: evaluate, export, analyse and probe its students."""
