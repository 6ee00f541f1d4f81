"""One module a command (or pair of commands), independent of each other."""
