"""What stack traces look like, as the runtimes print them. Names of states begin with the language's.

Sources: printStackTrace of OpenJDK; traceback.py, asyncio and logging of CPython; runtime/traceback.go of Go and
ThreadSanitizer's reports; Exception.ToString and the console logger of .NET; error.c of Ruby; util.inspect and
the fatal exceptions of Node.js; zend_exceptions.c of PHP. All but .NET's were compared with what the programs print.

Every pattern is linear in the line: `re` matches them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.pipeline.multiline.traces import END, HEAD, Language, Move, Start

_FRAME = r"^[ \t]+(?:eval )?at [\w$</\[(]"
_INDENTED = r"^[ \t]+\S"
_EMPTY = r"^[ \t]*$"

_JAVA_EXCEPTION = (
    r'^(?:Exception in thread "[^"\n]*" '
    r"|(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable|Fault|Failure)(?:[:;]|[ \t]*$))"
)
_JAVA = Language(
    starts=(
        Start(_JAVA_EXCEPTION, "java.exception"),
        Start(r"^(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?:: |$)", "java.maybe"),
        # java.util.logging writes two lines, and the second has the level.
        Start(r"^[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d\d:\d\d[^A-Z\n]{1,3}[AP]M ", "java.logging"),
    ),
    moves=(
        Move(HEAD, _JAVA_EXCEPTION, "java.exception"),
        Move(f"{HEAD} java.maybe", _FRAME, "java.trace"),
        Move("java.exception java.trace", _INDENTED, "java.trace"),
        Move("java.exception java.trace", r"^(?:Caused by|Suppressed|Wrapped by): ", "java.exception"),
        Move("java.trace", r"^\.\.\. \d+ (?:more|common frames omitted)", "java.trace"),
        Move("java.exception", _EMPTY, "java.gap"),
        Move("java.gap", _INDENTED, "java.trace"),
        Move("java.trace", _EMPTY, END),
        Move("java.logging", r"^(?:SEVERE|WARNING|INFO|CONFIG|FINE|FINER|FINEST): ", HEAD),
    ),
)

_PYTHON_TRACEBACK = r"^Traceback \(most recent call last\):[ \t]*$"
_PYTHON_GROUP = r"^  \+ Exception Group Traceback "
_PYTHON_RICH = "^╭(?:─)+ Traceback "
# A class, with or without its module, but not the level of some other record.
_PYTHON_EXCEPTION = (
    r"^(?:(?:[A-Za-z_]\w*|<locals>)\.)*"
    r"(?!(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b)[A-Za-z_]\w*(?::|$)"
)
_PYTHON_MORE = r"^(?:\[SQL: |\[parameters: |\(Background on this error |LINE \d+: |DETAIL: |HINT: |CONTEXT: )"
_PYTHON_THREAD = r"^(?:Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\):"
_PYTHON = Language(
    starts=(
        Start(_PYTHON_TRACEBACK, "python.body"),
        Start(r"^[^ \t\n].*Traceback \(most recent call last\):[ \t]*$", "python.body"),
        Start(r"^[ \t]+Traceback \(most recent call last\):[ \t]*$", "python.stack"),
        Start(_PYTHON_GROUP, "python.group"),
        Start(_PYTHON_RICH, "python.rich"),
        Start(r'^  File "[^"\n]*", line \d+$', "python.body"),
        Start(r"^--- Logging error ---$", "python.report"),
        Start(r"^Process [\w-]+:$", "python.report"),
        Start(r"^(?:Task|Future) exception was never retrieved$", "python.report"),
        Start(r"^Fatal Python error: ", "python.fatal"),
        Start(_PYTHON_THREAD, "python.threads"),
        Start(r"^[^ \t\n].*:\d+: \w*Warning: ", "python.warning"),
    ),
    moves=(
        Move(f"{HEAD} python.report", _PYTHON_TRACEBACK, "python.body"),
        Move(f"{HEAD} python.report", _PYTHON_GROUP, "python.group"),
        Move(f"{HEAD} python.report", _PYTHON_RICH, "python.rich"),
        Move(
            f"{HEAD} python.report",
            r"^(?:future|task|handle|protocol|transport|asyncgen): <",
            "python.report",
        ),
        Move(f"{HEAD} python.done", r"^Stack \(most recent call last\):$", "python.stack"),
        Move(
            f"{HEAD} python.report",
            r"^(?:source_traceback: )?Object created at \(most recent call last\):$",
            "python.origin",
        ),
        Move("python.origin", _INDENTED, "python.origin python.report"),
        Move("python.body", _INDENTED, "python.body"),
        Move("python.body", _PYTHON_EXCEPTION, "python.done"),
        # loguru puts empty lines around frames, and marks the one that caught it.
        Move("python.body", _EMPTY, "python.between"),
        Move("python.between", r"^(?:[ \t]+\S|> File )", "python.body"),
        Move("python.between", _PYTHON_EXCEPTION, "python.done"),
        Move("python.rich", "^(?:│|├)", "python.rich"),
        Move("python.rich", "^╰", "python.body"),
        Move("python.stack", _INDENTED, "python.stack"),
        Move("python.group", r"^(?!  \+ Exception Group ) +[|+]", "python.group"),
        Move("python.done", r'^(?!  File "|  \+ Exception Group )[ \t]+\S', "python.done"),
        Move("python.done", _PYTHON_MORE, "python.done"),
        Move("python.done python.group", _EMPTY, "python.gap"),
        Move(
            "python.gap",
            r"^(?:During handling of the above exception|The above exception was the direct cause)",
            "python.chained",
        ),
        Move("python.chained", _EMPTY, "python.chained"),
        Move("python.chained", _PYTHON_TRACEBACK, "python.body"),
        Move("python.chained", _PYTHON_GROUP, "python.group"),
        Move("python.chained", _PYTHON_RICH, "python.rich"),
        Move("python.done", r"^Call stack:$", "python.call"),
        Move("python.call", _INDENTED, "python.call"),
        Move("python.call", r"^Message: ", "python.arguments"),
        Move("python.arguments", r"^Arguments: ", END),
        Move("python.fatal", r"^Python runtime state: ", "python.fatal"),
        Move("python.fatal python.threads", _EMPTY, "python.fatal"),
        Move("python.fatal python.threads", _PYTHON_THREAD, "python.threads"),
        Move("python.threads", _INDENTED, "python.threads"),
        Move("python.fatal python.threads", r"^Extension modules: ", END),
        Move("python.warning", _INDENTED, END),
    ),
)

_GO_ROUTINE = r"^(?:goroutine \d+ [^\[\n]*\[[^\]\n]*\]:|runtime stack:)$"
_GO_FUNCTION = r"^(?:panic|main|[A-Za-z_][^\s(.]*\.[^\s(]*)\("
_GO = Language(
    starts=(
        Start(r"^(?:panic|fatal error): ", "go.panic go.words"),
        Start(r"^(?:unexpected fault address |SIG[A-Z]+: |runtime: goroutine stack exceeds )", "go.panic"),
        Start(r"http: panic serving ", "go.panic"),
        Start(_GO_ROUTINE, "go.frames"),
        Start(r"^={18}$", "go.race"),
    ),
    moves=(
        Move(HEAD, r"^(?:panic|fatal error): ", "go.panic go.words"),
        Move(f"{HEAD} go.panic go.gap", _GO_ROUTINE, "go.frames"),
        Move("go.panic", r"^(?:\[signal |runtime: |PC=|[ \t])", "go.panic"),
        Move("go.panic", r"^fatal error: ", "go.panic"),
        # The text of an error may have some more lines, which older versions do not indent.
        Move("go.words", r"^\S", "go.panic go.words2"),
        Move("go.words", r"^[ \t]", "go.words"),
        Move("go.words2", r"^\S", "go.panic go.words3"),
        Move("go.words3", r"^\S", "go.panic"),
        Move("go.panic go.frames", r"^$", "go.gap"),
        Move("go.frames", _GO_FUNCTION, "go.frames"),
        Move("go.frames", r"^(?:[ \t]+\S|created by |\.\.\.(?:additional|\d+) frames elided)", "go.frames"),
        Move("go.frames go.gap", r"^exit status \d+$", END),
        Move("go.gap go.registers", r"^[a-z][a-z0-9]{1,7} +0x[0-9a-f]+$", "go.registers"),
        Move("go.registers", r"^exit status \d+$", END),
        # zap, and pkg/errors: a name in a line, its file in the next.
        Move(f"{HEAD} go.file", r"^[A-Za-z_][\w/-]*\.[\w./-]*(?:\(\*\w+\)[\w.]*)?$", "go.name"),
        Move("go.name", r"^\t\S.*:\d+$", "go.file"),
        Move("go.race", r"^WARNING: DATA RACE$", "go.races"),
        Move(
            "go.races",
            r"^(?:[ \t]|$|(?:Previous |Atomic |Write |Read |Goroutine |Mutex |Location |As if )\S)",
            "go.races",
        ),
        Move("go.races", r"^={18}$", "go.raced"),
        Move("go.raced", r"^Found \d+ data race\(s\)$", END),
    ),
)

_DOTNET_EXCEPTION = (
    r"^(?:Unhandled [Ee]xception[.:] |(?:[A-Za-z_]\w*\.)+\w*Exception(?:`\d+)?(?:\[.*\])?(?:: | \(|$))"
)
_DOTNET = Language(
    starts=(
        Start(_DOTNET_EXCEPTION, "dotnet.trace"),
        Start(r"\b(?:trce|dbug|info|warn|fail|crit): [^ \n]+\[\d+\]$", "dotnet.logger"),
    ),
    moves=(
        Move(HEAD, _DOTNET_EXCEPTION, "dotnet.trace"),
        Move(f"{HEAD} dotnet.trace", _FRAME, "dotnet.trace"),
        Move("dotnet.trace", r"^(?:[ \t]+\S|--- End of )", "dotnet.trace"),
        Move("dotnet.trace", r"^.*<---$", "dotnet.inner"),
        Move("dotnet.inner", _EMPTY, "dotnet.trace"),
        Move("dotnet.logger", r"^ {6}", "dotnet.logger"),
        Move("dotnet.logger", r"^.*<---$", "dotnet.inner dotnet.logger"),
    ),
)

_RUBY_PLACE = r"^[^\s:][^:\n]*:\d+:in [`']"
_RUBY_FRAME = r"^[ \t]*[^\s:][^:\n]*:\d+:in [`'][^\n]*'$"
_RUBY = Language(
    starts=(
        Start(_RUBY_PLACE, "ruby.error"),
        Start(_RUBY_PLACE + r"[^\n]*\((?:NameError|NoMethodError|TypeError|ArgumentError)\)$", "ruby.shown"),
        Start(_RUBY_PLACE + r"(?:rescue|ensure) in ", "ruby.caused"),
        Start(r"^(?:\[[\w-]+\] )?[A-Z][\w:]*(?:Error|Exception|NotFound|Invalid) \(.*\):?$", "ruby.rails"),
    ),
    moves=(
        Move(HEAD, _RUBY_PLACE, "ruby.error ruby.frames"),
        Move("ruby.error", _INDENTED, "ruby.error"),
        Move("ruby.error ruby.caused", r"^Did you mean\?", "ruby.error"),
        Move("ruby.error ruby.caused", r"^[ \t]+from [^\n]*[`'](?:rescue|ensure) in ", "ruby.caused"),
        Move("ruby.caused", _INDENTED, "ruby.caused"),
        Move("ruby.caused", _RUBY_PLACE, "ruby.error"),
        Move("ruby.caused", _RUBY_PLACE + r"(?:rescue|ensure) in ", "ruby.caused"),
        # The line of the source, with a mark below what went wrong in it.
        Move("ruby.shown", _EMPTY, "ruby.gap"),
        Move("ruby.gap", r"^.*\S", "ruby.source"),
        Move("ruby.source", r"^[ \t]*\^+$", "ruby.error"),
        Move("ruby.frames ruby.rails", _RUBY_FRAME, "ruby.frames"),
        Move("ruby.rails", _EMPTY, "ruby.rails"),
    ),
)

_NODE_FRAME = r"^[ \t]+(?:at [\w$</\[(]|\.\.\. \d+ lines matching |\[\.\.\. lines matching )"
_NODE = Language(
    starts=(
        Start(r"^(?:/|file:|node:|evalmachine|\[eval\]|[A-Za-z]:\\)[^\n]*:\d+$", "node.place"),
        Start(r"^(?:Uncaught )?(?:\w+\.)*\w*(?:Error|Exception)(?: \[\w+\])?(?::|$)", "node.error"),
        Start(r"(?:^|[ :])[A-Z]+[a-z]\w*: \S", "node.maybe"),
        Start(r"^\(node:\d+\) ", "node.warning"),
    ),
    moves=(
        Move(f"{HEAD} node.maybe node.warning", _NODE_FRAME, "node.trace"),
        Move("node.warning", r"^\(Use `node ", END),
        # The place, the line of the source, and a mark below it come before an error that ends the process.
        Move("node.place", r"^.*\S", "node.source"),
        Move("node.place node.source node.between", _EMPTY, "node.between"),
        Move("node.source", r"^[ \t]*[\^~]+[ \t]*$", "node.mark"),
        Move("node.between", r"^(?:Uncaught )?\w*Error", "node.error"),
        Move("node.mark", _EMPTY, "node.mark"),
        Move("node.mark", r"^.*\S", "node.error node.trace"),
        Move("node.error node.trace", r"^(?:[ \t]+\S|\}|Emitted 'error' event |Thrown at:)", "node.trace"),
        Move("node.error", r"^Require stack:$", "node.required"),
        Move("node.required", r"^- ", "node.required"),
        Move("node.required", _INDENTED, "node.trace"),
        Move("node.error node.trace", r"^\(Use `node ", "node.trace"),
        Move("node.error node.trace", _EMPTY, "node.gap"),
        Move("node.gap", r"^Node\.js v\d", END),
        # What an assertion compared stands between its message and its frames.
        Move("node.error", r"^\+ actual - expected", "node.compared"),
        Move("node.gap", r"^.* (?:!==|===|!=|==) ", "node.compared"),
        Move("node.compared", r"^(?:$|[+\- ])", "node.compared"),
        Move("node.compared", _NODE_FRAME, "node.trace"),
    ),
)

_PHP = Language(
    starts=(
        Start(r"(?:Fatal error|Recoverable error|Parse error|Warning): +Uncaught ", "php.error"),
        Start(r"^(?:\w+\\)*\w*(?:Exception|Error): ", "php.error"),
    ),
    moves=(
        Move(f"{HEAD} php.error", r"^(?:PHP )?Stack trace:$", "php.frames"),
        Move("php.error", _INDENTED, "php.error"),
        Move("php.frames", r"^(?:#\d+ |PHP +\d+\. )", "php.frames"),
        Move("php.frames", _EMPTY, "php.gap"),
        Move("php.gap", r"^Next ", "php.error"),
        Move("php.frames", r"^[ \t]+thrown in ", END),
        # Monolog, and so Laravel, write the trace inside of a JSON object.
        Move(HEAD, r"^\[stacktrace\]$", "php.monolog"),
        Move("php.monolog", r"^#\d+ ", "php.monolog"),
        Move("php.monolog", _EMPTY, "php.monolog"),
        Move("php.monolog", r"^\[previous exception\] ", HEAD),
        Move("php.monolog", r'^"\}', END),
    ),
)

#: By the word that asks for it.
PRESETS: Final[Mapping[str, Language]] = {
    "java": _JAVA,
    "python": _PYTHON,
    "go": _GO,
    "dotnet": _DOTNET,
    "ruby": _RUBY,
    "node": _NODE,
    "php": _PHP,
}
