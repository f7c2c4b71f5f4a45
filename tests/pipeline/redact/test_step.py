"""Promises of redaction: no planted secret is left, fields stay JSON, columns stay columns, the rest stays."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.batch import Batch, Stream
from agent.pipeline.redact import Redaction, Redactor
from agent.pipeline.redact.escapes import DEPTH, plain
from agent.pipeline.redact.finders import MOST_CANDIDATES
from tests.pipeline.steps import Tallied, batch

SECRETS = {
    "email": "bob.smith@mail.example.com",
    "card": "4111 1111 1111 1111",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "ip": "203.0.113.77",
    "url_password": "postgres://app:s3cret!@db",
    "pattern=pin=(\\d+)": "pin=98765432",
    "pattern=ID-[A-Z]+": "ID-XYSECRET",
}
#: What of it is not to be found afterwards, where that is not all of it.
HIDDEN = {"url_password": "s3cret!", "pattern=pin=(\\d+)": "98765432"}

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Nd", "Cs"]), max_size=12)
leaves = st.one_of(texts, st.integers(-1000, 1000), st.booleans(), st.none(), st.floats(allow_nan=False))
documents = st.dictionaries(
    texts,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_size=4,
)
escaping = st.sampled_from([0.0, 0.3, 1.0])


def redactor(rule: str, tally: Tallied | None = None, key: bytes = b"") -> Redactor:
    return Redaction.parse(rule).step(tally or Tallied(), key)


def escaped(text: str, odds: float) -> str:
    """The text of a JSON string; that part of its characters escaped though they need not be."""
    seeded = random.Random(text)

    def one(char: str) -> str:
        if seeded.random() >= odds:
            return orjson.dumps(char).decode()[1:-1]
        units = char.encode("utf-16-be").hex()
        return "".join(rf"\u{units[place : place + 4]}" for place in range(0, len(units), 4))

    return "".join(map(one, text))


def written(value: Any, odds: float) -> str:  # noqa: ANN401 - any JSON
    """As JSON, with strings escaped like that."""
    match value:
        case str():
            return f'"{escaped(value, odds)}"'
        case dict():
            return (
                "{"
                + ",".join(f'"{escaped(name, 0)}":{written(item, odds)}' for name, item in value.items())
                + "}"
            )
        case list():
            return "[" + ", ".join(written(item, odds) for item in value) + "]"
        case _:
            return orjson.dumps(value).decode()


def shape(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Names and places, without the values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else None


def left_in(out: Batch) -> str:
    """All that can be read in it, however it is escaped."""
    everything = [*out.messages, *(own or b"" for own in out.fields or ())]
    return "\n".join(plain(text).decode(errors="replace") for text in everything)


def columns_are_equal(out: Batch) -> bool:
    return len(out.messages) == len(out.timestamps) == len(out.fields or out.messages)


@settings(derandomize=True, deadline=None)
@given(st.sampled_from([*SECRETS]), texts, texts, st.lists(texts, max_size=3))
def test_a_secret_planted_in_a_message_is_not_there_afterwards(
    rule: str, before: str, behind: str, others: list[str]
) -> None:
    """Whatever stands around it, in whichever row."""
    message = f"{before} {SECRETS[rule]} {behind}".encode()
    out = redactor(rule)(batch(*(other.encode() for other in others), message, b"plain"))
    assert HIDDEN.get(rule, SECRETS[rule]) not in left_in(out)
    assert columns_are_equal(out)
    assert out.messages[-1] == b"plain"


@settings(derandomize=True, deadline=None)
@given(st.sampled_from([*SECRETS]), documents, texts, st.data())
def test_a_secret_planted_in_json_is_not_there_afterwards(
    rule: str, document: dict[str, Any], name: str, data: st.DataObject
) -> None:
    """In the line and in its fields, which stay JSON with the same names, however its characters are escaped."""
    secret = f"{data.draw(texts)} {SECRETS[rule]} {data.draw(texts)}"
    places: list[Any] = [
        secret,
        [1, secret],
        {"inner": {"most": secret}},
        orjson.dumps({"nested": secret}).decode(),
    ]
    document = document | {name: data.draw(st.sampled_from(places))}
    line = written(document, data.draw(escaping)).encode()
    fields = data.draw(st.sampled_from([line, orjson.dumps(document)]))
    out = redactor(rule)(batch(b"x", line, fields=[None, fields]))
    assert HIDDEN.get(rule, SECRETS[rule]) not in left_in(out)
    assert columns_are_equal(out)
    assert out.fields is not None
    for text in (out.messages[1], out.fields[1]):
        assert shape(orjson.loads(text or b"")) == shape(document)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=6), st.sampled_from(["all", *SECRETS]))
def test_any_bytes_pass_or_are_redacted(messages: list[bytes], rule: str) -> None:
    """Nothing is raised for what a container wrote; a batch without secrets is the same object."""
    tally = Tallied()
    given = batch(*messages)
    out = redactor(rule, tally)(given)
    assert columns_are_equal(out)
    assert (out is given) == (not tally.counts)
    assert (
        sum(one != other for one, other in zip(given.messages, out.messages, strict=True))
        == tally.counts["redacted"]
    )


@settings(derandomize=True, deadline=None)
@given(
    documents,
    st.sampled_from(["all", "pattern=a", "pattern=.+", 'pattern="', r"pattern=\\", "pattern=[0-9]"]),
)
def test_fields_stay_json_whatever_a_pattern_takes_out(document: dict[str, Any], rule: str) -> None:
    """Names, nesting and number of values, too."""
    fields = written(document, 0.3).encode()
    out = redactor(rule)(batch(b"x", fields=[fields]))
    assert out.fields is not None
    assert shape(orjson.loads(out.fields[0] or b"")) == shape(document)


def test_redacting_twice_changes_nothing_more() -> None:
    for rule in ("all", "all;with=hash"):
        step = redactor(rule)
        once = step(batch(*(secret.encode() for secret in SECRETS.values())))
        assert step(once).messages == once.messages


def fields_of(rule: str, fields: bytes, message: bytes = b"x") -> bytes | None:
    out = redactor(rule)(batch(message, fields=[fields]))
    assert out.fields is not None
    return out.fields[0]


def test_names_of_fields_stay() -> None:
    """The same name, another meaning: who writes a secret into names needs another name for it."""
    assert fields_of("email", b'{"bob@example.com":"bob@example.com"}') == b'{"bob@example.com":"***"}'


def test_a_number_becomes_a_string() -> None:
    assert (
        fields_of("card", b'{"n": 4111111111111111, "m":[5555555555554444]}') == b'{"n": "***", "m":["***"]}'
    )


def test_what_is_not_taken_out_stays_byte_for_byte() -> None:
    """Numbers that no program could hold, blanks, the same name twice."""
    fields = b'{ "a" : 123456789012345678901234567890, "a":1e400,"b":"%s", "c":"\\u00e9\\n" }'
    assert fields_of("email", fields % b"x bob@example.com") == fields % b"x ***"


def test_a_secret_with_its_name_is_found_in_fields() -> None:
    """The name is one of the JSON, the secret a value."""
    assert fields_of("bearer", b'{"access_token":"abc","n":1}') == b'{"access_token":"***","n":1}'


def test_what_the_message_gives_away_is_taken_out_of_the_fields() -> None:
    """The pattern needs what stands around the secret, which parsing took away. Short ones where they are all."""
    fields = b'{"pin":"98765432","url":"/x?98765432","short":7}'
    assert (
        fields_of(r"pattern=pin=(\d+)", fields, b"pin=98765432") == b'{"pin":"***","url":"/x?***","short":7}'
    )
    assert fields_of(r"pattern=pin=(\d+)", b'{"pin":"17","n":"170"}', b"pin=17") == b'{"pin":"***","n":"170"}'


def test_what_the_fields_give_away_is_taken_out_of_the_message() -> None:
    out = redactor(r'pattern="pin":"(\w+)"')(batch(b"pin is secret17", fields=[b'{"pin":"secret17"}']))
    assert out.messages == [b"pin is ***"]


def test_a_record_with_more_secrets_than_can_be_compared_loses_all_its_values() -> None:
    many = b" ".join(b"user%d@example.com" % number for number in range(200))
    out = redactor("email")(batch(many, fields=[b'{"a":"x","b":1}']))
    assert (out.messages, out.fields) == ([b"***"], [b'{"a":"***","b":"***"}'])


def test_json_in_a_message_stays_json() -> None:
    out = redactor("card;email")(
        batch(b'{"n":4111111111111111,"m":"bob@example.com"}', b"{not json bob@example.com}")
    )
    assert out.messages == [b'{"n":"***","m":"***"}', b"{not json ***}"]


def test_an_escaped_newline_is_no_part_of_the_name_behind_it() -> None:
    """In JSON, and in JSON within JSON."""
    assert redactor("email")(batch(rb'{"m":"x\nbob@example.com\n"}')).messages == [rb'{"m":"x\n***\n"}']
    nested = rb'{"m":"{\"x\":\"a\\nbob@example.com\\n\"}"}'
    assert redactor("email")(batch(nested)).messages == [nested.replace(b"bob@example.com", b"***")]


@pytest.mark.parametrize("depth", range(1, DEPTH + 1))
def test_json_within_json_is_looked_through(depth: int) -> None:
    """As deep as is promised, and what is around the secret stays."""
    secret, masked = rb"x bob\u0040example.com", rb"x ***"
    for _ in range(depth - 1):
        secret, masked = (orjson.dumps({"a": text.decode()})[1:-1] for text in (secret, masked))
    assert redactor("email")(batch(secret)).messages == [masked]


def test_own_patterns_say_what_of_them_is_the_secret() -> None:
    cases = {
        r"pattern=pin=(\d+)": b"a pin=*** b",
        r"pattern=pin=\d+": b"a *** b",
        r"pattern=(p)in=(?P<secret>\d+)": b"a pin=*** b",
        r"pattern=(p)(in)=\d+": b"a *** b",
        r"pattern=pin=(x)?\d+": b"a *** b",
        r"pattern=^a (?-m:^)?pin": b"***=1234 b",
    }
    for rule, wanted in cases.items():
        assert redactor(rule)(batch(b"a pin=1234 b")).messages == [wanted]


def test_many_rules_at_once_put_one_mask() -> None:
    """Where they overlap; next to each other they are two."""
    out = redactor(r"email;jwt;pattern=smith@mail;pattern=x")(batch(b"bob.smith@mail.example.com xx"))
    assert out.messages == [b"*** ******"]


def hashes(rule: str, key: bytes, *messages: bytes) -> Sequence[bytes]:
    return redactor(rule, key=key)(batch(*messages)).messages


def test_equal_secrets_have_equal_hashes() -> None:
    """Escaped or not; another with another key; none is that of another secret."""
    one, two, escaped_one = hashes(
        "email;with=hash", b"", b"bob@x.org", b"eve@x.org", rb'{"m":"bob\u0040x.org"}'
    )
    assert one.startswith(b"hash-")
    assert len(one) == 21
    assert one != two
    assert escaped_one == b'{"m":"' + one + b'"}'
    keyed, long_key = (
        hashes("email;with=hash", b"k", b"bob@x.org"),
        hashes("email;with=hash", b"k" * 100, b"bob@x.org"),
    )
    assert len({one, *keyed, *long_key}) == 3


def test_records_with_secrets_can_be_left_out() -> None:
    """Those with one in the message or the fields."""
    tally = Tallied()
    given = batch(b"a", b"bob@example.com", b"c", fields=[None, None, b'{"m":"bob\\u0040example.com"}'])
    out = redactor("email;with=drop", tally)(given)
    assert (out.messages, out.timestamps, tally.counts) == ([b"a"], [1000], {"redact": 2})


def test_only_what_changed_is_counted_and_encoded_anew() -> None:
    tally = Tallied()
    given = batch(b"a", b"bob@example.com eve@example.com", b"c")
    given.encoded["ndjson"] = b"old"
    out = redactor("email", tally)(given)
    assert (out.messages, out.encoded, tally.counts) == ([b"a", b"*** ***", b"c"], {}, {"redacted": 1})
    assert given.messages[1] == b"bob@example.com eve@example.com"


BODY = [b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj%d" % row for row in range(5)]
BLOCK = [b"-----BEGIN RSA PRIVATE KEY-----", *BODY, b"c2hvcnQ=", b"-----END RSA PRIVATE KEY-----"]
MASKED = [BLOCK[0], *[b"***"] * 6, BLOCK[-1]]


@pytest.mark.parametrize("cut", range(len(BLOCK) + 1))
def test_a_key_whose_lines_are_records_is_masked_line_by_line(cut: int) -> None:
    """Wherever batches are cut; the other stream and the lines around it stay."""
    step = redactor("private_key")
    lines = [b"before", *BLOCK, b"after", b"word"]
    first = step(batch(*lines[:cut]))
    other = batch(b"stderr", BODY[0], stream=Stream.STDERR)
    assert step(other) is other
    second = step(batch(*lines[cut:]))
    assert [*first.messages, *second.messages] == [b"before", *MASKED, b"after", b"word"]


def test_a_key_without_an_end_ends_with_the_first_line_that_is_no_key() -> None:
    lines = [b"x -----BEGIN PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED", b"", *BODY, b"went on well", b"x"]
    out = redactor("private_key")(batch(*lines))
    assert out.messages == [lines[0], b"***", b"", *[b"***"] * 5, b"went on well", b"x"]


def test_a_key_that_is_only_named_takes_nothing_with_it() -> None:
    given = batch(b"-----BEGIN PRIVATE KEY----- expected", b"word", b"more words")
    assert redactor("private_key")(given).messages[1:] == [b"word", b"more words"]


def test_a_hostile_pattern_and_text_are_bounded() -> None:
    """A pattern that looks to the end for each match: what is beyond the bound is taken out as a whole."""
    out = redactor("pattern=(?s)a.*z|a")(batch(b"a" * 200_000))
    assert set(out.messages[0]) == set(b"*")


def test_a_text_of_nothing_but_escapes_is_bounded() -> None:
    """It is taken out as a whole if there is a secret in it, and stays if there is none."""
    many = rb"\n" * 60_000
    out = redactor("email")(batch(many + rb"bob\u0040example.com", many + b"token", many))
    assert out.messages == [b"***", many + b"token", many]


def test_a_record_in_which_only_a_name_is_a_secret_is_not_counted() -> None:
    tally = Tallied()
    given = batch(b'{"bob@example.com":1}')
    assert redactor("email", tally)(given) is given
    assert not tally.counts


@pytest.mark.parametrize(
    ("rule", "candidate"),
    [
        ("email", b"a@b.cc "),
        ("card", b"4111 1111 1111 1112 "),
        ("ip", b"v1.2.3.4 "),
        ("ip", b"a::b "),
        ("pattern=a", b"a "),
    ],
)
def test_a_text_full_of_what_may_be_secrets_is_cut_short(rule: str, candidate: bytes) -> None:
    """Behind ten thousand of them all is taken out."""
    out = redactor(rule)(batch(candidate * (MOST_CANDIDATES + 100) + b"end"))
    assert out.messages[0].endswith(b"***")
    assert len(out.messages[0]) <= max(len(candidate), len(b"*** ")) * (MOST_CANDIDATES + 1) + 3
    assert out.messages[0].count(b" ") in (
        candidate.count(b" ") * MOST_CANDIDATES + extra for extra in (-1, 0)
    )
