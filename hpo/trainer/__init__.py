"""The user's own training: the process that runs it, and the trial that it is given."""
