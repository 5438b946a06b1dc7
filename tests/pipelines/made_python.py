"""Stands for CAT_PYTHON in tests: writes what the real commands write, and ends as told.json says."""

import hashlib
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

words = sys.argv[2:]
if words[0] == "pipelines":  # an engine asks for a stage: that command is the real one
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
name = {"feedback": words[2]}.get(words[1], words[1]) if words[0] == "train" else words[0]
options = dict(itertools.pairwise(words))
told = json.loads(Path("told.json").read_text()) if Path("told.json").exists() else {}
code = told.get(name, 0)
with Path("called.txt").open("a") as file:
    file.write(f"{name} {' '.join(words)}\n")


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def listed(folder):
    return sorted((str(path), path.read_text()) for path in Path(folder).rglob("*") if path.is_file())


if code == "wait":
    print("waiting", flush=True)
    signal.signal(signal.SIGINT, lambda *_: (write("interrupted", "yes"), sys.exit(130)))
    time.sleep(60)
if name == "pull" and code == 0 and "--source" in options:
    for path, content in listed(options["--source"]):
        write(Path(options["--out"]) / Path(path).relative_to(options["--source"]), content)
    write(Path(options["--out"]) / "versions/0001.json", str(listed(options["--source"])))
if name == "check" and code not in ("broken", "else"):
    findings = [{"path": "photos/cat/1"}] if code else []
    problems = [{"kind": "leak", "severity": "error", "findings": findings}] if code else []
    report = {"passed": not code, "problems": problems, "photos": {"photos": 2, "people": 1}, "notes": []}
    write(Path(options["--out"]) / "checks.json", report)
if name in ("run", "refresh", "tune") and code == 0:
    read = listed(options.get("--photos", "photos"))
    if name == "refresh":
        read = listed(Path(options["--feedback"]) / "records")
    digest = hashlib.sha256(str([read, words]).encode()).hexdigest()[:8]
    run = Path(options.get("--out", "runs")) / f"{name}-{digest}"
    for each in ("model.keras", "summary.json", "manifest.csv", "best.json"):
        write(run / each, digest)
    write(options["--result"], {"config": f"{run}/best.json"} if name == "tune" else {"run": str(run)})
if name == "export" and code not in ("broken", "else"):
    rule = {"rule": "test.recall", "direction": "at least", "limit": 0.9, "found": 0.5 if code else 0.95}
    gate = {"passed": not code, "findings": [rule | {"passed": not code}]}
    version = f"made-{Path(options['--run']).name}"
    write(Path(options["--run"]) / "export/manifest.json", {"version": version, "gate": gate})
    if code == 0:
        write(Path(options["--bundle"]) / "model.tflite", version)
if name == "report":
    write("set/feedback.html", "a report")
if name == "drift":
    tests = {"distance": {"found": 2.0 if code else 0.1, "limit": 1.0}}
    answer = {"alarm": bool(code), "photos": 500, "tests": tests}
    if code == "few":
        answer = {"alarm": None, "why": "Too few photos."}
    if code not in ("broken", "else"):
        write(options["--result"], answer)
        write(Path(options["--out"]) / "drift.html", str(answer))
if code == "else":  # files of another shape, and all seems well
    code = 0
    write(Path(options.get("--out", ".")) / "checks.json", {"problems": "none"})
    write(options.get("--result", "result.json"), {"run": ["a", "b"], "alarm": "no"})
    write(Path(options.get("--run", ".")) / "export/manifest.json", {"version": 1, "gate": "passed"})
print(f"{name} says so")
sys.exit(code if isinstance(code, int) else 1)
