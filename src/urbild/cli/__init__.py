"""The command line: the verbs of the library for a shell. One file for each group of commands."""
