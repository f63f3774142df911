# pneumonia-image-eval: evaluates the bundle in models/ and writes pictures and figures to outputs/.
#
#   docker build -t pneumonia-image-eval .
#   docker run --rm -v ${PWD}/models:/app/models -v ${PWD}/outputs:/app/outputs pneumonia-image-eval
#
# The default image holds the base install: no torch, no compiler, no shell tools beyond Debian's.
# `--target train` gives an image that trains.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/hilum
COPY requirements-base.lock .
RUN python -m pip install --no-cache-dir --no-compile --require-hashes \
        --prefix /opt/hilum --ignore-installed -r requirements-base.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m pip install --no-cache-dir --no-compile --no-deps --prefix /opt/hilum --ignore-installed \
        /wheels/*.whl
# What a CPU evaluates without: test suites, headers, engines for other devices and formats, Flight and S3.
COPY deploy/prune-image /usr/local/bin/
RUN sh /usr/local/bin/prune-image /opt/hilum

FROM build AS build-train
COPY requirements-train.lock .
RUN python -m pip install --no-cache-dir --no-compile --require-hashes \
        --prefix /opt/hilum --ignore-installed -r requirements-train.lock

FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="pneumonia-image-eval" \
      org.opencontainers.image.description="Evaluates a chest X-ray classifier. Research use only: not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/hilum/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HILUM_DATA=/data \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /app
RUN useradd --uid 1000 --no-create-home hilum && mkdir -p models outputs /data && chown hilum /app/*
USER 1000
CMD ["hilum", "evaluate", "models", "--out", "outputs"]

FROM runtime AS train
COPY --from=build-train /opt/hilum /opt/hilum
CMD ["hilum", "reproduce", "--models", "models", "--out", "outputs"]

FROM runtime AS default
COPY --from=build /opt/hilum /opt/hilum
