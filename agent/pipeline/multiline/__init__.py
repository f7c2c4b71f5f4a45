"""Multi-line: the lines of one stack trace, or of whatever else spans lines, as one record.

rule.py     what `multiline` may say
presets.py  what traces look like, language by language
traces.py   finds such traces
borders.py  finds records by patterns of one's own
joiner.py   holds the record that may go on, and lets go of it
held.py     that record, and its bytes in the spool
"""
