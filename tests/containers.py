"""Podman for the tests of the image, and a base for it where no registry of images can be reached.

`python -m tests.containers` prints the variables with which `podman` and `podman-compose` see what the tests
see; `python -m tests.containers remove` deletes all of it.

Images, containers and volumes lie in .cache/containers, apart from those of whoever runs this: the base that
is made here bears the name of the official one.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
STORE = ROOT / ".cache" / "containers"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv", "usr-is-merged")
HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
NEEDED = ("podman", "buildah", "runc", "mmdebstrap")
SETTINGS = ("/etc/ssl/certs", "/etc/pip.conf")
"""What a build needs of this machine where packages come through a proxy; the Dockerfile knows of neither."""
MOST = 4096
"""Open files and processes of a container at most."""
FAILED = "\n…\n"


class EngineError(Exception):
    """A command of podman failed; the message is what it wrote."""


def missing() -> str | None:
    """Return why containers cannot be tried on this machine; None where they can."""
    lacking = [each for each in NEEDED if not shutil.which(each)]
    if lacking:
        return f"There is no {', '.join(lacking)}: apt-get install {' '.join(NEEDED)} netavark aardvark-dns."
    if os.geteuid():
        return "Containers are tried by root: mmdebstrap and the ports of other machines need it."
    return None


def environment() -> dict[str, str]:
    """Return the variables that lead podman to the storage of the tests, whose settings are written first.

    runc and cgroupfs work without systemd, too. Limits above this process's own could not be set.
    """
    STORE.mkdir(parents=True, exist_ok=True)
    limits = []
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        soft, hard = (MOST if each < 0 else min(each, MOST) for each in resource.getrlimit(number))
        limits.append(f'"{name}={soft}:{hard}"')
    settings, storage = STORE / "containers.conf", STORE / "storage.conf"
    settings.write_text(
        f"[containers]\ndefault_ulimits = [{', '.join(limits)}]\n"
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'[network]\nnetwork_config_dir = "{STORE}/networks"\n'
    )
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{STORE}/images"\nrunroot = "/run/cat-containers"\n'
    )
    return {
        "CONTAINERS_CONF": str(settings),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "BUILDAH_FORMAT": "docker",  # the other format has no HEALTHCHECK
    }


def podman(*arguments: str) -> str:
    """Run podman in the storage of the tests; return what it printed, without spaces at the ends.

    Raises:
        EngineError: it failed.
    """
    return run(["podman", *arguments])


def run(command: Sequence[str], also: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a command that may call podman; return its standard output, without spaces at the ends.

    Raises:
        EngineError: it failed.
    """
    ended = subprocess.run(
        command,
        env={**os.environ, **environment(), **(also or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise EngineError(f"{' '.join(command)}: {ended.stdout[-2000:]}{FAILED}{ended.stderr[-4000:]}")
    return ended.stdout.strip()


def base_name() -> str:
    """Return the base image that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def make_base() -> None:
    """Make the base from Debian's packages, unless it is there: Python at the same version, and pip."""
    name = base_name()
    if exists(name):
        return
    archive = STORE / "base.tar"
    environment()  # makes the folder
    command = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        f"--hook-dir={HOOKS}",
        "--aptopt=APT::Sandbox::User root",  # some machines' /dev/null is closed to apt's own user
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")),
        SUITE,
        str(archive),
    ]
    try:
        run(command)
        podman("import", str(archive), name)
    finally:
        archive.unlink(missing_ok=True)


def exists(image: str) -> bool:
    """Return whether an image is there."""
    return image in podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()


def build(tag: str, extras: str, *options: str) -> None:
    """Build the image by the command of the Makefile."""
    mounts = [f"--volume={each}:{each}:ro" for each in SETTINGS if Path(each).exists()]
    arguments = " ".join(["--network=host", *mounts, *options])
    run(["make", "image", "ENGINE=podman", f"IMAGE={tag}", f"EXTRAS={extras}", f"ARGS={arguments}"])


def answered(url: str, seconds: float = 120) -> bytes:
    """Return what an address says, as soon as it says something.

    Raises:
        TimeoutError: it did not within that time.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with direct.open(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{url} did not answer within {seconds:.0f} s.")


def main(arguments: Sequence[str]) -> int:
    """Print the variables, or remove everything; return the exit code."""
    if arguments == ["remove"]:
        podman("system", "reset", "--force")
        shutil.rmtree(STORE)
        return 0
    for name, value in environment().items():
        print(f"export {name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
