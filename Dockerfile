# The server without PyTorch. MODELS and EXTRAS say what is in it; docs/operations.md says more.
# The digest is of the list of all processors' images; docs/operations.md says how to take a newer one.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${PYTHON_IMAGE} AS dependencies
ARG EXTRAS=audit,otel
WORKDIR /build
COPY pyproject.toml constraints.txt deploy/pinned.py ./
# Each of its packages must have one of the hashes of constraints.txt. The secrets are for whoever
# builds behind a package mirror; one that is not given is skipped. libonnxruntime.so is for programs
# in C: Python's module has its own copy in it.
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python pinned.py "${EXTRAS}" > requirements.txt \
    && python -m venv --without-pip /opt/cxr \
    && pip --python /opt/cxr install --no-cache-dir --no-compile --only-binary :all: \
       --require-hashes -r requirements.txt \
    && find /opt/cxr \( -name tests -o -name 'libonnxruntime.so*' \) -prune -exec rm -r {} +

FROM dependencies AS build
# What builds our package stays in this stage.
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python pinned.py build > build.txt \
    && pip --python /opt/cxr install --no-cache-dir --no-compile --only-binary :all: \
       --require-hashes -r build.txt
ARG MODELS="chest_cnn|vgg16|vit_b16"
COPY README.md LICENSE cxr.py ./
COPY clients/python/cxr_client clients/python/cxr_client
COPY models models
COPY xai xai
COPY training training
COPY service service
RUN find service/default_model -regextype egrep -type f ! -regex ".*/(TERMS|ensemble|${MODELS})[.].*" -delete \
    && pip --python /opt/cxr install --no-cache-dir --no-compile --no-deps --no-index --no-build-isolation \
       --prefix /ours .
# Only what the server loads is compiled, here, since a read-only container can't keep bytecode.
RUN cp -a /ours/. /opt/cxr \
    && export PYTHONPYCACHEPREFIX=/opt/bytecode \
    && /opt/cxr/bin/python -P -c "import models.film_files.dicom, service.commands.serve" \
    && /opt/cxr/bin/cxr predict service/viewer/samples/normal.jpg

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG REVISION=unknown
RUN rm -r /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip \
    /usr/local/bin/pip*
COPY --from=dependencies /opt/cxr /opt/cxr
COPY --from=build /opt/bytecode /opt/bytecode
COPY --from=build /ours /opt/cxr
ENV PATH=/opt/cxr/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    OPENBLAS_NUM_THREADS=1 \
    CXR_HOST=0.0.0.0 \
    CXR_PORT=8000 \
    CXR_REVISION=${REVISION}
LABEL org.opencontainers.image.title="chest-xray-explainer" \
      org.opencontainers.image.description="Classifies chest radiographs and shows why. Research use only." \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"CXR_PORT\"]}/health/ready', timeout=2)"]
CMD ["cxr", "serve"]
