"""nbval's kernel, made to notice when it dies, to keep its replies, and to report swallowed exceptions."""

from __future__ import annotations

import ast
import time
from queue import Empty
from typing import Any

from nbval.kernel import RunningKernel

_PATROL = 0.5  # seconds between two looks at whether the kernel still lives
_START = "from course.authoring import kernel_watch as _w; _w.start(); del _w"
_DRAIN = "__import__('course.authoring.kernel_watch', fromlist=['drain']).drain()"


class KernelDiedError(RuntimeError):
    """The kernel's process ended while a cell was running."""


class GuardedKernel(RunningKernel):
    """A kernel whose last reply can be read: nbval 0.11 waits for the reply and throws it away."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reply: dict[str, Any] = {}
        started = self.kc.execute(_START, silent=True, store_history=False)
        self.await_reply(started, timeout=30)
        if self.reply.get("status") != "ok":
            raise RuntimeError(f"the guard could not start in the kernel: {self.reply.get('evalue')}")
        self.await_idle(started, timeout=30)

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Send a cell to the kernel, and with it the question what it swallowed."""
        return self.kc.execute(
            cell_input,
            store_history=False,
            allow_stdin=allow_stdin,
            stop_on_error=False,
            user_expressions={"swallowed": _DRAIN},
        )

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the reply and keep it; raise at once if the kernel dies, not when the time is out."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Empty
            try:
                message = self.get_message("shell", timeout=min(_PATROL, left))
            except Empty:
                if not self.is_alive():
                    self.stop()
                    raise KernelDiedError("the kernel died while it ran this cell") from None
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                self.reply = message["content"]
                return

    def swallowed(self) -> list[str]:
        """The exceptions that the last cell raised where nobody looked."""
        answer = self.reply.get("user_expressions", {}).get("swallowed", {})
        if answer.get("status") != "ok":
            return []
        return list(ast.literal_eval(answer["data"]["text/plain"]))
