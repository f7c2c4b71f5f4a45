"""Settings: every variable, its file, and every fault in words a person can act on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.errors import SettingsError, UsageError
from agent.options import MiB, declared
from agent.settings import Settings


def faults(environ: dict[str, str], *urls: str) -> list[str]:
    """The problems that `environ` is refused for."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, urls)
    return list(caught.value.problems)


def test_nothing_set_gives_the_defaults_and_the_console() -> None:
    """An agent that was told nothing prints what it reads."""
    settings = Settings.load({})
    assert settings.urls == {"console": "console:"}
    assert settings.directory == Path("/var/lib/dockferry")
    assert set(settings.origins.values()) == {"default"}


def test_variables_become_typed_values_and_their_origin_is_known() -> None:
    """What was typed is a value from then on."""
    settings = Settings.load(
        {
            "DOCKFERRY_MEMORY_MAX_BYTES": "32MiB",
            "DOCKFERRY_OPT_IN": "yes",
            "DOCKFERRY_BACKLOG": "10m",
            "DOCKFERRY_HTTP": "[::1]:80",
            "DOCKFERRY_INCLUDE": "name=web-*,project=shop",
        }
    )
    assert settings.memory_max_bytes == 32 * MiB
    assert settings.opt_in is True
    assert settings.backlog == 600
    assert settings.http == ("::1", 80)
    assert [str(selector) for selector in settings.include] == ["name=web-*", "project=shop"]
    assert settings.origins["DOCKFERRY_OPT_IN"] == "environment"
    assert settings.origins["DOCKFERRY_STATE"] == "default"


def test_every_default_can_be_typed() -> None:
    """What `options` and the reference show is what the variable would take."""
    for entry in declared(Settings):
        if entry.default is None and not entry.show_default():
            continue
        assert entry.kind.parse(entry.show_default()) == entry.default or entry.name == "tag"


def test_memory_mode_has_no_directory() -> None:
    """`memory` is no path."""
    assert Settings.load({"DOCKFERRY_STATE": "memory"}).directory is None


def test_an_empty_variable_counts_as_unset() -> None:
    """Compose makes an empty one of `${NOT_SET}`."""
    settings = Settings.load({"DOCKFERRY_LOG_LEVEL": "", "DOCKFERRY_SINK_A": "", "DOCKFERRY_TAG_FILE": ""})
    assert settings.log_level == "info"
    assert settings.urls == {"console": "console:"}


def test_variables_of_others_are_none_of_our_business() -> None:
    """Only our prefix is ours, and only Docker's own variables are Docker's."""
    settings = Settings.load({"PATH": "/bin", "DOCKFERRYX": "1", "DOCKER_HOST": "tcp://e:1", "HOME": "/root"})
    assert settings.docker == {"DOCKER_HOST": "tcp://e:1", "HOME": "/root"}


def test_sinks_are_named_by_their_variable_in_lower_case() -> None:
    """The name is what metrics, logs and labels call it."""
    settings = Settings.load({"DOCKFERRY_SINK_MAIN_1": "tcp://a:1", "DOCKFERRY_SINK_x-y": "console:"})
    assert settings.urls == {"main_1": "tcp://a:1", "x-y": "console:"}


def test_sinks_of_the_command_line_are_named_after_their_schemes() -> None:
    """tcp, tcp2, …; a name that a variable has taken is not taken twice."""
    urls = ["tcp://a:1", "tcp://b:1", "LOKI+https://c", "console:", "what?"]
    settings = Settings.load({"DOCKFERRY_SINK_TCP": "tcp://z:1"}, urls)
    assert settings.urls == {
        "tcp": "tcp://z:1",
        "tcp2": "tcp://a:1",
        "tcp3": "tcp://b:1",
        "loki": "LOKI+https://c",
        "console": "console:",
        "sink": "what?",
    }
    assert settings.origins["DOCKFERRY_SINK_TCP"] == "environment"
    assert settings.origins["DOCKFERRY_SINK_TCP2"] == "command line"


