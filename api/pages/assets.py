"""The files of the pages. Each is read once. Its address names its digest, so browsers may keep it for ever."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

STATIC = Path(__file__).parent / "static"
PREFIX = "/assets"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain",
}
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


class Asset(NamedTuple):
    """A file: its content, media type, and the digest in its address."""

    content: bytes
    media_type: str
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """Return all files by their names below `static/`."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.is_file() and path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            name = path.relative_to(STATIC).as_posix()
            found[name] = Asset(content, _MEDIA_TYPES[path.suffix], sha256(content).hexdigest()[:10])
    return found


def asset_address(name: str) -> str:
    """Return the address of a file."""
    return f"{PREFIX}/{assets()[name].digest}/{name}"


@router.get(f"{PREFIX}/{{digest}}/{{name:path}}")
async def asset(request: Request, digest: str, name: str) -> Response:
    """A file. Under another digest, which a page of an older version names, it is served but not kept."""
    found = assets().get(name)
    if found is None:
        raise HTTPException(404)
    kept = _FOR_EVER if digest == found.digest else "no-cache"
    headers = {"Cache-Control": kept, "ETag": f'"{found.digest}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
