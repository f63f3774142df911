"""The HTTP service: the app and its routes.

Who may ask is `guard`'s business, what a body holds `uploads`', what is answered `answering`'s, and
the queues `service`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from hilum import __version__
from hilum.bundle import Bundle
from hilum.serving.answering import NOTICE, FilmAnswer, as_json, overlay
from hilum.serving.batching import Asked
from hilum.serving.guard import Door, Guard, problem, problem_of
from hilum.serving.limits import Limits
from hilum.serving.line import Content, Line
from hilum.serving.metrics import CONTENT_TYPE, Metrics
from hilum.serving.rejection import Kind, Rejected
from hilum.serving.schemas import (
    EXPLAINED,
    PNG,
    PREDICTED,
    Described,
    Health,
    body,
    completed,
    refusals,
)
from hilum.serving.service import Service
from hilum.serving.static import REPORT_POLICY, Page
from hilum.serving.uploads import Upload, take_in

_T = TypeVar("_T")
_ABOUT = f"Chest films in, calibrated answers or referrals out. {NOTICE}"


def create_app(bundle: Bundle, limits: Limits | None = None) -> FastAPI:
    """The service of one bundle, for anybody on this machine, which ends with the app."""
    metrics = Metrics()
    service = Service(bundle, limits, watch=metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = app_of(service, metrics, Door(hosts=None))
    app.router.lifespan_context = lifespan
    return app


def app_of(
    service: Service, metrics: Metrics, door: Door, *, report: bytes | None = None
) -> FastAPI:
    """The routes of a service that the caller closes. report: HTML of an evaluation to be shown."""
    app = FastAPI(
        title="Hilum",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Guard, service=service, door=door)
    _refusals(app)
    _films(app, service)
    _bundle(app, service, report)
    _state(app, service, metrics)
    _page(app)
    return app


def _films(app: FastAPI, service: Service) -> None:
    limits = service.limits

    @app.post("/v1/predict", responses=PREDICTED, openapi_extra=body(several=True))
    async def predict(request: Request) -> Response:
        """Have films answered: several in a form, or one as the body itself."""
        upload = await _take(request, service, limits.films)
        try:
            with service.line() as line:
                return await _predicted(request, service, line, upload)
        finally:
            upload.close()

    @app.post("/v1/explain", responses=EXPLAINED, openapi_extra=body(several=False, finding=True))
    async def explain(request: Request, finding: str | None = None) -> Response:
        """What speaks for a finding (red) and against it (blue), to be laid over the picture."""
        upload = await _take(request, service, 1)
        try:
            with service.line() as line:
                if not line.answerer.has_maps:
                    raise Rejected(Kind.NO_MAP, "no map: it does not pool one map for its answer")
                chosen = upload.fields.get("finding", finding) or line.bundle.findings[0]
                if chosen not in line.bundle.findings:
                    known = ", ".join(line.bundle.findings)
                    raise Rejected(Kind.MALFORMED, f"no such finding; expected {known}")
                until = _deadline(service)
                answer = await _answered(line, upload.films[0], until, "explained")
                map_hw = await _until(line.map_of(answer, chosen), until)
                png = await asyncio.to_thread(overlay, map_hw)
        finally:
            upload.close()
        _tell(request, service, answer)
        return Response(png, media_type="image/png")

    @app.post("/v1/picture", responses=PNG, openapi_extra=body(several=False))
    async def picture(request: Request) -> Response:
        """The film as a grey picture, upright, air dark; at most 1,024 pixels long."""
        upload = await _take(request, service, 1)
        try:
            with service.line() as line:
                until = _deadline(service)
                film = await _until(line.picture(upload.films[0], until), until)
        finally:
            upload.close()
        request.scope["state"]["outcome"] = "shown"
        return Response(film.picture, media_type="image/png")


async def _take(request: Request, service: Service, films: int) -> Upload:
    taken = request.scope["state"]["taken"]
    films = min(films, service.limits.queue)
    upload = await take_in(
        request, service.limits, films=films, held=lambda size: taken.more(0, size)
    )
    try:
        if len(upload.films) > 1:
            taken.more(len(upload.films) - 1, 0)
    except Rejected:
        upload.close()
        raise
    return upload


async def _predicted(
    request: Request, service: Service, line: Line, upload: Upload
) -> JSONResponse:
    until = _deadline(service)
    answers = await asyncio.gather(
        *(_answered(line, film, until, "answered") for film in upload.films),
        return_exceptions=True,
    )
    films, refused = [], []
    for n, answer in enumerate(answers, 1):
        if isinstance(answer, FilmAnswer):
            films.append(as_json(answer, f"film-{n}"))
            _tell(request, service, answer)
        elif isinstance(answer, Rejected):
            films.append(_rejected(answer, f"film-{n}"))
            service.watch.film("rejected", answer.kind.type)
            refused.append(answer)
        else:
            raise answer
    if len(refused) == len(films):
        raise refused[0]
    bundle = line.bundle
    return JSONResponse(
        {
            "bundle": {"name": bundle.manifest.name, "digest": bundle.digest},
            "engine": line.answerer.engine,
            "synthetic": bundle.manifest.synthetic,
            "films": films,
            "notice": NOTICE,
        }
    )


def _rejected(no: Rejected, name: str) -> dict[str, object]:
    error = {"type": no.kind.type, "status": no.kind.status, "detail": no.detail}
    return {"name": name, "status": "rejected", "error": error}


def _deadline(service: Service) -> float:
    return time.monotonic() + service.limits.deadline


async def _answered(line: Line, film: Content, until: float, asked: Asked) -> FilmAnswer:
    """A film's answer, on record for what it was given. Raises Rejected."""
    answer = line.answer(film, until, asked=asked)
    try:
        return await _until(answer, until)
    except Rejected as no:
        if no.kind is Kind.TIMED_OUT:
            answer.add_done_callback(line.withheld)
        raise


