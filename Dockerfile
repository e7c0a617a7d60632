# nielsgpt's image: /opt/venv holds the packages, /app the project, /workspace what a run makes.
# Every Docker engine with BuildKit builds it: no frontend is fetched, nothing newer is used.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
# First what has a hash, so that torch finds what it needs there already. torch is pinned by
# version, not by hash: its builds for CPU and CUDA are different files.
COPY requirements.lock /tmp/requirements.lock
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --no-deps --require-hashes -r /tmp/requirements.lock \
    && /opt/venv/bin/pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch==${TORCH_VERSION}"

FROM ${PYTHON_IMAGE} AS runtime
# With a C++ compiler torch compiles the model, and trains about twice as fast on a CPU.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUTF8=1 PYTHONUNBUFFERED=1 \
    HF_HOME=/cache/huggingface \
    TORCHINDUCTOR_CACHE_DIR=/cache/compiled TRITON_CACHE_DIR=/cache/compiled/triton \
    NIELSGPT_CACHE=/cache/compiled/machine MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    NIELSGPT_HISTORY=/cache/compiled/chat_history
COPY . /app
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -e /app \
    && python -m compileall -q /app/nielsgpt /app/cli
# The ids of the person who builds, so that files in bound folders are theirs; -o: they may be taken.
ARG UID=1000
ARG GID=1000
RUN groupadd -o -g "${GID}" nielsgpt \
    && useradd -o -l -m -u "${UID}" -g "${GID}" nielsgpt \
    && mkdir -p /workspace/data /workspace/checkpoints /workspace/runs /workspace/models /workspace/bench /workspace/plans /cache/huggingface /cache/compiled \
    && chown -R "${UID}:${GID}" /workspace /cache
USER ${UID}:${GID}
WORKDIR /workspace
VOLUME ["/workspace/data", "/workspace/checkpoints", "/workspace/runs", "/workspace/models", "/workspace/bench", "/workspace/plans", "/cache/huggingface", "/cache/compiled"]
ENTRYPOINT ["nielsgpt"]
CMD ["--help"]
