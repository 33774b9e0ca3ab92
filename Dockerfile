# One container: supervisord is pid 1 and runs nginx, the workers and the forwarder. See docs/image.md.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# The user interface. Its Node is a Python package, so this needs no other base image.
FROM ${BASE_IMAGE} AS web
WORKDIR /src
RUN python3 -m venv .venv
COPY requirements-dev.txt .
COPY scripts/node scripts/
RUN scripts/node npm --version
COPY web/package.json web/package-lock.json web/.npmrc web/
RUN scripts/node npm --prefix web ci --ignore-scripts --no-audit --no-fund
COPY web web
RUN scripts/node npm --prefix web run build

# What writes the TypeScript types, over and over, of the sources mounted at /app: docker build --target tsgen.
FROM web AS tsgen
COPY requirements.txt .
RUN .venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
ENV TSGEN=1 PATH=/src/.venv/bin:/src/.build/node/bin:/src/web/node_modules/.bin:$PATH
WORKDIR /app
CMD ["scripts/types", "--watch"]

FROM ${BASE_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/cluster
# The dependencies first: their layer stays while only the code changes.
COPY requirements.txt .
RUN /opt/cluster/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY cluster cluster
COPY conf conf
COPY --from=web /src/conf/ui conf/ui
RUN /opt/cluster/bin/pip install --no-cache-dir --no-deps .

FROM ${BASE_IMAGE}
RUN useradd --uid 10001 --no-create-home cluster && install -d -m 0700 -o cluster -g cluster /run/cluster
COPY --from=build /opt/cluster /opt/cluster
ENV PATH=/opt/cluster/bin:$PATH HOST=0.0.0.0 PORT=8008 RUN_DIR=/run/cluster
# An application of one's own is imported from here.
WORKDIR /app
USER 10001
EXPOSE 8008
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s --interval=10s --timeout=10s CMD ["cluster", "status"]
CMD ["cluster", "up"]
