"""The registry: a URL becomes a sink, or a complaint that keeps its secrets."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SettingsError, UsageError
from agent.sinks import _EXTRAS, missing, parse_sink, redact, schemes
from agent.sinks.base import SinkOptions
from agent.sinks.console import ConsoleSink
from agent.sinks.http import HttpLinesOptions
from agent.sinks.loki import LokiOptions, LokiSink

PASSWORD = "s3cr3t-enough"
ROOT = Path(__file__).parent.parent.parent


def problems(url: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    return caught.value.problems


def test_a_url_is_taken_apart() -> None:
    sink = parse_sink(
        "it", "loki+https://me:p%40ss@[::1]:3100/a%20b?labels=host,service&timeout=5s&select=web-*"
    )
    assert isinstance(sink, LokiSink)
    target, options = sink.target, sink.options
    assert (target.name, target.scheme, target.transport) == ("it", "loki", "https")
    assert (target.host, target.port, target.path) == ("::1", 3100, "/a b")
    assert (options.user, options.labels, options.timeout) == ("me", ("host", "service"), 5.0)
    assert options.password is not None
    assert options.password.reveal() == "p@ss"
    assert [str(selector) for selector in options.select] == ["name=web-*"]


@pytest.mark.parametrize("url", ["console:", "console://", " CONSOLE:?format=text "])
def test_the_console_needs_no_slashes(url: str) -> None:
    assert isinstance(parse_sink("it", url), ConsoleSink)


def test_markup_blanks_and_hashes_survive_in_a_path() -> None:
    path = '/logs/{{.Name}}/{{index .Labels "a b"}}#1.ndjson'
    assert parse_sink("it", f"http://h{path}").target.path == path


def test_a_plus_is_a_plus() -> None:
    """Keys in base64 are full of them."""
    options = parse_sink("it", "http://h/?token=a+b/c%3D%3D").options
    assert options.token.reveal() == "a+b/c=="


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("lokki+http://h", "scheme 'lokki+http' is not known; did you mean scheme 'loki+http'?"),
        ("loki://h", "scheme 'loki' is not known; did you mean scheme 'loki+http'?"),
        ("host:80", "scheme 'host' is not known"),
        ("/var/log/x", "this is no URL such as console: or https://host/path"),
        ("http://h/?tokn=x", "option 'tokn' is not known; did you mean sink it: option 'token'?"),
        ("http://h/?timeout=soon", "option 'timeout': 'soon' is not a duration such as 500ms, 10s or 5m"),
        ("http://h/?timeout=1s&timeout=2s", "option 'timeout' is there twice"),
        ("http://h:0/", "the port is no number from 1 to 65535"),
        ("http://[::1/", "an IPv6 address is written [::1] or [::1]:port"),
        ("console://me@", "console takes no user"),
        ("http://me@h/?user=me", "the user is there twice, before the host and as an option"),
    ],
)
def test_a_complaint_says_what_is_wrong(url: str, said: str) -> None:
    (problem,) = problems(url)
    assert problem.startswith("sink it: ")
    assert said in problem


def test_all_faults_are_found_at_once() -> None:
    found = problems("tcp://me:pw@h:1?timeout=soon&batch_age=never&colour=red")
    assert len(found) == 5


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{PASSWORD}@h:port/",
        f"http://me:{PASSWORD}@h/?tokn=x",
        f"http://me:{PASSWORD}@h/?timeout=x",
        f"http://me:/{PASSWORD}@h/",
        f"http://me:12/{PASSWORD}@h/?x=1",
        f"http://me:x/{PASSWORD}@h/",
        f"http://me:x?{PASSWORD}@h/",
        f"http://me:@x/{PASSWORD}@h/",
        f"http://me:1?{PASSWORD}=@h/",
        f"http://h/?token=a&{PASSWORD}",
        f"http://h/?token=a&{PASSWORD}=b",
        f"http://h/?headers={PASSWORD}",
        f"http://h/?headers=X={PASSWORD},{PASSWORD}",
        f"nonsense://me:{PASSWORD}@h/?token={PASSWORD}",
        f"tcp://me:{PASSWORD}@h:1",
        f"console:?token={PASSWORD}",
        f"http://me:{PASSWORD}@h/?token={PASSWORD}",
        f"http://h/?token={PASSWORD}&token={PASSWORD}",
        f"http://h/?token={PASSWORD}&token_file=/no/such",
        f"http://me:{PASSWORD}@[::1/",
    ],
)
def test_no_complaint_and_no_redacted_url_shows_a_secret(url: str) -> None:
    said = redact(url)
    try:
        parse_sink("it", url)
    except SettingsError as error:
        said += str(error) + repr(error)
    assert PASSWORD not in said


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=6).map(
        lambda text: f"{text}s3cr3t"
    )
)
def test_no_secret_typed_without_escapes_is_shown(secret: str) -> None:
    for url in (f"http://me:{secret}@h/", f"http://h/?token={secret}", f"redis://:{secret}@h/"):
        said = redact(url)
        try:
            parse_sink("it", url)
        except SettingsError as error:
            said += str(error)
        assert "s3cr3t" not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("console:?format=json", "console:?format=json"),
        (
            "http://me:pw@h:80/p?token=t&timeout=5s&headers=A=b",
            "http://me:***@h:80/p?token=***&timeout=5s&headers=***",
        ),
        ("https://lone-token@h/", "https://***@h/"),
        ("loki+http://h?token_file=/run/secrets/t", "loki+http://h?token_file=/run/secrets/t"),
        ("unknown://h/p?a=b", "unknown://h/p?a=***"),
        ("no url", "***"),
    ],
)
def test_what_is_no_secret_is_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{PASSWORD}\n")
    options = parse_sink("it", f"http://h/?token_file={file}").options
    assert options.token.reveal() == PASSWORD


def test_a_file_that_cannot_be_read_is_named() -> None:
    (problem,) = problems("http://h/?token_file=/no/such")
    assert problem == "sink it: option 'token_file': cannot read /no/such: No such file or directory"


def test_a_secret_and_its_file_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (problem,) = problems(f"http://h/?token=x&token_file={tmp_path / 'token'}")
    assert problem == "sink it: 'token' and 'token_file' are both set; keep one"


def test_only_secrets_have_files() -> None:
    assert "option 'timeout_file' is not known" in problems("http://h/?timeout_file=/x")[0]


def test_every_scheme_has_options_and_a_summary() -> None:
    found = {scheme.name: scheme for scheme in schemes()}
    assert found["http"].options is HttpLinesOptions
    assert found["loki+https"].options is LokiOptions
    assert found.keys() >= {"console", "file", "http", "https", "tcp", "tls", "loki+http", "loki+https"}
    for scheme in found.values():
        assert issubclass(scheme.options, SinkOptions)
        assert scheme.summary.endswith(".")


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


class TestExtras:
    """Clients that only their sink needs."""

    @staticmethod
    def without(module: str, *command: str) -> subprocess.CompletedProcess[str]:
        """`dockferry` as after `pip install dockferry` without that extra."""
        program = f"import sys; sys.modules[{module!r}] = None; from agent.cli import main; sys.exit(main())"
        return run_python(program, *command)

    @pytest.mark.parametrize(
        ("module", "url", "said"),
        [
            ("aiokafka", "kafka://h:9092/logs", "kafka: needs the package aiokafka: pip install '{}[kafka]'"),
            ("google.auth", "gcplogs://p/l", "gcplogs: needs the package google-auth: pip install '{}[gcp]'"),
            ("aiobotocore", "s3://bucket", "s3: needs the package aiobotocore: pip install '{}[aws]'"),
        ],
    )
    def test_one_that_is_missing_says_how_to_get_it(self, module: str, url: str, said: str) -> None:
        ran = self.without(module, "check", url)
        assert ran.returncode == 2
        assert ran.stderr.strip() == f"dockferry: sink {said.format('dockferry')}"

    def test_the_others_go_on_without_it(self) -> None:
        """And `options` tells what is not there."""
        ran = self.without("aiokafka", "options")
        assert ran.returncode == 0
        assert "loki+https" in ran.stdout
        assert "  sink kafka: needs the package aiokafka: pip install 'dockferry[kafka]'\n" in ran.stdout
        asked = self.without("aiokafka", "options", "kafka")
        assert (asked.returncode, asked.stdout) == (2, "")
        assert "pip install 'dockferry[kafka]'" in asked.stderr

    def test_the_reference_is_not_made_without_it(self, tmp_path: Path) -> None:
        """It would leave out what others have."""
        ran = run_python(
            "import sys; sys.modules['aiokafka'] = None; from pathlib import Path;"
            "from agent.reference import write; write(Path(sys.argv[1]))",
            str(tmp_path),
        )
        assert "UsageError: sink kafka: needs the package aiokafka" in ran.stderr
        assert list(tmp_path.iterdir()) == []

    def test_each_is_what_pip_brings(self) -> None:
        """The table says what pyproject.toml says."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = {name: each for name, each in project["optional-dependencies"].items() if name != "all"}
        brought = {(re.split(r"[^\w-]", need)[0], name) for name, needs in extras.items() for need in needs}
        assert set(_EXTRAS.values()) == brought - {("rich", "terminal")}

    def test_a_command_says_how_to_get_what_it_needs(self) -> None:
        """`top` alone needs what sinks do not."""
        ran = self.without("rich", "top")
        assert (ran.returncode, ran.stderr) == (
            2,
            "dockferry: `top` needs rich: pip install 'dockferry[terminal]'\n",
        )

    def test_here_none_is_missing(self) -> None:
        assert missing() == {}


