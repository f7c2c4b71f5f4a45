"""A batch → the bytes of one format; shared by the sinks that speak it. No I/O."""
