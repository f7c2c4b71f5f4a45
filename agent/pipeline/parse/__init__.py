"""Parse: lines that have a form become fields, and with them a level, a time and a message of their own.

rule      what is asked for, as text
step      the columns of a batch, made of what a format found
json_lines, logfmt, access, nginx, regex, auto
          the formats: lines → objects and fields
parsed    what a format hands to the step
bounds    how much of a line becomes fields
path      one field of many objects: `level`, `log.level`
grade     the level in a field's value
clock     the time in a field's value
"""

from agent.pipeline.parse.rule import PARSE, Parse

__all__ = ["PARSE", "Parse"]
