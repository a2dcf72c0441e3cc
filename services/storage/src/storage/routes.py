"""HTTP and topics to handlers. Decides nothing."""

import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from chassis.auth import API_KEY, API_KEY_IN_QUERY, ApiKeys, ProjectOf
from chassis.problems import answers
from contracts.errors import FieldProblem, InvalidRequest, RangeNotSatisfiable
from contracts.views import API, MediaLink, MediaView
from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile

from storage.domain import read_range
from storage.handlers.linking import Linking
from storage.handlers.previewing import Previewing
from storage.handlers.serving import Part, Served, Serving
from storage.handlers.uploading import Uploading

CHUNK = 1024 * 1024
# Content of others, served from our origin: shown as what it is said to be, and never run.
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
CAN_BE_KEPT = {"Cache-Control": "private, max-age=31536000, immutable", "Accept-Ranges": "bytes"}
PREVIEW_TYPE = "image/webp"

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


class LinkRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    expires_in: int = Field(default=3600, ge=60, le=86_400, description="Seconds.")


def project_of_viewer(linking: Linking, keys: ApiKeys) -> ProjectOf:
    """A FastAPI dependency: the project of the key, in the header or as `?api_key=`, or of the `?link=`."""

    async def project(
        media_id: Annotated[str, PathParameter()],
        api_key: Annotated[str | None, Security(API_KEY)],
        in_query: Annotated[str | None, Security(API_KEY_IN_QUERY)],
        link: Annotated[str | None, Query(description="Of a link that was made for this file.")] = None,
    ) -> str:
        return linking.project_of(link, media_id) if link else await keys.project_of(api_key or in_query)

    return project


def media_routes(
    uploading: Uploading,
    serving: Serving,
    linking: Linking,
    project_of: ProjectOf,
    project_of_browser: ProjectOf,
    scratch: Path,
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

    @router.post(
        "/{media_id}/link",
        status_code=201,
        summary="Addresses that open this file without a key, for a while",
        responses=answers(400, 413),
    )
    async def link(media_id: str, project_id: Project, wanted: LinkRequest) -> MediaLink:
        media = MediaView.of(await serving.look(media_id, project_id))
        token, until = linking.link(media.id, project_id, timedelta(seconds=wanted.expires_in))
        return MediaLink.to(media, token, until)

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


def preview_routes(previewing: Previewing) -> APIRouter:
    router = APIRouter(prefix=f"{API}/media", tags=["media"], responses=answers(401, 404, 422, 503))

    @router.get(
        "/previews/{task_id}",
        summary="How far a running task has come, as a small WebP picture, by a link of its live feed",
        response_class=Response,
        responses={200: {"description": "The picture", "content": {PREVIEW_TYPE: BINARY["content"]["*/*"]}}},
    )
    async def preview(
        task_id: str, link: Annotated[str, Query(description="Of the `preview_url` of the live feed.")] = ""
    ) -> Response:
        content = await previewing.open(task_id, link)
        # The next one has another link, and this one is not to be seen when the task has ended.
        return Response(content, headers={**SAFE, "Cache-Control": "no-store"}, media_type=PREVIEW_TYPE)

    return router


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk


async def _serve(serving: Serving, served: Served, request: Request) -> Response:
    headers = {**SAFE, **CAN_BE_KEPT, "ETag": served.etag}
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
