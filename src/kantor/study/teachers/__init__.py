"""A study's teachers: found or trained, their outputs kept, and what is measured of them at step 0."""
