"""`hours run` and `hours serve`: their options. What they do is in `serve.py`, imported once memory is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Json, data_of
from api.operations.logs import LogFormat, LogLevel, LogSettings
from api.operations.memory import return_freed_memory

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 chooses a free one.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]


def run(context: typer.Context, *, port: Port = 8000, host: Host = "127.0.0.1", as_json: Json = False) -> None:
    """Serve a demonstration: a synthetic history a hundredth of Luohu's size, generated at the first start."""
    return_freed_memory()
    from api.cli.operations.serve import demonstrate  # noqa: PLC0415 - Arrow takes its memory pool when imported

    demonstrate(data_of(context), host, port, as_json=as_json)


def serve(
    context: typer.Context,
    *,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    per_second: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Requests per second for each key without a limit of its own.")
    ] = 10_000,
    signed_within: Annotated[
        int, typer.Option(min=1, max=86_400, help="The greatest age of a request's signature, in seconds.")
    ] = 300,
    drain_seconds: Annotated[
        int, typer.Option(min=0, max=3_600, help="Seconds that running requests may take to end after SIGTERM.")
    ] = 10,
    connections: Annotated[
        int, typer.Option(min=1, max=100_000, help="Connections at once; a new one takes the place of an idle one.")
    ] = 1000,
    checkpoint_seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="Seconds between signed checkpoints, if anything is new.")
    ] = 60,
    log_policy: Annotated[
        Path | None,
        typer.Option(
            help="A tlog-policy file: the witnesses that cosign checkpoints from now on, also in other commands."
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="By default text on a terminal, otherwise one JSON object per line.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="debug also logs each commit.")] = LogLevel.INFO,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Log every request, not only failed and slow ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve the ledger over HTTP until Ctrl-C; the log goes to standard error."""
    return_freed_memory()
    from api.cli.operations.serve import serve  # noqa: PLC0415 - as above

    serve(
        data_of(context),
        host,
        port,
        LogSettings(log_format, log_level, log_requests),
        per_second=per_second,
        signed_within=signed_within,
        drain_seconds=drain_seconds,
        connections=connections,
        checkpoint_seconds=checkpoint_seconds,
        log_policy=log_policy,
        as_json=as_json,
    )
