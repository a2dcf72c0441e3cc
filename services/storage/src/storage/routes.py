"""HTTP and topics to handlers. Decides nothing."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.errors import FieldProblem, InvalidRequest, RangeNotSatisfiable
from contracts.views import API, MediaView
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import UploadFile

from storage.domain import read_range
from storage.handlers.serving import Part, Served, Serving
from storage.handlers.uploading import Uploading

CHUNK = 1024 * 1024
# Content of others, served from our origin: shown as what it is said to be, and never run.
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "private, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
}

BINARY = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", **BINARY},
    206: {"description": "The range that was asked for", **BINARY},
    304: {"description": "Not changed since"},
    416: {"description": "No such range"},
}

FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
}
NO_FILE = FieldProblem(field="file", detail="missing", allowed="one file, as multipart/form-data", given=None)


def media_routes(
    uploading: Uploading, serving: Serving, project_of: ProjectOf, project_of_browser: ProjectOf, scratch: Path
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/media", tags=["media"], responses=answers(401, 404, 422, 503))
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency
    BrowserProject = Annotated[str, Depends(project_of_browser)]  # noqa: N806

    @router.post(
        "",
        status_code=201,
        summary="Upload a picture, clip or sound as input for tasks",
        responses=answers(400, 413, 415),
        openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}},
    )
    async def upload(request: Request, project_id: Project) -> MediaView:
        # The form is read only now that the key is known to be good: as a parameter it would be read first.
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidRequest("send the file in the form field `file`", [NO_FILE])
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                path = Path(folder) / "file"
                return MediaView.of(await uploading.take(project_id, file.content_type or "", _chunks(file), path))

    @router.get("/{media_id}/details", summary="What is known of a file")
    async def details(media_id: str, project_id: Project) -> MediaView:
        return MediaView.of(await serving.look(media_id, project_id))

    @router.head("/{media_id}", include_in_schema=False)
    @router.get(
        "/{media_id}", summary="The file itself, whole or in ranges", response_class=StreamingResponse, responses=FILE
    )
    async def original(media_id: str, project_id: BrowserProject, request: Request) -> Response:
        return await _serve(serving, await serving.find(media_id, project_id, Part.ORIGINAL), request)

    @router.get(
        "/{media_id}/thumbnail", summary="A small picture of it", response_class=StreamingResponse, responses=FILE
    )
    async def thumbnail(media_id: str, project_id: BrowserProject, request: Request) -> Response:
        return await _serve(serving, await serving.find(media_id, project_id, Part.THUMBNAIL), request)

    @router.get(
        "/{media_id}/manifest",
        summary="How it was made: model, parameters, seed, versions",
        response_class=StreamingResponse,
        responses=FILE,
    )
    async def manifest(media_id: str, project_id: BrowserProject, request: Request) -> Response:
        return await _serve(serving, await serving.find(media_id, project_id, Part.MANIFEST), request)

    return router


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk


async def _serve(serving: Serving, served: Served, request: Request) -> Response:
    headers = {**SAFE, "ETag": served.etag}
    if served.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if request.headers.get("if-range") not in (None, served.etag):
        wanted = None
    try:
        span = read_range(wanted, served.size)
    except RangeNotSatisfiable:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{served.size}"})
    start, end = (span.start, span.end) if span else (0, served.size)
    headers["Content-Length"] = str(end - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{served.size}"
    status = 206 if span else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=served.content_type)
    return StreamingResponse(await _begun(serving.read(served, span)), status, headers, served.content_type)


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, with the first chunk fetched: a store that is away is a 503 as long as no header has been sent."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()
