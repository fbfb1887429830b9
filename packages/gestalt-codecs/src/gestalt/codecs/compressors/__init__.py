"""One file for each compressor. The registry imports a file when its compressor is first used."""
