"""The terminal's view of a running agent, here or elsewhere, over its HTTP interface (docs/status-page.md).

remote  asks and listens
tail    the lines as they pass
top     containers, sinks and losses, as they are now
"""