@pytest.mark.parametrize("variable", ["DOCKFERRY_TAG", "DOCKFERRY_SINK_LOKI"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_value_may_stand_in_a_file(tmp_path: Path, variable: str, end: str) -> None:
    """As Docker provides secrets; editors end the last line, and that end is no part of the value."""
    path = tmp_path / "value"
    path.write_bytes(f" a:{end}".encode())
    settings = Settings.load({f"{variable}_FILE": str(path)})
    assert " a:" in {str(settings.tag), settings.urls.get("loki")}
    assert settings.origins[variable] == f"file {path}"


def test_a_sink_may_be_called_file(tmp_path: Path) -> None:
    """The suffix needs something before it."""
    assert Settings.load({"DOCKFERRY_SINK_FILE": "file:///x"}).urls == {"file": "file:///x"}
    (tmp_path / "url").write_text("file:///y")
    assert Settings.load({"DOCKFERRY_SINK_FILE_FILE": f"{tmp_path}/url"}).urls == {"file": "file:///y"}


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SATE", "x", "DOCKFERRY_SATE is not known; did you mean DOCKFERRY_STATE?"),
        ("SATE_FILE", "x", "DOCKFERRY_SATE_FILE is not known; did you mean DOCKFERRY_STATE_FILE?"),
        ("SINKS_LOKI", "x", "DOCKFERRY_SINKS_LOKI is not known; did you mean DOCKFERRY_SINK_<NAME>?"),
        ("QQQQ", "x", "DOCKFERRY_QQQQ is not known"),
        ("SOURCE", "socket", "DOCKFERRY_SOURCE: 'socket' is not one of auto, logs, attach"),
        ("OPT_IN", "maybe", "DOCKFERRY_OPT_IN: 'maybe' is not true or false"),
        (
            "SPOOL_MAX_BYTES",
            "1XB",
            "DOCKFERRY_SPOOL_MAX_BYTES: '1XB' is not a size such as 64MiB, 1GB or 4096",
        ),
        (
            "SHUTDOWN_GRACE",
            "soon",
            "DOCKFERRY_SHUTDOWN_GRACE: 'soon' is not a duration such as 500ms, 10s or 5m",
        ),
        ("BACKLOG", "some", "DOCKFERRY_BACKLOG: 'some' is not none, all, or a duration such as 10m"),
        ("HTTP", "9469", "DOCKFERRY_HTTP: '9469' is not an address such as 127.0.0.1:9469, or off"),
        ("HTTP", ":70000", "DOCKFERRY_HTTP: ':70000' is not an address such as 127.0.0.1:9469, or off"),
        (
            "HTTP_TOKEN",
            "hunter2",
            "DOCKFERRY_HTTP_TOKEN: its value is not a token of 16 or more printable ASCII characters",
        ),
        ("TAG_FILE", "/no/such", "DOCKFERRY_TAG_FILE: cannot read /no/such: No such file or directory"),
        ("TAG_FILE", "/", "DOCKFERRY_TAG_FILE: cannot read /: Is a directory"),
        ("TAG_FILE", "/dev/null", "DOCKFERRY_TAG_FILE: /dev/null is empty"),
        ("TAG_FILE", "/dev/zero", "DOCKFERRY_TAG_FILE: /dev/zero holds more than 64KiB: that is no value"),
        ("SINK_A.B", "x", "DOCKFERRY_SINK_A.B: a sink's name is made of letters, digits, _ and -"),
        ("SINK_", "x", "DOCKFERRY_SINK_: a sink's name is made of letters, digits, _ and -"),
    ],
)
def test_a_fault_says_what_where_and_what_would_be_right(variable: str, value: str, said: str) -> None:
    """One line that needs no manual."""
    assert faults({f"DOCKFERRY_{variable}": value}) == [said]


def test_a_file_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    """Rather than a value with holes in it."""
    (tmp_path / "value").write_bytes(b"\xff")
    variable = "DOCKFERRY_TAG_FILE"
    assert faults({variable: f"{tmp_path}/value"}) == [f"{variable}: {tmp_path}/value is not UTF-8"]


def test_a_value_and_its_file_contradict_each_other() -> None:
    """Neither is silently preferred."""
    said = faults({"DOCKFERRY_TAG": "x", "DOCKFERRY_TAG_FILE": "/y"})
    assert said == ["DOCKFERRY_TAG and DOCKFERRY_TAG_FILE are both set: unset one of them"]


def test_names_of_sinks_that_differ_in_case_only_are_a_fault() -> None:
    """One would hide the other."""
    said = faults({"DOCKFERRY_SINK_a": "console:", "DOCKFERRY_SINK_A": "console:"})
    assert said == ["DOCKFERRY_SINK_a: there is a sink 'a' already, and case makes no difference"]


def test_a_url_where_a_file_was_meant_is_not_quoted() -> None:
    """A sink called `es_file` cannot be; its URL may hold a password."""
    said = faults({"DOCKFERRY_SINK_ES_FILE": "https://user:hunter2@es"})
    assert len(said) == 1
    assert "names a file" in said[0] or "name a file" in said[0]
    assert "hunter2" not in said[0]


def test_the_text_of_a_file_is_not_quoted(tmp_path: Path) -> None:
    """It may be the wrong file, and that one a secret."""
    (tmp_path / "key").write_text("hunter2")
    said = faults({"DOCKFERRY_LOG_LEVEL_FILE": f"{tmp_path}/key"})
    assert said == ["DOCKFERRY_LOG_LEVEL_FILE: the file's text is not one of debug, info, warning, error"]


def test_all_faults_of_one_start_are_told_together() -> None:
    """Variables, files and sinks alike; nobody likes to be told of them one at a time."""

    def accept(name: str, url: str) -> None:
        if url == "bad:":
            raise SettingsError([f"sink {name}: first", f"sink {name}: second"])
        if url == "worse:":
            raise UsageError(f"sink {name}: third")

    environ = {
        "DOCKFERRY_NOPE": "x",
        "DOCKFERRY_OPT_IN": "x",
        "DOCKFERRY_SINK_A": "bad:",
        "DOCKFERRY_TAG_FILE": "/no/such",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, ["worse:", "console:"], accept=accept)
    starts = [re.split(r"[ :]", problem)[0] for problem in caught.value.problems]
    assert sorted(starts) == [
        "DOCKFERRY_NOPE",
        "DOCKFERRY_OPT_IN",
        "DOCKFERRY_TAG_FILE",
        "sink",
        "sink",
        "sink",
    ]
    assert caught.value.exit_code == 2


def test_no_printed_form_of_the_settings_shows_a_url() -> None:
    """URLs and DOCKER_HOST may hold passwords."""
    settings = Settings.load({"DOCKFERRY_SINK_A": "tcp://u:hunter2@h:1", "DOCKER_HOST": "ssh://u:hunter2@h"})
    assert "hunter2" not in repr(settings)


def test_a_variable_that_is_no_text_is_told() -> None:
    """Before a record is made with it."""
    value = b"a-\xff".decode(errors="surrogateescape")
    assert faults({"DOCKFERRY_TAG": value}) == ["DOCKFERRY_TAG is not UTF-8"]
    assert faults({"DOCKFERRY_SINK_X": f"console:?{value}"}) == ["DOCKFERRY_SINK_X is not UTF-8"]