class TestForeignSinks:
    """A package of someone else's, as `pip` leaves it: found by its entry point."""

    @staticmethod
    def install(where: Path, package: str, scheme: str) -> None:
        (where / f"{package}.py").write_text(
            "from agent.sinks.console import ConsoleSink\n"
            f"class {package.title()}(ConsoleSink):\n    '''Somebody else's.'''\n"
        )
        info = where / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[dockferry.sinks]\n{scheme} = {package}:{package.title()}\n")

    def test_one_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, "carrier", "pigeon+air")
        monkeypatch.syspath_prepend(tmp_path)
        sink = parse_sink("it", "pigeon+air://loft?format=json")
        assert type(sink).__name__ == "Carrier"
        assert (sink.target.scheme, sink.target.transport, sink.options.format) == ("pigeon", "air", "json")

    def test_two_of_a_name_are_an_error_naming_both(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, "mine", "console")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UsageError) as caught:
            parse_sink("it", "console:")
        assert "agent.sinks.console:ConsoleSink and mine:Mine" in str(caught.value)

    def test_one_that_cannot_be_imported_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, "broken", "broken")
        (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UsageError, match=r"broken:Broken, cannot be imported: .*no_such_module_at_all"):
            parse_sink("it", "broken:")

    def test_one_that_is_no_sink_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, "odd", "odd")
        (tmp_path / "odd.py").write_text("Odd = dict\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UsageError, match=r"no subclass of agent\.sinks\.base\.Sink"):
            parse_sink("it", "odd:")