async def _until(answer: Future[_T], until: float) -> _T:
    """What a future holds. Raises Rejected when it does not come in time."""
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await asyncio.wrap_future(answer)
    except TimeoutError:
        raise Rejected(Kind.TIMED_OUT, "no answer in time") from None


def _tell(request: Request, service: Service, answer: FilmAnswer) -> None:
    outcome = "referred" if answer.refer else "answered"
    service.watch.film(outcome, answer.refer or "")
    request.scope["state"]["outcome"] = outcome


def _bundle(app: FastAPI, service: Service, report: bytes | None) -> None:
    @app.get("/v1/bundle", responses={200: {"model": Described}, **refusals()})
    async def bundle() -> JSONResponse:
        """What answers: identity, findings, operating points with intervals, figures, policy."""
        with service.line() as line:
            return JSONResponse({**line.description, "report": report is not None})

    @app.get("/v1/bundle/card", responses=_text("text/markdown"))
    async def card() -> Response:
        """The bundle's model card."""
        with service.line() as line:
            if line.card is None:
                raise HTTPException(404, "the bundle has no card")
            return PlainTextResponse(line.card, media_type="text/markdown")

    @app.get("/v1/bundle/report", responses=_text("text/html"))
    async def shown_report() -> Response:
        """The report that the service was given."""
        if report is None:
            raise HTTPException(404, "no report was given")
        return HTMLResponse(report, headers={"content-security-policy": REPORT_POLICY})


def _text(kind: str) -> dict[int | str, dict[str, Any]]:
    missing = {"description": "There is none.", "content": refusals()[400]["content"]}
    shown = {"description": "The text.", "content": {kind: {"schema": {"type": "string"}}}}
    return {200: shown, **refusals(), 404: missing}


def _state(app: FastAPI, service: Service, metrics: Metrics) -> None:
    @app.get("/healthz", responses={200: {"model": Health}, **refusals()})
    async def healthz() -> JSONResponse:
        """Whether the process lives."""
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", responses={200: {"model": Health}, **refusals(Kind.BUSY)})
    async def readyz() -> JSONResponse:
        """Whether a film is welcome."""
        why = await asyncio.to_thread(service.why_not_ready)
        if why is not None:
            raise Rejected(Kind.BUSY, why, retry_after_s=1)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", responses=_text("text/plain"))
    async def counted() -> Response:
        """Counts for Prometheus."""
        return Response(await asyncio.to_thread(metrics.exposition), media_type=CONTENT_TYPE)


def _page(app: FastAPI) -> None:
    page = Page()

    def found(request: Request, name: str) -> Response:
        response = page.get(name, request.headers.get("if-none-match"))
        if response is None:
            raise HTTPException(404, "no such page")
        return response

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return found(request, "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(request: Request, name: str) -> Response:
        return found(request, name)


def _refusals(app: FastAPI) -> None:
    @app.exception_handler(Rejected)
    async def rejected(request: Request, no: Rejected) -> JSONResponse:
        if "outcome" not in request.scope["state"]:
            request.scope["state"]["outcome"] = no.kind.type
        return problem(no)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        return problem_of("no-such-thing", error.status_code, str(error.detail), error.headers)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(FastAPI.openapi(app))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
