"""redact: secrets in messages and fields are masked, hashed, or their records withheld, before anything leaves."""

from agent.pipeline.redact.rule import NOTHING, REDACT, Redaction
from agent.pipeline.redact.step import Redactor

__all__ = ["NOTHING", "REDACT", "Redaction", "Redactor"]
