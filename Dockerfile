# pneumonia-image-eval: evaluates the bundle in models/ and writes pictures and figures to outputs/.
#
#   docker build -t pneumonia-image-eval .
#   docker run --rm -v ${PWD}/models:/app/models -v ${PWD}/outputs:/app/outputs pneumonia-image-eval
#
# The default image holds the base install: no torch, no compiler. `--target serve` gives one that serves, `--target train`
# one that trains. docs/container.md tells more.
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

FROM environment AS libraries-serve
COPY requirements-serve.lock .
RUN python -m pip --python /opt/hilum/bin/python install --no-compile --require-hashes \
        -r requirements-serve.lock
COPY deploy/prune-image .
RUN sh prune-image /opt/hilum

# torch as locked, which brings CUDA, or the same versions without it from another index. That index has wheels of its own,
# so they are taken without the lock's hashes: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
FROM environment AS libraries-train
ARG TORCH_INDEX=""
COPY requirements-train.lock deploy/install-train ./
RUN sh install-train /opt/hilum requirements-train.lock "$TORCH_INDEX"

# The build backend and the writer of the bill of materials, at their locked versions; pip would fetch the newest.
FROM environment AS tools
COPY requirements.lock deploy/locked ./
RUN python locked requirements.lock hatchling cyclonedx-bom > tools.lock \
    && python -m pip install --require-hashes -r tools.lock

# Hilum itself, without its libraries, as the tree /hilum/opt/hilum.
FROM tools AS hilum
COPY pyproject.toml README.md LICENSE THIRD_PARTY_NOTICES.md ./
COPY src src
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir wheels . \
    && python -m pip --python /opt/hilum/bin/python install --no-compile --no-deps --no-index --root /hilum \
        wheels/*.whl \
    && python -m compileall -q -s /hilum --invalidation-mode unchecked-hash /hilum

# For the default image, without one of the two bundles: 15 MB.
FROM hilum AS hilum-default
RUN rm -r /hilum/opt/hilum/lib/python3*/site-packages/hilum/shipped/kermany-224

# Each image's bill of materials: what is installed in its environment, in CycloneDX, without time and chance.
FROM tools AS bill
COPY pyproject.toml deploy/bill-of-materials ./
COPY --from=hilum /hilum/opt /opt

FROM bill AS bill-default
RUN --mount=type=bind,from=libraries,source=/opt/hilum,target=/libraries \
    sh bill-of-materials /libraries /opt/hilum

FROM bill AS bill-serve
RUN --mount=type=bind,from=libraries-serve,source=/opt/hilum,target=/libraries \
    sh bill-of-materials /libraries /opt/hilum

FROM bill AS bill-train
RUN --mount=type=bind,from=libraries-train,source=/opt/hilum,target=/libraries \
    sh bill-of-materials /libraries /opt/hilum

# Debian and Python without what only builds or manages: no pip, apt or perl.
FROM ${BASE} AS root
COPY deploy/prune-base /tmp/
RUN useradd --uid 1000 --no-create-home --home-dir /tmp hilum \
    && mkdir -p /app/models /app/outputs /data \
    && chown hilum /app/models /app/outputs \
    && sh /tmp/prune-base \
    && rm /tmp/prune-base

# From scratch and whole: a file of a lower layer can be hidden, and not removed.
FROM scratch AS runtime
# hadolint ignore=DL3067
COPY --from=root / /
# HOME and the caches lie in /tmp: nothing else but outputs and the bundle's ledger is written.
ENV PATH=/opt/hilum/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HILUM_DATA=/data \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /app
USER 1000
# The first process of a container ignores SIGTERM; this one ends as at Ctrl-C.
STOPSIGNAL SIGINT
# A job ends by itself, and its exit code tells how it went; the service has a check of its own.
HEALTHCHECK NONE
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="pneumonia-image-eval" \
      org.opencontainers.image.description="Evaluates a chest X-ray classifier. Research use only: not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-4.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"

# The service: give it a token, since others can reach it: -e HILUM_TOKEN=… -p 127.0.0.1:8000:8000
FROM runtime AS serve
LABEL org.opencontainers.image.title="hilum-serve" \
      org.opencontainers.image.description="Serves a chest X-ray classifier. Research use only: not a medical device."
COPY --from=libraries-serve /opt/hilum /opt/hilum
COPY --from=hilum /hilum/opt /opt
COPY --from=bill-serve /build/sbom.cdx.json /opt/hilum/
RUN ["hilum", "serve", "--help"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=8)"]
CMD ["hilum", "serve", "models", "--host", "0.0.0.0"]

FROM runtime AS train
LABEL org.opencontainers.image.title="hilum-train" \
      org.opencontainers.image.description="Trains a chest X-ray classifier. Research use only: not a medical device."
COPY --from=libraries-train /opt/hilum /opt/hilum
COPY --from=hilum /hilum/opt /opt
COPY --from=bill-train /build/sbom.cdx.json /opt/hilum/
RUN ["hilum", "train", "--help"]
CMD ["hilum", "reproduce", "--models", "models", "--out", "outputs"]

FROM runtime AS default
COPY --from=libraries /opt/hilum /opt/hilum
COPY --from=hilum-default /hilum/opt /opt
COPY --from=bill-default /build/sbom.cdx.json /opt/hilum/
RUN ["hilum", "--help"]
CMD ["hilum", "evaluate", "models", "--out", "outputs"]
