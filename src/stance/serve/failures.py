"""Every failure as one line of JSON that quotes nothing of the request but its field names."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from stance.serve.queue import ClientGone, Overloaded

_UNREADABLE = "the body is not JSON in UTF-8, or is nested too deeply"
_LONGEST_FIELD = 80  # names of fields that the request made up


def failure(status: int, message: str, headers: Any = None) -> JSONResponse:
    """`{"error": message}` with a status."""
    return JSONResponse({"error": message}, status, headers)


def handle_failures(app: FastAPI) -> None:
    """Let `app` answer with `failure` whatever goes wrong."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        # 400 is FastAPI's for a body that its JSON parser could not take.
        message = _UNREADABLE if error.status_code == 400 else error.detail
        return failure(error.status_code, message, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return failure(400, f"not valid JSON: {first['ctx']['error']}")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return failure(415, "send JSON, with Content-Type: application/json")
        # The first part says that it is about the body, which is all that a request has.
        field = ".".join(str(part) for part in first["loc"][1:])[:_LONGEST_FIELD]
        return failure(422, f"{field or 'the request'}: {first['msg']}")

    @app.exception_handler(Overloaded)
    async def overloaded(_: Request, error: Overloaded) -> JSONResponse:
        return failure(503, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(ClientGone)
    async def client_gone(_: Request, __: ClientGone) -> JSONResponse:
        return failure(499, "the client left")  # nginx's code; nobody reads it but the metrics

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        return failure(500, "the service failed at this request; its log says where")
