"""Training: step 0, one student, many at once, and the weight search."""
