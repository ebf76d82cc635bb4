"""The loop that trains any network on any examples."""
