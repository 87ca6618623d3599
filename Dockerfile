# A small image that runs with a read-only root, as a user of its own:
#   docker build -t penstock .
#   docker run --rm --read-only -e PENSTOCK_ADMIN_KEY -v penstock-state:/var/lib/penstock -p 127.0.0.1:8000:8000 penstock \
#       serve --host 0.0.0.0
# with -e PENSTOCK_ADMIN_KEY=…: inside a container the host has to be 0.0.0.0, and a host that others can
# reach needs an admin key, a key in the database, or --insecure-no-auth.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /build/tools \
    && /build/tools/bin/python -m pip install --require-hashes --requirement requirements/build.txt \
    && python -m venv --without-pip /opt/penstock \
    && /build/tools/bin/python -m pip --python /opt/penstock/bin/python install --no-compile \
        --require-hashes --only-binary :all: --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN /build/tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheel . \
    && /build/tools/bin/python -m pip --python /opt/penstock/bin/python install --no-compile --no-deps \
        --no-index /build/wheel/penstock-*.whl \
    && /opt/penstock/bin/python -m compileall -q -j 0 /opt/penstock/lib


FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="Penstock" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed number, so that volumes and policies can name it.
RUN groupadd --system --gid 10001 penstock \
    && useradd --system --uid 10001 --gid penstock --home-dir /var/lib/penstock --no-create-home penstock \
    && install --directory --owner penstock --group penstock /var/lib/penstock
COPY --from=build /opt/penstock /opt/penstock

ENV PATH=/opt/penstock/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# penstock.toml and .penstock/ are looked for here.
WORKDIR /var/lib/penstock
VOLUME ["/var/lib/penstock"]
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PENSTOCK_PORT') or 8000}/readyz\", timeout=2)"]
ENTRYPOINT ["penstock"]
CMD ["serve", "--host", "0.0.0.0"]
