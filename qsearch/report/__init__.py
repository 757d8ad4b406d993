"""The files of a run directory -> text for people."""
