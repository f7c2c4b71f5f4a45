"""batch → batch: what is done to records between source and spool. One file per step, a step is a function."""
