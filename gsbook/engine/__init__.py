"""The engine: many runs of one program, one compiled step for all that they do."""
