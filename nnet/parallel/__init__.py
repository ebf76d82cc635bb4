"""Several processes that train together: starting them, and what they say to each other."""
