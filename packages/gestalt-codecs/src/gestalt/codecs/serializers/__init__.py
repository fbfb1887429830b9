"""One file for each format. The registry imports a file when its format is first used."""
