"""`POST /v1/commands/<type>`: every command of the ledger as plain JSON, generated from the table of commands.

A command needs no page of code here: its model is its description, its checks and its documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.access.refusals import fault_of_role
from api.access.roles import Caller, Permission
from api.http.requests.dependencies import CallerDep, ServiceDep
from api.http.requests.submission import IntakeOptions, IntakeQuery, projected, refused_for_content, take
from api.messages.examples import EXAMPLES
from api.messages.problems import Problem, fault_of_refusal, fault_of_validation
from api.operations.service import Service
from ledger.aggregates import COMMANDS, Command, Order
from ledger.intake.answers import Accepted
from ledger.intake.prepare import prepare
from ledger.names import COMMAND_ID_FORM, CommandId

router = APIRouter(tags=["commands"])

_command_id: TypeAdapter[str] = TypeAdapter(CommandId)


class CommandAccepted(BaseModel):
    """The command is in the ledger. `position`: its last event's, to ask readers for with `at_least`.

    After a dry run `recorded` is false, and there is no position. `projected`: whether the read models include it,
    where that was waited for.
    """

    position: int | None
    shift: UUID | None
    duplicate: bool
    source: str
    id: str
    recorded: bool = True
    projected: bool | None = None


Endpoint = Callable[..., Coroutine[Any, Any, CommandAccepted]]


async def _give(
    command: Command, response: Response, service: Service, caller: Caller, name: str | None, asked: IntakeOptions
) -> CommandAccepted:
    try:
        checked = _command_id.validate_python(str(uuid4()) if name is None else name)
    except ValidationError as error:
        raise Problem(fault_of_validation(error.errors(), prefix="Idempotency-Key")) from None
    # A caller's names are its own: two callers that choose the same one do not meet.
    order = Order.checked(
        command=command,
        source=f"/callers/{caller.by}",
        id=checked,
        by=caller.by,
        key=caller.key,
        by_volunteer=caller.volunteer,
    )
    if forbidden := Permission(caller).forbids(order, named_by_caller=False):
        raise Problem(fault_of_role(forbidden))
    if wrong := refused_for_content(command):
        raise Problem(wrong)
    (answer,) = await take(service, [prepare(order)], asked)
    if not isinstance(answer, Accepted):
        raise Problem(fault_of_refusal(answer))
    recorded = answer.position is not None
    response.status_code = 201 if recorded and not answer.duplicate else 200
    return CommandAccepted(
        position=answer.position,
        shift=answer.shift,
        duplicate=answer.duplicate,
        source=order.source,
        id=order.id,
        recorded=recorded,
        projected=await projected(service, asked, answer.position),
    )


def _idempotency_key(command_type: type[Command]) -> object:
    """Return the type of the header; its example is of this type, as a name is of one command alone."""
    header = Header(
        alias="Idempotency-Key",
        description="The command's name: sent again, it is answered as the first time; sent with other content, it is "
        "refused with 422 `name-taken`. It is kept as written, for ever, and is the caller's own. Made up when absent.",
        json_schema_extra={"pattern": COMMAND_ID_FORM},
        examples=[f"{command_type.TYPE}-8e03978e-40d5-43dd-bc93-6894a57f9324"],
    )
    return Annotated[str | None, header]


def _endpoint(command_type: type[Command]) -> Endpoint:
    """Return the function that takes one type of command; its signature tells FastAPI the model of the body."""

    async def give(**given: Any) -> CommandAccepted:  # what the signature below says
        return await _give(
            given["command"],
            given["response"],
            given["service"],
            given["caller"],
            given["idempotency_key"],
            given["asked"],
        )

    parameters = {
        "command": command_type,
        "response": Response,
        "service": ServiceDep,
        "caller": CallerDep,
        "asked": IntakeQuery,
        "idempotency_key": _idempotency_key(command_type),
    }
    give.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=annotation,
                default=None if name == "idempotency_key" else inspect.Parameter.empty,
            )
            for name, annotation in parameters.items()
        ]
    )
    return give


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
        responses={200: {"description": "The command was there before.", "model": CommandAccepted}},
        openapi_extra={"requestBody": body},
    )


for _command_type in COMMANDS.values():
    _add(_command_type)
