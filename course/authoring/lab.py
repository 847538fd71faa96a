"""``course lab``: the learner's folder brought up to date, and JupyterLab opened on it."""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from course.authoring import AuthoringError
from course.authoring.files import write_if_new
from course.authoring.workfolder import HIDDEN, prepare

HOST = "127.0.0.1"
FIRST_PORT = 8888
_START_SECONDS = 60


def server_command(
    work: Path, *, port: int, token: str, browser: bool = False, extra: Sequence[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The command line and environment of JupyterLab on a learner's folder, on the loopback only.

    ``extra`` is appended, so that a test starts the very same server with a setting of its own. The token
    goes by the environment, where other users of the machine cannot read it.
    """
    import zmq

    work = work.resolve()
    argv = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={work}",
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",
        "--Application.log_level=ERROR",
        f"--LabApp.default_url={_landing(work)}",
    ]
    # Kernels talk over the loopback, which other users of the machine share; without this they say so in a
    # warning each.
    if zmq.has("curve"):
        argv.append("--KernelManager.transport_encryption=auto")
    # Jupyter refuses to run as root unless told so: containers commonly do.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        argv.append("--allow-root")
    return [*argv, *extra], _environment(work, token)


def _environment(work: Path, token: str) -> dict[str, str]:
    hidden = work / HIDDEN / "jupyter"
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    write_if_new(hidden / "labconfig" / "page_config.json", json.dumps(quiet, indent=1) + "\n")
    environment = dict(os.environ)
    others = environment.get("JUPYTER_CONFIG_PATH")
    programs = str(Path(sys.executable).parent)
    environment |= {
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_PATH": os.pathsep.join([str(hidden), *([others] if others else [])]),
        # The layout of windows belongs to this folder, not to the user's other projects.
        "JUPYTERLAB_WORKSPACES_DIR": str(hidden / "workspaces"),
        # So that `!pip` in a cell is this environment's, even where it was not activated.
        "PATH": os.pathsep.join([programs, environment.get("PATH", "")]),
    }
    environment.pop("MPLBACKEND", None)
    return environment


def _landing(work: Path) -> str:
    """Lesson 00, opened."""
    first = next((path.name for path in sorted(work.glob("00_*.ipynb")) if ".new" not in path.name), None)
    return f"/lab/tree/{first}" if first else "/lab"


def address(work: Path, port: int, token: str) -> str:
    """What to type into a browser."""
    return f"http://{HOST}:{port}{_landing(work)}?token={token}"


def free_port(wanted: int | None) -> int:
    """The port that was asked for, or the first free one from 8888 on; a taken one is an error."""
    for port in [wanted] if wanted is not None else range(FIRST_PORT, FIRST_PORT + 50):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if os.name != "nt":
                # As the server does: a port that was closed a moment ago is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if wanted is not None and error.errno != errno.EADDRINUSE:
                    raise AuthoringError(f"port {port} cannot be used: {error.strerror}") from error
                continue
            return port
    if wanted is None:
        raise AuthoringError(f"no free port from {FIRST_PORT} to {FIRST_PORT + 49}: choose one with --port")
    raise AuthoringError(f"port {wanted} is taken: choose another with --port, or leave it out")


def run(work: Path, notebooks: Path, *, browser: bool = True, port: int | None = None) -> int:
    """Prepare the folder, start the server and stay until it ends; Ctrl-C ends both."""
    report = prepare(work, notebooks)
    if report.delivered:
        print(f"{len(report.delivered)} notebooks delivered to {work}")
    for note in report.notes:
        print(note)
    port, token = free_port(port), secrets.token_hex(24)
    argv, environment = server_command(work, port=port, token=token, browser=browser)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    server = subprocess.Popen(argv, env=environment)
    try:
        await_server(server, port)
        print(
            f"JupyterLab is running on {work}\n\n  {address(work, port, token)}\n\nCtrl-C ends it.",
            flush=True,
        )
        return 1 if server.wait() else 0
    except KeyboardInterrupt:
        print("\nJupyterLab ends; your work is saved as JupyterLab last saved it.", flush=True)
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        stop(server)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def await_server(server: subprocess.Popen[bytes], port: int) -> None:
    """Return as soon as the server answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise AuthoringError(f"JupyterLab ended at once with exit code {server.returncode}; see above")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AuthoringError(f"JupyterLab did not answer on port {port} within {_START_SECONDS} s")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its kernels, gently at first."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
