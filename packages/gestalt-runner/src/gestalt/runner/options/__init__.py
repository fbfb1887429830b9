"""The options of the commands: one table, from which all else is made."""
