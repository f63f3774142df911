"""The HTTP service: the app, its routes, and the page.

What is answered is left to `answering`; what may come in, to `decoding`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, File, Form, UploadFile
from fastapi.responses import JSONResponse, Response

from hilum import __version__
from hilum.bundle import Bundle
from hilum.serving.answering import NOTICE, Answerer, as_json, overlay
from hilum.serving.decoding import Decoder
from hilum.serving.rejection import Rejected


def create_app(bundle: Bundle) -> FastAPI:
    """The service of one bundle."""
    app = FastAPI(title="Hilum", version=__version__, docs_url=None, redoc_url=None)
    answerer = Answerer(bundle)
    decoder = Decoder(bundle.manifest.reading, bundle.manifest.preprocessing)

    @app.post("/v1/predict")
    async def predict(film: Annotated[list[UploadFile], File()]) -> JSONResponse:
        films = []
        for n, each in enumerate(film, 1):
            try:
                read = decoder.decode(await each.read())
                films.append(as_json(answerer.answer([read])[0], f"film-{n}"))
            except Rejected as no:
                error = {"type": no.kind.type, "status": no.kind.status, "detail": no.detail}
                films.append({"name": f"film-{n}", "status": "rejected", "error": error})
        return JSONResponse(
            {
                "bundle": {"name": bundle.manifest.name, "digest": bundle.digest},
                "engine": answerer.engine,
                "synthetic": bundle.manifest.synthetic,
                "films": films,
                "notice": NOTICE,
            }
        )

    @app.post("/v1/picture")
    async def picture(film: Annotated[UploadFile, File()]) -> Response:
        read = decoder.decode(await film.read(), picture=True)
        return Response(read.picture, media_type="image/png")

    @app.post("/v1/explain")
    async def explain(
        film: Annotated[UploadFile, File()], finding: Annotated[str | None, Form()] = None
    ) -> Response:
        answer = answerer.answer([decoder.decode(await film.read())])[0]
        map_hw = answerer.map_of(answer, finding or bundle.findings[0])
        return Response(overlay(map_hw), media_type="image/png")

    return app
