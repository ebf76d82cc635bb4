"""What can be trained: a file and a row for each kind."""
