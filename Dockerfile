# The server and its default model, without PyTorch.
#
#   docker build -t cxr .
#   docker run -p 127.0.0.1:8000:8000 -e CXR_AUTH=off --read-only --cap-drop=ALL cxr
#
# The two secrets are for whoever builds behind a package mirror; a secret not given is skipped.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY pyproject.toml README.md cxr.py ./
COPY models models
COPY xai xai
COPY training training
COPY service service
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv /opt/cxr && /opt/cxr/bin/pip install --no-cache-dir .

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/cxr /opt/cxr
ENV PATH=/opt/cxr/bin:$PATH PYTHONDONTWRITEBYTECODE=1 CXR_HOST=0.0.0.0 CXR_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
CMD ["cxr", "serve"]
