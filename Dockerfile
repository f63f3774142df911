# pneumonia-image-eval: evaluates the bundle in models/ and writes pictures and figures to outputs/.
#
#   docker build -t pneumonia-image-eval .
#   docker run --rm -v ${PWD}/models:/app/models -v ${PWD}/outputs:/app/outputs pneumonia-image-eval
#
# The default image holds the base install: no torch, no compiler. `--target train` gives an image that trains.
# BASE can be pinned to the byte: --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim

# An empty environment. pip stays outside it and acts on it by --python, so scripts and paths are the environment's own.
FROM ${BASE} AS environment
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/hilum

# What Hilum needs; it changes with the locked versions alone.
FROM environment AS libraries
COPY requirements-base.lock .
RUN python -m pip --python /opt/hilum/bin/python install --no-compile --require-hashes \
        -r requirements-base.lock
COPY deploy/prune-image .
RUN sh prune-image /opt/hilum

FROM environment AS libraries-train
COPY requirements-train.lock .
RUN python -m pip --python /opt/hilum/bin/python install --require-hashes \
        -r requirements-train.lock

# Hilum itself, without its libraries, as the tree /hilum/opt/hilum.
FROM environment AS hilum
# The build backend at its locked version; pip would fetch the newest.
COPY requirements.lock .
RUN awk '/^[a-z]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } wanted' \
        requirements.lock > backend.lock \
    && python -m pip install --require-hashes -r backend.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir wheels . \
    && python -m pip --python /opt/hilum/bin/python install --no-compile --no-deps --no-index --root /hilum \
        wheels/*.whl \
    && python -m compileall -q -s /hilum --invalidation-mode unchecked-hash /hilum

FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="pneumonia-image-eval" \
      org.opencontainers.image.description="Evaluates a chest X-ray classifier. Research use only: not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0"
# HOME and the caches lie in /tmp: nothing else but outputs and the bundle's ledger is written.
ENV PATH=/opt/hilum/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HILUM_DATA=/data \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /app
RUN useradd --uid 1000 --no-create-home --home-dir /tmp hilum \
    && mkdir -p models outputs /data \
    && chown hilum models outputs
USER 1000
# The first process of a container ignores SIGTERM; this one ends as at Ctrl-C.
STOPSIGNAL SIGINT

FROM environment AS libraries-serve
COPY requirements-serve.lock .
RUN python -m pip --python /opt/hilum/bin/python install --no-compile --require-hashes \
        -r requirements-serve.lock
COPY deploy/prune-image .
RUN sh prune-image /opt/hilum

# The service: give it a token, since others can reach it: -e HILUM_TOKEN=… -p 127.0.0.1:8000:8000
FROM runtime AS serve
COPY --from=libraries-serve /opt/hilum /opt/hilum
COPY --from=hilum /hilum/opt /opt
RUN ["hilum", "serve", "--help"]
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["hilum", "serve", "models", "--host", "0.0.0.0"]

FROM runtime AS train
COPY --from=libraries-train /opt/hilum /opt/hilum
COPY --from=hilum /hilum/opt /opt
CMD ["hilum", "reproduce", "--models", "models", "--out", "outputs"]

FROM runtime AS default
COPY --from=libraries /opt/hilum /opt/hilum
COPY --from=hilum /hilum/opt /opt
RUN ["hilum", "--help"]
CMD ["hilum", "evaluate", "models", "--out", "outputs"]
