"""The log of a serving process: lines on standard error, JSON for machines or text for a terminal.

Every module writes with the standard `logging`; what belongs in columns goes into `extra={"fields": {...}}`. This
module says where lines go and what they look like, and is the last wall in front of what no log may hold: whatever
looks like a key, a password, a phone or identity number or a mail address is blotted out, and an error is told without
the values it quotes. The first wall is whoever writes: no bodies, no query values, no names.

Lines are written by a thread of their own, so a log that nobody reads holds up no request; what there is no room for is
counted and told.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

OURS = ("api", "replay", "projections", "ledger")
LINES_WAITING_MAX = 10_000
FLUSH_SECONDS_MAX = 2.0
"""How long the end of the process waits for a log that is not read."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request under way: every line that is written for it carries it
(`api/http/requests/request_log.py`)."""

logger = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """What a line looks like."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least a line must matter to be written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class LogSettings:
    """What is logged and how. `format`: text for a terminal and JSON for anything else, where nothing is said."""

    format: LogFormat | None = None
    level: LogLevel = LogLevel.INFO
    all_requests: bool = False


@contextmanager
def logging_to(stream: TextIO, settings: LogSettings) -> Iterator[None]:
    """Write the log of this process to a stream, until the end of the block."""
    shape = settings.format or (LogFormat.TEXT if stream.isatty() else LogFormat.JSON)
    writer = _Writer(stream, JsonLines() if shape is LogFormat.JSON else TextLines())
    root, before = logging.getLogger(), threading.excepthook
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.addHandler(writer)
    for name in OURS:  # libraries are heard from warnings on: their insides are not what was asked for
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    threading.excepthook = _on_thread_error
    try:
        yield
    finally:
        threading.excepthook = before
        logging.captureWarnings(capture=False)
        for name in OURS:
            logging.getLogger(name).setLevel(logging.NOTSET)
        root.removeHandler(writer)
        writer.close()


def _on_thread_error(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread else "a thread"
    logger.critical("the thread %s ended with an error", name, exc_info=arguments.exc_value)


class _Writer(logging.Handler):
    """Hands records to a thread that writes them."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__()
        self.formatter = formatter
        self._stream = stream
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(LINES_WAITING_MAX)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        record.request_id = request_id.get()
        if isinstance(record.args, tuple):
            record.args = tuple(_said(one) if isinstance(one, BaseException) else one for one in record.args)
        record.msg, record.args = record.getMessage(), None  # what it tells of may change before it is written
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._left_out += 1

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        deadline = time.monotonic() + FLUSH_SECONDS_MAX
        try:
            self._queue.put(None, timeout=FLUSH_SECONDS_MAX / 2)
        except queue.Full:  # a line makes room for the end
            with suppress(queue.Empty, queue.Full):
                self._queue.get_nowait()
                self._queue.put_nowait(None)
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        super().close()

    def _write(self) -> None:
        while record := self._queue.get():
            try:
                self._stream.write(self.format(record) + "\n")
                if self._left_out:
                    lost, self._left_out = self._left_out, 0
                    logger.warning("lines of the log were left out, as nobody read it: %d", lost)
                if self._queue.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # nobody is there to read; that ends no service
                continue
        with suppress(OSError, ValueError):  # the last line was not the last in the queue: the end stood behind it
            self._stream.flush()


class JsonLines(logging.Formatter):
    """A line is a JSON object: time, level, logger, message, then its fields, the request's id, the error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrubbed(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = scrubbed(_traced(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """A line is time, level, logger and message, then `name=value` for each field; an error has lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = scrubbed(record.getMessage())
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_instant(record)} {record.levelname:7} {record.name}: {said}{fields}"
        if record.exc_info and record.exc_info[1]:
            line += "\n" + scrubbed(_traced(record.exc_info[1]))
        return line


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given: dict[str, Any] = getattr(record, "fields", {})
    fields = {name: scrubbed(value) if isinstance(value, str) else value for name, value in given.items()}
    if (of_request := getattr(record, "request_id", None)) is not None:
        fields.setdefault("request_id", of_request)
    return fields


# --- what no log may hold -------------------------------------------------------------------------------------------

_BLOTTED = "***"
_SECRETS = (
    (re.compile(r"hours_[A-Za-z0-9_-]{8,}"), f"hours_{_BLOTTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {_BLOTTED}"),
    (re.compile(r"(?i)(://[^\s:/@]*:)[^\s@/]+@"), rf"\1{_BLOTTED}@"),
    (re.compile(r"(?i)(password\s*=\s*)('[^']*'|\S+)"), rf"\1{_BLOTTED}"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), _BLOTTED),
    (re.compile(r"(?<!\w)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\w)"), _BLOTTED),
    (re.compile(r"(?<!\w)\d{17}[\dXx](?!\w)"), _BLOTTED),
)


def scrubbed(text: str) -> str:
    """Return a text without what looks like a key, a password, a mail address, a phone or an identity number."""
    for pattern, blotted in _SECRETS:
        text = pattern.sub(blotted, text)
    return text


def _said(error: BaseException) -> str:
    """Return what an error says, without the values that it may quote.

    PostgreSQL's details hold whole rows, and pydantic's errors what was given.
    """
    import psycopg  # noqa: PLC0415 - `hours --help` must not wait for it
    from pydantic import ValidationError  # noqa: PLC0415

    if isinstance(error, psycopg.Error):
        return error.diag.message_primary or str(error).partition("\n")[0]
    if isinstance(error, ValidationError):
        found = error.errors(include_input=False, include_context=False, include_url=False)
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in found)
    return str(error)


def _traced(error: BaseException) -> str:
    """Return an error with the places it went through, and the errors before it."""
    lines: list[str] = []
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        lines.append(f"{type(found).__qualname__}: {_said(found)}")
        lines += [
            f"  {_short(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in reversed(traceback.extract_tb(found.__traceback__))
        ]
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return "\n".join(lines)


def _short(filename: str) -> str:
    """Return a file's path as it is imported, where that can be told."""
    path = Path(filename)
    for place in sys.path:
        if place and path.is_relative_to(place):
            return str(path.relative_to(place))
    return filename
