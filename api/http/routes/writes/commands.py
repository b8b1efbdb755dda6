"""`POST /v1/commands/<type>`: every command of the ledger as plain JSON, generated from the table of commands.

A new command needs no code here: its model provides the schema, the validation and the documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.access.roles import Caller
from api.http.requests.dependencies import CallerDep, ServiceDep
from api.http.requests.json_routes import JsonRoute
from api.http.requests.preconditions import IF_MATCH_FORM, based_on
from api.http.requests.submission import IntakeOptions, IntakeQuery, Reader, submit, wait_projected, with_shifts
from api.messages.answers import Notes, PunchId, notes_on
from api.messages.examples import EXAMPLES
from api.messages.problems import Fault, Problem, fault_of_refusal, fault_of_validation, problem
from api.operations.service import Service
from ledger.aggregates import COMMANDS, Command
from ledger.intake.answers import Accepted
from ledger.names import COMMAND_ID_FORM, CommandId

router = APIRouter(tags=["commands"], route_class=JsonRoute)

_command_id: TypeAdapter[str] = TypeAdapter(CommandId)


class CommandAccepted(BaseModel):
    """The command is in the ledger. `position`: the position of its last event, for readers' `at_least`.

    After a dry run `recorded` is false, and `position` is null. `projected`: whether the read models include the
    command; null unless the request waited for that. `punch` and `notes`: see `POST /v1/events`.
    """

    position: int | None
    shift: UUID | None
    punch: PunchId = None
    duplicate: bool
    source: str
    id: str
    recorded: bool = True
    projected: bool | None = None
    notes: Notes = None


Endpoint = Callable[..., Coroutine[Any, Any, CommandAccepted]]


async def _submit(
    command: Command,
    request: Request,
    response: Response,
    service: Service,
    caller: Caller,
    name: str | None,
    options: IntakeOptions,
) -> CommandAccepted:
    command = based_on(command, request.headers.getlist("if-match"))
    if len(request.headers.getlist("idempotency-key")) > 1:
        remedy = "give it once"
        raise problem("invalid", f"Idempotency-Key is given twice; {remedy}", field="Idempotency-Key", remedy=remedy)
    try:
        command_id = _command_id.validate_python(str(uuid4()) if name is None else name)
    except ValidationError as error:
        raise Problem(fault_of_validation(error.errors(), prefix="Idempotency-Key")) from None
    prepared = Reader(caller).order(command, realm="callers", id=command_id)
    if isinstance(prepared, Fault):
        raise Problem(prepared)
    (answer,) = await submit(request, [prepared], options)
    if not isinstance(answer, Accepted):
        raise Problem(fault_of_refusal(answer))
    projected = await wait_projected(service, options, answer.position)
    if projected:
        (answer,) = await with_shifts(service, [prepared], [answer])
    recorded = answer.position is not None
    response.status_code = 201 if recorded and not answer.duplicate else 200
    return CommandAccepted(
        position=answer.position,
        shift=answer.shift,
        punch=answer.punch,
        duplicate=answer.duplicate,
        source=prepared.order.source,
        id=prepared.order.id,
        recorded=recorded,
        projected=projected,
        notes=notes_on(await request.body()),
    )


def _if_match(command_type: type[Command]) -> object:
    """Return the type of the header."""
    header = Header(
        alias="If-Match",
        description="The version of the record that the command is based on, as the `ETag` of an answer has it. If the "
        "record has another version, the command is refused with 412 `changed-since`. `expected_version` in the body "
        "means the same.",
        json_schema_extra={"pattern": IF_MATCH_FORM},
        examples=['"3"'],
        include_in_schema="expected_version" in command_type.model_fields,
    )
    return Annotated[str, header]  # never null: a header is left out, and then the default is None


def _idempotency_key(command_type: type[Command]) -> object:
    """Return the type of the header; its example names the type of command, because a name can be used only once."""
    header = Header(
        alias="Idempotency-Key",
        description="The command's name. A command sent again under its name is answered as the first time; with other "
        "content it is refused with 422 `name-taken`. Names are stored permanently as written, and each caller has its "
        "own. By default a new UUID.",
        json_schema_extra={"pattern": COMMAND_ID_FORM},
        examples=[f"{command_type.TYPE}-8e03978e-40d5-43dd-bc93-6894a57f9324"],
    )
    return Annotated[str | None, header]


def _endpoint(command_type: type[Command]) -> Endpoint:
    """Return the endpoint for one type of command; its signature tells FastAPI the model of the body."""

    async def endpoint(**arguments: Any) -> CommandAccepted:  # its real signature is set below
        return await _submit(
            arguments["command"],
            arguments["request"],
            arguments["response"],
            arguments["service"],
            arguments["caller"],
            arguments["idempotency_key"],
            arguments["options"],
        )

    parameters = {
        "command": command_type,
        "request": Request,
        "response": Response,
        "service": ServiceDep,
        "caller": CallerDep,
        "options": IntakeQuery,
        "idempotency_key": _idempotency_key(command_type),
        "if_match": _if_match(command_type),
    }
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=annotation,
                default=None if name in {"idempotency_key", "if_match"} else inspect.Parameter.empty,
            )
            for name, annotation in parameters.items()
        ]
    )
    return endpoint


def _add(command_type: type[Command]) -> None:
    name = command_type.TYPE
    body = {"content": {"application/json": {"example": EXAMPLES[name]}}}
    router.add_api_route(
        f"/v1/commands/{name}",
        _endpoint(command_type),
        methods=["POST"],
        status_code=201,
        summary=name.replace("-", " ").capitalize(),
        description=inspect.getdoc(command_type) if command_type.__doc__ != Command.__doc__ else None,
        operation_id=name,
        responses={
            200: {
                "description": "The command had been recorded before, or nothing is recorded (`dry_run`).",
                "model": CommandAccepted,
            }
        },
        openapi_extra={"requestBody": body},
    )


for _command_type in COMMANDS.values():
    _add(_command_type)
