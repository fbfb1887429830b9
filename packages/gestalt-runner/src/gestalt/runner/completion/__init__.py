"""What makes shells complete the command line, made from the tables of options."""
