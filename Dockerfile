# The app, as nobody, on a file system that may be read-only:
#   docker build -t hfvae . && docker run --read-only --tmpfs /tmp -p 7860:7860 hfvae
FROM python:3.12-slim

# PyTorch's own CPU builds go without 4 GB of CUDA packages: name their index, as pytorch.org gives it, by
# docker build --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
WORKDIR /app
COPY requirements.txt pyproject.toml MANIFEST.in README.md LICENSE ./
COPY configs ./configs
COPY hfvae ./hfvae
COPY app.py ./
RUN pip install --no-cache-dir ".[app]"

USER nobody
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860 GRADIO_TEMP_DIR=/tmp/gradio HF_HOME=/tmp/huggingface \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
