"""The command line: one subcommand per stage, and the commands for own data."""
