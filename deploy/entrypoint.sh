#!/bin/sh
# What the image does: the page when nothing is asked for; `serve` and `train`: as SageMaker starts it; `score …`: many
# photos; `health`: whether it answers. All else is for the terminal command: photos, --version.
set -eu

# Port and folder of the model are SageMaker's contract; both give way to what is set.
sagemaker_port="${CAT_PORT:-${SAGEMAKER_BIND_TO_PORT:-8080}}"
sagemaker_model=/opt/ml/model

# Ends with a sentence where a package of an extra is missing.
need() {
    if ! python -c 'import sys; from importlib.util import find_spec; sys.exit(not find_spec(sys.argv[1]))' "$1"; then
        echo "This image was built without $3: build it with $2 among the EXTRAS." >&2
        exit 2
    fi
}

case "${1-}" in
"")
    exec are-you-a-cat serve
    ;;
serve)
    export CAT_PORT="$sagemaker_port"
    if [ -z "${CAT_BUNDLE-}" ] && [ -f "$sagemaker_model/manifest.json" ]; then
        export CAT_BUNDLE="$sagemaker_model"
    fi
    exec are-you-a-cat "$@"
    ;;
score)
    shift
    need pyarrow score scoring
    exec python -m pipelines.score "$@"
    ;;
train)
    need tensorflow train training
    exec python -m pipelines.sagemaker "$@"
    ;;
health)
    # How the container was started is not known here: the page's port and SageMaker's.
    exec python - "${CAT_PORT:-7860}" "$sagemaker_port" <<'PYTHON'
import sys
import urllib.request

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for port in sys.argv[1:]:
    try:
        direct.open(f"http://127.0.0.1:{port}/health", timeout=2)
    except OSError as error:
        print(f"Port {port}: {error}", file=sys.stderr)
    else:
        sys.exit(0)
sys.exit(1)
PYTHON
    ;;
*)
    exec are-you-a-cat "$@"
    ;;
esac
