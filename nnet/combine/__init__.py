"""The last models of a run made into one."""
