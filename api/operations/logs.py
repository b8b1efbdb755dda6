"""The log of a serving process: lines on standard error, JSON for machines or text for a terminal.

Every module uses the standard `logging`; structured fields go into `extra={"fields": {...}}`. This module decides
where lines go and how they are formatted, and is the last safeguard against secrets and personal data: whatever looks
like a key, a password, a phone or identity number or a mail address is redacted, and errors are logged without the
values they quote. The first safeguard is the caller, who logs no bodies, no query values and no names.

A separate thread writes the lines, so a log that is not read does not delay requests; lines that do not fit into the
queue are dropped, and their number is logged.
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
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any, TextIO

OWN_LOGGERS = ("api", "replay", "projections", "ledger")
LINES_WAITING_MAX = 10_000
FLUSH_SECONDS_MAX = 2.0
"""How long the process waits at its end for a log that is not read."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request, which is in every line logged for it (`api/http/requests/request_log.py`)."""

logger = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """The format of a line."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The minimum level of the lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class LogSettings:
    """What is logged and how. `format`: by default text for a terminal and JSON for anything else."""

    format: LogFormat | None = None
    level: LogLevel = LogLevel.INFO
    all_requests: bool = False


@contextmanager
def logging_to(stream: TextIO, settings: LogSettings) -> Iterator[None]:
    """Write the log of this process to a stream, until the end of the block."""
    form = settings.format or (LogFormat.TEXT if stream.isatty() else LogFormat.JSON)
    handler, target = _Handler(), _StreamHandler(stream)
    target.setFormatter(JsonLines() if form is LogFormat.JSON else TextLines())
    listener = _Listener(handler, target)
    listener.start()
    root, before = logging.getLogger(), threading.excepthook
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.addHandler(handler)
    for name in OWN_LOGGERS:  # libraries log warnings and errors only
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    threading.excepthook = _on_thread_error
    try:
        yield
    finally:
        threading.excepthook = before
        logging.captureWarnings(capture=False)
        for name in OWN_LOGGERS:
            logging.getLogger(name).setLevel(logging.NOTSET)
        root.removeHandler(handler)
        listener.stop()


def _on_thread_error(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread else "a thread"
    logger.critical("the thread %s ended with an error", name, exc_info=arguments.exc_value)


class _Handler(QueueHandler):
    """Queues records for the thread that writes them; when the queue is full, records are dropped and counted."""

    def __init__(self) -> None:
        self.records: queue.Queue[logging.LogRecord | None] = queue.Queue(LINES_WAITING_MAX)
        super().__init__(self.records)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Format the message now: its arguments may change before the thread writes it."""
        record.request_id = request_id.get()
        if isinstance(record.args, tuple):
            record.args = tuple(_message_of(arg) if isinstance(arg, BaseException) else arg for arg in record.args)
        record.msg, record.args = record.getMessage(), None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record, without waiting."""
        try:
            self.records.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Wait until the queued records are written, for at most FLUSH_SECONDS_MAX."""
        deadline = time.monotonic() + FLUSH_SECONDS_MAX
        while self.records.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)


class _StreamHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream; when it is closed, the service continues without a log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore the error."""


class _Listener(QueueListener):
    """The thread that writes the records."""

    def __init__(self, handler: _Handler, target: logging.Handler) -> None:
        super().__init__(handler.queue, target)
        self._handler = handler
        self._thread: threading.Thread | None

    def start(self) -> None:
        """Start the thread."""
        super().start()
        if self._thread:
            self._thread.name = "log"

    def handle(self, record: logging.LogRecord) -> None:
        """Write a record, and queue a warning if others were dropped."""
        super().handle(record)
        if self._handler.dropped:
            dropped, self._handler.dropped = self._handler.dropped, 0
            logger.warning("log lines dropped, because the log was not read: %d", dropped)

    def stop(self) -> None:
        """Write the queued records, for at most FLUSH_SECONDS_MAX."""
        deadline = time.monotonic() + FLUSH_SECONDS_MAX
        self.enqueue_sentinel()
        if self._thread:
            self._thread.join(max(deadline - time.monotonic(), 0.0))

    def enqueue_sentinel(self) -> None:
        """Queue the end marker, if need be in place of a record."""
        try:
            self._handler.records.put(None, timeout=FLUSH_SECONDS_MAX / 2)
        except queue.Full:
            with suppress(queue.Empty, queue.Full):
                self._handler.records.get_nowait()
                self._handler.records.put_nowait(None)


class JsonLines(logging.Formatter):
    """Format a line as a JSON object: time, level, logger, message, then its fields, the request's id, the error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = redacted(_traced(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """Format a line as time, level, logger and message, then `name=value` for each field; errors have extra lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = redacted(record.getMessage())
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_instant(record)} {record.levelname:7} {record.name}: {message}{fields}"
        if record.exc_info and record.exc_info[1]:
            line += "\n" + redacted(_traced(record.exc_info[1]))
        return line


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra: dict[str, Any] = getattr(record, "fields", {})
    fields = {name: redacted(value) if isinstance(value, str) else value for name, value in extra.items()}
    if (own_id := getattr(record, "request_id", None)) is not None:
        fields.setdefault("request_id", own_id)
    return fields


# --- redaction ------------------------------------------------------------------------------------------------------

_REDACTED = "***"
_SECRETS = (
    (re.compile(r"hours_[A-Za-z0-9_-]{8,}"), f"hours_{_REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {_REDACTED}"),
    (re.compile(r"(?i)(://[^\s:/@]*:)[^\s@/]+@"), rf"\1{_REDACTED}@"),
    (re.compile(r"(?i)(password\s*=\s*)('[^']*'|\S+)"), rf"\1{_REDACTED}"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), _REDACTED),
    (re.compile(r"(?<!\w)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\w)"), _REDACTED),
    (re.compile(r"(?<!\w)\d{17}[\dXx](?!\w)"), _REDACTED),
)


def redacted(text: str) -> str:
    """Return a text without anything that looks like a key, a password, a mail address, a phone or identity number."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _message_of(error: BaseException) -> str:
    """Return the message of an error, without values that it may quote.

    The details of PostgreSQL's errors hold whole rows, and pydantic's errors hold the input.
    """
    import psycopg  # noqa: PLC0415 - not for `hours --help`
    from pydantic import ValidationError  # noqa: PLC0415

    if isinstance(error, psycopg.Error):
        return error.diag.message_primary or str(error).partition("\n")[0]
    if isinstance(error, ValidationError):
        found = error.errors(include_input=False, include_context=False, include_url=False)
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['type']}" for item in found)
    return str(error)


def _traced(error: BaseException) -> str:
    """Return an error with its traceback, the innermost frame first, and the errors that caused it."""
    lines: list[str] = []
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        lines.append(f"{type(found).__qualname__}: {_message_of(found)}")
        lines += [
            f"  {_short(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in reversed(traceback.extract_tb(found.__traceback__))
        ]
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return "\n".join(lines)


def _short(filename: str) -> str:
    """Return a file's path relative to the import path, or unchanged if it is not below it."""
    path = Path(filename)
    for entry in sys.path:
        if entry and path.is_relative_to(entry):
            return str(path.relative_to(entry))
    return filename
